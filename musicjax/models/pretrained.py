"""Weights that a model starts from: the `.npz` of `config.pretrained`.

It holds the parameters and statistics of a model, each under its collection, layers and name, as
`params/head/kernel` and `batch_stats/head_norm/mean`. The last layer, whose classes are the
dataset's, is always new. `front_end`, where there is one, is a JSON object of fields, as
{"sample_rate": 16000}, that what is learnt now must share with what these weights were learnt on.
The packages that publish weights are read by `experiments/import_musicnn.py`.
"""

import json
from typing import Any

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np

from musicjax import train_state
from musicjax.errors import ConfigError

_LAST = ('logits/', 'outputs/')  # What models call their last layer.


def read(config) -> dict[str, np.ndarray] | None:
  """Returns the arrays of `config.pretrained` by path; None where it is empty.

  Raises:
    ConfigError: there is no such file, it does not hold finite arrays of floats, or they are of
      another front end.
  """
  if not (path := config.pretrained):
    return None
  try:
    with np.load(path, allow_pickle=False) as file:
      arrays = {name: file[name] for name in file.files}
    front_end = json.loads(str(arrays.pop('front_end', '{}')))
  except Exception as error:  # Of zip, zlib, tokenize, ...: whatever the file is instead.
    line = str(error).splitlines()[0] if str(error) else type(error).__name__
    raise ConfigError(
      f'config.pretrained: expected an .npz file of weights, found {path}: {line:.200}'
    ) from error
  bad = [name for name, array in arrays.items() if not _is_finite(array)]
  if bad or not arrays:
    found = f'{bad[0]!r:.80}' if bad else 'nothing'
    raise ConfigError(f'config.pretrained: expected finite floats in {path}, found {found}')
  fields = {**config.dataset, **config.front_end}
  for name, expected in front_end.items():
    if fields.get(name, expected) != expected:
      raise ConfigError(
        f'{name}: expected {expected!r}, which config.pretrained was trained on, found '
        f'{fields[name]!r}'
      )
  return arrays


def _is_finite(array: Any) -> bool:
  return isinstance(array, np.ndarray) and array.dtype.kind == 'f' and np.isfinite(array).all()


def describe(weights: dict[str, np.ndarray] | None) -> dict[str, str]:
  """Returns what `dataset.json` holds of the weights that a run starts from: their SHA-256."""
  return {} if weights is None else {'pretrained': train_state.fingerprint(weights)}


def check_same(described: dict[str, str], dataset: dict[str, Any]) -> None:
  """Raises ConfigError for other weights than `dataset.json` tells of; both as of `describe`."""
  for name, here in described.items():
    if (there := dataset.get(name, 'none')) != here:
      raise ConfigError(
        'config.pretrained: expected the weights that the run began with, of SHA-256 '
        f'{there:.12}, found others, of {here:.12}'
      )


def put(variables: dict[str, Any], weights: dict[str, jax.Array]) -> dict[str, Any]:
  """Returns a model's variables with these arrays in their place, but for the last layer's.

  Raises:
    ConfigError: an array is missing, of another shape, or not the model's.
  """
  kept = {name: variables[name] for name in ('params', 'batch_stats') if name in variables}
  flat = flax.traverse_util.flatten_dict(kept, sep='/')
  of_model = {path: array for path, array in flat.items() if not _is_last(path)}
  for path, array in of_model.items():
    expected = f'config.pretrained: expected {path} {list(array.shape)}'
    if path not in weights:
      raise ConfigError(f'{expected}, found none of that name')
    if weights[path].shape != array.shape:
      raise ConfigError(f'{expected}, found {list(weights[path].shape)}')
  if more := sorted(path for path in weights.keys() - of_model.keys() if not _is_last(path)):
    raise ConfigError(f'config.pretrained: expected arrays of the model, found {more[0]}')
  given = {path: jnp.asarray(weights[path], array.dtype) for path, array in of_model.items()}
  return variables | flax.traverse_util.unflatten_dict(flat | given, sep='/')


def _is_last(path: str) -> bool:
  _, _, in_collection = path.partition('/')
  return in_collection.startswith(_LAST)
