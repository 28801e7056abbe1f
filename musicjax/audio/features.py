"""The one audio front end: STFT, mel bands and decibels in JAX, float32.

The same code runs when a dataset is prepared, inside the jitted step of models that take raw audio,
and in prediction, so that stored and computed features cannot drift apart. Float32 throughout:
the power of a quiet band underflows the precision of bfloat16, and its logarithm turns into NaN.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from musicjax.errors import ConfigError, DataError

# Power below which a band counts as silent: -100 dB, as in `librosa.power_to_db`.
AMIN = 1e-10


@dataclasses.dataclass(frozen=True)
class LogMel:
  """Log-mel spectrogram, equal to `librosa.feature.melspectrogram` and `power_to_db(ref=1)`.

  Float32 FFTs round: bands more than 120 dB below the loudest of their frame are noise.

  Attributes:
    sample_rate: Hz.
    n_fft: samples in a frame; the periodic Hann window is as long.
    hop_length: samples between frames.
    n_mels: mel bands.
    fmin: lowest frequency of the bands, Hz.
    fmax: highest frequency of the bands, Hz; None is half the sample rate.
    mel_scale: `slaney` (linear below 1 kHz, filters of equal area) or `htk` (2595 log10(1 + f/700),
      filters of equal height), as in the toolboxes of these names.
    center: pad half a frame of zeros on both sides, so that frame i is centred on i * hop_length.
  """

  sample_rate: int
  n_fft: int
  hop_length: int
  n_mels: int
  fmin: float = 0.0
  fmax: float | None = None
  mel_scale: str = 'slaney'
  center: bool = True

  def __post_init__(self):
    for field in ('sample_rate', 'n_fft', 'hop_length', 'n_mels'):
      if getattr(self, field) < 1:
        raise ConfigError(f'LogMel.{field}: expected at least 1, found {getattr(self, field)}')
    if self.mel_scale not in ('slaney', 'htk'):
      raise ConfigError(f"LogMel.mel_scale: expected 'slaney' or 'htk', found {self.mel_scale!r}")
    nyquist = self.sample_rate / 2
    fmax = nyquist if self.fmax is None else self.fmax
    if not 0 <= self.fmin < fmax <= nyquist:
      raise ConfigError(
        f'LogMel.fmin, fmax: expected 0 <= fmin < fmax <= {nyquist:g} Hz, '
        f'found {self.fmin:g} and {fmax:g}'
      )

  @functools.cached_property
  def mel_basis(self) -> np.ndarray:
    """[1 + n_fft // 2, n_mels] float32 weights of the FFT bins in each band."""
    # Only the filter bank needs librosa: a model without mel bands runs where it is not installed.
    import librosa.filters

    return librosa.filters.mel(
      sr=self.sample_rate,
      n_fft=self.n_fft,
      n_mels=self.n_mels,
      fmin=self.fmin,
      fmax=self.fmax,
      htk=self.mel_scale == 'htk',
      norm='slaney' if self.mel_scale == 'slaney' else None,
    ).T

  def num_frames(self, samples: int) -> int:
    """Frames of a clip of so many samples; 0 if it is shorter than a frame and not centred."""
    padded = samples + 2 * (self.n_fft // 2) * self.center
    return max(0, 1 + (padded - self.n_fft) // self.hop_length)

  def __call__(self, audio: jax.Array) -> jax.Array:
    """[batch, samples] float32 -> [batch, frames, n_mels] in dB, at least -100.

    Zeros appended to a clip leave its first `num_frames(samples)` frames as they are, so clips of
    several lengths can be padded to one shape.

    Raises:
      DataError: the clips are shorter than one frame.
    """
    spectrum = power_spectrogram(audio, self.n_fft, self.hop_length, self.center)
    # Accelerators round the factors of a matrix product to 10 or 8 bits unless told otherwise.
    mel = jnp.matmul(spectrum, self.mel_basis, precision=jax.lax.Precision.HIGHEST)
    return power_to_db(mel)


def frame(audio: jax.Array, frame_length: int, hop_length: int) -> jax.Array:
  """Overlapping frames: [batch, samples] -> [batch, frames, frame_length].

  Raises:
    DataError: the clips are shorter than one frame.
  """
  samples = audio.shape[-1]
  if samples < frame_length:
    raise DataError(f'audio: expected at least a frame of {frame_length} samples, found {samples}')
  starts = np.arange(0, samples - frame_length + 1, hop_length)
  return audio[:, starts[:, None] + np.arange(frame_length)]


def power_spectrogram(
  audio: jax.Array, n_fft: int, hop_length: int, center: bool = True
) -> jax.Array:
  """Squared magnitude of the STFT: [batch, samples] -> [batch, frames, 1 + n_fft // 2], float32.

  Raises:
    DataError: the clips are shorter than one frame and not centred.
  """
  audio = jnp.asarray(audio, jnp.float32)
  if center:
    audio = jnp.pad(audio, ((0, 0), (n_fft // 2, n_fft // 2)))
  # Periodic: one period of the cosine is n_fft samples, not n_fft - 1.
  window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)).astype(np.float32)
  spectrum = jnp.fft.rfft(frame(audio, n_fft, hop_length) * window)
  # Not |z|^2 through jnp.abs, whose gradient at a silent bin is NaN.
  return jnp.square(spectrum.real) + jnp.square(spectrum.imag)


def power_to_db(power: jax.Array) -> jax.Array:
  """10 log10 of a power, which is taken as at least `AMIN`; any shape."""
  return 10.0 * jnp.log10(jnp.maximum(power, AMIN))
