"""What each step reads: rows, spans and padded lengths, in numpy, as functions of (config, step).

No TensorFlow and no records: what plans are made from is the index.
"""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from musicjax.audio.slices import cover
from musicjax.data import splits
from musicjax.errors import ConfigError

if TYPE_CHECKING:  # It opens records.
  from musicjax.data.prepared import Index

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


def split_rows(index: 'Index', config) -> dict[str, np.ndarray]:
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


def train_plan(index: 'Index', rows: np.ndarray, config) -> Plan:
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


def eval_plan(index: 'Index', rows: np.ndarray, config) -> tuple[Plan, int]:
  """Returns (step -> `StepPlan` in [batch] shape, number of steps): every row exactly once.

  With `eval_crop_frames`, a row is there as many times as it has spans of that length.
  They are read in order of length, so that little is padded; the last batch is filled up with -1.
  """
  size = config.eval_crop_frames
  spans = [cover(length, size) for length in index.lengths[rows].tolist()]
  rows, starts = np.repeat(rows, list(map(len, spans))), np.concatenate(spans)
  lengths = np.minimum(index.lengths[rows], size) if size else index.lengths[rows]
  buckets = bucket_bounds(config.buckets, lengths.max())
  order = np.argsort(lengths, kind='stable')
  steps = -(-len(rows) // config.eval_batch_size)

  def batches(values, fill):
    padded = np.full(steps * config.eval_batch_size, fill)
    padded[: len(order)] = values[order]
    return padded.reshape(steps, config.eval_batch_size)

  rows, starts, lengths = batches(rows, -1), batches(starts, 0), batches(lengths, 1)

  def plan(step: int) -> StepPlan:
    time = int(buckets[np.searchsorted(buckets, lengths[step].max())])
    return StepPlan(rows[step], starts[step], lengths[step], time)

  return plan, steps


def bucket_bounds(buckets: tuple[int, ...], longest: int) -> np.ndarray:
  """Returns the padded lengths in use, ascending; the last one holds the longest example."""
  return np.array([b for b in sorted(buckets) if b < longest] + [longest])
