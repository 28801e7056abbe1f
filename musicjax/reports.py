"""The report of a run: `report.md`, to be read, and its pictures."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from musicjax import plots, report_tags, report_targets, report_tracks, thresholds
from musicjax.markdown import escape, number, table
from musicjax.workdir import read_json, write_text

_NUM_SKIPPED = 20  # skipped files in full; the rest are counted

_CURVES_OF_TAGS = 'every tag and its precision-recall curve'
_SPLIT_NOTES = {'validation': 'chose the checkpoint', 'test': 'reported'}


def write(
  workdir: Path,
  label_names: Sequence[str],
  scores_by_split: Mapping[str, Any],
  metrics_by_split: Mapping[str, Mapping[str, float]],
  train_support: np.ndarray,
  tuned: np.ndarray,
) -> None:
  """Writes `report.md`, `report/*.png` and `predictions/out_of_fold_tracks.csv` into a workdir.

  Reads the workdir's `config.json`, and `metrics.jsonl`, `skipped.csv` and `report/examples.json`
  where they exist. Tags and tracks are judged on the test split, on the last one given where there
  is no test split.

  Args:
    workdir: of the finished run.
    label_names: one name a class.
    scores_by_split: `evaluate.Scores` of each split, e.g. `validation` and `test`.
    metrics_by_split: metrics of each split.
    train_support: [classes] tracks of the training split with each label.
    tuned: [classes] thresholds of `thresholds.tune` on validation.
  """
  config = read_json(workdir / 'config.json')
  (workdir / 'report').mkdir(exist_ok=True)
  split, scored = _judged(scores_by_split)
  sections = [
    _describe_run(config, workdir, scores_by_split, label_names),
    _tabulate_metrics(config, metrics_by_split),
    _count_missing(scores_by_split),
    _compare_thresholds(config['task'], split, scored, tuned),
    _show_examples(workdir),
    _draw_history(config, workdir),
  ]
  if scored.labels.any():
    sections += report_tags.judge(
      workdir,
      config['task'],
      split,
      label_names,
      scored.scores,
      scored.labels,
      tuned,
      train_support,
    )
    sections.append(report_tracks.judge(workdir, config['task'], label_names, scored, tuned))
  _write(workdir, [*sections, _list_skipped(workdir), _point_further(workdir, _CURVES_OF_TAGS)])


def write_regression(
  workdir: Path,
  label_names: Sequence[str],
  scores_by_split: Mapping[str, Any],
  metrics_by_split: Mapping[str, Mapping[str, float]],
  train_mean: Sequence[float],
) -> None:
  """As `write`, of a regression; also reads `report/distortions.png` and `attention.png`.

  Args:
    workdir: of the finished run.
    label_names: one name a target.
    scores_by_split: `evaluate.Scores` of each split.
    metrics_by_split: metrics of each split.
    train_mean: [targets] of the training split.
  """
  config = read_json(workdir / 'config.json')
  (workdir / 'report').mkdir(exist_ok=True)
  split, scored = _judged(scores_by_split)
  sections = [
    _describe_run(config, workdir, scores_by_split, label_names, labels='targets'),
    _tabulate_metrics(config, metrics_by_split),
    *report_targets.judge(workdir, split, label_names, scored, train_mean),
  ]
  if (workdir / 'report/distortions.png').exists():
    sections.append(
      '## What the model sees\n\nThe first covers of the first batch, and as they are trained on.'
      '\n\n![Covers](report/distortions.png)'
    )
  sections += [_draw_history(config, workdir), _list_skipped(workdir)]
  _write(workdir, [*sections, _point_further(workdir, 'every target')])


def _judged(scores_by_split) -> tuple[str, Any]:
  split = 'test' if 'test' in scores_by_split else list(scores_by_split)[-1]
  return split, scores_by_split[split]


def _write(workdir: Path, sections: Sequence[str]) -> None:
  text = '\n\n'.join(section for section in sections if section) + '\n'
  write_text(workdir / 'report.md', text)


def _describe_run(config, workdir, scores_by_split, label_names, labels='tags') -> str:
  groups = ('model', 'dataset', 'loss', 'optimizer')
  names = {group: config.get(group, {}).get('name') for group in groups}
  facts = [f'{group} **{escape(name)}**' for group, name in names.items() if name]
  facts += [f'task **{config["task"]}**', f'{len(label_names)} {labels}']
  facts += [f'{len(s.ids):,} tracks in {split}' for split, s in scores_by_split.items()]
  title = ' on '.join(filter(None, (names['model'], names['dataset'])))
  return (
    f'# {escape(title or workdir.name)}\n\n{", ".join(facts)}.\n\n'
    'All fields of the config: `config.json`.'
  )


def _tabulate_metrics(config, metrics_by_split) -> str:
  splits = list(metrics_by_split)
  names = list(dict.fromkeys(name for values in metrics_by_split.values() for name in values))
  select = config.get('select_metric')
  names.sort(key=lambda name: name != select)  # first what the run was selected by
  rows = []
  for name in names:
    values = [metrics_by_split[split].get(name) for split in splits]
    counted = name.startswith('classes_')
    values = [f'{v:.0f}' if counted and v is not None else number(v) for v in values]
    rows.append([f'**{name}**' if name == select else name, *values])
  chosen = config.get('report_checkpoint') != 'latest'  # Of fixed length: validation chose nothing.
  notes = {s: f' ({note})' for s, note in _SPLIT_NOTES.items() if chosen or s != 'validation'}
  header = [s + notes.get(s, '') for s in splits]
  return '## Metrics\n\n' + table(['metric', *header], rows)


def _count_missing(scores_by_split) -> str:
  missing = {s: int(np.sum(~v.labels.any(axis=0))) for s, v in scores_by_split.items()}
  counts = [f'{count} in {split}' for split, count in missing.items() if count]
  told = f'Tags without positives are left out of macro means: {", ".join(counts)}.'
  return told if counts else ''


def _compare_thresholds(task, split, scored, tuned) -> str:
  if not scored.labels.any():
    return ''
  rows = {'0.5': np.full(len(tuned), 0.5), 'tuned on validation': tuned}
  cells = []
  for name, values in rows.items():
    f1 = thresholds.f1_with(values, scored.scores, scored.labels)
    cells.append([name, number(f1['f1_macro']), number(f1['f1_micro'])])
  text = f'### Thresholds\n\nF1 on {split} of scores at or above a threshold a tag'
  if task == 'single_label':
    text += ', each tag against the rest: a track may get none or several'
  return f'{text}. The tuned ones are in `{thresholds.FILE}`.\n\n' + table(
    ['threshold', 'F1 macro', 'F1 micro'], cells
  )


def _show_examples(workdir) -> str:
  path = workdir / 'report/examples.json'
  examples = read_json(path) if path.exists() else []
  if not examples:
    return ''
  text = (
    '## What the model sees\n\nThe first examples of the first batch, by the functions of the '
    'training step.'
  )
  if any(example['audio'] for example in examples):
    text += ' TensorBoard plays them (`examples/`), as they are before augmentation.'
  for row in examples:
    label = escape(row['label'])
    if row['augmented_label'] != row['label']:
      label += f', augmented to {escape(row["augmented_label"])}'
    text += (
      f'\n\n**{escape(row["track"])}**, {row["start"]:.2f} to {row["end"]:.2f} s: {label}\n\n'
      f'![Example](report/{row["file"]})'
    )
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
  best = f' Best {select}: {number(best[select])} at step {best["step"]:,}.' if best else ''
  return f'## Training\n\n{len(rows)} evaluations.{best}\n\n![History](report/history.png)'


def _list_skipped(workdir) -> str:
  path = workdir / 'skipped.csv'
  if not path.exists():
    return ''
  with path.open(newline='', encoding='utf-8') as file:
    rows = [[escape(row['id']), escape(row['reason'])] for row in csv.DictReader(file)]
  if not rows:
    return '## Skipped\n\nNo example was skipped.'
  text = f'## Skipped\n\n{len(rows):,} examples were left out.\n\n'
  text += table(['id', 'reason'], rows[:_NUM_SKIPPED], num_texts=2)
  rest = len(rows) - _NUM_SKIPPED
  return text + (f'\n\n{rest:,} more in `skipped.csv`.' if rest > 0 else '')


def _point_further(workdir, curves) -> str:
  return f"""## Look further

Curves, {curves}, hyperparameters beside those of other runs:

```
tensorboard --logdir={workdir}
```

Predictions of other files, into `predictions/`:

```
python -m musicjax.main --workdir={workdir} --mode=predict --inputs=PATHS
```"""
