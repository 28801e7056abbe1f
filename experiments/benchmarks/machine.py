"""What benchmarks share: the machine and its ceilings, workers run in rounds, tables of results."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

_ROOT = Path(__file__).parents[2]
# How glibc treats memory that is freed -> $GLIBC_TUNABLES; kept as `musicjax.backends` keeps it.
MEMORY = {
  'as glibc has it': '',
  'kept': (
    'glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=9000000000000:glibc.malloc.arena_max=2'
  ),
}


def worker(command: list[str], tunables: str, python: str | None = None) -> subprocess.Popen:
  """Starts a Python program that talks over its pipes; of this Python, where no other is named."""
  environment = os.environ | {'PYTHONPATH': str(_ROOT), 'GLIBC_TUNABLES': tunables}
  return subprocess.Popen(
    [python or sys.executable, *command],
    stdin=subprocess.PIPE,
    stdout=subprocess.PIPE,
    text=True,
    env=environment,
  )


def run(worker: subprocess.Popen, task: str = 'run') -> float:
  """Has a worker run once; returns its seconds."""
  worker.stdin.write(f'{task}\n')
  worker.stdin.flush()
  return float(worker.stdout.readline())


def rounds(
  workers: Mapping[str, subprocess.Popen], number: int, task: str = 'run'
) -> dict[str, np.ndarray]:
  """Has each worker time one run a round, every other round in reverse: [rounds] seconds of each.

  A worker runs for every line it gets, which names its task, and answers with its seconds; the
  others wait meanwhile.
  """
  seconds = {name: [] for name in workers}
  for i in range(number):
    for name in workers if i % 2 else reversed(workers):
      seconds[name].append(run(workers[name], task))
    print(f'round {i + 1}/{number}', end='\r', flush=True)
  return {name: np.array(measured) for name, measured in seconds.items()}


def describe() -> str:
  """Returns cores and load, to stand beside the figures."""
  return f'{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before the run'


def memory_copy_rate() -> float:
  """Returns GB/s at which one core copies an array that no cache holds; the median of 9."""
  source = np.ones(2**26, np.float32)
  target = np.empty_like(source)
  return source.nbytes / 1e9 / median_seconds(lambda: np.copyto(target, source), 9)


def product_rate() -> float:
  """Returns FLOP/s of a large float32 matrix product in NumPy; the median of 5."""
  size = 4096
  factor = np.ones((size, size), np.float32)
  return 2 * size**3 / median_seconds(lambda: factor @ factor, 5)


def file_copy_rate(files: list[Path], target: Path) -> float:
  """Returns GB/s at which files are read and written one after another into one, and synced."""
  start = time.perf_counter()
  with target.open('wb') as out:
    for file in files:
      out.write(file.read_bytes())
    out.flush()
    os.fsync(out.fileno())
  rate = target.stat().st_size / 1e9 / (time.perf_counter() - start)
  target.unlink()
  return rate


def forget(files: list[Path]) -> None:
  """Asks the system to drop files from its cache, so that the next reader waits for the disk."""
  os.sync()
  for file in files:
    with file.open('rb') as opened:
      os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def median_seconds(function: Callable[[], object], repeats: int) -> float:
  seconds = []
  for _ in range(repeats):
    start = time.perf_counter()
    function()
    seconds.append(time.perf_counter() - start)
  return float(np.median(seconds))


def write_table(path: Path, title: str, notes: str, rows: list[tuple]) -> None:
  """Writes and prints a Markdown table whose first row is its header."""
  header, *body = [[str(cell) for cell in row] for row in rows]
  lines = [f'# {title}', '', notes, '', *map(_row, [header, ['---'] * len(header), *body])]
  path.write_text('\n'.join(lines) + '\n')
  print(path.read_text())


def _row(cells: list[str]) -> str:
  return f'| {" | ".join(cells)} |'
