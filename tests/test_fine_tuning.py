"""A run that starts from weights, on a folder of audio."""

import json

import numpy as np
import pytest

from configs import spectrogram_cnn
from experiments import import_musicnn
from musicjax import evaluate, predict, train
from musicjax.errors import ConfigError
from tests.conftest import write_audio_folder
from tests.experiments.test_import_musicnn import MODEL, make_checkpoint


@pytest.fixture
def config(tmp_path):
  config = spectrogram_cnn.get_config('test')
  config.data_dir = str(write_audio_folder(tmp_path / 'raw'))
  config.prepared_dir = str(tmp_path / 'prepared')
  config.normalize = 'none'
  config.model = MODEL
  config.accumulate = 2
  config.frozen = ('timbral_*', 'temporal_*', 'time_*', '*_norm')
  config.pretrained = str(tmp_path / 'weights.npz')
  make_checkpoint(tmp_path / 'checkpoint', np.random.default_rng(0))
  np.savez(config.pretrained, **import_musicnn.read(tmp_path / 'checkpoint'))
  return config


def test_a_run_needs_its_weights_no_more_once_it_has_begun(config, tmp_path):
  train.train_and_evaluate(config, tmp_path / 'run')
  weights = tmp_path / 'weights.npz'
  weights.rename(tmp_path / 'away.npz')
  config.num_train_steps = 3
  final = train.train_and_evaluate(config, tmp_path / 'run')
  assert final['steps'] == 3
  evaluate.evaluate_checkpoint(tmp_path / 'run', config, 'latest')
  audio = next((tmp_path / 'raw').rglob('*.wav'))
  predict.predict(tmp_path / 'run', config, 'latest', [str(audio)])
  assert (tmp_path / 'run' / 'predictions' / 'predictions.csv').is_file()


def test_a_run_that_was_killed_early_does_not_go_on_from_other_weights(config, tmp_path):
  train.train_and_evaluate(config, tmp_path / 'run')
  described = json.loads((tmp_path / 'run' / 'dataset.json').read_text())
  again = tmp_path / 'again'
  again.mkdir()
  for name in ('config.json', 'dataset.json'):
    (again / name).write_text((tmp_path / 'run' / name).read_text())
  with np.load(config.pretrained) as arrays:
    np.savez(config.pretrained, **{name: 2 * arrays[name] for name in arrays})
  known = described['pretrained'][:12]
  with pytest.raises(ConfigError, match=rf'^config\.pretrained: .* SHA-256 {known}, found others'):
    train.train_and_evaluate(config, again)
