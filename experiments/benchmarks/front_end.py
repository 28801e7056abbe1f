"""Log-mel spectrograms of 30 s clips on CPU: ours beside librosa and, where given, PyTorch.

  python -m experiments.benchmarks.front_end [--torch_python=PYTHON]

Each library runs in a process of its own, all started before the first is timed and waiting
while another runs. A round runs each once over the same clips, every other round in
reverse; what is compared are the times within a round. All of it twice: with memory as glibc hands
it out, and with glibc kept from returning it to the system. Writes front_end.md.
"""

import contextlib
import sys
import tempfile
from pathlib import Path

import numpy as np
from absl import app, flags

from experiments.benchmarks import front_end_worker, machine
from musicjax.audio.features import LogMel

FLAGS = flags.FLAGS
flags.DEFINE_string('torch_python', None, 'Python that has PyTorch; none: it is left out.')
flags.DEFINE_integer('rounds', 15, 'Runs of each library.', lower_bound=9)
flags.DEFINE_integer('clips', 16, 'Clips in a run.')
flags.DEFINE_integer('seconds', 30, 'Length of a clip.')

_NAMES = {
  'musicjax': 'musicjax',
  'librosa': 'librosa, one thread',
  'librosa_threads': 'librosa, a thread a core',
  'torch': 'torch.stft, clip by clip',
  'torch_batch': 'torch.stft, all clips at once',
}


def measure(subjects: list[str], folder: str, tunables: str) -> dict[str, np.ndarray]:
  """Returns [rounds] seconds of each subject, musicjax first."""
  with contextlib.ExitStack() as stack:
    workers = {}
    for subject in subjects:
      python = FLAGS.torch_python if subject.startswith('torch') else None
      command = [front_end_worker.__file__, subject, folder]
      workers[subject] = stack.enter_context(machine.worker(command, tunables, python))
      if workers[subject].stdout.readline() != 'ready\n':
        sys.exit(f'{subject}: the worker ended before it was ready')
    return machine.rounds(workers, FLAGS.rounds)


def check(subjects: list[str], folder: str) -> None:
  paths = [Path(folder, f'{subject}.npy') for subject in subjects]
  expected, *others = [np.load(path, allow_pickle=False) for path in paths]
  for subject, other in zip(subjects[1:], others, strict=True):
    difference = np.max(np.abs(other - expected)) / np.max(np.abs(expected))
    if not difference < 1e-4:
      sys.exit(f'{subject}: expected the features of musicjax within 1e-4, found {difference:.1e}')


def main(argv):
  del argv
  described = machine.describe()
  subjects = [name for name in _NAMES if FLAGS.torch_python or not name.startswith('torch')]
  settings = front_end_worker.SETTINGS
  samples = FLAGS.seconds * settings['sample_rate']
  clips = 0.1 * np.random.default_rng(0).normal(size=(FLAGS.clips, samples)).astype(np.float32)
  rows = [('memory', 'library', 'ms a clip', 'time / ours in a round (quartiles)')]
  with tempfile.TemporaryDirectory() as folder:
    np.save(Path(folder, 'clips.npy'), clips)
    np.save(Path(folder, 'basis.npy'), LogMel(**settings).mel_basis)
    for memory, tunables in machine.MEMORY.items():
      seconds = measure(subjects, folder, tunables)
      check(subjects, folder)
      for subject in subjects:
        low, median, high = np.quantile(seconds[subject] / seconds['musicjax'], [0.25, 0.5, 0.75])
        milliseconds = 1000 * np.median(seconds[subject]) / FLAGS.clips
        ratio = f'{median:.2f} ({low:.2f}..{high:.2f})'
        rows.append((memory, _NAMES[subject], f'{milliseconds:.1f}', ratio))
  torch = ' --torch_python=PYTHON' if FLAGS.torch_python else ''
  machine.write_table(
    Path(__file__).with_suffix('.md'),
    'Log-mel spectrograms on CPU',
    f'`python -m experiments.benchmarks.front_end{torch}`: {FLAGS.clips} clips of '
    f'{FLAGS.seconds} s at 22,050 Hz, n_fft 2048, hop 512, 128 bands, medians of {FLAGS.rounds} '
    f'rounds; {described}. Memory kept: `GLIBC_TUNABLES={machine.MEMORY["kept"]}`.',
    rows,
  )


if __name__ == '__main__':
  app.run(main)
