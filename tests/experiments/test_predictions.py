import numpy as np
import pytest

from experiments import predictions
from musicjax import metrics, tasks, workdir
from musicjax.errors import DataError
from musicjax.targets import Targets
from tests.experiments.kept_runs import tracks, write_run


def kept(folder, fold, noise, seed=0):
  return predictions.read(write_run(folder / f'{noise}_{fold}_{seed}', fold, seed, noise), 'test')


def test_what_a_run_keeps_is_read_with_its_truth(tmp_path):
  found = kept(tmp_path, 1, 0.5)
  ids, labels = tracks(1)
  np.testing.assert_array_equal(found.ids, ids)
  np.testing.assert_array_equal(found.labels, labels)
  assert found.label_names == ('a', 'b', 'c')


def test_of_a_regression_targets_are_read_and_measured_as_they_are(tmp_path):
  folder, rng = write_run(tmp_path / 'run', 1, 0, 0.5), np.random.default_rng(0)
  targets = np.round(rng.normal(-5, 3, (20, 3)), 3)
  workdir.write_predictions(
    folder / 'predictions' / 'out_of_fold_truth.csv', 'id', tracks(1)[0], targets, ('a', 'b', 'c')
  )
  found = predictions.read(folder, 'test')
  np.testing.assert_array_equal(found.labels, targets)
  task = tasks.create('feature_regression', Targets('natural', [0.0] * 3, [1.0] * 3, [None] * 3))
  expected = task.metrics(found.scores, targets)['r2_macro']
  measure = predictions.measure_of('feature_regression', 'r2_macro')
  assert measure(found.scores, found.labels) == pytest.approx(expected, rel=1e-12)


def test_ids_are_text_whatever_they_look_like(tmp_path):
  path = tmp_path / 'scores.csv'
  path.write_text('id,a\n007,0.5\nNA,0.25\n')
  ids, names, scores = predictions.read_table(path)
  assert (ids.tolist(), names, scores.tolist()) == (['007', 'NA'], ('a',), [[0.5], [0.25]])


@pytest.mark.parametrize('text', ['id,a\nx,high\n', 'id,a\nx,nan\n', 'id,a\nx,\n', ''])
def test_a_table_of_anything_else_is_told(tmp_path, text):
  path = tmp_path / 'scores.csv'
  path.write_text(text)
  with pytest.raises(DataError, match=r'scores.csv: expected'):
    predictions.read_table(path)


@pytest.mark.parametrize('task', ['multi_label', 'single_label'])
def test_a_metric_alone_is_what_it_is_among_all(task):
  rng = np.random.default_rng(0)
  scores, labels = rng.random((30, 4)), np.eye(4, dtype=bool)[rng.integers(0, 4, 30)]
  for metric in tasks.create(task).selectable:
    alone = predictions.measure_of(task, metric)(scores, labels)
    assert alone == tasks.create(task).metrics(scores, labels)[metric]


def test_the_bootstrap_is_paired_by_example_and_stays_within_folds(tmp_path):
  runs = {
    row: {(fold, 0): kept(tmp_path, fold, noise) for fold in range(3)}
    for row, noise in (('ours', 0.5), ('other', 1.0))
  }
  drawn = predictions.bootstrap(runs, metrics.map_macro, count=5, seed=3)

  # Written out: folds are drawn from in their order, a draw serves both rows.
  rng = np.random.default_rng(3)
  for number in range(5):
    for fold in range(3):
      rows = np.sort(rng.choice(np.arange(20 * fold, 20 * fold + 20), 20)) - 20 * fold
      for row, of_row in runs.items():
        scores, labels = of_row[fold, 0].scores[rows], of_row[fold, 0].labels[rows]
        assert drawn[row][fold, 0][number] == metrics.map_macro(scores, labels)


def test_a_row_does_not_differ_from_itself_in_any_draw(tmp_path):
  run = {(0, 0): kept(tmp_path, 0, 1.0)}
  drawn = predictions.bootstrap({'a': run, 'b': run}, metrics.map_macro, count=20)
  assert np.ptp(drawn['a'][0, 0]) > 0
  assert predictions.interval(drawn['a'][0, 0] - drawn['b'][0, 0]) == (0, 0)


def test_an_interval_covers_the_difference_of_the_population_as_often_as_it_says():
  # Accuracy of two systems that are right with 0.7 and 0.6, independently: the difference is 0.1.
  rng, covered, repeats = np.random.default_rng(0), 0, 60
  for _ in range(repeats):
    right = rng.random((2, 200)) < np.array([[0.7], [0.6]])
    truth = np.tile([True, False], (200, 1))
    runs = {
      row: {(0, 0): predictions.Predictions(
        np.array([f'{i:03d}' for i in range(200)]),
        np.stack([right[row], ~right[row]], axis=1).astype(float), truth, ('a', 'b'),
      )}
      for row in range(2)
    }  # fmt: skip
    drawn = predictions.bootstrap(runs, metrics.accuracy, count=200)
    low, high = predictions.interval(drawn[0][0, 0] - drawn[1][0, 0])
    covered += low <= 0.1 <= high
  # Binomial(60, 0.95) is below 51 once in 1,700 times.
  assert covered >= 51
