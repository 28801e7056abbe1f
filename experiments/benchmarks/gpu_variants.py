"""Forms of convolution on a GPU, alone and in the published step, and what a step's time goes to.

  python -m experiments.benchmarks.gpu_variants --out=PAGE.md

Programs of two steps, as XLA has compiled them, are written beside the page.
"""

import concurrent.futures
import gzip
import os
import tempfile
from collections import defaultdict
from pathlib import Path

import jax
import numpy as np
from absl import app, flags

from experiments.benchmarks import gpu_steps
from experiments.benchmarks.gpu_convolutions import FORMS
from experiments.benchmarks.gpu_page import Page, ceilings, median_seconds, quartiles
from experiments.benchmarks.gpu_steps import Sizes, Step
from musicjax.models import convolution

FLAGS = flags.FLAGS
flags.DEFINE_string('out', None, 'The page to write.', required=True)
flags.DEFINE_integer('batch', 320, 'Examples of a step.')
flags.DEFINE_list('sizes', ['60', '768', '256'], 'Frames, their width, tags.')
flags.DEFINE_integer('rounds', 9, 'Of which medians are taken.')
flags.DEFINE_integer('product', 8192, 'Rows of the matrices whose product is the ceiling.')
flags.DEFINE_float('run_seconds', 0.1, 'A timed run takes as many steps as fill this.')

_TAPS = (7, 5, 3, 1)
_OPTIONS = (
  {'xla_gpu_enable_triton_gemm': False},
  {'xla_gpu_enable_cublaslt': True},
  {'xla_gpu_force_conv_nhwc': True},
  {'xla_gpu_cudnn_gemm_fusion_level': 2},
)


def time_convolutions(page: Page, dtype: str, sizes: Sizes, rate: float) -> None:
  """Writes a row a form: forward and both gradients."""
  shape = (FLAGS.batch, sizes.frames, sizes.width)
  page.table(
    f'Convolutions, {dtype}',
    f'{list(shape)}, as wide a result, forward and both gradients: ms, and share of the ceiling.',
    *('form', *(f'{taps} taps' for taps in _TAPS)),
  )
  x, weight = jax.random.normal(jax.random.key(0), (2, *shape), dtype)
  kernels = [
    jax.random.normal(jax.random.key(taps), (taps, sizes.width, sizes.width), dtype) / 50
    for taps in _TAPS
  ]

  def lower(form, kernel):
    def run(x, kernel, weight):
      y, pull = jax.vjp(form, x, kernel)
      return y, *pull(weight)

    return jax.jit(run).lower(x, kernel, weight)

  with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
    jobs = {
      name: [pool.submit(lower(form, kernel).compile) for kernel in kernels]
      for name, form in FORMS.items()
    }
  for name, programs in jobs.items():
    cells = []
    for kernel, program in zip(kernels, programs, strict=True):
      with page.part(f'{name}, {len(kernel)} taps'):
        seconds = median_seconds(program.result(), x, kernel, weight, rounds=FLAGS.rounds)
        share = 6 * FLAGS.batch * sizes.frames * kernel.size / seconds / rate
        cells.append(f'{1000 * seconds:.3f} ({share:.0%})')
    page.row(name, *cells)


def time_steps(page: Page, sizes: Sizes, rate: float) -> None:
  """Writes a row a form, and rows of other compiler options and of less work."""

  def make(**fields):
    fields = {'variant': 'baseline', 'augment': False} | fields
    return gpu_steps.make(dtype='bfloat16', sizes=sizes, batch=FLAGS.batch, accumulate=1, **fields)

  page.table(
    'Steps of the published network',
    f'Batch {FLAGS.batch}, bfloat16, medians (quartiles) of {FLAGS.rounds}.',
    *('form', 'ms', 'utilisation', 'GB'),
  )
  rows = {form: (make(), form, {}) for form in FORMS}
  rows |= {
    f'{form}, {option}': (make(), form, option)
    for option in _OPTIONS
    for form in ('direct', 'patches_both_ways')
  }
  rows['direct, no dropout'] = make(dropout=0.0), 'direct', {}
  rows['ours'] = make(variant='', augment=True), 'direct', {}

  def wanted():
    for step, form, options in rows.values():
      convolution.convolve_time = FORMS[form]  # Read while it is traced.
      yield step, sizes.frames, options

  gpu_steps.compile_all(page, wanted())
  medians = {}
  for name, (step, *_) in rows.items():
    with page.part(name):
      step.feed()
      steps = step.steps_in(FLAGS.run_seconds)
      seconds = np.array([step.run(steps) for _ in range(FLAGS.rounds)])
      medians[name] = float(np.median(seconds))
      share = step.flops / medians[name] / rate
      page.row(name, quartiles(1000 * seconds), f'{share:.0%}', f'{step.gigabytes:.2f}')
    step.state = step.batch = None
  best = min((name for name in medians if name in FORMS), key=medians.get)
  for name in dict.fromkeys((best, 'direct', 'ours')):
    with page.part(f'kernels of {name}'):
      tell_kernels(page, rows[name][0], name)


def tell_kernels(page: Page, step: Step, name: str, steps: int = 5) -> None:
  """Writes what the card does in a step, by kernel, and the program beside the page."""
  program = page.path.with_name(f'{name}.hlo.gz')
  program.write_bytes(gzip.compress(step.programs[step.sizes.frames].as_text().encode()))
  step.feed()
  step.run(3)
  with tempfile.TemporaryDirectory() as folder:
    with jax.profiler.trace(folder):
      step.run(steps)
    (file,) = Path(folder).rglob('*.xplane.pb')
    planes = list(jax.profiler.ProfileData.from_file(str(file)).planes)
  cards = [plane for plane in planes if 'GPU' in plane.name]
  print({plane.name: [line.name for line in plane.lines] for plane in planes}, flush=True)
  totals = defaultdict(list)
  for plane in cards or planes:
    for line in plane.lines:
      if line.name.startswith('Stream') or not cards:
        for event in line.events:
          totals[event.name].append(event.duration_ns / 1000 / steps)
  page.table(f'Kernels of {name}', 'Of a profile.', 'kernel', 'us a step', 'times a step')
  page.row('all', f'{sum(map(sum, totals.values())):.0f}', '')
  for kernel, taken in sorted(totals.items(), key=lambda item: -sum(item[1]))[:45]:
    page.row(kernel[:110].replace('|', '/'), f'{sum(taken):.0f}', f'{len(taken) / steps:.1f}')
  step.state = step.batch = None


def main(argv):
  del argv
  sizes = Sizes(*map(int, FLAGS.sizes))
  page = Page(FLAGS.out, 'Forms of convolution on a GPU', 'gpu_variants --out=PAGE.md')
  rates = ceilings(page, FLAGS.product, FLAGS.rounds)
  with page.part('steps'):
    time_steps(page, sizes, rates['bfloat16'])
  for dtype in ('bfloat16', 'float32'):
    with page.part(f'convolutions, {dtype}'):
      time_convolutions(page, dtype, sizes, rates[dtype])


if __name__ == '__main__':
  app.run(main)
