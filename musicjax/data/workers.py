"""Decodes raw files and writes shards, in worker processes that may hang or crash.

A worker says through its pipe which file it is about to decode. So the parent knows what a dead
worker was at, kills one whose file takes too long (also inside C code, where no Python runs), and
has the shard written again without that file. A shard takes its name when it is whole.

Worker processes import this module, so it imports neither JAX nor TensorFlow.
"""

import collections
import ctypes
import dataclasses
import functools
import json
import multiprocessing
import os
import signal
import sys
import time
import traceback
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing import connection
from pathlib import Path
from typing import Any

import numpy as np
from array_record.python import array_record_module

from musicjax.data.records import make_record
from musicjax.data.source import FEATURE_BATCH, FEATURE_BYTES
from musicjax.errors import DataError, StorageError, told_of_full_disk

_TICK = 0.25  # Seconds between looks at the clock.
_EXAMPLES_A_WORKER = 32  # Fewer are not worth the start of another process.
_MAX_DEATHS = 2  # Of workers that write a shard without decoding, before it is given up.
_PROCESS_NAME = 'musicjax-preparation'
# A record is read alone, and in half the time that decompressing it takes.
WRITER_OPTIONS = 'group_size:1,uncompressed'
# What workers say, beside the position in the shard of the example they begin to decode.
_DECODED = -1  # They decode no more, but compute and write.
_READY = -2  # For the next shard; the last one is whole.


@dataclasses.dataclass(frozen=True)
class Reader:
  """How every example is read: fields of the `Source`, and whether bad ones are left out."""

  decode: Callable[[Any], np.ndarray]
  features: Callable[[list[np.ndarray]], list[np.ndarray]] | None
  input_shape: tuple[int | None, ...]
  input_dtype: str
  skip_bad: bool
  sliced: bool = False


@dataclasses.dataclass(frozen=True)
class Shard:
  """What a file is to hold: ids, keys, labels [examples, ...] as stored, weights of examples."""

  path: Path
  ids: Sequence[str]
  keys: Sequence[Any]
  labels: np.ndarray
  weights: Sequence[float] | None = None

  def name(self, position: int) -> str:
    """Of an example, for people: its file where it has one."""
    key = self.keys[position]
    return str(key) if isinstance(key, str | os.PathLike) else self.ids[position]


@dataclasses.dataclass(frozen=True)
class Written:
  """What a shard came to hold; kept beside it.

  Attributes:
    num_records: in the shard; a track has one a slice.
    num_bytes: of its records.
    skipped: (id, reason) of examples left out.
    time_limit: seconds an example had that was left out for taking longer; 0 where there is none.
  """

  num_records: int
  num_bytes: int
  skipped: Sequence[tuple[str, str]]
  time_limit: float


def write_shards(
  shards: Sequence[Shard], reader: Reader, decode_seconds: float, progress: Callable[[int], Any]
) -> list[Written]:
  """Writes the shards that are not there yet, one a worker at a time, by a worker a CPU.

  Args:
    shards: to write.
    reader: of their examples.
    decode_seconds: what the decoding of one example may take.
    progress: is told how many more examples are done; fewer than 0 where a shard begins again.

  Returns:
    what each shard holds.

  Raises:
    DataError: an example cannot be read and is not to be left out; workers die.
    StorageError: the disk is full.
    RuntimeError: a mistake in the dataset's module, with its traceback.
  """
  waiting = collections.deque()
  for shard in shards:
    if written(shard.path, decode_seconds):
      progress(len(shard.ids))
    else:
      waiting.append(_Job(shard))
  left = sum(len(job.shard.ids) for job in waiting)
  num_workers = min(os.cpu_count(), -(-left // _EXAMPLES_A_WORKER))
  workers = []
  try:
    while waiting or any(worker.job for worker in workers):
      for worker in workers:
        if worker.job is None and waiting:
          worker.begin(waiting.popleft())
      while waiting and len(workers) < num_workers:
        workers.append(_Worker(reader, waiting.popleft()))
      before = time.monotonic()
      talking = connection.wait([worker.pipe for worker in workers], _TICK)
      # A tick at most: the clock of a file stands still while all processes are stopped (Ctrl-Z).
      elapsed = min(time.monotonic() - before, _TICK)
      for worker in list(workers):
        worker.seconds += elapsed
        if worker.pipe in talking:
          progress(worker.listen())
        late = worker.position is not None and worker.seconds > decode_seconds
        if late or worker.dead:
          workers.remove(worker)
          end = worker.end()
          if worker.job:
            progress(-worker.seen)
            _take_note(worker, end, decode_seconds if late else 0, reader.skip_bad)
            waiting.appendleft(worker.job)
  finally:
    for worker in workers:
      worker.end()
  return [written(shard.path, decode_seconds) for shard in shards]


@dataclasses.dataclass
class _Job:
  """A shard to write; positions that killed a worker are excluded: (reason, time limit or 0)."""

  shard: Shard
  excluded: dict[int, tuple[str, float]] = dataclasses.field(default_factory=dict)
  deaths: int = 0


class _Worker:
  """A process, and what it was last heard to do.

  Attributes:
    job: it works on, None where it has none.
    position: of the example in the shard that it decodes, None where it does not.
    seconds: it has been at that.
    seen: examples of the job that it came to.
    dead: it can say no more.
  """

  def __init__(self, reader: Reader, job: _Job):
    # Spawned: a fork of a process with JAX's threads in it can hang.
    context = multiprocessing.get_context('spawn')
    self.pipe, theirs = context.Pipe()
    self.process = context.Process(
      target=_work, args=(theirs, os.getpid()), name=_PROCESS_NAME, daemon=True
    )
    self.process.start()
    theirs.close()  # Then the end of the process is the end of the pipe.
    self.dead, self.ready = False, False
    self.begin(job)
    self._say(reader)

  def begin(self, job: _Job) -> None:
    self.job, self.position, self.seconds, self.seen = job, None, 0.0, 0
    if self.ready:
      self._say((job.shard, job.excluded))

  def listen(self) -> int:
    """Returns how many examples more it has come to."""
    before, total = self.seen, len(self.job.shard.ids) if self.job else 0
    try:
      while self.pipe.poll():
        message = self.pipe.recv()
        if isinstance(message, Exception):
          raise message
        self.seconds = 0.0
        self.position = message if message >= 0 else None
        self.seen += message >= 0
        if message == _READY and self.ready:
          self.job, self.seen = None, total
        elif message == _READY:
          self.ready = True
          self._say((self.job.shard, self.job.excluded))
    except (EOFError, OSError):  # OSError: in the middle of a message.
      self.dead = True
    return self.seen - before

  def end(self) -> str:
    """Kills the process; returns how it ended, where it did so by itself."""
    if self.dead:
      self.process.join(1)
    self.process.kill()
    self.process.join(5)  # No longer: the kernel may hold it, in a read from a network drive.
    self.pipe.close()
    code = self.process.exitcode
    return f'signal {-code}' if code and code < 0 else f'exit code {code}'

  def _say(self, message: Any) -> None:
    try:
      self.pipe.send(message)
    except ConnectionError:
      self.dead = True


def _take_note(worker: _Worker, end: str, time_limit: float, skip_bad: bool) -> None:
  """Excludes the example that killed a worker, or was killed after `time_limit` s."""
  job = worker.job
  if worker.position is None:
    job.deaths += 1
    if job.deaths == _MAX_DEATHS:
      raise DataError(
        f'{job.shard.path}: {job.deaths} processes died while they wrote it ({end}); '
        'is there enough memory?'
      )
    return
  what = (
    f'decoding took longer than {time_limit:g} s' if time_limit else f'the decoder crashed ({end})'
  )
  reason = f'{job.shard.name(worker.position)}: {what}'
  if not skip_bad:
    raise DataError(reason)
  job.excluded[worker.position] = (reason, time_limit)


def _work(pipe: connection.Connection, parent: int) -> None:
  """Writes one shard after the other: what a worker process does."""
  if sys.platform == 'linux':
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: nobody outlives the parent.
  if os.getppid() != parent:
    os._exit(1)
  signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which kills us.
  # Before JAX is imported, by what the pipe brings.
  os.environ['JAX_PLATFORMS'] = 'cpu'
  if 'jax' in sys.modules:  # By the main program, which is imported here again.
    sys.modules['jax'].config.update('jax_platforms', 'cpu')
  try:
    reader = pipe.recv()
    while True:
      pipe.send(_READY)
      shard, excluded = pipe.recv()
      with told_of_full_disk(shard.path):
        _write_shard(shard, excluded, reader, pipe.send)
  except (EOFError, ConnectionError):
    pass
  except (DataError, StorageError) as error:
    pipe.send(error)
  except Exception:
    pipe.send(RuntimeError(f'in a worker process:\n{traceback.format_exc()}'))


def _write_shard(
  shard: Shard,
  excluded: Mapping[int, tuple[str, float]],
  reader: Reader,
  say: Callable[[int], Any],
) -> None:
  """Writes a shard and what it holds; the shard takes its name last.

  Raises:
    DataError: an example cannot be read and is not to be left out.
    StorageError: the shard cannot be written.
  """
  shard.path.unlink(missing_ok=True)
  # Beam may have a shard written on two hosts at once.
  temporary = shard.path.with_name(f'{shard.path.name}.{uuid.uuid4().hex}.tmp')
  refused = functools.partial(told_of_full_disk, temporary, RuntimeError)
  with refused():
    writer = array_record_module.ArrayRecordWriter(os.fspath(temporary), WRITER_OPTIONS)
  skipped = {position: reason for position, (reason, _) in excluded.items()}
  num_records, num_bytes = 0, 0
  positions = (p for p in range(len(shard.ids)) if p not in excluded)
  while decoded := _decode(shard, positions, reader, skipped, say):
    inputs = list(decoded.values())
    if reader.features:
      inputs = reader.features(inputs)
    for position, array in zip(decoded, inputs, strict=True):
      track = shard.ids[position]
      ids = [f'{track}#{n:04d}' for n in range(len(array))] if reader.sliced else [track]
      for identity, one in zip(ids, array if reader.sliced else [array], strict=True):
        _check(one, reader, shard.name(position))
        weight = None if shard.weights is None else shard.weights[position]
        record = make_record(identity, track, one, shard.labels[position], weight)
        with refused():
          writer.write(record)
        num_records, num_bytes = num_records + 1, num_bytes + len(record)
  with refused():  # Mostly it tells here of all that it wrote.
    writer.close()
  _write_durably(
    _beside(shard.path),
    Written(
      num_records=num_records,
      num_bytes=num_bytes,
      skipped=[(shard.ids[position], skipped[position]) for position in sorted(skipped)],
      time_limit=max((limit for _, limit in excluded.values()), default=0),
    ),
  )
  with temporary.open('rb') as file:
    os.fsync(file.fileno())
  temporary.rename(shard.path)


def _decode(
  shard: Shard,
  positions: Iterator[int],
  reader: Reader,
  skipped: dict[int, str],
  say: Callable[[int], Any],
) -> dict[int, np.ndarray]:
  """Returns the next examples by position, as many as go through the features at once.

  Raises:
    DataError: an example cannot be read and is not to be left out; else it is put into `skipped`.
  """
  decoded, num_bytes = {}, 0
  for position in positions:
    say(position)
    try:
      decoded[position] = reader.decode(shard.keys[position])
    except DataError as error:
      if not reader.skip_bad:
        raise
      skipped[position] = str(error)
      continue
    num_bytes += decoded[position].nbytes
    if len(decoded) == FEATURE_BATCH or num_bytes >= FEATURE_BYTES:
      break
  say(_DECODED)
  return decoded


def _check(array: np.ndarray, reader: Reader, name: str) -> None:
  fits = len(array.shape) == len(reader.input_shape) and all(
    expected in (None, found)
    for expected, found in zip(reader.input_shape, array.shape, strict=True)
  )
  if not fits or array.dtype != np.dtype(reader.input_dtype):
    raise TypeError(
      f'{name}: expected {reader.input_dtype} {list(reader.input_shape)}, '
      f'found {array.dtype} {list(array.shape)}'
    )


def check_no_worker() -> None:
  """Raises RuntimeError in a worker, which imports the program that started it."""
  if multiprocessing.current_process().name == _PROCESS_NAME:
    raise RuntimeError(
      "the program prepares data as it is imported; let it do so under if __name__ == '__main__':"
    )


def clear(folder: Path, shards: Sequence[Shard]) -> None:
  """Deletes what is no whole shard of these, or belongs to one."""
  keep = {shard.path for shard in shards if shard.path.exists()}
  keep |= {_beside(path) for path in keep}
  for path in folder.iterdir():
    if path not in keep:
      path.unlink()


def written(path: Path, decode_seconds: float) -> Written | None:
  """Returns what a shard holds; None where it must be written, for the first time or again.

  Again where an example ran out of time, and would have more of it now.
  """
  if not path.exists():
    return None
  told = json.loads(_beside(path).read_text())
  result = Written(**told | {'skipped': [tuple(row) for row in told['skipped']]})
  return None if 0 < result.time_limit < decode_seconds else result


def _beside(path: Path) -> Path:
  return path.with_name(f'{path.name}.json')


def _write_durably(path: Path, what: Written) -> None:
  temporary = path.with_name(f'{path.name}.{uuid.uuid4().hex}.tmp')
  with temporary.open('w') as file:
    json.dump(dataclasses.asdict(what), file)
    file.flush()
    os.fsync(file.fileno())
  temporary.rename(path)
