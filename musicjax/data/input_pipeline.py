"""Batches as a pure function of (config, step): plan -> read -> crop and pad.

The tf.data path and `batch_at` share the plan (which examples, which frames); the rest is written
twice on purpose, once on the bytes of records and the index, and once with examples as TFDS decodes
them, so that each proves the other. Inputs stay as they are stored until they are on the device.
"""

import math
from collections.abc import Iterator

import numpy as np
import tensorflow_datasets as tfds

from musicjax.data import array_records, records
from musicjax.data.plans import Plan, StepPlan, split_rows, train_plan
from musicjax.data.prepared import Prepared
from musicjax.host_tensorflow import tf

Batch = dict[str, np.ndarray]

# Batches read ahead: what is used up while a checkpoint is written or a file waited for.
_PREFETCH = 8
_PARALLEL_READS = 4


def tf_batches(
  prepared: Prepared, plan: Plan, steps: range, local: np.ndarray | slice = slice(None)
) -> Iterator[Batch]:
  """Yields the batches of `steps` through tf.data, read ahead of the caller.

  Args:
    prepared: the dataset.
    plan: of training or evaluation.
    steps: to yield, in order.
    local: what this host holds of the last batch axis.

  Yields:
    `inputs` [..., time, ...] as stored, `lengths` [...] int32, `labels` [..., classes] float32,
    `weights` [...] float32 (1 where examples have none), `index` [...] int32 (-1 for padding rows).
  """
  index, frame = prepared.index, prepared.input_shape[1:]
  dtype = np.dtype(prepared.input_dtype)
  keys = ('inputs', 'lengths', 'labels', 'weights', 'index')
  types = (dtype, np.int32, np.float32, np.float32, np.int32)

  def read(step):
    rows, starts, lengths, time = plan(int(step))
    rows, starts, lengths = rows[..., local], starts[..., local], lengths[..., local]
    # A padding row stands on the record of row 0: cheaper than a special case downstream.
    known = np.maximum(rows, 0)
    inputs = _aligned((*rows.shape, time, *frame), dtype)
    for example, position, start, length in zip(
      inputs.reshape(-1, time, *frame),
      index.positions[known].ravel().tolist(),
      starts.ravel().tolist(),
      lengths.ravel().tolist(),
      strict=True,
    ):
      # One after the other: `__getitems__` would start a thread a shard, for microseconds of work.
      record = prepared.records[position]
      example[:length] = records.read_frames(record, dtype, frame, start, length)
      example[length:] = 0
    return (
      inputs,
      lengths.astype(np.int32),
      index.labels[known].astype(np.float32),
      index.weights[known],
      rows.astype(np.int32),
    )

  @tf.autograph.experimental.do_not_convert  # It holds no Python that depends on tensors.
  def batch(step):
    arrays = tf.numpy_function(read, [step], list(map(tf.as_dtype, types)), stateful=False)
    return dict(zip(keys, arrays, strict=True))

  dataset = tf.data.Dataset.range(steps.start, steps.stop)
  dataset = dataset.map(batch, num_parallel_calls=_PARALLEL_READS, deterministic=True)
  options = tf.data.Options()
  # Autotuning keeps a thread that an iterator's end waits for, seconds on a busy machine.
  options.autotune.enabled = False
  dataset = dataset.with_options(options)
  return dataset.prefetch(_PREFETCH).as_numpy_iterator()


def _aligned(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
  """Returns an array, not filled, that begins where TensorFlow and JAX take it without a copy."""
  size = math.prod(shape) * dtype.itemsize
  memory = np.empty(size + 63, np.uint8)
  start = -memory.ctypes.data % 64
  return memory[start : start + size].view(dtype).reshape(shape)


def batch_at(config, step: int) -> Batch:
  """Returns the whole global training batch of a step, in plain Python: the reference.

  Batches have the shape and keys that `tf_batches` yields. Preparing the dataset happens on first
  use, as in training.
  """
  prepared = array_records.prepare(config)
  train = split_rows(prepared.index, config)['train']
  return plain_batch(prepared, train_plan(prepared.index, train, config)(step))


def plain_batch(prepared: Prepared, plan: StepPlan) -> Batch:
  """Reads one planned batch example by example, decoded by TFDS itself."""
  features = tfds.features.FeaturesDict.from_config(str(prepared.directory))
  read = []
  for row, start, length in zip(
    plan.rows.ravel(), plan.starts.ravel(), plan.lengths.ravel(), strict=True
  ):
    record = prepared.records[prepared.index.positions[max(row, 0)]]
    example = features.deserialize_example_np(record)
    frames = example['inputs'][start : start + length]
    inputs = np.zeros((plan.time, *frames.shape[1:]), frames.dtype)
    inputs[:length] = frames
    read.append((inputs, example['labels'].astype(np.float32), example.get('weight', 1.0)))
  inputs, labels, weights = map(np.stack, zip(*read, strict=True))
  return {
    'inputs': inputs.reshape(*plan.rows.shape, *inputs.shape[1:]),
    'lengths': plan.lengths.astype(np.int32),
    'labels': labels.reshape(*plan.rows.shape, -1),
    'weights': weights.reshape(plan.rows.shape).astype(np.float32),
    'index': plan.rows.astype(np.int32),
  }
