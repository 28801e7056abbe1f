"""The one audio front end in JAX, float32: STFT, power, phase, mel bands, decibels and PCEN.

The same code runs when a dataset is prepared, inside the jitted step of models that take raw audio,
and in prediction, so that stored and computed features cannot drift apart. Float32 throughout,
whatever the audio comes in: the power of a quiet band underflows the precision of bfloat16, and its
logarithm turns into NaN. Values and gradients are finite for silence too.
"""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from musicjax.errors import ConfigError, DataError

# Power below which a band counts as silent: -100 dB, as in `librosa.power_to_db`.
AMIN = 1e-10

# Windows as sums of cosines: a0 - a1 cos(x) + a2 cos(2x).
WINDOWS = {'hann': (0.5, 0.5), 'hamming': (0.54, 0.46), 'blackman': (0.42, 0.5, 0.08)}

_CPU_BANDS = 32

# (arctan(x) - x) / x^3 in powers of x^2, highest first, for |x| up to tan(pi / 8).
_ARCTAN = (8.05374449538e-2, -1.38776856032e-1, 1.99777106478e-1, -3.33329491539e-1)

# Below the smallest normal float32 hardware may round to zero, here but not there.
_TINY = float(np.finfo(np.float32).tiny)


@dataclasses.dataclass(frozen=True)
class Stft:
  """Short-time Fourier transform, equal to `librosa.stft`; see `amplitude`, `phase`, `power`.

  Attributes:
    n_fft: samples in a frame.
    hop_length: samples between frames.
    win_length: samples of the window, in the middle of the frame between zeros; None is n_fft.
    window: of `WINDOWS`, periodic.
    center: pad half a frame of zeros on both sides, so that frame i is centred on i * hop_length.
  """

  n_fft: int
  hop_length: int
  win_length: int | None = None
  window: str = 'hann'
  center: bool = True

  def __post_init__(self):
    for field in ('n_fft', 'hop_length'):
      if getattr(self, field) < 1:
        raise ConfigError(f'Stft.{field}: expected at least 1, found {getattr(self, field)}')
    if self.win_length is not None and not 1 <= self.win_length <= self.n_fft:
      raise ConfigError(
        f'Stft.win_length: expected 1 to {self.n_fft} (n_fft), found {self.win_length}'
      )
    if self.window not in WINDOWS:
      raise ConfigError(f'Stft.window: expected {" or ".join(WINDOWS)}, found {self.window!r}')

  def num_frames(self, samples: int | jax.Array) -> int | jax.Array:
    """Frames of a clip of so many samples; 0 if it is shorter than a frame and not centred."""
    padded = samples + 2 * (self.n_fft // 2) * self.center
    frames = 1 + (padded - self.n_fft) // self.hop_length
    return frames * (frames > 0)

  @functools.partial(jax.jit, static_argnums=0)
  def __call__(self, audio: jax.Array) -> jax.Array:
    """[batch, samples] -> [batch, frames, 1 + n_fft // 2] complex64.

    Raises:
      DataError: the clips are shorter than one frame, and not centred.
    """
    return _each_clip(self.transform_clip, audio)

  def transform_clip(self, audio: jax.Array) -> jax.Array:
    """As a call, for one clip: [samples] float32 -> [frames, 1 + n_fft // 2] complex64."""
    if self.center:
      audio = jnp.pad(audio, self.n_fft // 2)
    return jnp.fft.rfft(frame(audio, self.n_fft, self.hop_length) * self._padded_window())

  def _padded_window(self) -> np.ndarray:
    length = self.win_length or self.n_fft
    before = (self.n_fft - length) // 2
    return np.pad(_window(self.window, length), (before, self.n_fft - length - before))


@dataclasses.dataclass(frozen=True)
class Mel:
  """Power in mel bands, equal to `librosa.feature.melspectrogram`.

  Attributes:
    sample_rate: Hz.
    n_fft: samples in a frame.
    hop_length: samples between frames.
    n_mels: mel bands.
    fmin: lowest frequency of the bands, Hz.
    fmax: highest frequency of the bands, Hz; None is half the sample rate.
    mel_scale: `slaney` (linear below 1 kHz, filters of equal area) or `htk` (2595 log10(1 + f/700),
      filters of equal height), as in the toolboxes of these names.
    center: as of `Stft`, as are win_length and window.
  """

  sample_rate: int
  n_fft: int
  hop_length: int
  n_mels: int
  fmin: float = 0.0
  fmax: float | None = None
  mel_scale: str = 'slaney'
  center: bool = True
  win_length: int | None = None
  window: str = 'hann'

  def __post_init__(self):
    name = type(self).__name__
    for field in ('sample_rate', 'n_mels'):
      if getattr(self, field) < 1:
        raise ConfigError(f'{name}.{field}: expected at least 1, found {getattr(self, field)}')
    if self.mel_scale not in ('slaney', 'htk'):
      raise ConfigError(f"{name}.mel_scale: expected 'slaney' or 'htk', found {self.mel_scale!r}")
    nyquist = self.sample_rate / 2
    fmax = nyquist if self.fmax is None else self.fmax
    if not 0 <= self.fmin < fmax <= nyquist:
      raise ConfigError(
        f'{name}.fmin, fmax: expected 0 <= fmin < fmax <= {nyquist:g} Hz, '
        f'found {self.fmin:g} and {fmax:g}'
      )
    _ = self.stft  # Checks the fields that it shares.

  @functools.cached_property
  def stft(self) -> Stft:
    return Stft(self.n_fft, self.hop_length, self.win_length, self.window, self.center)

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

  def num_frames(self, samples: int | jax.Array) -> int | jax.Array:
    """Frames of a clip of so many samples; 0 if it is shorter than a frame and not centred."""
    return self.stft.num_frames(samples)

  @functools.partial(jax.jit, static_argnums=0)
  def __call__(self, audio: jax.Array) -> jax.Array:
    """[batch, samples] -> [batch, frames, n_mels] float32.

    Zeros appended to a clip leave its first `num_frames(samples)` frames as they are, so clips of
    several lengths can be padded to one shape.

    Raises:
      DataError: the clips are shorter than one frame, and not centred.
    """
    return _each_clip(self.transform_clip, audio)

  def transform_clip(self, audio: jax.Array) -> jax.Array:
    """As a call, for one clip: [samples] float32 -> [frames, n_mels]."""
    return self.bands(power(self.stft.transform_clip(audio)))

  def bands(self, spectrum: jax.Array) -> jax.Array:
    """[..., 1 + n_fft // 2] powers or amplitudes -> [..., n_mels]."""
    # Most weights are 0. On CPU, every few bands are a product with the bins that they use alone.
    width = _CPU_BANDS if jax.default_backend() == 'cpu' else self.n_mels
    products = []
    for start in range(0, self.n_mels, width):
      weights = self.mel_basis[:, start : start + width]
      used = np.flatnonzero(weights.any(axis=1))
      bins = slice(used[0], used[-1] + 1) if len(used) else slice(0, 1)
      # Accelerators round the factors of a product to 10 or 8 bits unless told otherwise.
      products.append(
        jnp.matmul(spectrum[..., bins], weights[bins], precision=jax.lax.Precision.HIGHEST)
      )
    return jnp.concatenate(products, axis=-1)


@dataclasses.dataclass(frozen=True)
class LogMel(Mel):
  """`Mel` in decibels, at least -100, equal to `librosa.power_to_db`.

  Float32 FFTs round: bands more than 120 dB below the loudest of their frame are noise, which is
  0.3 dB in those of -100 dB beside a clean tone, and nothing with a `top_db` of 80.

  Attributes:
    top_db: bands are at least so many dB below the loudest of their clip, and zeros appended to a
      clip may then change that; None for no such floor.
  """

  top_db: float | None = None

  def __post_init__(self):
    super().__post_init__()
    if self.top_db is not None and self.top_db <= 0:
      raise ConfigError(f'LogMel.top_db: expected more than 0 or None, found {self.top_db}')

  def transform_clip(self, audio: jax.Array) -> jax.Array:
    return power_to_db(super().transform_clip(audio), self.top_db)


@dataclasses.dataclass(frozen=True)
class PcenMel(Mel):
  """Amplitudes in mel bands with per-channel energy normalisation (Wang et al., 2017).

  Equal to `librosa.pcen(scale * melspectrogram(..., power=1), ...)`.

  Attributes:
    scale: of audio before PCEN, whose defaults are meant for integers of 32 bits.
    gain, bias, exponent, time_constant, eps: as of `pcen`.
  """

  scale: float = 2.0**31
  gain: float = 0.98
  bias: float = 2.0
  exponent: float = 0.5
  time_constant: float = 0.4
  eps: float = 1e-6

  def __post_init__(self):
    super().__post_init__()
    for field in ('scale', 'time_constant', 'eps'):
      if getattr(self, field) <= 0:
        raise ConfigError(f'PcenMel.{field}: expected more than 0, found {getattr(self, field)}')
    for field in ('gain', 'bias', 'exponent'):
      if getattr(self, field) < 0:
        raise ConfigError(f'PcenMel.{field}: expected at least 0, found {getattr(self, field)}')

  def transform_clip(self, audio: jax.Array) -> jax.Array:
    mel = self.scale * self.bands(amplitude(self.stft.transform_clip(audio)))
    seconds = self.hop_length / self.sample_rate
    return pcen(mel, seconds, self.gain, self.bias, self.exponent, self.time_constant, self.eps)


@dataclasses.dataclass(frozen=True)
class AmplitudePhase:
  """Amplitude and phase of an STFT as TensorFlow takes it: channels `log1p |S|` and `angle / pi`.

  Frames are `win_length` samples under a periodic Hann window, with zeros behind them up to n_fft,
  and not centred. A clip shorter than a frame is one frame, with zeros behind it.

  Attributes:
    n_fft: samples that are transformed.
    win_length: samples in a frame, at most n_fft.
    hop_length: samples between frames.
  """

  n_fft: int
  win_length: int
  hop_length: int

  def __post_init__(self):
    _ = Stft(self.n_fft, self.hop_length, self.win_length)  # Checks the fields.

  def num_frames(self, samples: int | jax.Array) -> int | jax.Array:
    """Frames of a clip of so many samples, at least 1."""
    frames = 1 + (samples - self.win_length) // self.hop_length
    return frames * (frames > 0) + (frames <= 0)

  @functools.partial(jax.jit, static_argnums=0)
  def __call__(self, audio: jax.Array) -> jax.Array:
    """[batch, samples] -> [batch, frames, 1 + n_fft // 2, 2] float32."""
    # Joined afterwards: XLA on CPU computes what it joins number by number.
    return jnp.stack(_each_clip(self._channels, audio), axis=-1)

  def _channels(self, audio: jax.Array) -> tuple[jax.Array, jax.Array]:
    audio = jnp.pad(audio, (0, max(0, self.win_length - len(audio))))
    frames = frame(audio, self.win_length, self.hop_length) * _window('hann', self.win_length)
    spectrum = jnp.fft.rfft(frames, self.n_fft)
    return jnp.log1p(amplitude(spectrum)), phase(spectrum) / jnp.pi


def frame(audio: jax.Array, frame_length: int, hop_length: int) -> jax.Array:
  """Overlapping frames: [samples] -> [frames, frame_length].

  Raises:
    DataError: the clip is shorter than one frame.
  """
  samples = audio.shape[-1]
  if samples < frame_length:
    raise DataError(f'audio: expected at least a frame of {frame_length} samples, found {samples}')
  starts = np.arange(0, samples - frame_length + 1, hop_length)
  return audio[starts[:, None] + np.arange(frame_length)]


def power(spectrum: jax.Array) -> jax.Array:
  """Squared magnitude of a complex spectrum of any shape."""
  # Not |z|^2 through jnp.abs, whose gradient at a silent bin is NaN.
  return jnp.square(spectrum.real) + jnp.square(spectrum.imag)


def amplitude(spectrum: jax.Array) -> jax.Array:
  """Magnitude of a complex spectrum of any shape; its gradient at a silent bin is 0."""
  squared = power(spectrum)
  heard = squared >= _TINY
  # The inner where keeps the infinite slope of the root out of the gradient, the outer its value.
  return jnp.where(heard, jnp.sqrt(jnp.where(heard, squared, 1.0)), 0.0)


def phase(spectrum: jax.Array) -> jax.Array:
  """Angle of a complex spectrum of any shape, -pi to pi; 0 with gradient 0 at a silent bin."""
  heard = power(spectrum) >= _TINY
  real, imag = jnp.where(heard, spectrum.real, 1.0), jnp.where(heard, spectrum.imag, 0.0)
  # By polynomials of float32 (Cephes' atanf, within 3e-7), as XLA on CPU calls atan2 number by
  # number. First the angle to the nearer axis, whose tangent is 0 to 1.
  across, along = jnp.minimum(abs(real), abs(imag)), jnp.maximum(abs(real), abs(imag))
  steep = across > math.tan(math.pi / 8) * along  # Then its difference to pi / 4.
  tangent = jnp.where(steep, across - along, across) / jnp.where(steep, across + along, along)
  square = jnp.square(tangent)
  series = functools.reduce(lambda sum_, term: sum_ * square + term, _ARCTAN)
  angle = tangent + tangent * square * series + jnp.where(steep, math.pi / 4, 0.0)
  angle = jnp.where(abs(imag) > abs(real), math.pi / 2 - angle, angle)
  angle = jnp.where(real < 0, math.pi - angle, angle)
  return jnp.where(imag < 0, -angle, angle)


def power_to_db(spectrum: jax.Array, top_db: float | None = None) -> jax.Array:
  """10 log10 of powers of any shape, taken as at least `AMIN` and `top_db` below the loudest."""
  decibels = 10.0 * jnp.log10(jnp.maximum(spectrum, AMIN))
  return decibels if top_db is None else jnp.maximum(decibels, jnp.max(decibels) - top_db)


def pcen(
  spectrum: jax.Array,
  hop_seconds: float,
  gain: float = 0.98,
  bias: float = 2.0,
  exponent: float = 0.5,
  time_constant: float = 0.4,
  eps: float = 1e-6,
) -> jax.Array:
  """Per-channel energy normalisation, equal to `librosa.pcen` (Wang et al., 2017).

  (S / (eps + M)^gain + bias)^exponent - bias^exponent, where M follows S at the time constant,
  from 1 before the first frame.

  Args:
    spectrum: [..., frames, bands] of amplitudes or powers.
    hop_seconds: between frames.
    gain: how much of M is divided out.
    bias: above which the root compresses; 0 compresses all.
    exponent: of the compression; 0 is the logarithm log(1 + S / (eps + M)^gain).
    time_constant: of M, seconds.
    eps: what counts as silence.
  """
  # The first-order filter whose squared response has the half-width of the time constant.
  frames = time_constant / hop_seconds
  rate = (math.sqrt(1 + 4 * frames**2) - 1) / (2 * frames**2)
  smooth = _smooth(spectrum, rate)
  # In logarithms, as M spans 15 decades.
  louder = spectrum * jnp.exp(-gain * (math.log(eps) + jnp.log1p(smooth / eps)))
  if exponent == 0:
    return jnp.log1p(louder)
  if bias == 0:
    heard = louder >= _TINY
    return jnp.where(heard, jnp.power(jnp.where(heard, louder, 1.0), exponent), 0.0)
  return bias**exponent * jnp.expm1(exponent * jnp.log1p(louder / bias))


def _smooth(spectrum: jax.Array, rate: float) -> jax.Array:
  """M[t] = (1 - rate) M[t - 1] + rate S[t] over [..., frames, bands], with M[-1] = 1."""

  def then(first, second):
    (decay, value), (next_decay, next_value) = first, second
    return decay * next_decay, next_decay * value + next_value

  decays = jnp.full_like(spectrum[..., :1], 1 - rate)
  # In log2(frames) steps over all frames: a step a frame is latency alone on an accelerator.
  decays, values = jax.lax.associative_scan(then, (decays, rate * spectrum), axis=-2)
  return decays + values


def _window(name: str, length: int) -> np.ndarray:
  """[length] float32, periodic: one period of the cosine is `length` samples, not one less."""
  angle = 2 * np.pi * np.arange(length) / length
  terms = [(-1) ** k * a * np.cos(k * angle) for k, a in enumerate(WINDOWS[name])]
  return sum(terms).astype(np.float32)


def _each_clip(function: Callable[[jax.Array], Any], audio: jax.Array) -> Any:
  """Applies a function of one clip to [batch, samples] of any float type."""
  audio = jnp.asarray(audio, jnp.float32)
  # On CPU the frames of one clip stay in the cache, and their memory is used again. A loop over
  # clips that other devices hold would move them all.
  if jax.default_backend() == 'cpu' and jax.device_count() == 1:
    return jax.lax.map(function, audio)
  return jax.vmap(function)(audio)


@functools.partial(jax.jit, static_argnames='front_end')
def scaled_log_mel(front_end: LogMel, audio: jax.Array, offset: float, scale: float) -> jax.Array:
  """(dB + offset) / scale: [batch, samples] -> [batch, frames, n_mels]."""
  return (front_end(audio) + offset) / scale
