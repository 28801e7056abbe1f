"""The processes of one run stop, fail and end together."""

import collections
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from launch import local
from musicjax.data import array_records
from tests.conftest import make_config

# A signal needs up to a second to reach all processes: some 100 of these steps.
FIELDS = {'num_train_steps': 200, 'eval_every_steps': 50, 'log_every_steps': 1, 'ema_decay': 0.0}


def start(workdir, config, **fields):
  """Starts two processes on prepared data."""
  fields = {'data_dir': config.data_dir, 'prepared_dir': config.prepared_dir, **FIELDS, **fields}
  command = [
    sys.executable,
    'launch/local.py',
    '--processes=2',
    '--',
    '--config=configs/yandex.py:test',
    f'--workdir={workdir}',
    *(f'--config.{name}={value}' for name, value in fields.items()),
  ]
  return subprocess.Popen(
    command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
  )


def children(process):
  path = Path(f'/proc/{process.pid}/task/{process.pid}/children')
  if not path.exists():
    pytest.skip('the processes of a launcher are found by Linux alone')
  return [int(pid) for pid in path.read_text().split()]


def read_until(process, beginning):
  for line in process.stdout:
    if line.startswith(beginning):
      return
  raise AssertionError(process.stderr.read())


@pytest.fixture(scope='module')
def config(yandex_folder, prepared_dir):
  config = make_config(yandex_folder, prepared_dir)
  array_records.prepare(config)
  return config


def finish(process):
  out, err = process.communicate()
  assert process.returncode == 0, err
  return out


def kill_one(process, sent):
  pids = children(process)
  os.kill(pids[1], sent)
  process.communicate()
  assert process.returncode == 128 + sent
  assert not any(Path(f'/proc/{pid}').exists() for pid in pids)


def assert_ended_alike(workdir, expected):
  found, wanted = (json.loads((w / 'metrics.json').read_text()) for w in (workdir, expected))
  assert found['state_fingerprint'] == wanted['state_fingerprint']
  assert found['test'] == wanted['test']
  assert (workdir / 'metrics.jsonl').read_text() == (expected / 'metrics.jsonl').read_text()


def test_sigterm_to_one_process_stops_both_and_the_death_of_one_ends_both_and_restarts_end_alike(
  config, tmp_path
):
  finish(start(tmp_path / 'straight', config))
  workdir = tmp_path / 'disturbed'
  stopped = start(workdir, config)
  read_until(stopped, 'step 2/')
  os.kill(children(stopped)[1], signal.SIGTERM)
  step = int(re.search(r'terminated: saved step (\d+) of 200', finish(stopped))[1])
  killed = start(workdir, config)
  read_until(killed, f'resuming from step {step} of 200')
  read_until(killed, 'step 150/200  validation')
  kill_one(killed, signal.SIGKILL)
  again = finish(start(workdir, config))
  assert int(re.search(r'resuming from step (\d+) of 200', again)[1]) in (step, 50, 100, 150)
  assert_ended_alike(workdir, tmp_path / 'straight')


@pytest.mark.parametrize(
  'fields',
  [{'data_dir': '/nowhere'}, {'batch_size': 7}, {'batch_size': 0}],
  ids=['of the main process', 'of all', 'of all before they meet'],
)
def test_an_error_ends_all_processes_and_is_told_once(fields, config, tmp_path):
  began = time.monotonic()
  process = start(tmp_path, config, **fields)
  out, err = process.communicate()
  assert process.returncode == 2, out + err
  assert len([line for line in err.splitlines() if line.startswith('error: ')]) == 1, err
  assert 'Traceback' not in err
  if fields == {'batch_size': 7}:
    assert 'batch_size' in err
    assert 'multiple of 2 devices, found 7' in err
  assert time.monotonic() - began < 100  # Five seconds, and what a busy machine makes of them.


def test_an_interrupt_of_one_process_ends_the_others(config, tmp_path):
  process = start(tmp_path, config)
  read_until(process, 'yandex-')
  kill_one(process, signal.SIGINT)


def test_the_first_failure_is_the_launchers_and_what_hangs_is_killed(monkeypatch):
  monkeypatch.setattr(local, '_GRACE_SECONDS', 0.0)
  hanging = subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()'])
  failing = subprocess.Popen([sys.executable, '-c', 'raise SystemExit(3)'])
  assert local.wait([hanging, failing], collections.deque()) == 3
  assert hanging.returncode == -signal.SIGKILL
