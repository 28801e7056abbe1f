"""Decoding of audio files, on the host."""

import os
import re
import stat
import zlib

import numpy as np
import soundfile
import soxr

from musicjax.errors import DataError

# Hz. Files outside are damaged, and resampling them would make clips of any length.
_MIN_RATE, _MAX_RATE = 1_000, 768_000
_MAX_SAMPLE = (
  2.0**31
)  # Floats may hold the integers of another format; the power of more overflows.
_BLOCK_SAMPLES = 1 << 20  # Read at once: what a header promises is not worth its memory.
# Says libsndfile of a WAV file whose samples are fewer than the header tells.
_CUT = re.compile(r'^data : (\d+) \(should be', re.MULTILINE)
_UNKNOWN_FRAMES = 2**63 - 1  # Says libsndfile of a stream.
_UNKNOWN_BYTES = 0x7FFF0000  # From here on a header means that its writer could not know.

_REVERSED_BITS = bytes(int(f'{byte:08b}'[::-1], 2) for byte in range(256))


def load(path: str | os.PathLike, sample_rate: int, seconds: float | None = None) -> np.ndarray:
  """Decodes a file (WAV, FLAC, Ogg, MP3), mixes it down to mono, and resamples it.

  Args:
    path: of the file.
    sample_rate: of the result, Hz.
    seconds: decode only that much from the beginning; None decodes the whole file.

  Returns:
    [samples] float32, at least one sample, full scale is 1.

  Raises:
    DataError: the file is missing, empty, cut off, not decodable, or holds NaN or infinite samples.
  """
  try:
    if not stat.S_ISREG(os.stat(path).st_mode):
      raise DataError(f'{path}: expected an audio file, found a folder or device')
    _check_ogg(path)
    with soundfile.SoundFile(path) as file:
      file_rate = file.samplerate
      if not _MIN_RATE <= file_rate <= _MAX_RATE:
        raise DataError(
          f'{path}: expected a sample rate of {_MIN_RATE}..{_MAX_RATE} Hz, found {file_rate}'
        )
      mono = _read_mono(path, file, None if seconds is None else int(np.ceil(seconds * file_rate)))
  except (soundfile.SoundFileError, OSError, TypeError) as error:  # TypeError: a name in `.raw`.
    reason = str(error) if os.path.exists(path) else 'no such file'
    raise DataError(f'{path}: expected a decodable audio file, found: {reason}') from error
  if not len(mono):
    raise DataError(f'{path}: expected audio, found no samples')
  if not np.isfinite(mono).all():
    raise DataError(f'{path}: expected finite samples, found NaN or infinity')
  if np.abs(mono).max() > _MAX_SAMPLE:
    raise DataError(
      f'{path}: expected samples of up to {_MAX_SAMPLE:g}, found {np.abs(mono).max():g}'
    )
  if file_rate != sample_rate:
    mono = soxr.resample(mono, file_rate, sample_rate, quality='HQ')
    if not len(mono):
      raise DataError(f'{path}: expected audio, found less than one sample at {sample_rate} Hz')
  return mono


def _read_mono(
  path: str | os.PathLike, file: soundfile.SoundFile, wanted: int | None
) -> np.ndarray:
  """Returns [samples] float32: all samples, or the first `wanted`."""
  channels = file.channels
  promised = file.frames if wanted is None else min(wanted, file.frames)
  cut = _CUT.search(file.extra_info)
  if cut and int(cut[1]) < _UNKNOWN_BYTES and (wanted is None or file.frames < wanted):
    raise DataError(f'{path}: expected {cut[1]} bytes of samples, found fewer; it is cut off')
  # One channel to resample instead of several; the product is faster than a mean over short rows.
  average = np.full(channels, 1 / channels, np.float32)
  blocks, read = [np.empty(0, np.float32)], 0
  while wanted is None or read < wanted:
    frames = max(1, _BLOCK_SAMPLES // channels)
    if wanted is not None:
      frames = min(frames, wanted - read)
    block = file.read(frames, dtype='float32', always_2d=True)
    if not len(block):
      break
    with np.errstate(invalid='ignore', over='ignore'):
      blocks.append(block @ average)
    read += len(block)
  if read < promised and file.frames != _UNKNOWN_FRAMES:
    raise DataError(f'{path}: expected {promised} samples, found {read}; it is cut off')
  return np.concatenate(blocks)


def _check_ogg(path: str | os.PathLike) -> None:
  """Checks the pages of an Ogg file: libsndfile passes over damaged ones, and gives silence."""
  with open(path, 'rb') as file:
    if file.read(4) != b'OggS':
      return
    file.seek(0)
    content = file.read()
  at = 0
  while at < len(content):
    sizes = content[at + 27 : at + 27 + content[at + 26]] if at + 26 < len(content) else b''
    end = at + 27 + len(sizes) + sum(sizes)
    # Ogg's CRC-32 is that of zlib with the bits of all bytes the other way round, and no inversion.
    page = content[at : at + 22] + bytes(4) + content[at + 26 : end]
    found = zlib.crc32(page.translate(_REVERSED_BITS), 0xFFFFFFFF) ^ 0xFFFFFFFF
    expected = int.from_bytes(content[at + 22 : at + 26].translate(_REVERSED_BITS), 'big')
    if content[at : at + 4] != b'OggS' or end > len(content) or found != expected:
      raise DataError(f'{path}: expected whole Ogg pages, found damage in the one at byte {at}')
    at = end
