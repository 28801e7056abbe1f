"""Records of a shard, `tf.train.Example`s, written without TensorFlow."""

import math
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


def read_frames(
  record: bytes, dtype: np.dtype | str, frame: tuple[int, ...], start: int, length: int
) -> np.ndarray:
  """Returns `[length, *frame]` of a record's inputs from frame `start` on, not copied."""
  size = math.prod(frame)
  offset = inputs_offset(record) + start * size * np.dtype(dtype).itemsize
  return np.frombuffer(record, dtype, length * size, offset).reshape(length, *frame)


def inputs_offset(record: bytes) -> int:
  """Returns where in a record of `make_record` the bytes of its inputs begin."""
  at = _payload(record, 0)  # Of the example: its features.
  size, at = _size(record, at + 1)  # Of the first of them, the id: `inputs` is the next.
  at = _payload(record, at + size)
  at += 2 + len('inputs')
  for _ in range(3):  # Feature, BytesList, value.
    at = _payload(record, at)
  return at


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


def _payload(record: bytes, at: int) -> int:
  """Where the payload of the field begins whose tag is there."""
  at += 1
  while record[at] > 127:
    at += 1
  return at + 1


def _size(record: bytes, at: int) -> tuple[int, int]:
  """Returns the varint that is there, and where it ends."""
  size, shift = 0, 0
  while record[at] > 127:
    size |= (record[at] & 127) << shift
    at, shift = at + 1, shift + 7
  return size | record[at] << shift, at + 1


def _field(number: int, payload: bytes) -> bytes:
  """Tag, length as a varint, payload."""
  length, size = b'', len(payload)
  while size > 127:
    length += bytes([size & 127 | 128])
    size >>= 7
  return bytes([number << 3 | 2]) + length + bytes([size]) + payload
