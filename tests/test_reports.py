"""The report of a finished run."""

import csv
import dataclasses
import json
import re

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics

from musicjax import metrics, reports, thresholds


@dataclasses.dataclass
class _Scores:
  ids: np.ndarray
  scores: np.ndarray
  labels: np.ndarray

  @property
  def losses(self):
    """The cross-entropy of the first label of each."""
    return -np.log(self.scores[np.arange(len(self.ids)), self.labels.argmax(axis=1)] + 1e-9)


def _tune(scores_by_split):
  validation = scores_by_split.get('validation', scores_by_split['test'])
  return thresholds.tune(validation.scores, validation.labels)


def _cells(text, tag):
  """The cells of the first row of a table that begins with a tag."""
  row = next(line for line in text.splitlines() if line.startswith(f'| {tag} |'))
  return [cell.strip() for cell in row.strip('|').split('|')]


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
      'train_true_positive_ratio': None if i == 0 else 0.4,
      'validation_true_positive_ratio': 0.3,
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
  support, tuned = 1000 + np.arange(classes), _tune(scores_by_split)
  reports.write(workdir, label_names, scores_by_split, values, support, tuned)
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
    cells = _cells(text, f'tag {c}')
    assert cells[1] == f'{precision[c]:.3f}'
    assert cells[-2:] == [f'{1000 + c:,}', str(scores['test'].labels[:, c].sum())]
  open_text, folded = text.split('<details>')
  assert len(re.findall(r'^\| tag \d+ \|', open_text, re.MULTILINE)) == 20
  assert len(re.findall(r'^\| tag \d+ \|', folded.split('</details>')[0], re.MULTILINE)) == 256


@pytest.mark.parametrize('task', ['multi_label', 'single_label'])
def test_tags_are_judged_as_by_the_classification_report_of_scikit_learn(tmp_path, task):
  names = [f'tag {c}' for c in range(12)]
  text, by_split, _ = _write_run(tmp_path / 'w', names, task)
  scores, labels = by_split['test'].scores, by_split['test'].labels
  single = task == 'single_label'
  decided = metrics.top_1(scores) if single else scores >= 0.5
  expected = sklearn.metrics.classification_report(
    labels, decided, target_names=names, output_dict=True, zero_division=0
  )
  expected['mean weighted by support'] = expected['weighted avg']
  expected['macro mean'] = expected['macro avg']
  for name in [*names, 'macro mean', 'mean weighted by support']:
    cells = _cells(text, name if name in names else f'**{name}**')
    values = [expected[name][key] for key in ('precision', 'recall', 'f1-score')]
    assert cells[3:6] == [f'{value:.3f}' for value in values]
  if single:
    balanced = sklearn.metrics.balanced_accuracy_score(labels.argmax(1), scores.argmax(1))
    assert f'balanced accuracy {balanced:.4f}.' in text


def test_thresholds_of_validation_are_compared_on_test(tmp_path):
  names = [f'tag {c}' for c in range(5)]
  text, by_split, _ = _write_run(tmp_path / 'w', names)
  tuned, test = _tune(by_split), by_split['test']
  for name, rule in (('0.5', 0.5), ('tuned on validation', tuned)):
    f1 = [
      sklearn.metrics.f1_score(test.labels, test.scores >= rule, average=average)
      for average in ('macro', 'micro')
    ]
    assert _cells(text, name) == [name, *(f'{value:.4f}' for value in f1)]
  assert float(_cells(text, 'tag 3')[6]) == pytest.approx(tuned[3], abs=5e-4)


@pytest.mark.parametrize('task', ['multi_label', 'single_label'])
def test_worst_tracks_come_first(tmp_path, task):
  names = ['rock', 'pop|sad', 'jazz']
  _write_run(tmp_path / 'w', names, task)
  if task == 'single_label':
    labels = np.eye(3, dtype=bool)[[0, 1, 2]]
    scores = np.array([[0.6, 0.3, 0.1], [0.9, 0.02, 0.08], [0.5, 0.3, 0.2]])
    worst, table = 1, ['pop\\|sad 0.02', 'rock 0.90, jazz 0.08, pop\\|sad 0.02', '3.912']
  else:
    labels = np.array([[1, 1, 0], [0, 0, 0], [0, 1, 1]], bool)
    scores = np.array([[0.9, 0.6, 0.1], [0.9, 0.1, 0.1], [0.8, 0.7, 0.1]])
    # Of two labels on ranks 2 and 3: the mean of 1/2 and 2/3.
    worst, table = 2, [
      'pop\\|sad 0.70, jazz 0.10', 'rock 0.80, pop\\|sad 0.70, jazz 0.10', '0.583',
    ]  # fmt: skip
  by_split = {'test': _Scores(np.array(['a/1.mp3', 'b_.mp3', 'c|3.mp3']), scores, labels)}
  tuned = np.array([0.5, 0.65, 0.5])
  reports.write(tmp_path / 'w', names, by_split, {'test': {}}, np.ones(3, int), tuned)
  section = (tmp_path / 'w/report.md').read_text().split('## Worst tracks')[1]
  first = next(line for line in section.splitlines() if line.startswith(('| a', '| b', '| c')))
  path = ['a/1.mp3', 'b\\_.mp3', 'c\\|3.mp3'][worst]
  assert first == f'| {" | ".join([path, *table])} |'

  kept = pd.read_csv(tmp_path / 'w/predictions/out_of_fold_tracks.csv', keep_default_na=False)
  assert sorted(kept['id']) == sorted(by_split['test'].ids)
  assert kept['id'][0] == by_split['test'].ids[worst]
  if task == 'multi_label':
    assert list(kept['id']) == ['c|3.mp3', 'a/1.mp3', 'b_.mp3']  # What has no label comes last.
    assert list(kept['predicted']) == ['rock|pop|sad', 'rock|pop|sad', 'rock']
    assert list(kept['predicted_tuned']) == ['rock|pop|sad', 'rock', 'rock']
    assert list(kept['ranking_precision']) == ['0.583333', '1', '']


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
  by_split = {'test': scores}
  reports.write(tmp_path / 'w', names, by_split, {'test': {}}, np.ones(3, int), _tune(by_split))
  text = (tmp_path / 'w/report.md').read_text()
  assert '| rock | jazz | 6 | 60% |' in text
  assert _cells(text, 'rock')[3:6] == ['1.000', '0.400', '0.571']


def test_report_lists_skipped_files(tmp_path):
  names = ['a', 'b']
  _, scores, values = _write_run(tmp_path / 'w', names)
  with (tmp_path / 'w/skipped.csv').open('w', newline='') as file:
    csv.writer(file).writerows(
      [('id', 'reason'), *((f'{i}.mp3', 'expected audio | found\nnothing') for i in range(33))]
    )
  reports.write(tmp_path / 'w', names, scores, values, np.ones(2, int), _tune(scores))
  text = (tmp_path / 'w/report.md').read_text()
  assert '33 examples were left out' in text
  assert text.count('.mp3 | expected audio \\| found nothing |') == 20
  assert '13 more' in text


def test_tag_without_positives_and_odd_names_do_not_break_the_report(tmp_path):
  names = ['$a$', '_b|c', '<i>', 'Музыка ' * 20]
  _, scores, values = _write_run(tmp_path / 'w', names)
  scores['test'].labels[:, 0] = False
  reports.write(tmp_path / 'w', names, scores, values, np.array([0, 1, 2, 3]), _tune(scores))
  text = (tmp_path / 'w/report.md').read_text()
  assert 'left out of macro means: 1 in test' in text
  assert '| \\_b\\|c |' in text
  assert _cells(text, '&#36;a&#36;')[1:6] == ['–'] * 5
