import json
from types import SimpleNamespace

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


DATASET = dict.fromkeys(workdir._OF_DATASET, 0) | {'fingerprint': 'a'}
HERE = SimpleNamespace(fingerprint='a')


def leave(folder, config, *names):
  """Writes files of a run that had a config; returns the folder."""
  contents = {'config.json': workdir._plain(config), 'dataset.json': DATASET}
  for name in names:
    if name in contents:
      workdir.write_json(folder / name, contents[name])
    else:
      (folder / name).mkdir(parents=True)
  return folder


@pytest.mark.parametrize('other', ['dataset.json', 'checkpoints/7'])
def test_another_config_is_refused_wherever_a_run_left_its_own(config, tmp_path, other):
  leave(tmp_path, config, 'config.json', other)
  config.batch_size *= 2
  with pytest.raises(ConfigError, match=r'another run: batch_size: .* there, .* here'):
    workdir.describe(tmp_path, config, HERE, dict)


@pytest.mark.parametrize(
  ('left', 'missing'),
  [
    (['dataset.json'], 'config.json'),
    (['checkpoints/7'], 'config.json'),
    (['config.json', 'checkpoints/7'], 'dataset.json'),
  ],
)
def test_a_run_without_its_description_is_refused_by_name(config, tmp_path, left, missing):
  leave(tmp_path, config, *left)
  with pytest.raises(ConfigError, match=f'{missing}: expected a file that a run wrote'):
    workdir.describe(tmp_path, config, HERE, dict)


def test_a_start_that_was_killed_while_it_claimed_the_workdir_is_made_again(config, tmp_path):
  leave(tmp_path, config, 'config.json', 'checkpoints')
  prepared = SimpleNamespace(**DATASET)
  assert workdir.describe(tmp_path, config, prepared, lambda: {'support': 3})['support'] == 3


def test_what_a_file_of_the_workdir_lacks_is_named(config, tmp_path):
  leave(tmp_path, config, 'config.json', 'dataset.json')
  assert workdir.read_dataset(tmp_path, HERE) == DATASET
  for name in ('config.json', 'dataset.json', 'metrics.json'):
    (tmp_path / name).write_text('{}')
  with pytest.raises(ConfigError, match=r'config.json: expected the fields of a run, found {}'):
    workdir.describe(tmp_path, config, HERE, dict)
  with pytest.raises(ConfigError, match=r'config.json: expected the fields of a run'):
    workdir.read_config(tmp_path, None)
  with pytest.raises(ConfigError, match=r'dataset.json: .* found no name, fingerprint'):
    workdir.read_dataset(tmp_path)
  with pytest.raises(ConfigError, match=r'metrics.json: .* found no steps'):
    workdir.final_metrics(tmp_path, 1)


def test_a_run_that_lost_its_checkpoints_does_not_start_from_zero(tmp_path):
  workdir.check_untrained(tmp_path)
  for step in (10, 20):  # A kill may come before the first checkpoint is whole.
    workdir.append_evaluation(tmp_path, {'step': step})
    workdir.check_untrained(tmp_path)
  workdir.append_evaluation(tmp_path, {'step': 30})
  with pytest.raises(ConfigError, match=f'none in {tmp_path}, but .* up to step 30$'):
    workdir.check_untrained(tmp_path)
  (tmp_path / 'metrics.jsonl').unlink()
  workdir.write_json(tmp_path / 'metrics.json', {'steps': 40, 'num_train_steps': 40})
  with pytest.raises(ConfigError, match=r'up to step 40$'):
    workdir.check_untrained(tmp_path)
