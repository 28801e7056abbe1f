"""The report of a regression."""

import json
import types

import numpy as np
import pandas as pd
import pytest

from musicjax import drawing, plots, regression, reports

NAMES = ('energy', 'loudness', 'valence')


def write_run(workdir, scores, labels):
  """Writes a run's report, and returns it."""
  workdir.mkdir()
  config = {
    'task': 'feature_regression',
    'select_metric': 'r2_macro',
    'model': {'name': 'attention_vae'},
    'dataset': {'name': 'covers'},
    'loss': {'name': 'squared_error'},
    'optimizer': {'name': 'adam'},
  }
  (workdir / 'config.json').write_text(json.dumps(config))
  scored = types.SimpleNamespace(
    ids=np.array([f'row {i}' for i in range(len(labels))]),
    scores=scores,
    labels=labels,
    losses=((scores - labels) ** 2).sum(axis=1),
  )
  mean = labels.mean(axis=0)
  values = {'test': regression.measure(scores, labels, mean)}
  reports.write_regression(workdir, NAMES, {'test': scored}, values, mean)
  return (workdir / 'report.md').read_text()


@pytest.fixture(scope='module')
def labels():
  return np.random.default_rng(0).random((50, 3)) * [1, -20, 1]


def test_a_report_says_where_tracks_are_few(labels, tmp_path):
  many, few = (write_run(tmp_path / str(n), labels[:n] + 0.1, labels[:n]) for n in (30, 29))
  assert 'are few' not in many
  assert '**29 tracks are few: R² of others may be quite another.**' in few


def test_a_report_shows_each_target_beside_its_baselines(labels, tmp_path):
  scores = labels + np.random.default_rng(1).normal(size=labels.shape) * [0.1, 2, 0.1]
  text = write_run(tmp_path / 'w', scores, labels)
  assert text.startswith('# attention_vae on covers\n')
  assert '**3 of 3 targets are predicted better than by their mean.**' in text
  found = regression.per_target(scores, labels, labels.mean(axis=0))
  row = next(line for line in text.splitlines() if line.startswith('| loudness |'))
  assert [float(cell) for cell in row.split('|')[2:-1]] == [
    pytest.approx(found[name][1], abs=6e-4) for name in found
  ]
  picture = tmp_path / 'w' / 'report' / 'targets.png'
  assert picture.stat().st_size > 5000
  assert '(report/targets.png)' in text
  assert 'threshold' not in text
  assert 'tags' not in text


def test_a_model_that_learnt_nothing_is_seen_at_once(labels, tmp_path):
  text = write_run(tmp_path / 'w', np.tile(labels.mean(axis=0), (50, 1)), labels)
  assert '**0 of 3 targets are predicted better than by their mean.**' in text


def test_the_history_shows_the_metric_that_chose_though_it_began_below_0(tmp_path, monkeypatch):
  drawn = []
  monkeypatch.setattr(drawing, 'save', lambda figure, path: drawn.append(figure))
  values = [-300.0, -0.5, 0.4]
  rows = [
    {'step': step, 'validation_r2_macro': r2, 'validation_mae_macro': 0.3, 'train_loss': 1.0}
    for step, r2 in enumerate(values, 1)
  ]
  plots.save_history(tmp_path / 'history.png', rows, 'validation_r2_macro')
  axes = next(a for a in drawn[0].axes if a.get_title() == 'Validation metrics')
  curves = {line.get_label(): list(line.get_ydata()) for line in axes.lines}
  assert curves['r2_macro'] == values
  assert axes.get_ylim()[0] == -1  # What came after is not flattened.


def test_all_tracks_are_in_a_table_worst_first(labels, tmp_path):
  scores = labels.copy()
  scores[7, 1] += 5
  scores[3, 0] += 1
  text = write_run(tmp_path / 'w', scores, labels)
  table = pd.read_csv(tmp_path / 'w' / 'predictions' / 'out_of_fold_tracks.csv')
  assert table['id'][:3].tolist() == ['row 7', 'row 3', 'row 0']
  assert table['loudness'][0] == pytest.approx(labels[7, 1] + 5, rel=1e-5)
  assert table['loudness_true'][0] == pytest.approx(labels[7, 1], rel=1e-5)
  assert '| row 7 | 25.000 |' in text
