import pickle
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from ml_collections import ConfigDict
from sklearn import linear_model, model_selection, pipeline, preprocessing

from musicjax.data.builders import quickstart, synthesis
from musicjax.errors import ConfigError, DataError


def make_source(num_tracks=12, seed=0):
  return quickstart.load(
    ConfigDict({'dataset': {'name': 'quickstart', 'num_tracks': num_tracks, 'seed': seed}})
  )


def read(source, rows):
  keys = [source.keys[row] for row in rows]
  return dict(zip(rows, source.features(list(map(source.decode, keys))), strict=True))


def test_source_describes_its_records():
  source = make_source(20)
  inputs = read(source, range(20))
  assert sorted(inputs) == list(range(20))
  for x in inputs.values():
    assert x.dtype == source.input_dtype
    assert x.shape[1:] == source.input_shape[1:]
    assert np.isfinite(x).all()
  assert list(source.ids) == sorted(set(source.ids))
  assert list(source.groups) == list(source.ids)


def test_inputs_are_about_standardised():
  frames = np.concatenate(list(read(make_source(48), range(48)).values()))
  # A constant scale, not this sample's: what matters to a model is the order of magnitude.
  assert abs(frames.mean()) < 0.5
  assert 0.4 < frames.std() < 1.5


def test_labels_are_balanced():
  labels = make_source(100).labels
  assert (labels.sum(axis=1) == 1).all()
  assert np.ptp(labels.sum(axis=0)) <= 1


def test_a_track_depends_on_seed_and_index_alone():
  few, many = make_source(6), make_source(40)
  np.testing.assert_array_equal(few.labels, many.labels[:6])
  alone, among = read(few, [5])[5], read(many, [17, 5, 3])[5]
  np.testing.assert_array_equal(alone, among)
  other = read(make_source(6, seed=1), [5])[5]
  assert other.shape != alone.shape or np.abs(other - alone).max() > 0.1


def test_workers_can_unpickle_how_tracks_are_read():
  source = make_source()
  decode, features = pickle.loads(pickle.dumps((source.decode, source.features)))
  audio = decode(source.keys[3])
  np.testing.assert_array_equal(audio, synthesis.synthesise(0, 3))
  np.testing.assert_array_equal(features([audio])[0], read(source, [3])[3])


def test_lengths_vary_within_their_range():
  lengths = [len(synthesis.synthesise(0, index)) / synthesis.SAMPLE_RATE for index in range(30)]
  assert min(lengths) >= synthesis.MIN_SECONDS
  assert max(lengths) <= synthesis.MAX_SECONDS
  assert np.ptp(lengths) > 1


def test_tracks_have_headroom_and_no_silence():
  for index in range(30):
    audio = synthesis.synthesise(3, index)
    assert audio.dtype == np.float32
    assert 0.1 < np.abs(audio).max() <= 1


def test_workers_import_neither_jax_nor_tensorflow():
  program = (
    'import sys; import musicjax.data.builders.synthesis; '
    "print([m for m in ('jax', 'tensorflow', 'librosa') if m in sys.modules])"
  )
  result = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True)
  assert result.stdout.strip() == '[]', result.stderr


def test_a_written_track_reads_as_the_synthesised_one(tmp_path):
  source = make_source()
  expected = read(source, [0, 7])
  for row in (0, 7):
    audio = synthesis.synthesise(0, row)
    soundfile.write(tmp_path / f'{row}.wav', audio, synthesis.SAMPLE_RATE, subtype='FLOAT')
  paths = [tmp_path / '0.wav', tmp_path / '7.wav']
  inputs = dict(quickstart.read_inputs(paths, source.input_shape, source.parameters))
  assert list(inputs) == paths
  for row, (_, result) in zip((0, 7), inputs.items(), strict=True):
    np.testing.assert_array_equal(result, expected[row])


def test_lossy_files_at_another_rate_are_close(tmp_path):
  soxr = pytest.importorskip('soxr')
  audio = soxr.resample(synthesis.synthesise(0, 2), synthesis.SAMPLE_RATE, 44100)
  soundfile.write(tmp_path / 'a.ogg', np.stack([audio, audio], axis=1), 44100)
  source = make_source()
  ((_, result),) = quickstart.read_inputs([tmp_path / 'a.ogg'], (None, 64), source.parameters)
  expected = read(source, [2])[2]
  assert abs(len(result) - len(expected)) <= 1
  # Where an Ogg encoder spends its bits: below 4 kHz, within 1 dB (0.05) on average.
  frames = min(len(result), len(expected))
  assert np.abs(result[:frames, :40] - expected[:frames, :40]).mean() < 0.1


def test_paths_keep_their_order_and_broken_files_are_errors(tmp_path):
  rate = synthesis.SAMPLE_RATE
  for name, seconds in (('b.wav', 1), ('a.FLAC', 2), ('c.wav', 600)):
    soundfile.write(tmp_path / name, np.zeros(rate * seconds), rate)
  (tmp_path / 'broken.mp3').write_text('not audio')
  (tmp_path / 'folder').mkdir()
  names = ('b.wav', 'missing.wav', 'a.FLAC', 'b.wav', 'broken.mp3', 'c.wav', 'folder')
  source = make_source()
  paths = [tmp_path / name for name in names]
  results = list(quickstart.read_inputs(paths, source.input_shape, source.parameters))
  assert [path for path, _ in results] == paths
  num_frames = quickstart.FRONT_END.num_frames
  seconds = [1, 0, 2, 1, 0, synthesis.MAX_SECONDS, 0]  # Of the ten minutes so much.
  for (path, result), expected in zip(results, seconds, strict=True):
    if expected:
      assert len(result) == num_frames(int(expected * rate))
    else:
      assert str(path) in str(result)
      assert isinstance(result, DataError)


def test_too_few_tracks():
  with pytest.raises(ConfigError, match=r'dataset\.num_tracks'):
    make_source(5)


def test_the_average_spectrum_does_not_tell_the_genre():
  source = make_source(360)
  inputs = read(source, range(360))
  mean = np.stack([inputs[row].mean(axis=0) for row in range(360)])
  model = pipeline.make_pipeline(
    preprocessing.StandardScaler(), linear_model.LogisticRegression(max_iter=2000)
  )
  genres = np.argmax(source.labels, axis=1)
  accuracy = model_selection.cross_val_score(model, mean, genres, cv=5).mean()
  # Above chance (1/6), so the labels are those of the audio; 1,400 tracks give 0.64.
  assert 0.35 < accuracy < 0.75
