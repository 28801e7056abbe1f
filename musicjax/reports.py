"""The report of a run: `report.md`, to be read, and its pictures."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from musicjax import metrics, plots
from musicjax.workdir import read_json, write_text

_NUM_LISTED = 10  # best and worst tags in a table
_NUM_SKIPPED = 20  # skipped files in full; the rest are counted
_NUM_CURVES = 4  # precision-recall curves a chart: more cannot be told apart
_MAX_CONFUSION = 60  # classes in a confusion matrix whose names can be read

_SPLIT_NOTES = {'validation': 'chose the checkpoint', 'test': 'reported'}


def write(
  workdir: Path,
  label_names: Sequence[str],
  scores_by_split: Mapping[str, Any],
  metrics_by_split: Mapping[str, Mapping[str, float]],
  train_support: np.ndarray,
) -> None:
  """Writes `report.md` and `report/*.png` into a workdir.

  Reads the workdir's `config.json`, and `metrics.jsonl` and `skipped.csv` where they exist. Tags
  are judged on the test split, on the last one given where there is no test split.

  Args:
    workdir: of the finished run.
    label_names: one name a class.
    scores_by_split: `evaluate.Scores` of each split, e.g. `validation` and `test`.
    metrics_by_split: metrics of each split.
    train_support: [classes] tracks of the training split with each label.
  """
  config = read_json(workdir / 'config.json')
  (workdir / 'report').mkdir(exist_ok=True)
  split = 'test' if 'test' in scores_by_split else list(scores_by_split)[-1]
  scores, labels = scores_by_split[split].scores, scores_by_split[split].labels
  classes = metrics.per_class(scores, labels)
  classes['train_support'] = np.asarray(train_support)

  sections = [
    _describe_run(config, workdir, scores_by_split, label_names),
    _tabulate_metrics(config, metrics_by_split, scores_by_split),
    _draw_history(config, workdir),
  ]
  if labels.any():
    sections += [
      _judge_tags(workdir, split, label_names, classes),
      _draw_pr_curves(workdir, label_names, scores, labels, classes),
    ]
  if config['task'] == 'single_label':
    sections.append(_confuse(workdir, label_names, scores, labels, classes))
  sections += [_list_skipped(workdir), _point_further(workdir)]
  text = '\n\n'.join(section for section in sections if section) + '\n'
  write_text(workdir / 'report.md', text)


def _describe_run(config, workdir, scores_by_split, label_names) -> str:
  groups = ('model', 'dataset', 'loss', 'optimizer')
  names = {group: config.get(group, {}).get('name') for group in groups}
  facts = [f'{group} **{_escape(name)}**' for group, name in names.items() if name]
  facts += [f'task **{config["task"]}**', f'{len(label_names)} tags']
  facts += [f'{len(s.ids):,} tracks in {split}' for split, s in scores_by_split.items()]
  title = ' on '.join(filter(None, (names['model'], names['dataset'])))
  return (
    f'# {_escape(title or workdir.name)}\n\n{", ".join(facts)}.\n\n'
    'All fields of the config: `config.json`.'
  )


def _tabulate_metrics(config, metrics_by_split, scores_by_split) -> str:
  splits = list(metrics_by_split)
  names = list(dict.fromkeys(name for values in metrics_by_split.values() for name in values))
  select = config.get('select_metric')
  names.sort(key=lambda name: name != select)  # first what the run was selected by
  rows = []
  for name in names:
    values = [metrics_by_split[split].get(name) for split in splits]
    counted = name.startswith('classes_')
    values = [f'{v:.0f}' if counted and v is not None else _number(v) for v in values]
    rows.append([f'**{name}**' if name == select else name, *values])
  chosen = config.get('report_checkpoint') != 'latest'  # Of fixed length: validation chose nothing.
  notes = {s: f' ({note})' for s, note in _SPLIT_NOTES.items() if chosen or s != 'validation'}
  header = [s + notes.get(s, '') for s in splits]
  text = '## Metrics\n\n' + _table(['metric', *header], rows)
  missing = {s: int(np.sum(~v.labels.any(axis=0))) for s, v in scores_by_split.items()}
  counts = [f'{count} in {split}' for split, count in missing.items() if count]
  if counts:
    text += f'\n\nTags without positives are left out of macro means: {", ".join(counts)}.'
  return text


def _draw_history(config, workdir) -> str:
  path = workdir / 'metrics.jsonl'
  lines = path.read_text(encoding='utf-8').splitlines() if path.exists() else []
  rows = [json.loads(line) for line in lines if line.strip()]
  if not rows:
    return ''
  select = f'validation_{config.get("select_metric")}'
  plots.save_history(workdir / 'report/history.png', rows, select)
  best = max(
    (row for row in rows if row.get(select) is not None), default=None, key=lambda row: row[select]
  )  # the first of equals, as training keeps it
  best = f' Best {select}: {_number(best[select])} at step {best["step"]:,}.' if best else ''
  return f'## Training\n\n{len(rows)} evaluations.{best}\n\n![History](report/history.png)'


def _judge_tags(workdir, split, label_names, classes) -> str:
  order = _by_precision(classes)
  plots.save_tags(
    workdir / 'report/tags.png',
    [label_names[c] for c in order],
    classes['average_precision'][order],
    classes['support'][order] / (classes['support'] + classes['negatives'])[order],
  )
  plots.save_support(
    workdir / 'report/support.png',
    classes['train_support'][order],
    classes['average_precision'][order],
  )
  header = ['tag', 'AP', 'ROC-AUC', 'in training', f'in {split}']

  def table(chosen):
    return _table(
      header,
      [
        [
          _escape(label_names[c]),
          _number(classes['average_precision'][c]),
          _number(classes['roc_auc'][c]),
          f'{classes["train_support"][c]:,}',
          f'{classes["support"][c]:,}',
        ]
        for c in chosen
      ],
    )

  text = f'## Tags\n\nAP is average precision on {split}; the last two columns count positives.\n\n'
  if len(order) <= 2 * _NUM_LISTED:
    text += table(order)
  else:
    text += (
      f'### Best\n\n{table(order[:_NUM_LISTED])}\n\n### Worst\n\n{table(order[::-1][:_NUM_LISTED])}'
    )
  return (
    text + '\n\n![Average precision of every tag](report/tags.png)\n\n'
    '![Average precision against positives in training](report/support.png)'
  )


def _draw_pr_curves(workdir, label_names, scores, labels, classes) -> str:
  order = _by_precision(classes)
  if len(order) <= 2 * _NUM_CURVES:
    halves = np.array_split(order, 2)
    charts = {'Best': halves[0], 'Worst': halves[1]}
  else:
    frequent = np.argsort(-classes['support'], kind='stable')
    charts = {
      'Best': order[:_NUM_CURVES],
      'Worst': order[-_NUM_CURVES:],
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


def _confuse(workdir, label_names, scores, labels, classes) -> str:
  true, predicted = labels.argmax(axis=1), scores.argmax(axis=1)
  counts = np.zeros((len(label_names), len(label_names)), np.int64)
  np.add.at(counts, (true, predicted), 1)
  shown = np.argsort(-classes['support'], kind='stable')[:_MAX_CONFUSION]
  shown = shown[classes['support'][shown] > 0]
  plots.save_confusion(
    workdir / 'report/confusion.png',
    counts[np.ix_(shown, shown)],
    classes['support'][shown],
    [label_names[c] for c in shown],
  )
  text = '## Confusion\n\n![Confusion matrix](report/confusion.png)'
  if len(shown) < len(label_names):
    text += f'\n\nShown: the {len(shown)} most frequent of {len(label_names)} classes.'
  wrong = counts * ~np.eye(len(counts), dtype=bool)
  pairs = [divmod(int(i), len(counts)) for i in np.argsort(-wrong, axis=None)[:_NUM_LISTED]]
  rows = [
    [
      _escape(label_names[t]),
      _escape(label_names[p]),
      str(wrong[t, p]),
      f'{wrong[t, p] / classes["support"][t]:.0%}',
    ]
    for t, p in pairs
    if wrong[t, p]
  ]
  if rows:
    text += '\n\n### Most frequent mistakes\n\n' + _table(
      ['class', 'taken for', 'examples', 'of the class'], rows, num_texts=2
    )
  with np.errstate(invalid='ignore'):  # a class that is never there, or never predicted
    precision, recall = (np.diag(counts) / counts.sum(axis=axis) for axis in (0, 1))
  f1 = metrics.f1_per_class(metrics.top_1(scores), labels)
  rows = [
    [
      _escape(name),
      *map(_number, (precision[c], recall[c], f1[c])),
      _number(classes['average_precision'][c]),
      f'{classes["train_support"][c]:,}',
      f'{classes["support"][c]:,}',
    ]
    for c, name in enumerate(label_names)
  ]
  return (
    text
    + '\n\n### Classes\n\n'
    + _table(['class', 'precision', 'recall', 'F1', 'AP', 'in training', 'here'], rows)
  )


def _list_skipped(workdir) -> str:
  path = workdir / 'skipped.csv'
  if not path.exists():
    return ''
  with path.open(newline='', encoding='utf-8') as file:
    rows = [[_escape(row['id']), _escape(row['reason'])] for row in csv.DictReader(file)]
  if not rows:
    return '## Skipped\n\nNo example was skipped.'
  text = f'## Skipped\n\n{len(rows):,} examples were left out.\n\n'
  text += _table(['id', 'reason'], rows[:_NUM_SKIPPED], num_texts=2)
  rest = len(rows) - _NUM_SKIPPED
  return text + (f'\n\n{rest:,} more in `skipped.csv`.' if rest > 0 else '')


def _point_further(workdir) -> str:
  return f"""## Look further

Curves, every tag and its precision-recall curve, hyperparameters beside those of other runs:

```
tensorboard --logdir={workdir}
```

Tags of other files, into `predictions/`:

```
python -m musicjax.main --workdir={workdir} --mode=predict --inputs=PATHS
```"""


def _by_precision(classes) -> np.ndarray:
  """Classes that have positives, best first."""
  precision = classes['average_precision']
  return np.argsort(-precision, kind='stable')[: np.count_nonzero(~np.isnan(precision))]


def _table(header: Sequence[str], rows: Sequence[Sequence[str]], num_texts: int = 1) -> str:
  """A table whose first `num_texts` columns are text; the rest are numbers, set flush right."""
  rule = ['---'] * num_texts + ['---:'] * (len(header) - num_texts)
  return '\n'.join(f'| {" | ".join(row)} |' for row in (header, rule, *rows))


def _number(value: float | None) -> str:
  return '–' if value is None or np.isnan(value) else f'{value:.4f}'


def _escape(text: str) -> str:
  """Text that neither ends a table's cell nor is taken for markup."""
  return ' '.join(str(text).split()).replace('|', '\\|').replace('<', '&lt;').replace('*', '\\*')
