"""A dataset of text files that say what happens when they are decoded; `prepare` packs it.

  python -m tests.data.fragile FOLDER PREPARED [FIELD=VALUE ...]

As a program it says 'opened N' at the end, and `die=FUNCTION` kills it where that is called.
"""

import ctypes
import os
import signal
import sys
import time
from pathlib import Path
from unittest import mock

import numpy as np

from musicjax.data.source import Source
from musicjax.errors import DataError


def write(folder: Path, *contents: str) -> Path:
  """Writes files 000, 001, ..., and an empty log of what is decoded."""
  folder.mkdir()
  for number, content in enumerate(contents):
    (folder / f'{number:03d}').write_text(content)
  (folder / 'log').touch()
  return folder


def decoded(folder: Path) -> list[str]:
  """The names of all files whose decoding began, as often as it did."""
  return [line.split()[0] for line in (folder / 'log').read_text().splitlines()]


def workers(folder: Path) -> set[int]:
  """The processes that decoded."""
  return {int(line.split()[1]) for line in (folder / 'log').read_text().splitlines()}


def decode(path: Path) -> np.ndarray:
  with (path.parent / 'log').open('a') as log:
    log.write(f'{path.name} {os.getpid()}\n')
  content = path.read_text()
  if content == 'bad':
    raise DataError(f'{path}: bad')
  if content == 'mistake':
    raise KeyError('mistake')
  if content == 'hang':
    ctypes.PyDLL(None).sleep(1000)  # Keeps Python's lock: no other thread and no handler runs.
  if content == 'segfault':
    os.kill(os.getpid(), signal.SIGSEGV)
  if content == 'exit':
    os._exit(3)
  if content == 'jax':
    import jax

    assert jax.default_backend() == 'cpu'
  if content == 'slow':
    time.sleep(1)
  if content == 'large':
    return np.random.default_rng(0).random((1_000_000, 2), np.float32)
  while content == 'gate' and not (path.parent / 'gate').exists():
    time.sleep(0.01)
  return np.full((int(path.name) % 3 + 1, 2), int(path.name), np.float32)


def die_on_13(arrays: list[np.ndarray]) -> list[np.ndarray]:
  if any(array[0, 0] == 13 for array in arrays):
    os._exit(4)
  return arrays


def load(config) -> Source:
  paths = sorted(Path(config.data_dir).glob('[0-9]*'))
  ids = np.array([path.name for path in paths])
  return Source(
    name='fragile',
    preparation='float32',
    parameters={},
    manifest=(),
    ids=ids,
    groups=ids,
    labels=np.ones((len(ids), 1), bool),
    label_names=('any',),
    input_shape=(None, 2),
    input_dtype='float32',
    keys=paths,
    decode=decode,
    features=die_on_13 if config.dataset.get('die_on_13') else None,
    # As many in each, in turns: which file is where is plain.
    official_folds=np.arange(len(ids)) % config.num_folds,
  )


def prepare(folder: Path, prepared: Path, rows_a_shard: int = 2, **fields):
  from configs import yandex
  from musicjax.data import array_records, folds_builder

  config = yandex.get_config('test')
  config.data_dir, config.prepared_dir = str(folder), str(prepared)
  config.num_folds = 3
  config.dataset.die_on_13 = False
  config.update_from_flattened_dict(fields)
  with (
    mock.patch.object(array_records.builders, 'module', return_value=sys.modules[__name__]),
    mock.patch.object(folds_builder, '_MIN_ROWS', rows_a_shard),
    mock.patch.object(folds_builder, '_SHARDS', 10**6),
  ):
    return array_records.prepare(config)


def main(folder: str, prepared: str, *fields: str) -> None:
  fields = dict(field.split('=') for field in fields)
  die = fields.pop('die', None)
  if die:
    from musicjax.data import folds_builder

    mock.patch.object(
      folds_builder, die, side_effect=lambda *_: os.killpg(os.getpgrp(), signal.SIGKILL)
    ).start()
  print('opened', len(prepare(Path(folder), Path(prepared), **fields).index.ids), flush=True)


if __name__ == '__main__':
  # Workers find the functions in the module, not in the program.
  from tests.data import fragile

  fragile.main(*sys.argv[1:])
