"""Batches as a pure function of (config, step): plan -> one batched read -> parse -> crop and pad.

The tf.data path and `batch_at` share the plan (which examples, which frames); reading and decoding
are written twice on purpose, once in batched TensorFlow ops and once in plain Python, so that each
proves the other.
"""

import functools
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from musicjax.data import array_records, examples, splits
from musicjax.data.prepared import Index, Prepared
from musicjax.errors import ConfigError

Batch = dict[str, np.ndarray]

# Batches read ahead: what is used up while a checkpoint is written or a file waited for.
_PREFETCH = 8
_PARALLEL_READS = 4

# Streams of random numbers are told apart by the second word of their seed.
_ORDER, _WINDOW, _CROP = range(3)


class StepPlan(NamedTuple):
  """What one step reads. All arrays have the batch's shape, [accumulate, micro] or [batch].

  Attributes:
    rows: of the index; -1 marks padding.
    starts: first frame taken.
    lengths: frames taken, at least 1.
    time: padded length, the same on every host.
  """

  rows: np.ndarray
  starts: np.ndarray
  lengths: np.ndarray
  time: int


Plan = Callable[[int], StepPlan]


def split_rows(index: Index, config) -> dict[str, np.ndarray]:
  """Returns the index rows of `train`, `validation` and `test` for `config.fold`."""
  return splits.split_rows(index.folds, config.fold, config.num_folds)


def num_steps(num_train_examples: int, config) -> tuple[int, float]:
  """Returns (steps of the run, steps an epoch).

  Raises:
    ConfigError: if that is no step at all.
  """
  per_epoch = num_train_examples / config.batch_size
  steps = config.num_train_steps or round(config.num_epochs * per_epoch)
  if steps < 1:
    raise ConfigError(
      f'num_epochs: expected at least one batch of {config.batch_size} in '
      f'{config.num_epochs} epochs of {num_train_examples} examples, found none'
    )
  return steps, per_epoch


def train_plan(index: Index, rows: np.ndarray, config) -> Plan:
  """Returns step -> `StepPlan` over `rows`, in [accumulate, micro] shape.

  The epochs' permutations form one endless stream that batches are cut from: nothing is dropped
  at an epoch's end. With buckets, the stream is cut into windows of `bucket_window` steps; within
  one, examples are sorted by padded length, and the order of the batches is shuffled again.
  """
  # A config can change behind a plan's back; a plan cannot.
  batch, accumulate, seed = config.batch_size, config.accumulate, config.seed
  kept = index.lengths[rows]
  if config.crop_frames:
    kept = np.minimum(kept, config.crop_frames)
  buckets = bucket_bounds(config.buckets, kept.max())
  bucket_of = np.searchsorted(buckets, kept)
  # A window longer than an epoch would sort copies of one example into one batch.
  window = min(config.bucket_window, max(1, len(rows) // batch)) if len(buckets) > 1 else 1

  @functools.lru_cache(maxsize=4)
  def permutation(epoch):
    return np.random.default_rng((seed, _ORDER, epoch)).permutation(len(rows))

  def stream(start, stop):
    positions = np.arange(start, stop)
    epochs, offsets = positions // len(rows), positions % len(rows)
    picked = np.empty(len(positions), np.int64)
    for epoch in np.unique(epochs):
      picked[epochs == epoch] = permutation(int(epoch))[offsets[epochs == epoch]]
    return picked

  @functools.lru_cache(maxsize=4)
  def window_batches(w):
    picked = stream(w * window * batch, (w + 1) * window * batch)
    picked = picked[np.argsort(bucket_of[picked], kind='stable')].reshape(window, batch)
    return np.random.default_rng((seed, _WINDOW, w)).permutation(picked)

  def plan(step: int) -> StepPlan:
    picked = window_batches(step // window)[step % window]
    lengths = kept[picked]
    room = index.lengths[rows[picked]] - lengths
    starts = np.random.default_rng((seed, _CROP, step)).integers(0, room + 1)
    shape = (accumulate, batch // accumulate)
    return StepPlan(
      rows[picked].reshape(shape),
      starts.reshape(shape),
      lengths.reshape(shape),
      int(buckets[bucket_of[picked].max()]),
    )

  return plan


def eval_plan(index: Index, rows: np.ndarray, config) -> tuple[Plan, int]:
  """Returns (step -> `StepPlan` in [batch] shape, number of steps): every row exactly once.

  Rows are read in order of length, so that little is padded; the last batch is filled up with -1.
  """
  rows = rows[np.argsort(index.lengths[rows], kind='stable')]
  buckets = bucket_bounds(config.buckets, index.lengths[rows].max())
  steps = -(-len(rows) // config.eval_batch_size)
  padded = np.full(steps * config.eval_batch_size, -1)
  padded[: len(rows)] = rows
  batches = padded.reshape(steps, config.eval_batch_size)

  def plan(step: int) -> StepPlan:
    lengths = np.where(batches[step] >= 0, index.lengths[batches[step]], 1)
    time = int(buckets[np.searchsorted(buckets, lengths.max())])
    return StepPlan(batches[step], np.zeros_like(lengths), lengths, time)

  return plan, steps


def bucket_bounds(buckets: tuple[int, ...], longest: int) -> np.ndarray:
  """Returns the padded lengths in use, ascending; the last one holds the longest example."""
  return np.array([b for b in sorted(buckets) if b < longest] + [longest])


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
    `inputs` [..., time, ...] float32, `lengths` [...] int32, `labels` [..., classes] float32,
    `weights` [...] float32 (1 where examples have none), `index` [...] int32 (-1 for padding rows).
  """
  index, frame_bytes = prepared.index, prepared.frame_bytes
  num_classes = index.labels.shape[1]
  label_dtype = np.dtype('uint8' if index.labels.dtype == bool else index.labels.dtype)
  # TensorFlow decodes no padded float16.
  stored_dtype = 'uint16' if prepared.input_dtype == 'float16' else prepared.input_dtype

  def read(step):
    rows, starts, lengths, time = plan(int(step))
    rows, starts, lengths = rows[..., local], starts[..., local], lengths[..., local]
    # A padding row stands on the record of row 0: cheaper than a special case downstream.
    records = prepared.records.__getitems__(index.positions[np.maximum(rows, 0)].ravel())
    return (
      np.array(records, dtype=object),
      rows.astype(np.int32),
      starts.astype(np.int32),
      lengths.astype(np.int32),
      np.int32(time),
    )

  @tf.autograph.experimental.do_not_convert  # It holds no Python that depends on tensors.
  def batch(step):
    records, rows, starts, lengths, time = tf.numpy_function(
      read, [step], [tf.string, tf.int32, tf.int32, tf.int32, tf.int32], stateful=False
    )
    shape = tf.shape(rows)
    parsed = examples.parse(records)
    # Cropping and padding happen on the bytes, for the whole batch at once.
    frames = tf.strings.substr(
      parsed['inputs'],
      tf.reshape(starts, [-1]) * frame_bytes,
      tf.reshape(lengths, [-1]) * frame_bytes,
    )
    inputs = tf.io.decode_raw(frames, stored_dtype, fixed_length=time * frame_bytes)
    inputs = tf.bitcast(inputs, prepared.input_dtype)
    label_bytes = num_classes * label_dtype.itemsize
    labels = tf.io.decode_raw(parsed['labels'], label_dtype, fixed_length=label_bytes)
    return {
      'inputs': tf.cast(
        tf.reshape(inputs, tf.concat([shape, [time], prepared.input_shape[1:]], 0)), tf.float32
      ),
      'lengths': lengths,
      'labels': tf.cast(tf.reshape(labels, tf.concat([shape, [num_classes]], 0)), tf.float32),
      'weights': tf.reshape(tf.io.decode_raw(parsed['weight'], tf.float32, fixed_length=4), shape),
      'index': rows,
    }

  dataset = tf.data.Dataset.range(steps.start, steps.stop)
  dataset = dataset.map(batch, num_parallel_calls=_PARALLEL_READS, deterministic=True)
  options = tf.data.Options()
  # Autotuning keeps a thread that an iterator's end waits for, seconds on a busy machine.
  options.autotune.enabled = False
  dataset = dataset.with_options(options)
  return dataset.prefetch(_PREFETCH).as_numpy_iterator()


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
    frames = example['inputs'][start : start + length].astype(np.float32)
    inputs = np.zeros((plan.time, *frames.shape[1:]), np.float32)
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


def input_statistics(prepared: Prepared, rows: np.ndarray, config) -> dict[str, list[float]]:
  """Returns {mean, std}, a number a feature, over frames of training examples; {} if not asked for.

  At most 2,000 examples are read, chosen by the seed. A feature that does not vary has std 1.
  """
  if config.normalize == 'none':
    return {}
  rows = np.random.default_rng(config.seed).permutation(rows)[:2000]
  features = tfds.features.FeaturesDict.from_config(str(prepared.directory))
  count, total, squares, pivot = 0, 0.0, 0.0, None
  for row in rows:
    record = prepared.records[prepared.index.positions[row]]
    frames = features.deserialize_example_np(record)['inputs'].astype(np.float64)
    # Sums about a value of the data: about 0 they would cancel, and a constant seem to vary.
    pivot = frames[0] if pivot is None else pivot
    count += len(frames)
    total += (frames - pivot).sum(axis=0)
    squares += ((frames - pivot) ** 2).sum(axis=0)
  mean = pivot + total / count
  std = np.sqrt(np.maximum(squares / count - (total / count) ** 2, 0))
  return {'mean': mean.tolist(), 'std': np.where(std > 0, std, 1).tolist()}
