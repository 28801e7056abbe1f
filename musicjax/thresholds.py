"""Thresholds a tag: chosen on validation for F1, kept in the workdir, applied to what follows."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from musicjax import metrics
from musicjax import workdir as workdir_lib
from musicjax.errors import ConfigError

FILE = 'thresholds.json'
_DEFAULT = 0.5  # Of a tag that validation says nothing about.


def tune(scores: np.ndarray, labels: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
  """Returns the thresholds [classes] whose decisions `scores >= threshold` have the best F1.

  F1 changes at scores alone. A threshold lies halfway between the lowest score that is decided for
  and the next one below it (or 0), which is as far from both as it can be; of several with the best
  F1 it is the one nearest to 0.5. A class without known positives has 0.5.

  Args:
    scores: [n, classes] probabilities.
    labels: [n, classes] bool.
    mask: [n, classes] bool, True where a label is known; None: all are.
  """
  thresholds = np.full(labels.shape[1], _DEFAULT)
  for c in np.flatnonzero((labels if mask is None else labels & mask).any(axis=0)):
    known = slice(None) if mask is None else mask[:, c]
    precision, recall, lowest = metrics.pr_curve(scores[known, c], labels[known, c])
    precision, recall = precision[:-1], recall[:-1]
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    below = np.append(0.0, lowest[:-1])
    halfway = (lowest + below) / 2
    halfway = np.where(halfway > below, halfway, lowest)  # Of neighbours in floating point.
    best = np.flatnonzero(f1 >= f1.max() - 1e-12)  # Ratios of counts: all else is rounding.
    thresholds[c] = halfway[best[np.argmin(np.abs(halfway[best] - _DEFAULT))]]
  return thresholds


def f1_with(
  thresholds: np.ndarray, scores: np.ndarray, labels: np.ndarray, mask: np.ndarray | None = None
) -> dict[str, float]:
  """Returns `f1_macro` and `f1_micro` of the decisions `scores >= thresholds`."""
  decisions = metrics.above(scores, thresholds)
  return {
    'f1_macro': metrics.f1_macro(decisions, labels, mask),
    'f1_micro': metrics.f1_micro(decisions, labels, mask),
  }


def save(
  workdir: Path,
  label_names: Sequence[str],
  thresholds: np.ndarray,
  scores: np.ndarray,
  labels: np.ndarray,
  step: int,
) -> None:
  """Writes `thresholds.json`.

  Args:
    workdir: of the run.
    label_names: one name a class.
    thresholds: [classes] of `tune`.
    scores: [n, classes] that they were tuned on.
    labels: [n, classes] bool, of the same.
    step: of the checkpoint that gave the scores.
  """
  f1 = metrics.f1_per_class(metrics.above(scores, thresholds), labels)
  at_half = metrics.f1_per_class(metrics.above(scores), labels)
  tags = [
    workdir_lib.finite({
      'label': name,
      'threshold': float(thresholds[c]),
      'f1': float(f1[c]),
      'f1_at_0.5': float(at_half[c]),
      'positives': int(labels[:, c].sum()),
    })
    for c, name in enumerate(label_names)
  ]  # fmt: skip
  workdir_lib.write_json(
    workdir / FILE,
    {'rule': 'score >= threshold', 'tuned_on': 'validation', 'step': step, 'tags': tags},
  )


def load(workdir: Path, label_names: Sequence[str]) -> np.ndarray:
  """Returns the thresholds [classes] of a run, in the order of its labels.

  Raises:
    ConfigError: there are none, as where a run is not complete, or not those of these labels.
  """
  path = workdir / FILE
  content = workdir_lib.read_json(path)
  try:
    found = {tag['label']: tag['threshold'] for tag in content['tags']}
    thresholds = np.array([found.pop(name) for name in label_names], np.float64)
  except (KeyError, TypeError, ValueError):
    found = None
  if found != {} or not np.isfinite(thresholds).all():
    raise ConfigError(
      f'{path}: tags: expected a threshold for each of {len(label_names)} labels, found others'
    )
  return thresholds
