"""Distortions of pictures on device: pure functions of (random numbers, picture).

A picture is RGB in 0..255, before the model normalises it, and stays in that range. Here it is
`[3, height, width]`: with channels last, XLA on CPU vectorises nothing. Each distortion changes it
with a probability of its own, independently of the others. They are applied in the order of this
file: sampling first, which rounds to whole numbers, and noise last, which so keeps its sigma.

A distortion is a function of random numbers, `[4, batch]` uniform in 0..1, the pictures' height and
width, and its fields. It returns a `Distortion`.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.special

from musicjax.apart import apart

Batch = dict[str, jax.Array]

# Quantiles of the normal distribution: the inverse of erf is several times slower in XLA on CPU.
_NORMAL = scipy.special.ndtri((np.arange(4096) + 0.5) / 4096).astype(np.float32)


class Distortion(NamedTuple):
  """What a distortion does to the pictures of a batch.

  Attributes:
    chosen: `[batch]` bool, which pictures are changed.
    drawn: arrays `[batch, ...]`, what is random in that.
    change: of a picture `[3, height, width]` and its part of each that is drawn, to a picture.
  """

  chosen: jax.Array
  drawn: tuple[jax.Array, ...]
  change: Callable[..., jax.Array]


def apply(
  key: jax.Array, batch: Batch, chosen: list[tuple[int, Callable[..., Distortion], dict]]
) -> Batch:
  """Distorts each picture of a batch by all that are chosen, in one pass.

  Args:
    key: random key.
    batch: the micro-batch as in `augment_frames.py`; inputs `[batch, height, width, 3]`.
    chosen: of each a number that makes its key, the function, and its fields.
  """
  pictures = batch['inputs']
  size, height, width, _ = pictures.shape
  salts, functions, fields = zip(*chosen, strict=True)
  # At once: each draw takes XLA on CPU as long as a pass over a picture.
  keys = jax.vmap(jax.random.fold_in, (None, 0))(key, np.uint32(salts))
  numbers = jax.vmap(lambda key: jax.random.uniform(key, (4, size)))(keys)
  distortions = [
    function(own, height, width, **kept)
    for function, own, kept in zip(functions, numbers, fields, strict=True)
  ]
  changes = [distortion.change for distortion in distortions]

  def distort(picture, draws):
    picture = jnp.moveaxis(picture, 2, 0)
    for change, (chosen, drawn) in zip(changes, draws, strict=True):
      picture = jax.lax.cond(chosen, change, lambda picture, *_: picture, picture, *drawn)
    return jnp.moveaxis(picture, 0, 2)

  draws = [distortion[:2] for distortion in distortions]
  if jax.default_backend() != 'cpu' or jax.device_count() > 1:
    # A loop over examples that other devices hold would move them all.
    return batch | {'inputs': jax.vmap(distort)(pictures, draws)}

  def distort_one(i, pictures):
    return pictures.at[i].set(distort(pictures[i], jax.tree.map(lambda x: x[i], draws)))

  # One after the other: a picture stays in the cache, and what is not drawn is not computed. Each
  # in its place: `lax.map` would fill a batch with zeros first.
  return batch | {'inputs': jax.lax.fori_loop(0, size, distort_one, pictures)}


def rotate_zoom(
  numbers: jax.Array,
  height: int,
  width: int,
  *,
  max_degrees: float = 10.0,
  min_zoom: float = 0.8,
  max_zoom: float = 1.2,
  probability: float = 0.5,
) -> Distortion:
  """Turns and magnifies a picture about its centre, bilinearly, in one pass.

  The angle is uniform in `+-max_degrees`, anticlockwise, the zoom uniform in its range; each of the
  two is drawn by itself. What comes in from outside repeats the nearest pixel of the edge.

  Args:
    numbers: see the module.
    height: see the module.
    width: see the module.
    max_degrees: the largest angle.
    min_zoom: below 1, all of the picture is seen.
    max_zoom: above 1, a part of it.
    probability: that a picture is turned, and that it is magnified.
  """
  turned, zoomed = numbers[:2] < probability
  angle = jnp.where(turned, jnp.radians(_between(numbers[2], -max_degrees, max_degrees)), 0.0)
  zoom = jnp.where(zoomed, _between(numbers[3], min_zoom, max_zoom), 1.0)

  def change(picture, cos, sin):
    y = (jnp.arange(height) - (height - 1) / 2)[:, None]
    x = jnp.arange(width) - (width - 1) / 2
    return _sample(
      picture, sin * x + cos * y + (height - 1) / 2, cos * x - sin * y + (width - 1) / 2
    )

  return Distortion(turned | zoomed, (jnp.cos(angle) / zoom, jnp.sin(angle) / zoom), change)


def _sample(picture: jax.Array, y: jax.Array, x: jax.Array) -> jax.Array:
  """Values at the places `y`, `x` [rows, columns], between pixels; edges reach outside.

  Values of 0..255 are rounded first: those of pictures are whole, but where two are mixed. A gather
  costs what it takes of single numbers, so each holds the four bytes that surround a place.
  """
  channels, height, width = picture.shape

  def locate(_):
    down, right = jnp.clip(y, 0, height - 1), jnp.clip(x, 0, width - 1)
    top = jnp.minimum(down.astype(jnp.int32), height - 2)
    left = jnp.minimum(right.astype(jnp.int32), width - 2)
    # Signed, they could count from the end.
    return (top * width + left).astype(jnp.uint32), down - top, right - left

  def pack(picture):
    # The lowest bits of 2^23 + x are x, rounded; XLA's conversions to whole numbers are slower.
    bits = jax.lax.bitcast_convert_type(picture + 2.0**23, jnp.uint32).reshape(channels, -1) & 0xFF
    rows = bits[:, :-1] | bits[:, 1:] << 8
    return rows[:, :-width] | rows[:, width:] << 16

  place, down, right = apart(locate, picture)
  squares = apart(pack, picture)
  found = squares.at[:, place].get(mode='promise_in_bounds')
  top_left, top_right, low_left, low_right = (
    jax.lax.bitcast_convert_type(found >> shift & 0xFF | 0x4B000000, jnp.float32) - 2.0**23
    for shift in (0, 8, 16, 24)
  )
  above = top_left + right * (top_right - top_left)
  below = low_left + right * (low_right - low_left)
  return above + down * (below - above)


def flip_horizontal(
  numbers: jax.Array, height: int, width: int, *, probability: float = 0.5
) -> Distortion:
  """Swaps left and right."""
  return Distortion(numbers[0] < probability, (), lambda picture: picture[:, :, ::-1])


def flip_vertical(
  numbers: jax.Array, height: int, width: int, *, probability: float = 0.5
) -> Distortion:
  """Swaps top and bottom."""
  return Distortion(numbers[0] < probability, (), lambda picture: picture[:, ::-1])


def blur(
  numbers: jax.Array, height: int, width: int, *, sigma: float = 1.0, probability: float = 0.5
) -> Distortion:
  """Blurs with a Gaussian of 5 x 5 pixels."""
  weights = np.exp(-((np.arange(-2, 3) / sigma) ** 2) / 2).astype(np.float32)
  weights /= weights.sum()

  def change(picture):
    rows = apart(lambda x: sum(w * _below(x, i - 2) for i, w in enumerate(weights)), picture)
    return sum(w * _beside(rows, i - 2) for i, w in enumerate(weights)).reshape(picture.shape)

  return Distortion(numbers[0] < probability, (), change)


def sharpen(
  numbers: jax.Array, height: int, width: int, *, amount: float = 1.0, probability: float = 0.5
) -> Distortion:
  """Adds `amount` times what a pixel differs from its four neighbours, summed over them."""

  def change(picture):
    rows = apart(lambda x: _below(x, 0), picture)
    above, pixels, below = (_below(picture, i)[1:-1] for i in (-1, 0, 1))
    neighbours = above + below + _beside(rows, -1) + _beside(rows, 1)
    return _clip(pixels + amount * (4 * pixels - neighbours)).reshape(picture.shape)

  return Distortion(numbers[0] < probability, (), change)


def exposure(
  numbers: jax.Array,
  height: int,
  width: int,
  *,
  low: float = 0.7,
  high: float = 1.3,
  probability: float = 0.5,
) -> Distortion:
  """Changes brightness, `b x`, then contrast, `mean + c (x - mean)`, of the picture's mean.

  Args:
    numbers: see the module.
    height: see the module.
    width: see the module.
    low: the least that b and c are; each is drawn by itself.
    high: the most.
    probability: that a picture is changed.
  """
  brightness, contrast = _between(numbers[1:3], low, high)

  def change(picture, brightness, contrast):
    x = _clip(brightness * picture.reshape(-1, width))
    # A product: XLA on CPU adds numbers up one after the other.
    mean = jnp.dot(jnp.ones(len(x)), x, precision='highest').mean() / len(x)
    return _clip(mean + contrast * (x - mean)).reshape(picture.shape)

  return Distortion(numbers[0] < probability, (brightness, contrast), change)


def saturation_hue(
  numbers: jax.Array,
  height: int,
  width: int,
  *,
  low: float = 0.7,
  high: float = 1.3,
  max_degrees: float = 20.0,
  probability: float = 0.5,
) -> Distortion:
  """Changes saturation and hue as HSV has them; its value, the largest channel, stays.

  Args:
    numbers: see the module.
    height: see the module.
    width: see the module.
    low: the least factor of the saturation, which ends at 1.
    high: the most.
    max_degrees: the most that the hue turns, of 360. OpenCV's bytes have half as many.
    probability: that a picture is changed.
  """
  factor = _between(numbers[1], low, high)
  turn = _between(numbers[2], -max_degrees, max_degrees) / 60

  def to_hsv(picture):
    red, green, blue = picture
    value = jnp.maximum(jnp.maximum(red, green), blue)
    chroma = value - jnp.minimum(jnp.minimum(red, green), blue)
    share = 1 / jnp.maximum(chroma, 1e-6)
    hue = jnp.where(  # In sixths of the circle, from red.
      value == red,
      (green - blue) * share,
      jnp.where(value == green, 2 + (blue - red) * share, 4 + (red - green) * share),
    )
    return hue, chroma, value

  def change(picture, factor, turn):
    hue, chroma, value = apart(to_hsv, picture)
    hue, chroma = hue + turn, jnp.minimum(factor * chroma, value)
    # A channel is lowest where the hue is opposite to it.
    away = jnp.abs(hue - np.float32([3, 5, 1])[:, None, None])
    away = jnp.minimum(away, jnp.abs(6 - away))  # The shorter way round.
    return value - chroma * jnp.clip(2 - away, 0, 1)

  return Distortion(numbers[0] < probability, (factor, turn), change)


def pixel_noise(
  numbers: jax.Array, height: int, width: int, *, sigma: float = 15.0, probability: float = 0.5
) -> Distortion:
  """Adds normal noise of both signs to every channel, by itself, of up to 3.7 sigma.

  Its bits are hashes of numbers, through which each picture takes steps of its own, from a place of
  its own: JAX's random bits take XLA on CPU several times as long.
  """
  step, start = (2**23 * numbers[1:3]).astype(jnp.uint32)  # All the bits that they have.
  noise = sigma * jnp.asarray(_NORMAL)

  def change(picture, step, start):
    pixels = picture.reshape(-1, width)
    places = jax.lax.iota(jnp.uint32, pixels.size).reshape(pixels.shape)
    which = _mix(start + (2 * step + 1) * places) >> 20
    pixels += noise.at[which].get(mode='promise_in_bounds')
    return _clip(pixels).reshape(picture.shape)

  return Distortion(numbers[0] < probability, (step, start), change)


def _mix(x: jax.Array) -> jax.Array:
  """32 bits, the upper of which depend on all of `x` (C. Wellons' lowbias32, but for its end)."""
  x = (x ^ x >> 16) * np.uint32(0x7FEB352D)
  return (x ^ x >> 15) * np.uint32(0x846CA68B)


AUGMENTS = {
  augment.__name__: augment
  for augment in (
    rotate_zoom,
    flip_horizontal,
    flip_vertical,
    blur,
    sharpen,
    exposure,
    saturation_hue,
    pixel_noise,
  )
}


def _between(numbers: jax.Array, low: float, high: float) -> jax.Array:
  """Numbers of 0..1 as numbers of low..high."""
  return low + (high - low) * numbers


def _below(picture: jax.Array, move: int) -> jax.Array:
  """The rows `move` below; a channel's last one is repeated.

  Returns:
    `[1 + 3 * height + 1, width]`: one row more on both sides, for `_beside` to reach into.
  """
  channels, height, width = picture.shape
  rows = np.clip(np.arange(height) + move, 0, height - 1) + height * np.arange(channels)[:, None]
  rows = np.pad(rows.reshape(-1), 1, mode='edge').astype(np.uint32)
  return picture.reshape(-1, width).at[rows].get(mode='promise_in_bounds')


def _beside(rows: jax.Array, move: int) -> jax.Array:
  """The columns `move` to the right of what `_below` returns, `[3 * height, width]`.

  The last one is repeated: chosen, and not padded, which would not be vectorised.
  """
  width = rows.shape[1]
  size, column = rows.size - 2 * width, np.arange(width) + move
  moved = rows.reshape(-1)[width + move : width + move + size].reshape(-1, width)
  edge = rows[1:-1, :1] if move < 0 else rows[1:-1, -1:]
  return jnp.where((column >= 0) & (column < width), moved, edge)


def _clip(x: jax.Array) -> jax.Array:
  return jnp.clip(x, 0, 255)
