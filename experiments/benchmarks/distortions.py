"""Distortions of covers: ours, a batch in one jitted call, beside OpenCV's, picture by picture.

  python -m experiments.benchmarks.distortions --opencv_python=PYTHON

The nine distortions of configs/pressed_play.py, each with a probability of 1/2, on 64 pictures of
128 x 128 pixels of bytes: ours made float32 first, as a training step does, on the CPU, OpenCV's as
they are, in one process, too. Both keep their memory. A round times each once, every other round in
reverse. Writes distortions.md.
"""

import json
import time
from pathlib import Path

import numpy as np
from absl import app, flags

from configs import pressed_play
from experiments.benchmarks import machine
from musicjax import backends

FLAGS = flags.FLAGS
flags.DEFINE_string('opencv_python', None, 'Python that has OpenCV and NumPy.', required=True)
flags.DEFINE_integer('rounds', 9, 'Of which medians are taken.', lower_bound=9)

_COUNT, _SIZE, _PASSES = 64, 128, 10  # A round is several passes: one takes milliseconds.
_WORKER = str(Path(__file__).with_name('distortions_opencv.py'))


def make_ours():
  """Returns () -> seconds of some passes."""
  import jax

  jax.config.update('jax_platforms', 'cpu')
  from musicjax import system
  from musicjax.audio import augment

  augmentation = augment.create(pressed_play.get_config('').augment.to_dict())

  def distort(key, pictures):
    return augmentation(key, {'inputs': pictures.astype(np.float32)})

  # Compiled as training steps are.
  distort = jax.jit(distort, compiler_options=system.compiler_options(2))
  shape = (_COUNT, _SIZE, _SIZE, 3)
  pictures = jax.device_put(np.random.default_rng(0).integers(0, 256, shape, np.uint8))
  keys = iter(jax.random.split(jax.random.key(0), (FLAGS.rounds + 1) * _PASSES))

  def run():
    start = time.perf_counter()
    for _ in range(_PASSES):
      jax.block_until_ready(distort(next(keys), pictures))
    return time.perf_counter() - start

  run()  # Compiles.
  return run


def main(argv):
  del argv
  backends.set_up()
  described = machine.describe()
  run_ours, ours, theirs = make_ours(), [], []
  command = [_WORKER, str(_COUNT), str(_SIZE), str(_PASSES)]
  with machine.worker(command, machine.MEMORY['kept'], FLAGS.opencv_python) as worker:
    opencv = json.loads(worker.stdout.readline())
    runs = (run_ours, ours), (lambda: machine.run(worker), theirs)
    for number in range(FLAGS.rounds):
      for run, seconds in runs[:: 1 if number % 2 else -1]:
        seconds.append(run())
  ours, theirs = (1e6 * np.array(seconds) / (_COUNT * _PASSES) for seconds in (ours, theirs))
  rows = [
    ('us a picture', 'lower quartile', 'median', 'upper quartile'),
    *(
      (name, *(f'{q:.0f}' for q in np.quantile(values, [0.25, 0.5, 0.75])))
      for name, values in (('musicjax', ours), (f'OpenCV {opencv["version"]}', theirs))
    ),
    (
      'ours / theirs in a round',
      *(f'**{q:.2f}**' for q in np.quantile(ours / theirs, [0.25, 0.5, 0.75])),
    ),
  ]
  machine.write_table(
    Path(__file__).with_suffix('.md'),
    'Distortions of covers',
    f'`python -m experiments.benchmarks.distortions --opencv_python=PYTHON`: {_COUNT} pictures of '
    f'{_SIZE} x {_SIZE} pixels, from bytes, {FLAGS.rounds} rounds of {_PASSES} passes; '
    f'{described}; OpenCV has {opencv["threads"]} threads.',
    rows,
  )


if __name__ == '__main__':
  app.run(main)
