"""The report of a finished run."""

import csv
import dataclasses
import json
import re

import numpy as np
import pytest

from musicjax import metrics, reports


@dataclasses.dataclass
class _Scores:
  ids: np.ndarray
  scores: np.ndarray
  labels: np.ndarray


def _write_run(workdir, label_names, task='multi_label', n=120):
  """Writes what training leaves in a workdir, then its report; returns the report and scores."""
  rng = np.random.default_rng(0)
  classes = len(label_names)
  workdir.mkdir()
  (workdir / 'config.json').write_text(
    json.dumps(
      {
        'task': task,
        'select_metric': 'map_macro',
        'model': {'name': 'yandex'},
        'dataset': {'name': 'yandex_cup'},
        'loss': {'name': 'bce'},
        'optimizer': {'name': 'adamw'},
      }
    )
  )
  # Rises to its best at step 20 and ties with it at step 30; some names have no value at times.
  rows = [
    {
      'step': 10 * (i + 1),
      'epoch': i + 1.0,
      'train_loss': 1.0 / (i + 1),
      'learning_rate': 1e-4,
      'validation_loss': 1.5 / (i + 1),
      'validation_map_macro': value,
      'validation_roc_auc_macro': None,
    }
    for i, value in enumerate((0.25, 0.625, 0.625))
  ]
  (workdir / 'metrics.jsonl').write_text('\n'.join(map(json.dumps, rows)))

  scores_by_split = {}
  for split in ('validation', 'test'):
    if task == 'single_label':
      labels = np.eye(classes, dtype=bool)[rng.integers(classes, size=n)]
    else:
      labels = rng.uniform(size=(n, classes)) < 0.3
    # The further down the list of names, the harder the class.
    scores = 0.5 * labels / (1 + np.arange(classes)) + 0.5 * rng.uniform(size=labels.shape)
    scores_by_split[split] = _Scores(np.arange(n).astype(str), scores, labels)
  measure = metrics.single_label if task == 'single_label' else metrics.multi_label
  values = {split: measure(s.scores, s.labels) for split, s in scores_by_split.items()}
  reports.write(workdir, label_names, scores_by_split, values, 1000 + np.arange(classes))
  return (workdir / 'report.md').read_text(), scores_by_split, values


def test_report_says_how_good_the_run_is_and_where_it_fails(tmp_path):
  names = [f'tag {c}' for c in range(256)]
  text, scores, values = _write_run(tmp_path / 'w', names)
  assert text.startswith('# yandex on yandex_cup\n')
  assert (
    f'| **map_macro** | {values["validation"]["map_macro"]:.4f} | '
    f'{values["test"]["map_macro"]:.4f} |'
  ) in text
  assert 'Best validation_map_macro: 0.6250 at step 20.' in text
  precision = metrics.average_precision(scores['test'].scores, scores['test'].labels)
  for c in (np.argmax(precision), np.argmin(precision)):
    row = next(line for line in text.splitlines() if line.startswith(f'| tag {c} |'))
    assert f'{precision[c]:.4f}' in row
    assert row.endswith(f'| {1000 + c:,} | {scores["test"].labels[:, c].sum()} |')
  assert len(re.findall(r'^\| tag \d+ \|', text, re.MULTILINE)) == 20


@pytest.mark.parametrize('task', ['multi_label', 'single_label'])
@pytest.mark.parametrize('classes', [2, 6, 70])
def test_every_picture_of_the_report_is_there(tmp_path, task, classes):
  text, _, _ = _write_run(tmp_path / 'w', [f'tag {c}' for c in range(classes)], task)
  linked = set(re.findall(r'\]\((report/.*?\.png)\)', text))
  assert ('report/confusion.png' in linked) == (task == 'single_label')
  assert linked == {f'report/{f.name}' for f in (tmp_path / 'w' / 'report').iterdir()}
  for name in linked:
    assert (tmp_path / 'w' / name).read_bytes().startswith(b'\x89PNG')


def test_single_label_report_names_the_most_frequent_mistake(tmp_path):
  names = ['rock', 'pop', 'jazz']
  _write_run(tmp_path / 'w', names, 'single_label')
  labels = np.eye(3, dtype=bool)[[0] * 10 + [1] * 4 + [2] * 2]
  predicted = np.array([0] * 4 + [2] * 6 + [1] * 4 + [2] * 2)
  scores = _Scores(np.arange(16).astype(str), np.eye(3)[predicted], labels)
  reports.write(tmp_path / 'w', names, {'test': scores}, {'test': {}}, np.ones(3, int))
  text = (tmp_path / 'w/report.md').read_text()
  assert '| rock | jazz | 6 | 60% |' in text
  assert '| rock | 1.0000 | 0.4000 | 0.5714 |' in text


def test_report_lists_skipped_files(tmp_path):
  names = ['a', 'b']
  _, scores, values = _write_run(tmp_path / 'w', names)
  with (tmp_path / 'w/skipped.csv').open('w', newline='') as file:
    csv.writer(file).writerows(
      [('id', 'reason'), *((f'{i}.mp3', 'expected audio | found\nnothing') for i in range(33))]
    )
  reports.write(tmp_path / 'w', names, scores, values, np.ones(2, int))
  text = (tmp_path / 'w/report.md').read_text()
  assert '33 examples were left out' in text
  assert text.count('.mp3 | expected audio \\| found nothing |') == 20
  assert '13 more' in text


def test_tag_without_positives_and_odd_names_do_not_break_the_report(tmp_path):
  names = ['$a$', '_b|c', '<i>', 'Музыка ' * 20]
  _, scores, values = _write_run(tmp_path / 'w', names)
  scores['test'].labels[:, 0] = False
  reports.write(tmp_path / 'w', names, scores, values, np.array([0, 1, 2, 3]))
  text = (tmp_path / 'w/report.md').read_text()
  assert 'left out of macro means: 1 in test' in text
  assert '| _b\\|c |' in text
  assert '| $a$ |' not in text
