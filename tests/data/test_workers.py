import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from musicjax.data import array_records, workers


# Lengths around those whose varint takes a byte more: 128, 16384 and 2097152 bytes.
@pytest.mark.parametrize('frames', [1, 9, 11, 1360, 1370, 174_000, 175_000])
@pytest.mark.parametrize('text', ['', 'track', 'é' * 100])
def test_examples_are_serialised_as_by_tfds(text, frames):
  features = array_records.example_features((None, 3), 'float32', 5)
  inputs = np.arange(3 * frames, dtype=np.float32).reshape(frames, 3)
  labels = (np.arange(5) % 2).astype(np.uint8)
  example = {'id': text, 'track': text[:1], 'inputs': inputs, 'labels': labels}
  serialised = workers.serialize_example({
    'id': text.encode(),
    'track': text[:1].encode(),
    'inputs': inputs.tobytes(),
    'labels': labels.tobytes(),
  })  # fmt: skip
  # TFDS leaves the order of the features to chance.
  expected = tf.train.Example.FromString(features.serialize_example(example))
  assert serialised == expected.SerializeToString(deterministic=True)
  again = features.deserialize_example_np(serialised)
  assert again['id'].decode() == text
  np.testing.assert_array_equal(again['inputs'], inputs)
  np.testing.assert_array_equal(again['labels'], labels)


def test_workers_import_neither_tensorflow_nor_jax():
  code = (
    'import sys; import musicjax.data.workers, musicjax.data.builders.yandex; print(*sys.modules)'
  )
  result = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
  found = {name.split('.')[0] for name in result.stdout.split()}
  assert 'array_record' in found
  assert not {'tensorflow', 'tensorflow_datasets', 'jax'} & found
