import dataclasses
import functools
import json

import jax
import jax.numpy as jnp
import librosa
import numpy as np
import pytest

from musicjax.audio import features
from musicjax.audio.features import LogMel, Mel, PcenMel, Stft
from musicjax.errors import ConfigError, DataError

# On 4,000 samples of 16 kHz, one of each kind.
REPRESENTATIONS = {
  'amplitude': lambda audio: features.amplitude(Stft(512, 256)(audio)),
  'phase': lambda audio: features.phase(Stft(512, 256)(audio)),
  'power_db': lambda audio: features.power_to_db(features.power(Stft(512, 256)(audio))),
  'mel': Mel(16000, 512, 256, 40),
  'db': LogMel(16000, 512, 256, 40),
  'db_not_centred': LogMel(16000, 512, 256, 40, center=False),
  'db_top_80': LogMel(16000, 512, 256, 40, top_db=80.0),
  'pcen': PcenMel(16000, 512, 256, 40),
  'pcen_root': PcenMel(16000, 512, 256, 40, bias=0.0),
  'pcen_log': PcenMel(16000, 512, 256, 40, exponent=0.0),
}
FRAMINGS = [
  Stft(400, 160, 300, center=False),
  LogMel(8000, 256, 100, 20),
  LogMel(44100, 2000, 441, 96, fmax=16000.0, mel_scale='htk', center=False),
  PcenMel(16000, 1023, 640, 64, fmin=30.0),
]


def make_audio(sample_rate, samples):
  """Two clips [2, samples]: noise that decays by 60 dB, and a chirp over a floor of -60 dB.

  Without a floor, bands 120 dB below the loudest bin would compare the rounding of two FFTs.
  """
  part = np.arange(samples) / samples
  noise = 0.2 * np.random.default_rng(0).normal(size=samples)
  chirp = 0.9 * np.cos(2 * np.pi * (100 + 0.2 * sample_rate * part) * samples * part / sample_rate)
  return np.stack([noise * 10 ** (-3 * part), chirp + 5e-3 * noise]).astype(np.float32)


def librosa_features(stft, mel, audio):
  """Every representation, in float64, by its name."""
  audio = audio.astype(np.float64)
  spectrum = librosa.stft(audio, **dataclasses.asdict(stft))
  settings = dict(sr=mel.sample_rate, n_mels=mel.n_mels, fmin=mel.fmin, fmax=mel.fmax)
  settings |= dataclasses.asdict(stft) | {'y': audio, 'dtype': np.float64}
  slaney = librosa.feature.melspectrogram(**settings)
  amplitude = 2.0**31 * librosa.feature.melspectrogram(**settings, power=1)
  frames = {
    'stft': spectrum,
    'amplitude': np.abs(spectrum),
    'phase': np.angle(spectrum),
    'power': np.abs(spectrum) ** 2,
    'power_db': librosa.power_to_db(np.abs(spectrum) ** 2, top_db=None),
    'slaney': slaney,
    'htk': librosa.feature.melspectrogram(**settings, htk=True, norm=None),
    'db': librosa.power_to_db(slaney, top_db=None),
    'pcen': librosa.pcen(amplitude, sr=mel.sample_rate, hop_length=mel.hop_length),
  }
  return {name: values.swapaxes(-1, -2) for name, values in frames.items()}


@functools.partial(jax.jit, static_argnums=(0, 1))
def all_features(stft, mel, audio):
  settings = dataclasses.asdict(mel)
  spectrum = stft(audio)
  return {
    'stft': spectrum,
    'amplitude': features.amplitude(spectrum),
    'phase': features.phase(spectrum),
    'power': features.power(spectrum),
    'power_db': features.power_to_db(features.power(spectrum)),
    'slaney': Mel(**settings)(audio),
    'htk': Mel(**settings | {'mel_scale': 'htk'})(audio),
    'db': LogMel(**settings)(audio),
    'pcen': PcenMel(**settings)(audio),
  }


@pytest.mark.filterwarnings('ignore:n_fft=.* is too large')
@pytest.mark.parametrize(
  ('sample_rate', 'samples', 'stft'),
  [
    (8000, 100, Stft(256, 64)),  # shorter than a frame
    (8000, 256, Stft(256, 100, 200, 'hamming', center=False)),  # one frame
    (16000, 12001, Stft(512, 160, 400)),
    (16000, 16000, Stft(512, 160, 400, 'hamming', center=False)),
    (22050, 1, Stft(2048, 512)),
    (22050, 2048, Stft(2048, 500, 1024, 'hamming')),
    (22050, 220500, Stft(2048, 512)),  # long
    (44100, 44101, Stft(2000, 441, 1501, 'blackman')),
    (44100, 20000, Stft(2048, 512, center=False)),
    (48000, 30001, Stft(1023, 300, 800)),  # an odd frame
    (48000, 48000, Stft(1024, 1500, center=False)),  # hops over gaps
  ],
  ids=str,
)
def test_equals_librosa(sample_rate, samples, stft):
  audio = make_audio(sample_rate, samples)
  settings = dataclasses.asdict(stft)
  mel = Mel(sample_rate, n_mels=20 if stft.n_fft < 512 else 40, fmin=20.0, **settings)
  expected = librosa_features(stft, mel, audio)
  results = jax.device_get(all_features(stft, mel, audio))
  assert results.keys() == expected.keys()
  for name, result in results.items():
    assert result.dtype == (np.complex64 if name == 'stft' else np.float32)
    assert result.shape == expected[name].shape, name
    error = np.abs(result - expected[name])
    power = expected['power']
    if name == 'phase':  # Of what is loud, on the circle.
      error = np.minimum(error, 2 * np.pi - error) * (power > 1e-4 * power.max())
    if name == 'power_db':  # Single bins of noise can be as silent as rounding.
      error *= power > 1e-6 * power.max(axis=-1, keepdims=True)
    # Float32 FFTs differ by about 1e-7 of the largest bin, which is 1e-4 of a band 60 dB below it.
    assert error.max() / np.abs(expected[name]).max() < 1e-4, name


@pytest.mark.parametrize('settings', [{'exponent': 0}, {'bias': 0}, {'gain': 0.5, 'eps': 1e-3}])
def test_settings_of_pcen_are_those_of_librosa(settings):
  amplitude = np.abs(np.random.default_rng(0).normal(size=(2, 50, 8))).astype(np.float32)
  result = jax.jit(functools.partial(features.pcen, hop_seconds=0.02, **settings))(amplitude)
  settings['power'] = settings.pop('exponent', 0.5)
  expected = librosa.pcen(amplitude.astype(np.float64), sr=1000, hop_length=20, axis=-2, **settings)
  assert np.max(np.abs(result - expected)) / np.max(np.abs(expected)) < 1e-5


@pytest.mark.parametrize('front_end', FRAMINGS, ids=str)
@pytest.mark.parametrize('extra', [0, 1, 99, 640])
def test_num_frames_is_the_number_of_frames(front_end, extra):
  samples = front_end.n_fft + extra
  result = jax.eval_shape(front_end, jax.ShapeDtypeStruct((1, samples), jnp.float32))
  assert result.shape[:2] == (1, front_end.num_frames(samples))


@pytest.mark.parametrize('front_end', FRAMINGS, ids=str)
def test_zeros_appended_do_not_change_the_frames_of_a_clip(front_end):
  audio = make_audio(16000, 12000)
  frames = front_end.num_frames(audio.shape[1])
  padded = np.pad(audio, ((0, 0), (0, 3 * front_end.n_fft)))
  expected, result = front_end(audio), front_end(padded)[:, :frames]
  # The same frames in a batch of another size: only the order of the sums may differ.
  np.testing.assert_allclose(result, expected, rtol=0, atol=1e-3)


@pytest.mark.parametrize('name', REPRESENTATIONS)
def test_values_and_gradients_are_finite(name):
  front_end = REPRESENTATIONS[name]
  values_and_gradients = jax.jit(
    lambda audio: (front_end(audio), jax.grad(lambda x: jnp.sum(front_end(x)))(audio))
  )
  full_scale = np.sign(np.sin(np.arange(4000) * 0.3)).astype(np.float32)[None]
  for level in (0.0, 1e-30, 1.0):
    values, gradients = values_and_gradients(level * full_scale)
    assert np.isfinite(values).all()
    assert np.isfinite(gradients).all()
  assert np.any(gradients)


@pytest.mark.parametrize('name', ['db', 'pcen'])
def test_bfloat16_audio_is_computed_in_float32(name):
  front_end = REPRESENTATIONS[name]
  audio = jnp.asarray(make_audio(16000, 4000), jnp.bfloat16)
  result, slope = jax.jit(jax.value_and_grad(lambda x: jnp.mean(front_end(x))))(audio)
  assert result.dtype == jnp.float32
  assert np.isfinite(np.asarray(slope, np.float32)).all()
  np.testing.assert_array_equal(front_end(audio), front_end(audio.astype(jnp.float32)))


def test_top_db_is_that_of_librosa_for_every_clip():
  # Clean tones: without top_db, bands at the floor would hold the rounding of the FFT.
  tones = np.sin(2 * np.pi * np.outer([440, 3000], np.arange(8000)) / 16000).astype(np.float32)
  tones *= [[0.9], [1e-3]]
  result = LogMel(16000, 512, 256, 40, top_db=80.0)(tones)
  for clip, decibels in zip(tones, result, strict=True):
    mel = librosa.feature.melspectrogram(y=clip, sr=16000, n_fft=512, hop_length=256, n_mels=40)
    expected = librosa.power_to_db(mel, top_db=80.0).T
    assert np.max(np.abs(decibels - expected)) / np.max(np.abs(expected)) < 1e-4


def test_silence_is_minus_100_db():
  # 1e-10 is not a float32, so its logarithm is not exactly -10.
  np.testing.assert_allclose(LogMel(16000, 512, 256, 40)(np.zeros((2, 2000))), -100.0, atol=1e-4)


def test_gradient_is_the_slope():
  front_end = LogMel(8000, 256, 128, 20)
  audio = make_audio(8000, 800)[:1]
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


@pytest.mark.parametrize('name', ['db', 'pcen'])
def test_accelerators_compute_the_same_in_a_batch(name, monkeypatch):
  front_end = REPRESENTATIONS[name]
  audio = make_audio(16000, 4000)
  expected = front_end(audio)
  monkeypatch.setattr(jax, 'default_backend', lambda: 'gpu')

  def transform(audio):  # Not the call of the front end, which keeps the program of this backend.
    return features._each_clip(front_end.transform_clip, audio)

  assert 'scan[' not in str(jax.make_jaxpr(transform)(audio))
  result = jax.jit(transform)(audio)
  np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-4)  # The order of sums.


def test_phases_are_true_to_float32_all_around_and_of_any_size():
  rng = np.random.default_rng(0)
  spectrum = rng.normal(size=(2, 20_000)) * 10.0 ** rng.uniform(-12, 12, size=(1, 20_000))
  spectrum = (spectrum[0] + 1j * spectrum[1]).astype(np.complex64)
  spectrum[:6] = 1, 1j, -1j, 1 + 1j, -1 - 1j, -1 + 1e-6j
  turned = np.asarray(features.phase(spectrum)) - np.angle(spectrum.astype(np.complex128))
  assert np.abs(turned).max() <= 5e-7  # Two ulps of 3.


def test_settings_survive_json():
  for front_end in FRAMINGS:
    settings = json.loads(json.dumps(dataclasses.asdict(front_end)))
    assert type(front_end)(**settings) == front_end


@pytest.mark.parametrize(
  ('front_end', 'field', 'value'),
  [
    (LogMel, 'mel_scale', 'bark'),
    (LogMel, 'fmax', 9000.0),
    (LogMel, 'fmin', 8000.0),
    (LogMel, 'hop_length', 0),
    (LogMel, 'win_length', 513),
    (LogMel, 'window', 'welch'),
    (PcenMel, 'time_constant', 0.0),
    (PcenMel, 'gain', -1.0),
  ],
)
def test_wrong_settings_are_named(front_end, field, value):
  settings = dict(sample_rate=16000, n_fft=512, hop_length=256, n_mels=40) | {field: value}
  with pytest.raises(ConfigError, match=field):
    front_end(**settings)
