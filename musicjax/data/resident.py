"""A dataset in the memory of each device, and batches gathered from it; without TensorFlow."""

import functools
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from musicjax import sharding
from musicjax.data import records
from musicjax.data.plans import Plan
from musicjax.errors import ConfigError
from musicjax.train_step import Batch

if TYPE_CHECKING:  # It opens records.
  from musicjax.data.prepared import Prepared


class Kept(NamedTuple):
  """A dataset in the memory of each device.

  Attributes:
    frames: [frames, ...] as stored, of all examples one after another, then as many zeros as the
      longest has frames.
    first: [n] int32 frame of each row of the index.
    labels: [n, classes] float32.
    weights: [n] float32.
  """

  frames: jax.Array
  first: jax.Array
  labels: jax.Array
  weights: jax.Array


def keep(prepared: 'Prepared', mesh: Mesh) -> Kept:
  """Loads a dataset into the memory of each device.

  Raises:
    ConfigError: it does not fit.
  """
  index, frame = prepared.index, prepared.input_shape[1:]
  lengths = index.lengths.astype(np.int64)
  total = int(lengths.sum() + lengths.max())
  if total >= 2**31:
    raise ConfigError(f'config.resident: expected fewer than 2^31 frames, found {total}')
  needed, free = total * prepared.frame_bytes, _free_bytes(mesh)
  if needed > free:
    raise ConfigError(
      f'config.resident: expected a dataset of at most {free / 1e9:.2f} GB, which a device has '
      f'free, found {needed / 1e9:.2f} GB'
    )
  frames, first = np.zeros((total, *frame), prepared.input_dtype), np.cumsum(lengths) - lengths
  for position, start, length in zip(index.positions, first, lengths, strict=True):
    record = prepared.records[position]
    frames[start : start + length] = records.read_frames(record, frames.dtype, frame, 0, length)
  put = functools.partial(jax.make_array_from_process_local_data, sharding.replicated(mesh))
  return Kept(
    frames=put(frames),
    first=put(first.astype(np.int32)),
    labels=put(index.labels.astype(np.float32)),
    weights=put(index.weights),
  )


def _free_bytes(mesh: Mesh) -> float:
  """Returns what the fullest device of this process has left; infinity where none can tell."""
  told = [device.memory_stats() or {} for device in mesh.local_devices]
  return min(
    (t['bytes_limit'] - t['bytes_in_use'] for t in told if 'bytes_limit' in t), default=math.inf
  )


def batches(kept: Kept, plan: Plan, steps: range, mesh: Mesh) -> Iterator[Batch]:
  """Yields the batches of `steps`, with the bits of `input_pipeline.tf_batches`.

  They are global arrays, split over the last axis of the plan's.
  """
  *_, size = shape = plan(steps[0]).rows.shape
  local, axis = sharding.local_rows(mesh, size, 'batch size'), len(shape) - 1
  gather = jax.jit(
    _gather, static_argnames='time', out_shardings=sharding.batch_sharding(mesh, axis)
  )
  for step in steps:
    *numbers, time = plan(step)
    planned = np.stack([n[..., local] for n in numbers]).astype(np.int32)  # [3, ..., local]
    planned = sharding.to_global(mesh, {'planned': planned}, axis + 1)  # One upload, not three.
    yield gather(kept, **planned, time=time)


def _gather(kept: Kept, planned: jax.Array, time: int) -> Batch:
  """Returns the batch that `input_pipeline.tf_batches` yields; `planned` is of a `StepPlan`."""
  rows, starts, lengths = planned

  def cut(first, length):
    frames = jax.lax.dynamic_slice_in_dim(kept.frames, first, time)
    valid = (jnp.arange(time) < length).reshape(time, *[1] * (frames.ndim - 1))
    return jnp.where(valid, frames, jnp.zeros_like(frames))

  for _ in rows.shape:
    cut = jax.vmap(cut)
  known = jnp.maximum(rows, 0)  # A padding row stands on row 0, as in reading.
  return {
    'inputs': cut(kept.first[known] + starts, lengths),
    'lengths': lengths,
    'labels': kept.labels[known],
    'weights': kept.weights[known],
    'index': rows,
  }
