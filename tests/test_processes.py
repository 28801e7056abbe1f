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


@pytest.fixture(scope='module')
def uninterrupted(config, tmp_path_factory):
  """The workdir of a run that nothing befell."""
  workdir = tmp_path_factory.mktemp('runs') / 'straight'
  finish(start(workdir, config))
  return workdir


def finish(process):
  out, err = process.communicate()
  assert process.returncode == 0, err
  return out


def assert_ended_alike(workdir, expected):
  found, wanted = (json.loads((w / 'metrics.json').read_text()) for w in (workdir, expected))
  assert found['state_fingerprint'] == wanted['state_fingerprint']
  assert found['test'] == wanted['test']
  assert (workdir / 'metrics.jsonl').read_text() == (expected / 'metrics.jsonl').read_text()


def test_sigterm_to_one_process_stops_both_at_one_step_and_the_restart_ends_alike(
  config, uninterrupted, tmp_path
):
  stopped = start(tmp_path, config)
  read_until(stopped, 'step 2/')
  os.kill(children(stopped)[1], signal.SIGTERM)
  step = int(re.search(r'terminated: saved step (\d+) of 200', finish(stopped))[1])
  assert f'resuming from step {step} of 200' in finish(start(tmp_path, config))
  assert_ended_alike(tmp_path, uninterrupted)


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
  assert time.monotonic() - began < 100  # Five seconds, and what a busy machine makes of them.


@pytest.mark.parametrize(
  ('sent', 'when'),
  # When evaluation 100 is told, checkpoint 50 is whole.
  [(signal.SIGINT, 'yandex-'), (signal.SIGKILL, 'step 100/200  validation')],
)
def test_a_process_that_dies_ends_the_others_and_the_restart_ends_alike(
  sent, when, config, uninterrupted, tmp_path
):
  process = start(tmp_path, config)
  read_until(process, when)
  pids = children(process)
  os.kill(pids[1], sent)
  process.communicate()
  assert process.returncode == 128 + sent
  assert not any(Path(f'/proc/{pid}').exists() for pid in pids)
  if sent == signal.SIGKILL:
    assert re.search(r'resuming from step (50|100) of 200', finish(start(tmp_path, config)))
    assert_ended_alike(tmp_path, uninterrupted)


def test_the_first_failure_is_the_launchers_and_what_hangs_is_killed(monkeypatch):
  monkeypatch.setattr(local, '_GRACE_SECONDS', 0.0)
  hanging = subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()'])
  failing = subprocess.Popen([sys.executable, '-c', 'raise SystemExit(3)'])
  assert local.wait([hanging, failing], collections.deque()) == 3
  assert hanging.returncode == -signal.SIGKILL
