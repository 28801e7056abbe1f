import jax
import numpy as np
import pytest
import tensorflow as tf

from experiments import import_musicnn
from musicjax import models
from musicjax.errors import DataError
from musicjax.models import musicnn, pretrained
from tests.models.torch_weights import relative_error

BANDS, TIMBRAL, TEMPORAL, WIDTH, HEAD = 12, (5, 8), (6, 4, 3), 4, 6
MODEL = {
  'name': 'musicnn',
  'timbral_bands': TIMBRAL,
  'timbral_channels': 3,
  'temporal_frames': TEMPORAL,
  'temporal_channels': 2,
  'width': WIDTH,
  'head_dim': HEAD,
}


def make_checkpoint(folder, rng):
  """Writes a small network as TensorFlow 1 saved it, and returns its arrays."""
  arrays = {}

  def add(name, leaf, *shape, low=-0.5):
    arrays[f'{name}/{leaf}'] = rng.uniform(low, low + 1, shape).astype(np.float32)

  front = 3 * len(TIMBRAL) + 2 * len(TEMPORAL)
  kernels = [(7, bands, 1, 3) for bands in TIMBRAL] + [(n, 1, 1, 2) for n in TEMPORAL]
  kernels += [(7, width, 1, WIDTH) for width in (front, WIDTH, WIDTH)]
  for i, shape in enumerate(kernels):
    add(numbered('conv2d', i), 'kernel', *shape)
    add(numbered('conv2d', i), 'bias', shape[-1])
  pooled = 2 * (front + 3 * WIDTH)
  for i, width in enumerate((1, *(shape[-1] for shape in kernels), pooled, HEAD)):
    for leaf in ('gamma', 'beta', 'moving_mean', 'moving_variance'):
      add(numbered('batch_normalization', i), leaf, width, low=0.5)
  for i, shape in enumerate(((pooled, HEAD), (HEAD, 5))):
    add(numbered('dense', i), 'kernel', *shape)
    add(numbered('dense', i), 'bias', shape[-1])
  folder.mkdir()
  names = sorted(arrays)
  tf.raw_ops.SaveV2(
    prefix=f'{folder}/',
    tensor_names=names,
    shape_and_slices=[''] * len(names),
    tensors=[arrays[name] for name in names],
  )
  return arrays


def numbered(kind, i):
  return f'{kind}_{i}' if i else kind


def compute(arrays, frames):
  """Logits of [batch, time, bands] by TensorFlow's operations, on images of one channel."""

  def layer(x, i, padding):
    x = tf.nn.conv2d(x, arrays[f'{numbered("conv2d", i)}/kernel'], 1, padding)
    return norm(tf.nn.relu(x + arrays[f'{numbered("conv2d", i)}/bias']), i + 1)

  def norm(x, i):
    name = numbered('batch_normalization', i)
    leaves = ('moving_mean', 'moving_variance', 'beta', 'gamma')
    return tf.nn.batch_normalization(x, *(arrays[f'{name}/{leaf}'] for leaf in leaves), 1e-3)

  in_time = [[0, 0], [3, 3], [0, 0], [0, 0]]
  x = norm(frames[..., None], 0)
  features = [
    tf.reduce_max(layer(tf.pad(x, in_time) if i < 2 else x, i, 'VALID' if i < 2 else 'SAME'), 2)
    for i in range(5)
  ]
  stages = [tf.concat(features, 2)[..., None]]  # [batch, time, features, 1]
  for i in range(5, 8):
    y = tf.transpose(layer(tf.pad(stages[-1], in_time), i, 'VALID'), [0, 1, 3, 2])
    stages.append(y if i == 5 else stages[-1] + y)
  x = tf.concat(stages, 2)
  # Maximum and mean are the last axis, which the flat order runs through first.
  x = tf.concat([tf.reduce_max(x, 1), tf.reduce_mean(x, 1)], 2)
  x = norm(tf.reshape(x, [len(frames), -1]), 9)
  x = tf.nn.relu(x @ arrays['dense/kernel'] + arrays['dense/bias'])
  return norm(x, 10) @ arrays['dense_1/kernel'] + arrays['dense_1/bias']


def test_a_checkpoint_gives_what_tensorflow_computes_of_it(tmp_path):
  rng = np.random.default_rng(0)
  arrays = make_checkpoint(tmp_path / 'small', rng)
  weights = import_musicnn.read(tmp_path / 'small')
  inputs = rng.uniform(0.2, 0.7, (3, 20, BANDS)).astype(np.float32)
  model = models.create(MODEL, 5)
  lengths = np.full(3, 20)
  variables = model.init(jax.random.key(0), inputs, lengths, train=False)
  variables = pretrained.put(variables, weights)
  variables['params']['logits'] = {
    leaf: weights[f'params/logits/{leaf}'] for leaf in ('kernel', 'bias')
  }
  logits = model.apply(variables, inputs, lengths, train=False)
  expected = compute(arrays, np.asarray(musicnn.compressed(inputs)))
  assert relative_error(logits, expected) <= 1e-5  # float32 in both


def test_what_is_no_checkpoint_is_refused_in_one_line(tmp_path):
  (tmp_path / 'empty').mkdir()
  with pytest.raises(DataError, match=r'empty: expected a checkpoint of musicnn, found [^\n]+$'):
    import_musicnn.read(tmp_path / 'empty')
  tf.raw_ops.SaveV2(
    prefix=f'{tmp_path}/empty/', tensor_names=['a'], shape_and_slices=[''], tensors=[[1.0]]
  )
  with pytest.raises(DataError, match='expected a layer conv2d, found none'):
    import_musicnn.read(tmp_path / 'empty')
