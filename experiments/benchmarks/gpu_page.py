"""A page that is on disk as soon as it is said, and what stands on it for all that is timed."""

import contextlib
import functools
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmarks import machine


class Page:
  """Markdown, written and printed line by line."""

  def __init__(self, path: str, title: str, command: str):
    self.path, self._start = Path(path), time.perf_counter()
    self.path.write_text('')
    device = jax.devices()[0]
    self.say(
      f'# {title}',
      '',
      f'`python -m experiments.benchmarks.{command}` on one {device.device_kind}; jax '
      f'{jax.__version__}, Python {sys.version.split()[0]}.',
    )

  def say(self, *lines: str) -> None:
    with self.path.open('a') as file:
      for line in lines:
        print(f'[{time.perf_counter() - self._start:5.1f} s] {line}', flush=True)
        file.write(f'{line}\n')

  def row(self, *cells: Any) -> None:
    self.say(f'| {" | ".join(map(str, cells))} |')

  def table(self, title: str, note: str, *header: str) -> None:
    self.say('', f'## {title}', '', note, '')
    self.row(*header)
    self.row(*['---'] * len(header))

  @contextlib.contextmanager
  def part(self, name: str):
    """What fails in here is a line of the page."""
    try:
      yield
    except Exception as error:
      traceback.print_exc()
      told = ' '.join(f'{type(error).__name__}: {error}'.split())[:400]
      self.say(f'FAILED: {name}: {told}')


def quartiles(values: np.ndarray) -> str:
  low, middle, high = np.quantile(values, (0.25, 0.5, 0.75))
  return f'**{middle:.2f}** ({low:.2f}..{high:.2f})'


def median_seconds(run: Callable[..., Any], *args: Any, rounds: int, calls: int = 4) -> float:
  """Returns the median of rounds of the seconds of a call, the mean of some sent off at once."""
  jax.block_until_ready(run(*args))

  def call_all():
    jax.block_until_ready([run(*args) for _ in range(calls)])

  return machine.median_seconds(call_all, rounds) / calls


def ceilings(page: Page, size: int, rounds: int) -> dict[str, float]:
  """Writes how fast large products and memory are; returns the products' FLOP/s by dtype."""
  left, right = jax.random.normal(jax.random.key(0), (2, size, size))
  exact = np.asarray(left[:4], np.float64) @ np.asarray(right, np.float64)
  page.table(
    'Ceilings',
    f'Products of two {size} x {size} matrices of normal numbers, medians of {rounds} rounds. The '
    'error is the largest of four rows, over the largest value: that of TF32 is near 3e-4, of '
    'float32 below 1e-5. `jax_default_matmul_precision` is '
    f'{jax.config.jax_default_matmul_precision}, as JAX has it.',
    *('what', 'TFLOP/s', 'error'),
  )
  rates = {}
  for name, dtype, precision in (
    ('bfloat16', jnp.bfloat16, None),
    ('float32', jnp.float32, None),
    ('float32, precision highest', jnp.float32, 'highest'),
  ):
    a, b = left.astype(dtype), right.astype(dtype)
    multiply = jax.jit(functools.partial(jnp.matmul, precision=precision))
    rates[name] = 2 * size**3 / median_seconds(multiply, a, b, rounds=rounds)
    error = np.abs(np.asarray(multiply(a, b)[:4], np.float64) - exact).max() / np.abs(exact).max()
    page.row(f'JAX, {name}', f'{rates[name] / 1e12:.0f}', f'{error:.0e}')
  with page.part('memory'):
    x, negate = jnp.ones(8 * size**2), jax.jit(jnp.negative)
    rate = 2 * x.nbytes / median_seconds(negate, x, rounds=rounds, calls=2)
    page.say(
      '', f'Memory: {x.nbytes / 1e9:.1f} GB read and as much written, {rate / 1e9:.0f} GB/s.'
    )
  return rates
