"""Covers from their folder to scores of other files, pictures and a resumed run."""

import json
import types

import numpy as np
import pandas as pd
import pytest

from configs import pressed_play
from musicjax import picture_look, predict, system, train
from musicjax.data import array_records
from musicjax.data.audio_features import FEATURES
from musicjax.errors import ConfigError
from tests.conftest import make_config as make_yandex_config
from tests.conftest import write_cover_folder


@pytest.fixture(scope='module')
def config(tmp_path_factory):
  """Of four steps, in three of which the divergence gains weight."""
  home = tmp_path_factory.mktemp('home')
  config = pressed_play.get_config('test')
  config.data_dir = str(write_cover_folder(home / 'raw'))
  config.prepared_dir = str(home / 'prepared')
  config.num_train_steps, config.eval_every_steps = 4, 2
  config.optimizer.schedule = 'constant'  # Under others an extended run is another run.
  config.penalties.kl.warmup_steps = 3
  return config


@pytest.fixture(scope='module')
def workdir(config, tmp_path_factory):
  workdir = tmp_path_factory.mktemp('run')
  train.train_and_evaluate(config, workdir)
  return workdir


def test_files_are_predicted_as_the_test_fold_was_in_natural_units(config, workdir, tmp_path):
  kept = workdir / 'predictions' / 'out_of_fold.csv'
  expected, truth = pd.read_csv(kept), pd.read_csv(kept.with_name('out_of_fold_truth.csv'))
  table = pd.read_parquet(f'{config.data_dir}/covers.parquet')
  rows = [int(name.split(' ')[1]) - 1 for name in expected['id']]
  assert list(expected) == ['id', *FEATURES]
  given = np.stack(table['features'].iloc[rows])
  np.testing.assert_allclose(truth.iloc[:, 1:], given, rtol=1e-5)  # Six digits.
  assert expected['loudness'].max() < -1  # dB, and no deviations.
  paths = []
  for row in rows:
    paths.append(tmp_path / f'{row}.jpg')
    paths[-1].write_bytes(table['cover'].iloc[row])
  found = pd.read_csv(predict.predict(workdir, config, 'best', list(map(str, paths))))
  np.testing.assert_allclose(found.iloc[:, 1:], expected.iloc[:, 1:], rtol=1e-4)


def test_the_report_has_distortions_attention_and_targets(workdir):
  text = (workdir / 'report.md').read_text()
  for name in ('distortions', 'attention', 'targets', 'history'):
    assert f'(report/{name}.png)' in text
    assert (workdir / f'report/{name}.png').stat().st_size > 2000


def test_a_model_that_shows_no_attention_has_no_picture_of_it(config, tmp_path):
  prepared = array_records.prepare(config)
  scored = types.SimpleNamespace(ids=prepared.index.tracks[:3], losses=np.arange(3.0))
  picture_look.write_attention(tmp_path, lambda *_: {'scores': None}, {}, prepared, scored)
  assert not (tmp_path / 'report').exists()


def test_a_resident_run_that_is_resumed_in_the_warm_up_ends_with_the_same_state(
  config, workdir, tmp_path
):
  config = config.copy_and_resolve_references()
  config.resident, config.num_train_steps = True, 2
  train.train_and_evaluate(config, tmp_path)
  config.num_train_steps = 4
  resumed = train.train_and_evaluate(config, tmp_path)
  plain = json.loads((workdir / 'metrics.json').read_text())
  assert resumed['state_fingerprint'] == plain['state_fingerprint']
  assert resumed['test'] == plain['test']


def test_pictures_that_convolutions_do_not_halve_are_refused_before_the_workdir_is_taken(
  config, tmp_path
):
  config = config.copy_and_resolve_references()
  config.model.channels = (4,) * 6
  with pytest.raises(ConfigError, match=r'sides are multiples of 64 for 6 .*, found 32 x 32'):
    train.train_and_evaluate(config, tmp_path / 'run')
  assert not (tmp_path / 'run').exists()


@pytest.mark.parametrize(
  ('name', 'fields'),
  [
    ('spec_augment', {'time_width': 4, 'mel_width': 4}),
    ('gaussian_noise', {'sigma': 0.1}),
    ('gain', {'max_db': 3.0}),
  ],
)
def test_augmentations_of_frames_are_refused_for_pictures(config, name, fields):
  wrong = config.copy_and_resolve_references()
  wrong.augment[name] = fields
  with pytest.raises(ConfigError, match=rf'^config.augment.{name}: expected .*pictures.* frames$'):
    system.check(wrong)


def test_mixtures_suit_pictures(config, tmp_path):
  mixed = config.copy_and_resolve_references()
  mixed.augment.mixup = {'alpha': 1.0}
  mixed.augment.cutmix_time = {'alpha': 1.0}
  mixed.num_train_steps = 1
  train.train_and_evaluate(mixed, tmp_path)
  found = pd.read_csv(tmp_path / 'predictions/out_of_fold.csv')[list(FEATURES)]
  assert np.isfinite(found.to_numpy()).all()


def test_distortions_of_pictures_are_refused_for_frames(yandex_folder, prepared_dir):
  frames = make_yandex_config(yandex_folder, prepared_dir)
  frames.augment.blur = {'probability': 0.5}
  with pytest.raises(ConfigError, match=r'^config.augment.blur: expected .*frames.* pictures$'):
    system.check(frames)


def test_a_task_of_other_labels_is_refused_before_the_workdir_is_taken(
  config, yandex_folder, prepared_dir, tmp_path
):
  classes = {'task': 'multi_label', 'loss.name': 'bce', 'select_metric': 'map_macro'}
  numbers = {
    'task': 'feature_regression', 'loss': {'name': 'squared_error'}, 'select_metric': 'r2_macro'
  }  # fmt: skip
  of_covers = config.copy_and_resolve_references()
  of_covers.update_from_flattened_dict(classes)
  of_tags = make_yandex_config(yandex_folder, prepared_dir)
  for field, value in numbers.items():
    of_tags[field] = value
  for wrong, told in ((of_covers, 'multi_label for numbers'), (of_tags, 'regression for classes')):
    system.check(wrong)
    with pytest.raises(ConfigError, match=rf'config.task: expected .* found \w*{told}'):
      train.train_and_evaluate(wrong, tmp_path / 'run')
    assert not (tmp_path / 'run').exists()
