"""Opens the dataset a config asks for, after packing it into shards where that was not yet done.

A prepared dataset is named after everything it was made from, so another label, file or parameter
leads to another dataset and stale shards are never served.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import filelock
import numpy as np

from musicjax.data import builders, workers
from musicjax.data.prepared import Prepared, check_skipped, open_folder
from musicjax.data.source import Source
from musicjax.errors import told_of_full_disk

_FORMAT = 2  # Raised when records, index or fold assignment change their meaning.


def prepare(config) -> Prepared:
  """Opens the dataset a config asks for, packing it first where that was not yet done.

  Of several processes one packs, and the others wait for it. Killed at any moment, packing goes on
  where it was.

  Raises:
    ConfigError, DataError: what the dataset module, the splits or a raw file object to.
    StorageError: the disk is full; the same call goes on once there is room.
  """
  source = builders.module(config.dataset.name).load(config)
  name = pack(source, config)
  prepared = open_folder(folder_of(name, config), name, source)
  left_out = set(source.left_out)
  check_skipped(
    [row for row in prepared.skipped if row not in left_out], len(source.ids), config.max_skipped
  )
  return prepared


def pack(source: Source, config, beam_options: Any | None = None) -> str:
  """Packs a dataset where that was not yet done, and returns its name.

  Args:
    source: of the config's dataset module.
    config: of the run.
    beam_options: PipelineOptions; with them Apache Beam shares the work out (`data/beam.py`).

  Raises:
    DataError, StorageError: as `prepare`.
  """
  name = dataset_name(source, config)
  folder = folder_of(name, config)
  if folder.exists():
    return name
  with _only_process(folder):
    if folder.exists():  # Another process has done it.
      return name
    from musicjax.data import folds_builder  # With TensorFlow and TFDS.

    print(f'preparing {len(source.ids)} tracks in {folder}', flush=True)
    builder = folds_builder.FoldsBuilder(source, config, name, root_of(config))
    with told_of_full_disk(folder):
      builder.download_and_prepare(beam_options)
  return name


def root_of(config) -> Path:
  """Returns where all prepared datasets are kept."""
  given = config.prepared_dir or os.environ.get('TFDS_DATA_DIR')
  return Path(given or '~/tensorflow_datasets').expanduser()  # As TFDS looks for them.


def folder_of(name: str, config) -> Path:
  """Returns where TFDS keeps a prepared dataset there."""
  return root_of(config) / 'musicjax' / name / '1.0.0'


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


def dataset_name(source: Source, config) -> str:
  """Returns a name made from all that the prepared dataset depends on."""
  contents = dict(
    format=_FORMAT,
    parameters=source.parameters,
    manifest=source.manifest,
    ids=source.ids.tolist(),
    groups=source.groups.tolist(),
    official_folds=None if source.official_folds is None else source.official_folds.tolist(),
    label_names=source.label_names,
    labels=hashlib.sha256(_label_bytes(source)).hexdigest(),
    sliced=source.sliced,
    num_folds=config.num_folds,
    split_seed=config.split_seed,
    on_bad_example=config.on_bad_example,
  )
  # Datasets without these keep the names they had before there were such.
  if source.official_splits is not None:
    contents['official_splits'] = source.official_splits.tolist()
  if source.left_out:
    contents['left_out'] = source.left_out
  if source.weights is not None:
    contents['weights'] = source.weights.tolist()
  digest = hashlib.sha256(json.dumps(contents, sort_keys=True).encode()).hexdigest()
  return f'{source.name}-{source.preparation}-{digest[:12]}'


def _label_bytes(source: Source) -> bytes:
  return (np.packbits(source.labels) if source.labels.dtype == bool else source.labels).tobytes()
