import importlib
from pathlib import Path

import numpy as np
import pytest

from experiments import sweep_rows
from musicjax import system
from musicjax.config import base_config
from musicjax.errors import ConfigError
from musicjax.fields import flatten

SWEEPS = {
  'yandex': ('emotify_ours_lr', 'emotify_baseline_lr', 'emotify_faults', 'emotify_search'),
  'spectrogram_cnn': ('ablation',),
  'freesound': ('ablation',),
}


def write_config(folder, sweep):
  """A config file like those of `configs/`, whose sweep `x` is the text of a dict."""
  path = folder / 'config.py'
  get_sweep = f'def get_sweep(name):\n  return {{"x": {sweep}}}[name]\n'
  path.write_text(f'from configs.yandex import get_config\n{get_sweep}')
  return str(path)


@pytest.mark.parametrize(('name', 'sweep'), [(n, s) for n, names in SWEEPS.items() for s in names])
def test_every_shipped_sweep_has_rows_that_can_run(name, sweep):
  configs = sweep_rows.configs(f'configs/{name}.py', sweep, {'data_dir': 'x'})
  assert len(configs) > 1
  for config in configs.values():
    system.check(config)
    assert config.data_dir == 'x'


def test_the_faults_of_the_published_recipe_differ_from_the_baseline_in_nothing_else():
  configs = sweep_rows.configs('configs/yandex.py', 'emotify_faults', {})
  baseline, ours, *faults = configs
  assert (ours, baseline, len(faults)) == ('ours', 'baseline', 4)
  assert configs['ours'].num_train_steps == configs['baseline'].num_train_steps
  for fault in faults:
    fields = flatten(configs[fault].to_dict()) | {'optimizer.name': 'adamw'}
    switches = ('model.masked', 'model.drop_examples', 'augment.gaussian_noise.on_padding')
    left = {name: value for name, value in fields.items() if name not in switches}
    assert left == flatten(configs['baseline'].to_dict())


def test_without_a_sweep_the_config_is_the_only_row():
  assert list(sweep_rows.configs('configs/yandex.py:baseline', '', {})) == ['baseline']
  configs = sweep_rows.configs('configs/yandex.py', '', {'batch_size': 7})
  assert [config.batch_size for config in configs.values()] == [7]


def test_a_grid_has_all_combinations_in_order_named_by_their_values():
  rows = sweep_rows.named({'grid': {'optimizer.learning_rate': (1e-3, 0.1), 'ema_decay': (0.0,)}})
  assert rows == {
    'learning_rate=0.001,ema_decay=0': {'optimizer.learning_rate': 1e-3, 'ema_decay': 0.0},
    'learning_rate=0.1,ema_decay=0': {'optimizer.learning_rate': 0.1, 'ema_decay': 0.0},
  }


def test_random_rows_are_in_their_spaces_and_a_longer_sweep_begins_as_the_shorter():
  space = {'a': ('log_uniform', 1e-4, 1e-2), 'b': ('uniform', 2, 3), 'c': [(1, 2), 'x']}
  rows = sweep_rows.named({'random': space, 'num_rows': 40, 'seed': 5})
  drawn = [row for name, row in rows.items() if name != 'ours']
  assert rows['ours'] == {}
  assert len(drawn) == 39
  a, b = (np.array([row[field] for row in drawn]) for field in 'ab')
  assert ((a > 1e-4) & (a < 1e-2)).all()
  assert 10 < (a < 1e-3).sum() < 29  # Half of them; six deviations of 3.1.
  assert ((b > 2) & (b < 3)).all()
  assert {row['c'] for row in drawn} == {(1, 2), 'x'}
  shorter = sweep_rows.named({'random': space, 'num_rows': 3, 'seed': 5})
  assert list(shorter.items()) == list(rows.items())[:3]


def test_flags_win_over_what_is_fixed_and_rows_are_left_to_themselves(tmp_path):
  sweep = {'fixed': {'batch_size': 8, 'seed': 3}, 'rows': {'a': {}, 'b': {'ema_decay': 0.5}}}
  configs = sweep_rows.configs(write_config(tmp_path, sweep), 'x', {'batch_size': 16})
  assert {(config.batch_size, config.seed) for config in configs.values()} == {(16, 3)}
  assert configs['b'].ema_decay == 0.5
  with pytest.raises(ConfigError, match=r'row b: --config.ema_decay: sweep x sets it in its rows'):
    sweep_rows.configs(write_config(tmp_path, sweep), 'x', {'ema_decay': 0.9})


def test_a_config_file_chooses_the_variant_that_none_names(tmp_path):
  path = tmp_path / 'config.py'
  path.write_text(
    'from configs import yandex\ndef get_config(variant="baseline"):\n'
    '  return yandex.get_config(variant)\n'
  )
  (config,) = sweep_rows.configs(str(path), '', {}).values()
  assert config.model.name == 'conv_transformer'


def test_a_row_chooses_its_variant_takes_groups_away_and_replaces_them(tmp_path):
  rows = {
    'a': {'variant': 'baseline'},
    'b': {'augment.mixup': None, 'loss': {'name': 'bce'}, 'augment.gain': {'max_db': 3.0}},
  }
  configs = sweep_rows.configs(write_config(tmp_path, {'rows': rows}), 'x', {})
  assert configs['a'].model.name == 'conv_transformer'
  assert configs['b'].loss.to_dict() == {'name': 'bce'}
  assert configs['b'].augment.to_dict() == {'gain': {'max_db': 3.0}}


@pytest.mark.parametrize(
  ('sweep', 'told'),
  [
    ({'rows': {}}, 'expected one of rows, grid and random'),
    ({'rows': {'a': {}}, 'grid': {'seed': (1,)}}, 'expected one of rows, grid and random'),
    ({'rows': {'../a': {}}}, r"names of folders for rows, found '../a'"),
    ({'grid': {'model.a': ('x y', 'x_y')}}, 'found some twice'),
    ({'random': {'seed': (1, 2)}, 'num_rows': 2, 'seed': 0}, r'expected a space, found \(1, 2\)'),
    ({'rows': {'a': {}, 'b': {'batchsize': 3}}}, r'row b: config.batchsize: no such field'),
    ({'rows': {'a': {'no.such': 3}}}, r'row a: config.no.such: cannot be 3'),
    ({'rows': {'a': {'augment.gain': None}}}, r'row a: config.augment.gain: cannot be None'),
    ({'rows': {'a': {'batch_size': 'x'}}}, r"row a: config.batch_size: .*'x'"),
  ],
)
def test_what_is_no_sweep_is_told_before_anything_runs(sweep, told, tmp_path):
  with pytest.raises(ConfigError, match=told):
    sweep_rows.configs(write_config(tmp_path, sweep), 'x', {})


def test_a_config_without_sweeps_is_told():
  with pytest.raises(ConfigError, match='expected get_sweep beside get_config'):
    sweep_rows.configs('configs/quickstart.py', 'x', {})


@pytest.mark.parametrize('name', ['test_map_macro', 'test', 'map_macro', 'validation_loss'])
def test_nothing_is_chosen_by_a_test_fold(name):
  with pytest.raises(ConfigError, match=r'--select: .*validation_'):
    sweep_rows.check_select(name, base_config())
  assert sweep_rows.check_select('validation_map_macro', base_config()) == 'map_macro'


def test_the_configs_named_here_are_those_that_have_sweeps():
  names = {path.stem for path in Path('configs').glob('[!_]*.py')}
  have = {n for n in names if hasattr(importlib.import_module(f'configs.{n}'), 'get_sweep')}
  assert have == set(SWEEPS)
