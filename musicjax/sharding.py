"""One `data` axis over all devices: states are replicated, batches split."""

from collections.abc import Mapping

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from musicjax.errors import ConfigError


def make_mesh() -> Mesh:
  """Returns the mesh of all devices of all processes."""
  # Auto: under Explicit axes, jax.make_mesh's default, a plain conv + BatchNorm model fails.
  return jax.make_mesh((jax.device_count(),), ('data',), axis_types=(AxisType.Auto,))


def is_main_process() -> bool:
  """Whether this process is the one that writes files and speaks."""
  return jax.process_index() == 0


def replicated(mesh: Mesh) -> NamedSharding:
  return NamedSharding(mesh, P())


def batch_sharding(mesh: Mesh, batch_axis: int) -> NamedSharding:
  return NamedSharding(mesh, P(*[None] * batch_axis, 'data'))


def local_rows(mesh: Mesh, size: int, field: str) -> np.ndarray:
  """Returns the positions on a batch axis of `size` that this process supplies.

  Raises:
    ConfigError: naming `field`, if the devices do not divide the axis.
  """
  if size % mesh.size:
    raise ConfigError(f'{field}: expected a multiple of {mesh.size} devices, found {size}')
  slices = batch_sharding(mesh, 0).addressable_devices_indices_map((size,)).values()
  return np.unique(np.concatenate([np.arange(size)[s] for s in slices]))


def to_global(mesh: Mesh, batch: Mapping[str, np.ndarray], batch_axis: int):
  """Turns host-local arrays into global ones, split over `batch_axis`."""
  sharding = batch_sharding(mesh, batch_axis)
  return {
    name: jax.make_array_from_process_local_data(sharding, array) for name, array in batch.items()
  }
