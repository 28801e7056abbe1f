"""Prediction of tracks that are cut into slices; the command and its errors are in test_main.py."""

import json
import os

import numpy as np
import pandas as pd
import pytest
import soundfile

from configs import spectrogram_cnn
from musicjax import predict, train
from musicjax.errors import DataError
from tests.conftest import write_audio_folder


@pytest.fixture(scope='module')
def config(tmp_path_factory):
  home = tmp_path_factory.mktemp('home')
  config = spectrogram_cnn.get_config('test')
  config.data_dir = str(write_audio_folder(home / 'raw', num_tracks=6))
  config.prepared_dir = str(home / 'prepared')
  return config


@pytest.fixture(scope='module')
def workdir(config, tmp_path_factory):
  workdir = tmp_path_factory.mktemp('run')
  train.train_and_evaluate(config, workdir)
  return workdir


def read_scores(path):
  table = pd.read_csv(path)
  return table.iloc[:, 0].tolist(), table.iloc[:, 1:].to_numpy()


def test_files_are_predicted_as_they_were_evaluated(config, workdir, monkeypatch):
  tracks, expected = read_scores(workdir / 'predictions' / 'out_of_fold.csv')
  assert 3 <= len(tracks) <= 6  # A fifth of 18, a row a track.
  paths = [f'{config.data_dir}/{track}' for track in reversed(tracks)]
  # A few slices at a time, so that a track's lie in several batches.
  monkeypatch.setattr(predict, '_CHUNK_BATCHES', 1)
  config.eval_batch_size = 3
  path = predict.predict(workdir, config, config.report_checkpoint, [*paths, paths[0]])
  config.eval_batch_size = 8
  found_paths, found = read_scores(path)
  assert found_paths == paths
  # Six digits are written; the order of sums differs.
  np.testing.assert_allclose(found, expected[::-1], rtol=0, atol=1e-5)


def test_a_track_scores_the_mean_of_its_slices(config, workdir, tmp_path):
  # Slices of half a second every quarter, so that these are the three of the track.
  audio = np.random.default_rng(0).normal(0, 0.1, 8000)
  soundfile.write(tmp_path / 'track.wav', audio, 8000, subtype='FLOAT')
  for number, start in enumerate((0, 2000, 4000)):
    part = audio[start : start + 4000]
    soundfile.write(tmp_path / f'slice_{number}.wav', part, 8000, subtype='FLOAT')
  path = predict.predict(workdir, config, 'latest', [str(tmp_path)], slices=True)
  tracks, scores = read_scores(path)
  assert np.ptp(scores[:3], axis=0).max() > 1e-5
  np.testing.assert_allclose(scores[3], scores[:3].mean(axis=0), rtol=0, atol=1e-5)

  slices = pd.read_csv(path.with_name('slices.csv'))
  assert list(slices.columns) == ['path', 'start', 'end', 'high', 'low', 'noise']
  assert list(slices['path']) == [*tracks[:3], *3 * tracks[3:]]
  times = slices[['start', 'end']].to_numpy()
  np.testing.assert_array_equal(times[2:], [[0, 0.5], [0, 0.5], [0.25, 0.75], [0.5, 1]])
  of_slices = slices[['high', 'low', 'noise']].to_numpy()
  np.testing.assert_allclose(of_slices[3:], scores[:3], rtol=0, atol=1e-5)
  predict.predict(workdir, config, 'latest', [tracks[0]])
  assert not path.with_name('slices.csv').exists()  # They would not be those of the tracks.


def test_bad_files_are_listed_and_the_rest_is_predicted(
  config, workdir, tmp_path, monkeypatch, capsys
):
  audio = np.random.default_rng(0).normal(0, 0.1, 40000)
  for name in ('a.wav', 'c.wav', 'e.wav'):
    soundfile.write(tmp_path / name, audio, 8000)
  (tmp_path / 'b.mp3').write_text('no audio')
  audio[30000] = np.nan  # Behind slices that are scored by then.
  soundfile.write(tmp_path / 'd.wav', audio, 8000, subtype='FLOAT')
  (tmp_path / 'e.wav').rename(tmp_path / os.fsdecode(b'e\n\xe9.wav'))
  (tmp_path / 'list.m3u8').write_text('c.wav\ngone.wav\nd.wav\n')
  monkeypatch.setattr(predict, '_CHUNK_BATCHES', 1)
  inputs = [str(tmp_path / 'list.m3u8'), str(tmp_path)]
  path = predict.predict(workdir, config, 'latest', inputs, slices=True)
  tracks, scores = read_scores(path)
  assert tracks == [f'{tmp_path}/{name}' for name in ('c.wav', 'a.wav', r'e\n\udce9.wav')]
  np.testing.assert_allclose(scores[1:], scores[[0, 0]], rtol=0, atol=1e-5)
  slices = pd.read_csv(path.with_name('slices.csv'))
  assert list(slices['path']) == [track for track in tracks for _ in range(19)]
  skipped = pd.read_csv(path.with_name('skipped.csv'))
  assert list(skipped['path']) == [f'{tmp_path}/{name}' for name in ('gone.wav', 'd.wav', 'b.mp3')]
  for reason, expected in zip(skipped['reason'], ('no such', 'NaN', 'decodable'), strict=True):
    assert expected in reason
  assert f'3 of 6 inputs left out, listed in {path.with_name("skipped.csv")}' in (
    capsys.readouterr().out
  )


def test_nothing_is_written_where_no_file_can_be_read(config, workdir, tmp_path):
  (tmp_path / 'a.mp3').write_text('no audio')
  (tmp_path / 'b.mp3').write_text('no audio')
  before = sorted((workdir / 'predictions').iterdir())
  with pytest.raises(DataError, match=r'none of 2 inputs; .*a\.mp3: expected a decodable'):
    predict.predict(workdir, config, 'latest', [str(tmp_path)])
  assert sorted((workdir / 'predictions').iterdir()) == before


def test_plan_and_report_count_tracks(config, workdir, tmp_path, capsys):
  final = train.train_and_evaluate(config, tmp_path)
  told = capsys.readouterr().out
  ids, _ = read_scores(workdir / 'predictions' / 'out_of_fold.csv')
  assert f'and {len(ids)} test tracks of ' in told
  report = (tmp_path / 'report.md').read_text()
  assert f'{len(ids):,} tracks in test' in report
  support = json.loads((tmp_path / 'dataset.json').read_text())['support']
  rows = [line.split('|') for line in report.split('## Tags')[1].splitlines()]
  in_training = {
    row[1].strip(): int(row[9]) for row in rows[:10] if row[9:10] and row[9].strip().isdigit()
  }
  assert in_training.keys() == {'high', 'low', 'noise'}
  assert 9 <= sum(in_training.values()) <= 12  # Three fifths of 18.
  assert sum(support) > 2 * sum(in_training.values())  # Of slices, for the loss.
  assert final['steps'] == 2
