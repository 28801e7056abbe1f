"""Metrics of regression over whole arrays, in NumPy and float64, and what knows no input reaches.

Arrays are `scores [n, targets]` and `labels [n, targets]`, both finite, in natural units. R^2 of a
target that does not vary is NaN, and left out of macro means.

Two baselines tell at once whether a network learnt anything. The mean predictor gives the mean of
the training fold to all. `no_image` hands a network's own predictions out without looking: each
example has that of any example with equal chance, and the metric is the mean over all. A network
that does not use its input scores what both score.
"""

import numpy as np

from musicjax.metrics import macro_mean


def measure(scores, labels, mean) -> dict[str, float]:
  """The metrics of a regression: macro means of `per_target`.

  Args:
    scores: [n, targets].
    labels: [n, targets].
    mean: [targets] of the training fold.
  """
  return {f'{name}_macro': macro_mean(v) for name, v in per_target(scores, labels, mean).items()}


def per_target(scores, labels, mean) -> dict[str, np.ndarray]:
  """What a report shows of each target: [targets] float64 arrays.

  Returns:
    `r2`, `mae` (mean absolute error, natural units), and both with the suffixes `_mean_predictor`
    and `_no_image` for the baselines.

  Raises:
    ValueError: shapes differ, nothing is there to measure, or scores are not finite.
  """
  scores, labels = np.asarray(scores, np.float64), np.asarray(labels, np.float64)
  if scores.ndim != 2 or not scores.size or scores.shape != labels.shape:
    raise ValueError(f'scores: expected shape {labels.shape}, found {scores.shape}')
  if not np.isfinite(scores).all():
    raise ValueError('scores: expected finite values, found NaN or Inf')
  constant = np.broadcast_to(np.asarray(mean, np.float64), labels.shape)
  return {
    'r2': r2(scores, labels),
    'mae': np.abs(scores - labels).mean(axis=0),
    'r2_mean_predictor': r2(constant, labels),
    'mae_mean_predictor': np.abs(constant - labels).mean(axis=0),
    'r2_no_image': _r2_no_image(scores, labels),
    'mae_no_image': np.array(
      [_mean_distance(*columns) for columns in zip(scores.T, labels.T, strict=True)]
    ),
  }


def r2_macro(scores, labels) -> float:
  """Mean of `r2` over the targets that vary."""
  return macro_mean(r2(scores, labels))


def r2(scores, labels) -> np.ndarray:
  """Coefficient of determination of each target [targets]; NaN where its labels do not vary."""
  scores, labels = np.asarray(scores, np.float64), np.asarray(labels, np.float64)
  return _r2(((scores - labels) ** 2).mean(axis=0), labels)


def _r2_no_image(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
  # The mean square of the difference of two independent draws.
  offset = scores.mean(axis=0) - labels.mean(axis=0)
  return _r2(labels.var(axis=0) + scores.var(axis=0) + offset**2, labels)


def _r2(squared_error: np.ndarray, labels: np.ndarray) -> np.ndarray:
  varies = labels.max(axis=0) > labels.min(axis=0)
  return np.where(varies, 1 - squared_error / np.where(varies, labels.var(axis=0), 1), np.nan)


def _mean_distance(a: np.ndarray, b: np.ndarray) -> float:
  """Mean of |a_i - b_j| over all pairs of two columns [n] and [m]."""
  b = np.sort(b)
  below = np.searchsorted(b, a)  # Values of b below each of a, and their sum.
  sums = np.append(0, np.cumsum(b))
  total = a * below - sums[below] + (sums[-1] - sums[below]) - a * (len(b) - below)
  return float(total.mean() / len(b))
