"""The mean of a track's scores over its slices or spans, in evaluation and prediction alike."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import scipy.special

from musicjax.errors import ConfigError

_LEAST = 1e-7  # A probability that float32 rounds to 0 or 1 must not decide alone.


class Average(NamedTuple):
  """A mean as the mean of other terms.

  Attributes:
    terms: scores [..., classes] float64 -> what is summed.
    scores: means of it [..., classes] -> scores.
  """

  terms: Callable[[np.ndarray], np.ndarray]
  scores: Callable[[np.ndarray], np.ndarray]


def _identity(x):
  return x


def _log(scores):
  return np.log(np.maximum(scores, _LEAST))


def _logit(scores):
  return scipy.special.logit(np.clip(scores, _LEAST, 1 - _LEAST))


ARITHMETIC = Average(_identity, _identity)
# Probabilities that are multiplied, and made to sum to 1 again: means of logits.
_GEOMETRIC = {
  'single_label': Average(_log, lambda mean: scipy.special.softmax(mean, axis=-1)),
  'multi_label': Average(_logit, scipy.special.expit),
}


def create(config) -> Average:
  """Returns the mean that `config.eval_average` names.

  Raises:
    ConfigError: a geometric one of what are no probabilities.
  """
  if config.eval_average == 'arithmetic':
    return ARITHMETIC
  if config.task not in _GEOMETRIC:
    raise ConfigError(f'config.eval_average: expected arithmetic with {config.task}')
  return _GEOMETRIC[config.task]
