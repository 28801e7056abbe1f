"""The arrays of the PyTorch reference of `tests/golden/make_golden.py` under their Flax names."""

import pathlib

import flax.traverse_util
import numpy as np

GOLDEN = pathlib.Path(__file__).parents[1] / 'golden'
# `config.model` of the network in `make_golden.py`.
GOLDEN_MODEL = {
  'name': 'conv_transformer',
  'num_heads': 4,
  'mlp_dim': 32,
  'head_dim': 24,
  'dropout': 0.0,
  'head_dropout': 0.0,
}


def load_golden(name):
  """Returns the arrays of `tests/golden/<name>.npz` as nested dicts, split once at the `/`."""
  with np.load(GOLDEN / f'{name}.npz') as arrays:
    return flax.traverse_util.unflatten_dict({key: arrays[key] for key in arrays}, sep='/')


def flax_variables(state_dict):
  """A state dict, or gradients named like one, to `{'params': ..., 'batch_stats': ...}`.

  PyTorch keeps dense kernels as `[out, in]` and convolutions as `[out, in, taps]` or, its images
  being `[mel, time]`, as `[out, in, mel, time]`; Flax as `[in, out]`, `[taps, in, out]` and
  `[time, mel, in, out]`: all axes reversed.
  """
  flat = {}
  for name, array in state_dict.items():
    *path, leaf = name.split('.')
    if leaf in ('running_mean', 'running_var'):
      collection, leaf = 'batch_stats', leaf.removeprefix('running_')
    else:
      collection = 'params'
      if leaf.startswith('in_proj_'):
        path, leaf = [*path, 'in_proj'], leaf.removeprefix('in_proj_')
      if leaf == 'weight':
        leaf, array = ('scale', array) if array.ndim == 1 else ('kernel', array.transpose())
    flat[collection, *flax_path(path), leaf] = array
  return flax.traverse_util.unflatten_dict(flat)


def flax_path(path):
  match path:
    case ['encoder', layer, 'self_attn', projection]:
      return [f'encoder_{layer}', 'attention', projection]
    case ['encoder', layer, part]:
      return [f'encoder_{layer}', part]
    case ['branches', branch, conv]:
      return [f'branch_{branch}_conv_{conv}']
    case ['head' | 'head_norm' | 'conv' | 'norm', i]:
      return [f'{path[0]}_{i}']
    case ['block', block, part]:
      return [f'block_{block}_{part}']
    case ['block', block, part, projection]:
      return [f'block_{block}_{part}', projection]
    case ['timbral' | 'temporal' | 'time' as part, i, layer]:
      return [f'{part}_{i}_{layer}']
    case ['input_norm' | 'pooled_norm' | 'head' | 'head_norm' | 'logits']:
      return path
  raise ValueError(f'no Flax name for {".".join(path)}')


def relative_error(a, b):
  """max|a - b| / max|b|: elementwise it would mean nothing near zero."""
  a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
  assert a.shape == b.shape, (a.shape, b.shape)
  return np.abs(a - b).max() / np.abs(b).max()


def relative_errors(a, b):
  """`relative_error` of each leaf of two trees of the same structure, by `/`-joined path."""
  a = flax.traverse_util.flatten_dict(a, sep='/')
  b = flax.traverse_util.flatten_dict(b, sep='/')
  assert a.keys() == b.keys(), a.keys() ^ b.keys()
  return {path: relative_error(a[path], b[path]) for path in b}
