"""Results do not depend on how many devices share a batch."""

import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from musicjax.data import array_records
from tests.conftest import make_config


def start(devices, workdir, config, **fields):
  """Starts a training process that sees so many devices."""
  fields |= {'data_dir': config.data_dir, 'prepared_dir': config.prepared_dir}
  return subprocess.Popen(
    [
      sys.executable,
      '-m',
      'musicjax.main',
      '--config=configs/yandex.py:test',
      f'--workdir={workdir}',
      *(f'--config.{name}={value}' for name, value in fields.items()),
    ],
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
    env=os.environ | {'XLA_FLAGS': f'--xla_force_host_platform_device_count={devices}'},
  )


@pytest.fixture(scope='module')
def config(yandex_folder, prepared_dir):
  """Of prepared data: processes that start together must not all prepare it."""
  config = make_config(yandex_folder, prepared_dir)
  array_records.prepare(config)
  return config


def test_four_devices_train_and_score_as_one_does(config, tmp_path):
  # All that draws random numbers or sums over a batch.
  assert config.model.dropout
  assert config.model.head_dropout
  assert config.augment.mixup.probability
  assert config.ema_decay
  fields = {'num_train_steps': 5, 'batch_size': 8, 'eval_every_steps': 2}
  processes = {n: start(n, tmp_path / str(n), config, **fields) for n in (1, 4)}
  losses, tables = [], []
  for devices, process in processes.items():
    out, err = process.communicate()
    assert process.returncode == 0, out + err
    workdir = tmp_path / str(devices)
    rows = [json.loads(line) for line in (workdir / 'metrics.jsonl').read_text().splitlines()]
    losses.append([row['train_loss'] for row in rows])
    tables.append(pd.read_csv(workdir / 'predictions' / 'out_of_fold.csv', dtype={'id': str}))
  assert len(losses[0]) == 3  # Means up to steps 2, 4 and 5.
  # Sums in another order: some ulps of float32, through five updates.
  np.testing.assert_allclose(losses[1], losses[0], atol=1e-5)
  assert list(tables[1]['id']) == list(tables[0]['id'])
  one, four = (table.drop(columns='id').to_numpy() for table in tables)
  np.testing.assert_allclose(four, one, atol=1e-5)


def test_a_batch_that_the_devices_do_not_divide_is_told_in_one_line(config, tmp_path):
  process = start(4, tmp_path / 'run', config, batch_size=6)
  out, err = process.communicate()
  assert process.returncode == 2, out + err
  errors = [line for line in err.splitlines() if line.startswith('error: ')]
  assert len(errors) == 1
  assert 'batch_size' in errors[0]
  assert 'multiple of 4 devices, found 6' in errors[0]
  assert 'Traceback' not in err
