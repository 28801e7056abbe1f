"""Train steps of both Freesound systems on CPU, from waveforms on: ours beside eager PyTorch.

  python -m experiments.benchmarks.freesound_step --torch_python=PYTHON

The baseline of configs/freesound.py and its own network, each with its front end (in PyTorch by
torch.stft), without augmentation: front end, forward, loss, backward and Adam in float32, on one
batch of full crops. PyTorch in its default layout and in channels_last. Each runs in a process of
its own, from the same weights, and must lose the same in its first steps. A round times each once,
every other round in reverse; what is compared are the times within a round. All of it twice: with
memory as glibc hands it out, and with glibc kept from returning it to the system. Writes
freesound_step.md.
"""

import contextlib
import tempfile
from pathlib import Path

import numpy as np
from absl import app, flags

from experiments.benchmarks import freesound_step_worker as worker
from experiments.benchmarks import machine
from musicjax.audio import features

FLAGS = flags.FLAGS
flags.DEFINE_string('torch_python', None, 'Python that has PyTorch.', required=True)
flags.DEFINE_integer('rounds', 9, 'Of which medians are taken.', lower_bound=1)
flags.DEFINE_integer('steps', 2, 'Of each library, a round.')

_CLASSES = 41
_NAMES = {
  'musicjax': 'musicjax',
  'torch': 'PyTorch, eager',
  'torch_channels_last': 'PyTorch, eager, channels_last',
}


def make_batch(network: str) -> dict[str, np.ndarray]:
  """Returns what a worker reads."""
  config = worker.make_config(network)
  rng = np.random.default_rng(0)
  shape = config.batch_size, config.crop_frames
  batch = {
    'inputs': rng.normal(0, 3000, shape).clip(-32768, 32767).astype(np.int16),
    'labels': np.eye(_CLASSES, dtype=np.float32)[rng.integers(0, _CLASSES, config.batch_size)],
  }
  if network == 'ours':
    fields = {name: value for name, value in config.front_end.items() if name != 'name'}
    mel = features.LogMel(sample_rate=config.dataset.sample_rate, **fields)
    bands = np.linspace(0.5, 0.6, mel.n_mels, dtype=np.float32)
    batch |= {'mean': bands, 'std': bands / 5, 'mel_basis': np.ascontiguousarray(mel.mel_basis)}
  return batch


def measure(network: str, folder: str, tunables: str) -> dict[str, np.ndarray]:
  """Returns [rounds] seconds a step of each subject."""
  with contextlib.ExitStack() as stack:
    workers, losses = {}, {}
    for subject in _NAMES:
      python = FLAGS.torch_python if subject.startswith('torch') else None
      command = [worker.__file__, network, subject, folder, str(FLAGS.steps)]
      workers[subject] = stack.enter_context(machine.worker(command, tunables, python))
      losses[subject] = np.array(workers[subject].stdout.readline().split(), float)
    for subject, found in losses.items():
      # Float32 with sums in another order, which Adam's division makes more of at each step.
      tolerance = [1e-4, 1e-2, 1e-2]
      if found.shape != (3,) or (np.abs(found / losses['musicjax'] - 1) > tolerance).any():
        raise SystemExit(f'{subject}: expected losses {losses["musicjax"]}, found {found}')
    return machine.rounds(workers, FLAGS.rounds)


def main(argv):
  del argv
  described = machine.describe()
  rows = [('network', 'memory', 'library', 'ms a step', 'ours / theirs in a round (quartiles)')]
  shapes = []
  for network in ('baseline', 'ours'):
    batch = make_batch(network)
    shapes.append(f'{network}: {" x ".join(map(str, batch["inputs"].shape))} samples')
    with tempfile.TemporaryDirectory() as folder:
      np.savez(Path(folder, 'batch.npz'), **batch)
      for memory, tunables in machine.MEMORY.items():
        seconds = measure(network, folder, tunables)
        for subject, name in _NAMES.items():
          low, median, high = np.quantile(seconds['musicjax'] / seconds[subject], [0.25, 0.5, 0.75])
          ratio = f'{median:.2f} ({low:.2f}..{high:.2f})'
          step = f'{1000 * np.median(seconds[subject]):.0f}'
          rows.append((network, memory, name, step, ratio))
  machine.write_table(
    Path(__file__).with_suffix('.md'),
    'Train steps of the Freesound systems on CPU',
    f'`python -m experiments.benchmarks.freesound_step --torch_python=PYTHON`: batches of '
    f'{", ".join(shapes)}, {_CLASSES} classes, medians of {FLAGS.rounds} rounds of {FLAGS.steps} '
    f'steps; {described}. Memory kept: `GLIBC_TUNABLES={machine.MEMORY["kept"]}`.',
    rows,
  )


if __name__ == '__main__':
  app.run(main)
