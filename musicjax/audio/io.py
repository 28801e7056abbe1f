"""Decoding of audio files, on the host."""

import hashlib
import os
import re
import stat
from collections.abc import Iterator

import numpy as np
import soundfile
import soxr

from musicjax.audio import containers
from musicjax.errors import ConfigError, DataError

CHANNELS = ('average', 'left')
EXTENSIONS = ('.flac', '.mp3', '.ogg', '.wav')  # Of files that are looked for in a folder.

# Hz. Files outside are damaged, and resampling them would make clips of any length.
_MIN_RATE, _MAX_RATE = 1_000, 768_000
# Floats may hold the integers of another format; the power of more overflows. What was coded is
# near full scale: damaged MP3 frames are not.
_MAX_FLOAT, _MAX_CODED = 2.0**31, 8.0
_TRIM_FRAME, _TRIM_HOP = 2048, 512
_BLOCK_SAMPLES = 1 << 17  # Read at once, of all channels.
# Says libsndfile of a WAV file whose samples are fewer than the header tells.
_CUT = re.compile(r'^data : (\d+) \(should be', re.MULTILINE)
_UNKNOWN_FRAMES = 2**63 - 1  # Says libsndfile of a stream.
_UNKNOWN_BYTES = 0x7FFF0000  # From here on a header means that its writer could not know.


class EmptyError(DataError):
  """A sound file without a sample."""


class _Forward(soundfile.SoundFile):
  """A file that is read on and on: others are told after every read to seek to where they are.

  With that, Opus and MP3 files forget what the next samples need of those before.
  """

  def seekable(self) -> bool:
    return False


def load(
  path: str | os.PathLike,
  sample_rate: int,
  seconds: float | None = None,
  channels: str = 'average',
) -> np.ndarray:
  """Returns a file, decoded by `blocks`, as one array [samples] float32, at least one sample."""
  return np.concatenate(list(blocks(path, sample_rate, seconds, channels)))


def blocks(
  path: str | os.PathLike,
  sample_rate: int,
  seconds: float | None = None,
  channels: str = 'average',
) -> Iterator[np.ndarray]:
  """Decodes a file (WAV, FLAC, Ogg, MP3), mixes it down to mono, and resamples it, piece by piece.

  Memory does not grow with the length of the file. What is found wrong behind its beginning is told
  after the blocks before it.

  Args:
    path: of the file.
    sample_rate: of the result, Hz.
    seconds: decode only that much from the beginning; None decodes the whole file.
    channels: as of `to_mono`.

  Yields:
    [samples] float32; together they are the track, at least one sample, full scale is 1.

  Raises:
    EmptyError: the file is empty, or has no samples.
    DataError: the file is missing, cut off, damaged as far as its format can tell, or holds NaN or
      samples beyond all measure.
  """
  try:
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):
      raise DataError(f'{path}: expected an audio file, found a folder or device')
    if not status.st_size:
      raise EmptyError(f'{path}: expected audio, found an empty file')
    containers.check(path)
    with _Forward(os.fsencode(path)) as file:  # It takes no name that is not UTF-8.
      rate = file.samplerate
      if not _MIN_RATE <= rate <= _MAX_RATE:
        raise DataError(
          f'{path}: expected a sample rate of {_MIN_RATE}..{_MAX_RATE} Hz, found {rate}'
        )
      wanted = None if seconds is None else int(np.ceil(seconds * rate))
      if rate == sample_rate:
        yield from _read_mono(path, file, wanted, channels)
        return
      resampler, found = soxr.ResampleStream(rate, sample_rate, 1, quality='HQ'), 0
      for mono in _read_mono(path, file, wanted, channels):
        found += len(resampled := resampler.resample_chunk(mono))
        yield resampled
      found += len(resampled := resampler.resample_chunk(np.empty(0, np.float32), last=True))
      if not found:
        raise DataError(f'{path}: expected audio, found less than one sample at {sample_rate} Hz')
      yield resampled
  except (soundfile.SoundFileError, OSError, TypeError) as error:  # TypeError: a name in `.raw`.
    reason = str(error) if os.path.exists(path) else 'no such file'
    raise DataError(f'{path}: expected a decodable audio file, found: {reason}') from error


def to_mono(audio: np.ndarray, channels: str = 'average') -> np.ndarray:
  """[samples, channels] -> [samples] float32: the `average` of the channels, or the `left` one."""
  if channels not in CHANNELS:
    raise ConfigError(f'channels: expected {" or ".join(CHANNELS)}, found {channels!r}')
  if channels == 'left':
    return np.ascontiguousarray(audio[:, 0], np.float32)
  # A product is faster than a mean over short rows.
  return audio @ np.full(audio.shape[1], 1 / audio.shape[1], np.float32)


def trim_silence(audio: np.ndarray, top_db: float) -> np.ndarray:
  """Cuts silence off both ends of [samples], as `librosa.effects.trim`: at least a sample is left.

  Args:
    audio: [samples], at least one.
    top_db: frames of 2,048 samples, every 512, are silent where their power is so many dB below
      that of the loudest one.
  """
  total = np.cumsum(np.pad(np.square(audio, dtype=np.float64), (_TRIM_FRAME // 2 + 1, _TRIM_FRAME)))
  starts = np.arange(0, len(audio) + 1, _TRIM_HOP)
  power = np.maximum((total[starts + _TRIM_FRAME] - total[starts]) / _TRIM_FRAME, 1e-10)
  heard = np.flatnonzero(10 * np.log10(power / power.max()) > -top_db)
  return audio[heard[0] * _TRIM_HOP : (heard[-1] + 1) * _TRIM_HOP]


def _read_mono(
  path: str | os.PathLike, file: soundfile.SoundFile, wanted: int | None, channels: str
) -> Iterator[np.ndarray]:
  """Yields [samples] float32, sound ones: all samples, or the first `wanted`."""
  promised = file.frames if wanted is None else min(wanted, file.frames)
  cut = _CUT.search(file.extra_info)
  if cut and int(cut[1]) < _UNKNOWN_BYTES and (wanted is None or file.frames < wanted):
    raise DataError(f'{path}: expected {cut[1]} bytes of samples, found fewer; it is cut off')
  most = _MAX_FLOAT if file.subtype in ('FLOAT', 'DOUBLE') else _MAX_CODED
  expected_md5, sample_bytes = (wanted is None and containers.flac_md5(path)) or (None, 0)
  md5 = hashlib.md5() if expected_md5 else None
  read = 0
  while wanted is None or read < wanted:
    frames = max(1, _BLOCK_SAMPLES // file.channels)
    if wanted is not None:
      frames = min(frames, wanted - read)
    block = file.read(frames, dtype='float32', always_2d=True)
    if not len(block):
      break
    with np.errstate(invalid='ignore', over='ignore'):
      # One channel to resample instead of several.
      mono = to_mono(block, channels)
    if not np.isfinite(mono).all():
      raise DataError(f'{path}: expected finite samples, found NaN or infinity')
    if (loudest := np.abs(mono).max()) > most:
      raise DataError(f'{path}: expected samples of up to {most:g}, found {loudest:g}')
    if md5:
      md5.update(_integers(block, sample_bytes))
    yield mono
    read += len(block)
  if read < promised and file.frames != _UNKNOWN_FRAMES:
    raise DataError(f'{path}: expected {promised} samples, found {read}; it is cut off')
  if not read:
    raise EmptyError(f'{path}: expected audio, found no samples')
  if md5 and md5.digest() != expected_md5:
    raise DataError(f'{path}: expected the samples that its FLAC header tells of, found others')


def _integers(block: np.ndarray, sample_bytes: int) -> bytes:
  """Returns [samples, channels] as the little-endian integers that they were coded from."""
  integers = (block * 2.0 ** (8 * sample_bytes - 1)).astype('<i4')
  if sample_bytes == 2:
    return integers.astype('<i2').tobytes()
  return integers.view(np.uint8).reshape(*block.shape, 4)[..., :sample_bytes].tobytes()
