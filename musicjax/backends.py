"""Sets up JAX, and how TensorFlow will be beside it, before either is imported."""

import contextlib
import ctypes
import gc
import os
import sys
from collections.abc import Iterator

from musicjax.errors import ConfigError

COMPILATION_CACHE = os.environ.get(
  'JAX_COMPILATION_CACHE_DIR', os.path.expanduser('~/.cache/musicjax/xla')
)

# Of glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8


def set_up(compilation_cache: str = COMPILATION_CACHE, distributed: bool = False) -> None:
  """Makes JAX ready to compile.

  Args:
    compilation_cache: folder that keeps compiled programs for the next start; empty: none.
    distributed: join the processes of a TPU pod or a Slurm job, which JAX finds by itself, or
      those that JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID tell of.

  Raises:
    ConfigError: there are no processes to join.
  """
  if os.environ.get('MUSICJAX_KEEP_MEMORY', '1') != '0':
    _keep_memory()
  # TensorFlow only reads data here; what it says of its own speed is of no use to anyone.
  os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')
  os.environ.setdefault('TF_ENABLE_ONEDNN_OPTS', '0')
  # TensorFlow then leaves Keras alone, which nothing here uses and which takes a second to import.
  os.environ.setdefault('TF_USE_LEGACY_KERAS', '1')
  import jax

  # A CPU computes in the thread that asks. Only the main thread's heap can hold arrays above 64 MB:
  # for another thread glibc maps them anew at each step, whatever `_keep_memory` says. Of several
  # processes the main thread notices the death of another one, and must not wait for it in a step.
  jax.config.update('jax_cpu_enable_async_dispatch', distributed)
  if distributed:
    _join()
  if compilation_cache:
    jax.config.update('jax_compilation_cache_dir', compilation_cache)
    jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.5)


@contextlib.contextmanager
def importing() -> Iterator[None]:
  """Keeps Python's search for garbage away from what is imported, meanwhile and ever after.

  Modules stay, but their half a million objects are looked through again and again as they come: a
  fifth of all imports. Later searches, as in tracing, would look through them, too.
  """
  known = len(sys.modules)
  gc.disable()
  try:
    yield
  finally:
    if len(sys.modules) > known:  # Else it would only keep what others have made.
      gc.freeze()
    gc.enable()


def _keep_memory() -> None:
  """Keeps glibc from handing the memory of large arrays back to Linux, before threads start.

  It would map and unmap them at each step, and the kernel would zero every page: a quarter of a
  CNN's training step on a CPU. MUSICJAX_KEEP_MEMORY=0 leaves it alone, for a machine short of
  memory.
  """
  mallopt = getattr(ctypes.CDLL(None), 'mallopt', None)  # Not in every C library.
  if sys.platform == 'linux' and mallopt is not None:
    mallopt(_MMAP_MAX, 0)
    mallopt(_TRIM_THRESHOLD, -1)  # Never: a step's arrays can be more than the 2 GB of an int.
    mallopt(_ARENA_MAX, 2)  # With one, threads that compile wait for each other.


def _join() -> None:
  """Meets the other processes; all wait here until all are there."""
  import jax

  # JAX reads the first of the three by itself, and the others not at all.
  told = {
    name: int(os.environ[variable])
    for name, variable in (('num_processes', 'JAX_NUM_PROCESSES'), ('process_id', 'JAX_PROCESS_ID'))
    if variable in os.environ
  }
  # `processes.on_sigterm_stop` starts it when there is something to save.
  jax.config.update('jax_enable_preemption_service', False)
  try:
    jax.distributed.initialize(**told)
  except ValueError as error:
    raise ConfigError(
      '--distributed: expected a TPU pod, a Slurm job, or JAX_COORDINATOR_ADDRESS, '
      f'JAX_NUM_PROCESSES and JAX_PROCESS_ID, as launch/local.py sets them; found: {error}'
    ) from error
