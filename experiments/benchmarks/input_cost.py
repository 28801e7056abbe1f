"""What reading batches costs a training: the same steps from the pipeline and from memory.

  python -m experiments.benchmarks.input_cost [--config=configs/quickstart.py] [--pairs=9] \\
      [--config.data_dir=DIR ...]

Alternates between steps whose batches come from disk through the pipeline and the same steps on
the same batches, kept on the device. The share that the first take longer is all that input costs:
waiting, and on CPU also the cores that reading takes from the model. Writes input_cost.md.
"""

import time
from pathlib import Path

import jax
import numpy as np
from absl import app, flags
from ml_collections import config_flags

from experiments.benchmarks import machine
from musicjax import backends

FLAGS = flags.FLAGS
config_flags.DEFINE_config_file('config', 'configs/quickstart.py', 'A file of configs/.')
flags.DEFINE_integer('pairs', 9, 'Of which the median is taken.')
flags.DEFINE_integer('steps', 50, 'A measurement.')


def main(argv):
  del argv
  backends.set_up()
  from musicjax import sharding, system
  from musicjax.data import array_records, input_pipeline, plans, statistics

  config, steps = FLAGS.config, FLAGS.steps
  described = machine.describe()
  mesh = sharding.make_mesh()
  prepared = array_records.prepare(config)
  rows = plans.split_rows(prepared.index, config)['train']
  plan = plans.train_plan(prepared.index, rows, config)
  dataset = {
    'label_names': prepared.label_names,
    'input_shape': prepared.input_shape,
    'statistics': statistics.input_statistics(prepared, rows, config),
    'support': prepared.index.labels[rows].sum(axis=0),
  }
  parts = system.create(config, dataset, mesh, steps=10_000)
  state = parts.init()

  def train(batches):
    nonlocal state
    start = time.perf_counter()
    for batch in batches:
      state, _ = parts.update(state, batch)
    jax.block_until_ready(state)
    return time.perf_counter() - start

  def read(pair):
    batches = input_pipeline.tf_batches(prepared, plan, range(pair * steps, (pair + 1) * steps))
    return (sharding.to_global(mesh, batch, 1) for batch in batches)

  for pair in range(FLAGS.pairs):  # All shapes are compiled before anything is timed.
    train(read(pair))
  ratios, per_step = [], []
  for pair in range(FLAGS.pairs):
    kept = list(read(pair))
    jax.block_until_ready(kept)
    from_memory, from_disk = train(kept), train(read(pair))
    ratios.append(from_disk / from_memory - 1)
    per_step.append(from_memory / steps)
  file = config_flags.get_config_filename(FLAGS['config'])
  low, middle, high = np.percentile(ratios, (25, 50, 75))
  machine.write_table(
    Path(__file__).with_suffix('.md'),
    'What input costs',
    f'`python -m experiments.benchmarks.input_cost --config={file}`, {FLAGS.pairs} pairs of '
    f'{steps} steps; {described}.',
    [
      ('what', 'measured'),
      ('a step on batches in memory', f'{1000 * np.median(per_step):.1f} ms'),
      ('longer from disk, through the pipeline', f'{middle:.1%} (quartiles {low:.1%}, {high:.1%})'),
    ],
  )


if __name__ == '__main__':
  app.run(main)
