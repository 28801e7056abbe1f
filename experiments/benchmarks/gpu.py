"""Training on one GPU: steps beside torch.compile, utilisation, a dataset on the card, an epoch.

  python -m experiments.benchmarks.gpu --out=PAGE.md [--parts=steps,epochs] [--batches=32,320]

Needs jax, flax, optax and absl, and PyTorch to compare with; data are random. The page is written
line by line, and a part that fails is a line of it.
"""

import contextlib
import json
import os
import sys
import tempfile
import time
import types
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags
from flax import traverse_util

from experiments.benchmarks import gpu_steps, machine, yandex_lengths
from experiments.benchmarks.gpu_page import Page, ceilings, quartiles
from experiments.benchmarks.gpu_steps import Sizes, Step
from experiments.benchmarks.train_step_worker import as_in_torch
from musicjax import sharding
from musicjax.data import plans, resident

FLAGS = flags.FLAGS
flags.DEFINE_string('out', None, 'The page to write.', required=True)
flags.DEFINE_list('parts', ['steps', 'epochs'], 'What is measured.')
flags.DEFINE_list('batches', ['32', '320'], 'Examples of a step.')
flags.DEFINE_list('sizes', ['60', '768', '256'], 'Frames, their width, tags.')
flags.DEFINE_integer('tracks', yandex_lengths.TRACKS, 'Of the dataset on the card.')
flags.DEFINE_integer('rounds', 11, 'Of which medians are taken.')
flags.DEFINE_integer('product', 8192, 'Rows of the matrices whose product is the ceiling.')
flags.DEFINE_float('run_seconds', 0.1, 'A timed run takes as many steps as fill this.')
flags.DEFINE_string('torch_python', sys.executable, 'Python with PyTorch; empty: no comparison.')

_DTYPES = ('bfloat16', 'float32')


class Torch:
  """gpu_torch.py as a process that is asked in JSON."""

  def __init__(self, folder: str):
    device = 'cuda' if jax.default_backend() == 'gpu' else 'cpu'
    script = Path(__file__).with_name('gpu_torch.py')
    self.process = machine.worker([str(script), device, folder], '', FLAGS.torch_python)
    self.name = json.loads(self.process.stdout.readline())

  def ask(self, task: str, **told: Any) -> Any:
    self.process.stdin.write(json.dumps({'task': task, **told}) + '\n')
    self.process.stdin.flush()
    said = json.loads(self.process.stdout.readline())
    if isinstance(said, dict) and 'error' in said:
      raise RuntimeError(f'PyTorch: {said["error"]}')
    return said


def start_torch(page: Page, folder: str, sizes: Sizes, plain: Step) -> tuple[Torch, set]:
  """Returns PyTorch's process, and the steps (batch, dtype) that it has compiled.

  Writes its ceilings, and the first losses of both without dropout, from the same weights.
  """
  torch, compiled = Torch(folder), set()
  rates = torch.ask('ceilings', size=FLAGS.product).items()
  told = ', '.join(f'{name} {rate / 1e12:.0f}' for name, rate in rates)
  page.say('', f'{torch.name}, the same products, TFLOP/s: {told}.')
  with page.part('losses'):
    plain.feed()
    weights = traverse_util.flatten_dict(jax.device_get(plain.state.params), sep='.')
    np.savez(Path(folder, 'weights.npz'), **dict(map(as_in_torch, weights.items())))
    batch = jax.device_get(plain.batch)
    np.savez(Path(folder, 'batch.npz'), **{name: batch[name][0] for name in ('inputs', 'labels')})
    ours, theirs = [float(plain.update()) for _ in range(3)], torch.ask('losses')
    ours, theirs = (', '.join(f'{loss:.5f}' for loss in losses) for losses in (ours, theirs))
    page.say(
      '',
      'Losses of the first steps of the published network in float32 without dropout, from the '
      f'same weights: {ours}; in PyTorch {theirs}.',
    )
  for batch in map(int, FLAGS.batches):
    for dtype in _DTYPES:
      with page.part(f'torch.compile, {batch}, {dtype}'):
        torch.ask('prepare', batch=batch, dtype=dtype, **sizes._asdict())
        compiled.add((batch, dtype))
        print(f'torch.compile, {batch}, {dtype}: ready', flush=True)
  return torch, compiled


def time_step(page: Page, step: Step, ceiling: float, torch: Torch | None) -> None:
  """Writes a step's row, beside PyTorch's where there is one: rounds alternate."""
  batch, dtype = step.config.batch_size, step.config.dtype
  step.feed()
  before = jax.tree.leaves(step.state)
  step.update()
  donated = all(leaf.is_deleted() for leaf in before)
  steps = step.steps_in(FLAGS.run_seconds)
  runs = {'ours': lambda: step.run(steps)}
  if torch:
    runs['theirs'] = lambda: torch.ask('run', batch=batch, dtype=dtype, steps=steps)
    runs['theirs']()
  seconds = {name: [] for name in runs}
  for i in range(FLAGS.rounds):
    for name in runs if i % 2 else reversed(runs):
      seconds[name].append(runs[name]())
  seconds = {name: np.array(measured) for name, measured in seconds.items()}
  middle = np.median(seconds['ours'])
  page.row(
    'published' if step.config.model.name == 'conv_transformer' else 'ours',
    batch,
    dtype,
    quartiles(1000 * seconds['ours']),
    f'{batch / middle:.0f}',
    quartiles(1000 * seconds['theirs']) if torch else '',
    quartiles(seconds['ours'] / seconds['theirs']) if torch else '',
    f'{step.flops / 1e9:.0f}',
    f'**{step.flops / middle / ceiling:.0%}**',
    f'{step.gigabytes:.2f}',
    'yes' if donated else 'NO',
  )
  step.state = step.batch = None


def time_steps(page: Page, sizes: Sizes, steps: list[Step], plain: Step, rates: dict) -> None:
  """Writes the steps, those of the published network beside PyTorch's."""
  with contextlib.ExitStack() as stack:
    torch, compiled = None, set()
    with page.part('PyTorch'):
      if FLAGS.torch_python:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        torch, compiled = start_torch(page, folder, sizes, plain)
        stack.callback(torch.process.communicate)
    plain.state = plain.batch = None
    page.table(
      'Steps',
      f'{sizes.frames} frames of {sizes.width}, {sizes.tags} tags, the batch on the card: forward, '
      'loss, gradients, optimizer. The published network has AdamW and no noise on its inputs, '
      'and stands beside torch.compile with fused AdamW (bfloat16: autocast); `ours` has all of '
      f'its config. Medians (quartiles) of {FLAGS.rounds} rounds that alternate, of '
      f'{FLAGS.run_seconds} s each. GFLOP are those of products and convolutions, forward times '
      'three; utilisation is their rate over that of the ceiling, of the same dtype in JAX. GB are '
      "the update's arguments, results and temporaries, what is donated once.",
      *('network', 'batch', 'dtype', 'ms', 'examples/s', 'torch.compile, ms', 'ours / theirs'),
      *('GFLOP', 'utilisation', 'GB', 'state donated'),
    )
    for step in steps:
      batch, dtype = step.config.batch_size, step.config.dtype
      name = f'{step.config.model.name}, {batch}, {dtype}'
      if step.config.model.name == 'conv_transformer' and (batch, dtype) in compiled:
        with page.part(f'step of {name}, beside PyTorch'):
          time_step(page, step, rates[dtype], torch)
          continue
      with page.part(f'step of {name}'):
        time_step(page, step, rates[dtype], None)


def keep_random(lengths: np.ndarray, sizes: Sizes) -> resident.Kept:
  """Returns a random dataset of tracks of these lengths, in the memory of the card."""
  chunk, total = 2**16, int(lengths.sum() + lengths.max())
  keys = jax.random.split(jax.random.key(1), -(-total // chunk))

  @jax.jit
  def draw(keys):  # Chunk by chunk: random bits would take as much memory again.
    chunks = jax.lax.map(lambda key: jax.random.normal(key, (chunk, sizes.width)), keys)
    return chunks.reshape(-1, sizes.width)

  labels = np.random.default_rng(0).random((len(lengths), sizes.tags)) < 0.015
  return resident.Kept(
    frames=draw(keys),
    first=jnp.asarray(np.cumsum(lengths) - lengths, jnp.int32),
    labels=jnp.asarray(labels, jnp.float32),
    weights=jnp.ones(len(lengths)),
  )


def time_epoch(page: Page, kept: resident.Kept, plan: plans.Plan, steps: int, step: Step) -> None:
  """Writes the seconds of an epoch, every step of it run."""
  mesh, state = sharding.make_mesh(), step.parts.init()
  planned = list(map(plan, range(steps)))

  def run(steps, update):
    nonlocal state
    for batch in resident.batches(kept, plan, steps, mesh):
      done = batch
      if update:
        state, done = step.programs[batch['inputs'].shape[2]](state, batch)
    jax.block_until_ready(done)

  for i in {planned.time: i for i, planned in enumerate(planned)}.values():
    run(range(i, i + 1), update=True)  # Compiles what gathers.
  seconds = []
  for update in (True, False):
    start = time.perf_counter()
    run(range(steps), update)
    seconds.append(time.perf_counter() - start)
  examples = steps * step.config.batch_size
  frames = sum(int(step.lengths.sum()) for step in planned)
  page.row(
    f'{step.config.model.name}, {step.config.batch_size} in {step.config.accumulate}',
    step.config.dtype,
    steps,
    f'**{seconds[0]:.2f}**',
    f'{examples / seconds[0]:.0f}',
    f'{1000 * seconds[0] / steps:.2f}',
    f'{1000 * seconds[1] / steps:.2f}',
    f'{sum(step.time * step.rows.size for step in planned) / frames - 1:.0%}',
  )


def measure_steps(page: Page, sizes: Sizes) -> None:
  batches = list(map(int, FLAGS.batches))
  steps = [
    gpu_steps.make(variant, dtype, sizes, batch, accumulate=1, augment=not variant)
    for variant in ('baseline', '')
    for batch in batches
    for dtype in _DTYPES
  ]
  plain = gpu_steps.make(
    'baseline', 'float32', sizes, batches[0], accumulate=1, augment=False, dropout=0.0
  )
  rates = ceilings(page, FLAGS.product, FLAGS.rounds)
  gpu_steps.compile_all(page, [(step, sizes.frames) for step in (*steps, plain)])
  time_steps(page, sizes, steps, plain, rates)


def measure_epochs(page: Page, sizes: Sizes) -> None:
  lengths = yandex_lengths.draw(np.random.default_rng(2), FLAGS.tracks)
  page.table(
    'Epochs',
    f'{FLAGS.tracks} random tracks of 10 to 404 frames, mean {lengths.mean():.0f}, '
    f'{4 * sizes.width * lengths.sum() / 1e9:.1f} GB of float32 kept on the card '
    '(`config.resident`). Whole epochs as the configs have them, every step run: buckets or '
    'crops, augmentation, micro-batches. Batches alone are planned and gathered, and nothing is '
    'learnt.',
    *('network, batch', 'dtype', 'steps', 's an epoch', 'examples/s', 'ms a step'),
    *('batches alone, ms', 'padding'),
  )
  kept = keep_random(lengths, sizes)
  for variant, dtype in (('', 'bfloat16'), ('baseline', 'bfloat16'), ('', 'float32')):
    step = gpu_steps.make(variant, dtype, sizes)
    plan = plans.train_plan(
      types.SimpleNamespace(lengths=lengths), np.arange(FLAGS.tracks), step.config
    )
    steps = FLAGS.tracks // step.config.batch_size
    with page.part(f'epoch of {step.config.model.name}, {dtype}'):
      times = {plan(i).time for i in range(steps)}
      gpu_steps.compile_all(page, [(step, time) for time in sorted(times, reverse=True)])
      time_epoch(page, kept, plan, steps, step)


def main(argv):
  del argv
  # Another library shares the card.
  os.environ.setdefault('XLA_PYTHON_CLIENT_PREALLOCATE', 'false')
  page = Page(FLAGS.out, 'Training on a GPU', f'gpu {" ".join(sys.argv[1:])}')
  sizes = Sizes(*map(int, FLAGS.sizes))
  for name, measure in (('steps', measure_steps), ('epochs', measure_epochs)):
    if name in FLAGS.parts:
      with page.part(name):
        measure(page, sizes)
  told = jax.devices()[0].memory_stats() or {}
  if 'peak_bytes_in_use' in told:
    peak = told['peak_bytes_in_use'] / 1e9
    page.say('', f'The most that JAX held on the card at once, dataset and all: {peak:.1f} GB.')


if __name__ == '__main__':
  app.run(main)
