"""What a stored example holds: its TFDS features, and parsing of whole batches."""

import numpy as np
import tensorflow_datasets as tfds

from musicjax.host_tensorflow import tf


def features(
  input_shape: tuple[int | None, ...],
  input_dtype: str,
  num_classes: int,
  weighted: bool = False,
  label_dtype: str = 'uint8',
) -> tfds.features.FeaturesDict:
  """Returns the features of `records.make_record`, with a weight or without."""

  def array(shape, dtype):
    # Without an encoding TFDS stores arrays as lists of numbers: large and slow.
    return tfds.features.Tensor(shape=shape, dtype=np.dtype(dtype), encoding='bytes')

  stored = {
    'id': tfds.features.Text(),
    'track': tfds.features.Text(),
    'inputs': array(input_shape, input_dtype),
    'labels': array((num_classes,), label_dtype),
  }
  if weighted:
    stored['weight'] = array((), 'float32')
  return tfds.features.FeaturesDict(stored)


def parse(serialized: tf.Tensor) -> dict[str, tf.Tensor]:
  """Splits examples [batch] into `id`, `track`, and the bytes of `inputs`, `labels`, `weight`.

  The weight is 1 where none is stored.
  """
  text = tf.io.FixedLenFeature([], tf.string)
  weight = tf.io.FixedLenFeature([], tf.string, default_value=np.float32(1).tobytes())
  stored = {name: text for name in ('id', 'track', 'inputs', 'labels')}
  return tf.io.parse_example(serialized, {**stored, 'weight': weight})
