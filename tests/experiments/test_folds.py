import csv

import pytest

from experiments import folds
from musicjax.errors import ConfigError
from tests.conftest import make_config


@pytest.fixture
def config(yandex_folder, prepared_dir):
  return make_config(yandex_folder, prepared_dir, num_folds=3, num_train_steps=1)


def test_every_fold_is_run_once_and_tabled(config, tmp_path, capsys):
  runs = folds.run_folds(config, tmp_path, [4])
  assert list(runs) == [(0, 4), (1, 4), (2, 4)]
  rows = list(csv.DictReader((tmp_path / 'folds.csv').open()))
  assert [(row['fold'], row['seed']) for row in rows] == [('0', '4'), ('1', '4'), ('2', '4')]
  assert [float(row['test_map_macro']) for row in rows] == [
    final['test']['map_macro'] for final in runs.values()
  ]
  table = (tmp_path / 'folds.md').read_text()

  capsys.readouterr()
  assert folds.run_folds(config, tmp_path, [4]) == runs
  assert capsys.readouterr().out.count('nothing to do') == 3
  assert (tmp_path / 'folds.md').read_text() == table


def test_a_failing_run_is_named(config, tmp_path):
  config.loss.name = 'none_such'
  with pytest.raises(ConfigError) as error:
    folds.run_folds(config, tmp_path, [0])
  assert 'fold_0_seed_0' in error.value.__notes__[0]
  assert not (tmp_path / 'folds.md').exists()


def test_seeds_are_averaged_before_folds_are_compared():
  values = {(0, 0): 0.1, (0, 1): 0.3, (1, 0): 0.4, (1, 1): 0.4}
  runs = {key: {'test': {'map_macro': value}, 'seconds': 1.5} for key, value in values.items()}
  lines = folds.markdown(runs, 'map_macro').splitlines()
  assert lines[4] == '| 0 | 0.1000 | 0.3000 | 0.2000 | 3 |'
  assert lines[6] == '| mean | 0.2500 | 0.3500 | 0.3000 ± 0.1414 | 6 |'
