"""The processes of one run stop, fail and end together."""

import collections
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from launch import local
from musicjax import processes
from musicjax.data import array_records
from tests.conftest import make_config

# A signal needs up to a second to reach all processes: some 100 of these steps.
FIELDS = {'num_train_steps': 200, 'eval_every_steps': 50, 'log_every_steps': 1, 'ema_decay': 0.0}


def flags(workdir, config, **fields):
  fields = {'data_dir': config.data_dir, 'prepared_dir': config.prepared_dir, **FIELDS, **fields}
  return [
    '--config=configs/yandex.py:test',
    f'--workdir={workdir}',
    *(f'--config.{name}={value}' for name, value in fields.items()),
  ]


def start(workdir, config, **fields):
  """Starts two processes on prepared data."""
  command = [sys.executable, 'launch/local.py', '--processes=2', '--']
  return subprocess.Popen(
    [*command, *flags(workdir, config, **fields)],
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
    env=os.environ,
  )


def sigterm_in_an_evaluation(workdir, config):
  """Trains as two processes up to an evaluation that would not end; returns what is told."""
  with socket.socket() as port_holder:
    port = local.hold_port(port_holder)
    command = [sys.executable, '-m', 'tests.endless_evaluation', '--distributed']
    processes = [
      subprocess.Popen(
        [*command, *flags(workdir, config)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | local.environment(i, 2, 1, port),
      )
      for i in range(2)
    ]
    try:
      read_until(processes[0], 'evaluating without end')
      processes[1].send_signal(signal.SIGTERM)
      told, _ = processes[0].communicate(timeout=120)
      assert [process.wait(120) for process in processes] == [0, 0]
    finally:
      for process in processes:
        process.kill()  # It may have failed to end.
  return told


def children(process):
  path = Path(f'/proc/{process.pid}/task/{process.pid}/children')
  if not path.exists():
    pytest.skip('the processes of a launcher are found by Linux alone')
  return [int(pid) for pid in path.read_text().split()]


def read_until(process, beginning):
  for line in process.stdout:
    if line.startswith(beginning):
      return
  raise AssertionError(process.communicate()[1])


@pytest.fixture(scope='module')
def config(yandex_folder, prepared_dir):
  config = make_config(yandex_folder, prepared_dir)
  array_records.prepare(config)
  return config


def read_lines(path):
  return path.read_text().splitlines() if path.exists() else []


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
  told = sigterm_in_an_evaluation(workdir, config)
  in_evaluation = int(re.match(r'terminated: saved step (\d+) of 200', told)[1])
  assert in_evaluation >= step
  assert in_evaluation % FIELDS['eval_every_steps'] == 0
  assert len(read_lines(workdir / 'metrics.jsonl')) == in_evaluation // 50 - 1
  killed = start(workdir, config)
  read_until(killed, f'resuming from step {in_evaluation} of 200')
  read_until(killed, 'step 150/200  validation')
  kill_one(killed, signal.SIGKILL)
  again = finish(start(workdir, config))
  assert int(re.search(r'resuming from step (\d+) of 200', again)[1]) in (in_evaluation, 100, 150)
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


@pytest.mark.filterwarnings('ignore::pytest.PytestUnraisableExceptionWarning')
def test_a_ctrl_c_that_a_finaliser_loses_is_raised_at_the_next_ask():
  class Finalised:
    def __del__(self):
      signal.raise_signal(signal.SIGINT)

  before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
  signal.signal(signal.SIGINT, signal.default_int_handler)
  try:
    is_time_to_stop = processes.on_sigterm_stop()
    assert not is_time_to_stop()
    Finalised()  # And gone.
    with pytest.raises(KeyboardInterrupt):
      is_time_to_stop()
  finally:
    for number, handler in before.items():
      signal.signal(number, handler)


@pytest.mark.filterwarnings('ignore::pytest.PytestUnraisableExceptionWarning')
def test_a_sigterm_that_a_finaliser_loses_exits_at_the_next_ask():
  class Finalised:
    def __del__(self):
      signal.raise_signal(signal.SIGTERM)

  before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
  try:
    processes.on_sigterm_exit()
    Finalised()  # And gone.
    is_time_to_stop = processes.on_sigterm_stop()
    with pytest.raises(SystemExit):
      is_time_to_stop()
    processes.on_sigterm_exit()
    assert not is_time_to_stop()
  finally:
    for number, handler in before.items():
      signal.signal(number, handler)
