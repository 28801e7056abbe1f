"""What the processes of one run do together: wait, agree, stop, fail.

All of it goes through JAX's coordination service, not through collectives: it waits as long as a
preparation takes, works while the devices are busy, and tells who is missing. With one process
every function does the plain thing.
"""

import atexit
import contextlib
import itertools
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import jax
from jax._src import distributed  # The key-value store has no public name; Orbax imports it, too.
from jax.experimental import multihost_utils

from musicjax.errors import ConfigError, exit_line
from musicjax.sharding import is_main_process

T = TypeVar('T')

NOTHING_TO_SAVE = (
  'terminated with nothing to save; the same command goes on from the last checkpoint'
)

_PATIENCE_MS = 7 * 24 * 3600 * 1000  # A preparation may take days; a death is noticed otherwise.
_LEAVE_MS = 5000  # For the others to notice a failure, and to be gone together.
_POLL_SECONDS = 0.5
_SHARED_SECONDS = 60  # A network file system may show another host's file so much later.
_FAILURE = 'musicjax/failure'

_numbers = itertools.count()  # Of the meetings: every process has the same ones in the same order.
_leaving = threading.Lock()
_exiting = threading.Event()  # Upon SIGTERM, with nothing to save.


def wait_for_all() -> None:
  """Returns when every process has called it."""
  if jax.process_count() > 1:
    _client().wait_at_barrier(f'musicjax/{next(_numbers)}', _PATIENCE_MS)


def main_first(make: Callable[[], T]) -> T:
  """Calls `make` in the main process, then in the others, which find what it left on disk."""
  if not is_main_process():
    wait_for_all()
  result = make()
  if is_main_process():
    wait_for_all()
  return result


def from_main(make: Callable[[], Any]) -> Any:
  """Calls `make` in the main process alone; returns its value, as JSON keeps it, in all."""
  if jax.process_count() == 1:
    return make()
  key = f'musicjax/{next(_numbers)}'
  if is_main_process():
    _client().key_value_set(key, json.dumps(make()))
  return json.loads(_client().blocking_key_value_get(key, _PATIENCE_MS))


def check_same(facts: dict[str, Any]) -> None:
  """Returns when all processes were found to agree on facts that JSON keeps.

  Raises:
    ConfigError: naming the first fact that is another one in the main process.
  """
  there, here = from_main(lambda: facts), json.loads(json.dumps(facts))
  for name in sorted(there.keys() | here.keys()):
    if there.get(name) != here.get(name):
      raise ConfigError(
        f'{name}: expected the same on all processes, found {there.get(name)!r} on process 0, '
        f'{here.get(name)!r} on process {jax.process_index()}'
      )
  wait_for_all()


def check_shared(path: Path) -> None:
  """Returns when every process sees the file, which the main one has written.

  Raises:
    ConfigError: the folder is one of this process alone.
  """
  wait_for_all()
  deadline = time.monotonic() + _SHARED_SECONDS
  while not path.exists():
    if time.monotonic() > deadline:
      raise ConfigError(
        f'--workdir: expected a folder that all processes share, found no {path} '
        f'on process {jax.process_index()}, which process 0 has written'
      )
    time.sleep(1)
  wait_for_all()


def on_sigterm_stop() -> Callable[[], bool]:
  """Takes SIGTERM for a notice of preemption; returns () -> whether to save and stop now.

  Where several processes run, they stop at one moment, whichever of them got the signal: JAX's
  coordination service agrees on the first ask that none has come to. So all ask as often as the
  others: after every step, and before every batch of an evaluation. Once it is true it stays true.

  Asking also raises what was lost: the KeyboardInterrupt of a Ctrl-C, or the exit of a SIGTERM.
  """
  stop, interrupted = threading.Event(), threading.Event()

  def interrupt(*_):
    interrupted.set()
    raise KeyboardInterrupt

  def is_told_to_stop():
    # The first ones met a finaliser or a callback, which lose exceptions.
    if interrupted.is_set():
      raise KeyboardInterrupt
    if _exiting.is_set():
      raise SystemExit(0)
    return stop.is_set()

  if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:  # As in background.
    _on_signal(signal.SIGINT, interrupt)
  if jax.process_count() == 1:
    _on_signal(signal.SIGTERM, lambda *_: stop.set())
    return is_told_to_stop
  if distributed.global_state.preemption_sync_manager is None:
    # Only now, see `backends`: until something could be saved, SIGTERM just ends a process.
    jax.config.update('jax_enable_preemption_service', True)
    distributed.global_state.initialize_preemption_sync_manager()
  asks = itertools.count()
  multihost_utils.reached_preemption_sync_point(next(asks))

  def is_time_to_stop() -> bool:
    if not is_told_to_stop() and multihost_utils.reached_preemption_sync_point(next(asks)):
      stop.set()
    return stop.is_set()

  return is_time_to_stop


def on_sigterm_exit() -> None:
  """Lets SIGTERM end a single process with exit code 0: there is nothing to save.

  Among several it ends the process as it does by default, which the others notice; after
  `on_sigterm_stop` it remains what they agree about.
  """
  _exiting.clear()
  if jax.process_count() == 1:
    _on_signal(signal.SIGTERM, _exit_at_once)
  elif distributed.global_state.preemption_sync_manager is None:
    _on_signal(signal.SIGTERM, signal.SIG_DFL)


def on_sigterm_die() -> None:
  """Lets SIGTERM do again what it does by default."""
  _on_signal(signal.SIGTERM, signal.SIG_DFL)


def _exit_at_once(*_) -> None:
  _exiting.set()
  os.write(1, f'{NOTHING_TO_SAVE}\n'.encode())  # It may interrupt a `print`.
  raise SystemExit(0)


@contextlib.contextmanager
def ending_together() -> Iterator[None]:
  """Keeps processes until all are done, and ends all of them when one fails.

  The first failure decides the exit code. An error that is told in one line is told by the main
  process alone; any other one also where it was met.
  """
  if jax.process_count() == 1:
    yield
    return
  done = threading.Event()
  watcher = threading.Thread(target=_watch, args=(done,), daemon=True)
  watcher.start()
  try:
    yield
  except BaseException as error:
    if not (isinstance(error, SystemExit) and not error.code):
      _fail(error)
      raise
  # The main process is the coordinator: nobody can stay longer than it, and it writes last.
  wait_for_all()
  done.set()
  watcher.join()


def _fail(error: BaseException) -> None:
  """Returns where this process is the one to tell of the error; else leaves at once."""
  known = exit_line(error)
  code, line = known or (1, f'stopped: {type(error).__name__}')
  failure = {'process': jax.process_index(), 'code': code, 'line': line}
  try:
    _client().key_value_set(_FAILURE, json.dumps(failure))
  except jax.errors.JaxRuntimeError:  # There is one already, and this may be what came of it.
    _leave(_failure() or failure)
  if known and not is_main_process():
    _leave(failure)
  # What jax does at exit would wait for the others, who wait for this process.
  atexit.register(_leave, failure)


def _watch(done: threading.Event) -> None:
  while not done.wait(_POLL_SECONDS):
    if failure := _failure():
      if failure['process'] == jax.process_index():
        time.sleep(_LEAVE_MS / 1000)  # It is leaving by itself, unless a thread holds it back.
      _leave(failure)


def _failure() -> dict[str, Any] | None:
  try:
    return json.loads(_client().key_value_try_get(_FAILURE))
  except jax.errors.JaxRuntimeError:
    return None


def _leave(failure: dict[str, Any]) -> None:
  """Ends this process with the failure's exit code, about when the others end."""
  _leaving.acquire()  # For good: one thread does it.
  if is_main_process() and failure['process'] != 0:
    print(f'{failure["line"]} (process {failure["process"]})', file=sys.stderr)
  with contextlib.suppress(jax.errors.JaxRuntimeError):
    _client().wait_at_barrier('musicjax/leave', _LEAVE_MS)
  if is_main_process():
    time.sleep(0.5)  # Processes that outlive their coordinator are aborted, and say so at length.
  sys.stdout.flush()
  sys.stderr.flush()
  os._exit(failure['code'])


def _client():
  return distributed.global_state.client


def _on_signal(number: signal.Signals, handler: Any) -> None:
  if threading.current_thread() is threading.main_thread():  # Others may not set it.
    signal.signal(number, handler)
