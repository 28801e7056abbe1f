import csv
import json

import numpy as np
import pytest
from ml_collections import ConfigDict
from tensorboard.backend.event_processing import event_accumulator
from tensorboard.util import tensor_util

from experiments import predictions, sweep_table
from experiments.sweep import Run
from musicjax import metrics, regression
from tests.experiments.kept_runs import write_regression, write_run

CONFIGS = {
  row: ConfigDict({'task': 'multi_label', 'select_metric': 'map_macro', 'width': width})
  for row, width in (('ours', 8), ('wide', 16), ('broken', 0))
}


@pytest.fixture
def runs(tmp_path):
  found = []
  for row, noise in (('ours', 1.0), ('wide', 0.4)):
    for fold in range(3):
      for seed in range(2):
        folder = write_run(tmp_path / row / f'fold_{fold}_seed_{seed}', fold, seed, noise)
        found.append(Run(row, fold, seed, folder))
  return [*found, Run('broken', 0, 0, tmp_path / 'broken' / 'fold_0_seed_0', 'exit code 2; no')]


def values(runs, row, split):
  """Metrics [folds, seeds] of a row."""
  kept = [predictions.read(run.folder, split) for run in runs if run.row == row]
  return np.array([metrics.map_macro(p.scores, p.labels) for p in kept]).reshape(3, 2)


def read_csv(path):
  return list(csv.DictReader(path.open()))


def test_the_table_is_what_numpy_makes_of_the_kept_predictions(runs, tmp_path):
  path = sweep_table.write(tmp_path, CONFIGS, runs, select='', resamples=50)
  ours, wide, broken = read_csv(path.with_suffix('.csv'))
  test = {row: values(runs, row, 'test') for row in ('ours', 'wide')}
  for row in (ours, wide):
    scores = test[row['row']]
    assert float(row['mean']) == pytest.approx(scores.mean())
    # Seeds are averaged before folds are compared.
    assert float(row['over_folds']) == pytest.approx(scores.mean(axis=1).std(ddof=1))
    assert float(row['over_seeds']) == pytest.approx(scores.std(axis=1, ddof=1).mean())
    validation = values(runs, row['row'], 'validation')
    assert float(row['validation']) == pytest.approx(validation.mean())
    assert (row['runs'], row['failed'], float(row['seconds'])) == ('6', '0', 15.0)
  difference = (test['wide'] - test['ours']).mean()
  assert float(wide['difference']) == pytest.approx(difference)
  assert float(wide['low']) < difference < float(wide['high'])
  assert json.loads(wide['fields']) == {'width': 16}
  assert (broken['mean'], broken['failed']) == ('nan', '1')


def test_a_failed_run_is_a_row_with_its_error(runs, tmp_path):
  text = sweep_table.write(tmp_path, CONFIGS, runs, select='', resamples=5).read_text()
  assert '| broken | – | – | – | – | – | – | 0, 1 failed | 0 |' in text
  assert 'exit code 2; no' in text
  assert read_csv(tmp_path / 'table_runs.csv')[-1]['error'] == 'exit code 2; no'


def test_selection_ranks_by_validation_and_reads_nothing_of_the_test_folds(runs, tmp_path):
  for run in runs:
    for path in run.folder.glob('predictions/out_of_fold*'):
      path.write_text('not for choosing')
    if not run.error:
      (run.folder / 'metrics.json').write_text('{"seconds": 2.5, "test": "not for choosing"}')
  path = sweep_table.write(tmp_path, CONFIGS, runs, select='map_macro', resamples=20)
  rows = read_csv(path.with_suffix('.csv'))
  assert [row['row'] for row in rows] == ['wide', 'ours', 'broken']
  assert float(rows[0]['mean']) == pytest.approx(values(runs, 'wide', 'validation').mean())
  told = path.read_text() + path.with_suffix('.csv').read_text()
  assert 'validation map_macro' in told
  assert not (tmp_path / 'table.md').exists()


def test_tensorboard_compares_rows_as_runs_with_hyperparameters(runs, tmp_path):
  for _ in range(2):  # Written anew, not added to.
    sweep_table.write(tmp_path, CONFIGS, runs, select='', resamples=5)
  events = event_accumulator.EventAccumulator(str(tmp_path / 'hparams' / 'wide')).Reload()
  (found,) = events.Tensors('final/test_map_macro')
  shown = float(tensor_util.make_ndarray(found.tensor_proto))
  assert shown == pytest.approx(values(runs, 'wide', 'test').mean())
  data = events.summary_metadata['_hparams_/session_start_info'].plugin_data.content
  assert b'width' in data
  assert b'wide' in data


def test_rows_of_a_regression_are_compared(tmp_path):
  fields = {'task': 'feature_regression', 'select_metric': 'r2_macro'}
  configs = {row: ConfigDict(fields | {'width': width}) for row, width in (('a', 8), ('b', 16))}
  runs = [
    Run(row, fold, 0, write_regression(tmp_path / row / str(fold), fold, 0, noise))
    for row, noise in (('a', 1.0), ('b', 0.3))
    for fold in range(3)
  ]
  path = sweep_table.write(tmp_path, configs, runs, select='', resamples=50)
  for row in read_csv(path.with_suffix('.csv')):
    kept = [predictions.read(run.folder, 'test') for run in runs if run.row == row['row']]
    expected = np.mean([regression.r2_macro(p.scores, p.labels) for p in kept])
    assert float(row['mean']) == pytest.approx(expected)
  assert float(row['low']) > 0  # The second has a tenth of the noise's variance.
