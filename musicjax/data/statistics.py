"""What is known of the training fold alone, without TensorFlow."""

from collections.abc import Callable
from typing import Any

import numpy as np

from musicjax import targets
from musicjax.audio import front_ends
from musicjax.data import records
from musicjax.data.prepared import Prepared


def input_statistics(
  prepared: Prepared,
  rows: np.ndarray,
  config,
  front_end: Callable[[np.ndarray], np.ndarray] = lambda inputs: inputs,
) -> dict[str, list[float]]:
  """Returns {mean, std}, a number a feature, over frames of training examples; {} if not asked for.

  At most 2,000 examples are read, chosen by the seed. A feature that does not vary has std 1.

  Args:
    prepared: the dataset.
    rows: of its index: the training examples.
    config: of the run.
    front_end: a stored example -> its frames.
  """
  if config.normalize == 'none':
    return {}
  rows = np.random.default_rng(config.seed).permutation(rows)[:2000]
  frame = prepared.input_shape[1:]
  count, total, squares, pivot = 0, 0.0, 0.0, None
  for row in rows:
    record = prepared.records[prepared.index.positions[row]]
    stored = records.read_frames(
      record, prepared.input_dtype, frame, 0, int(prepared.index.lengths[row])
    )
    frames = front_end(stored).astype(np.float64)
    # Sums about a value of the data: about 0 they would cancel, and a constant seem to vary.
    pivot = frames[0] if pivot is None else pivot
    count += len(frames)
    total += (frames - pivot).sum(axis=0)
    squares += ((frames - pivot) ** 2).sum(axis=0)
  mean = pivot + total / count
  std = np.sqrt(np.maximum(squares / count - (total / count) ** 2, 0))
  return {'mean': mean.tolist(), 'std': np.where(std > 0, std, 1).tolist()}


def describe(prepared: Prepared, rows: np.ndarray, config) -> dict[str, Any]:
  """Returns what `dataset.json` holds of the training fold: of inputs, and of classes or targets.

  Args:
    prepared: the dataset.
    rows: of its index: the training examples.
    config: of the run.
  """
  labels = prepared.index.labels[rows]
  front_end = front_ends.create_for_records(config)
  known = {'statistics': input_statistics(prepared, rows, config, front_end)}
  if labels.dtype == bool:
    return known | {'support': labels.sum(axis=0).tolist()}
  ranges = prepared.parameters.get('ranges', {})
  described = targets.describe(labels, config.target_scale, prepared.label_names, ranges)
  return known | {'support': [], 'targets': described}
