"""The processes of one run stop, fail and end together."""

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
FIELDS = {'num_train_steps': 300, 'eval_every_steps': 150, 'log_every_steps': 1, 'ema_decay': 0.0}


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


def test_sigterm_to_one_process_stops_both_at_one_step_and_the_restart_ends_alike(config, tmp_path):
  def final(workdir):
    return json.loads((workdir / 'metrics.json').read_text())

  straight = start(tmp_path / 'straight', config)
  out, err = straight.communicate()
  assert straight.returncode == 0, err
  stopped = start(tmp_path / 'stopped', config)
  read_until(stopped, 'step 2/')
  os.kill(children(stopped)[1], signal.SIGTERM)
  out, err = stopped.communicate()
  assert stopped.returncode == 0, err
  step = int(re.search(r'terminated: saved step (\d+) of 300', out)[1])
  restarted = start(tmp_path / 'stopped', config)
  out, err = restarted.communicate()
  assert restarted.returncode == 0, err
  assert f'resuming from step {step} of 300' in out
  assert (
    final(tmp_path / 'stopped')['state_fingerprint']
    == (final(tmp_path / 'straight')['state_fingerprint'])
  )
  assert final(tmp_path / 'stopped')['test'] == final(tmp_path / 'straight')['test']
  assert (tmp_path / 'stopped/metrics.jsonl').read_text() == (
    (tmp_path / 'straight/metrics.jsonl').read_text()
  )


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


@pytest.mark.parametrize('sent', [signal.SIGINT, signal.SIGKILL])
def test_a_process_that_dies_ends_the_others(sent, config, tmp_path):
  process = start(tmp_path, config)
  read_until(process, 'yandex-')
  pids = children(process)
  os.kill(pids[1], sent)
  process.communicate()
  assert process.returncode == 128 + sent
  assert not any(Path(f'/proc/{pid}').exists() for pid in pids)


def test_the_first_failure_is_the_launchers_and_what_hangs_is_killed(monkeypatch):
  monkeypatch.setattr(local, '_GRACE_SECONDS', 0.0)
  hanging = subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()'])
  failing = subprocess.Popen([sys.executable, '-c', 'raise SystemExit(3)'])
  assert local.wait([hanging, failing]) == 3
  assert hanging.returncode == -signal.SIGKILL
