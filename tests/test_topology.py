"""Results do not depend on how many processes and devices share a batch."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pandas as pd
import pytest

from configs import yandex
from launch import local
from musicjax import checkpoints, predict, sharding, system, train
from musicjax import workdir as workdir_lib
from musicjax.data import array_records, input_pipeline, plans
from tests import topology_worker
from tests.conftest import make_config

# Not Adam: the softmax does not depend on a bias of its logits, and Adam makes whole steps of what
# rounding leaves of that bias' gradient.
SGD = {'optimizer.name': 'sgd', 'optimizer.learning_rate': 0.05}
# Processes x devices. 1x1 is the process of the tests.
TOPOLOGIES = {'1x8': (1, 8), '2x1': (2, 1), '4x1': (4, 1)}
OTHERS = list(TOPOLOGIES)
# Batch statistics, accumulation, and all that later steps take from earlier ones.
STATEFUL = SGD | {
  'accumulate': 2,
  'batch_size': 16,
  'buckets': (),
  'ema_decay': 0.9,
  'eval_batch_size': 8,
  'eval_every_steps': 2,
  'model.branches': ((3,),),
  'model.head_dim': 4,
  'model.mlp_dim': 16,
  'optimizer.schedule': 'constant',
}


def start(topology, workdir, config, variant='test', flags=(), **fields):
  """Starts so many processes that see so many devices each."""
  processes, devices = topology
  fields |= {'data_dir': config.data_dir, 'prepared_dir': config.prepared_dir}
  if '--mode=predict' not in flags and '--mode=evaluate' not in flags:
    flags = (
      f'--config=configs/yandex.py:{variant}',
      *(f'--config.{name}={value}' for name, value in fields.items()),
    )
  command = [sys.executable, '-m', 'musicjax.main']
  if processes > 1:
    command = [
      sys.executable,
      'launch/local.py',
      f'--processes={processes}',
      f'--devices_per_process={devices}',
      '--',
    ]
  return subprocess.Popen(
    [*command, f'--workdir={workdir}', *flags],
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
    env=os.environ | {'XLA_FLAGS': f'--xla_force_host_platform_device_count={devices}'},
  )


def finish(process):
  out, err = process.communicate()
  assert process.returncode == 0, out + err
  return out


def latest_state(workdir):
  config = workdir_lib.read_config(workdir, None)
  dataset = workdir_lib.read_json(workdir / 'dataset.json')
  mesh = sharding.make_mesh()
  return checkpoints.Checkpoints(workdir / 'checkpoints', read_only=True).restore(
    'latest', jax.eval_shape(system.create(config, dataset, mesh).init), sharding.replicated(mesh)
  )


def assert_same_variables(workdir, expected):
  """Compares every leaf of the latest checkpoints by max|a-b| / max|b|."""
  found, wanted = latest_state(workdir), latest_state(expected)
  assert int(found.step) == int(wanted.step)

  def compare(path, a, b):
    a, b = np.array(a), np.array(b)
    # Sums in another order: some ulps of float32, through all updates.
    assert np.abs(a - b).max() <= 1e-5 * np.abs(b).max(), jax.tree_util.keystr(path)

  def variables(state):
    return {'params': state.params, 'batch_stats': state.batch_stats, 'ema': state.ema}

  jax.tree_util.tree_map_with_path(compare, variables(found), variables(wanted))


def table(workdir):
  return pd.read_csv(workdir / 'predictions' / 'out_of_fold.csv', dtype={'id': str})


@pytest.fixture(scope='module')
def config(yandex_folder, prepared_dir):
  """Of prepared data."""
  config = make_config(yandex_folder, prepared_dir)
  array_records.prepare(config)
  return config


@pytest.fixture(scope='module')
def runs(config, tmp_path_factory):
  """A workdir a topology, of five updates with all that draws random numbers."""
  assert config.model.dropout
  assert config.model.head_dropout
  assert config.augment.mixup.probability
  assert config.crop_frames
  fields = SGD | {'num_train_steps': 5, 'batch_size': 8, 'eval_every_steps': 2}
  home = tmp_path_factory.mktemp('topologies')
  started = [start(TOPOLOGIES[name], home / name, config, **fields) for name in OTHERS]
  here = make_config(config.data_dir, config.prepared_dir, **fields)
  train.train_and_evaluate(here, home / '1x1')
  for process in started:
    finish(process)
  return home


@pytest.mark.parametrize('name', OTHERS)
def test_another_topology_trains_the_same_parameters(name, runs):
  assert_same_variables(runs / name, runs / '1x1')


@pytest.mark.parametrize('name', OTHERS)
def test_another_topology_scores_every_example_once_and_alike(name, runs):
  losses = [
    [json.loads(line)['train_loss'] for line in (runs / n / 'metrics.jsonl').open()]
    for n in (name, '1x1')
  ]
  assert len(losses[0]) == 3  # Means up to steps 2, 4 and 5.
  np.testing.assert_allclose(*losses, atol=1e-5)
  assert list(table(runs / name)['id']) == list(table(runs / '1x1')['id'])
  found, expected = (table(runs / n).drop(columns='id').to_numpy() for n in (name, '1x1'))
  assert len(expected) % 4  # Neither processes nor devices divide it.
  np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_run_may_move_between_topologies(config, tmp_path, capfd):
  here = yandex.get_config('baseline')
  fields = STATEFUL | {'data_dir': config.data_dir, 'prepared_dir': config.prepared_dir}

  def train_here(name, steps):
    here.update_from_flattened_dict(fields | {'num_train_steps': steps})
    train.train_and_evaluate(here, tmp_path / name)

  train_here('moved', 2)
  finish(start((2, 2), tmp_path / 'moved', config, 'baseline', num_train_steps=4, **STATEFUL))
  train_here('moved', 6)
  assert 'processes: 2 before, 1 now' in capfd.readouterr().out
  train_here('straight', 6)
  assert latest_state(tmp_path / 'moved').batch_stats
  assert_same_variables(tmp_path / 'moved', tmp_path / 'straight')


def test_processes_share_batches_and_average_the_slices_of_a_track(config, tmp_path):
  port_holder = socket.socket()
  port = local.hold_port(port_holder)
  command = [sys.executable, '-m', 'tests.topology_worker', config.data_dir, config.prepared_dir]
  workers = [
    subprocess.Popen(
      [*command, tmp_path / 'seen.npz'], env=os.environ | local.environment(i, 2, 2, port)
    )
    for i in range(2)
  ]
  config, prepared = topology_worker.make(config.data_dir, config.prepared_dir)
  expected = topology_worker.seen(config, prepared)
  rows = plans.split_rows(prepared.index, config)['train']
  plan = plans.train_plan(prepared.index, rows, config)
  assert [worker.wait() for worker in workers] == [0, 0]
  port_holder.close()
  found = np.load(tmp_path / 'seen.npz')
  assert set(found) == set(expected)
  for step in range(topology_worker.STEPS):
    for name, array in input_pipeline.plain_batch(prepared, plan(step)).items():
      np.testing.assert_array_equal(found[f'batch {step} {name}'], array)
      np.testing.assert_array_equal(found[f'resident {step} {name}'], array)
  for size in topology_worker.SIZES:
    assert list(found[f'{size} ids']) == sorted(f'track {i}' for i in range(min(size, 7)))
    np.testing.assert_array_equal(found[f'{size} labels'], expected[f'{size} labels'])
    np.testing.assert_allclose(found[f'{size} scores'], expected[f'{size} scores'], atol=1e-6)
    np.testing.assert_allclose(found[f'{size} loss'], expected[f'{size} loss'], atol=1e-6)


def test_two_processes_evaluate_and_predict_as_one_does(config, runs):
  workdir = runs / '1x1'
  evaluated = start((2, 1), workdir, config, flags=('--mode=evaluate',))
  predicted = start((2, 1), workdir, config, flags=('--mode=predict',))
  printed = finish(evaluated)
  found = json.loads(printed[printed.index('{\n') :])
  final = json.loads((workdir / 'metrics.json').read_text())
  np.testing.assert_allclose(list(found['test'].values()), list(final['test'].values()), atol=1e-5)
  path = Path(finish(predicted).splitlines()[-1])
  of_two = pd.read_csv(path)
  predict.predict(workdir, workdir_lib.read_config(workdir, None), 'best', [])
  of_one = pd.read_csv(path)
  assert list(of_two['track']) == list(of_one['track'])
  for two, one in zip(of_two['prediction'], of_one['prediction'], strict=True):
    np.testing.assert_allclose(
      np.array(two.split(','), float), np.array(one.split(','), float), atol=2e-6
    )
