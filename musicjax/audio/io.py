"""Decoding of audio files, on the host."""

import os
import re
import stat
import zlib
from collections.abc import Iterator

import numpy as np
import soundfile
import soxr

from musicjax.errors import ConfigError, DataError

CHANNELS = ('average', 'left')
EXTENSIONS = ('.flac', '.mp3', '.ogg', '.wav')  # Of files that are looked for in a folder.

# Hz. Files outside are damaged, and resampling them would make clips of any length.
_MIN_RATE, _MAX_RATE = 1_000, 768_000
# Floats may hold the integers of another format; the power of more overflows.
_MAX_SAMPLE = 2.0**31
_BLOCK_SAMPLES = 1 << 17  # Read at once, of all channels.
# Says libsndfile of a WAV file whose samples are fewer than the header tells.
_CUT = re.compile(r'^data : (\d+) \(should be', re.MULTILINE)
_UNKNOWN_FRAMES = 2**63 - 1  # Says libsndfile of a stream.
_UNKNOWN_BYTES = 0x7FFF0000  # From here on a header means that its writer could not know.

_REVERSED_BITS = bytes(int(f'{byte:08b}'[::-1], 2) for byte in range(256))


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
    DataError: the file is missing, empty, cut off, not decodable, or holds NaN or infinite samples.
  """
  try:
    if not stat.S_ISREG(os.stat(path).st_mode):
      raise DataError(f'{path}: expected an audio file, found a folder or device')
    _check_ogg(path)
    with soundfile.SoundFile(os.fsencode(path)) as file:  # It takes no name that is not UTF-8.
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


def _read_mono(
  path: str | os.PathLike, file: soundfile.SoundFile, wanted: int | None, channels: str
) -> Iterator[np.ndarray]:
  """Yields [samples] float32, sound ones: all samples, or the first `wanted`."""
  promised = file.frames if wanted is None else min(wanted, file.frames)
  cut = _CUT.search(file.extra_info)
  if cut and int(cut[1]) < _UNKNOWN_BYTES and (wanted is None or file.frames < wanted):
    raise DataError(f'{path}: expected {cut[1]} bytes of samples, found fewer; it is cut off')
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
    if np.abs(mono).max() > _MAX_SAMPLE:
      found = np.abs(mono).max()
      raise DataError(f'{path}: expected samples of up to {_MAX_SAMPLE:g}, found {found:g}')
    yield mono
    read += len(block)
  if read < promised and file.frames != _UNKNOWN_FRAMES:
    raise DataError(f'{path}: expected {promised} samples, found {read}; it is cut off')
  if not read:
    raise DataError(f'{path}: expected audio, found no samples')


def _check_ogg(path: str | os.PathLike) -> None:
  """Checks the pages of an Ogg file: libsndfile passes over damaged ones, and gives silence."""
  with open(path, 'rb') as file:
    if file.read(4) != b'OggS':
      return
    at = 0
    file.seek(0)
    while header := file.read(27):
      sizes = file.read(header[26]) if len(header) == 27 else b''
      body = file.read(sum(sizes))
      whole = len(header) == 27 and len(body) == sum(sizes)
      # Ogg's CRC-32 is that of zlib with the bits of all bytes the other way round, and no
      # inversion.
      page = header[:22] + bytes(4) + header[26:] + sizes + body
      found = zlib.crc32(page.translate(_REVERSED_BITS), 0xFFFFFFFF) ^ 0xFFFFFFFF
      expected = int.from_bytes(header[22:26].translate(_REVERSED_BITS), 'big')
      if header[:4] != b'OggS' or not whole or found != expected:
        raise DataError(f'{path}: expected whole Ogg pages, found damage in the one at byte {at}')
      at += len(page)
