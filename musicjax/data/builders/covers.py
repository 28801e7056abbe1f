"""Covers and the audio features of what they cover: PRESSED/PLAY's data.

A folder holds Parquet files with the columns `cover` (PNG, JPEG or WebP) and `features` (eight
numbers, in the order of `audio_features.FEATURES`); or `config.dataset.table` names a table, CSV or
Parquet, with `path`, an image below the folder, and a column a feature. Both may have the columns
`listing.COLUMNS`. Fields of `config.dataset`:

  image_size  pixels of a side, to which covers are resized whatever their shape
  table       empty: all Parquet files in the folder
  pattern     as of `musicjax.data.listing`

Covers that look alike (one that several tracks have, or in another size or quality) are one group,
so that none of them lies on both sides of a split.
"""

import collections
import concurrent.futures
import functools
import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tqdm
from ml_collections import ConfigDict
from PIL import Image

from musicjax.data import audio_features, duplicates, listing, parquet, pictures, tables
from musicjax.data.audio_features import FEATURES
from musicjax.data.source import Source, check_name, manifest
from musicjax.errors import DataError, quoted, told_of_full_disk

FIELDS = ('image_size', 'table', 'pattern')
EXTENSIONS = pictures.EXTENSIONS
_BLOCK = 256  # Covers read at once to be compared.

_Key = Path | tuple[Path, int]  # A file, or a row, from 0, of a Parquet file.


def load(config: ConfigDict) -> Source:
  """The covers in the Parquet files of `config.data_dir`, or in a table there.

  Rows whose features are no numbers, or out of range, are errors, or left out with
  `config.on_bad_example=skip`.

  Raises:
    ConfigError: as `listing.describe`.
    DataError: there is no such table, a row cannot be used, or too many cannot.
  """
  folder, fields = Path(config.data_dir), config.dataset
  tracks, features, bad = [], {}, []
  paths = [folder / fields.table] if fields.table else sorted(folder.glob('*.parquet'))
  if not paths:
    raise DataError(f'{folder}: expected Parquet files of covers in it, found none')
  for path in paths:
    rows = _read_cells(path) if _has_cells(path) else _read_paths(folder, path)
    for track, values, fault in rows:
      if not fault:
        tracks.append(track)
        features[track.name] = values
      elif config.on_bad_example != 'skip':
        raise DataError(fault)
      else:
        bad.append((track.name, fault))
  total = len(tracks) + len(bad)
  if not tracks:
    raise DataError(f'{folder}: none of {total} rows can be used; the first: {bad[0][1]}')
  if len(bad) > config.max_skipped * total:
    raise DataError(
      f'{len(bad)} of {total} rows cannot be used, more than max_skipped={config.max_skipped:g} '
      f'allows; the first: {bad[0][1]}'
    )
  listing.check_rows(folder / fields.table, tracks)
  known = listing.describe(tracks, config)
  files = dict.fromkeys([*paths, *(key for key in known['keys'] if isinstance(key, Path))])
  files = manifest([path.relative_to(folder).as_posix() for path in files], files)
  known['groups'] = duplicates.join(known['groups'], _group_alike(known['keys'], files, config))
  known['labels'] = np.array([features[name] for name in known['ids'].tolist()], np.float32)
  known['label_names'], known['left_out'] = FEATURES, (*known['left_out'], *bad)
  size = fields.image_size
  return Source(
    name='covers',
    preparation=f'rgb-{size}',
    parameters={
      'image_size': size,
      # Loudness, in dB, has no bounds by nature.
      'ranges': {name: [0.0, 1.0] for name in FEATURES if name != 'loudness'},
    },
    manifest=files,
    input_shape=(size, size, 3),
    input_dtype='uint8',
    decode=functools.partial(decode, size=size),
    **known,
  )


def _has_cells(path: Path) -> bool:
  return tables.is_parquet(path) and 'cover' in parquet.read_header(path)


def _read_cells(path: Path) -> Iterator[tuple[listing.Track, np.ndarray, str]]:
  """Yields tracks of a Parquet file of covers, with their features and what is wrong of these."""
  vectors = parquet.read_vectors(path, 'features')
  rows = tables.read(path, [], listing.COLUMNS)
  for position, ((place, cells), values) in enumerate(zip(rows, vectors, strict=True)):
    name = f'{path.name} {position + 1:08d}'
    track = listing.make_track(path, place, name, (), (path, position), cells)
    if len(values) != len(FEATURES):
      fault = f'{path}: {place}: features: expected {len(FEATURES)} numbers, found {quoted(values)}'
      yield track, values, fault
    else:
      yield track, *_check(path, place, values)


def _read_paths(folder: Path, path: Path) -> Iterator[tuple[listing.Track, np.ndarray, str]]:
  """As `_read_cells`, of a table that names files; a cover of several tracks has several rows."""
  seen = collections.Counter()
  for place, (name, *cells) in tables.read(path, ['path', *FEATURES], listing.COLUMNS):
    name = listing.check_path(path, place, name)
    seen[name] += 1
    unique = name if seen[name] == 1 else f'{name} ({seen[name]})'
    values, rest = cells[: len(FEATURES)], cells[len(FEATURES) :]
    track = listing.make_track(path, place, unique, (), folder / name, rest)
    yield track, *_check(path, place, values)


def _check(path: Path, place: str, values: Sequence[Any]) -> tuple[np.ndarray, str]:
  """Returns the features of a row, and what is wrong of them, or nothing."""
  numbers = []
  for name, value in zip(FEATURES, values, strict=True):
    number = audio_features.number(value)
    if fault := audio_features.fault(name, number, value):
      return np.array(numbers), f'{path}: {place}: {fault}'
    numbers.append(number)
  return np.array(numbers), ''


def decode(key: _Key, size: int) -> np.ndarray:
  """Returns a cover as [size, size, 3] uint8.

  Raises:
    DataError: it is no sound picture of 8 bits, its name is not in UTF-8, or it is too large.
  """
  content, name = _read(key)
  # JPEG can be decoded at a fraction of its size: half as much again keeps what resizing needs.
  image = pictures.decode(content, name, 'RGB', least=3 * size // 2)
  return np.asarray(image.resize((size, size), Image.Resampling.BICUBIC))


def read_inputs(
  paths: Sequence[Path], input_shape: tuple[int | None, ...], parameters: Mapping[str, Any]
) -> Iterator[tuple[Path, np.ndarray | DataError]]:
  """Yields (path, cover [size, size, 3] uint8, or the error that stands for it), in order."""
  del input_shape
  for path in paths:
    try:
      yield path, decode(path, parameters['image_size'])
    except DataError as error:
      yield path, error


def _read(key: _Key) -> tuple[bytes, str]:
  """Returns the bytes of a cover, and its name for people."""
  if isinstance(key, tuple):
    path, row = key
    return parquet.read_bytes(path, 'cover', row), f'{path}: row {row + 1}'
  check_name(key)
  with tables.opened(key) as file:
    return file.read(), str(key)


def _group_alike(
  keys: Sequence[_Key], files: Sequence[tuple[str, int, int]], config: ConfigDict
) -> np.ndarray:
  """Returns a number a cover, the same for those that look alike.

  All covers are decoded for it, which takes minutes where there are many: the result is kept beside
  the prepared datasets, under a name made from the files.
  """
  shared = os.environ.get('TFDS_DATA_DIR') or Path.home() / 'tensorflow_datasets'
  digest = hashlib.sha256(repr((duplicates.VERSION, files, list(map(str, keys)))).encode())
  path = Path(config.prepared_dir or shared, 'musicjax', f'alike-{digest.hexdigest()[:12]}.npy')
  if path.exists():
    return np.load(path, allow_pickle=False)
  found = []
  with (
    concurrent.futures.ThreadPoolExecutor() as pool,
    tqdm.tqdm(total=len(keys), desc='Comparing', unit=' covers') as bar,
  ):
    for start in range(0, len(keys), _BLOCK):  # Read in order, a few at a time.
      block = [_read_or_none(key) for key in keys[start : start + _BLOCK]]
      found += pool.map(_fingerprint, block)
      bar.update(len(block))
  readable = [row for row, one in enumerate(found) if one is not None]
  groups = -1 - np.arange(len(keys))  # What cannot be read is told by the preparation.
  if readable:
    groups[readable] = duplicates.group(np.array([found[row] for row in readable]))
  temporary = path.with_name(f'{path.name}.{os.getpid()}.tmp')
  with told_of_full_disk(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    with temporary.open('wb') as file:
      np.save(file, groups)
    temporary.rename(path)
  return groups


def _read_or_none(key: _Key) -> bytes | None:
  try:
    return _read(key)[0]
  except DataError:
    return None


def _fingerprint(content: bytes | None) -> np.ndarray | None:
  if content is None:
    return None
  try:
    return duplicates.fingerprint(pictures.decode(content, '', 'L', least=64))
  except DataError:
    return None
