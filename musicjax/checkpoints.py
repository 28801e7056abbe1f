"""Saves and restores train states; the only file that imports orbax.

Orbax writes a step's folder under another name and renames it when all is written, so a kill leaves
no half of one. What it does not see is a file that was truncated, zeroed or altered later: numbers
in it would be restored as they are. So each folder is sealed before it is renamed: `seal.json`
holds the size and CRC-32 of its files, and nothing is restored from a folder that differs.
"""

import contextlib
import dataclasses
import functools
import itertools
import json
import os
import re
import shutil
import sys
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import jaxlib
import orbax.checkpoint as ocp
from jax.sharding import Sharding

from musicjax import processes
from musicjax.errors import ConfigError, DataError, StorageError
from musicjax.sharding import is_main_process
from musicjax.train_state import TrainState

_SEAL, _ITEM, _ORBAX_METADATA = 'seal.json', 'default', '_CHECKPOINT_METADATA'
_DELETED = 'deleted'  # Folder of those that are being deleted.


@dataclasses.dataclass
class _TwoLatestAndTheirBest:
  """Keeps the newest checkpoint, to resume from, and the best one, to report.

  And the same of the one before, for the day the newest is damaged. The train state is what knows
  the best step; Orbax's own ranking by metric would be a second opinion, and keeps the newest of
  equals where the state keeps the first.
  """

  best_of: dict[int, int]  # Step -> the best one as that checkpoint knew it.

  def should_preserve(self, checkpoints: Sequence, *, context) -> list[bool]:
    del context
    newest = sorted(c.step for c in checkpoints)[-2:]
    kept = {*newest, *(self.best_of.get(step) for step in newest)}
    return [c.step in kept for c in checkpoints]


class _Manager(ocp.CheckpointManager):
  """Orbax's, which would ask on its own, from several threads, whether to stop."""

  def reached_preemption(self, step: int) -> bool:
    del step
    return False  # `processes.on_sigterm_stop` counts who asks.


class Checkpoints:
  """The checkpoints of a workdir, written in the background.

  A reader leaves everything in place: the run it looks at may be writing, and what that deletes
  meanwhile is not missed. A writer renames what is damaged to `STEP.corrupt`: the run will save
  that step again. What it deletes it first moves to `deleted/`.

  Raises:
    DataError: to a writer, if there are checkpoints and all of them are damaged.
  """

  def __init__(self, directory: Path, *, read_only: bool):
    self._directory = directory.absolute()
    self._being_saved = {}
    # What was found as it was saved, and need not be read twice.
    self._verified = set() if read_only else set(processes.from_main(self._set_right))

  @functools.cached_property
  def _policy(self) -> _TwoLatestAndTheirBest:
    return _TwoLatestAndTheirBest(
      {
        step: _read_seal(self._directory / str(step))['best_step']
        for step in _steps(self._directory)
      }
    )

  @functools.cached_property
  def _manager(self) -> ocp.CheckpointManager:
    """Orbax's, of a writer; it makes the folder, so it is made when it is needed."""
    return _Manager(
      self._directory,
      options=ocp.CheckpointManagerOptions(
        preservation_policy=self._policy,
        cleanup_tmp_directories=True,
        # By a rename: nobody sees a half of one.
        todelete_subdir=_DELETED,
        # Called when all files of a step are in its folder, before that gets its final name.
        async_options=ocp.AsyncOptions(post_finalization_callback=self._seal),
      ),
    )

  @property
  def latest_step(self) -> int | None:
    """The newest step saved, None where there is none."""
    return self._manager.latest_step()

  def save(self, state: TrainState, seconds: float, learning_rate: float) -> None:
    """Saves under the state's own step; replaces what was saved there before an evaluation.

    Args:
      state: of the run.
      seconds: of training so far, over all starts.
      learning_rate: of the last update.

    Raises:
      StorageError: if this write, or the one before it in the background, failed.
    """
    step, best_step = int(state.step), int(state.progress.best_step)
    self.wait()
    self._verified.clear()  # Until it is read again, hours may pass.
    self._policy.best_of[step] = best_step
    self._being_saved = {
      'step': step, 'best_step': best_step, 'seconds': seconds, 'learning_rate': learning_rate,
      'topology': topology(),
    }  # fmt: skip
    with self._told_of_failure():
      if step == self.latest_step:
        self._manager.delete(step)  # A rename. `_set_right` takes it back if this one fails.
      self._manager.save(step, args=ocp.args.StandardSave(state))

  def metadata(self, which: str) -> dict[str, Any]:
    """Returns {step, best_step, seconds, learning_rate, topology} of a checkpoint."""
    return processes.from_main(lambda: _read_seal(self._directory / str(self.resolve(which))))

  def resolve(self, which: str) -> int:
    """Returns the step that `best`, `latest` or a number stands for.

    Raises:
      ConfigError: listing the saved steps, if it is none of them.
      DataError: if it is damaged; for `latest`, if all are.
    """
    while True:
      # Else a training has deleted what was listed: what it keeps now is listed anew.
      with contextlib.suppress(FileNotFoundError):
        return self._resolve(which)

  def _resolve(self, which: str) -> int:
    saved = _steps(self._directory)
    if not saved:
      raise ConfigError(f'checkpoint: {self._directory} holds none')
    if which.isdecimal():
      step = int(which)
    else:
      step = latest = self._newest_undamaged(saved)
      if which == 'best':
        step = _read_seal(self._directory / str(latest))['best_step']
        if not step:
          raise ConfigError(f'checkpoint: no evaluation yet that could be best; latest is {latest}')
    if which == 'best' and step not in saved:
      raise ConfigError(
        f'checkpoint: the best one is that of step {step}, which is not in {self._directory}; '
        '--config.report_checkpoint=latest reports, and --checkpoint=latest scores, without it'
      )
    if step not in saved or which not in ('best', 'latest', str(step)):
      raise ConfigError(f'checkpoint: expected best, latest or one of {saved}, found {which!r}')
    if which != 'latest' and (fault := self._fault(step)):
      raise DataError(f'checkpoint {which}: {self._directory / str(step)} is damaged: {fault}')
    return step

  def restore(self, which: str, like: TrainState, sharding: Sharding) -> TrainState:
    """Restores `best`, `latest` or a step into the structure of `like`, on `sharding`.

    `latest` is the newest that is not damaged.

    Raises:
      ConfigError, DataError: as `resolve`, or the checkpoint is of another structure.
    """
    abstract = jax.tree.map(
      lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), like
    )
    while True:
      folder = self._directory / str(processes.from_main(lambda: self.resolve(which)))
      try:
        with ocp.StandardCheckpointer() as checkpointer:
          return checkpointer.restore(folder / _ITEM, abstract)
      except Exception as error:  # Orbax, TensorStore and JSON have no common one.
        # One that a training has deleted meanwhile is looked for anew, unless others are with us.
        if folder.exists() or jax.process_count() > 1:
          told = f'checkpoint {which}: {folder} cannot be read: {_line(error)}'
          raise DataError(told) from error

  def check(self) -> None:
    """Raises what a write in the background has met so far, without waiting for it.

    Raises:
      StorageError: if it failed.
    """
    if self._being_saved and not self._manager.is_saving_in_progress():
      self.wait()

  def wait(self) -> None:
    """Waits until everything is on disk.

    Raises:
      StorageError: if a write in the background failed.
    """
    with self._told_of_failure():
      self._manager.wait_until_finished()
    self._being_saved = {}
    if is_main_process():
      self._clear_deleted()

  def close(self) -> None:
    if '_manager' in vars(self):  # Else nothing was looked for or saved.
      self.wait()
      self._manager.close()

  def _fault(self, step: int) -> str | None:
    """Returns what is wrong with a checkpoint's files, None where they are as saved.

    Raises:
      FileNotFoundError: it is not there any more, or it is another one.
    """
    folder = self._directory / str(step)
    identity = folder.stat().st_ino
    fault = None if step in self._verified else _fault(folder)
    # Checkpoints come and go by a rename: this one was never a half.
    if fault and folder.stat().st_ino != identity:
      raise FileNotFoundError(folder)
    return fault

  def _newest_undamaged(self, saved: list[int]) -> int:
    faults = []
    for step in reversed(saved):
      fault = self._fault(step)
      if fault is None:
        return step
      faults.append(f'{step}: {fault}')
      if is_main_process():  # To stderr: what is evaluated or predicted goes to stdout.
        print(f'checkpoint {step} is damaged and passed over: {fault}', file=sys.stderr)
    raise DataError(f'{self._directory}: every checkpoint is damaged: {"; ".join(faults)}')

  def _clear_deleted(self) -> None:
    """Deletes what was to be deleted, but for what is newer than all: its successor failed."""
    newest = max(_steps(self._directory), default=0)
    for step in _steps(self._directory / _DELETED):
      if step <= newest:
        shutil.rmtree(self._directory / _DELETED / str(step))
    with contextlib.suppress(OSError):  # It is not there, or not empty.
      (self._directory / _DELETED).rmdir()

  def _set_right(self) -> list[int]:
    """Renames the damaged ones, where one is left that is not; returns those that are not.

    One that `save` was about to replace gets its name back where its successor was not finished.
    """
    self._clear_deleted()
    for step in _steps(self._directory / _DELETED):
      (self._directory / _DELETED / str(step)).rename(self._directory / str(step))
    saved = _steps(self._directory)
    faults = {step: _fault(self._directory / str(step)) for step in saved}
    damaged = {step: fault for step, fault in faults.items() if fault is not None}
    if damaged and len(damaged) == len(saved):
      described = '; '.join(f'{step}: {fault}' for step, fault in damaged.items())
      raise DataError(f'{self._directory}: every checkpoint is damaged: {described}')
    for step, fault in damaged.items():
      folder = self._directory / str(step)
      names = itertools.chain([f'{step}.corrupt'], (f'{step}.corrupt{i}' for i in range(2, 99)))
      name = next(name for name in names if not (self._directory / name).exists())
      folder.rename(self._directory / name)
      print(f'checkpoint {step} is damaged and passed over, kept as {name}: {fault}', flush=True)
    return [step for step in saved if step not in damaged]

  def _seal(self) -> None:
    """Writes `seal.json` into the folder that Orbax is about to rename into place."""
    if not is_main_process():
      return
    [folder] = self._directory.glob(f'{self._being_saved["step"]}.orbax-checkpoint-tmp*')
    content = {
      **self._being_saved,
      'files': {
        str(path.relative_to(folder)): _size_and_checksum(path, sync=True)
        for path in sorted((folder / _ITEM).rglob('*'))
        if path.is_file()
      },
    }
    text = json.dumps({'content': content, 'crc32': _checksum_of(content)})
    with (folder / _SEAL).open('w') as file:
      file.write(text)
      file.flush()
      os.fsync(file.fileno())

  @contextlib.contextmanager
  def _told_of_failure(self) -> Iterator[None]:
    try:
      yield
    except Exception as error:  # Orbax, TensorStore and the system have no common one.
      step = self._being_saved.get('step')
      kept = [saved for saved in _steps(self._directory) if saved != step]
      raise StorageError(
        f'checkpoint {step} cannot be written in {self._directory}: {_line(error)}; '
        + (f'the newest there is {kept[-1]}' if kept else 'there is none before it')
      ) from error


def _steps(directory: Path) -> list[int]:
  if not directory.is_dir():
    return []
  names = (path.name for path in directory.iterdir() if path.is_dir())
  return sorted(int(name) for name in names if name.isdecimal() and name == str(int(name)))


def topology() -> dict[str, Any]:
  """Returns what the bits of a run depend on besides (config, step)."""
  return {
    'platform': jax.default_backend(),
    'devices': jax.device_count(),
    'processes': jax.process_count(),
    'cpus': os.cpu_count(),
    'jaxlib': jaxlib.__version__,
  }


def _fault(folder: Path) -> str | None:
  """Returns what is wrong with the files of a checkpoint, None where they are as saved."""
  try:
    content = _read_seal(folder)
    for name, (size, checksum) in content['files'].items():
      found_size, found_checksum = _size_and_checksum(folder / name)
      if found_size != size:
        return f'{name}: expected {size} bytes, found {found_size}'
      if found_checksum != checksum:
        return f'{name}: the content is not what was saved'
    _check_orbax_metadata(folder)
  except DataError as error:
    return str(error)
  except OSError as error:
    return f'{Path(error.filename or folder).name}: {error.strerror}'
  return None


def _read_seal(folder: Path) -> dict[str, Any]:
  try:
    sealed = json.loads((folder / _SEAL).read_bytes())
    if sealed['crc32'] == _checksum_of(sealed['content']):
      return sealed['content']
  except (ValueError, KeyError, TypeError):
    pass
  raise DataError(f'{_SEAL}: the content is not what was saved')


def _check_orbax_metadata(folder: Path) -> None:
  """Raises DataError where Orbax could not read what it keeps beside the state, times above all.

  Nothing restored depends on it, and Orbax goes on writing it behind the seal.
  """
  try:
    if isinstance(json.loads((folder / _ORBAX_METADATA).read_bytes()), dict):
      return
  except ValueError:
    pass
  raise DataError(f'{_ORBAX_METADATA}: the content is not what was saved')


def _size_and_checksum(path: Path, sync: bool = False) -> list[int]:
  checksum = 0
  with path.open('rb') as file:
    if sync:  # The checkpoint before is deleted when this one is in place.
      os.fsync(file.fileno())
    while chunk := file.read(2**20):
      checksum = zlib.crc32(chunk, checksum)
    return [file.tell(), checksum]


def _checksum_of(content: dict[str, Any]) -> int:
  return zlib.crc32(json.dumps(content, sort_keys=True).encode())


def _line(error: Exception) -> str:
  """Returns the system's own word where there is one, else the first line of what may be pages."""
  if code := re.search(r"os_error_code='(\d+)'", str(error)):  # TensorStore's.
    return os.strerror(int(code[1]))
  if isinstance(error, OSError) and error.strerror:
    return error.strerror
  return f'{type(error).__name__}: {error}'.splitlines()[0][:300]
