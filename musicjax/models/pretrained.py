"""Weights that a model starts from: the `.npz` of `config.pretrained`.

It holds a model's arrays by path, as `params/head/kernel` and `batch_stats/head_norm/mean`: all but
those of the layer `logits`, whose classes are the dataset's and which is always new. The packages
that publish weights are read by `experiments/import_musicnn.py`.
"""

import zipfile
from typing import Any

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np

from musicjax.errors import ConfigError

_NEW = 'logits'


def read(path: str) -> dict[str, np.ndarray] | None:
  """Returns the arrays of `config.pretrained` by path; None where it is empty.

  Raises:
    ConfigError: there is no such file, or it holds no arrays.
  """
  if not path:
    return None
  try:
    with np.load(path, allow_pickle=False) as arrays:
      return {name: arrays[name] for name in arrays.files}
  except (OSError, ValueError, TypeError, zipfile.BadZipFile) as error:
    line = str(error).splitlines()[0] if str(error) else type(error).__name__
    raise ConfigError(
      f'config.pretrained: expected an .npz file of weights, found {path}: {line:.200}'
    ) from error


def put(variables: dict[str, Any], weights: dict[str, jax.Array]) -> dict[str, Any]:
  """Returns a model's variables with these in their place, but for the layer `logits`.

  Raises:
    ConfigError: an array is missing, of another shape, or not the model's.
  """
  flat = flax.traverse_util.flatten_dict(variables, sep='/')
  of_model = {path: array for path, array in flat.items() if path.split('/')[1] != _NEW}
  for path, array in of_model.items():
    expected = f'config.pretrained: expected {path} {list(array.shape)}'
    if path not in weights:
      raise ConfigError(f'{expected}, found none of that name')
    if weights[path].shape != array.shape:
      raise ConfigError(f'{expected}, found {list(weights[path].shape)}')
  if more := sorted(path for path in weights.keys() - flat.keys()):
    raise ConfigError(f'config.pretrained: expected arrays of the model, found {more[0]}')
  given = {path: jnp.asarray(weights[path], array.dtype) for path, array in of_model.items()}
  return flax.traverse_util.unflatten_dict(flat | given, sep='/')
