"""Tracks cut into slices of one length, on the host: arrays at once, long files as a stream."""

import dataclasses
from collections.abc import Iterable, Iterator

import numpy as np

from musicjax.errors import ConfigError, DataError


@dataclasses.dataclass(frozen=True)
class Slices:
  """The rule by which a track is cut: slice i starts at i * hop_seconds.

  A track shorter than a slice is one slice. A slice with less audio than its length is filled up.

  Attributes:
    sample_rate: Hz.
    seconds: length of a slice.
    hop_seconds: between the starts of slices; at most a slice, so that nothing falls between.
    last: what becomes of audio behind the last whole slice: `half` cuts one more slice at the next
      hop if audio fills at least half of it, `shift` one that ends where the track ends, `drop`
      none.
    fill: `zeros`, or `tile`, which repeats the audio of the slice.
  """

  sample_rate: int
  seconds: float = 4.0
  hop_seconds: float = 2.0
  last: str = 'half'
  fill: str = 'tile'

  def __post_init__(self):
    if self.sample_rate < 1:
      raise ConfigError(f'Slices.sample_rate: expected at least 1, found {self.sample_rate}')
    if self.samples < 1:
      raise ConfigError(f'Slices.seconds: expected at least a sample, found {self.seconds}')
    if not 1 <= self.hop <= self.samples:
      raise ConfigError(
        f'Slices.hop_seconds: expected a sample to {self.seconds} s, found {self.hop_seconds}'
      )
    for field, choices in ('last', ('half', 'shift', 'drop')), ('fill', ('zeros', 'tile')):
      if getattr(self, field) not in choices:
        raise ConfigError(
          f'Slices.{field}: expected {", ".join(choices)}, found {getattr(self, field)!r}'
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
    if self.last == 'half' and 2 * (track_samples - rest) >= self.samples:
      return np.append(starts, rest)
    if self.last == 'shift':
      return np.append(starts, track_samples - self.samples)
    return starts

  def spans(self, track_samples: int) -> np.ndarray:
    """[slices, 2] float64, seconds from the track's beginning where a slice's audio starts, ends.

    Raises:
      DataError: the track is empty.
    """
    starts = self.starts(track_samples)
    ends = np.minimum(starts + self.samples, track_samples)
    return np.stack([starts, ends], axis=1) / self.sample_rate

  def cut(self, audio: np.ndarray) -> np.ndarray:
    """[track_samples] -> [slices, samples] of its own, of the same type.

    Raises:
      DataError: the track is empty.
    """
    return np.stack([self._slice(audio, start) for start in self.starts(len(audio))])

  def stream(
    self, blocks: Iterable[np.ndarray]
  ) -> Iterator[tuple[tuple[float, float], np.ndarray]]:
    """Yields (span in seconds, [samples]) of every slice of a track that comes in blocks, in order.

    The same slices as of `cut`; memory holds one of them and a block, whatever the track's length.

    Raises:
      DataError: the track is empty.
    """
    kept, first, start = np.empty(0, np.float32), 0, 0  # `kept` begins at the track's `first`.
    for block in blocks:
      kept = np.concatenate([kept, block]) if len(kept) else block
      while start + self.samples <= first + len(kept):
        yield self._span(start, start + self.samples), self._slice(kept, start - first)
        start += self.hop
      # The last slice may have to be shifted back.
      done = max(0, min(start - first, len(kept) - self.samples))
      kept, first = kept[done:], first + done
    end = first + len(kept)
    for rest in self.starts(end)[start // self.hop :]:
      yield self._span(rest, min(rest + self.samples, end)), self._slice(kept, rest - first)

  def _span(self, start: int, end: int) -> tuple[float, float]:
    return float(start / self.sample_rate), float(end / self.sample_rate)

  def _slice(self, audio: np.ndarray, start: int) -> np.ndarray:
    cut = audio[start : start + self.samples]
    missing = self.samples - len(cut)
    return np.pad(cut, (0, missing), mode='wrap' if self.fill == 'tile' else 'constant')
