"""Where the time of a run goes, and the lines that tell it."""

import contextlib
import time
from collections.abc import Callable, Iterator


class Clock:
  """Measures throughput and the wait for input between two reports, evaluations left out."""

  def __init__(self, first_step: int, last_step: int, batch_size: int, seconds_before: float):
    self._last_step, self._batch_size = last_step, batch_size
    self._start = time.monotonic() - seconds_before
    self._warm = None  # (time, step) of the first report: compilation lies before it.
    self._reset(first_step)

  def _reset(self, step: int) -> None:
    self._since, self._since_step = time.monotonic(), step
    self._waited = self._paused = 0.0

  @property
  def seconds(self) -> float:
    """Of this start and those before it, evaluations included."""
    return time.monotonic() - self._start

  @contextlib.contextmanager
  def waiting_for_input(self, device_is_idle: Callable[[], bool]) -> Iterator[None]:
    """Counts what happens inside as waiting for input, unless the device is at work even after it.

    The host runs ahead of the device: who gets a batch while a step computes does not wait.
    """
    start = time.monotonic()
    yield
    if device_is_idle():
      self._waited += time.monotonic() - start

  @contextlib.contextmanager
  def paused(self) -> Iterator[None]:
    """Leaves what happens inside out of the throughput."""
    start = time.monotonic()
    yield
    self._paused += time.monotonic() - start

  def report(self, step: int) -> dict[str, float]:
    """Returns `steps_per_second`, `examples_per_second` and `input_wait` (share) since the last."""
    steps = step - self._since_step
    seconds = max(time.monotonic() - self._since - self._paused, 1e-9)
    scalars = {
      'steps_per_second': steps / seconds,
      'examples_per_second': steps * self._batch_size / seconds,
      'input_wait': self._waited / seconds,
    }
    self._reset(step)
    self._warm = self._warm or (self._since, step)
    return scalars

  def remaining(self, step: int) -> str:
    """Returns the expected time to the last step, as minutes and seconds; `?` at first."""
    if self._warm is None or step == self._warm[1]:
      return '?'
    start, first = self._warm
    left = (time.monotonic() - start) / (step - first) * (self._last_step - step)
    return f'{int(left // 60)}:{int(left % 60):02d}'
