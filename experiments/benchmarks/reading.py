"""Reading slices in random order: our shards beside a compressed .npz a slice in a DataLoader.

  python -m experiments.benchmarks.reading --data_dir=DIR --torch_python=PYTHON [--prepared_dir=DIR]

DIR holds a sub-folder of audio files a label. They are prepared as the baseline of
configs/spectrogram_cnn.py has them, and each slice is written into a compressed .npz as well. A
round reads batches of inputs, as they are stored, and labels: through tf.data; gathered from the
dataset where it is kept on the device; and through PyTorch's DataLoader with two workers, which
stay. Every other round goes the other way round. Writes reading.md.
"""

import tempfile
import time
from pathlib import Path

import numpy as np
from absl import app, flags

from configs import spectrogram_cnn
from experiments.benchmarks import machine
from musicjax import backends

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


def write_files(prepared, folder: Path) -> int:
  """Writes every slice into a compressed .npz; returns their bytes."""
  import tensorflow_datasets as tfds

  features = tfds.features.FeaturesDict.from_config(str(prepared.directory))
  for row, position in enumerate(prepared.index.positions):
    example = features.deserialize_example_np(prepared.records[position])
    labels = example['labels'].astype(np.float32)
    np.savez_compressed(folder / f'{row}.npz', inputs=example['inputs'], labels=labels)
  return sum(path.stat().st_size for path in folder.iterdir())


def rate(batches) -> float:
  """Returns examples/s."""
  import jax

  start, examples = time.perf_counter(), 0
  for batch in batches:
    examples += len(jax.block_until_ready(batch)['inputs'][0])
  return examples / (time.perf_counter() - start)


def main(argv):
  del argv
  backends.set_up()  # Memory is kept, as in training.
  from musicjax import sharding
  from musicjax.data import array_records, device_batches, input_pipeline, plans

  described = machine.describe()
  config = spectrogram_cnn.get_config('baseline')
  config.data_dir, config.prepared_dir = FLAGS.data_dir, FLAGS.prepared_dir
  config.batch_size = _BATCH
  prepared = array_records.prepare(config)
  examples = len(prepared.index.ids)
  plan = plans.train_plan(prepared.index, np.arange(examples), config)
  steps = FLAGS.passes * examples // _BATCH
  config.resident = True
  gather = device_batches.make_read(prepared, config, sharding.make_mesh())
  ours, resident, theirs = [], [], []
  with tempfile.TemporaryDirectory() as folder:
    size = write_files(prepared, Path(folder))
    command = [_WORKER, folder, str(_BATCH)]
    with machine.worker(command, '', FLAGS.torch_python) as worker:
      if worker.stdout.readline() != f'{examples}\n':
        raise SystemExit(f'the worker did not read {examples} examples')

      def run_ours():
        return rate(input_pipeline.tf_batches(prepared, plan, range(steps)))

      def run_resident():
        return rate(gather(plan, range(steps)))

      def run_theirs():
        return examples / machine.run(worker)

      runs = ((run_ours, ours), (run_resident, resident), (run_theirs, theirs))
      run_ours(), run_resident()  # Threads start, files are opened, programs compiled.
      for number in range(FLAGS.rounds):
        for run, rates in runs[:: 1 if number % 2 else -1]:
          rates.append(run())
        print(f'round {number + 1}/{FLAGS.rounds}', end='\r', flush=True)
  shards = sum(path.stat().st_size for path in prepared.directory.glob('*.array_record*'))
  rows = [
    ('examples/s', 'lower quartile', 'median', 'upper quartile', 'MB on disk'),
    *(
      (name, *(f'{q:.0f}' for q in np.quantile(rates, [0.25, 0.5, 0.75])), f'{bytes_ / 1e6:.0f}')
      for name, rates, bytes_ in (
        ('our shards, tf.data', ours, shards),
        ('kept on the device, gathered', resident, shards),
        ('.npz, DataLoader, 2 workers', theirs, size),
      )
    ),
    *(
      (
        f'{name} / theirs in a round',
        *(f'**{q:.1f}**' for q in np.quantile(np.divide(rates, theirs), [0.25, 0.5, 0.75])),
        '',
      )
      for name, rates in (('ours', ours), ('gathered', resident))
    ),
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
