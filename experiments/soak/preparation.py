"""Kills preparations at random moments, over and over, and compares what they end with.

  python -m experiments.soak.preparation --kills=10 --seed=1

A folder of audio files, some of them cut short or not audio at all, is cut into slices and prepared
once without a disturbance, bad files left out. Then preparations of the same folder are sent
SIGKILL at moments drawn from --seed, five times each: while one starts, decodes, or puts everything
together; the process alone, or with it the workers that it started. The dataset must have, file for
file and byte for byte, what the undisturbed one has, `skipped.csv` among them. Writes
preparation.md; exit code 1 if one differs.
"""

import glob
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from absl import app, flags

from experiments.benchmarks import machine

FLAGS = flags.FLAGS
flags.DEFINE_integer('kills', 10, 'In all preparations together.')
flags.DEFINE_integer('seed', 0, 'Of the moments.')
flags.DEFINE_integer('tracks', 400, 'A label; there are three.')

_ROOT = Path(__file__).parents[2]
_KILLS_A_DATASET = 5
_EVERY_BAD = 40  # Files from one bad one to the next.
_SECONDS_TO_START, _SECONDS_BETWEEN = 5.0, 0.5  # At most, until the kill.
_PREPARE = """
import sys
from configs import spectrogram_cnn
from musicjax import backends
from musicjax.data import array_records
if __name__ == '__main__':
  backends.set_up('')
  config = spectrogram_cnn.get_config('test')
  config.data_dir, config.prepared_dir, config.on_bad_example = sys.argv[1], sys.argv[2], 'skip'
  array_records.prepare(config)
"""


class Kill(NamedTuple):
  """One kill: of whom, and the shards that were finished when it started, and then."""

  dataset: int
  of: str
  before: int
  shards: int


def main(argv):
  del argv
  described = machine.describe()
  with tempfile.TemporaryDirectory() as folder:
    home = Path(folder)
    num_bad = _make_data(home / 'raw')
    _start(home / 'undisturbed', home).wait()
    expected = _contents(home / 'undisturbed')
    skipped = [text for name, text in expected.items() if name.endswith('skipped.csv')]
    if len(skipped) != 1 or not 0 < skipped[0].count(b'\n') - 1 <= num_bad:
      sys.exit(f'undisturbed preparation: expected up to {num_bad} files skipped, found {skipped}')
    kills, outcomes = _soak(home, expected)
  _write(kills, outcomes, expected, skipped[0].count(b'\n') - 1, described)
  sys.exit(0 if all(outcome == 'same' for outcome in outcomes) else 1)


def _soak(home: Path, expected) -> tuple[list[Kill], list[str]]:
  """Returns the kills and, a dataset each, `same` or what differs."""
  rng, num_shards = random.Random(FLAGS.seed), _num_shards(home / 'undisturbed')
  kills, outcomes = [], []
  while len(kills) < FLAGS.kills:
    dataset = len(outcomes) + 1
    prepared = home / f'prepared_{dataset}'
    for _ in range(min(_KILLS_A_DATASET, FLAGS.kills - len(kills))):
      of, before = rng.choice(('the process', 'all')), _num_shards(prepared)
      most = min(before + num_shards // 3, num_shards)
      target = rng.randint(before, most)  # As many: while it starts.
      delay = rng.uniform(0, _SECONDS_BETWEEN if target > before else _SECONDS_TO_START)
      process = _start(prepared, home)
      while _num_shards(prepared) < target and process.poll() is None:
        time.sleep(0.01)
      time.sleep(delay)
      if process.poll() is None:
        process.kill() if of == 'the process' else os.killpg(process.pid, signal.SIGKILL)
      code = process.wait()
      if code == 0:
        break  # It was done before the moment came.
      if code != -signal.SIGKILL:
        sys.exit(f'ended with {code} by itself')
      kills.append(Kill(dataset, of, before, _num_shards(prepared)))
      print(*kills[-1], flush=True)
    if _start(prepared, home).wait():
      sys.exit('ended by itself')
    found = _contents(prepared)
    names = sorted(expected.keys() | found.keys())
    wrong = [name for name in names if found.get(name) != expected.get(name)]
    outcomes.append('; '.join(wrong) or 'same')
    print(f'dataset {dataset}: {outcomes[-1]}', flush=True)
    shutil.rmtree(prepared)
  return kills, outcomes


def _start(prepared: Path, home: Path) -> subprocess.Popen:
  program = home / 'prepare.py'  # A file: workers import the program that starts them.
  program.write_text(_PREPARE)
  return subprocess.Popen(
    [sys.executable, program, home / 'raw', prepared],
    env=os.environ | {'PYTHONPATH': str(_ROOT)},
    stdout=subprocess.DEVNULL,
    stderr=subprocess.DEVNULL,
    start_new_session=True,
  )


def _num_shards(prepared: Path) -> int:
  # Not by pathlib, which cannot bear that a folder is renamed meanwhile.
  return len(glob.glob(f'{prepared}/**/*.array_record-?????-of-?????', recursive=True))


def _contents(prepared: Path) -> dict[str, bytes]:
  """Returns what each file holds, of a shard its SHA-256; the lock aside."""
  return {
    str(path.relative_to(prepared)): hashlib.sha256(path.read_bytes()).digest()
    if 'array_record-' in path.name
    else path.read_bytes()
    for path in sorted(prepared.rglob('*'))
    if path.is_file() and path.name != 'lock'
  }


def _make_data(folder: Path) -> int:
  """Writes audio files; returns how many of them are damaged."""
  from tests import conftest  # Imports pytest, which only a checkout has.

  conftest.write_audio_folder(folder, num_tracks=FLAGS.tracks)
  bad = sorted(folder.rglob('*.*'))[::_EVERY_BAD]
  for number, path in enumerate(bad):
    path.write_bytes(b'not audio' if number % 2 else path.read_bytes()[:100])
  return len(bad)


def _write(
  kills: list[Kill], outcomes: list[str], expected, num_skipped: int, described: str
) -> None:
  same = sum(outcomes[kill.dataset - 1] == 'same' for kill in kills)
  machine.write_table(
    Path(__file__).with_name('preparation.md'),
    'Preparations killed at random moments',
    f'`python -m experiments.soak.preparation --kills={FLAGS.kills} --seed={FLAGS.seed} '
    f'--tracks={FLAGS.tracks}`; {described}.\n\n'
    f'{same} of {len(kills)} kills, of {len(outcomes)} datasets, ended with the {len(expected)} '
    f'files of the undisturbed one, byte for byte, `skipped.csv` with its {num_skipped} files\n'
    'among them.',
    [
      ('dataset', 'killed', 'shards finished before it', 'and with it', 'the dataset ended'),
      *((k.dataset, k.of, k.before, k.shards, outcomes[k.dataset - 1]) for k in kills),
    ],
  )


if __name__ == '__main__':
  app.run(main)
