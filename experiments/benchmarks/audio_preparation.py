"""Preparing a folder of music files beside decoding and resampling them alone.

  python -m experiments.benchmarks.audio_preparation --data_dir=DIR [--copies=N] [--rounds=N]

DIR holds a sub-folder of audio files a label; --copies lists each so many times, under links. A
round prepares them as configs/spectrogram_cnn.py has them (decode, resample, slice, log-mel,
shards), from the start of worker processes to the finished dataset, and has as many processes as
there are CPUs decode them by soundfile, average their channels and resample by soxr alone; these
are started before. Every other round it is the other way round. Writes audio_preparation.md.
"""

import multiprocessing
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile
import soxr
from absl import app, flags

from configs import spectrogram_cnn
from experiments.benchmarks import machine
from musicjax.audio import io
from musicjax.data.source import find_files

FLAGS = flags.FLAGS
flags.DEFINE_string('data_dir', None, 'Audio files in a sub-folder a label.', required=True)
flags.DEFINE_integer('copies', 2, 'Of each file.')
flags.DEFINE_integer('rounds', 9, 'Of which medians are taken.')


def decode(given: tuple[str, int]) -> int:
  """Decodes and resamples, whole files at once; returns the samples."""
  path, sample_rate = given
  audio, rate = soundfile.read(path, dtype='float32', always_2d=True)
  mono = audio @ np.full(audio.shape[1], 1 / audio.shape[1], np.float32)
  return len(soxr.resample(mono, rate, sample_rate, quality='HQ'))


def main(argv):
  del argv
  from musicjax.data import array_records

  described = machine.describe()
  config = spectrogram_cnn.get_config()
  seconds = {'prepare': [], 'decode': []}
  # Spawned, as the workers that prepare are; one file after the other, by whoever is free.
  cpus = multiprocessing.cpu_count()
  with (
    tempfile.TemporaryDirectory() as folder,
    multiprocessing.get_context('spawn').Pool(cpus) as pool,
  ):
    raw = Path(folder, 'raw')
    files = find_files(Path(FLAGS.data_dir).resolve(), io.EXTENSIONS)
    for copy in range(FLAGS.copies):
      for file in files:
        link = raw / file.parent.name / f'{copy}-{file.name}'
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(file)
    paths = find_files(raw, io.EXTENSIONS)
    work = [(str(path), config.dataset.sample_rate) for path in paths]
    samples = sum(pool.map(decode, work, chunksize=1))  # Files are in memory then.
    config.data_dir = str(raw)

    def time_preparation(number):
      config.prepared_dir = f'{folder}/{number}'
      array_records.prepare(config)

    def time_decoding(number):
      del number
      pool.map(decode, work, chunksize=1)

    for number in range(FLAGS.rounds):
      pair = [('prepare', time_preparation), ('decode', time_decoding)]
      for name, run in pair[:: 1 if number % 2 else -1]:
        start = time.perf_counter()
        run(number)
        seconds[name].append(time.perf_counter() - start)
      print(f'round {number + 1}/{FLAGS.rounds}: {seconds}', flush=True)
  hours = samples / config.dataset.sample_rate / 3600
  ratio = np.quantile(np.divide(seconds['prepare'], seconds['decode']), [0.25, 0.5, 0.75])
  rows = [('what', 'lower quartile', 'median', 'upper quartile')]
  for name, title in (('prepare', 'preparation, s'), ('decode', 'decoding and resampling, s')):
    rows.append((title, *(f'{q:.1f}' for q in np.quantile(seconds[name], [0.25, 0.5, 0.75]))))
  rows.append(('preparation / decoding in a round', *(f'**{q:.2f}**' for q in ratio)))
  machine.write_table(
    Path(__file__).with_suffix('.md'),
    'Preparing music files',
    f'`python -m experiments.benchmarks.audio_preparation --data_dir=DIR --copies={FLAGS.copies} '
    f'--rounds={FLAGS.rounds}`: {len(paths)} files, {hours:.2f} h of audio, {cpus} processes; '
    f'{described}; files in memory.',
    rows,
  )


if __name__ == '__main__':
  app.run(main)
