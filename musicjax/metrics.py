"""Metrics of tagging and classification over whole arrays, in NumPy and float64.

Arrays are `scores [n, classes]` (finite, higher means more likely), `labels [n, classes]` bool and,
where the metric is a class's own, `mask [n, classes]` bool: True marks a known label, all others
are ignored. Equal scores form one threshold: no result depends on the order of examples.

A class without positives (for ROC-AUC: or without negatives) is NaN in per-class arrays and left
out of macro means; count the NaN, or read `classes_without_positives`, to know how many.

Every function raises ValueError where shapes differ, nothing is there to measure, labels or mask
are not bool, or scores are not finite.
"""

import numpy as np
import scipy.special


def multi_label(scores, labels, mask=None) -> dict[str, float]:
  """The metrics of multi-label tagging; F1 decides at 0.5, so scores are probabilities.

  `d_prime_macro` is d' of `roc_auc_macro`, as AudioSet reports it: a mean of d' a class would be
  infinite as soon as one rare class is ranked perfectly.
  """
  scores, labels, mask = _check(scores, labels, mask)
  classes = per_class(scores, labels, mask)
  decisions = above(scores)
  roc_auc_mean = macro_mean(classes['roc_auc'])
  return {
    'map_macro': macro_mean(classes['average_precision']),
    'map_micro': map_micro(scores, labels, mask),
    'roc_auc_macro': roc_auc_mean,
    'lwlrap': lwlrap(scores, labels, mask),
    'f1_macro': f1_macro(decisions, labels, mask),
    'f1_micro': f1_micro(decisions, labels, mask),
    'd_prime_macro': float(d_prime(roc_auc_mean)),
    'classes_without_positives': float(np.sum(classes['support'] == 0)),
  }


def single_label(scores, labels) -> dict[str, float]:
  """The metrics of single-label classification; ranking ones take each class against the rest.

  Raises:
    ValueError: also where a row has no label or several.
  """
  scores, labels = _check_single(scores, labels)
  classes = per_class(scores, labels)
  return {
    'accuracy': accuracy(scores, labels),
    'balanced_accuracy': balanced_accuracy(scores, labels),
    'f1_macro': f1_macro(top_1(scores), labels),
    'map_at_3': map_at_k(scores, labels, 3),
    'roc_auc_macro': macro_mean(classes['roc_auc']),
    'map_macro': macro_mean(classes['average_precision']),
  }


def per_class(scores, labels, mask=None) -> dict[str, np.ndarray]:
  """What a report shows of each class: [classes] arrays.

  Returns:
    `average_precision`, `roc_auc`, `d_prime` (float64), `support` (known positives) and
    `negatives` (known negatives), both int64.
  """
  scores, labels, mask = _check(scores, labels, mask)
  known = np.full(labels.shape[1], len(labels)) if mask is None else mask.sum(0)
  support = (labels if mask is None else labels & mask).sum(0)
  ap, auc = np.full((2, labels.shape[1]), np.nan)
  for c in range(labels.shape[1]):
    rows = slice(None) if mask is None else mask[:, c]
    ap[c], auc[c] = _areas(scores[rows, c], labels[rows, c])
  return {
    'average_precision': ap,
    'roc_auc': auc,
    'd_prime': d_prime(auc),
    'support': support,
    'negatives': known - support,
  }


def macro_mean(values) -> float:
  """Mean of the values [classes] that are not NaN; NaN where all are."""
  values = np.asarray(values, np.float64)
  defined = values[~np.isnan(values)]
  return float(defined.mean()) if defined.size else float('nan')


def average_precision(scores, labels, mask=None) -> np.ndarray:
  """Average precision of each class [classes]: precision summed over the steps of recall."""
  return per_class(scores, labels, mask)['average_precision']


def roc_auc(scores, labels, mask=None) -> np.ndarray:
  """Area under the ROC curve of each class [classes]; a tied pair counts one half."""
  return per_class(scores, labels, mask)['roc_auc']


def map_macro(scores, labels, mask=None) -> float:
  """Mean average precision over the classes that have positives."""
  return macro_mean(average_precision(scores, labels, mask))


def map_micro(scores, labels, mask=None) -> float:
  """Average precision with every (example, class) pair in one ranking."""
  return _areas(*_known_pairs(scores, labels, mask))[0]


def roc_auc_macro(scores, labels, mask=None) -> float:
  """Mean ROC-AUC over the classes that have positives and negatives."""
  return macro_mean(roc_auc(scores, labels, mask))


def roc_auc_micro(scores, labels, mask=None) -> float:
  """ROC-AUC with every (example, class) pair in one ranking."""
  return _areas(*_known_pairs(scores, labels, mask))[1]


def d_prime(auc):
  """Distance of two unit-variance normals whose ROC-AUC is `auc`: sqrt(2) * Phi^-1(auc).

  Green and Swets, 1966; used for tagging by Hershey et al., 2017 (arXiv:1609.09430).
  An AUC of 1 gives infinity, of 0 minus infinity.
  """
  return np.sqrt(2.0) * scipy.special.ndtri(auc)


def pr_curve(scores, labels) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Precision-recall curve of one class, by rising threshold.

  Args:
    scores: [n].
    labels: [n] bool.

  Returns:
    precision [thresholds + 1], recall [thresholds + 1], thresholds [distinct scores]: point i is
    what `scores >= thresholds[i]` gives; the last point (1, 0) has no threshold. Recall is NaN
    where there are no positives.
  """
  scores, labels, _ = _check(scores, labels, None, ndim=1)
  thresholds, true_pos, false_pos = _counts(scores, labels)
  precision = true_pos / (true_pos + false_pos)
  total = true_pos[-1]
  recall = true_pos / total if total else np.full(len(true_pos), np.nan)
  return np.append(precision[::-1], 1.0), np.append(recall[::-1], 0.0), thresholds[::-1]


def lwlrap(scores, labels, mask=None) -> float:
  """Label-weighted label-ranking average precision (DCASE 2019 task 2, Fonseca et al., 2019).

  The mean over all positives of what `ranking_precision` takes the mean of in an example, so that
  an example weighs as many times as it has labels. NaN without positives.
  """
  total, positives = _ranking_precisions(scores, labels, mask)
  return float(total.sum() / positives.sum()) if positives.any() else float('nan')


def ranking_precision(scores, labels, mask=None) -> np.ndarray:
  """Label-ranking average precision of each example [n]; NaN where it has no positives.

  For each of its positives, the share of positives among its labels with the same score or a higher
  one; the mean over them: 1 where all positives are ranked before all negatives.
  """
  total, positives = _ranking_precisions(scores, labels, mask)
  with np.errstate(invalid='ignore'):
    return total / positives


def above(scores, threshold: float = 0.5) -> np.ndarray:
  """Multi-label decisions [n, classes] bool: scores at or above the threshold."""
  return np.asarray(scores, np.float64) >= threshold


def top_1(scores) -> np.ndarray:
  """Single-label decisions [n, classes] bool, one a row: the highest score, ties to the lowest
  class index."""
  scores = np.asarray(scores, np.float64)
  return np.arange(scores.shape[1]) == scores.argmax(1)[:, None]


def f1_per_class(decisions, labels, mask=None) -> np.ndarray:
  """F1 of each class [classes]; NaN without positives, 0 where none of them was found.

  Args:
    decisions: [n, classes] bool, from `above` or `top_1`.
    labels: [n, classes] bool.
    mask: [n, classes] bool or None.
  """
  return _f1(*_confusion(decisions, labels, mask))


def f1_macro(decisions, labels, mask=None) -> float:
  """Mean F1 over the classes that have positives."""
  return macro_mean(f1_per_class(decisions, labels, mask))


def f1_micro(decisions, labels, mask=None) -> float:
  """F1 of all (example, class) decisions together; NaN without positives."""
  return float(_f1(*(counts.sum() for counts in _confusion(decisions, labels, mask))))


def true_positive_ratio(decisions, labels, mask=None) -> float:
  """Share of the positives of all classes together that were decided for; NaN without positives."""
  hits, _, positives = (counts.sum() for counts in _confusion(decisions, labels, mask))
  return float(hits / positives) if positives else float('nan')


def classification(decisions, labels, mask=None) -> dict[str, np.ndarray]:
  """What a classification report shows of each class: [classes] arrays.

  Returns:
    `precision` (0 where nothing was decided for), `recall`, `f1`, NaN without positives; `support`.
  """
  hits, decided, positives = _confusion(decisions, labels, mask)
  with np.errstate(invalid='ignore'):
    recall = np.where(positives > 0, hits / positives, np.nan)
  return {
    'precision': np.where(positives > 0, hits / np.maximum(decided, 1), np.nan),
    'recall': recall,
    'f1': _f1(hits, decided, positives),
    'support': positives,
  }


def accuracy(scores, labels) -> float:
  """Share of examples whose one label has the highest score (ties: see `top_1`)."""
  scores, labels = _check_single(scores, labels)
  return float(np.mean(labels[top_1(scores)]))


def balanced_accuracy(scores, labels) -> float:
  """Mean recall over the classes that have examples, with decisions from `top_1`."""
  scores, labels = _check_single(scores, labels)
  support = labels.sum(0)
  present = support > 0
  hits = (labels & top_1(scores)).sum(0)
  return float(np.mean(hits[present] / support[present]))


def map_at_k(scores, labels, k: int = 3) -> float:
  """MAP@k of the Freesound tagging challenge 2018: the mean of 1 / rank of the true label, 0 where
  that is not among the first k.

  Tied scores rank by class index, the lowest first: that is the order a submission lists them in.
  """
  scores, labels = _check_single(scores, labels)
  true_class = labels.argmax(1)[:, None]
  true_score = np.take_along_axis(scores, true_class, 1)
  tied_before = (scores == true_score) & (np.arange(scores.shape[1]) < true_class)
  rank = 1 + np.count_nonzero((scores > true_score) | tied_before, axis=1)
  return float(np.mean(np.where(rank <= k, 1.0 / rank, 0.0)))


def _counts(scores, labels):
  """Distinct scores of one class, falling, with true and false positives at or above each."""
  order = np.argsort(scores)[::-1]
  ranked = scores[order]
  last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
  true_pos = np.cumsum(labels[order])[last]
  return ranked[last], true_pos, last + 1 - true_pos


def _areas(scores, labels) -> tuple[float, float]:
  """(average precision, ROC-AUC) of one class; NaN where undefined."""
  positives = int(np.count_nonzero(labels))
  negatives = len(labels) - positives
  if not positives:
    return float('nan'), float('nan')
  _, true_pos, false_pos = _counts(scores, labels)
  found = np.diff(true_pos, prepend=0)
  ap = float(np.sum(found * (true_pos / (true_pos + false_pos))) / positives)
  if not negatives:
    return ap, float('nan')
  # Trapezoids over integer counts, doubled: exact up to the one division.
  doubled = np.sum(np.diff(false_pos, prepend=0) * (2 * true_pos - found))
  return ap, float(doubled) / (2.0 * positives * negatives)


def _confusion(decisions, labels, mask):
  """Hits, decided and true labels of each class, [classes] each, over what is known."""
  decisions, labels = np.asarray(decisions), np.asarray(labels)
  mask = None if mask is None else np.asarray(mask)
  _check_bool(labels.shape, decisions=decisions, labels=labels, mask=mask)
  if mask is not None:
    decisions, labels = decisions & mask, labels & mask
  return (decisions & labels).sum(0), decisions.sum(0), labels.sum(0)


def _f1(hits, decided, positives):
  with np.errstate(invalid='ignore'):
    return np.where(positives > 0, 2.0 * hits / (decided + positives), np.nan)


def _ranking_precisions(scores, labels, mask) -> tuple[np.ndarray, np.ndarray]:
  """Of each example, the sum over its positives of their precision, and their number: [n] both."""
  scores, labels, mask = _check(scores, labels, mask)
  if mask is not None:
    labels = labels & mask
    scores = np.where(mask, scores, -np.inf)
  total = np.zeros(len(labels))
  # By class, not all positives at once: memory stays below one [n, classes] array.
  for c in range(labels.shape[1]):
    rows = np.flatnonzero(labels[:, c])
    ahead = scores[rows] >= scores[rows, c, None]
    hits = np.count_nonzero(ahead & labels[rows], axis=1)
    total[rows] += hits / np.count_nonzero(ahead, axis=1)
  return total, labels.sum(axis=1)


def _known_pairs(scores, labels, mask):
  scores, labels, mask = _check(scores, labels, mask)
  known = slice(None) if mask is None else mask.ravel()
  return scores.ravel()[known], labels.ravel()[known]


def _check_single(scores, labels):
  scores, labels, _ = _check(scores, labels, None)
  wrong = np.count_nonzero(labels.sum(1) != 1)
  if wrong:
    raise ValueError(f'labels: expected one a row, found {wrong} rows with none or several')
  return scores, labels


def _check(scores, labels, mask, ndim=2):
  scores, labels = np.asarray(scores, np.float64), np.asarray(labels)
  if scores.ndim != ndim or not scores.size:
    raise ValueError(f'scores: expected {ndim} axes, none empty, found shape {scores.shape}')
  bad = scores.size - np.count_nonzero(np.isfinite(scores))
  if bad:
    raise ValueError(f'scores: expected finite values, found {bad} of {scores.size} NaN or Inf')
  mask = None if mask is None else np.asarray(mask)
  _check_bool(scores.shape, labels=labels, mask=mask)
  return scores, labels, mask


def _check_bool(shape, **arrays):
  for name, array in arrays.items():
    if array is not None and (array.dtype != np.bool_ or array.shape != shape):
      raise ValueError(f'{name}: expected bool {shape}, found {array.dtype} {array.shape}')
