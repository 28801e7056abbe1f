"""What it gains on a CPU that glibc keeps the memory of large arrays (`backends.set_up`).

  python -m experiments.benchmarks.kept_memory [--pairs=9]

Times the train step of each model in processes that take turns, with MUSICJAX_KEEP_MEMORY=1 and
=0, on random batches of the shape that its config trains on. Writes kept_memory.md.
"""

import importlib
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from absl import app, flags

from experiments.benchmarks import machine

FLAGS = flags.FLAGS
flags.DEFINE_integer('pairs', 9, 'Of which the medians and quartiles are taken.')
flags.DEFINE_string('worker', '', 'A config to time the step of, in this process.')

# Config, batch, frames and features a frame, classes.
_MODELS = {
  'quickstart': (32, 124, 64, 6),
  'yandex': (64, 60, 768, 256),
  'spectrogram_cnn': (32, 173, 64, 10),
  'spectrogram_cnn:baseline': (16, 173, 128, 10),
}
_STEPS = 5


def work(name: str) -> None:
  """Prints the median seconds of a step and the most memory held, in MB."""
  from musicjax import backends

  backends.set_up()
  import jax

  from musicjax import sharding, system

  batch, frames, features, classes = _MODELS[name]
  file, _, variant = name.partition(':')
  config = importlib.import_module(f'configs.{file}').get_config(variant)
  config.batch_size, config.accumulate, config.normalize = batch, 1, 'none'
  mesh = sharding.make_mesh()
  rng = np.random.default_rng(0)
  dataset = {
    'label_names': [str(label) for label in range(classes)],
    'input_shape': (None, features),
    'statistics': {},
    'support': np.full(classes, 10),
  }
  parts = system.create(config, dataset, mesh, steps=10_000)
  state = parts.init()
  made = {
    'inputs': rng.normal(size=(1, batch, frames, features)).astype(np.float32),
    'lengths': np.full((1, batch), frames, np.int32),
    'labels': np.eye(classes, dtype=np.float32)[rng.integers(classes, size=(1, batch))],
    'index': np.arange(batch, dtype=np.int32)[None],
  }
  made = sharding.to_global(mesh, made, 1)
  seconds = []
  for _ in range(_STEPS + 2):
    start = time.perf_counter()
    state, _ = parts.update(state, made)
    jax.block_until_ready(state)
    seconds.append(time.perf_counter() - start)
  most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
  print(f'@{np.median(seconds[2:])} {most}')


def measure(name: str, keep: int) -> tuple[float, float]:
  """Returns what `work` prints, of a process of its own."""
  run = subprocess.run(
    [sys.executable, '-m', 'experiments.benchmarks.kept_memory', f'--worker={name}'],
    env={**os.environ, 'MUSICJAX_KEEP_MEMORY': str(keep)},
    stdout=subprocess.PIPE,
    text=True,
    check=True,
  )
  seconds, most = run.stdout.rsplit('@', 1)[1].split()
  return float(seconds), float(most)


def main(argv):
  del argv
  if FLAGS.worker:
    return work(FLAGS.worker)
  described = machine.describe()
  rows = [('step', 'frames of a batch', 'kept, ms', 'given back, ms', 'ratio', 'peak MB')]
  for name, (batch, frames, features, _) in _MODELS.items():
    pairs = np.array(
      [(measure(name, 1), measure(name, 0)) for _ in range(FLAGS.pairs)]
    )  # [pairs, kept or not, seconds or MB]
    low, middle, high = np.percentile(pairs[:, 0, 0] / pairs[:, 1, 0], (25, 50, 75))
    (kept, kept_most), (given, given_most) = np.median(pairs, axis=0)
    rows.append(
      (
        name,
        f'{batch} x {frames} x {features}',
        f'{1000 * kept:.0f}',
        f'{1000 * given:.0f}',
        f'**{middle:.2f}** ({low:.2f}, {high:.2f})',
        f'{kept_most:.0f}, {given_most:.0f}',
      )
    )
  machine.write_table(
    Path(__file__).with_suffix('.md'),
    'Memory that is kept from step to step',
    f'`python -m experiments.benchmarks.kept_memory --pairs={FLAGS.pairs}`; {described}; medians '
    '(quartiles) of the pairs.',
    rows,
  )


if __name__ == '__main__':
  app.run(main)
