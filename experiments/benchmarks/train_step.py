"""Steps of networks on CPU, training and inference: ours beside PyTorch's.

  python -m experiments.benchmarks.train_step --network=NETWORK --torch_python=PYTHON

The baseline of configs/NETWORK.py without augmentation, on one batch, in float32: forward, loss,
backward and AdamW, or forward alone; for `freesound_ours` the plain config without EMA. The front
end of waveforms is part of the step, in PyTorch by torch.stft. PyTorch is eager, as people write
it, in channels_last too where there are images, and, but for that front end, compiled by
torch.compile (needs a C++ compiler), with AdamW in one kernel. Each runs in a process of its own,
from the same weights, and must lose the same in its first steps. A round times each once, every
other round in reverse; what is compared are the times within a round. All of it twice: with memory
as glibc hands it out, and with glibc kept from returning it to the system. Writes
train_step_NETWORK.md.
"""

import contextlib
import json
import tempfile
from pathlib import Path

import numpy as np
from absl import app, flags

from configs import freesound
from experiments.benchmarks import machine, train_step_worker
from musicjax.audio.features import LogMel

FLAGS = flags.FLAGS
# Network -> shape of a batch, classes or targets.
_BATCHES = {
  'yandex': ((32, 60, 768), 256),
  'spectrogram_cnn': ((16, 173, 128), 10),
  'freesound': ((32, 8000), 41),
  'freesound_ours': ((32, 96000), 41),
  'pressed_play': ((64, 128, 128, 3), 8),
}
flags.DEFINE_enum('network', None, list(_BATCHES), 'What is timed.', required=True)
flags.DEFINE_string('torch_python', None, 'Python that has PyTorch.', required=True)
flags.DEFINE_integer('rounds', 11, 'Of which medians are taken.', lower_bound=9)

_NAMES = {
  'musicjax': 'musicjax',
  'torch': 'PyTorch, eager',
  'torch_channels_last': 'PyTorch, eager, channels_last',
  'torch_compiled': 'PyTorch, compiled',
}


def measure(folder: str, tunables: str) -> tuple[dict[str, dict[str, np.ndarray]], int]:
  """Returns [rounds] seconds a step, of each task and subject, and the operations of a step."""
  left_out = 'last' if FLAGS.network == 'yandex' else 'none'
  if 'freesound' in FLAGS.network:
    left_out = 'compiled'  # It leaves complex numbers to eager code.
  subjects = [name for name in _NAMES if left_out not in name]
  with contextlib.ExitStack() as stack:
    workers, said = {}, {}
    for subject in subjects:
      python = FLAGS.torch_python if subject.startswith('torch') else None
      command = [train_step_worker.__file__, FLAGS.network, subject, folder]
      workers[subject] = stack.enter_context(machine.worker(command, tunables, python))
      said[subject] = json.loads(workers[subject].stdout.readline())
    check(said)
    seconds = {task: machine.rounds(workers, FLAGS.rounds, task) for task in ('train', 'inference')}
  return seconds, said['torch']['flops']


def check(said: dict[str, dict]) -> None:
  """Refuses to compare what does not compute the same."""
  ours = np.array(said['musicjax']['losses'])
  for subject, found in said.items():
    # Float32 with sums in another order, which Adam's division makes more of at each step.
    error = np.abs(np.array(found['losses']) / ours - 1)
    if not (error <= [1e-5, 1e-2, 3e-2]).all():
      raise SystemExit(f'{subject}: expected losses {ours}, found {found["losses"]}')


def make_batch() -> dict[str, np.ndarray]:
  """Returns what workers read."""
  shape, classes = _BATCHES[FLAGS.network]
  rng = np.random.default_rng(0)
  batch = {
    'inputs': rng.random(shape).astype(np.float32),
    'labels': np.eye(classes, dtype=np.float32)[rng.integers(0, classes, shape[0])],
  }
  if 'freesound' in FLAGS.network:
    batch['inputs'] = rng.normal(0, 3000, shape).round().astype(np.int16)
  if FLAGS.network == 'freesound_ours':
    config = freesound.get_config()
    fields = {name: value for name, value in config.front_end.items() if name != 'name'}
    mel = LogMel(sample_rate=config.dataset.sample_rate, **fields)
    mean = np.linspace(0.5, 0.6, mel.n_mels, dtype=np.float32)
    batch |= {'mel_basis': np.ascontiguousarray(mel.mel_basis), 'mean': mean, 'std': mean / 5}
  return batch


def main(argv):
  del argv
  described = machine.describe()
  shape, classes = _BATCHES[FLAGS.network]
  batch = make_batch()
  ceiling = machine.product_rate()
  rows = [('memory', 'step', 'library', 'ms', 'ours / theirs in a round (quartiles)', 'of ceiling')]
  with tempfile.TemporaryDirectory() as folder:
    np.savez(Path(folder, 'batch.npz'), **batch)
    for memory, tunables in machine.MEMORY.items():
      measured, flops = measure(folder, tunables)
      for task, seconds in measured.items():
        # Backward has two products for each of forward's.
        rate = flops / (1 if task == 'train' else 3) / ceiling
        for subject, taken in seconds.items():
          low, median, high = np.quantile(seconds['musicjax'] / taken, [0.25, 0.5, 0.75])
          ratio = f'**{median:.2f}** ({low:.2f}..{high:.2f})'
          typical = np.median(taken)
          cells = f'{1000 * typical:.0f}', ratio, f'{rate / typical:.0%}'
          rows.append((memory, task, _NAMES[subject], *cells))
  machine.write_table(
    Path(__file__).with_name(f'train_step_{FLAGS.network}.md'),
    f'Steps of {FLAGS.network} on CPU',
    f'`python -m experiments.benchmarks.train_step --network={FLAGS.network} '
    f'--torch_python=PYTHON`: batch {list(shape)}, {classes} classes '
    f'or targets, medians of {FLAGS.rounds} rounds; {described}.\n'
    f'Memory kept: `GLIBC_TUNABLES={machine.MEMORY["kept"]}`.\n'
    f'The ceiling is a product of two 4096 x 4096 float32 matrices in NumPy, '
    f"{ceiling / 1e9:.0f} GFLOP/s, for the {flops / 1e9:.0f} GFLOP of a train step's products as "
    f'PyTorch counts them: minimal filtering, which needs fewer, may pass it. One core copies '
    f'{machine.memory_copy_rate():.1f} GB/s.',
    rows,
  )


if __name__ == '__main__':
  app.run(main)
