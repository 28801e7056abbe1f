"""Decoding of audio files, on the host."""

import os

import numpy as np
import soundfile
import soxr

from musicjax.errors import DataError


def load(path: str | os.PathLike, sample_rate: int, seconds: float | None = None) -> np.ndarray:
  """Decodes a file (WAV, FLAC, Ogg, MP3), mixes it down to mono, and resamples it.

  Args:
    path: of the file.
    sample_rate: of the result, Hz.
    seconds: decode only that much from the beginning; None decodes the whole file.

  Returns:
    [samples] float32, at least one sample, full scale is 1.

  Raises:
    DataError: the file is missing, empty, not decodable, or holds NaN or infinite samples.
  """
  try:
    with soundfile.SoundFile(path) as file:
      frames = -1 if seconds is None else int(np.ceil(seconds * file.samplerate))
      audio = file.read(frames, dtype='float32', always_2d=True)
      file_rate, channels = file.samplerate, file.channels
  except (soundfile.SoundFileError, OSError) as error:
    reason = str(error) if os.path.exists(path) else 'no such file'
    raise DataError(f'{path}: expected a decodable audio file, found: {reason}') from error
  if not len(audio):
    raise DataError(f'{path}: expected audio, found no samples')
  # One channel to resample instead of several; the product is faster than a mean over short rows.
  mono = audio @ np.full(channels, 1 / channels, np.float32)
  if not np.isfinite(mono).all():
    raise DataError(f'{path}: expected finite samples, found NaN or infinity')
  if file_rate != sample_rate:
    mono = soxr.resample(mono, file_rate, sample_rate, quality='HQ')
    if not len(mono):
      raise DataError(f'{path}: expected audio, found less than one sample at {sample_rate} Hz')
  return mono
