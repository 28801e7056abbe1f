"""Layers that keep the weights they start from, and run in training as in evaluation.

`config.frozen` has patterns of the names of a model's outermost layers, as `timbral_*`. Dropout
between these is none of them, and goes on.
"""

import fnmatch
from collections.abc import Collection
from typing import Any

import flax.linen as nn
import jax

from musicjax.errors import ConfigError
from musicjax.models.dropout import Dropout
from musicjax.models.layers import BatchNorm


def is_frozen(layer: str, patterns: Collection[str]) -> bool:
  """Whether one of the patterns is of this outermost layer."""
  return any(fnmatch.fnmatchcase(layer, pattern) for pattern in patterns)


def check(params: dict[str, Any], patterns: Collection[str]) -> None:
  """Raises ConfigError for a pattern that no layer has, and if all layers would be frozen."""
  for pattern in patterns:
    if not any(is_frozen(layer, (pattern,)) for layer in params):
      raise ConfigError(
        f'config.frozen: expected patterns of {", ".join(params)}; found {pattern!r:.80}'
      )
  if all(is_frozen(layer, patterns) for layer in params):
    raise ConfigError('config.frozen: expected layers that are not, found all of them')


def hold(params: dict[str, Any], patterns: Collection[str]) -> dict[str, Any]:
  """Returns the parameters; no gradient comes to those of frozen layers, nor is one computed."""
  return {
    layer: jax.lax.stop_gradient(tree) if is_frozen(layer, patterns) else tree
    for layer, tree in params.items()
  }


def as_in_evaluation(patterns: Collection[str]):
  """Context in which frozen layers of any model drop nothing, and use the statistics they have."""

  def call(next_call, args, kwargs, context):
    module = context.module
    is_call = context.method_name == '__call__' and module.path
    if is_call and is_frozen(module.path[0], patterns):
      if isinstance(module, BatchNorm):
        args = (args[0], True, *args[2:])
      elif isinstance(module, Dropout) and len(module.path) > 1:
        args = (args[0], False)
    return next_call(*args, **kwargs)

  return nn.intercept_methods(call)
