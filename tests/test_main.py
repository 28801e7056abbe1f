"""The command as users and their scripts meet it."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from experiments import check_prediction


def run(*flags, code=0):
  result = subprocess.run(
    [sys.executable, '-m', 'musicjax.main', *map(str, flags)], capture_output=True, text=True
  )
  assert result.returncode == code, result.stdout + result.stderr
  return result


@pytest.fixture(scope='module')
def trained(yandex_folder, tmp_path_factory):
  """The workdir of a run on data of its own: `raw` and `prepared` beside it."""
  home = tmp_path_factory.mktemp('home')
  workdir = home / 'run'
  shutil.copytree(yandex_folder, home / 'raw')
  result = run(
    '--config=configs/yandex.py:test',
    f'--workdir={workdir}',
    f'--config.data_dir={home / "raw"}',
    f'--config.prepared_dir={home / "prepared"}',
  )
  assert f'report: {workdir}/report.md' in result.stdout
  assert f'tensorboard --logdir {workdir}' in result.stdout
  return workdir


@pytest.fixture
def without_data(trained):
  """Puts the run's raw and prepared data out of its reach for a while."""
  folders = [trained.with_name(name) for name in ('raw', 'prepared')]
  for folder in folders:
    folder.rename(folder.with_name(f'{folder.name}-away'))
  yield
  for folder in folders:
    folder.with_name(f'{folder.name}-away').rename(folder)


def test_training_leaves_a_self_contained_workdir(trained):
  names = {path.name for path in trained.iterdir()}
  assert names >= {
    'config.json',
    'dataset.json',
    'metrics.jsonl',
    'metrics.json',
    'report.md',
    'checkpoints',
    'predictions',
    'skipped.csv',
  }
  assert any(name.startswith('events.out.tfevents') for name in names)
  final = json.loads((trained / 'metrics.json').read_text())
  assert final['test'].keys() >= {'map_macro', 'roc_auc_macro', 'loss'}
  assert final.keys() >= {'steps', 'seconds', 'examples_per_second', 'state_fingerprint'}
  out_of_fold = pd.read_csv(trained / 'predictions' / 'out_of_fold.csv')
  assert list(out_of_fold.columns) == ['id', *(f'tag_{i:03d}' for i in range(5))]
  assert 8 <= len(out_of_fold) <= 12  # A fifth of 50 tracks, evened out over tags.


def test_prediction_of_the_test_set_is_a_valid_submission(trained, yandex_folder):
  path = run('--mode=predict', f'--workdir={trained}').stdout.strip().splitlines()[-1]
  assert path == str(trained / 'predictions' / 'prediction.csv')
  assert check_prediction.fault(path, yandex_folder / 'test.csv', num_tags=5) is None


@pytest.mark.usefixtures('without_data')
def test_prediction_of_files_needs_no_data_and_keeps_their_order(trained, yandex_folder, tmp_path):
  # The same tracks elsewhere, in another order and with other neighbours: the same scores.
  folder = tmp_path / 'moved'
  folder.mkdir()
  for track in (3, 1, 2):
    np.save(folder / f'{track}.npy', np.load(yandex_folder / f'track_embeddings/{track}.npy'))
  alone = folder / '3.npy'
  run('--mode=predict', f'--workdir={trained}', f'--inputs={alone},{folder}')
  table = pd.read_csv(trained / 'predictions' / 'predictions.csv')
  assert list(table['path']) == [str(folder / f'{name}.npy') for name in (3, 1, 2, 3)]
  scores = table.drop(columns='path').to_numpy()
  assert ((scores >= 0) & (scores <= 1)).all()
  np.testing.assert_allclose(scores[0], scores[3], atol=1e-5)


def test_evaluation_of_the_best_checkpoint_gives_the_reported_metrics(trained):
  found = json.loads(run('--mode=evaluate', f'--workdir={trained}').stdout)
  final = json.loads((trained / 'metrics.json').read_text())
  assert found['step'] == final['reported_step']
  assert found['test'] == final['test']


ERRORS = {
  'no workdir': (['--config=configs/yandex.py:test'], '--workdir: expected a value'),
  'unknown model': (
    [
      '--config=configs/quickstart.py:test',
      '--workdir=W',
      '--config.model.name=atention_transformer',
    ],
    'nearest: attention_transformer',
  ),
  'no run': (['--mode=predict', '--workdir=W'], 'holds no run'),
}


@pytest.mark.parametrize('case', ERRORS)
def test_bad_use_is_told_in_one_line_with_exit_code_2(case, tmp_path, prepared_dir):
  flags, message = ERRORS[case]
  flags = [flag.replace('--workdir=W', f'--workdir={tmp_path / "W"}') for flag in flags]
  if any(flag.startswith('--config=') for flag in flags):
    flags.append(f'--config.prepared_dir={prepared_dir}')
  result = run(*flags, code=2)
  assert message in result.stderr
  errors = [line for line in result.stderr.splitlines() if line.startswith('error: ')]
  assert len(errors) == 1
  assert 'Traceback' not in result.stderr


def test_a_missing_checkpoint_is_told_with_those_there_are(trained):
  result = run('--mode=evaluate', f'--workdir={trained}', '--checkpoint=17', code=2)
  assert "expected best, latest or one of [2], found '17'" in result.stderr


def test_help_shows_a_newcomer_the_commands():
  text = run('--helpshort', code=1).stdout
  assert '--mode=predict --inputs=' in text
  assert '--show_config' in text


def test_fields_are_listed_with_their_comments():
  text = run('--config=configs/yandex.py:baseline', '--show_config').stdout
  fold = next(line for line in text.splitlines() if line.startswith('fold '))
  assert '# the test fold' in fold
  assert any(line.startswith('augment.gaussian_noise.sigma') for line in text.splitlines())


def test_models_are_listed_and_filtered():
  assert run('--list_models=*').stdout.split() == ['attention_transformer', 'conv_transformer']
  assert run('--list_models=conv*').stdout.split() == ['conv_transformer']
