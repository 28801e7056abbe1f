"""What a folder or a table says of raw files: labels, groups, official folds and splits.

Fields of `config.dataset`, beside those of the dataset:

  pattern    regular expression, found in a file's path below the folder; its named groups `fold`
             and `group` are the official fold and what must not be split
  table      a CSV or Parquet file instead of sub-folders, with the columns `path,tags` and, where
             wanted, `group`, `fold`, `split` and `weight` (of a file in the training loss, 0 or
             more): paths are below the folder, several tags are joined by bars or commas (in
             Parquet also lists), an empty cell is no group, no fold or weight 1
  label_map  a JSON object {raw: label, ...} or a CSV file `raw,label` that turns raw labels into
             those to learn: several, in a list or joined by bars, or none (null, empty). `*` stands
             for all others; without it each must be there. A track that loses all its labels is
             left out, with a line in skipped.csv

A split is `train`, `validation` or `test`; see `splits.assign_around_splits`.
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from ml_collections import ConfigDict

from musicjax.data import files, splits, tables
from musicjax.data.source import readable_name
from musicjax.errors import ConfigError, DataError, quoted

FIELDS = ('pattern', 'table', 'label_map')  # of `config.dataset`
COLUMNS = ('group', 'fold', 'split', 'weight')  # That a table may have.
# Of a file below the folder: parts that are none of '', '.', '..', joined by slashes.
_PART = r'(?!\.{0,2}(?:/|$))[^/\x00-\x1f\x7f]+'
_NAME = re.compile(f'{_PART}(?:/{_PART})*')
_OTHERS = '*'
_NUM_TOLD = 3  # Unmapped labels.


class Track(NamedTuple):
  """What is known of an example before it is read; empty texts are unknown.

  Attributes:
    name: its path below the folder, with slashes.
    tags: its labels.
    key: what its decoder finds it by.
    group: what must not be split; where unknown, a track is its own.
    fold: its official fold.
    split: of `splits.SPLITS`, where it is official.
    weight: of its examples in the training loss.
  """

  name: str
  tags: frozenset[str]
  key: Any
  group: str = ''
  fold: str = ''
  split: str = ''
  weight: float = 1.0


def read(config: ConfigDict, extensions: Sequence[str]) -> list[Track]:
  """Returns the files that `config.dataset.table` names or, without, all below the folder.

  Raises:
    DataError: there are no files, one is in no sub-folder, or the table is none of files.
  """
  folder, table = Path(config.data_dir), config.dataset.table
  return _read_table(folder, table) if table else _list_folder(folder, extensions)


def describe(tracks: Sequence[Track], config: ConfigDict) -> dict[str, Any]:
  """Returns what a `Source` says of these tracks: ids, labels, groups, folds, weights, ...

  Raises:
    ConfigError: the pattern is none, or there are other folds than `config.num_folds`.
    DataError: a path does not fit the pattern, the label map is none or lacks a label, or a track
      has not the one tag of a single-label task.
  """
  fields, left_out = config.dataset, []
  if fields.get('label_map'):
    tracks, left_out = _map_labels(tracks, Path(config.data_dir, fields.label_map))
  if config.task == 'single_label' and (odd := [t for t in tracks if len(t.tags) != 1]):
    raise DataError(
      f'{odd[0].name}: expected one tag with config.task=single_label, found {len(odd[0].tags)}; '
      'multi_label takes any number'
    )
  if fields.pattern:
    tracks = _parse_names(tracks, fields.pattern)
  tracks = sorted(tracks, key=lambda track: track.name)
  label_names = sorted(set().union(*(track.tags for track in tracks)))
  folds, official = [t.fold for t in tracks], [t.split for t in tracks]
  weights = np.array([track.weight for track in tracks], np.float32)
  return {
    'ids': np.array([track.name for track in tracks]),
    'keys': [track.key for track in tracks],
    'groups': np.array([track.group or track.name for track in tracks]),
    'labels': np.array([[label in track.tags for label in label_names] for track in tracks]),
    'label_names': tuple(label_names),
    'official_folds': _number_folds(folds, config.num_folds) if any(folds) else None,
    'official_splits': np.array(official) if any(official) else None,
    'weights': None if (weights == 1).all() else weights,
    'left_out': tuple(left_out),
  }


def _list_folder(folder: Path, extensions: Sequence[str]) -> list[Track]:
  """Returns all files below the folder."""
  if not folder.is_dir():
    raise DataError(f'{folder}: expected a folder of sub-folders a label, found none')
  paths = files.below(folder, extensions)
  if not paths:
    raise DataError(f'{folder}: expected files {", ".join(extensions)} in it, found none')
  tracks = []
  for path in paths:
    name = readable_name(path.relative_to(folder).as_posix())
    label, slash, _ = name.partition('/')
    if not slash:
      raise DataError(f'{folder / name}: expected files in a sub-folder a label, found one beside')
    tracks.append(Track(name, frozenset([label]), path))
  return tracks


def _read_table(folder: Path, table: str) -> list[Track]:
  """Returns the files that a table names."""
  path = folder / table
  tracks = {}
  for place, (name, cell, *rest) in tables.read(path, ['path', 'tags'], COLUMNS):
    check_path(path, place, name)
    if name in tracks:
      raise DataError(f'{path}: {place}: expected every path once, found {quoted(name)} twice')
    tags = cell.split('|' if '|' in cell else ',') if isinstance(cell, str) else cell
    tracks[name] = make_track(path, place, name, tags, folder / name, rest)
  check_tags(path, 'tags', tracks := list(tracks.values()))
  check_rows(path, tracks)
  return tracks


def check_path(path: Path, place: str, name: tables.Cell) -> str:
  """Returns what a row of a table says of a file; raises DataError where that is no path below."""
  if not isinstance(name, str) or not _NAME.fullmatch(name):
    raise DataError(
      f'{path}: {place}: path: expected a file below the folder, found {quoted(name)}'
    )
  return name


def make_track(
  path: Path, place: str, name: str, tags: Sequence[str], key: Any, cells: Sequence[tables.Cell]
) -> Track:
  """Returns a row of a table as a track.

  Args:
    path: of the table.
    place: of the row.
    name: of the track.
    tags: its labels; outer spaces, and empty ones, do not count.
    key: what its decoder finds it by.
    cells: of `COLUMNS`.

  Raises:
    DataError: a cell is a list, its split is none or stands beside a fold, or its weight is none.
  """
  for column, cell in zip(COLUMNS, cells, strict=True):
    if not isinstance(cell, str):
      raise DataError(f'{path}: {place}: {column}: expected text, found {quoted(list(cell))}')
  group, fold, split, weight = (cell.strip() for cell in cells)
  if split and split not in splits.SPLITS:
    raise DataError(
      f'{path}: {place}: split: expected {", ".join(splits.SPLITS)}, found {quoted(split)}'
    )
  if split in ('validation', 'test') and fold:
    raise DataError(f'{path}: {place}: fold: expected none in {split}, found {quoted(fold)}')
  tags = frozenset(filter(None, map(str.strip, tags)))
  return Track(name, tags, key, group, fold, split, _weight(path, place, weight))


def _weight(path: Path, place: str, cell: str) -> float:
  try:
    weight = float(cell or 1)
  except ValueError:
    weight = -1.0
  if not 0 <= weight <= 1e6:  # Nor NaN. The weights of a step have a sum.
    raise DataError(f'{path}: {place}: weight: expected a number in 0..1e6, found {quoted(cell)}')
  return weight


def check_tags(path: Path, column: str, tracks: Sequence[Track]) -> None:
  """Raises DataError where no track of a table has a tag."""
  if not any(track.tags for track in tracks):
    raise DataError(f'{path}: {column}: expected at least one tag, found none')


def check_rows(path: Path, tracks: Sequence[Track]) -> None:
  """Raises DataError where no track of a table has a weight, or only some a split."""
  if not any(track.weight for track in tracks):
    raise DataError(f'{path}: weight: expected at least one above 0, found none')
  without = [track.name for track in tracks if not track.split]
  if without and len(without) < len(tracks):
    raise DataError(
      f'{path}: split: expected {", ".join(splits.SPLITS)} in every row, found none for '
      f'{quoted(without[0])}'
    )


def _map_labels(tracks: Sequence[Track], path: Path) -> tuple[list[Track], list[tuple[str, str]]]:
  """Returns the tracks with other labels, and (name, reason) of those that have none left."""
  label_map = _read_label_map(path)
  raw = sorted(set().union(*(track.tags for track in tracks)))
  others = label_map.get(_OTHERS)
  if others is None and (unknown := [label for label in raw if label not in label_map]):
    told = ', '.join(quoted(label) for label in unknown[:_NUM_TOLD])
    raise DataError(
      f'{path}: expected all labels of the data, or {_OTHERS!r} for the others; found none for '
      f'{len(unknown)} of {len(raw)}: {told}{", ..." * (len(unknown) > _NUM_TOLD)}'
    )
  mapped, left_out = [], []
  for track in tracks:
    tags = frozenset().union(*(label_map.get(tag, others) for tag in track.tags))
    if tags or not track.tags:
      mapped.append(track._replace(tags=tags))
    else:
      found = quoted(', '.join(sorted(track.tags)))
      left_out.append((track.name, f'{track.name}: {path.name} keeps none of its labels: {found}'))
  if not any(track.tags for track in mapped):
    raise DataError(f'{path}: expected a label for at least one track, found none')
  return mapped, left_out


def _read_label_map(path: Path) -> dict[str, tuple[str, ...]]:
  """Returns raw label -> labels, none where it is to be dropped."""
  if path.suffix.lower() == '.json':
    pairs = _read_json_object(path)
  else:
    rows = tables.read(path, ['raw', 'label'])
    pairs = [(str(raw).strip(), str(cell).split('|')) for _, (raw, cell) in rows]
  label_map = {}
  for raw, labels in pairs:
    if raw in label_map:
      raise DataError(f'{path}: expected every label once, found {quoted(raw)} twice')
    label_map[raw] = tuple(filter(None, map(str.strip, labels)))
  return label_map


def _read_json_object(path: Path) -> list[tuple[str, list[str]]]:
  with tables.opened(path) as file:
    content = file.read()
  try:
    pairs = json.loads(content, object_pairs_hook=list)
    if not content.lstrip(b'\xef\xbb\xbf \t\r\n').startswith(b'{'):
      raise ValueError('no object')
  except (ValueError, RecursionError) as error:
    raise DataError(f'{path}: expected a JSON object, found: {str(error)[:100]}') from None
  result = []
  for raw, value in pairs:
    labels = [value or ''] if value is None or isinstance(value, str) else value
    if not (isinstance(labels, list) and all(isinstance(label, str) for label in labels)):
      raise DataError(
        f'{path}: {quoted(raw)}: expected a label, a list of them or null, found {quoted(value)}'
      )
    result.append((raw.strip(), labels))
  return result


def _parse_names(tracks: Sequence[Track], pattern: str) -> list[Track]:
  """Returns the tracks with the groups and official folds that a pattern finds in their names."""
  try:
    compiled = re.compile(pattern)
  except re.error as error:
    raise ConfigError(
      f'config.dataset.pattern: expected a regular expression, found {quoted(pattern)}: {error}'
    ) from None
  known = set(compiled.groupindex)
  if not known or not known <= {'fold', 'group'}:
    raise ConfigError(
      'config.dataset.pattern: expected named groups, (?P<fold>...) or (?P<group>...) or both, '
      f'found {", ".join(known) or "none"}'
    )
  parsed = []
  for track in tracks:
    match = compiled.search(track.name)
    if match is None or not all(match.groupdict().values()):
      raise DataError(f'{track.name}: expected a path that config.dataset.pattern fits, found none')
    parsed.append(track._replace(**match.groupdict()))
  return parsed


def _number_folds(folds: Sequence[str], num_folds: int) -> np.ndarray:
  """Numbers folds from 0 in their order, that of numbers where all are: '1'..'5' to 0..4, '' to -1.

  Raises:
    ConfigError: there are not as many as `num_folds`.
  """
  numbers = all(fold.isdecimal() for fold in folds if fold)
  values = sorted(set(folds) - {''}, key=int if numbers else str)
  if len(values) != num_folds:
    raise ConfigError(
      f'config.num_folds: expected the {len(values)} of the data ({quoted(", ".join(values))}), '
      f'found {num_folds}'
    )
  return np.array([values.index(fold) if fold else -1 for fold in folds])
