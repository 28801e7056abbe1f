"""Packs a `Source` into TFDS shards (ArrayRecord), a split a fold, and opens them again.

A prepared dataset is named after everything it was made from, so another label, file or parameter
leads to another dataset and stale shards are never served.
"""

import contextlib
import csv
import dataclasses
import functools
import hashlib
import itertools
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
import tqdm
from array_record.python import array_record_data_source
from tensorflow_datasets.core import dataset_builder

from musicjax.data import builders, examples, splits, workers
from musicjax.data.source import Source
from musicjax.errors import DataError, told_of_full_disk

_FORMAT = 1  # Raised when records, index or fold assignment change their meaning.
# Shards are what workers share out among them and what a killed preparation keeps: many, not tiny.
_SHARDS = 64  # Of a dataset, about.
_MIN_ROWS, _MAX_ROWS = 32, 1024  # Of a shard.


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
    return _frame_bytes(self.input_shape, self.input_dtype)


def _frame_bytes(input_shape: tuple[int | None, ...], input_dtype: str) -> int:
  return int(np.prod(input_shape[1:], dtype=int)) * np.dtype(input_dtype).itemsize


def prepare(config) -> Prepared:
  """Opens the dataset a config asks for, packing it first where that was not yet done.

  Of several processes one packs, and the others wait for it. Killed at any moment, packing goes on
  where it was.

  Raises:
    ConfigError, DataError: what the dataset module, the splits or a raw file object to.
    StorageError: the disk is full; the same call goes on once there is room.
  """
  source = builders.module(config.dataset.name).load(config)
  name = _dataset_name(source, config)
  make_builder = functools.partial(_FoldsBuilder, source, config, name)
  builder = make_builder()
  if not builder.data_path.exists():
    with _only_process(Path(builder.data_path)):
      builder = make_builder()  # Sees what another process has done.
      if not builder.data_path.exists():
        print(f'preparing {len(source.ids)} tracks in {builder.data_path}', flush=True)
        with told_of_full_disk(Path(builder.data_path)):
          builder.download_and_prepare()
    builder = make_builder()
  prepared = _open(builder, source)
  _check_skipped(prepared.skipped, len(source.ids), config.max_skipped)
  return prepared


@contextlib.contextmanager
def _only_process(path: Path) -> Iterator[None]:
  """Holds the lock of a dataset; the system releases it when its holder dies."""
  workers.check_no_worker()  # It would wait for its parent, which waits for it.
  path.parent.mkdir(parents=True, exist_ok=True)
  lock = filelock.FileLock(path.parent / 'lock')
  try:
    lock.acquire(blocking=False)
  except filelock.Timeout:
    print(f'waiting for another process to prepare {path}', flush=True)
    lock.acquire()
  try:
    yield
  finally:
    lock.release()


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
    sliced=source.sliced,
    num_folds=config.num_folds,
    split_seed=config.split_seed,
    on_bad_example=config.on_bad_example,
  )
  if source.weights is not None:
    contents['weights'] = source.weights.tolist()
  digest = hashlib.sha256(json.dumps(contents, sort_keys=True).encode()).hexdigest()
  return f'{source.name}-{source.preparation}-{digest[:12]}'


def _assign_folds(source: Source, config) -> list[np.ndarray]:
  """Returns the rows of each fold, ascending."""
  folds = splits.assign_folds(
    source.groups, source.labels, config.num_folds, config.split_seed, source.official_folds
  )
  return [np.flatnonzero(folds == fold) for fold in range(config.num_folds)]


class _FoldsBuilder(dataset_builder.FileReaderBuilder, skip_registration=True):
  """A dataset with a fold a split."""

  name = 'musicjax'
  VERSION = tfds.core.Version('1.0.0')

  def __init__(self, source: Source, config, name: str):
    self._source, self._config = source, config
    super().__init__(
      config=tfds.core.BuilderConfig(name=name, version=self.VERSION),
      data_dir=config.prepared_dir or None,
      file_format='array_record',
    )

  def _info(self) -> tfds.core.DatasetInfo:
    source = self._source
    return tfds.core.DatasetInfo(
      builder=self,
      description='Made by musicjax from raw files.',
      features=examples.features(
        source.input_shape,
        source.input_dtype,
        len(source.label_names),
        weighted=source.weights is not None,
      ),
    )

  def download_and_prepare(self) -> None:
    """Renames the finished dataset into place, all or nothing.

    TFDS's own method starts in an empty folder each time. This one goes on in the folder that a
    killed preparation left, so that no shard is written twice, and none has to be moved.
    """
    for leftover in self.data_path.parent.glob('incomplete.*'):  # Of earlier versions.
      shutil.rmtree(leftover)
    folder = Path(self.data_path.parent, 'unfinished')
    folder.mkdir(exist_ok=True)
    self._download_and_prepare(folder)
    self.info.write_to_directory(folder)
    for path in (*folder.iterdir(), folder):
      _sync(path)
    folder.rename(self.data_path)
    _sync(folder.parent)
    for path in self.data_path.glob('*.array_record*.json'):  # Notes of the workers.
      path.unlink()

  def _download_and_prepare(self, folder: Path) -> None:
    """Writes shards, index and what was left out, and sets the splits."""
    source, config = self._source, self._config
    reader = workers.Reader(
      decode=source.decode,
      features=source.features,
      input_shape=source.input_shape,
      input_dtype=source.input_dtype,
      skip_bad=config.on_bad_example == 'skip',
      sliced=source.sliced,
    )
    folds = [
      _plan_shards(source, rows, self._template(fold, folder))
      for fold, rows in enumerate(_assign_folds(source, config))
    ]
    shards = list(itertools.chain.from_iterable(folds))
    workers.clear(folder, shards)
    with tqdm.tqdm(total=len(source.ids), desc='Preparing', unit=' tracks') as bar:
      written = workers.write_shards(shards, reader, config.decode_seconds, bar.update)
    skipped = sorted(itertools.chain.from_iterable(w.skipped for w in written))
    _check_skipped(skipped, len(source.ids), config.max_skipped)

    infos, rest = [], iter(written)
    for fold, in_fold in enumerate(folds):
      of_fold = list(itertools.islice(rest, len(in_fold)))
      infos.append(
        tfds.core.SplitInfo(
          name=f'fold_{fold}',
          shard_lengths=[w.num_records for w in of_fold],
          num_bytes=sum(w.num_bytes for w in of_fold),
          filename_template=self._template(fold, folder),
        )
      )
      if not infos[-1].num_examples:
        raise DataError(
          f'fold {fold}: no example is left of {sum(len(s.ids) for s in in_fold)}; '
          f'the first: {of_fold[0].skipped[0][1]}'
        )
    self.info.set_splits(tfds.core.SplitDict(infos))
    index = _build_index([s.path for s in shards], [i.num_examples for i in infos], source)
    _write_index(index, folder / 'index.npz')
    with (folder / 'skipped.csv').open('w', newline='') as file:
      csv.writer(file).writerows([('id', 'reason'), *skipped])
    (folder / 'sizes.json').write_text(json.dumps(_sizes(folder, [s.path for s in shards])))

  def _template(self, fold: int, folder: Path) -> tfds.core.ShardedFileTemplate:
    return tfds.core.ShardedFileTemplate(
      data_dir=folder,
      dataset_name=self.name,
      split=f'fold_{fold}',
      filetype_suffix='array_record',
    )

  def shard_paths(self) -> list[str]:
    """Of all folds, in order."""
    folds = [self.info.splits[f'fold_{fold}'] for fold in range(len(self.info.splits))]
    return [os.fspath(path) for fold in folds for path in fold.filepaths]


def _plan_shards(
  source: Source, rows: np.ndarray, template: tfds.core.ShardedFileTemplate
) -> list[workers.Shard]:
  """Cuts a fold into shards, by the size of the dataset alone: the same ones on any machine."""
  size = min(max(_MIN_ROWS, -(-len(source.ids) // _SHARDS)), _MAX_ROWS)
  parts = np.array_split(rows, -(-len(rows) // size))
  return [
    workers.Shard(
      path=Path(path),
      ids=source.ids[part].tolist(),
      keys=[source.keys[row] for row in part],
      labels=source.labels[part].astype(np.uint8),
      weights=None if source.weights is None else source.weights[part].tolist(),
    )
    for part, path in zip(parts, template.sharded_filepaths(len(parts)), strict=True)
  ]


def _check_skipped(skipped: Sequence[tuple[str, str]], total: int, max_skipped: float) -> None:
  if len(skipped) > max_skipped * total:
    raise DataError(
      f'{len(skipped)} of {total} examples cannot be read, more than max_skipped={max_skipped:g} '
      f'allows; the first: {skipped[0][1]}'
    )


def _sync(path: Path) -> None:
  """What a file holds, or the names in a folder, outlive a loss of power from here on."""
  descriptor = os.open(path, os.O_RDONLY)
  try:
    os.fsync(descriptor)
  finally:
    os.close(descriptor)


def _build_index(paths: list[Path], fold_sizes: list[int], source: Source) -> Index:
  """Reads all records once, so that the index holds for any writer and any order it chose."""
  folds = np.repeat(np.arange(len(fold_sizes), dtype=np.int32), fold_sizes)
  frame_bytes = _frame_bytes(source.input_shape, source.input_dtype)
  columns = {'id': [], 'track': [], 'length': [], 'labels': []}
  reader = array_record_data_source.ArrayRecordDataSource(list(map(os.fspath, paths)))
  for start in range(0, len(reader), 256):
    batch = examples.parse(
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


def _write_index(index: Index, path: Path) -> None:
  with path.open('wb') as file:
    np.savez_compressed(file, **dataclasses.asdict(index))


def _sizes(folder: Path, shards: Sequence[Path]) -> dict[str, int]:
  paths = (*shards, folder / 'index.npz', folder / 'skipped.csv')
  return {path.name: path.stat().st_size for path in paths}


def _open(builder: _FoldsBuilder, source: Source) -> Prepared:
  """Opens what is prepared.

  Raises:
    DataError: a file is not as it was written.
  """
  folder = Path(builder.data_path)
  try:
    index, skipped, records = _read(folder, list(map(Path, builder.shard_paths())))
  except PermissionError:
    raise
  except Exception as error:  # Of zip, numpy, csv, JSON, ArrayRecord and the system.
    told = ' '.join(f'{type(error).__name__}: {error}'.split())[:300]
    raise DataError(f'{folder}: damaged: {told}; delete it and it is prepared again') from error
  return Prepared(
    fingerprint=builder.builder_config.name,
    directory=folder,
    index=index,
    records=records,
    label_names=source.label_names,
    input_shape=source.input_shape,
    input_dtype=source.input_dtype,
    parameters=dict(source.parameters),
    skipped=skipped,
  )


def _read(folder: Path, shards: Sequence[Path]) -> tuple[Any, ...]:
  """Returns index, what was left out, and records; raises anything where they are damaged."""
  if (folder / 'sizes.json').exists():  # Not in datasets of earlier versions.
    expected = json.loads((folder / 'sizes.json').read_text())
    for name, size in _sizes(folder, shards).items():
      if size != expected[name]:
        raise ValueError(f'{name}: expected {expected[name]} bytes, found {size}')
  index = Index(**np.load(folder / 'index.npz', allow_pickle=False))
  with (folder / 'skipped.csv').open(newline='') as file:
    _, *skipped = ((identity, reason) for identity, reason in csv.reader(file))
  records = array_record_data_source.ArrayRecordDataSource(list(map(os.fspath, shards)))
  if not np.array_equal(np.sort(index.positions), np.arange(len(records))):
    raise ValueError(f'expected {len(index.positions)} records, found {len(records)}')
  return index, tuple(skipped), records
