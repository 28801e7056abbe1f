"""The command as users and their scripts meet it."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from configs import yandex
from experiments import check_prediction, predictions
from musicjax import metrics, models, predict, workdir
from musicjax.errors import ConfigError, DataError


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


def test_kept_predictions_with_their_truth_give_the_reported_metrics(trained):
  final = json.loads((trained / 'metrics.json').read_text())
  for split in ('validation', 'test'):
    kept = predictions.read(trained, split)
    # Six digits may make or break a tie.
    found = metrics.map_macro(kept.scores, kept.labels)
    assert found == pytest.approx(final[split]['map_macro'], abs=1e-3)


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
  (folder / '0.npy').write_text('no array')
  told = run('--mode=predict', f'--workdir={trained}', f'--inputs={alone},{folder}/*').stdout
  left_out = trained / 'predictions' / 'skipped.csv'
  path = trained / 'predictions' / 'predictions.csv'
  assert told.splitlines()[-2:] == [f'1 of 4 inputs left out, listed in {left_out}', str(path)]
  skipped = pd.read_csv(left_out)
  assert list(skipped['path']) == [str(folder / '0.npy')]
  assert '0.npy: expected a .npy file' in skipped['reason'][0]
  table = pd.read_csv(path)
  assert list(table['path']) == [str(folder / f'{name}.npy') for name in (3, 1, 2)]
  scores = table.drop(columns='path').to_numpy()
  assert ((scores >= 0) & (scores <= 1)).all()
  told = run('--mode=predict', f'--workdir={trained}', f'--inputs={alone}', '--slices', code=2)
  assert '--slices: expected --inputs that are cut into slices' in told.stderr


def test_evaluation_is_of_the_reported_checkpoint(trained):
  found = json.loads(run('--mode=evaluate', f'--workdir={trained}').stdout)
  final = json.loads((trained / 'metrics.json').read_text())
  assert found['step'] == final['reported_step']
  assert found['test'] == final['test']


TELL_CHECKPOINT = """
from musicjax import command_line, evaluate, main
evaluate.evaluate_checkpoint = lambda workdir, config, checkpoint: {'is': checkpoint}
command_line.run(main.main)
"""


@pytest.mark.parametrize(('flags', 'told'), [([], 'latest'), (['--checkpoint=best'], 'best')])
def test_a_run_that_reports_its_latest_checkpoint_uses_it_unless_told(tmp_path, flags, told):
  config = yandex.get_config('test')
  config.report_checkpoint = 'latest'
  workdir.write_json(tmp_path / 'config.json', config.to_dict())
  workdir.write_json(tmp_path / 'dataset.json', {'name': 'yandex'})
  command = [sys.executable, '-c', TELL_CHECKPOINT, '--mode=evaluate', f'--workdir={tmp_path}']
  result = subprocess.run([*command, *flags], capture_output=True, text=True)
  assert result.returncode == 0, result.stderr
  assert json.loads(result.stdout) == {'is': told}


FILE = '--config=configs/yandex.py:test'
REFUSED_BEFORE_JAX = {
  'no workdir': ([FILE], '--workdir: expected a value'),
  'no config': (['--workdir=W'], '--config: expected a value'),
  'no such file': (['--config=configs/yandx.py'], "none at 'configs/yandx.py'"),
  'unknown variant': (['--config=configs/yandex.py:basline'], 'nearest: baseline'),
  'unknown flag': (['--confg=configs/yandex.py'], 'Did you mean: config'),
  'unknown mode': ([FILE, '--mode=trian'], 'train|evaluate|predict'),
  'no flag': ([FILE, 'W'], "flags alone, found 'W'"),
  'field without config': (['--config.fold=1'], '--config.fold needs --config=FILE'),
  'unknown field': (
    ['--config=configs/yandex.py', '--config.batchsize=3'],
    'error: config.batchsize: no such field (nearest: config.batch_size)\n',
  ),
  'bad field': ([FILE, '--workdir=W', '--config.fold=5'], 'config.fold: expected 0..4, found 5'),
  'garbage checkpoint': (
    ['--workdir=W', '--mode=evaluate', '--checkpoint=bst'],
    "--checkpoint: expected best, latest or a step, found 'bst'",
  ),
  'missing inputs': (
    ['--workdir=W', '--mode=predict', '--inputs=configs,W/none.npy'],
    'W/none.npy does not exist',
  ),
  'a pattern that fits nothing': (
    ['--workdir=W', '--mode=predict', '--inputs=configs,W/*.npy'],
    'expected files that fit W/*.npy, found none',
  ),
}
REFUSED = {
  'no run': (['--mode=predict', '--workdir=W'], 'holds no run'),
  'a file for a workdir': ([FILE, '--workdir=README.md'], 'README.md: Not a directory'),
  'a folder that cannot be': (
    [FILE, '--workdir=/proc/none/run'],
    'a folder that can be written, found /',
  ),
  'unwritable prepared_dir': (
    [FILE, '--workdir=W', '--config.prepared_dir=README.md/prepared'],
    'config.prepared_dir: expected a folder that can be written, found',
  ),
  'unknown model': (
    ['--config=configs/quickstart.py:test', '--workdir=W', '--config.model.name=atention_trans'],
    'nearest: attention_transformer',
  ),
  'no data': ([FILE, '--workdir=W', '--config.data_dir=W/none'], 'W/none/train.csv: not found'),
}


def bad_use(case, folder):
  flags, message = (REFUSED_BEFORE_JAX | REFUSED)[case]
  flags = [re.sub(r'\bW\b', str(folder / 'W'), flag) for flag in flags]
  return flags, message.replace('W/', f'{folder}/W/')


@pytest.mark.parametrize('case', [*REFUSED_BEFORE_JAX, *REFUSED])
def test_bad_use_is_told_in_one_line_with_exit_code_2(case, tmp_path):
  flags, message = bad_use(case, tmp_path)
  result = run(*flags, code=2)
  assert message.replace("'W'", f"'{tmp_path / 'W'}'") in result.stderr
  assert result.stderr.startswith('error: ')
  assert result.stderr.count('\n') == 1
  assert not list(tmp_path.iterdir())


def test_what_is_cheap_to_refuse_is_refused_without_jax_and_tensorflow(tmp_path):
  # One interpreter for all: absl parses flags anew in each call.
  calls = [[*bad_use(case, tmp_path)[0], '--debug'] for case in REFUSED_BEFORE_JAX]
  code = f"""
import sys
from absl import app, flags
from musicjax import command_line, main
for call in {calls}:
  flags.FLAGS.unparse_flags()
  app._register_and_parse_flags_with_usage.done = False
  sys.argv = ['main', *call]
  try:
    command_line.run(main.main)
  except SystemExit as end:
    assert end.code == 2, call
  else:
    raise AssertionError(call)
assert not {{'jax', 'tensorflow', 'numpy'}} & sys.modules.keys()
"""
  result = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
  assert result.returncode == 0, result.stderr
  assert 'Traceback' in result.stderr  # As --debug asks.


INPUTS = {
  'width': (np.zeros((4, 9), np.float32), 'expected width 8, found 9'),
  'rank': (np.zeros(8, np.float32), r'expected float32 \[frames, width\], found float32 \[8\]'),
  'dtype': (np.zeros((4, 8)), r'expected float32 \[frames, width\], found float64 \[4, 8\]'),
  'empty': (np.zeros((0, 8), np.float32), 'expected at least one frame'),
}


@pytest.mark.parametrize('case', INPUTS)
def test_inputs_unlike_those_trained_on_are_refused_by_name(case, trained, tmp_path):
  array, message = INPUTS[case]
  np.save(tmp_path / 'track.npy', array)
  config = workdir.read_config(trained, None)
  with pytest.raises(DataError, match=f'track.npy: {message}'):
    predict.predict(trained, config, 'best', [str(tmp_path / 'track.npy')])


def test_a_file_without_finite_scores_is_left_out(trained, yandex_folder, tmp_path):
  np.save(tmp_path / 'huge.npy', np.full((4, 8), 1e38, np.float32))  # Finite, and sums of it not.
  good = yandex_folder / 'track_embeddings' / '1.npy'
  config = workdir.read_config(trained, None)
  path = predict.predict(trained, config, 'best', [str(tmp_path / 'huge.npy'), str(good)])
  assert list(pd.read_csv(path)['path']) == [str(good)]
  skipped = pd.read_csv(path.with_name('skipped.csv'))
  assert 'huge.npy: expected finite scores, found NaN or Inf' in skipped['reason'][0]


def test_a_workdir_of_another_config_is_refused_with_the_differences(trained):
  given = workdir.read_config(trained, None)
  given.batch_size, given.augment = 4, {}
  with pytest.raises(ConfigError) as error:
    workdir.read_config(trained, given)
  assert 'batch_size: 8 there, 4 here' in str(error.value)
  assert 'augment.mixup.alpha: 0.4 there, absent here' in str(error.value)


def test_predictions_that_cannot_be_written_are_refused_before_any_is_made(trained, tmp_path):
  for name in ('config.json', 'dataset.json'):
    shutil.copy(trained / name, tmp_path / name)
  (tmp_path / 'predictions').touch()
  # There is no checkpoint: that would be told, had it been looked for.
  told = run(f'--workdir={tmp_path}', '--mode=predict', code=2).stderr
  assert told.startswith(
    f'error: --workdir: expected a folder that can be written, found {tmp_path}'
  )


def test_a_missing_checkpoint_is_told_with_those_there_are(trained):
  result = run('--mode=evaluate', f'--workdir={trained}', '--checkpoint=17', code=2)
  assert "expected best, latest or one of [2], found '17'" in result.stderr


def test_damaged_checkpoints_are_told_in_one_line_and_no_run_starts_anew(trained, tmp_path):
  workdir = shutil.copytree(trained, tmp_path / 'run')
  for path in workdir.glob('checkpoints/*/default/manifest.ocdbt'):
    path.write_bytes(b'')
  home = trained.parent
  train = [
    '--config=configs/yandex.py:test',
    f'--config.data_dir={home / "raw"}',
    f'--config.prepared_dir={home / "prepared"}',
    '--config.num_train_steps=4',
  ]
  for flags in (train, ['--mode=evaluate', '--checkpoint=2']):
    told = run(f'--workdir={workdir}', *flags, code=2).stderr
    assert 'manifest.ocdbt: expected ' in told
    assert str(workdir) in told
    assert 'Traceback' not in told
  assert (workdir / 'metrics.json').exists()


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
  files = Path(models.__file__).parent.glob('*.py')
  names = [file.stem for file in files if 'def create_model' in file.read_text()]
  assert run('--list_models=*').stdout.split() == sorted(names)
  assert run('--list_models=conv*').stdout.split() == ['conv_transformer']
