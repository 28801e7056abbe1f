"""Packs a `Source` into TFDS shards (ArrayRecord), a split a fold, and opens them again.

A prepared dataset is named after everything it was made from, so another label, file or parameter
leads to another dataset and stale shards are never served.
"""

import contextlib
import csv
import dataclasses
import functools
import hashlib
import io
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
import tqdm
from array_record.python import array_record_data_source

from musicjax.data import builders, splits
from musicjax.data.source import Source, read
from musicjax.errors import DataError
from musicjax.fields import check_name

_FORMAT = 1  # Raised when records, index or fold assignment change their meaning.
_ROWS_A_SHARD = 1024


@dataclasses.dataclass(frozen=True)
class Index:
  """What is known of every example before its record is read; rows ascend by id.

  Attributes:
    ids: [n] str, unique.
    tracks: [n] str; scores of the examples of one track (slices) are averaged.
    folds: [n] int32.
    positions: [n] int64 of the record among all shards, fold after fold.
    lengths: [n] int32 frames.
    labels: [n, classes] bool.
  """

  ids: np.ndarray
  tracks: np.ndarray
  folds: np.ndarray
  positions: np.ndarray
  lengths: np.ndarray
  labels: np.ndarray


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
    skipped: (id, reason) of examples left out.
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
    return int(np.prod(self.input_shape[1:], dtype=int)) * np.dtype(self.input_dtype).itemsize


def prepare(config) -> Prepared:
  """Opens the dataset a config asks for, packing it first where that was not yet done.

  Raises:
    ConfigError, DataError: what the dataset module, the splits or a raw file object to.
  """
  check_name('config.on_bad_example', config.on_bad_example, ('fail', 'skip'))
  source = builders.module(config.dataset.name).load(config)
  name = _dataset_name(source, config)
  builder = _FoldsBuilder(
    source,
    functools.partial(_assign_folds, source, config),
    name,
    skip_bad=config.on_bad_example == 'skip',
    data_dir=config.prepared_dir or None,
  )
  if not builder.data_path.exists():
    print(f'preparing {len(source.ids)} tracks in {builder.data_path}', flush=True)
    with contextlib.redirect_stdout(io.StringIO()):  # TFDS speaks of downloads.
      builder.download_and_prepare()
  return _open(builder, source)


def _dataset_name(source: Source, config) -> str:
  contents = dict(
    format=_FORMAT,
    parameters=source.parameters,
    manifest=source.manifest,
    ids=source.ids.tolist(),
    groups=source.groups.tolist(),
    official_folds=None if source.official_folds is None else source.official_folds.tolist(),
    label_names=source.label_names,
    labels=hashlib.sha256(np.packbits(source.labels).tobytes()).hexdigest(),
    num_folds=config.num_folds,
    split_seed=config.split_seed,
    on_bad_example=config.on_bad_example,
  )
  digest = hashlib.sha256(json.dumps(contents, sort_keys=True).encode()).hexdigest()
  return f'{source.name}-{source.preparation}-{digest[:12]}'


def _assign_folds(source: Source, config) -> list[np.ndarray]:
  """Returns the rows of each fold, ascending."""
  folds = splits.assign_folds(
    source.groups, source.labels, config.num_folds, config.split_seed, source.official_folds
  )
  return [np.flatnonzero(folds == fold) for fold in range(config.num_folds)]


class _FoldsBuilder(tfds.core.ShardBasedBuilder, skip_registration=True):
  """Writes a fold a split. Shards go straight to disk: there is no second copy of the data."""

  name = 'musicjax'
  VERSION = tfds.core.Version('1.0.0')

  def __init__(
    self,
    source: Source,
    assign: Callable[[], list[np.ndarray]],
    name: str,
    *,
    skip_bad: bool,
    data_dir: str | None,
  ):
    self._source, self._assign, self._skip_bad = source, assign, skip_bad
    self._skipped = []
    super().__init__(
      config=tfds.core.BuilderConfig(name=name, version=self.VERSION),
      data_dir=data_dir,
      file_format='array_record',
    )

  def _info(self) -> tfds.core.DatasetInfo:
    source = self._source
    return tfds.core.DatasetInfo(
      builder=self,
      description='Made by musicjax from raw files.',
      features=tfds.features.FeaturesDict(
        {
          'id': tfds.features.Text(),
          'track': tfds.features.Text(),
          # Without an encoding TFDS stores arrays as lists of numbers: large and slow.
          'inputs': tfds.features.Tensor(
            shape=source.input_shape, dtype=np.dtype(source.input_dtype), encoding='bytes'
          ),
          'labels': tfds.features.Tensor(
            shape=(len(source.label_names),), dtype=np.uint8, encoding='bytes'
          ),
        }
      ),
    )

  def _shard_iterators_per_split(self, dl_manager):
    del dl_manager  # Raw files are local.
    folds = self._assign()
    self._progress = tqdm.tqdm(total=sum(map(len, folds)), desc='Preparing', unit=' examples')
    return {
      f'fold_{fold}': [
        functools.partial(self._examples, shard)
        for shard in np.array_split(rows, -(-len(rows) // _ROWS_A_SHARD))
      ]
      for fold, rows in enumerate(folds)
    }

  def _examples(self, rows: np.ndarray) -> Iterator[tuple[int, dict[str, Any]]]:
    source = self._source
    keys = [source.keys[row] for row in rows]
    results = read(keys, source.decode, source.features)
    for row, (_, inputs) in zip(rows, results, strict=True):
      self._progress.update()
      if isinstance(inputs, DataError):
        if not self._skip_bad:
          raise inputs
        self._skipped.append((source.ids[row], str(inputs)))
        continue
      yield (
        row,
        {
          'id': source.ids[row],
          'track': source.ids[row],
          'inputs': inputs,
          'labels': source.labels[row].astype(np.uint8),
        },
      )

  def _download_and_prepare(self, dl_manager, download_config=None) -> None:
    """Adds the index to what TFDS renames into place at the end, all or nothing."""
    super()._download_and_prepare(dl_manager, download_config)
    self._progress.close()
    paths = [p for fold in range(len(self.info.splits)) for p in self.shard_paths(fold)]
    _write_index(_build_index(self, paths), self.data_path / 'index.npz')
    with Path(self.data_path, 'skipped.csv').open('w', newline='') as file:
      csv.writer(file).writerows([('id', 'reason'), *self._skipped])

  def shard_paths(self, fold: int) -> list[str]:
    return [os.fspath(path) for path in self.info.splits[f'fold_{fold}'].filepaths]


def _build_index(builder: _FoldsBuilder, paths: list[str]) -> Index:
  """Reads all records once, so that the index holds for any writer and any order it chose."""
  lengths = [builder.info.splits[f'fold_{f}'].num_examples for f in range(len(builder.info.splits))]
  folds = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)
  frame_bytes = builder.info.features['inputs'].np_dtype.itemsize * int(
    np.prod(builder.info.features['inputs'].shape[1:], dtype=int)
  )
  columns = {'id': [], 'track': [], 'length': [], 'labels': []}
  reader = array_record_data_source.ArrayRecordDataSource(paths)
  for start in range(0, len(reader), 256):
    batch = parse_records(
      tf.constant(reader.__getitems__(range(start, min(start + 256, len(reader)))))
    )
    columns['id'].append(batch['id'].numpy().astype(str))
    columns['track'].append(batch['track'].numpy().astype(str))
    columns['length'].append(tf.strings.length(batch['inputs']).numpy() // frame_bytes)
    columns['labels'].append(tf.io.decode_raw(batch['labels'], tf.uint8).numpy().astype(bool))
  columns = {name: np.concatenate(parts) for name, parts in columns.items()}
  order = np.argsort(columns['id'])
  return Index(
    ids=columns['id'][order],
    tracks=columns['track'][order],
    folds=folds[order],
    positions=order.astype(np.int64),
    lengths=columns['length'][order].astype(np.int32),
    labels=columns['labels'][order],
  )


def parse_records(serialized: tf.Tensor) -> dict[str, tf.Tensor]:
  """Splits serialised examples [batch] into `id`, `track`, and the bytes of `inputs`, `labels`."""
  feature = tf.io.FixedLenFeature([], tf.string)
  return tf.io.parse_example(
    serialized, {name: feature for name in ('id', 'track', 'inputs', 'labels')}
  )


def _write_index(index: Index, path: Path) -> None:
  with path.open('wb') as file:
    np.savez_compressed(file, **dataclasses.asdict(index))


def _open(builder: _FoldsBuilder, source: Source) -> Prepared:
  with (builder.data_path / 'index.npz').open('rb') as file:
    index = Index(**np.load(file, allow_pickle=False))
  with Path(builder.data_path, 'skipped.csv').open(newline='') as file:
    skipped = tuple(map(tuple, list(csv.reader(file))[1:]))
  paths = [p for fold in range(len(builder.info.splits)) for p in builder.shard_paths(fold)]
  return Prepared(
    fingerprint=builder.builder_config.name,
    directory=Path(builder.data_path),
    index=index,
    records=array_record_data_source.ArrayRecordDataSource(paths),
    label_names=source.label_names,
    input_shape=source.input_shape,
    input_dtype=source.input_dtype,
    parameters=dict(source.parameters),
    skipped=skipped,
  )
