"""The machine a benchmark runs on: its cores, what they can do at most, and tables of results."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np


def describe() -> str:
  """Returns cores and load, to stand beside the figures."""
  return f'{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before the run'


def memory_copy_rate() -> float:
  """Returns GB/s at which one core copies an array that no cache holds; the median of 9."""
  source = np.ones(2**26, np.float32)
  target = np.empty_like(source)
  return source.nbytes / 1e9 / median_seconds(lambda: np.copyto(target, source), 9)


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
