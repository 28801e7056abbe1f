"""Records of a shard, `tf.train.Example`s, written without TensorFlow."""

from collections.abc import Mapping

import numpy as np


def make_record(
  identity: str, track: str, inputs: np.ndarray, labels: np.ndarray, weight: float | None = None
) -> bytes:
  """Returns an example as `musicjax.data.examples` reads it, without a weight if it has none."""
  features = {
    'id': identity.encode(),
    'track': track.encode(),
    'inputs': inputs.tobytes(),
    'labels': labels.tobytes(),
  }
  if weight is not None:
    features['weight'] = np.float32(weight).tobytes()
  return serialize_example(features)


def serialize_example(features: Mapping[str, bytes]) -> bytes:
  """A `tf.train.Example` of a byte string a feature, its features in order of name.

  Its schema, all fields of which are length-delimited: Example {features = 1},
  Features {map<string, Feature> feature = 1}, Feature {bytes_list = 1}, BytesList {value = 1}.
  """
  entries = b''
  for name in sorted(features):
    feature = _field(1, _field(1, features[name]))
    entries += _field(1, _field(1, name.encode()) + _field(2, feature))
  return _field(1, entries)


def _field(number: int, payload: bytes) -> bytes:
  """Tag, length as a varint, payload."""
  length, size = b'', len(payload)
  while size > 127:
    length += bytes([size & 127 | 128])
    size >>= 7
  return bytes([number << 3 | 2]) + length + bytes([size]) + payload
