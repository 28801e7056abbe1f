"""Targets of a regression: how outputs become them, and what their errors are measured in."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from musicjax.fields import check_name

SCALES = ('natural', 'standard', 'bounded')


@dataclasses.dataclass(frozen=True)
class Targets:
  """What the training fold says of the targets; its fields are JSON.

  Attributes:
    scale: of outputs and errors. `natural`: outputs are the targets; `standard`: outputs are
      deviations from the mean in standard deviations, and so are errors; `bounded`: the same near
      the mean, but targets with bounds never leave them.
    mean: [targets] of the training fold, as is
    std: 1 where a target does not vary.
    bounds: [targets] (low, high), None where there are none.
  """

  scale: str
  mean: Sequence[float]
  std: Sequence[float]
  bounds: Sequence[Sequence[float] | None]

  def decode(self, outputs: jax.Array) -> jax.Array:
    """Turns outputs [..., targets] into targets in natural units, float32."""
    outputs = outputs.astype(jnp.float32)
    if self.scale == 'natural':
      return outputs
    mean, std = np.float32(self.mean), np.float32(self.std)
    targets = mean + std * outputs
    if self.scale == 'standard':
      return targets
    # low + width * sigmoid(a + b * output), the mean at 0, where it rises by std.
    has_bounds = np.array([bounds is not None for bounds in self.bounds])
    low, high = np.float32([bounds or (0, 1) for bounds in self.bounds]).T
    share = np.clip((mean - low) / (high - low), 1e-3, 1 - 1e-3)
    slope = std / ((high - low) * share * (1 - share))
    bent = low + (high - low) * jax.nn.sigmoid(np.log(share / (1 - share)) + slope * outputs)
    return jnp.where(has_bounds, bent, targets)

  def error(self, outputs: jax.Array, targets: jax.Array) -> jax.Array:
    """Returns what outputs miss targets by, [..., targets] both, in the scale's unit."""
    error = self.decode(outputs) - targets
    return error if self.scale == 'natural' else error / np.float32(self.std)


def describe(
  values: np.ndarray, scale: str, names: Sequence[str], ranges: Mapping[str, Sequence[float]]
) -> dict[str, Any]:
  """Returns the fields of `Targets`.

  Args:
    values: [n, targets] of the training fold.
    scale: of `SCALES`.
    names: of the targets.
    ranges: name -> (low, high), of those that have bounds.

  Raises:
    ConfigError: there is no such scale.
  """
  check_name('config.target_scale', scale, SCALES)
  values = values.astype(np.float64)
  std = values.std(axis=0)
  return {
    'scale': scale,
    'mean': values.mean(axis=0).tolist(),
    # A constant's is rounding.
    'std': np.where(std > 1e-6 * np.abs(values).max(axis=0), std, 1.0).tolist(),
    'bounds': [ranges.get(name) for name in names],
  }
