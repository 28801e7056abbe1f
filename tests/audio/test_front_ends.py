import numpy as np
import pytest

from configs import freesound
from musicjax.audio import front_ends
from musicjax.audio.features import LogMel
from musicjax.errors import ConfigError

LENGTHS = np.array([4000, 1, 100, 2345])


def make_config(**fields):
  config = freesound.get_config('test')
  with config.unlocked():
    config.update_from_flattened_dict(fields)
  return config


def make_batch():
  audio = np.random.default_rng(0).integers(-9000, 9000, (len(LENGTHS), 4000)).astype(np.int16)
  return {'inputs': audio * (np.arange(4000) < LENGTHS[:, None]), 'lengths': LENGTHS, 'labels': 7}


def test_frames_of_padded_waveforms_are_those_of_each_alone():
  batch = front_ends.create(make_config())(make_batch())
  log_mel = LogMel(sample_rate=8000, n_fft=256, hop_length=160, n_mels=16, fmin=30.0)
  assert batch['lengths'].tolist() == [1 + length // 160 for length in LENGTHS]
  assert batch['labels'] == 7
  for clip, length, frames, valid in zip(
    make_batch()['inputs'], LENGTHS, batch['inputs'], batch['lengths'], strict=True
  ):
    expected = (log_mel(clip[None, :length] / 32767)[0] + 100) / 150
    # Zeros behind a clip are what a centred frame sees there; only sums may be ordered otherwise.
    np.testing.assert_allclose(frames[:valid], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize('name', front_ends.FRONT_ENDS)
def test_silence_is_finite_and_integers_equal_their_floats(name):
  config = make_config()
  if name == 'amplitude_phase':
    config.front_end = dict(name=name, n_fft=256, win_length=200, hop_length=100)
  config.front_end.name = name
  transform = front_ends.create(config)
  silence = {'inputs': np.zeros((2, 500), np.int16), 'lengths': np.array([1, 500])}
  assert np.isfinite(transform(silence)['inputs']).all()
  batch = make_batch()
  floats = batch | {'inputs': batch['inputs'].astype(np.float32)}
  np.testing.assert_array_equal(transform(batch)['inputs'], transform(floats)['inputs'])


def test_clips_shorter_than_a_frame_that_is_not_centred_are_one_frame():
  transform = front_ends.create(make_config(**{'front_end.center': False}))
  batch = make_batch()
  short = {'inputs': batch['inputs'][1:3, :100], 'lengths': LENGTHS[1:3]}
  found = transform(short)
  assert found['lengths'].tolist() == [1, 1]
  # As with the zeros of a longer batch behind them.
  longer = transform(batch)['inputs'][1:3, :1]
  np.testing.assert_allclose(found['inputs'], longer, rtol=0, atol=1e-5)


def test_a_record_alone_has_the_frames_it_has_in_a_batch():
  batch = make_batch()
  expected = front_ends.create(make_config())(batch)
  transform = front_ends.create_for_records(make_config())
  for clip, length, frames, valid in zip(
    batch['inputs'], LENGTHS, expected['inputs'], expected['lengths'], strict=True
  ):
    # Jitted or not: the order of sums.
    np.testing.assert_allclose(transform(clip[:length]), frames[:valid], rtol=0, atol=1e-5)


def test_without_a_name_inputs_are_as_stored():
  batch = {'inputs': np.zeros((2, 9, 4), np.float16), 'lengths': np.array([9, 5])}
  assert front_ends.create(make_config(**{'front_end.name': ''}))(batch) is batch
  record = batch['inputs'][0]
  assert front_ends.create_for_records(make_config(**{'front_end.name': ''}))(record) is record


@pytest.mark.parametrize(
  ('fields', 'told'),
  [
    ({'front_end.name': 'log_mle'}, r'config.front_end.name: .*nearest: log_mel'),
    ({'front_end.n_melz': 3}, r'config.front_end: its field: .*nearest: n_mels'),
    ({'front_end.sample_rate': 8000}, r'config.front_end: its field: .*sample_rate'),
    ({'front_end.fmin': 5000.0}, r'fmin, fmax: expected 0 <= fmin < fmax <= 4000 Hz'),
    ({'front_end.name': 'amplitude_phase'}, r'config.front_end: its field: .*found .fmin'),
  ],
)
def test_what_is_no_front_end_is_named(fields, told):
  with pytest.raises(ConfigError, match=told):
    front_ends.create(make_config(**fields))


def test_a_front_end_needs_its_fields_and_waveforms():
  config = make_config()
  del config.front_end.n_mels
  with pytest.raises(ConfigError, match=r'config.front_end.n_mels: expected a value, found none'):
    front_ends.create(config)
  with pytest.raises(ConfigError, match=r"found 'log_mel' and inputs of 2 axes"):
    front_ends.create(make_config())({'inputs': np.zeros((2, 9, 9)), 'lengths': np.array([9, 9])})
  with pytest.raises(ConfigError, match=r'front_end.name: expected one of .* with waveforms'):
    front_ends.create(make_config(**{'front_end.name': ''}))(make_batch())
  config = make_config()
  del config.dataset.sample_rate
  with pytest.raises(ConfigError, match=r'front_end.name: expected none without waveforms, found'):
    front_ends.create(config)
