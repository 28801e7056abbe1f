"""Train step of the published SpectrogramCNN on CPU: ours beside eager PyTorch.

  python -m experiments.benchmarks.spectrogram_step --torch_python=PYTHON

The baseline of configs/spectrogram_cnn.py without augmentation: forward, loss, backward and AdamW
in float32, on one batch. PyTorch in its default layout and in channels_last. Each runs in a process
of its own, from the same weights, and must lose the same in its first steps. A round times each
once, every other round in reverse; what is compared are the times within a round. All of it twice:
with memory as glibc hands it out, and with glibc kept from returning it to the system. Writes
spectrogram_step.md.
"""

import contextlib
import tempfile
from pathlib import Path

import numpy as np
from absl import app, flags

from configs import spectrogram_cnn
from experiments.benchmarks import machine, spectrogram_step_worker

FLAGS = flags.FLAGS
flags.DEFINE_string('torch_python', None, 'Python that has PyTorch.', required=True)
flags.DEFINE_integer('rounds', 11, 'Of which medians are taken.', lower_bound=9)
flags.DEFINE_integer('steps', 2, 'Of each library, a round.')

_FRAMES, _CLASSES = 173, 10
_NAMES = {
  'musicjax': 'musicjax',
  'torch': 'PyTorch, eager',
  'torch_channels_last': 'PyTorch, eager, channels_last',
}


def measure(folder: str, tunables: str) -> dict[str, np.ndarray]:
  """Returns [rounds] seconds a step of each subject."""
  with contextlib.ExitStack() as stack:
    workers = {}
    losses = {}
    for subject in _NAMES:
      python = FLAGS.torch_python if subject.startswith('torch') else None
      command = [spectrogram_step_worker.__file__, subject, folder, str(FLAGS.steps)]
      workers[subject] = stack.enter_context(machine.worker(command, tunables, python))
      losses[subject] = np.array(workers[subject].stdout.readline().split(), float)
    for subject, found in losses.items():
      # Float32 with sums in another order, which Adam's division makes more of at each step.
      tolerance = [1e-5, 1e-2, 1e-2]
      if found.shape != (3,) or (np.abs(found / losses['musicjax'] - 1) > tolerance).any():
        raise SystemExit(f'{subject}: expected losses {losses["musicjax"]}, found {found}')
    return machine.rounds(workers, FLAGS.rounds)


def main(argv):
  del argv
  described = machine.describe()
  config = spectrogram_cnn.get_config('baseline')
  rng = np.random.default_rng(0)
  batch = {
    'inputs': rng.random((config.batch_size, _FRAMES, config.dataset.n_mels)).astype(np.float32),
    'labels': np.eye(_CLASSES, dtype=np.float32)[rng.integers(0, _CLASSES, config.batch_size)],
  }
  rows = [('memory', 'library', 'ms a step', 'ours / theirs in a round (quartiles)')]
  with tempfile.TemporaryDirectory() as folder:
    np.savez(Path(folder, 'batch.npz'), **batch)
    for memory, tunables in machine.MEMORY.items():
      seconds = measure(folder, tunables)
      for subject, name in _NAMES.items():
        low, median, high = np.quantile(seconds['musicjax'] / seconds[subject], [0.25, 0.5, 0.75])
        ratio = f'{median:.2f} ({low:.2f}..{high:.2f})'
        rows.append((memory, name, f'{1000 * np.median(seconds[subject]):.0f}', ratio))
  machine.write_table(
    Path(__file__).with_suffix('.md'),
    'Train step of SpectrogramCNN on CPU',
    f'`python -m experiments.benchmarks.spectrogram_step --torch_python=PYTHON`: batch '
    f'{config.batch_size} of {_FRAMES} frames, {config.dataset.n_mels} bands, {_CLASSES} classes, '
    f'medians of {FLAGS.rounds} rounds of {FLAGS.steps} steps; {described}. '
    f'Memory kept: `GLIBC_TUNABLES={machine.MEMORY["kept"]}`.',
    rows,
  )


if __name__ == '__main__':
  app.run(main)
