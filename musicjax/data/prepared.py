"""A prepared dataset: shards, and beside them what is known of every example before it is read."""

import csv
import dataclasses
import json
import math
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from array_record.python import array_record_data_source

from musicjax.data.source import Source
from musicjax.errors import DataError


@dataclasses.dataclass(frozen=True)
class Index:
  """What is known of every example before its record is read; rows ascend by id.

  Attributes:
    ids: [n] str, unique.
    tracks: [n] str; scores of the examples of one track (slices) are averaged.
    folds: [n] int32; `splits.TEST` in the data's own test set.
    positions: [n] int64 of the record among all shards, fold after fold.
    lengths: [n] int32 frames.
    labels: [n, classes] bool, or [n, targets] float32.
    weights: [n] float32 in the training loss, 1 where the dataset has none.
  """

  ids: np.ndarray
  tracks: np.ndarray
  folds: np.ndarray
  positions: np.ndarray
  lengths: np.ndarray
  labels: np.ndarray
  weights: np.ndarray

  def first_of_tracks(self, rows: np.ndarray) -> np.ndarray:
    """Returns one of these rows a track: labels are those of tracks."""
    return rows[np.unique(self.tracks[rows], return_index=True)[1]]


@dataclasses.dataclass(frozen=True)
class Prepared:
  """A prepared dataset: its index in memory, its records on disk.

  Attributes:
    fingerprint: name of the dataset; equal for equal raw files, labels, folds and parameters.
    directory: of the TFDS dataset.
    index: of all folds.
    records: random access to serialised examples by `Index.positions`.
    label_names: a name a class.
    input_shape: of one example, time first, None where it varies.
    input_dtype: as stored.
    parameters: how raw files became inputs (`Source.parameters`).
    skipped: (id, reason) of tracks left out.
  """

  fingerprint: str
  directory: Path
  index: Index
  records: array_record_data_source.ArrayRecordDataSource
  label_names: tuple[str, ...]
  input_shape: tuple[int | None, ...]
  input_dtype: str
  parameters: dict[str, Any]
  skipped: tuple[tuple[str, str], ...]

  @property
  def frame_bytes(self) -> int:
    """Bytes of one frame of the inputs."""
    return frame_bytes_of(self.input_shape, self.input_dtype)


def frame_bytes_of(input_shape: tuple[int | None, ...], input_dtype: str) -> int:
  return int(np.prod(input_shape[1:], dtype=int)) * np.dtype(input_dtype).itemsize


def sizes(folder: Path, shards: Sequence[Path]) -> dict[str, int]:
  """Returns the bytes of the files that a dataset consists of, as `sizes.json` keeps them."""
  paths = (*shards, folder / 'index.npz', folder / 'skipped.csv')
  return {path.name: path.stat().st_size for path in paths}


def open_folder(folder: Path, fingerprint: str, source: Source) -> Prepared:
  """Opens what is prepared, without TFDS and TensorFlow: importing them takes a second.

  Args:
    folder: of the TFDS dataset.
    fingerprint: name of the dataset.
    source: that it was made from.

  Raises:
    DataError: a file is not as it was written.
  """
  try:
    index, skipped, records = _read(folder)
  except PermissionError:
    raise
  except Exception as error:  # Of zip, numpy, csv, JSON, ArrayRecord and the system.
    told = ' '.join(f'{type(error).__name__}: {error}'.split())[:300]
    raise DataError(f'{folder}: damaged: {told}; delete it and it is prepared again') from error
  return Prepared(
    fingerprint=fingerprint,
    directory=folder,
    index=index,
    records=records,
    label_names=source.label_names,
    input_shape=source.input_shape,
    input_dtype=source.input_dtype,
    parameters=dict(source.parameters),
    skipped=skipped,
  )


def _read(folder: Path) -> tuple[Any, ...]:
  """Returns index, what was left out, and records; raises anything where they are damaged."""
  shards = sorted(folder.glob('*.array_record-?????-of-?????'), key=_fold_and_number)
  if (folder / 'sizes.json').exists():  # Not in datasets of earlier versions.
    expected = json.loads((folder / 'sizes.json').read_text())
    found = sizes(folder, shards)
    for name, size in expected.items():
      if found.get(name) != size:
        raise ValueError(f'{name}: expected {size} bytes, found {found.get(name, "no file")}')
  index = Index(**np.load(folder / 'index.npz', allow_pickle=False))
  with (folder / 'skipped.csv').open(newline='', encoding='utf-8') as file:
    _, *skipped = ((identity, reason) for identity, reason in csv.reader(file))
  records = array_record_data_source.ArrayRecordDataSource(list(map(os.fspath, shards)))
  if not np.array_equal(np.sort(index.positions), np.arange(len(records))):
    raise ValueError(f'expected {len(index.positions)} records, found {len(records)}')
  return index, tuple(skipped), records


def _fold_and_number(shard: Path) -> tuple[float, int]:
  """Orders shards as they were written: fold after fold, the data's own test set last."""
  split, number = re.fullmatch(r'.*-(\w+)\.array_record-(\d+)-of-\d+', shard.name).groups()
  return math.inf if split == 'test' else int(split.removeprefix('fold_')), int(number)


def check_skipped(skipped: Sequence[tuple[str, str]], total: int, max_skipped: float) -> None:
  """Refuses a dataset that too much is left out of: (id, reason) each, of `total` examples.

  Raises:
    DataError: it is more than the share `max_skipped`.
  """
  if len(skipped) > max_skipped * total:
    raise DataError(
      f'{len(skipped)} of {total} examples cannot be read, more than max_skipped={max_skipped:g} '
      f'allows; the first: {skipped[0][1]}'
    )
