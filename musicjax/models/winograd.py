"""'Same' convolution over time by minimal filtering (Winograd 1980), for float32 on a CPU.

F(m, r): m outputs of a kernel of r taps from m + r - 1 products, instead of m * r. Frames are cut
into tiles of m, with the r - 1 frames that follow; tiles and kernel are evaluated at m + r - 1
points, multiplied there, which are products of matrices over channels, and interpolated. The
gradients are products of the same number at the same points.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

# Taps -> frames of a tile. More frames save more products and round more: these are off by less
# than 3e-5 of the largest value.
TILES = {2: 6, 3: 6, 4: 5, 5: 6, 6: 4, 7: 4}
# Evaluated at, and at infinity. Pairs of opposites, and small numbers, round least.
_POINTS = (0, 1, -1, 1 / 2, -1 / 2, 2, -2, 3 / 2, -3 / 2)


@functools.cache
def _transforms(frames: int, taps: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Returns (evaluate [points, frames + taps - 1], kernel [points, taps], back [frames, points]).

  A tile's outputs are `back @ ((kernel @ g) * (evaluate @ d))`: multiplication of polynomials by
  their values, transposed (Toom and Cook).
  """
  number = frames + taps - 1
  finite = np.array(_POINTS[: number - 1])[:, None]

  def values(size):  # Of a polynomial's powers; at infinity the last one counts alone.
    return np.vstack([finite ** np.arange(size), np.eye(size)[-1:]])

  evaluate = np.linalg.inv(values(number)).T
  evaluate[np.abs(evaluate) < 1e-9] = 0
  # Powers of two, which do not round, keep the values at all points alike in size.
  scale = 2.0 ** np.round(np.log2(np.abs(evaluate).sum(axis=1, keepdims=True)))
  return evaluate / scale, values(taps) * scale, values(frames).T


def _combine(weights: np.ndarray, arrays: list[jax.Array], axis: int) -> jax.Array:
  """Stacks a weighted sum of `arrays` for each row of weights, most of which are simple or zero."""

  def add(row):
    return sum(weight * x for weight, x in zip(row.tolist(), arrays, strict=True) if weight)

  return jnp.stack([add(row) for row in weights], axis)


def convolve_time(x: jax.Array, kernel: jax.Array) -> jax.Array:
  """`[batch, time, in]` and `[taps, in, out]`, taps one of `TILES`, to `[batch, time, out]`."""
  (batch, time, width), taps = x.shape, len(kernel)
  frames = TILES[taps]
  evaluate, of_kernel, back = _transforms(frames, taps)
  points, tiles = len(evaluate), -(-time // frames)
  left = (taps - 1) // 2
  x = jnp.pad(x, ((0, 0), (left, tiles * frames - time + taps - 1 - left), (0, 0)))
  # Frame i of all tiles.
  cut = [x[:, i : i + (tiles - 1) * frames + 1 : frames] for i in range(points)]
  tiled = _combine(evaluate, cut, axis=0).reshape(points, batch * tiles, width)
  products = tiled @ _combine(of_kernel, list(kernel), axis=0)  # [points, batch * tiles, out]
  products = list(products.reshape(points, batch, tiles, -1))
  return _combine(back, products, axis=2).reshape(batch, tiles * frames, -1)[:, :time]
