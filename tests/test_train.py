import json
import os
import signal
import subprocess
import sys

import jax
import numpy as np
import pytest

from musicjax import checkpoints, sharding, system, train
from musicjax.errors import ConfigError
from tests.conftest import make_config

# All that a checkpoint must carry: averaged weights, accumulation, schedules driven by evaluations.
# The learning rate is constant, because a longer run is part of what is tested.
STATEFUL = {
  'accumulate': 2,
  'ema_decay': 0.9,
  'eval_every_steps': 3,
  'log_every_steps': 2,
  'optimizer.schedule': 'constant',
  'plateau.factor': 0.5,
  'plateau.patience': 0,
  'early_stopping': 10,
}


@pytest.fixture
def config(yandex_folder, prepared_dir):
  return make_config(yandex_folder, prepared_dir, **STATEFUL)


def lines(workdir):
  return [json.loads(line) for line in (workdir / 'metrics.jsonl').read_text().splitlines()]


def test_an_extended_run_ends_with_the_state_of_an_uninterrupted_one(config, tmp_path):
  config.num_train_steps = 9
  straight = train.train_and_evaluate(config, tmp_path / 'straight')
  for steps in (3, 6, 9):
    config.num_train_steps = steps
    extended = train.train_and_evaluate(config, tmp_path / 'extended')
  assert extended['state_fingerprint'] == straight['state_fingerprint']
  assert extended['test'] == straight['test']
  assert lines(tmp_path / 'extended') == lines(tmp_path / 'straight')
  assert [line['step'] for line in lines(tmp_path / 'straight')] == [3, 6, 9]


def test_a_finished_run_is_left_alone(config, tmp_path, capsys):
  config.num_train_steps = 2
  first = train.train_and_evaluate(config, tmp_path)
  files = {
    path: path.stat().st_mtime_ns
    for path in tmp_path.rglob('*')
    if path.name not in ('config.json', 'dataset.json', 'skipped.csv')
  }
  again = train.train_and_evaluate(config, tmp_path)
  assert again == first
  assert 'is complete at step 2' in capsys.readouterr().out
  assert {path: path.stat().st_mtime_ns for path in files} == files


def test_a_workdir_refuses_another_config_and_lists_what_differs(config, tmp_path):
  config.num_train_steps = 2
  train.train_and_evaluate(config, tmp_path)
  config.update(seed=7, batch_size=16)
  with pytest.raises(ConfigError) as error:
    train.train_and_evaluate(config, tmp_path)
  assert 'batch_size: 8 there, 16 here' in str(error.value)
  assert 'seed: 0 there, 7 here' in str(error.value)


def test_a_workdir_refuses_other_data(config, tmp_path, monkeypatch):
  config.num_train_steps = 2
  train.train_and_evaluate(config, tmp_path)
  dataset = json.loads((tmp_path / 'dataset.json').read_text())
  (tmp_path / 'dataset.json').write_text(json.dumps({**dataset, 'fingerprint': 'yandex-other'}))
  with pytest.raises(ConfigError, match='dataset: yandex-other there'):
    train.train_and_evaluate(config, tmp_path)


def test_evaluations_that_bring_nothing_cut_the_learning_rate_and_end_the_run(config, tmp_path):
  config.update(early_stopping=5, num_train_steps=60, eval_every_steps=1, ema_decay=0.0)
  config.optimizer.learning_rate = 0.0  # No evaluation can be better than the first.
  config.plateau.update(factor=0.1, patience=1)
  final = train.train_and_evaluate(config, tmp_path)
  assert (final['steps'], final['reported_step'], final['num_train_steps']) == (6, 1, 60)
  dataset = json.loads((tmp_path / 'dataset.json').read_text())
  mesh = sharding.make_mesh()
  state = checkpoints.Checkpoints(tmp_path / 'checkpoints', read_only=True).restore(
    'latest', jax.eval_shape(system.create(config, dataset, mesh).init), sharding.replicated(mesh)
  )
  # Evaluations 2 and 3 bring nothing: a cut. 4 and 5: another. 6 is the fifth: the end.
  np.testing.assert_allclose(state.progress.lr_scale, 0.01, rtol=1e-6)


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_step(config, tmp_path):
  config.update(num_train_steps=20, ema_decay=0.0)
  config.optimizer.update(name='sgd', learning_rate=1e38, weight_decay=0.0, clip_norm=0.0)
  with pytest.raises(FloatingPointError, match=r'step \d+: \w+ is (nan|inf); batch_at\(config, \d+\)'):
    train.train_and_evaluate(config, tmp_path)
  assert not (tmp_path / 'metrics.json').exists()


def test_a_trace_of_the_asked_steps_is_there_for_tensorboard(config, tmp_path):
  config.update(num_train_steps=3, profile_steps=(2, 3))
  train.train_and_evaluate(config, tmp_path)
  assert list(tmp_path.glob('plugins/profile/*/*.xplane.pb'))


def test_learning_beats_chance_on_real_data(real_data, prepared_dir, tmp_path):
  config = make_config(
    real_data / 'emotify_taggrams',
    prepared_dir,
    num_train_steps=60,
    batch_size=32,
    eval_every_steps=60,
    crop_frames=0,
    normalize='per_feature',
  )
  config.optimizer.learning_rate = 1e-2
  config.augment.mixup.probability = 0.0
  final = train.train_and_evaluate(config, tmp_path)
  # Chance is the share of positives, 0.274; logistic regression on pooled features reaches 0.37.
  assert final['validation']['map_macro'] > 0.31


def test_sigterm_saves_and_the_restart_ends_with_the_same_state(config, tmp_path):
  config.update(num_train_steps=400, eval_every_steps=200)
  straight = train.train_and_evaluate(config, tmp_path / 'straight')
  overrides = [
    f'--config.{name}={value}'
    for name, value in {
      **STATEFUL,
      'num_train_steps': 400,
      'eval_every_steps': 200,
      'data_dir': config.data_dir,
      'prepared_dir': config.prepared_dir,
    }.items()
  ]
  command = [
    sys.executable,
    '-m',
    'musicjax.main',
    '--config=configs/yandex.py:test',
    f'--workdir={tmp_path / "killed"}',
    *overrides,
  ]
  process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ)
  for line in process.stdout:
    if line.startswith('step 10/'):
      process.send_signal(signal.SIGTERM)
      break
  rest = process.stdout.read()
  assert process.wait(60) == 0
  assert 'terminated: saved step' in rest
  saved_at = int(rest.split('saved step ')[1].split()[0])
  assert 10 <= saved_at < 400
  restarted = subprocess.run(command, capture_output=True, text=True, check=True)
  assert f'resuming from step {saved_at} of 400' in restarted.stdout
  final = json.loads((tmp_path / 'killed' / 'metrics.json').read_text())
  assert final['state_fingerprint'] == straight['state_fingerprint']
  assert lines(tmp_path / 'killed') == lines(tmp_path / 'straight')
