"""Mean and deviation of inputs over the training fold, without TensorFlow."""

from collections.abc import Callable

import numpy as np

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
