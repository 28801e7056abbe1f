"""Yandex Cup 2023: tracks as sequences of embeddings, tags as comma-joined numbers.

The folder holds `train.csv` (`track,tags`) and `track_embeddings/{track}.npy` (float32 [frames,
width]); for a submission also `test.csv` (`track`) and optionally `sample_submission.csv`, whose
row order then wins. `tags.txt`, a tag name a line, is optional: without it tags are numbered.
"""

import concurrent.futures
import functools
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from musicjax.data.source import Source
from musicjax.errors import DataError

_READERS = 8  # Threads; reading .npy files waits for the disk, not for Python.


def load(config) -> Source:
  """Reads `train.csv` of `config.data_dir`.

  Raises:
    DataError: for a missing file or column, a tag that is no number, or a track listed twice.
  """
  data_dir = Path(config.data_dir)
  table = _read_csv(data_dir / 'train.csv', ['track', 'tags']).sort_values('track')
  tracks = table['track'].to_numpy(dtype=str)
  labels, label_names = _multi_hot(data_dir, table)
  paths = [data_dir / 'track_embeddings' / f'{track}.npy' for track in tracks]
  width = _embedding_width(paths)
  return Source(
    name='yandex',
    preparation='float32',
    parameters={},
    manifest=_manifest(paths),
    ids=tracks,
    groups=tracks,
    labels=labels,
    label_names=label_names,
    input_shape=(None, width),
    input_dtype='float32',
    keys=paths,
    decode=functools.partial(read_embedding, width=width),
  )


def read_inputs(
  paths: Sequence[Path], input_shape: tuple[int | None, ...], parameters: Mapping[str, Any]
) -> Iterator[tuple[Path, np.ndarray | DataError]]:
  """Yields (path, [frames, width] float32 or the error) for .npy files and folders of them."""
  del parameters  # Embeddings are used as they are.
  files = itertools.chain.from_iterable(
    sorted(path.glob('**/*.npy')) if path.is_dir() else [path] for path in paths
  )
  return _read_embeddings(files, input_shape[1])


def submission_inputs(data_dir: Path) -> list[tuple[str, Path]]:
  """Returns (track, file) of every row a submission needs, in its order."""
  order = data_dir / 'sample_submission.csv'
  table = _read_csv(order if order.exists() else data_dir / 'test.csv', ['track'])
  return [(t, data_dir / 'track_embeddings' / f'{t}.npy') for t in table['track']]


def format_submission(tracks: Sequence[str], scores: np.ndarray) -> tuple[str, str]:
  """Returns file name and text: `track,prediction`, a track's probabilities joined by commas.

  Args:
    tracks: [n] names, in the order of the rows.
    scores: [n, tags] probabilities.
  """
  joined = [','.join(f'{p:.6g}' for p in row) for row in scores]
  return 'prediction.csv', pd.DataFrame({'track': tracks, 'prediction': joined}).to_csv(index=False)


def _read_csv(path: Path, columns: list[str]) -> pd.DataFrame:
  try:
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
  except FileNotFoundError:
    raise DataError(f'{path}: not found; data_dir must hold it') from None
  except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
    raise DataError(f'{path}: expected a UTF-8 CSV table, found: {error}') from None
  missing = [c for c in columns if c not in table]
  if missing:
    raise DataError(f'{path}: expected columns {columns}, found {list(table.columns)}')
  if table.empty:
    raise DataError(f'{path}: expected at least one row, found none')
  twice = table['track'][table['track'].duplicated()]
  if len(twice):
    raise DataError(f'{path}: expected every track once, found {twice.iloc[0]!r} twice')
  return table


def _multi_hot(data_dir: Path, table: pd.DataFrame) -> tuple[np.ndarray, tuple[str, ...]]:
  """Returns labels [tracks, tags] bool and the tag names."""
  try:
    tags = [[int(tag) for tag in row.split(',') if tag.strip()] for row in table['tags']]
  except ValueError as error:
    raise DataError(
      f'{data_dir}/train.csv: tags: expected numbers joined by commas, found {error}'
    ) from None
  names_file = data_dir / 'tags.txt'
  if names_file.exists():
    names = tuple(map(str.strip, names_file.read_text(encoding='utf-8').rstrip().split('\n')))
    if '' in names or len(set(names)) < len(names):
      raise DataError(
        f'{names_file}: expected a different tag name on every line, found '
        f'{len(names)} lines with {len(set(names) - {""})} names'
      )
  else:
    names = tuple(f'tag_{i:03d}' for i in range(max(map(max, filter(None, tags)), default=-1) + 1))
  labels = np.zeros((len(table), len(names)), bool)
  for row, (track, numbers) in enumerate(zip(table['track'], tags, strict=True)):
    outside = [n for n in numbers if not 0 <= n < len(names)]
    if outside:
      raise DataError(
        f'{data_dir}/train.csv: tags of track {track}: expected numbers in '
        f'0..{len(names) - 1}, found {outside[0]}'
      )
    labels[row, numbers] = True
  return labels, names


def _manifest(paths: Iterable[Path]) -> tuple[tuple[str, int, int], ...]:
  """Returns (name, bytes, mtime in ns) a file; -1 where it is missing."""

  def entry(path):
    try:
      stat = path.stat()
      return path.name, stat.st_size, stat.st_mtime_ns
    except FileNotFoundError:
      return path.name, -1, -1

  return tuple(map(entry, paths))


def _embedding_width(paths: Sequence[Path]) -> int:
  """Returns the width of the first file that can be read; the first error where none can."""
  first_error = None
  for path in paths:
    try:
      # In this process nobody would end the wait for what is no file, such as a pipe.
      if path.is_file():
        return read_embedding(path).shape[1]
      first_error = first_error or DataError(f'{path}: not found')
    except DataError as error:
      first_error = first_error or error
  raise first_error


def _read_embeddings(
  paths: Iterable[Path], width: int
) -> Iterator[tuple[Path, np.ndarray | DataError]]:
  """Reads files side by side, in order, a bounded number ahead."""

  def read(path):
    try:
      return read_embedding(path, width)
    except DataError as error:
      return error

  paths = iter(paths)
  with concurrent.futures.ThreadPoolExecutor(_READERS) as pool:
    while chunk := list(itertools.islice(paths, 16 * _READERS)):
      yield from zip(chunk, pool.map(read, chunk), strict=True)


def read_embedding(path: Path, width: int | None = None) -> np.ndarray:
  """Returns [frames, width] float32, at least one frame, finite.

  Args:
    path: of a .npy file.
    width: expected; None takes any.

  Raises:
    DataError: the file is missing or holds something else.
  """
  try:
    array = np.load(path, allow_pickle=False)
  except FileNotFoundError:
    raise DataError(f'{path}: not found') from None
  except Exception as error:  # A damaged header may lead NumPy to any, MemoryError among them.
    found = ' '.join(str(error).split()) or type(error).__name__
    raise DataError(f'{path}: expected a .npy file, found: {found}') from None
  if not isinstance(array, np.ndarray) or array.dtype != np.float32 or array.ndim != 2:
    found = f'{array.dtype} {list(array.shape)}' if isinstance(array, np.ndarray) else 'an archive'
    raise DataError(f'{path}: expected float32 [frames, width], found {found}')
  if width is not None and array.shape[1] != width:
    raise DataError(f'{path}: expected width {width}, found {array.shape[1]}')
  if 0 in array.shape:
    raise DataError(f'{path}: expected at least one frame, found {list(array.shape)}')
  if not np.isfinite(array).all():
    raise DataError(f'{path}: expected finite values, found NaN or Inf')
  return array
