import jax
import jax.numpy as jnp
import librosa
import numpy as np
import pytest

from musicjax.audio.features import LogMel
from musicjax.errors import ConfigError, DataError

FRONT_ENDS = [
  LogMel(8000, 256, 100, 20),
  LogMel(16000, 1024, 640, 64, fmin=30.0, mel_scale='slaney', center=True),
  LogMel(16000, 512, 160, 40, fmin=20.0, fmax=7600.0, mel_scale='htk', center=False),
  LogMel(22050, 2048, 512, 128, mel_scale='slaney', center=False),
  LogMel(44100, 2000, 441, 96, fmax=16000.0, mel_scale='htk', center=True),
]


def make_audio(sample_rate, seconds=0.7):
  """Two clips [2, samples]: noise that decays by 60 dB, and a chirp over a floor of -60 dB.

  Without a floor, bands 120 dB below the loudest bin would compare the rounding of two FFTs.
  """
  time = np.arange(int(sample_rate * seconds)) / sample_rate
  noise = 0.2 * np.random.default_rng(0).normal(size=time.size)
  chirp = 0.9 * np.sin(2 * np.pi * (100 + 0.3 * sample_rate * time / seconds) * time)
  return np.stack([noise * 10 ** (-3 * time / seconds), chirp + 5e-3 * noise]).astype(np.float32)


def librosa_log_mel(front_end, audio):
  mel = librosa.feature.melspectrogram(
    y=audio,
    sr=front_end.sample_rate,
    n_fft=front_end.n_fft,
    hop_length=front_end.hop_length,
    n_mels=front_end.n_mels,
    fmin=front_end.fmin,
    fmax=front_end.fmax,
    center=front_end.center,
    htk=front_end.mel_scale == 'htk',
    norm='slaney' if front_end.mel_scale == 'slaney' else None,
  )
  return librosa.power_to_db(mel, ref=1.0, top_db=None).swapaxes(-1, -2)


@pytest.mark.parametrize('front_end', FRONT_ENDS, ids=str)
def test_equals_librosa(front_end):
  audio = make_audio(front_end.sample_rate)
  expected = librosa_log_mel(front_end, audio)
  result = np.asarray(jax.jit(front_end)(audio))
  assert result.dtype == np.float32
  assert result.shape == expected.shape
  # Float32 FFTs differ by about 1e-7 of the largest bin, which is 1e-4 of a band 60 dB below it.
  assert np.max(np.abs(result - expected)) / np.max(np.abs(expected)) < 1e-4


@pytest.mark.parametrize('front_end', FRONT_ENDS, ids=str)
@pytest.mark.parametrize('extra', [0, 1, 99, 640])
def test_num_frames_is_the_number_of_frames(front_end, extra):
  samples = front_end.n_fft + extra
  result = jax.eval_shape(front_end, jax.ShapeDtypeStruct((1, samples), jnp.float32))
  assert result.shape == (1, front_end.num_frames(samples), front_end.n_mels)


@pytest.mark.parametrize('front_end', FRONT_ENDS, ids=str)
def test_zeros_appended_do_not_change_the_frames_of_a_clip(front_end):
  audio = make_audio(front_end.sample_rate)
  frames = front_end.num_frames(audio.shape[1])
  padded = np.pad(audio, ((0, 0), (0, 3 * front_end.n_fft)))
  expected, result = front_end(audio), front_end(padded)[:, :frames]
  # The same frames in a batch of another size: only the order of the sums may differ.
  np.testing.assert_allclose(result, expected, rtol=0, atol=1e-3)


@pytest.mark.parametrize('level', [0.0, 1e-30, 1.0], ids=['silence', 'denormal', 'full_scale'])
@pytest.mark.parametrize('center', [True, False])
def test_values_and_gradients_are_finite(level, center):
  front_end = LogMel(16000, 512, 256, 40, center=center)
  audio = level * np.sign(np.sin(np.arange(4000) * 0.3))[None].astype(np.float32)
  values, gradients = jax.value_and_grad(lambda x: jnp.sum(front_end(x)))(audio)
  assert np.isfinite(values)
  assert np.isfinite(gradients).all()
  assert np.any(gradients) == (level == 1.0)


def test_silence_is_minus_100_db():
  # 1e-10 is not a float32, so its logarithm is not exactly -10.
  np.testing.assert_allclose(LogMel(16000, 512, 256, 40)(np.zeros((2, 2000))), -100.0, atol=1e-4)


def test_gradient_is_the_slope():
  front_end = LogMel(8000, 256, 128, 20)
  audio = make_audio(8000, 0.1)[:1]
  direction = audio * np.linspace(1, 2, audio.size, dtype=np.float32)
  mean = jax.jit(lambda x: jnp.mean(front_end(x)))
  slope = np.vdot(jax.grad(mean)(audio), direction)
  difference = (mean(audio + 0.05 * direction) - mean(audio - 0.05 * direction)) / 0.1
  # The cubic term of a step of 5 to 10 per cent.
  np.testing.assert_allclose(difference, slope, rtol=0.01)


def test_clip_shorter_than_a_frame():
  assert LogMel(8000, 256, 128, 20)(np.ones((1, 10))).shape == (1, 1, 20)
  short = LogMel(8000, 256, 128, 20, center=False)
  assert short.num_frames(255) == 0
  with pytest.raises(DataError, match='256 samples, found 255'):
    short(np.ones((1, 255)))


@pytest.mark.parametrize(
  ('field', 'value'),
  [('mel_scale', 'bark'), ('fmax', 9000.0), ('fmin', 8000.0), ('hop_length', 0)],
)
def test_wrong_settings_are_named(field, value):
  settings = dict(sample_rate=16000, n_fft=512, hop_length=256, n_mels=40) | {field: value}
  with pytest.raises(ConfigError, match=field):
    LogMel(**settings)
