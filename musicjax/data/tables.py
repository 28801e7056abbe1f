"""Tables, CSV or Parquet, read strictly: what is no table is told with its line, not guessed at."""

import contextlib
import csv
import io
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from musicjax.errors import DataError, quoted

Cell = str | tuple[str, ...]  # The latter where a cell of a Parquet file holds a list.
Rows = list[tuple[str, tuple[Cell, ...]]]


def read(path: Path, columns: Sequence[str], optional: Sequence[str] = ()) -> Rows:
  """Returns (its place, as `line 2` or `row 1`; cells of the named columns) of every row.

  Args:
    path: of a Parquet file where it ends in `.parquet`, else of a UTF-8 CSV file whose first line
      names the columns; others are passed over.
    columns: that there must be.
    optional: that there may be, after the others; where one is not its cells are empty.

  Raises:
    DataError: the file is no table with these columns, or has no rows.
  """
  if is_parquet(path):
    from musicjax.data import parquet  # A quarter of a second; most tables are CSV.

    return parquet.read(path, columns, optional)
  return _read_csv(path, columns, optional)


def is_parquet(path: Path) -> bool:
  """Tells the format of a table by its name."""
  return path.suffix.lower() == '.parquet'


def _read_csv(path: Path, columns: Sequence[str], optional: Sequence[str]) -> Rows:
  with opened(path) as file:
    content = file.read()
  reader = None
  try:
    reader = csv.reader(io.StringIO(content.decode('utf-8-sig'), newline=''), strict=True)
    lines = [(reader.line_num, row) for row in reader if row]
  except (UnicodeDecodeError, csv.Error) as error:
    line = f'line {reader.line_num}: ' if reader else ''
    raise DataError(f'{path}: {line}expected a UTF-8 CSV table, found: {error}') from None
  if not lines:
    raise DataError(f'{path}: expected a UTF-8 CSV table, found no text')
  (_, header), *lines = lines
  check_header(path, header, columns, optional)
  if not lines:
    raise DataError(f'{path}: expected at least one row, found none')

  names = [*columns, *optional]
  positions = [header.index(name) if name in header else None for name in names]
  rows = []
  for line, cells in lines:
    if len(cells) != len(header):
      raise DataError(
        f'{path}: line {line}: expected {len(header)} cells as in the first line, found '
        f'{len(cells)}; a cell with commas needs quotes'
      )
    rows.append((f'line {line}', tuple('' if p is None else cells[p] for p in positions)))
  return rows


def check_header(
  path: Path, header: Sequence[str], columns: Sequence[str], optional: Sequence[str]
) -> None:
  """Raises DataError where a needed column is missing, or a wanted one is there twice."""
  missing = [column for column in columns if column not in header]
  twice = [column for column in (*columns, *optional) if header.count(column) > 1]
  if missing or twice:
    told = f'{missing} missing' if missing else f'{twice} twice'
    raise DataError(f'{path}: expected columns {list(columns)}, found {told} in {quoted(header)}')


@contextlib.contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
  """Opens a file, and nothing that could keep its reader waiting.

  Raises:
    DataError: it is missing, is no file, cannot be read, or does not fit into memory.
  """
  try:
    if not stat.S_ISREG(path.stat().st_mode):
      raise DataError(f'{path}: expected a file, found a folder or device')
    with path.open('rb') as file:
      yield file
  except FileNotFoundError:
    raise DataError(f'{path}: not found') from None
  except OSError as error:
    raise DataError(f'{path}: cannot be read: {error.strerror or error}') from None
  except MemoryError:
    raise DataError(f'{path}: expected a file that fits into memory') from None
