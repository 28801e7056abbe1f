"""Training on one GPU: steps beside torch.compile, utilisation, a dataset on the card, an epoch.

  python -m experiments.benchmarks.gpu --out=PAGE.md [--variants]

Needs jax, flax, optax and absl, and PyTorch to compare with; data are random. The page is written
line by line, and a part that fails is a line of it. With --variants it times forms of convolution
and of the step instead, and says which kernels a step spends its time in.
"""

import concurrent.futures
import contextlib
import dataclasses
import gzip
import json
import os
import sys
import tempfile
import time
import traceback
import types
from pathlib import Path
from typing import Any

# Another library shares the card.
os.environ.setdefault('XLA_PYTHON_CLIENT_PREALLOCATE', 'false')

import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags

from experiments.benchmarks import gpu_convolutions, machine


class _Fields(dict):
  """A config where `ml_collections` is not installed: fields are attributes, as there."""

  def __setattr__(self, name, value):
    self[name] = _Fields(value) if isinstance(value, dict) else value

  def __getattr__(self, name):
    if name not in self:
      raise AttributeError(name)
    return self[name]


try:
  import ml_collections  # noqa: F401
except ImportError:
  sys.modules['ml_collections'] = types.SimpleNamespace(ConfigDict=_Fields)

from configs import yandex
from musicjax import sharding, system
from musicjax.data import plans, resident
from musicjax.models import convolution

FLAGS = flags.FLAGS
flags.DEFINE_string('out', None, 'The page to write.', required=True)
flags.DEFINE_bool('variants', False, 'Time forms of convolution and of the step instead.')
flags.DEFINE_list('batches', ['32', '320'], 'Examples of a step.')
flags.DEFINE_integer('frames', 60, 'Of an example.')
flags.DEFINE_integer('width', 768, 'Of a frame.')
flags.DEFINE_integer('tags', 256, 'Classes.')
flags.DEFINE_integer('tracks', 51_134, 'Of the dataset on the card.')
flags.DEFINE_integer('rounds', 11, 'Of which medians are taken.', lower_bound=2)
flags.DEFINE_integer('product', 8192, 'Rows of the matrices whose product is the ceiling.')
flags.DEFINE_float('run_seconds', 0.1, 'A timed run takes as many steps as fill this.')
flags.DEFINE_string('torch_python', sys.executable, 'Python with PyTorch; empty: no comparison.')

_DTYPES = ('bfloat16', 'float32')
# Lengths of the competition's tracks at these quantiles, as in make_yandex.py.
_QUANTILES = (0, 0.02, 0.25, 0.5, 0.75, 0.95, 0.998, 1)
_LENGTHS = (10, 25, 43, 53, 68, 96, 140, 404)


class Page:
  """Markdown that is on disk as soon as it is said."""

  def __init__(self, path: str):
    self.path, self.start = Path(path), time.perf_counter()
    self.path.write_text('')

  def say(self, *lines: str) -> None:
    with self.path.open('a') as file:
      for line in lines:
        print(f'[{time.perf_counter() - self.start:5.1f} s] {line}', flush=True)
        file.write(f'{line}\n')

  def row(self, *cells: Any) -> None:
    self.say(f'| {" | ".join(map(str, cells))} |')

  def head(self, title: str, note: str, *cells: str) -> None:
    self.say('', f'## {title}', '', note, '')
    self.row(*cells)
    self.row(*['---'] * len(cells))

  @contextlib.contextmanager
  def part(self, name: str):
    """What fails in here is a line of the page."""
    try:
      yield
    except Exception as error:
      traceback.print_exc()
      told = ' '.join(f'{type(error).__name__}: {error}'.split())[:400]
      self.say('', f'FAILED, {name}: {told}', '')


def quartiles(values: np.ndarray, form: str = '.2f') -> str:
  low, middle, high = np.quantile(values, (0.25, 0.5, 0.75))
  return f'**{middle:{form}}** ({low:{form}}..{high:{form}})'


def seconds_of(run, rounds: int, calls: int = 4) -> np.ndarray:
  """Returns [rounds] seconds of a call, the mean of some that are sent off at once."""
  jax.block_until_ready(run())
  measured = []
  for _ in range(rounds):
    start = time.perf_counter()
    jax.block_until_ready([run() for _ in range(calls)])
    measured.append((time.perf_counter() - start) / calls)
  return np.array(measured)


def ceilings(page: Page) -> dict[str, float]:
  """Returns FLOP/s of large products by dtype, and writes them with the rate of memory."""
  size = FLAGS.product
  left, right = jax.random.normal(jax.random.key(0), (2, size, size))
  exact = np.asarray(left[:4], np.float64) @ np.asarray(right, np.float64)
  rates = {}
  page.head(
    'Ceilings',
    f'Products of two {size} x {size} matrices of normal numbers, medians of {FLAGS.rounds}. The '
    'error is the largest of four rows, over the largest value. JAX decides by '
    f'`jax_default_matmul_precision={jax.config.jax_default_matmul_precision}`.',
    'what', 'TFLOP/s', 'error',
  )  # fmt: skip
  for name, dtype, precision in (
    ('bfloat16', jnp.bfloat16, None),
    ('float32', jnp.float32, None),
    ('float32, precision highest', jnp.float32, 'highest'),
  ):
    a, b = left.astype(dtype), right.astype(dtype)
    multiply = jax.jit(lambda a, b, precision=precision: jnp.matmul(a, b, precision=precision))
    seconds = np.median(seconds_of(lambda f=multiply, a=a, b=b: f(a, b), FLAGS.rounds))
    rates[name] = 2 * size**3 / seconds
    error = np.abs(np.asarray(multiply(a, b)[:4], np.float64) - exact).max() / np.abs(exact).max()
    page.row(f'JAX, {name}', f'{rates[name] / 1e12:.0f}', f'{error:.0e}')
  return rates


def copy_rate(page: Page) -> None:
  x = jnp.ones((size := FLAGS.product**2 * 8,))
  negate = jax.jit(jnp.negative)
  seconds = np.median(seconds_of(lambda: negate(x), FLAGS.rounds, calls=2))
  page.say('', f'Memory, {4 * size / 1e9:.1f} GB read and as much written: '
           f'{8 * size / 1e9 / seconds:.0f} GB/s.')  # fmt: skip


def forward_flops(params: Any, config, frames: int) -> int:
  """Returns the operations of an example's products: two a weight that it is multiplied by.

  Those of the head are used once an example, all others once a frame; attention has two products
  of all frames with all frames a layer.
  """
  total = 0
  for path, leaf in jax.tree_util.tree_leaves_with_path(params):
    name = jax.tree_util.keystr(path)
    if 'kernel' in name:
      total += 2 * leaf.size * (1 if 'head' in name or 'logits' in name else frames)
  width = config.model.width or FLAGS.width
  return total + config.model.num_layers * 4 * frames**2 * width


@dataclasses.dataclass
class Step:
  """An update of musicjax, compiled, and what it is fed with.

  Attributes:
    config: of the run; `batch_size` and `accumulate` shape the batch.
    parts: of `system.create`.
    compiled: the update, by padded frames.
    flops: of the products of an update of `FLAGS.frames` frames: thrice those forward.
  """

  config: Any
  parts: system.System
  compiled: dict[int, Any] = dataclasses.field(default_factory=dict)
  flops: int = 0
  state: Any = None
  batch: Any = None

  def compile(self, frames: int, **options) -> None:
    state = jax.eval_shape(self.parts.init)
    shape = (self.config.accumulate, self.config.batch_size // self.config.accumulate)
    of_example = {
      'inputs': ((frames, FLAGS.width), jnp.float32),
      'lengths': ((), jnp.int32),
      'labels': ((FLAGS.tags,), jnp.float32),
      'weights': ((), jnp.float32),
      'index': ((), jnp.int32),
    }
    split = sharding.batch_sharding(sharding.make_mesh(), 1)
    batch = {
      name: jax.ShapeDtypeStruct((*shape, *more), dtype, sharding=split)
      for name, (more, dtype) in of_example.items()
    }
    self.compiled[frames] = self.parts.update.lower(state, batch).compile(options or None)
    self.flops = 3 * self.config.batch_size * forward_flops(
      state.params, self.config, FLAGS.frames
    )  # fmt: skip

  def feed(self) -> None:
    """Makes the state and a random batch."""
    config, rng = self.config, np.random.default_rng(0)
    shape = (config.accumulate, config.batch_size // config.accumulate)
    batch = {
      'inputs': rng.standard_normal((*shape, FLAGS.frames, FLAGS.width), np.float32),
      'lengths': np.full(shape, FLAGS.frames, np.int32),
      'labels': (rng.random((*shape, FLAGS.tags)) < 0.015).astype(np.float32),
      'weights': np.ones(shape, np.float32),
      'index': np.zeros(shape, np.int32),
    }
    self.batch = sharding.to_global(sharding.make_mesh(), batch, 1)
    self.state = self.parts.init()

  def update(self) -> jax.Array:
    self.state, metrics = self.compiled[FLAGS.frames](self.state, self.batch)
    return metrics['loss']

  def run(self, steps: int) -> float:
    """Returns seconds of a step, the mean of some that are sent off at once."""
    start = time.perf_counter()
    for _ in range(steps):
      loss = self.update()
    jax.block_until_ready(loss)
    return (time.perf_counter() - start) / steps

  def steps_of_a_run(self) -> int:
    for _ in range(3):
      self.run(2)
    return int(np.clip(FLAGS.run_seconds / self.run(3), 2, 100))


def make_step(
  variant: str, dtype: str, batch: int = 0, accumulate: int = 0, augment: bool = True, dropout=1.0
) -> Step:
  """Returns the step of a variant of configs/yandex.py, of its own batch where none is named."""
  config = yandex.get_config(variant)
  config.dtype = dtype
  config.batch_size = batch or config.batch_size
  config.accumulate = accumulate or config.accumulate
  if not augment:
    config.augment = {}
  for name in ('dropout', 'head_dropout'):
    config.model[name] *= dropout
  dataset = {
    'label_names': range(FLAGS.tags),
    'input_shape': (None, FLAGS.width),
    'statistics': {},
    'support': [1] * FLAGS.tags,
  }
  return Step(config, system.create(config, dataset, sharding.make_mesh(), steps=10_000))


def compile_all(page: Page, wanted: dict[Any, tuple[Step, list[int]]]) -> None:
  """Compiles steps at once, each for its numbers of frames; those that fail are told."""
  start = time.perf_counter()
  with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
    jobs = {
      (name, frames): pool.submit(step.compile, frames)
      for name, (step, lengths) in wanted.items()
      for frames in lengths
    }
    for name, job in jobs.items():
      with page.part(f'compiling {name}'):
        job.result()
  print(f'{len(jobs)} programs in {time.perf_counter() - start:.0f} s', flush=True)


class Torch:
  """gpu_torch.py as a process, asked in JSON; None stands for what it cannot do."""

  def __init__(self, folder: str):
    device = 'cuda' if jax.default_backend() == 'gpu' else 'cpu'
    script = str(Path(__file__).with_name('gpu_torch.py'))
    self.process = machine.worker([script, device, folder], '', FLAGS.torch_python)
    self.name = json.loads(self.process.stdout.readline())

  def ask(self, task: str, **told) -> Any:
    self.process.stdin.write(json.dumps({'task': task, **told}) + '\n')
    self.process.stdin.flush()
    said = json.loads(self.process.stdout.readline())
    if isinstance(said, dict) and 'error' in said:
      raise RuntimeError(f'PyTorch: {said["error"]}')
    return said


def compare_losses(page: Page, torch: Torch, folder: str, step: Step) -> None:
  """Writes the first three losses of both, from the same weights, without dropout."""
  from flax import traverse_util

  step.feed()
  weights = {}
  for name, array in traverse_util.flatten_dict(jax.device_get(step.state.params), sep='.').items():
    path, _, leaf = name.rpartition('.')
    leaf = {'kernel': 'weight', 'scale': 'weight', 'bias': 'bias'}[leaf]
    weights[f'{path}.{leaf}'] = array.transpose()
  np.savez(Path(folder, 'weights.npz'), **weights)
  batch = jax.device_get(step.batch)
  np.savez(Path(folder, 'batch.npz'), **{name: batch[name][0] for name in ('inputs', 'labels')})
  ours = [float(step.update()) for _ in range(3)]
  theirs = torch.ask('losses')
  page.say('', 'The same weights and batch, without dropout, float32: losses of the first steps '
           f'{", ".join(f"{x:.5f}" for x in ours)}, in PyTorch '
           f'{", ".join(f"{x:.5f}" for x in theirs)}.')  # fmt: skip


def memory_of(compiled) -> str:
  """Returns the GB that an update holds: what it is given, makes and returns, donated once."""
  told = compiled.memory_analysis()
  if told is None:
    return '?'
  held = told.argument_size_in_bytes + told.output_size_in_bytes + told.temp_size_in_bytes
  return f'{(held - told.alias_size_in_bytes) / 1e9:.2f}'


def time_step(page: Page, step: Step, rates: dict[str, float], name: tuple, torch=None) -> None:
  """Writes a step's row, beside PyTorch's where it has one: rounds alternate."""
  variant, batch, dtype = name
  step.feed()
  before = jax.tree.leaves(step.state)
  jax.block_until_ready(step.update())
  donated = all(leaf.is_deleted() for leaf in before)
  steps = step.steps_of_a_run()
  theirs = None
  with page.part(f'PyTorch, {name}'):
    if torch:
      about = {'batch': batch, 'dtype': dtype}
      torch.ask('run', **about, steps=steps)
      theirs = []
  ours = []
  for i in range(FLAGS.rounds):
    if theirs is not None and i % 2:
      theirs.append(torch.ask('run', **about, steps=steps))
    ours.append(step.run(steps))
    if theirs is not None and not i % 2:
      theirs.append(torch.ask('run', **about, steps=steps))
  ours = np.array(ours)
  ratio, their_ms = '', ''
  if theirs is not None:
    theirs = np.array(theirs)
    ratio, their_ms = quartiles(ours / theirs), quartiles(1000 * theirs)
  middle = np.median(ours)
  page.row(
    *(variant, batch, dtype, quartiles(1000 * ours), f'{batch / middle:.0f}', their_ms, ratio),
    f'{step.flops / 1e9:.0f}', f'**{step.flops / middle / rates[dtype]:.0%}**',
    memory_of(step.compiled[FLAGS.frames]), 'yes' if donated else 'NO',
  )  # fmt: skip
  step.state = step.batch = None


def keep_random(index) -> resident.Kept:
  """Returns a random dataset of the index's lengths in the card's memory."""
  chunk, total = 2**16, int(index.lengths.sum() + index.lengths.max())
  keys = jax.random.split(jax.random.key(1), -(-total // chunk))

  @jax.jit
  def draw(keys):  # Chunk by chunk: in one, random bits would take as much memory again.
    chunks = jax.lax.map(lambda key: jax.random.normal(key, (chunk, FLAGS.width)), keys)
    return chunks.reshape(-1, FLAGS.width)

  rng, ends = np.random.default_rng(0), np.cumsum(index.lengths)
  return resident.Kept(
    frames=jax.block_until_ready(draw(keys)),
    first=jnp.asarray(ends - index.lengths, jnp.int32),
    labels=jnp.asarray(rng.random((FLAGS.tracks, FLAGS.tags)) < 0.015, jnp.float32),
    weights=jnp.ones(FLAGS.tracks),
  )


def time_epoch(page: Page, kept, index, plan, step: Step, name: str) -> None:
  """Writes the seconds of a whole epoch of a step, its batches gathered on the card."""
  mesh, steps = sharding.make_mesh(), FLAGS.tracks // step.config.batch_size
  numbers = [plan(i) for i in range(steps)]
  first = list({number.time: i for i, number in enumerate(numbers)}.values())
  state = step.parts.init()

  def run(steps, update=True):
    nonlocal state
    for batch in resident.batches(kept, plan, steps, mesh):
      if update:
        state, done = step.compiled[batch['inputs'].shape[2]](state, batch)
      else:
        done = batch
    jax.block_until_ready(done)

  for i in first:  # Compiles what gathers.
    run(range(i, i + 1))
  seconds = []
  for update in (True, False):
    start = time.perf_counter()
    run(range(steps), update)
    seconds.append(time.perf_counter() - start)
  examples = steps * step.config.batch_size
  padded = sum(number.time * number.rows.size for number in numbers)
  page.row(
    name, step.config.dtype, steps, f'**{seconds[0]:.2f}**', f'{examples / seconds[0]:.0f}',
    f'{1000 * seconds[0] / steps:.2f}', f'{1000 * seconds[1] / steps:.2f}',
    f'{padded / sum(int(number.lengths.sum()) for number in numbers) - 1:.0%}',
  )  # fmt: skip


def measure(page: Page) -> None:
  batches = list(map(int, FLAGS.batches))
  rng = np.random.default_rng(2)
  lengths = np.interp(rng.random(FLAGS.tracks), _QUANTILES, _LENGTHS).round().astype(np.int64)
  index = types.SimpleNamespace(lengths=lengths)
  steps, epochs, wanted = {}, {}, {}
  for variant in ('baseline', ''):
    for dtype in _DTYPES:
      for batch in batches:
        step = make_step(variant, dtype, batch, 1, augment=variant == '')
        steps[variant, batch, dtype] = step
        wanted[variant, batch, dtype] = step, [FLAGS.frames]
  for variant, dtype in (('baseline', 'bfloat16'), ('', 'bfloat16'), ('', 'float32')):
    step = make_step(variant, dtype)
    plan = plans.train_plan(index, np.arange(FLAGS.tracks), step.config)
    epochs[variant, dtype] = step, plan
    times = {plan(i).time for i in range(FLAGS.tracks // step.config.batch_size)}
    wanted['epoch', variant, dtype] = step, sorted(times)
  plain = make_step('baseline', 'float32', batches[0], 1, augment=False, dropout=0)
  wanted['plain'] = plain, [FLAGS.frames]

  rates = ceilings(page)
  copy_rate(page)
  compile_all(page, wanted)
  with contextlib.ExitStack() as stack:
    folder = stack.enter_context(tempfile.TemporaryDirectory())
    torch, prepared = None, {}
    with page.part('PyTorch'):
      if FLAGS.torch_python:
        torch = Torch(folder)
        stack.callback(torch.process.stdin.close)
        told = ', '.join(
          f'{name} {rate / 1e12:.0f}'
          for name, rate in torch.ask('ceilings', size=FLAGS.product).items()
        )
        page.say('', f'{torch.name}, the same products, TFLOP/s: {told}.')
        compare_losses(page, torch, folder, plain)
        for dtype in _DTYPES:
          for batch in batches:
            with page.part(f'torch.compile, {batch}, {dtype}'):
              told = {'frames': FLAGS.frames, 'width': FLAGS.width, 'tags': FLAGS.tags}
              torch.ask('prepare', batch=batch, dtype=dtype, **told)
              prepared['baseline', batch, dtype] = torch
              print(f'torch.compile: {batch}, {dtype} ready', flush=True)
    page.head(
      'Steps',
      f'{FLAGS.frames} frames of {FLAGS.width}, {FLAGS.tags} tags, the batch on the card: forward, '
      'loss, gradients and optimizer. `baseline` is the published network and AdamW without noise '
      'on its inputs, beside torch.compile with fused AdamW (bfloat16: autocast); `ours` has all '
      f'that its config has. Medians (quartiles) of {FLAGS.rounds} rounds that alternate, of '
      f'{FLAGS.run_seconds} s each. GFLOP are those of products and convolutions, forward times '
      'three; utilisation is their rate over the ceiling of that dtype in JAX. GB: arguments, '
      'results and temporaries of the update, what is donated once.',
      'network', 'batch', 'dtype', 'ms', 'examples/s', 'torch.compile, ms', 'ours / theirs',
      'GFLOP', 'utilisation', 'GB', 'state donated',
    )  # fmt: skip
    for name, step in steps.items():
      with page.part(f'step {name}'):
        shown = (name[0] or 'ours', *name[1:])
        time_step(page, step, rates, shown, prepared.get(name))
  steps.clear()
  with page.part('epochs'):
    page.head(
      'Epochs',
      f'{FLAGS.tracks} tracks of 10 to 404 frames, mean {lengths.mean():.0f}, '
      f'{4 * FLAGS.width * lengths.sum() / 1e9:.1f} GB of float32 in the memory of the card. Whole '
      'epochs as the configs have them, measured: crops or buckets, augmentation, micro-batches. '
      'The first ms a step are those of the epoch, the second of planning and gathering alone.',
      'network', 'dtype', 'steps', 's an epoch', 'examples/s', 'ms a step', 'batches alone, ms',
      'padding',
    )  # fmt: skip
    kept = keep_random(index)
    for (variant, dtype), (step, plan) in epochs.items():
      with page.part(f'epoch {variant} {dtype}'):
        time_epoch(page, kept, index, plan, step, variant or 'ours')


def variants(page: Page) -> None:
  """Times forms of convolution alone and in the step, and tells what a step's kernels take."""
  batch, dtype = max(map(int, FLAGS.batches)), jnp.bfloat16
  rate = ceilings(page)['bfloat16']
  copy_rate(page)
  page.head(
    'Convolutions', f'bfloat16 [{batch}, {FLAGS.frames}, {FLAGS.width}], forward and both '
    'gradients; ms and share of the ceiling.', 'form', *(f'{taps} taps' for taps in (7, 5, 3, 1)),
  )  # fmt: skip
  shape = (batch, FLAGS.frames, FLAGS.width)
  x, weight = jax.random.normal(jax.random.key(0), (2, *shape), dtype)
  kernels = {
    taps: jax.random.normal(jax.random.key(taps), (taps, FLAGS.width, FLAGS.width), dtype) / 50
    for taps in (7, 5, 3, 1)
  }

  def both(form):
    def run(x, kernel, weight):
      y, pull = jax.vjp(form, x, kernel)
      return y, *pull(weight)

    return jax.jit(run)

  def compiled(form, kernel):
    return both(form).lower(x, kernel, weight).compile()

  with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
    jobs = {
      (name, taps): pool.submit(compiled, form, kernel)
      for name, form in gpu_convolutions.FORMS.items()
      for taps, kernel in kernels.items()
    }
    concurrent.futures.wait(jobs.values())
  for name in gpu_convolutions.FORMS:
    with page.part(f'convolution {name}'):
      cells = []
      for taps, kernel in kernels.items():
        run = jobs[name, taps].result()
        middle = np.median(seconds_of(lambda f=run, k=kernel: f(x, k, weight), FLAGS.rounds))
        flops = 6 * batch * FLAGS.frames * kernel.size
        cells.append(f'{1000 * middle:.2f} ({flops / middle / rate:.0%})')
      page.row(name, *cells)
  page.head('Steps', f'baseline, batch {batch}, bfloat16.', 'form', 'ms', 'utilisation', 'GB')
  fastest, best = None, np.inf
  for name, form in gpu_convolutions.FORMS.items():
    with page.part(f'step of {name}'):
      convolution.convolve_time = form
      step = make_step('baseline', 'bfloat16', batch, 1, augment=False)
      step.compile(FLAGS.frames)
      middle = time_variant(page, step, name, rate)
      if middle < best:
        fastest, best = (name, step), middle
  name, step = fastest
  convolution.convolve_time = gpu_convolutions.FORMS[name]
  for option in ('xla_gpu_enable_triton_gemm', 'xla_gpu_enable_cublaslt'):
    with page.part(option):
      other = make_step('baseline', 'bfloat16', batch, 1, augment=False)
      other.compile(FLAGS.frames, **{option: option.endswith('cublaslt')})
      time_variant(page, other, f'{name}, {option} the other way', rate)
  with page.part('no dropout'):
    other = make_step('baseline', 'bfloat16', batch, 1, augment=False, dropout=0)
    other.compile(FLAGS.frames)
    time_variant(page, other, f'{name}, without dropout', rate)
  with page.part('kernels'):
    tell_kernels(page, step, f'baseline, {name}')
  with page.part('kernels of ours'):
    ours = make_step('', 'bfloat16', batch, 1)
    ours.compile(FLAGS.frames)
    time_variant(page, ours, 'ours', rate)
    tell_kernels(page, ours, 'ours')


def time_variant(page: Page, step: Step, name: str, rate: float) -> float:
  step.feed()
  steps = step.steps_of_a_run()
  seconds = np.array([step.run(steps) for _ in range(FLAGS.rounds)])
  middle = float(np.median(seconds))
  page.row(
    name, quartiles(1000 * seconds), f'{step.flops / middle / rate:.0%}',
    memory_of(step.compiled[FLAGS.frames]),
  )  # fmt: skip
  return middle


def tell_kernels(page: Page, step: Step, name: str) -> None:
  """Writes what the card does in a step, by kernel, and the program beside the page."""
  text = step.compiled[FLAGS.frames].as_text()
  program = page.path.with_name(f'{name.split(",")[0]}.hlo.gz')
  program.write_bytes(gzip.compress(text.encode()))
  if step.state is None:
    step.feed()
  step.run(3)
  steps = 5
  with tempfile.TemporaryDirectory() as folder:
    with jax.profiler.trace(folder):
      step.run(steps)
    (file,) = Path(folder).rglob('*.xplane.pb')
    data = jax.profiler.ProfileData.from_file(str(file))
    totals: dict[str, list[float]] = {}
    for plane in data.planes:
      if 'GPU' not in plane.name and 'CPU' not in plane.name:
        continue
      for line in plane.lines:
        if 'GPU' in plane.name and not line.name.startswith('Stream'):
          continue
        for event in line.events:
          total = totals.setdefault(f'{plane.name[:14]} {event.name}', [0.0, 0])
          total[0] += event.duration_ns
          total[1] += 1
  page.head(f'Kernels of a step, {name}', 'Of a profile.', 'kernel', 'us a step', 'times a step')
  card = {key: total for key, total in totals.items() if 'GPU' in key} or totals
  for kernel, (total, times) in sorted(card.items(), key=lambda item: -item[1][0])[:40]:
    page.row(kernel[:120].replace('|', '/'), f'{total / 1000 / steps:.0f}', f'{times / steps:.1f}')
  everything = sum(total for total, _ in card.values())
  page.row('all', f'{everything / 1000 / steps:.0f}', '')


def main(argv):
  del argv
  page = Page(FLAGS.out)
  (device,) = jax.devices()
  given = ' --variants' if FLAGS.variants else ''
  page.say(
    '# Training on a GPU',
    '',
    f'`python -m experiments.benchmarks.gpu --out=PAGE.md{given}` on one {device.device_kind}; jax '
    f'{jax.__version__}, Python {sys.version.split()[0]}, {os.cpu_count()} cores.',
  )
  with page.part('all'):
    (variants if FLAGS.variants else measure)(page)
  told = device.memory_stats() or {}
  if 'peak_bytes_in_use' in told:
    page.say('', f'Most memory that JAX held at once, in all of this: '
             f'{told["peak_bytes_in_use"] / 1e9:.2f} GB.')  # fmt: skip


if __name__ == '__main__':
  app.run(main)
