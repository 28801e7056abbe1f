"""The report's sections on tags: which are told, which not, and what they are taken for."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from musicjax import metrics, plots, tasks
from musicjax.markdown import escape, folded, number, table

_NUM_LISTED = 10  # best and worst tags in a table
_NUM_CURVES = 4  # precision-recall curves a chart: more cannot be told apart
_MAX_CONFUSION = 60  # classes in a confusion matrix whose names can be read


def judge(
  workdir: Path,
  task: str,
  split: str,
  label_names: Sequence[str],
  scores: np.ndarray,
  labels: np.ndarray,
  thresholds: np.ndarray,
  train_support: np.ndarray,
) -> list[str]:
  """Returns the sections on all tags, and draws their pictures into `report/`.

  Args:
    workdir: of the run.
    task: `multi_label` or `single_label`.
    split: that is judged.
    label_names: one name a class.
    scores: [n, classes] probabilities.
    labels: [n, classes] bool, some of them True.
    thresholds: [classes] that were tuned elsewhere.
    train_support: [classes] tracks of the training split with each label.
  """
  classes = metrics.per_class(scores, labels)
  decisions = tasks.create(task).decide(scores)
  tuned = metrics.f1_per_class(metrics.above(scores, thresholds), labels)
  classes |= metrics.classification(decisions, labels)
  classes |= {'threshold': thresholds, 'tuned': tuned, 'train_support': np.asarray(train_support)}
  order = np.argsort(-classes['average_precision'], kind='stable')  # NaN comes last.
  present = order[: np.count_nonzero(classes['support'])]
  sections = [
    _tabulate(task, split, label_names, classes, order),
    _draw_tags(workdir, label_names, classes, present),
    _draw_pr_curves(workdir, label_names, scores, labels, classes, present),
  ]
  if task == 'single_label':
    sections.append(_confuse(workdir, label_names, decisions, labels))
  return sections


def _tabulate(task, split, label_names, classes, order) -> str:
  header = [
    'tag', 'AP', 'ROC-AUC', 'precision', 'recall', 'F1', 'threshold', 'F1 tuned', 'in training',
    f'in {split}',
  ]  # fmt: skip
  columns = ('average_precision', 'roc_auc', 'precision', 'recall', 'f1', 'threshold', 'tuned')

  def rows(chosen):
    return [
      [
        escape(label_names[c]),
        *(number(classes[name][c], digits=3) for name in columns),
        *(f'{classes[name][c]:,}' for name in ('train_support', 'support')),
      ]
      for c in chosen
    ]

  def mean(name, weights):
    values = [
      '' if column == 'threshold' else number(_mean(classes[column], weights), digits=3)
      for column in columns
    ]
    return [f'**{name}**', *values, '', '']

  support = classes['support']
  means = [mean('macro mean', support > 0), mean('mean weighted by support', support)]
  rule = 'the tag of the highest score' if task == 'single_label' else 'scores of at least 0.5'
  text = (
    f'## Tags\n\nOn {split}. Precision, recall and F1 are of {rule}; *F1 tuned* is of scores of at '
    'least the threshold, which was chosen for each tag on validation'
  )
  text += ', taken against the rest.' if task == 'single_label' else '.'
  text += ' The last two columns count positives.\n\n'
  if len(order) <= 2 * _NUM_LISTED:
    return text + table(header, [*rows(order), *means])
  present = order[: np.count_nonzero(support)]
  best, worst = present[:_NUM_LISTED], present[::-1][:_NUM_LISTED]
  text += table(header, means)
  text += (
    f'\n\n### Best\n\n{table(header, rows(best))}\n\n### Worst\n\n{table(header, rows(worst))}'
  )
  return text + '\n\n' + folded(f'All {len(order)} tags, best first', table(header, rows(order)))


def _mean(values: np.ndarray, weights: np.ndarray) -> float:
  """Of the values that are not NaN."""
  weights = np.where(np.isnan(values), 0, weights)
  return float(np.nansum(values * weights) / weights.sum()) if weights.any() else float('nan')


def _draw_tags(workdir, label_names, classes, present) -> str:
  precision, support = classes['average_precision'][present], classes['support'][present]
  plots.save_tags(
    workdir / 'report/tags.png',
    [label_names[c] for c in present],
    precision,
    support / (support + classes['negatives'][present]),
  )
  plots.save_support(workdir / 'report/support.png', classes['train_support'][present], precision)
  return (
    '![Average precision of every tag](report/tags.png)\n\n'
    '![Average precision against positives in training](report/support.png)'
  )


def _draw_pr_curves(workdir, label_names, scores, labels, classes, present) -> str:
  if len(present) <= 2 * _NUM_CURVES:
    halves = np.array_split(present, 2)
    charts = {'Best': halves[0], 'Worst': halves[1]}
  else:
    frequent = np.argsort(-classes['support'], kind='stable')
    charts = {
      'Best': present[:_NUM_CURVES],
      'Worst': present[-_NUM_CURVES:],
      'Most frequent': frequent[:_NUM_CURVES],
    }
  curves = {}
  for title, chosen in charts.items():
    curves[title] = []
    for c in chosen:
      precision, recall, _ = metrics.pr_curve(scores[:, c], labels[:, c])
      curves[title].append((label_names[c], classes['average_precision'][c], precision, recall))
  plots.save_pr_curves(workdir / 'report/pr_curves.png', curves)
  return '## Precision and recall\n\n![Precision-recall curves](report/pr_curves.png)'


def _confuse(workdir, label_names, decisions, labels) -> str:
  counts = labels.T.astype(np.int64) @ decisions.astype(np.int64)
  support = labels.sum(axis=0)
  used = support + decisions.sum(axis=0)  # A class that is only predicted is shown, too.
  shown = np.argsort(-used, kind='stable')[:_MAX_CONFUSION]
  shown = np.sort(shown[used[shown] > 0])
  plots.save_confusion(
    workdir / 'report/confusion.png',
    counts[np.ix_(shown, shown)],
    support[shown],
    [label_names[c] for c in shown],
  )
  accuracy = np.trace(counts) / len(labels)
  balanced = np.mean(np.diag(counts)[support > 0] / support[support > 0])
  text = (
    f'## Confusion\n\nAccuracy {number(accuracy)}, balanced accuracy {number(balanced)}.\n\n'
    '![Confusion matrix](report/confusion.png)'
  )
  if len(shown) < len(label_names):
    text += f'\n\nShown: {len(shown)} of {len(label_names)} classes, those that come up most.'
  wrong = counts * ~np.eye(len(counts), dtype=bool)
  pairs = [divmod(int(i), len(counts)) for i in np.argsort(-wrong, axis=None)[:_NUM_LISTED]]
  rows = [
    [
      escape(label_names[t]),
      escape(label_names[p]),
      str(wrong[t, p]),
      f'{wrong[t, p] / support[t]:.0%}',
    ]
    for t, p in pairs
    if wrong[t, p]
  ]
  if rows:
    text += '\n\n### Most frequent mistakes\n\n' + table(
      ['class', 'taken for', 'tracks', 'of the class'], rows, num_texts=2
    )
  return text
