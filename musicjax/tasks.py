"""What a row of labels means: how outputs become scores, and which metrics judge them."""

import dataclasses
import functools
from collections.abc import Callable

import jax
import numpy as np

from musicjax import metrics, regression
from musicjax.fields import check_name
from musicjax.targets import Targets


@dataclasses.dataclass(frozen=True)
class Task:
  """A kind of prediction.

  Attributes:
    activation: logits [..., classes] -> scores in [0, 1], or the targets of a regression.
    metrics: (scores [n, classes], labels [n, classes]) -> metrics by the field's names.
    selectable: the metrics to choose a checkpoint by: the larger the better.
    decide: scores [..., classes] of NumPy or JAX -> bool, the labels that are given; None where
      labels are no classes. Thresholds, curves and counts of positives belong to classes.
  """

  activation: Callable[[jax.Array], jax.Array]
  metrics: Callable[[np.ndarray, np.ndarray], dict[str, float]]
  selectable: tuple[str, ...]
  decide: Callable[[jax.Array | np.ndarray], jax.Array | np.ndarray] | None = None


def _at_half(scores):
  return scores >= 0.5


def _highest(scores):
  return np.arange(scores.shape[-1]) == scores.argmax(-1)[..., None]


def _of_classes(activation, measure, decide) -> Task:
  names = measure(np.eye(2), np.eye(2, dtype=bool))
  selectable = tuple(name for name in names if name != 'classes_without_positives')
  return Task(activation, measure, selectable, decide)


_TASKS = {
  'multi_label': _of_classes(jax.nn.sigmoid, metrics.multi_label, _at_half),
  'single_label': _of_classes(jax.nn.softmax, metrics.single_label, _highest),
}


def create(name: str, targets: Targets | None = None) -> Task:
  """Returns the task called `name`.

  Args:
    name: `multi_label`, `single_label` or `feature_regression`.
    targets: of a regression; without them there is a task, but no score.

  Raises:
    ConfigError: if there is none of that name.
  """
  check_name('config.task', name, (*_TASKS, 'feature_regression'))
  if name in _TASKS:
    return _TASKS[name]
  measure = targets and functools.partial(regression.measure, mean=targets.mean)
  return Task(targets and targets.decode, measure, ('r2_macro',))
