"""What a row of labels means: how logits become scores, and which metrics judge them."""

import dataclasses
from collections.abc import Callable

import jax
import numpy as np

from musicjax import metrics
from musicjax.fields import check_name


@dataclasses.dataclass(frozen=True)
class Task:
  """A kind of prediction.

  Attributes:
    activation: logits [..., classes] -> scores in [0, 1].
    decide: scores [..., classes] of NumPy or JAX -> bool, the labels that are given.
    metrics: (scores [n, classes], labels [n, classes] bool) -> metrics by the field's names.
  """

  activation: Callable[[jax.Array], jax.Array]
  decide: Callable[[jax.Array | np.ndarray], jax.Array | np.ndarray]
  metrics: Callable[[np.ndarray, np.ndarray], dict[str, float]]

  @property
  def selectable(self) -> list[str]:
    """The metrics to choose a checkpoint by: the larger the better."""
    names = self.metrics(np.eye(2), np.eye(2, dtype=bool))
    return [name for name in names if name != 'classes_without_positives']


def _at_half(scores):
  return scores >= 0.5


def _highest(scores):
  return np.arange(scores.shape[-1]) == scores.argmax(-1)[..., None]


_TASKS = {
  'multi_label': Task(jax.nn.sigmoid, _at_half, metrics.multi_label),
  'single_label': Task(jax.nn.softmax, _highest, metrics.single_label),
}


def create(name: str) -> Task:
  """Returns the task called `name`.

  Raises:
    ConfigError: if there is none of that name.
  """
  return _TASKS[check_name('config.task', name, _TASKS)]
