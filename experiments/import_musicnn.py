"""Makes weights to start from of the package musicnn, for `config.pretrained`.

  pip download --no-deps --no-binary=:all: musicnn==0.1.0 && tar xf musicnn-0.1.0.tar.gz
  python -m experiments.import_musicnn --folder=musicnn-0.1.0/musicnn/MSD_musicnn \\
    --out=msd_musicnn.npz

Pons and Serra trained them on MagnaTagATune (MTT_musicnn) and on the Million Song Dataset
(MSD_musicnn), and published them under the ISC licence.
"""

import json
from pathlib import Path

import numpy as np
from absl import flags

from musicjax import backends, command_line
from musicjax.errors import ConfigError, DataError
from musicjax.workdir import check_writable

FLAGS = flags.FLAGS
flags.DEFINE_string('folder', None, 'Of the checkpoint.')
flags.DEFINE_string('out', None, '.npz to write.')

_FRONT_END = {
  'sample_rate': 16000, 'n_fft': 512, 'hop_length': 256, 'n_mels': 96, 'mel_scale': 'slaney',
}  # fmt: skip
# TensorFlow numbered its layers in the order in which they were made.
_FILTERS = ('timbral_0', 'timbral_1', 'temporal_0', 'temporal_1', 'temporal_2')
_CONVOLUTIONS = (*_FILTERS, 'time_0', 'time_1', 'time_2')
_NORMS = ('input_norm', *(f'{name}_norm' for name in _CONVOLUTIONS), 'pooled_norm', 'head_norm')
_LEAVES = {
  'kernel': 'params/{}/kernel',
  'bias': 'params/{}/bias',
  'gamma': 'params/{}/scale',
  'beta': 'params/{}/bias',
  'moving_mean': 'batch_stats/{}/mean',
  'moving_variance': 'batch_stats/{}/var',
}


def main(_):
  command_line.require('folder', 'out')
  backends.set_up()
  if not (out := Path(FLAGS.out)).suffix == '.npz':
    raise ConfigError(f'--out: expected a name that ends in .npz, found {out}')
  check_writable(out.parent, '--out')
  arrays = read(Path(FLAGS.folder))
  out.parent.mkdir(parents=True, exist_ok=True)
  np.savez(out, front_end=json.dumps(_FRONT_END), **arrays)
  print(f'{out}: {len(arrays)} arrays, {sum(a.size for a in arrays.values()):,} numbers')


def read(folder: Path) -> dict[str, np.ndarray]:
  """Returns the arrays of a checkpoint under the names of `musicjax.models.musicnn`.

  Raises:
    DataError: the folder holds no such checkpoint.
  """
  from musicjax.host_tensorflow import tf

  try:
    reader = tf.compat.v1.train.NewCheckpointReader(f'{folder}/')
    there = {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}
  except (tf.errors.OpError, ValueError, RuntimeError) as error:
    raise DataError(f'{folder}: expected a checkpoint of musicnn, found {error}') from error
  layers = {f'{name}_conv': _numbered('conv2d', i) for i, name in enumerate(_CONVOLUTIONS)}
  layers |= {name: _numbered('batch_normalization', i) for i, name in enumerate(_NORMS)}
  layers |= {'head': 'dense', 'logits': 'dense_1'}
  arrays = {}
  for layer, name in layers.items():
    found = [leaf for leaf in _LEAVES if f'{name}/{leaf}' in there]
    if not found:
      raise DataError(f'{folder}: expected a layer {name}, found none')
    for leaf in found:
      arrays[_LEAVES[leaf].format(layer)] = there[f'{name}/{leaf}']
  for path, array in arrays.items():
    _, layer, leaf = path.split('/')
    if layer.startswith('time_') and leaf == 'kernel':
      arrays[path] = array[:, :, 0]  # [taps, in, 1, out]
    if layer == 'pooled_norm' or path == 'params/head/kernel':
      # There, maximum and mean of a feature are neighbours; here, the means follow the maxima.
      arrays[path] = np.concatenate([array[0::2], array[1::2]])
  return arrays


def _numbered(kind: str, i: int) -> str:
  return f'{kind}_{i}' if i else kind


if __name__ == '__main__':
  command_line.run(main)
