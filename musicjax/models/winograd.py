"""'Same' convolution over time by minimal filtering (Winograd 1980), for float32 on a CPU.

F(m, r): m outputs of a kernel of r taps from m + r - 1 products, instead of m * r. Frames are cut
into tiles of m, with the r - 1 frames that follow; tiles and kernel are evaluated at m + r - 1
points, multiplied there, which are products of matrices over channels, and interpolated. The
gradients are products of the same number at the same points.

Evaluation and interpolation are products of small dense matrices with all frames at once: many of
their numbers are zeros, and they are still as fast as sums of shifted frames, and compile faster.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

# Taps -> frames of a tile. More frames save more products and round more: these are off by less
# than 1e-5 of the largest value.
TILES = {2: 7, 3: 6, 4: 5, 5: 6, 6: 5, 7: 4}
# Points -> where, beside 0 and infinity, and at the opposites. Spread like these, they round least.
_POINTS = {
  8: (1 / 2, 1, 2),
  10: (4 / 9, 4 / 5, 5 / 4, 9 / 4),
}


@functools.cache
def _transforms(frames: int, taps: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Returns (evaluate [points, frames + taps - 1], kernel [points, taps], back [frames, points]).

  A tile's outputs are `back @ ((kernel @ g) * (evaluate @ d))`: multiplication of polynomials by
  their values, transposed (Toom and Cook).
  """
  number = frames + taps - 1
  positive = np.array(_POINTS[number])
  finite = np.concatenate([[0], positive, -positive])[:, None]

  def values(size):  # Of a polynomial's powers; at infinity the last one counts alone.
    return np.vstack([finite ** np.arange(size), np.eye(size)[-1:]])

  evaluate = np.linalg.inv(values(number)).T
  evaluate[np.abs(evaluate) < 1e-9] = 0
  # Powers of two, which do not round, keep the values at all points alike in size.
  scale = 2.0 ** np.round(np.log2(np.abs(evaluate).sum(axis=1, keepdims=True)))
  return evaluate / scale, values(taps) * scale, values(frames).T


# Frames convolved at a time, at most: the more, the more zeros.
_SPAN = 64


def convolve_time(x: jax.Array, kernel: jax.Array, at_points: jax.Array | None = None) -> jax.Array:
  """`[batch, time, in]` and `[taps, in, out]`, taps one of `TILES`, to `[batch, time, out]`.

  Where the kernel is not learnt, `evaluate_kernel` of it saves computing that again.
  """
  (batch, time, width), taps = x.shape, len(kernel)
  if time <= _SPAN:
    return _convolve(x, kernel, at_points)
  # In spans, with the frames beside them.
  spans, left = -(-time // _SPAN), (taps - 1) // 2
  span = -(-time // spans)
  x = jnp.pad(x, ((0, 0), (left, spans * span - time + taps - 1 - left), (0, 0)))
  x = jnp.stack([x[:, i * span : (i + 1) * span + taps - 1] for i in range(spans)], axis=1)
  y = _convolve(x.reshape(batch * spans, span + taps - 1, width), kernel, at_points)
  return y[:, left : left + span].reshape(batch, spans * span, -1)[:, :time]


def evaluate_kernel(kernel: jax.Array) -> jax.Array:
  """`[taps, in, out]` to its values, `[points, in, out]`."""
  return jnp.tensordot(_of_kernel(len(kernel)), kernel, 1)


def _of_kernel(taps: int) -> np.ndarray:
  return _transforms(TILES[taps], taps)[1].astype(np.float32)


@functools.cache
def _matrices(time: int, taps: int) -> tuple[np.ndarray, np.ndarray]:
  """Returns (evaluate [points, tiles, time], back [time, points, tiles]) of a sequence, float32."""
  frames = TILES[taps]
  of_tile, _, back_to_tile = _transforms(frames, taps)
  points, tiles, left = len(of_tile), -(-time // frames), (taps - 1) // 2
  evaluate = np.zeros((points, tiles, tiles * frames + taps - 1), np.float32)
  back = np.zeros((tiles * frames, points, tiles), np.float32)
  for tile in range(tiles):
    start = tile * frames
    evaluate[:, tile, start : start + points] = of_tile
    back[start : start + frames, :, tile] = back_to_tile
  return evaluate[:, :, left : left + time], back[:time]


# By hand, since JAX's gradients of products are in other orders, which cost copies.
@jax.custom_vjp
def _convolve(x, kernel, at_points):
  """As `convolve_time`, of one span with what lies beside it."""
  return _convolve_forward(x, kernel, at_points)[0]


def _convolve_forward(x, kernel, at_points):
  evaluate, back = _matrices(x.shape[1], len(kernel))
  at_points = evaluate_kernel(kernel) if at_points is None else at_points
  x = jnp.tensordot(evaluate, x.swapaxes(0, 1), 1)  # [points, tiles, batch, in]
  products = jnp.einsum('ptbi,pio->ptbo', x, at_points)
  return jnp.tensordot(back, products, 2).swapaxes(0, 1), (x, at_points, kernel)


def _convolve_backward(saved, gradient):
  x, at_points, kernel = saved
  evaluate, back = _matrices(gradient.shape[1], len(kernel))
  gradient = jnp.tensordot(back.transpose(1, 2, 0), gradient.swapaxes(0, 1), 1)
  to_x = jnp.einsum('ptbo,pio->ptbi', gradient, at_points)
  # Of two axes that are summed over, XLA would copy one side.
  x, gradient = (y.reshape(len(y), -1, y.shape[-1]) for y in (x, gradient))
  to_kernel = x.swapaxes(1, 2) @ gradient
  to_x = jnp.tensordot(evaluate.transpose(2, 0, 1), to_x, 2).swapaxes(0, 1)
  return to_x, jnp.tensordot(_of_kernel(len(kernel)).T, to_kernel, 1), None


_convolve.defvjp(_convolve_forward, _convolve_backward)
