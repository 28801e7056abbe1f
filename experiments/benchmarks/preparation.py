"""How fast raw embeddings become shards, and what disk and memory that takes.

  python -m experiments.benchmarks.make_yandex --out=DIR
  python -m experiments.benchmarks.preparation --data_dir=DIR [--cold]

Prepares DIR once in a process of its own, into a temporary folder beside DIR that is deleted at the
end; the ceiling is a plain copy of the same files into one. --cold drops the raw files from the
system's cache before each. Writes preparation.md (preparation_cold.md).
"""

import contextlib
import multiprocessing
import resource
import tempfile
import time
from pathlib import Path

import pandas as pd
from absl import app, flags

from experiments.benchmarks import machine

FLAGS = flags.FLAGS
flags.DEFINE_string('data_dir', None, 'Folder of make_yandex.py.', required=True)
flags.DEFINE_bool('cold', False, 'Read from the disk, not from memory.')

_FOLDER = Path(__file__).parent
_SAMPLE_SECONDS = 0.2


def prepare(data_dir: str, prepared_dir: str, results) -> None:
  """Prepares and sends seconds (imports, preparing, opening) and peak bytes (before, after)."""
  start = time.perf_counter()
  from configs import yandex
  from musicjax.data import array_records, folds_builder

  del folds_builder  # Imported, as what is timed would do otherwise.
  config = yandex.get_config()
  config.data_dir, config.prepared_dir = data_dir, prepared_dir
  imported, before = time.perf_counter(), _peak_bytes()
  array_records.prepare(config)
  prepared, peak = time.perf_counter(), _peak_bytes()
  array_records.prepare(config)
  opened = time.perf_counter()
  results.send((imported - start, prepared - imported, opened - prepared, before, peak))


def _peak_bytes() -> int:
  return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB on Linux.


def _bytes_below(folder: Path) -> int:
  total = 0
  for path in folder.rglob('*'):
    with contextlib.suppress(FileNotFoundError):  # Renamed while we looked.
      total += path.stat().st_blocks * 512
  return total


def main(argv):
  del argv
  data_dir = Path(FLAGS.data_dir).resolve()
  names = pd.read_csv(data_dir / 'train.csv', dtype=str)['track']
  raw = [data_dir / 'track_embeddings' / f'{name}.npy' for name in names]
  described = machine.describe()
  raw_bytes = sum(path.stat().st_size for path in raw)
  with tempfile.TemporaryDirectory(dir=data_dir.parent) as folder:
    if FLAGS.cold:
      machine.forget(raw)
    copy = machine.file_copy_rate(raw, Path(folder, 'copy'))
    if FLAGS.cold:
      machine.forget(raw)
    receive, send = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context('spawn').Process(
      target=prepare, args=(str(data_dir), folder, send)
    )
    process.start()
    send.close()  # Then a process that died is an end of file, not a wait.
    peak_disk = 0
    while not receive.poll(_SAMPLE_SECONDS) and process.is_alive():
      peak_disk = max(peak_disk, _bytes_below(Path(folder)))
    imports, seconds, again, before, memory = receive.recv()
    process.join()
    left = _bytes_below(Path(folder))

  rate = raw_bytes / 1e9 / seconds
  flag = ' --cold' if FLAGS.cold else ''
  machine.write_table(
    _FOLDER / f'preparation{"_cold" if FLAGS.cold else ""}.md',
    'Preparing the Yandex data',
    f'`python -m experiments.benchmarks.preparation --data_dir=DIR{flag}` on a folder of '
    f'`make_yandex.py`: {len(raw)} tracks, {raw_bytes / 1e9:.2f} GB; '
    f'{described}; raw files {"on disk" if FLAGS.cold else "in memory"}.',
    [
      ('what', 'measured'),
      ('preparation', f'{seconds:.1f} s'),
      ('tracks/s', f'{len(raw) / seconds:.0f}'),
      ('raw MB/s', f'{1000 * rate:.0f}'),
      ('ceiling: copy into one file, synced', f'{1000 * copy:.0f} MB/s'),
      ('share of the ceiling', f'{rate / copy:.0%}'),
      ('peak disk of the preparation', f'{peak_disk / 1e9:.2f} GB'),
      ('peak disk, raw files included', f'{(peak_disk + raw_bytes) / raw_bytes:.2f} x raw'),
      ('disk when done', f'{left / 1e9:.2f} GB'),
      ('peak memory of the process, workers aside', f'{memory / 1e9:.2f} GB'),
      ('of which before preparing (imports)', f'{before / 1e9:.2f} GB'),
      ('opening what is prepared', f'{again:.1f} s'),
      ('imports', f'{imports:.1f} s'),
    ],
  )


if __name__ == '__main__':
  app.run(main)
