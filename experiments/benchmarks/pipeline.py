"""How fast tf.data delivers training batches when nothing else runs.

  python -m experiments.benchmarks.make_yandex --out=DIR
  python -m experiments.benchmarks.pipeline --data_dir=DIR [--prepared_dir=DIR]

Reads the training batches of both Yandex configs, 320 examples in 10 micro-batches, and of ours as
configured; a figure is the median over windows of steps, with the slowest and the fastest. The
ceiling is the rate at which one core copies memory. Writes pipeline.md.
"""

import itertools
import time
from pathlib import Path

import numpy as np
from absl import app, flags

from configs import yandex
from experiments.benchmarks import machine
from musicjax.data import array_records, input_pipeline, plans

FLAGS = flags.FLAGS
flags.DEFINE_string('data_dir', None, 'Folder of make_yandex.py.', required=True)
flags.DEFINE_string('prepared_dir', '', 'Where shards are kept; empty: as in training.')
flags.DEFINE_integer('windows', 7, 'Of which the median is taken.')
flags.DEFINE_integer('steps', 20, 'A window.')


def configs():
  """Yields (what it is, config)."""
  yield 'baseline: 320 in 10, buckets', yandex.get_config('baseline')
  ours = yandex.get_config()
  ours.batch_size, ours.accumulate = 320, 10
  yield 'ours: 320 in 10, crop 60', ours
  yield f'ours: {yandex.get_config().batch_size} in 1, crop 60', yandex.get_config()


def measure(prepared, config, windows: int, steps: int):
  """Returns ([windows] examples/s, [windows] MB/s of float32 inputs, [windows] cores busy)."""
  rows = plans.split_rows(prepared.index, config)['train']
  plan = plans.train_plan(prepared.index, rows, config)
  batches = input_pipeline.tf_batches(prepared, plan, range((windows + 2) * steps))
  for _ in itertools.islice(batches, steps):  # Threads start, files are opened.
    pass
  measured = []
  for _ in range(windows):
    start, cpu, examples, size = time.perf_counter(), time.process_time(), 0, 0
    for batch in itertools.islice(batches, steps):
      examples += batch['lengths'].size
      size += batch['inputs'].nbytes
    seconds = time.perf_counter() - start
    measured.append(
      (examples / seconds, size / 1e6 / seconds, (time.process_time() - cpu) / seconds)
    )
  return np.array(measured).T


def main(argv):
  del argv
  described, copy = machine.describe(), machine.memory_copy_rate()
  rows = [('batches', 'MB/s (slowest, fastest)', 'examples/s', 'cores busy', 'of memory copy')]
  for name, config in configs():
    config.data_dir, config.prepared_dir = FLAGS.data_dir, FLAGS.prepared_dir
    prepared = array_records.prepare(config)
    examples, rate, cores = measure(prepared, config, FLAGS.windows, FLAGS.steps)
    rows.append(
      (
        name,
        f'**{np.median(rate):.0f}** ({rate.min():.0f}, {rate.max():.0f})',
        f'{np.median(examples):.0f}',
        f'{np.median(cores):.2f}',
        f'{np.median(rate) / 1000 / copy:.1%}',
      )
    )
  machine.write_table(
    Path(__file__).with_suffix('.md'),
    'Delivering training batches',
    f'`python -m experiments.benchmarks.pipeline --data_dir=DIR` on a folder of `make_yandex.py`, '
    f'{len(prepared.index.ids)} tracks; {FLAGS.windows} windows of {FLAGS.steps} steps; '
    f'{described}; '
    f'shards in memory. Ceiling, one core copying memory: {1000 * copy:.0f} MB/s.',
    rows,
  )


if __name__ == '__main__':
  app.run(main)
