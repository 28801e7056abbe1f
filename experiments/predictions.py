"""What runs keep of their predictions: read, measured, and resampled to compare them."""

import dataclasses
from collections.abc import Callable, Hashable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from musicjax import metrics, regression, tasks
from musicjax.errors import DataError

FILES = {'validation': 'validation', 'test': 'out_of_fold'}  # in `predictions/` of a workdir
# Metrics that are cheaper alone than with all the others of the task, or need no training fold.
_ALONE = {
  f.__name__: f
  for f in (metrics.map_macro, metrics.map_micro, metrics.roc_auc_macro, metrics.lwlrap)
} | {f.__name__: f for f in (metrics.accuracy, metrics.balanced_accuracy, regression.r2_macro)}

Measure = Callable[[np.ndarray, np.ndarray], float]  # of scores and labels [n, classes]


@dataclasses.dataclass(frozen=True)
class Predictions:
  """Scored tracks of one split of a run, ascending by id.

  Attributes:
    ids: [n] str.
    scores: [n, classes] float64 probabilities, or targets of a regression.
    labels: [n, classes] bool, or targets float64.
    label_names: one name a class.
  """

  ids: np.ndarray
  scores: np.ndarray
  labels: np.ndarray
  label_names: tuple[str, ...]


def read(run_dir: Path, split: str) -> Predictions:
  """Returns the predictions of `validation` or `test` that a complete run has kept.

  Raises:
    DataError: a table is missing, or is not one of scores of all tracks.
  """
  ids, names, scores = read_table(run_dir / 'predictions' / f'{FILES[split]}.csv')
  truth = run_dir / 'predictions' / f'{FILES[split]}_truth.csv'
  if (found := read_table(truth))[1] != names or not np.array_equal(found[0], ids):
    raise DataError(f'{truth}: expected the ids and labels of {FILES[split]}.csv, found others')
  labels = found[2]
  if np.isin(labels, (0, 1)).all():  # Else they are targets.
    labels = labels == 1
  return Predictions(ids, scores, labels, names)


def read_table(path: Path) -> tuple[np.ndarray, tuple[str, ...], np.ndarray]:
  """Returns ids [n], label names and scores [n, classes] of a table `id, label, ...`.

  Raises:
    DataError: there is none, or it holds anything but finite numbers.
  """
  try:
    table = pd.read_csv(path, dtype={0: str}, keep_default_na=False, float_precision='round_trip')
    scores = table.iloc[:, 1:].to_numpy(np.float64)
  except FileNotFoundError:
    raise DataError(f'{path}: expected what a complete run keeps, found none') from None
  except ValueError as error:
    raise DataError(f'{path}: expected a column a label with its probability: {error}') from None
  if not np.isfinite(scores).all():
    raise DataError(f'{path}: expected finite probabilities, found others')
  return table.iloc[:, 0].to_numpy(str), tuple(table.columns[1:]), scores


def measure_of(task: str, metric: str) -> Measure:
  """Returns the metric of a task as a function of scores and labels."""
  every = tasks.create(task).metrics
  return _ALONE.get(metric) or (lambda scores, labels: every(scores, labels)[metric])


def resamples(
  folds: Mapping[str, Hashable], count: int, seed: int = 0
) -> Iterator[Callable[[np.ndarray], np.ndarray]]:
  """Yields draws of examples with replacement, those of a fold among themselves.

  Args:
    folds: id -> fold.
    count: of draws.
    seed: of the draws.

  Yields:
    ids [n] -> positions in them, each as often as its example was drawn.
  """
  rng = np.random.default_rng(seed)
  ids = np.array(sorted(folds))
  fold_of = np.unique([str(folds[i]) for i in ids.tolist()], return_inverse=True)[1]
  members = [np.flatnonzero(fold_of == fold) for fold in range(fold_of.max() + 1)]
  for _ in range(count):
    drawn = np.concatenate([rng.choice(m, len(m)) for m in members])
    times = np.bincount(drawn, minlength=len(ids))
    yield lambda of, times=times: np.repeat(np.arange(len(of)), times[np.searchsorted(ids, of)])


def bootstrap(
  runs: Mapping[Hashable, Mapping[tuple[int, int], Predictions]],
  measure: Measure,
  count: int,
  seed: int = 0,
) -> dict[Hashable, dict[tuple[int, int], np.ndarray]]:
  """Measures all runs on the same resampled examples.

  A draw takes an example in all runs that scored it, whatever its row, fold or seed, so that
  differences of runs are paired by example.

  Args:
    runs: row -> (fold, seed) -> predictions.
    measure: metric of a run.
    count: of draws.
    seed: of the draws.

  Returns:
    row -> (fold, seed) -> [count] metrics.
  """
  folds = {}
  for of_row in runs.values():
    for (fold, _), run in of_row.items():
      for name in run.ids.tolist():
        folds.setdefault(name, fold)
  values = {row: {key: np.empty(count) for key in of_row} for row, of_row in runs.items()}
  for number, take in enumerate(resamples(folds, count, seed)):
    for row, of_row in runs.items():
      for key, run in of_row.items():
        rows = take(run.ids)
        values[row][key][number] = measure(run.scores[rows], run.labels[rows])
  return values


def interval(values: np.ndarray, share: float = 0.95) -> tuple[float, float]:
  """Returns the percentiles between which this share of the resampled values lies."""
  low, high = np.nanpercentile(values, [50 * (1 - share), 50 * (1 + share)])
  return float(low), float(high)
