"""The report's sections on a regression: each target against what knows no input, and the worst."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from musicjax import plots_targets, regression
from musicjax import workdir as workdir_lib
from musicjax.markdown import escape, number, table

FILE = 'predictions/out_of_fold_tracks.csv'
_NUM_LISTED = 10
_FEW = 30  # Tracks, of which scores are said to be doubtful.


def judge(
  workdir: Path, split: str, label_names: Sequence[str], scored, mean: Sequence[float]
) -> list[str]:
  """Writes `out_of_fold_tracks.csv` and pictures; returns the sections on targets and tracks.

  Args:
    workdir: of the run.
    split: that is judged.
    label_names: one name a target.
    scored: `evaluate.Scores` of the split.
    mean: [targets] of the training fold.
  """
  targets = regression.per_target(scored.scores, scored.labels, mean)
  plots_targets.save_scatter(
    workdir / 'report/targets.png', label_names, scored.scores, scored.labels, targets['r2']
  )
  sections = [
    _tabulate(split, label_names, targets, len(scored.ids)),
    '## Predicted and true\n\nA point a track; on the line, both are equal.\n\n'
    '![Predicted against true](report/targets.png)',
    _list_worst(workdir, label_names, scored),
  ]
  if (workdir / 'report/attention.png').exists():
    sections.insert(
      2,
      f'## Attention\n\nTracks of {split}, from the lowest loss to the highest: the cover as the '
      'model sees it, and where its attention lies, pale where that is spread evenly.\n\n'
      '![Attention](report/attention.png)',
    )
  return sections


def _tabulate(split, label_names, targets, count) -> str:
  def row(name, value):
    return [name, *(number(value(column), digits=3) for column in targets)]

  rows = [
    row(escape(name), lambda column, t=t: targets[column][t]) for t, name in enumerate(label_names)
  ]
  rows.append(row('**macro mean**', lambda column: regression.macro_mean(targets[column])))
  better = np.count_nonzero(targets['r2'] > np.maximum(0, targets['r2_no_image']))
  header = [
    'target',
    'R²',
    'MAE',
    'R², mean',
    'MAE, mean',
    'R², no image',
    'MAE, no image',
  ]
  few = f' **{count} tracks are few: R² of others may be quite another.**' if count < _FEW else ''
  return (
    f'## Targets\n\nOn {split}, in natural units: **{better} of {len(label_names)} targets are '
    'predicted better than by their mean.** *The mean* is that of the training fold; *no image* '
    'hands the same predictions out without looking. A model that learnt nothing scores what they '
    f'score.{few}\n\n' + table(header, rows)
  )


def _list_worst(workdir, label_names, scored) -> str:
  order = np.argsort(-scored.losses, kind='stable')  # Equals in the order of ids.
  header = ['id', 'loss']
  header += [f'{name}{suffix}' for name in label_names for suffix in ('', '_true')]
  pairs = np.stack([scored.scores, scored.labels], axis=2).reshape(len(order), -1)
  values = np.column_stack([scored.losses, pairs])[order]
  rows = ([i, *(f'{v:.6g}' for v in row)] for i, row in zip(scored.ids[order], values, strict=True))
  workdir_lib.write_csv(workdir / FILE, [header, *rows])
  rows = []
  for i in order[:_NUM_LISTED]:
    cells = [f'{p:.2f} ({t:.2f})' for p, t in zip(scored.scores[i], scored.labels[i], strict=True)]
    rows.append([escape(scored.ids[i]), number(scored.losses[i], 3), *cells])
  return (
    f'## Worst tracks\n\nThose of the highest loss: predicted (true). All {len(order):,} tracks in '
    f'this order: `{FILE}`.\n\n' + table(['track', 'loss', *map(escape, label_names)], rows)
  )
