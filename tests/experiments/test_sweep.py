"""The command, its processes, and what is left of them when it is killed."""

import csv
import subprocess
import sys
import time

import pytest

CONFIG = """
from configs import yandex

def get_config(variant='test'):
  return yandex.get_config(variant)

def get_sweep(name):
  return {'fixed': {'variant': 'test'}, 'rows': {
    'ours': {}, 'sgd': {'optimizer.name': 'sgd'}, 'broken': {'loss': {'name': 'none_such'}}}}
"""


def start(*flags):
  command = [sys.executable, '-m', 'experiments.sweep', *map(str, flags)]
  return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def processes_of(folder):
  """Command lines of the processes that work in a folder."""
  found = subprocess.run(['ps', '-eo', 'args'], capture_output=True, text=True).stdout
  return [line for line in found.splitlines() if str(folder) in line]


@pytest.fixture
def flags(yandex_folder, prepared_dir, tmp_path):
  (tmp_path / 'config.py').write_text(CONFIG)
  return [
    f'--config={tmp_path / "config.py"}',
    '--sweep=x',
    f'--workdir={tmp_path / "sweep"}',
    '--folds=1',
    '--resamples=10',
    f'--config.data_dir={yandex_folder}',
    f'--config.prepared_dir={prepared_dir}',
  ]


def test_a_sweep_killed_in_a_run_goes_on_without_repeating_what_is_complete(flags, tmp_path):
  home = tmp_path / 'sweep'
  complete, second = home / 'ours' / 'fold_1_seed_0', home / 'sgd' / 'fold_1_seed_0.log'
  killed = start(*flags)
  deadline = time.monotonic() + 240
  while not (second.exists() and second.read_text()):
    assert killed.poll() is None, killed.communicate()
    assert time.monotonic() < deadline
    time.sleep(0.05)
  killed.kill()
  killed.communicate()
  time.sleep(0.5)
  assert not processes_of(home)  # A run that went on would hold its workdir.
  before = (complete / 'metrics.json').stat().st_mtime_ns
  assert not (home / 'sgd' / 'fold_1_seed_0' / 'metrics.json').exists()

  again = start(*flags)
  told, error = again.communicate()
  assert again.returncode == 0, error
  assert '1 of 3 runs are complete' in told
  assert (complete / 'metrics.json').stat().st_mtime_ns == before
  ours, sgd, broken = csv.DictReader((home / 'table_runs.csv').open())
  assert float(ours['test_map_macro']) > 0
  assert float(sgd['test_map_macro']) > 0
  # One failed run is one row with its error.
  assert broken['test_map_macro'] == ''
  assert broken['error'].startswith('exit code 2; error: config.loss.name: expected one of')
  assert broken['error'] in (home / 'table.md').read_text().replace('\\', '')
  assert told.rstrip().endswith(str(home / 'table.md'))


def test_a_sweep_that_would_choose_by_test_folds_is_refused_before_anything_runs(flags, tmp_path):
  refused = start(*flags, '--select=test_map_macro')
  _, error = refused.communicate()
  assert refused.returncode == 2
  assert error == (
    'error: --select: test folds choose nothing; expected validation_..., found test_map_macro\n'
  )
  assert not (tmp_path / 'sweep').exists()
