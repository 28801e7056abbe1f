"""Shards written by Apache Beam's workers: in processes here, or on the hosts of a cluster.

A worker of Beam has `workers.py` write a shard, as without Beam: in a process of its own, so that
files may hang or crash it. Raw files and prepared folder lie where all hosts see them under the
same names.

Beam's workers import this module, so it imports neither JAX nor TensorFlow.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from musicjax.data import workers
from musicjax.errors import DataError

_LOOK_SECONDS = 1.0  # Between looks at which shards are there.


def write_shards(
  shards: Sequence[workers.Shard],
  reader: workers.Reader,
  decode_seconds: float,
  progress: Callable[[int], Any],
  options: PipelineOptions,
) -> list[workers.Written]:
  """Does what `workers.write_shards` does, by a pipeline with these options.

  Raises:
    DataError: as there.
    Exception: whatever the runner makes of any other error, with its traceback.
  """
  missing = [shard for shard in shards if not workers.written(shard.path, decode_seconds)]
  with _told(shards, progress), _objections(shards), beam.Pipeline(options=options) as pipeline:
    (
      pipeline
      | beam.Create(missing)
      | beam.Reshuffle()  # Else one worker might get them all.
      | beam.Map(_write, reader, decode_seconds)
    )
  return [workers.written(shard.path, decode_seconds) for shard in shards]


def _write(shard: workers.Shard, reader: workers.Reader, decode_seconds: float) -> None:
  try:
    workers.write_shards([shard], reader, decode_seconds, lambda _: None)
  except DataError as error:
    _objection(shard).write_text(str(error), encoding='utf-8')
    raise


@contextlib.contextmanager
def _objections(shards: Sequence[workers.Shard]) -> Iterator[None]:
  """Raises a worker's DataError itself, in place of what the runner makes of it."""
  try:
    yield
  except Exception as error:
    for path in map(_objection, shards):
      if path.exists():
        raise DataError(path.read_text(encoding='utf-8')) from error
    raise


def _objection(shard: workers.Shard) -> Path:
  return shard.path.with_name(f'{shard.path.name}.error')


@contextlib.contextmanager
def _told(shards: Sequence[workers.Shard], progress: Callable[[int], Any]) -> Iterator[None]:
  """Tells the examples of shards that are there, on any runner."""
  ended = threading.Event()

  def watch():
    missing = list(shards)
    last = False
    while not last:
      last = ended.wait(_LOOK_SECONDS)
      progress(sum(len(shard.ids) for shard in missing if shard.path.exists()))
      missing = [shard for shard in missing if not shard.path.exists()]

  thread = threading.Thread(target=watch)
  thread.start()
  try:
    yield
  finally:
    ended.set()
    thread.join()
