"""The tracks that a model fails on: all in a table of the workdir, the worst in the report."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from musicjax import metrics, tasks
from musicjax import workdir as workdir_lib
from musicjax.markdown import escape, number, table

FILE = 'predictions/out_of_fold_tracks.csv'
_NUM_LISTED = 10
_NUM_TAGS = 5  # of a track's labels and of its highest scores, at most


def judge(
  workdir: Path, task: str, label_names: Sequence[str], scored, thresholds: np.ndarray
) -> str:
  """Writes `out_of_fold_tracks.csv`, worst first; returns the report's section on the worst.

  With one label a track, the worst have the highest loss. With several, they have the lowest
  ranking precision, and among equals the highest loss; tracks without labels come last.

  Args:
    workdir: of the run.
    task: `multi_label` or `single_label`.
    label_names: one name a class.
    scored: `evaluate.Scores` of the split that is judged.
    thresholds: [classes] that were tuned elsewhere.
  """
  scores, labels = scored.scores, scored.labels
  precision = metrics.ranking_precision(scores, labels)
  single = task == 'single_label'
  by_loss = np.argsort(-scored.losses, kind='stable')  # Equals in the order of ids.
  order = by_loss if single else np.lexsort((-scored.losses, precision))
  decided = tasks.create(task).decide(scores)
  tuned = metrics.above(scores, thresholds)

  def names(row):
    return '|'.join(label_names[c] for c in np.flatnonzero(row))

  header = ('id', 'truth', 'predicted', 'predicted_tuned', 'loss', 'ranking_precision')
  columns = (
    scored.ids[order],
    *([names(row) for row in decisions[order]] for decisions in (labels, decided, tuned)),
    *(_numbers(values[order]) for values in (scored.losses, precision)),
  )
  workdir_lib.write_csv(workdir / FILE, [header, *zip(*columns, strict=True)])

  def cell(row, chosen):
    given = [f'{escape(label_names[c])} {row[c]:.2f}' for c in chosen[:_NUM_TAGS]]
    return ', '.join([*given, '…'] if len(chosen) > _NUM_TAGS else given)

  rows = []
  for i in [i for i in order if labels[i].any()][:_NUM_LISTED]:
    highest = np.argsort(-scores[i], kind='stable')
    truth = highest[labels[i][highest]]  # A track's labels, the ones it is told by first.
    # As many as there are labels, and some more to see what else was thought of.
    guess = highest[: max(3, min(len(truth), _NUM_TAGS))]
    value = scored.losses[i] if single else precision[i]
    rows.append(
      [escape(scored.ids[i]), cell(scores[i], truth), cell(scores[i], guess), number(value, 3)]
    )
  measure = 'loss' if single else 'ranking precision'
  extreme = 'highest loss' if single else 'lowest label-ranking precision'
  return (
    f'## Worst tracks\n\nThose of the {extreme}; beside each tag its score. All {len(order):,} '
    f'tracks in this order: `{FILE}`.\n\n'
    + table(['track', 'truth', 'highest scores', measure], rows, num_texts=3)
  )


def _numbers(values: np.ndarray) -> list[str]:
  return ['' if np.isnan(value) else f'{value:.6g}' for value in values]
