"""Reading slices in random order: our shards beside a compressed .npz a slice in a DataLoader.

  python -m experiments.benchmarks.reading --data_dir=DIR --torch_python=PYTHON [--prepared_dir=DIR]

DIR holds a sub-folder of audio files a label. They are prepared as the baseline of
configs/spectrogram_cnn.py has them, and each slice is written into a compressed .npz as well. A
round reads batches of float32 inputs and labels through tf.data, and through PyTorch's DataLoader
with two workers, which stay; every other round the other way round. Writes reading.md.
"""

import tempfile
import time
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds
from absl import app, flags

from configs import spectrogram_cnn
from experiments.benchmarks import machine
from musicjax.data import array_records, input_pipeline

FLAGS = flags.FLAGS
flags.DEFINE_string('data_dir', None, 'Audio files in a sub-folder a label.', required=True)
flags.DEFINE_string('prepared_dir', '', 'Where shards are kept; empty: as in training.')
flags.DEFINE_string('torch_python', None, 'Python that has PyTorch.', required=True)
flags.DEFINE_integer('rounds', 9, 'Of which medians are taken.', lower_bound=9)
flags.DEFINE_integer(
  'passes', 10, 'Of ours over the data a round, which one alone is too short for.'
)

_BATCH = 64
_WORKER = str(Path(__file__).with_name('reading_worker.py'))


def write_files(prepared: array_records.Prepared, folder: Path) -> int:
  """Writes every slice into a compressed .npz; returns their bytes."""
  features = tfds.features.FeaturesDict.from_config(str(prepared.directory))
  for row, position in enumerate(prepared.index.positions):
    example = features.deserialize_example_np(prepared.records[position])
    labels = example['labels'].astype(np.float32)
    np.savez_compressed(folder / f'{row}.npz', inputs=example['inputs'], labels=labels)
  return sum(path.stat().st_size for path in folder.iterdir())


def read_shards(prepared: array_records.Prepared, plan, steps: int) -> float:
  """Returns examples/s."""
  start = time.perf_counter()
  examples = sum(
    len(batch['inputs'][0]) for batch in input_pipeline.tf_batches(prepared, plan, range(steps))
  )
  return examples / (time.perf_counter() - start)


def main(argv):
  del argv
  described = machine.describe()
  config = spectrogram_cnn.get_config('baseline')
  config.data_dir, config.prepared_dir = FLAGS.data_dir, FLAGS.prepared_dir
  config.batch_size = _BATCH
  prepared = array_records.prepare(config)
  examples = len(prepared.index.ids)
  plan = input_pipeline.train_plan(prepared.index, np.arange(examples), config)
  steps = FLAGS.passes * examples // _BATCH
  ours, theirs = [], []
  with tempfile.TemporaryDirectory() as folder:
    size = write_files(prepared, Path(folder))
    command = [_WORKER, folder, str(_BATCH)]
    with machine.worker(command, '', FLAGS.torch_python) as worker:
      if worker.stdout.readline() != f'{examples}\n':
        raise SystemExit(f'the worker did not read {examples} examples')
      read_shards(prepared, plan, steps)  # Threads start, files are opened.

      def run_ours():
        ours.append(read_shards(prepared, plan, steps))

      def run_theirs():
        theirs.append(examples / machine.run(worker))

      for number in range(FLAGS.rounds):
        for run in (run_ours, run_theirs)[:: 1 if number % 2 else -1]:
          run()
        print(f'round {number + 1}/{FLAGS.rounds}', end='\r', flush=True)
  shards = sum(path.stat().st_size for path in prepared.directory.glob('*.array_record*'))
  ratio = np.quantile(np.divide(ours, theirs), [0.25, 0.5, 0.75])
  rows = [
    ('examples/s', 'lower quartile', 'median', 'upper quartile', 'MB on disk'),
    *(
      (name, *(f'{q:.0f}' for q in np.quantile(rates, [0.25, 0.5, 0.75])), f'{bytes_ / 1e6:.0f}')
      for name, rates, bytes_ in (
        ('our shards, tf.data', ours, shards),
        ('.npz, DataLoader, 2 workers', theirs, size),
      )
    ),
    ('ours / theirs in a round', *(f'**{q:.1f}**' for q in ratio), ''),
  ]
  frames, bands = prepared.input_shape
  machine.write_table(
    Path(__file__).with_suffix('.md'),
    'Reading slices in random order',
    f'`python -m experiments.benchmarks.reading --data_dir=DIR --torch_python=PYTHON`: {examples} '
    f'slices of {frames} frames, {bands} bands, {prepared.input_dtype}, batches of {_BATCH}; '
    f'{FLAGS.rounds} rounds of {FLAGS.passes} passes of ours and one of theirs; {described}; files '
    'in memory.',
    rows,
  )


if __name__ == '__main__':
  app.run(main)
