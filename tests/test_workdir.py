import json

import numpy as np
import pytest

from configs import yandex
from musicjax import checkpoints, train, workdir
from musicjax.errors import ConfigError
from tests.conftest import make_config


@pytest.fixture
def config(yandex_folder, prepared_dir):
  return make_config(
    yandex_folder,
    prepared_dir,
    **{'num_train_steps': 2, 'eval_every_steps': 3, 'optimizer.schedule': 'constant'},
  )


REFUSED = {
  'model.name': 'atention_transformer',
  'loss.name': 'asymetric',
  'select_metric': 'map_makro',
  'report_checkpoint': 'bst',
  'accumulate': 3,
  'fold': 5,
}


@pytest.mark.parametrize('field', REFUSED)
def test_a_refused_config_leaves_no_trace(config, tmp_path, field):
  config.update_from_flattened_dict({field: REFUSED[field]})
  with pytest.raises(ConfigError):
    train.train_and_evaluate(config, tmp_path / 'run')
  assert not (tmp_path / 'run' / 'config.json').exists()


def test_a_finished_run_is_left_as_it_is(config, tmp_path, capsys):
  first = train.train_and_evaluate(config, tmp_path)
  files = {path: path.stat().st_mtime_ns for path in tmp_path.rglob('*')}
  config.report_checkpoint = 'latest'
  assert train.train_and_evaluate(config, tmp_path) == first
  assert 'is complete at step 2: nothing to do' in capsys.readouterr().out
  assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob('*')} == files
  config.num_train_steps = 1
  with pytest.raises(ConfigError, match='num_train_steps: expected at least the 2 done'):
    train.train_and_evaluate(config, tmp_path)


def test_an_extension_counts_losses_and_seconds_from_where_it_was(config, tmp_path):
  config.optimizer.learning_rate = 0.0  # The loss of a step depends on its batch alone.
  config.ema_decay = 0.0
  train.train_and_evaluate(config, tmp_path / 'extended')
  config.num_train_steps = 3
  second = train.train_and_evaluate(config, tmp_path / 'extended')
  straight = train.train_and_evaluate(config, tmp_path / 'straight')
  losses = [json.loads(line) for line in (tmp_path / 'extended/metrics.jsonl').open()]
  whole = json.loads((tmp_path / 'straight/metrics.jsonl').read_text())
  # Steps 1 and 2, then 3 alone; together they are the mean of all three.
  mean = (2 * losses[0]['train_loss'] + losses[1]['train_loss']) / 3
  np.testing.assert_allclose(mean, whole['train_loss'], rtol=1e-5)
  saved = checkpoints.Checkpoints(tmp_path / 'extended/checkpoints', read_only=True)
  assert second['seconds'] > saved.metadata('2')['seconds'] > 0
  assert straight['steps'] == 3


def test_another_machine_is_announced_on_resume(config, tmp_path, capsys, monkeypatch):
  train.train_and_evaluate(config, tmp_path)
  config.num_train_steps = 3
  elsewhere = {**checkpoints.topology(), 'cpus': 96}
  monkeypatch.setattr(train, 'topology', lambda: elsewhere)
  train.train_and_evaluate(config, tmp_path)
  assert 'cpus: ' in capsys.readouterr().out


def test_an_unknown_variant_is_refused():
  with pytest.raises(ConfigError, match='nearest: baseline'):
    yandex.get_config('basline')


def test_evaluations_behind_the_restored_step_are_cut_and_torn_lines_dropped(tmp_path):
  rows = ''.join(f'{{"step": {step}}}\n' for step in (1, 2, 3))
  (tmp_path / 'metrics.jsonl').write_text(rows + '{"step": 1, "lo')
  workdir.cut_evaluations(tmp_path, 2)
  assert (tmp_path / 'metrics.jsonl').read_text() == '{"step": 1}\n{"step": 2}\n'


def test_numbers_that_json_lacks_become_null(tmp_path):
  workdir.write_json(tmp_path / 'a.json', {'a': float('nan'), 'b': {'c': float('inf'), 'd': 1.5}})
  assert workdir.read_json(tmp_path / 'a.json') == {'a': None, 'b': {'c': None, 'd': 1.5}}


def test_a_workdir_is_that_of_one_run_at_a_time(config, tmp_path):
  with workdir.held(tmp_path), pytest.raises(ConfigError, match='another process trains in'):
    train.train_and_evaluate(config, tmp_path)
  assert not (tmp_path / 'config.json').exists()
  assert train.train_and_evaluate(config, tmp_path)['steps'] == 2
