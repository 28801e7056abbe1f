"""Distortions of pictures on device: pure functions of (key, picture).

A picture is `[height, width, 3]`, RGB in 0..255, before the model normalises it, and stays in that
range. Each distortion changes it with a probability of its own, independently of the others. They
are applied in the order of this file: noise last, which so keeps its sigma.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import scipy.special
from jax.extend.random import threefry_2x32

Batch = dict[str, jax.Array]

# Quantiles of the normal distribution: the inverse of erf is several times slower in XLA on CPU.
_NORMAL = scipy.special.ndtri((np.arange(4096) + 0.5) / 4096).astype(np.float32)


def apply(
  key: jax.Array, batch: Batch, chosen: list[tuple[int, Callable[..., jax.Array], dict]]
) -> Batch:
  """Distorts each picture of a batch by all that are chosen, in one pass.

  Args:
    key: random key.
    batch: the micro-batch as in `musicjax.audio.augment`; inputs `[batch, height, width, 3]`.
    chosen: of each a number that makes its key, the function, and its fields.
  """

  def distort(example):
    key, picture = example
    for salt, function, fields in chosen:
      picture = function(jax.random.fold_in(key, salt), picture, **fields)
    return picture

  examples = jax.random.split(key, len(batch['inputs'])), batch['inputs']
  # One after the other: a picture stays in the cache, and what is not drawn is not computed. A loop
  # over examples that other devices hold would move them all.
  alone = jax.default_backend() == 'cpu' and jax.device_count() == 1
  return batch | {
    'inputs': jax.lax.map(distort, examples) if alone else jax.vmap(distort)(examples)
  }


def rotate_zoom(
  key: jax.Array,
  picture: jax.Array,
  *,
  max_degrees: float = 10.0,
  min_zoom: float = 0.8,
  max_zoom: float = 1.2,
  probability: float = 0.5,
) -> jax.Array:
  """Turns and magnifies a picture about its centre, bilinearly, in one pass.

  The angle is uniform in `+-max_degrees`, anticlockwise, the zoom uniform in its range; each of the
  two is drawn by itself. What comes in from outside repeats the nearest pixel of the edge.

  Args:
    key: random key.
    picture: see the module.
    max_degrees: the largest angle.
    min_zoom: below 1, all of the picture is seen.
    max_zoom: above 1, a part of it.
    probability: that a picture is turned, and that it is magnified.
  """

  def change(key, picture):
    angle_key, zoom_key, which_key = jax.random.split(key, 3)
    height, width, _ = picture.shape
    # Both, turned alone or magnified alone, of those that are changed at all.
    either = 1 - (1 - probability) ** 2
    which = jax.random.uniform(which_key, maxval=either)
    angle = jnp.radians(jax.random.uniform(angle_key, minval=-max_degrees, maxval=max_degrees))
    angle = jnp.where(which < probability, angle, 0.0)
    zoom = jax.random.uniform(zoom_key, minval=min_zoom, maxval=max_zoom)
    zoom = jnp.where((which < probability**2) | (which >= probability), zoom, 1.0)
    y, x = jnp.meshgrid(
      jnp.arange(height) - (height - 1) / 2, jnp.arange(width) - (width - 1) / 2, indexing='ij'
    )
    cos, sin = jnp.cos(angle) / zoom, jnp.sin(angle) / zoom
    from_y = sin * x + cos * y + (height - 1) / 2
    from_x = cos * x - sin * y + (width - 1) / 2
    return _sample(picture, from_y, from_x)

  return _change(key, 1 - (1 - probability) ** 2, picture, change)


def _sample(picture: jax.Array, y: jax.Array, x: jax.Array) -> jax.Array:
  """Values at the places `y`, `x` [rows, columns], between pixels; edges reach outside."""
  height, width, channels = picture.shape
  y, x = jnp.clip(y, 0, height - 1), jnp.clip(x, 0, width - 1)
  top = jnp.minimum(y.astype(jnp.int32), height - 2)
  left = jnp.minimum(x.astype(jnp.int32), width - 2)
  down, right = (y - top)[..., None], (x - left)[..., None]
  pixels, place = picture.reshape(height * width, channels), top * width + left

  def row(place):
    found, beside = (pixels.at[place + i].get(mode='promise_in_bounds') for i in (0, 1))
    return found + right * (beside - found)

  above, below = row(place), row(place + width)
  return above + down * (below - above)


def flip_horizontal(key: jax.Array, picture: jax.Array, *, probability: float = 0.5) -> jax.Array:
  """Swaps left and right."""
  return _change(key, probability, picture, lambda key, picture: picture[:, ::-1])


def flip_vertical(key: jax.Array, picture: jax.Array, *, probability: float = 0.5) -> jax.Array:
  """Swaps top and bottom."""
  return _change(key, probability, picture, lambda key, picture: picture[::-1])


def blur(
  key: jax.Array, picture: jax.Array, *, sigma: float = 1.0, probability: float = 0.5
) -> jax.Array:
  """Blurs with a Gaussian of 5 x 5 pixels."""
  weights = jnp.exp(-((jnp.arange(-2, 3) / sigma) ** 2) / 2)
  weights /= weights.sum()

  def change(key, x):
    for axis in (0, 1):
      x = sum(w * shifted for w, shifted in zip(weights, _shifted(x, axis, 2), strict=True))
    return x

  return _change(key, probability, picture, change)


def sharpen(
  key: jax.Array, picture: jax.Array, *, amount: float = 1.0, probability: float = 0.5
) -> jax.Array:
  """Adds `amount` times what a pixel differs from its four neighbours, summed over them."""

  def change(key, x):
    neighbours = sum(shifted for axis in (0, 1) for shifted in _shifted(x, axis, 1)[::2])
    return _clip(x + amount * (4 * x - neighbours))

  return _change(key, probability, picture, change)


def exposure(
  key: jax.Array,
  picture: jax.Array,
  *,
  low: float = 0.7,
  high: float = 1.3,
  probability: float = 0.5,
) -> jax.Array:
  """Changes brightness, `b x`, then contrast, `mean + c (x - mean)`, of the picture's mean.

  Args:
    key: random key.
    picture: see the module.
    low: the least that b and c are; each is drawn by itself.
    high: the most.
    probability: that a picture is changed.
  """

  def change(key, picture):
    brightness, contrast = jax.random.uniform(key, (2,), minval=low, maxval=high)
    x = _clip(brightness * picture.reshape(-1))  # One long axis, which XLA on CPU vectorises.
    mean = x.mean()
    return _clip(mean + contrast * (x - mean)).reshape(picture.shape)

  return _change(key, probability, picture, change)


def saturation_hue(
  key: jax.Array,
  picture: jax.Array,
  *,
  low: float = 0.7,
  high: float = 1.3,
  max_degrees: float = 20.0,
  probability: float = 0.5,
) -> jax.Array:
  """Changes saturation and hue as HSV has them; its value, the largest channel, stays.

  Args:
    key: random key.
    picture: see the module.
    low: the least factor of the saturation, which ends at 1.
    high: the most.
    max_degrees: the most that the hue turns, of 360. OpenCV's bytes have half as many.
    probability: that a picture is changed.
  """

  def change(key, picture):
    saturation_key, hue_key = jax.random.split(key)
    factor = jax.random.uniform(saturation_key, minval=low, maxval=high)
    turn = jax.random.uniform(hue_key, minval=-max_degrees, maxval=max_degrees) / 60
    red, green, blue = jnp.moveaxis(picture, 2, 0)
    value = jnp.maximum(jnp.maximum(red, green), blue)
    chroma = value - jnp.minimum(jnp.minimum(red, green), blue)
    share = 1 / jnp.maximum(chroma, 1e-6)
    hue = turn + jnp.where(  # In sixths of the circle, from red.
      value == red,
      (green - blue) * share,
      jnp.where(value == green, 2 + (blue - red) * share, 4 + (red - green) * share),
    )
    chroma = jnp.minimum(factor * chroma, value)
    place = hue[..., None] + jnp.array([5.0, 3.0, 1.0])  # [height, width, 3]
    place -= 6 * jnp.floor(place / 6)  # `%` is slower.
    fall = jnp.clip(jnp.minimum(place, 4 - place), 0, 1)
    return value[..., None] - chroma[..., None] * fall

  return _change(key, probability, picture, change)


def pixel_noise(
  key: jax.Array, picture: jax.Array, *, sigma: float = 15.0, probability: float = 0.5
) -> jax.Array:
  """Adds normal noise of both signs to every channel, by itself, of up to 3.7 sigma."""
  noise = sigma * jnp.asarray(_NORMAL)

  def change(key, x):
    # Each 32 bits make two numbers. `jax.random.bits` draws twice what it gives.
    numbers = jnp.arange((x.size + 1) // 2, dtype=jnp.uint32)
    bits = threefry_2x32(jax.random.key_data(key), numbers)
    which = jnp.concatenate([bits & 0xFFF, bits >> 20])[: x.size].astype(jnp.int32)
    return _clip(x + noise.at[which].get(mode='promise_in_bounds').reshape(x.shape))

  return _change(key, probability, picture, change)


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


def _change(
  key: jax.Array,
  probability: float,
  picture: jax.Array,
  change: Callable[[jax.Array, jax.Array], jax.Array],
) -> jax.Array:
  """Applies `change(key, picture)` with a probability."""
  chance_key, key = jax.random.split(key)
  chosen = jax.random.bernoulli(chance_key, probability)
  return jax.lax.cond(chosen, change, lambda key, picture: picture, key, picture)


def _shifted(x: jax.Array, axis: int, most: int) -> list[jax.Array]:
  """`x` moved by -most .. most pixels along an axis; the edge is repeated."""
  size = x.shape[axis]
  pads = [(most, most) if a == axis else (0, 0) for a in range(x.ndim)]
  padded = jnp.pad(x, pads, mode='edge')
  moves = range(2 * most + 1)
  return [jax.lax.slice_in_dim(padded, move, move + size, axis=axis) for move in moves]


def _clip(x: jax.Array) -> jax.Array:
  return jnp.clip(x, 0, 255)
