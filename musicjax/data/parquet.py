"""Parquet files: small tables at once, large columns a few rows at a time."""

import bisect
import contextlib
import functools
import itertools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from musicjax.data import tables
from musicjax.errors import DataError, quoted

_BATCH = 16  # Rows of a large column that are taken from their page at once.
_BUFFER_BYTES = 1 << 20


def read(path: Path, columns: Sequence[str], optional: Sequence[str] = ()) -> tables.Rows:
  """As `tables.read`. Numbers stand for their digits, nulls and NaN for empty cells.

  Raises:
    DataError: the file is no Parquet table with these columns, has no rows, or a cell holds
      something else.
  """
  with _opened(path) as file:
    header = file.schema_arrow.names
    tables.check_header(path, header, columns, optional)
    names = [name for name in (*columns, *optional) if name in header]
    cells = {}
    for name in names:
      values = file.read(columns=[name], use_threads=False).column(name).to_pylist()
      cells[name] = [_cell(path, name, row, value) for row, value in enumerate(values, 1)]
    num_rows = file.metadata.num_rows
  if not num_rows:
    raise DataError(f'{path}: expected at least one row, found none')
  empty = [''] * num_rows
  by_row = zip(*(cells.get(name, empty) for name in (*columns, *optional)), strict=True)
  return [(f'row {row}', found) for row, found in enumerate(by_row, 1)]


def _cell(path: Path, name: str, row: int, value: Any) -> tables.Cell:
  if isinstance(value, list) and all(isinstance(item, str) for item in value):
    return tuple(value)
  if value is None or value != value:  # NaN, as pandas writes a missing number.
    return ''
  if isinstance(value, float) and value.is_integer():  # A whole number beside missing ones.
    value = int(value)
  if isinstance(value, bool) or not isinstance(value, str | int | float):
    raise DataError(f'{path}: row {row}: {name}: expected text, found {quoted(value)}')
  return str(value)


def read_header(path: Path) -> list[str]:
  """Returns the names of the columns.

  Raises:
    DataError: the file is no Parquet table.
  """
  with _opened(path) as file:
    return file.schema_arrow.names


def read_vectors(path: Path, column: str) -> list[list[Any]]:
  """Returns the list in each cell of a column; none in empty cells.

  Raises:
    DataError: the file is no Parquet table with this column, or it holds no lists.
  """
  with _opened(path) as file:
    tables.check_header(path, file.schema_arrow.names, [column], [])
    values = file.read(columns=[column], use_threads=False).column(column).to_pylist()
  for row, value in enumerate(values, 1):
    if not isinstance(value, list | None):
      raise DataError(f'{path}: row {row}: {column}: expected a list, found {quoted(value)}')
  return [value or [] for value in values]


def read_bytes(path: Path, column: str, row: int) -> bytes:
  """Returns the bytes in a cell, or those under `bytes` in it, as Hugging Face stores images.

  Meant for rows in ascending order: memory holds a page of the column (pyarrow writes pages of
  1,024 rows), and a step back reads the row's group from its beginning.

  Raises:
    DataError: there are none, or the file cannot be read.
  """
  try:
    status = os.stat(path)
    value = _cursor(path, column, status.st_mtime_ns, status.st_size).read(row)
  except (pyarrow.ArrowException, OSError, StopIteration) as error:
    raise _damaged(path, error) from error
  if isinstance(value, dict):
    value = value.get('bytes')
  if not isinstance(value, bytes):
    raise DataError(f'{path}: row {row + 1}: {column}: expected bytes, found {quoted(value)}')
  return value


@functools.lru_cache(maxsize=1)
def _cursor(path: Path, column: str, *status: int) -> '_Cursor':
  del status  # Another file under this name is read anew.
  return _Cursor(path, column)


class _Cursor:
  """A place in a column, which moves forward."""

  def __init__(self, path: Path, column: str):
    # Without these a group of rows would be read into memory, and many files have only one.
    self._file = pyarrow.parquet.ParquetFile(path, pre_buffer=False, buffer_size=_BUFFER_BYTES)
    self._column = column
    groups = range(self._file.num_row_groups)
    sizes = (self._file.metadata.row_group(group).num_rows for group in groups)
    self._starts = list(itertools.accumulate(sizes, initial=0))
    self._group, self._first = -1, 0  # The row that `self._batch` begins with.

  def read(self, row: int) -> Any:
    group = bisect.bisect_right(self._starts, row) - 1
    if group != self._group or row < self._first:
      self._batches = self._file.iter_batches(
        _BATCH, row_groups=[group], columns=[self._column], use_threads=False
      )
      self._group, self._first, self._batch = group, self._starts[group], next(self._batches)
    while row >= self._first + len(self._batch):
      self._first += len(self._batch)
      self._batch = next(self._batches)
    return self._batch.column(0)[row - self._first].as_py()


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[pyarrow.parquet.ParquetFile]:
  with tables.opened(path) as file:
    try:
      yield pyarrow.parquet.ParquetFile(file)
    except (pyarrow.ArrowException, OSError, ValueError) as error:
      if isinstance(error, DataError):
        raise
      raise _damaged(path, error) from None


def _damaged(path: Path, error: Exception) -> DataError:
  found = ' '.join(str(error).split()) or type(error).__name__
  return DataError(f'{path}: expected a Parquet table, found: {found[:100]}')
