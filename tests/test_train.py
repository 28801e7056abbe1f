import functools
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import optax
import pandas as pd
import pytest

from musicjax import checkpoints, clock, evaluate, reports, sharding, system, train
from musicjax.data import folds_builder, input_pipeline
from musicjax.errors import ConfigError
from tests.conftest import make_config

# All that a checkpoint must carry: averaged weights, accumulation, schedules driven by evaluations.
# The learning rate is constant, because a longer run is part of what is tested.
STATEFUL = {
  'accumulate': 2,
  'ema_decay': 0.9,
  'eval_batch_size': 3,  # Three batches of the eight validation tracks.
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


def command_of(workdir, config, fields, module='musicjax.main'):
  """Returns what trains the tiny config on the config's data in a process of its own."""
  fields = fields | {'data_dir': config.data_dir, 'prepared_dir': config.prepared_dir}
  return [
    *(sys.executable, '-m', module, '--config=configs/yandex.py:test', f'--workdir={workdir}'),
    *(f'--config.{name}={value}' for name, value in fields.items()),
  ]


def lines(workdir):
  path = workdir / 'metrics.jsonl'
  return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


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


def test_the_update_is_compiled_once(config, tmp_path):
  # From shapes alone, before there is a batch: of others the first step would compile it anew.
  compiled = []

  def listen(event, _, fun_name='', **kwargs):
    if event == '/jax/core/compile/backend_compile_duration':
      compiled.append(fun_name)

  jax.monitoring.register_event_duration_secs_listener(listen)
  try:
    train.train_and_evaluate(config, tmp_path)
  finally:
    jax.monitoring.unregister_event_duration_listener(listen)
  assert compiled.count('jit(train_step)') == 1


def test_a_workdir_refuses_another_config_and_lists_what_differs(config, tmp_path):
  config.num_train_steps = 2
  train.train_and_evaluate(config, tmp_path)
  config.update(seed=7, batch_size=16)
  with pytest.raises(ConfigError) as error:
    train.train_and_evaluate(config, tmp_path)
  assert 'batch_size: 8 there, 16 here' in str(error.value)
  assert 'seed: 0 there, 7 here' in str(error.value)


def test_a_workdir_refuses_other_data(config, yandex_folder, tmp_path):
  config.num_train_steps = 2
  first = train.train_and_evaluate(config, tmp_path / 'run')
  copy = shutil.copytree(yandex_folder, tmp_path / 'copy')
  config.data_dir = str(copy)
  assert train.train_and_evaluate(config, tmp_path / 'run') == first  # The same data elsewhere.
  table = pd.read_csv(copy / 'train.csv', dtype=str)
  table.loc[0, 'tags'] = '1' if table.loc[0, 'tags'] == '0' else '0'
  table.to_csv(copy / 'train.csv', index=False)
  with pytest.raises(ConfigError, match=r'dataset: yandex-\S+ there, yandex-\S+ here'):
    train.train_and_evaluate(config, tmp_path / 'run')


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


def test_a_loss_that_is_not_finite_stops_the_run_and_its_batch_can_be_made_again(config, tmp_path):
  config.update(num_train_steps=20, ema_decay=0.0, eval_every_steps=1, crop_frames=6)
  config.optimizer.update(name='sgd', learning_rate=1e38, weight_decay=0.0, clip_norm=0.0)
  config.optimizer.update(schedule='cosine', warmup_steps=10)  # Update 1 does nothing: a good one.
  with pytest.raises(FloatingPointError) as error:
    train.train_and_evaluate(config, tmp_path)
  step, table, line = re.fullmatch(
    r'step (\d+): \w+ is (?:nan|inf); its batch is in (\S+), and again: (.*)', str(error.value)
  ).groups()
  assert not (tmp_path / 'metrics.json').exists()
  saved = checkpoints.Checkpoints(tmp_path / 'checkpoints', read_only=True)
  assert saved.resolve('latest') == int(step) - 1
  told = pd.read_csv(table, dtype={'id': str})
  assert Path(table) == tmp_path / f'batch_of_step_{step}.csv'
  assert sorted(set(told['micro_batch'])) == [0, 1]
  show = (
    'from musicjax.data import array_records; '
    'c = workdir.read_config(Path({!r}), None); ids = array_records.prepare(c).index.ids; '
    'print(*ids[batch["index"]].ravel(), *batch["lengths"].ravel())'
  )
  shown = subprocess.run(
    [sys.executable, '-c', f'{line}; {show.format(str(tmp_path))}'],
    capture_output=True, text=True, check=True,
  ).stdout.split()  # fmt: skip
  assert shown == [*told['id'], *map(str, told['length'])]


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


# When evaluation 150 is told, checkpoint 50 is whole, 100 most likely, and 150 is still to come.
KILLED = {'num_train_steps': 300, 'eval_every_steps': 50}


@pytest.fixture(scope='module')
def uninterrupted(yandex_folder, prepared_dir, tmp_path_factory):
  """The workdir of a run that nothing befell."""
  workdir = tmp_path_factory.mktemp('runs') / 'straight'
  train.train_and_evaluate(make_config(yandex_folder, prepared_dir, **STATEFUL | KILLED), workdir)
  return workdir


@pytest.mark.parametrize(
  ('sent', 'when'),
  [
    (signal.SIGTERM, 'step 10/300 '),
    (signal.SIGKILL, 'step 150/300  validation'),
    (signal.SIGKILL, 'step 300/300  validation'),
  ],
  ids=['SIGTERM', 'SIGKILL', 'SIGKILL in the report'],
)
def test_a_killed_run_ends_with_the_same_state(sent, when, config, uninterrupted, tmp_path):
  command = command_of(tmp_path, config, STATEFUL | KILLED)
  process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
  for line in process.stdout:
    if line.startswith(when):
      process.send_signal(sent)
      break
  rest = process.stdout.read()
  code = process.wait(60)
  restarted = subprocess.run(command, capture_output=True, text=True, check=True).stdout
  resumed_at = int(re.search(r'resuming from step (\d+) of 300', restarted)[1])
  if sent == signal.SIGTERM:
    assert code == 0
    assert f'terminated: saved step {resumed_at} of 300' in rest
    # What was printed before the signal came, and the steps until it is asked for.
    told = [int(step) for step in re.findall(r'^step (\d+)/300  loss', rest, re.MULTILINE)]
    assert 10 <= resumed_at <= max([10, *told]) + 5
  else:
    assert code == -signal.SIGKILL
    assert resumed_at >= 50
    assert resumed_at % 50 == 0
  final, straight = (
    json.loads((workdir / 'metrics.json').read_text()) for workdir in (tmp_path, uninterrupted)
  )
  assert final['state_fingerprint'] == straight['state_fingerprint']
  assert final['test'] == straight['test']
  assert lines(tmp_path) == lines(uninterrupted)


@pytest.fixture(scope='module')
def six_steps(yandex_folder, prepared_dir, tmp_path_factory):
  """The workdir of a short run that nothing befell."""
  workdir = tmp_path_factory.mktemp('runs') / 'six'
  config = make_config(yandex_folder, prepared_dir, **STATEFUL | {'num_train_steps': 6})
  train.train_and_evaluate(config, workdir)
  return workdir


def during(function):
  """Returns the function, interrupted by SIGTERM at its first call."""
  calls = iter([signal.SIGTERM])

  @functools.wraps(function)
  def interrupted(*args, **kwargs):
    for sent in calls:
      os.kill(os.getpid(), sent)
    return function(*args, **kwargs)

  return interrupted


@pytest.mark.parametrize(
  ('place', 'told'),
  [
    ((folds_builder, '_assign_folds'), 'terminated with nothing to save'),
    ((system, 'create'), 'terminated with nothing to save'),
    ((input_pipeline, 'tf_batches'), 'terminated with nothing to save'),
    ((optax, 'apply_updates'), 'terminated with nothing to save'),
    ((clock.Clock, 'report'), 'terminated: saved step 1 of 6'),
    ((evaluate, 'evaluate'), 'terminated: saved step 3 of 6'),
    ((reports, 'write'), 'terminated with nothing to save'),
  ],
  ids=['preparation', 'set-up', 'first batch', 'compilation', 'step', 'evaluation', 'report'],
)
def test_sigterm_at_any_moment_saves_what_there_is(
  place, told, config, six_steps, tmp_path, monkeypatch, capfd
):
  config.num_train_steps = 6
  config.prepared_dir = str(tmp_path / 'prepared')
  with monkeypatch.context() as patch:
    patch.setattr(*place, during(getattr(*place)))
    with pytest.raises(SystemExit) as ended:
      train.train_and_evaluate(config, tmp_path / 'run')
  assert ended.value.code == 0
  assert told in capfd.readouterr().out
  assert not (tmp_path / 'run' / 'metrics.json').exists()
  final = train.train_and_evaluate(config, tmp_path / 'run')
  straight = json.loads((six_steps / 'metrics.json').read_text())
  assert final['state_fingerprint'] == straight['state_fingerprint']
  assert lines(tmp_path / 'run') == lines(six_steps)


def interrupting(create, call):
  """Returns `system.create`, of systems whose n-th scoring of a batch is interrupted by SIGTERM."""

  def create_interrupting(*args):
    parts, calls = create(*args), itertools.count(1)

    def eval_step(*args):
      if next(calls) == call:
        os.kill(os.getpid(), signal.SIGTERM)
      return parts.eval_step(*args)

    return parts._replace(eval_step=eval_step)

  return create_interrupting


def assert_ended_alike(workdir, expected):
  final, straight = (json.loads((w / 'metrics.json').read_text()) for w in (workdir, expected))
  for timed in ('seconds', 'examples_per_second'):
    del final[timed], straight[timed]
  assert final == straight
  assert lines(workdir) == lines(expected)
  names = [sorted(path.name for path in (w / 'checkpoints').iterdir()) for w in (workdir, expected)]
  assert names[0] == names[1]


# Of each start: which batch it scores, and the step whose evaluation that belongs to.
@pytest.mark.parametrize(
  'starts',
  [[(2, 3)], [(5, 6)], [(2, 3), (2, 3), (5, 6), (1, 6)]],
  ids=['once', 'in the last one', 'again and again'],
)
def test_sigterm_in_an_evaluation_leaves_it_to_the_next_start(
  starts, config, six_steps, tmp_path, monkeypatch, capfd
):
  config.num_train_steps = 6
  for batch, step in starts:
    with monkeypatch.context() as patch:
      patch.setattr(system, 'create', interrupting(system.create, batch))
      with pytest.raises(SystemExit) as ended:
        train.train_and_evaluate(config, tmp_path)
    assert ended.value.code == 0
    assert f'terminated: saved step {step} of 6' in capfd.readouterr().out
    assert all(line['step'] < step for line in lines(tmp_path))
  train.train_and_evaluate(config, tmp_path)
  assert_ended_alike(tmp_path, six_steps)


def test_sigterm_ends_an_evaluation_however_long_it_is(config, six_steps, tmp_path):
  config.num_train_steps = 6
  fields = STATEFUL | {'num_train_steps': 6}
  command = command_of(tmp_path, config, fields, 'tests.endless_evaluation')
  process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
  for line in process.stdout:
    if line.startswith('evaluating without end'):
      break
  process.send_signal(signal.SIGTERM)
  try:
    rest, _ = process.communicate(timeout=120)
  finally:
    process.kill()  # It may have failed to end.
  assert process.returncode == 0
  assert rest.startswith('terminated: saved step 3 of 6')
  train.train_and_evaluate(config, tmp_path)
  assert_ended_alike(tmp_path, six_steps)


# Starts a command that may be interrupted, also where the tests run in background.
IN_FOREGROUND = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.argv[1], sys.argv[1:])
"""


def test_ctrl_c_ends_a_run_in_one_line(config, tmp_path):
  command = command_of(tmp_path, config, {'num_train_steps': 100000})
  process = subprocess.Popen(
    [sys.executable, '-c', IN_FOREGROUND, *command],
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  )
  for line in process.stdout:
    if line.startswith('step 20/'):
      break
  process.send_signal(signal.SIGINT)
  _, told = process.communicate(timeout=60)  # Readers in the middle of a batch must not hold it.
  assert process.returncode == 130
  assert told.splitlines()[-1].startswith('interrupted: ')
  assert 'Traceback' not in told


# Starts a command on a disk that takes files of 30,000 bytes and no more: the largest of a
# checkpoint, and the events, have more.
ON_A_FULL_DISK = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, resource.RLIM_INFINITY))
os.execv(sys.argv[1], sys.argv[1:])
"""


def test_a_full_disk_ends_a_run_in_one_line_and_it_goes_on_once_there_is_room(
  config, six_steps, tmp_path
):
  config.num_train_steps = 6
  command = command_of(tmp_path, config, STATEFUL | {'num_train_steps': 6})
  result = subprocess.run(
    [sys.executable, '-c', ON_A_FULL_DISK, *command, '--compilation_cache='],
    capture_output=True,
    text=True,
  )
  assert result.returncode == 1
  # What Orbax leaves behind may tell of itself when it is collected.
  assert re.search(r'^stopped: .* cannot be written.*: .*File too large.*$', result.stderr, re.M)
  train.train_and_evaluate(config, tmp_path)
  assert_ended_alike(tmp_path, six_steps)
