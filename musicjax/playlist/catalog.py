"""Catalogues: tables of tracks to recommend from; rows that cannot be used are told one by one."""

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from musicjax.data import audio_features, tables
from musicjax.data.audio_features import FEATURES, number
from musicjax.errors import DataError, quoted

_COLUMNS = ('track_id', 'name', 'artist', 'genres', *FEATURES)
_OPTIONAL = ('popularity', 'location')
_URL = re.compile(r'[a-z][a-z0-9+.-]+:\S', re.IGNORECASE)  # `Artist: Song.mp3` is a file.


@dataclasses.dataclass(frozen=True)
class Catalog:
  """Tracks, in the order of their table.

  Attributes:
    ids, names, artists: of each track; ids are unique and one line, the others any text.
    genres: of each track.
    locations: what a player opens: a file or a URL.
    popularity: [tracks] float32, 0..100.
    features: [tracks, 8] float32, in the order and units of `FEATURES`.
  """

  ids: list[str]
  names: list[str]
  artists: list[str]
  genres: list[tuple[str, ...]]
  locations: list[str]
  popularity: np.ndarray
  features: np.ndarray


def read(path: Path) -> tuple[Catalog, list[tuple[str, DataError]]]:
  """Returns the tracks of a table, and (its place, what is wrong) of each row that is left out.

  Args:
    path: of a CSV or Parquet table with the columns track_id, name, artist, genres (joined by bars,
      or a list) and the eight features; it may have popularity (0..100; 0 where it is empty) and
      location (a URL, or a file, from the table's folder on; where it is empty, the track's URI at
      Spotify).

  Raises:
    DataError: it is no such table, or has no row that can be used.
  """
  rows = tables.read(path, _COLUMNS, _OPTIONAL)
  faults, kept, numbers, seen = [], [], [], set()
  for place, cells in rows:
    track_id, *_, popularity, location = cells
    values = [number(cell) for cell in (*cells[4:12], popularity or '0')]
    fault = _fault(cells, values)
    if not fault and track_id in seen:
      fault = f'track_id: expected one row a track, found {quoted(track_id)} again'
    if fault:
      faults.append((place, DataError(f'{path}: {place}: {fault}')))
      continue
    seen.add(track_id)
    genres = cells[3].split('|') if isinstance(cells[3], str) else cells[3]
    genres = tuple(genre.strip() for genre in genres if genre.strip())
    kept.append((*map(_text, cells[:3]), genres, _location(path, track_id, location)))
    numbers.append(values)
  if not kept:
    raise DataError(f'none of {len(rows)} rows can be used; {faults[0][1]}')
  numbers = np.array(numbers, np.float32)
  columns = map(list, zip(*kept, strict=True))
  return Catalog(*columns, popularity=numbers[:, -1], features=numbers[:, :-1]), faults


def same(text: str) -> str:
  """Returns what the spellings of a name have in common."""
  return ' '.join(text.casefold().split())


def _fault(cells: Sequence[tables.Cell], values: Sequence[float]) -> str | None:
  track_id, name, artist, _, *features, popularity, location = cells
  for field, cell in (('track_id', track_id), ('name', name), ('artist', artist)):
    if not _text(cell).strip():
      return f'{field}: expected text, found {quoted(cell)}'
  for field, cell in (('track_id', track_id), ('location', location)):
    if not isinstance(cell, str) or '\0' in cell or cell != ''.join(cell.splitlines()).strip():
      return f'{field}: expected one line of text, found {quoted(cell)}'
  for field, value, cell in zip(FEATURES, values[:-1], features, strict=True):
    if fault := audio_features.fault(field, value, cell):
      return fault
  if not 0 <= values[-1] <= 100:
    return f'popularity: expected a number from 0 to 100, found {quoted(popularity)}'
  return None


def _text(cell: tables.Cell) -> str:
  return cell if isinstance(cell, str) else ', '.join(cell)


def _location(path: Path, track_id: str, location: str) -> str:
  if not location:
    return f'spotify:track:{track_id}'
  return location if _URL.match(location) else str(path.parent.absolute() / location)
