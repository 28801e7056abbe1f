"""Packs a `Source` into TFDS shards (ArrayRecord), a split a fold.

TFDS and TensorFlow are imported here, which takes a second: what is packed is opened without them.
"""

import csv
import dataclasses
import functools
import itertools
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
import tqdm
from array_record.python import array_record_data_source
from tensorflow_datasets.core import dataset_builder

from musicjax.data import examples, splits, workers
from musicjax.data.prepared import Index, check_skipped, frame_bytes_of, sizes
from musicjax.data.source import Source
from musicjax.errors import DataError
from musicjax.host_tensorflow import tf

# Shards are what workers share out among them and what a killed preparation keeps: many, not tiny.
_SHARDS = 64  # Of a dataset, about.
_MIN_ROWS, _MAX_ROWS = 32, 1024  # Of a shard.


class FoldsBuilder(dataset_builder.FileReaderBuilder, skip_registration=True):
  """A dataset with a fold a split, and one more for the data's own test set."""

  name = 'musicjax'
  VERSION = tfds.core.Version('1.0.0')

  def __init__(self, source: Source, config, name: str, root: Path):
    self._source, self._config = source, config
    super().__init__(
      config=tfds.core.BuilderConfig(name=name, version=self.VERSION),
      data_dir=root,
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
        label_dtype=source.label_dtype,
      ),
    )

  def download_and_prepare(self, beam_options: Any | None = None) -> None:
    """Renames the finished dataset into place, all or nothing.

    TFDS's own method starts in an empty folder each time. This one goes on in the folder that a
    killed preparation left, so that no shard is written twice, and none has to be moved.
    """
    for leftover in self.data_path.parent.glob('incomplete.*'):  # Of earlier versions.
      shutil.rmtree(leftover)
    folder = Path(self.data_path.parent, 'unfinished')
    folder.mkdir(exist_ok=True)
    write_shards = workers.write_shards
    if beam_options is not None:
      from musicjax.data import beam

      write_shards = functools.partial(beam.write_shards, options=beam_options)
    self._download_and_prepare(folder, write_shards)
    self.info.write_to_directory(folder)
    for path in (*folder.iterdir(), folder):
      _sync(path)
    folder.rename(self.data_path)
    _sync(folder.parent)
    for path in self.data_path.glob('*.array_record*.*'):  # What workers left beside the shards.
      path.unlink()

  def _download_and_prepare(
    self, folder: Path, write_shards: Callable[..., list[workers.Written]]
  ) -> None:
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
    folds = {
      fold: _plan_shards(source, rows, self._template(fold, folder))
      for fold, rows in _assign_folds(source, config).items()
    }
    shards = list(itertools.chain.from_iterable(folds.values()))
    workers.clear(folder, shards)
    with tqdm.tqdm(total=len(source.ids), desc='Preparing', unit=' tracks') as bar:
      written = write_shards(shards, reader, config.decode_seconds, bar.update)
    skipped = sorted(itertools.chain.from_iterable(w.skipped for w in written))
    check_skipped(skipped, len(source.ids), config.max_skipped)

    infos, rest = [], iter(written)
    for fold, in_fold in folds.items():
      of_fold = list(itertools.islice(rest, len(in_fold)))
      infos.append(
        tfds.core.SplitInfo(
          name=_split_name(fold),
          shard_lengths=[w.num_records for w in of_fold],
          num_bytes=sum(w.num_bytes for w in of_fold),
          filename_template=self._template(fold, folder),
        )
      )
      if not infos[-1].num_examples:
        name, total = infos[-1].name.replace('_', ' '), sum(len(s.ids) for s in in_fold)
        raise DataError(
          f'{name}: no example is left of {total}; the first: {of_fold[0].skipped[0][1]}'
        )
    self.info.set_splits(tfds.core.SplitDict(infos))
    of_records = np.repeat(list(folds), [info.num_examples for info in infos])
    index = _build_index([s.path for s in shards], of_records, source)
    _write_index(index, folder / 'index.npz')
    with (folder / 'skipped.csv').open('w', newline='', encoding='utf-8') as file:
      csv.writer(file).writerows([('id', 'reason'), *sorted([*skipped, *source.left_out])])
    (folder / 'sizes.json').write_text(json.dumps(sizes(folder, [s.path for s in shards])))

  def _template(self, fold: int, folder: Path) -> tfds.core.ShardedFileTemplate:
    return tfds.core.ShardedFileTemplate(
      data_dir=folder,
      dataset_name=self.name,
      split=_split_name(fold),
      filetype_suffix='array_record',
    )


def _assign_folds(source: Source, config) -> dict[int, np.ndarray]:
  """Returns the rows of each fold, ascending; of the data's own test set last."""
  how = config.num_folds, config.split_seed, source.official_folds
  labels = source.labels
  if labels.dtype != bool:  # What is spread evenly over the folds, then.
    labels = labels > np.median(labels, axis=0)
  if source.official_splits is None:
    folds = splits.assign_folds(source.groups, labels, *how)
  else:
    folds = splits.assign_around_splits(source.groups, labels, source.official_splits, *how)
  numbers = [*range(config.num_folds), *([splits.TEST] if (folds == splits.TEST).any() else [])]
  return {number: np.flatnonzero(folds == number) for number in numbers}


def _split_name(fold: int) -> str:
  return 'test' if fold == splits.TEST else f'fold_{fold}'


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
      labels=source.labels[part].astype(source.label_dtype),
      weights=None if source.weights is None else source.weights[part].tolist(),
    )
    for part, path in zip(parts, template.sharded_filepaths(len(parts)), strict=True)
  ]


def _sync(path: Path) -> None:
  """What a file holds, or the names in a folder, outlive a loss of power from here on."""
  descriptor = os.open(path, os.O_RDONLY)
  try:
    os.fsync(descriptor)
  finally:
    os.close(descriptor)


def _build_index(paths: list[Path], folds: np.ndarray, source: Source) -> Index:
  """Reads all records once, so that the index holds for any writer and any order it chose.

  Args:
    paths: of the shards.
    folds: [n] of the records in them.
    source: that they were made from.
  """
  frame_bytes = frame_bytes_of(source.input_shape, source.input_dtype)
  columns = {'id': [], 'track': [], 'length': [], 'labels': [], 'weight': []}
  reader = array_record_data_source.ArrayRecordDataSource(list(map(os.fspath, paths)))
  for start in range(0, len(reader), 256):
    batch = examples.parse(
      tf.constant(reader.__getitems__(range(start, min(start + 256, len(reader)))))
    )
    columns['id'].append(batch['id'].numpy().astype(str))
    columns['track'].append(batch['track'].numpy().astype(str))
    columns['length'].append(tf.strings.length(batch['inputs']).numpy() // frame_bytes)
    columns['labels'].append(tf.io.decode_raw(batch['labels'], source.label_dtype).numpy())
    columns['weight'].append(tf.io.decode_raw(batch['weight'], tf.float32).numpy()[:, 0])
  columns = {name: np.concatenate(parts) for name, parts in columns.items()}
  order = np.argsort(columns['id'])
  return Index(
    ids=columns['id'][order],
    tracks=columns['track'][order],
    folds=folds[order].astype(np.int32),
    positions=order.astype(np.int64),
    lengths=columns['length'][order].astype(np.int32),
    labels=columns['labels'][order].astype(source.labels.dtype),
    weights=columns['weight'][order],
  )


def _write_index(index: Index, path: Path) -> None:
  with path.open('wb') as file:
    np.savez_compressed(file, **dataclasses.asdict(index))
