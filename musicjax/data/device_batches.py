"""Batches on the devices: read and uploaded, or gathered from a dataset that is kept there."""

from collections.abc import Callable, Iterator

import jax
import numpy as np
from jax.sharding import Mesh

from musicjax import sharding
from musicjax.data import resident
from musicjax.data.plans import Plan, StepPlan
from musicjax.data.prepared import Prepared
from musicjax.train_step import Batch

# Plan and steps -> their batches as global arrays, split over the last axis of the plan's.
Read = Callable[[Plan, range], Iterator[Batch]]


def make_read(prepared: Prepared, config, mesh: Mesh) -> Read:
  """Returns how batches of a dataset come to the devices; loads it where it is to stay there.

  Both ways give the same bits.

  Raises:
    ConfigError: the dataset does not fit.
  """
  kept = resident.keep(prepared, mesh) if config.resident else None

  def read(plan: Plan, steps: range) -> Iterator[Batch]:
    if not steps:
      return
    if kept:
      yield from resident.batches(kept, plan, steps, mesh)
      return
    from musicjax.data import input_pipeline  # With TensorFlow.

    *_, size = shape = plan(steps[0]).rows.shape
    local, axis = sharding.local_rows(mesh, size, 'batch size'), len(shape) - 1
    for batch in input_pipeline.tf_batches(prepared, plan, steps, local):
      yield sharding.to_global(mesh, batch, axis)

  return read


def abstract(prepared: Prepared, plan: StepPlan, mesh: Mesh) -> dict[str, jax.ShapeDtypeStruct]:
  """Returns shapes and types of a planned training batch, as `make_read` reads it."""
  of_example = {
    'inputs': ((plan.time, *prepared.input_shape[1:]), prepared.input_dtype),
    'lengths': ((), np.int32),
    'labels': ((len(prepared.label_names),), np.float32),
    'weights': ((), np.float32),
    'index': ((), np.int32),
  }
  over_devices = sharding.batch_sharding(mesh, 1)
  return {
    name: jax.ShapeDtypeStruct((*plan.rows.shape, *shape), dtype, sharding=over_devices)
    for name, (shape, dtype) in of_example.items()
  }
