"""Tracks cut into pieces of one length, on the host; as a stream, for files of any length."""

import dataclasses
from collections.abc import Iterable, Iterator

import numpy as np

from musicjax.errors import ConfigError, DataError


def cover(length: int, size: int) -> np.ndarray:
  """[spans] int64, the starts of spans of `size` that cover `length` evenly.

  Neighbours overlap by half or more, and every span is full. One covers what is not longer than it,
  and all, where `size` is 0.
  """
  if not size or length <= size:
    return np.zeros(1, np.int64)
  gaps = -(-(length - size) // max(1, size // 2))
  return np.arange(gaps + 1) * (length - size) // gaps


@dataclasses.dataclass(frozen=True)
class Slices:
  """The rule by which a track is cut: slice i starts at i * hop_seconds.

  A track shorter than a slice is one slice. Behind the last whole slice there is one more at the
  next hop if audio fills at least half of it. A slice with less audio than its length repeats it.

  Attributes:
    sample_rate: Hz.
    seconds: length of a slice.
    hop_seconds: between the starts of slices; at most a slice, so that nothing falls between.
  """

  sample_rate: int
  seconds: float = 4.0
  hop_seconds: float = 2.0

  def __post_init__(self):
    if self.sample_rate < 1:
      raise ConfigError(f'Slices.sample_rate: expected at least 1, found {self.sample_rate}')
    if self.samples < 1:
      raise ConfigError(f'Slices.seconds: expected at least a sample, found {self.seconds}')
    if not 1 <= self.hop <= self.samples:
      raise ConfigError(
        f'Slices.hop_seconds: expected a sample to {self.seconds} s, found {self.hop_seconds}'
      )

  @property
  def samples(self) -> int:
    """Of a slice."""
    return round(self.seconds * self.sample_rate)

  @property
  def hop(self) -> int:
    """Samples between the starts of slices."""
    return round(self.hop_seconds * self.sample_rate)

  def starts(self, track_samples: int) -> np.ndarray:
    """[slices] int64, the first sample of every slice of a track of so many samples.

    Raises:
      DataError: the track is empty.
    """
    if track_samples < 1:
      raise DataError('audio: expected samples to cut into slices, found none')
    if track_samples <= self.samples:
      return np.zeros(1, np.int64)
    starts = np.arange(0, track_samples - self.samples + 1, self.hop, dtype=np.int64)
    if starts[-1] + self.samples == track_samples:
      return starts
    rest = starts[-1] + self.hop
    if 2 * (track_samples - rest) >= self.samples:
      return np.append(starts, rest)
    return starts

  def stream(
    self, blocks: Iterable[np.ndarray]
  ) -> Iterator[tuple[tuple[float, float], np.ndarray]]:
    """Yields (span in seconds, [samples]) of every slice of a track that comes in blocks, in order.

    The span ends where the slice's audio does. Memory holds a slice and a block, whatever the
    track's length.

    Raises:
      DataError: the track is empty.
    """
    kept, first, start = np.empty(0, np.float32), 0, 0  # `kept` begins at the track's `first`.
    for block in blocks:
      kept = np.concatenate([kept, block]) if len(kept) else block
      while start + self.samples <= first + len(kept):
        yield self._span(start, start + self.samples), self._slice(kept, start - first)
        start += self.hop
      kept, first = kept[start - first :], start
    end = first + len(kept)
    for rest in self.starts(end)[start // self.hop :]:
      yield self._span(rest, min(rest + self.samples, end)), self._slice(kept, rest - first)

  def _span(self, start: int, end: int) -> tuple[float, float]:
    return float(start / self.sample_rate), float(end / self.sample_rate)

  def _slice(self, audio: np.ndarray, start: int) -> np.ndarray:
    cut = audio[start : start + self.samples]
    return np.pad(cut, (0, self.samples - len(cut)), mode='wrap')
