"""A playlist as files that players, tables and programs read, and as a table for a person."""

import itertools
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from musicjax import workdir as workdir_lib
from musicjax.data.audio_features import FEATURES
from musicjax.playlist.catalog import Catalog

_WIDTH = 36  # Of a column of text.


def write(
  folder: Path, catalog: Catalog, rows: np.ndarray, nearness: np.ndarray, about: Mapping[str, Any]
) -> None:
  """Writes `playlist.m3u8`, `playlist.csv` and `playlist.json`, each whole whenever it is there.

  Args:
    folder: of the files; made if missing.
    catalog: of the tracks.
    rows: [n], in the order of the playlist.
    nearness: [n], of each to what the playlist is to sound like.
    about: what the playlist was made from, for the JSON file.

  Raises:
    StorageError: the disk is full.
  """
  tracks = [
    {
      'position': position,
      'track_id': catalog.ids[row],
      'name': catalog.names[row],
      'artist': catalog.artists[row],
      'genres': list(catalog.genres[row]),
      'popularity': rounded(catalog.popularity[row]),
      'nearness': rounded(near),
      **dict(zip(FEATURES, map(rounded, catalog.features[row]), strict=True)),
      'location': catalog.locations[row],
    }
    for position, (row, near) in enumerate(zip(rows, nearness, strict=True), 1)
  ]
  workdir_lib.write_json(folder / 'playlist.json', {**about, 'tracks': tracks})
  cells = [{**track, 'genres': '|'.join(track['genres'])} for track in tracks]
  workdir_lib.write_csv(folder / 'playlist.csv', [list(cells[0]), *(c.values() for c in cells)])
  lines = ['#EXTM3U']
  for track in tracks:
    lines.append(f'#EXTINF:-1,{one_line(track["artist"])} - {one_line(track["name"])}')
    lines.append(track['location'])
  workdir_lib.write_text(folder / 'playlist.m3u8', '\n'.join(lines) + '\n')


def table(catalog: Catalog, rows: np.ndarray, nearness: np.ndarray) -> str:
  """Returns the tracks as lines of text, with what they are and how near they come."""
  lines = [('', 'artist', 'name', 'genres', 'popularity', 'nearness')]
  for position, (row, near) in enumerate(zip(rows, nearness, strict=True), 1):
    texts = (catalog.artists[row], catalog.names[row], ', '.join(catalog.genres[row]))
    numbers = (f'{catalog.popularity[row]:.0f}', f'{near:.3f}')
    lines.append((str(position), *map(_cut, map(one_line, texts)), *numbers))
  widths = [max(map(_columns, column)) for column in zip(*lines, strict=True)]
  return '\n'.join(_line(cells, widths) for cells in lines)


def one_line(text: str) -> str:
  """Returns text without line breaks and control characters, which a terminal would obey."""
  kept = (' ' if unicodedata.category(c) in ('Cc', 'Zl', 'Zp') else c for c in text)
  return ' '.join(''.join(kept).split())


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
  spaces = [' ' * (width - _columns(cell)) for cell, width in zip(cells, widths, strict=True)]
  padded = [cell + space for cell, space in zip(cells, spaces, strict=True)]
  padded[0], *padded[-2:] = (spaces[i] + cells[i] for i in (0, -2, -1))  # Numbers, flush right.
  return '  '.join(padded)


def _cut(text: str) -> str:
  widths = list(itertools.accumulate(map(_columns, text)))
  if not widths or widths[-1] <= _WIDTH:
    return text
  return text[: sum(width < _WIDTH for width in widths)] + '…'


def _columns(text: str) -> int:
  """Returns how many columns of a terminal a text takes."""
  wide = sum(unicodedata.east_asian_width(c) in 'WF' for c in text)
  return len(text) + wide - sum(unicodedata.category(c) in ('Mn', 'Me', 'Cf') for c in text)


def rounded(value: float) -> float:
  """Returns a number as it is written: to six digits."""
  return float(f'{value:.6g}')
