"""Yandex Cup 2023: tracks as sequences of embeddings, tags as comma-joined numbers.

The folder holds `train.csv` (`track,tags`) and `track_embeddings/{track}.npy` (float32 [frames,
width]); for a submission also `test.csv` (`track`) and optionally `sample_submission.csv`, whose
row order then wins. `tags.txt`, a tag name a line, is optional: without it tags are numbered.
Files of tracks that no table names are left alone.
"""

import collections
import concurrent.futures
import csv
import functools
import io
import itertools
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy

from musicjax.data import tables
from musicjax.data.source import Source, manifest
from musicjax.errors import DataError, quoted

EXTENSIONS = ('.npy',)
_READERS = 8  # Threads; reading .npy files waits for the disk, not for Python.
_MAX_TAGS = 10_000  # More are a slip of the pen, and a table of all tracks and tags takes memory.
_MAX_NAME_BYTES = 251  # With `.npy` the 255 that file systems allow.
_NAME = re.compile(r'[^/\\\x00-\x1f\x7f]+')
_TAG_NAME = re.compile(r'[^\x00-\x1f\x7f]{1,1000}')
_TAGS = re.compile(r' *-?[0-9]{1,4000} *(, *-?[0-9]{1,4000} *)*')
_WIDTH_FILES = 9  # Odd, so that of two widths one has more of them.
_MAX_HEADER_BYTES = 1 << 14  # Of a .npy file; NumPy reads 10,000.


def load(config) -> Source:
  """Reads `train.csv` of `config.data_dir`.

  Raises:
    DataError: for a table that is no strict CSV or misses a column, a track that is no file name or
      is listed twice, a tag that is no number of the range, or where no embedding can be read.
  """
  data_dir = Path(config.data_dir)
  rows = sorted(_read_table(data_dir / 'train.csv', ['track', 'tags']))
  tracks = np.array([track for track, _ in rows])
  labels, label_names = _multi_hot(data_dir, rows)
  paths = [data_dir / 'track_embeddings' / f'{track}.npy' for track in tracks]
  width = _embedding_width(paths)
  return Source(
    name='yandex',
    preparation='float32',
    parameters={},
    manifest=manifest((path.name for path in paths), paths),
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
  """Yields (path, [frames, width] float32 or the error) of .npy files, in order."""
  del parameters  # Embeddings are used as they are.
  return _read_embeddings(paths, input_shape[1])


def submission_inputs(data_dir: Path) -> list[tuple[str, Path]]:
  """Returns (track, file) of every row a submission needs, in its order."""
  order = data_dir / 'sample_submission.csv'
  rows = _read_table(order if os.path.lexists(order) else data_dir / 'test.csv', ['track'])
  return [(track, data_dir / 'track_embeddings' / f'{track}.npy') for (track,) in rows]


def format_submission(
  tracks: Sequence[str], scores: np.ndarray, label_names: Sequence[str]
) -> tuple[str, str]:
  """Returns file name and text: `track,prediction`, a track's probabilities joined by commas.

  Args:
    tracks: [n] names, in the order of the rows.
    scores: [n, tags] probabilities.
    label_names: which the format does not have.
  """
  del label_names
  text = io.StringIO()
  writer = csv.writer(text, lineterminator='\n')
  writer.writerow(['track', 'prediction'])
  for track, row in zip(tracks, scores, strict=True):
    writer.writerow([track, ','.join(f'{p:.6g}' for p in row)])
  return 'prediction.csv', text.getvalue()


def _read_table(path: Path, columns: Sequence[str]) -> list[tuple[str, ...]]:
  """Returns the cells of the named columns, a tuple a row; the first column holds tracks.

  Raises:
    DataError: the file is no CSV table with these columns, or a track is no file name or is there
      twice.
  """
  rows, seen = [], set()
  for place, cells in tables.read(path, columns):
    track = cells[0]
    fits = _NAME.fullmatch(track) and len(track.encode()) <= _MAX_NAME_BYTES
    if not fits or track != track.strip():
      raise DataError(
        f'{path}: {place}: track: expected a name of up to {_MAX_NAME_BYTES} bytes, without '
        f'slashes, control characters and outer spaces, found {quoted(track)}'
      )
    if track in seen:
      raise DataError(f'{path}: {place}: expected every track once, found {quoted(track)} twice')
    seen.add(track)
    rows.append(cells)
  return rows


def _multi_hot(
  data_dir: Path, rows: Sequence[tuple[str, str]]
) -> tuple[np.ndarray, tuple[str, ...]]:
  """Returns labels [tracks, tags] bool of (track, cell of tags), and the tag names."""
  path = data_dir / 'train.csv'
  tags = []
  for track, cell in rows:
    if cell.strip(' ') and not _TAGS.fullmatch(cell):
      raise DataError(
        f'{path}: tags of track {track}: expected numbers joined by commas, found {quoted(cell)}'
      )
    tags.append([int(tag) for tag in cell.split(',') if tag.strip()])
  highest = max(map(max, filter(None, tags)), default=None)
  if highest is None:
    raise DataError(f'{path}: tags: expected at least one tag, found none')
  names_file = data_dir / 'tags.txt'
  if os.path.lexists(names_file):
    names = _read_names(names_file)
  else:
    names = tuple(f'tag_{i:03d}' for i in range(min(max(highest, 0) + 1, _MAX_TAGS)))
  labels = np.zeros((len(rows), len(names)), bool)
  for row, ((track, _), numbers) in enumerate(zip(rows, tags, strict=True)):
    outside = [number for number in numbers if not 0 <= number < len(names)]
    if outside:
      raise DataError(
        f'{path}: tags of track {track}: expected numbers in 0..{len(names) - 1}, found '
        f'{quoted(outside[0])}'
      )
    labels[row, numbers] = True
  return labels, names


def _read_names(path: Path) -> tuple[str, ...]:
  """Returns the tag names of `tags.txt`."""
  with tables.opened(path) as file:
    content = file.read()
  try:
    text = content.decode('utf-8-sig')
  except UnicodeDecodeError as error:
    raise DataError(f'{path}: expected UTF-8 text, found: {error}') from None
  names = tuple(map(str.strip, re.split('\r\n|\r|\n', text.rstrip())))
  odd = [name for name in names if not _TAG_NAME.fullmatch(name)]
  if odd or len(set(names)) < len(names) or len(names) > _MAX_TAGS:
    found = f'{len(names)} lines with {len(set(names) - {""})} names'
    raise DataError(
      f'{path}: expected up to {_MAX_TAGS} lines, a different tag name on every line, found '
      f'{found}' + (f', one of them {quoted(odd[0])}' if odd else '')
    )
  return names


def _embedding_width(paths: Sequence[Path]) -> int:
  """Returns the width of most of the first files that can be read; one may be the odd one out.

  Raises:
    DataError: of the first file, where none can be read.
  """
  widths, first_error = collections.Counter(), None
  for path in paths:
    try:
      widths[read_embedding(path).shape[1]] += 1
    except DataError as error:
      first_error = first_error or error
    if widths.total() == _WIDTH_FILES:
      break
  if not widths:
    raise first_error
  return widths.most_common(1)[0][0]


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
  with tables.opened(path) as file:
    shape, fortran_order, dtype, start = _read_header(path, file)
    if dtype != np.float32 or len(shape) != 2:
      found = f'{str(dtype)[:80]} {quoted(list(shape))}'
      raise DataError(f'{path}: expected float32 [frames, width], found {found}')
    if min(shape) < 1:
      raise DataError(f'{path}: expected at least one frame, found {quoted(list(shape))}')
    if width is not None and shape[1] != width:
      raise DataError(f'{path}: expected width {width}, found {quoted(shape[1])}')
    # Before memory is asked for: a damaged header may claim any shape.
    count = math.prod(shape)
    found = os.fstat(file.fileno()).st_size - start
    if found != count * dtype.itemsize:
      raise DataError(
        f'{path}: expected {count * dtype.itemsize} bytes for {list(shape)}, found {found}'
      )
    file.seek(start)
    array = np.fromfile(file, np.float32, count)
  if array.size != count:
    raise DataError(f'{path}: expected {count} values, found {array.size}; is it being written?')
  if not np.isfinite(array).all():
    raise DataError(f'{path}: expected finite values, found NaN or Inf')
  return np.ascontiguousarray(array.reshape(shape, order='F' if fortran_order else 'C'))


def _read_header(path: Path, file: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype, int]:
  """Returns shape, Fortran order, dtype and the position of the data of a .npy file."""
  text = io.BytesIO(file.read(_MAX_HEADER_BYTES))
  try:
    version = npy.read_magic(text)
    if version not in ((1, 0), (2, 0), (3, 0)):
      raise ValueError(f'format version {version}')
    # The header of 3.0 is that of 2.0 but for names of fields that are not ASCII.
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, fortran_order, dtype = read(text)
    if not all(type(size) is int and abs(size) < 2**63 for size in shape):  # NumPy takes True.
      raise ValueError(f'shape {quoted(shape)}')
  except Exception as error:  # A damaged header leads NumPy and Python's parser to many.
    found = ' '.join(str(error).split()) or type(error).__name__
    raise DataError(f'{path}: expected a .npy file, found: {found[:100]}') from None
  return shape, fortran_order, dtype, text.tell()
