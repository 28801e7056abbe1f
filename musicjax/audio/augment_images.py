"""Distortions of pictures on device, a micro-batch at a time: pure functions of (key, batch).

They are used as those of `musicjax.audio.augment`, which says what a batch is: here inputs are
`[batch, height, width, 3]`, RGB in 0..255, before the model normalises them, and stay in that
range. Each example is changed with a probability of its own, independently of the others.
"""

import jax
import jax.numpy as jnp

Batch = dict[str, jax.Array]


def rotate_zoom(
  key: jax.Array,
  batch: Batch,
  *,
  max_degrees: float = 10.0,
  min_zoom: float = 0.8,
  max_zoom: float = 1.2,
  probability: float = 0.5,
) -> Batch:
  """Turns and magnifies pictures about their centre, bilinearly, in one pass.

  The angle is uniform in `+-max_degrees`, anticlockwise, the zoom uniform in its range; each of the
  two is drawn by itself. What comes in from outside repeats the nearest pixel of the edge.

  Args:
    key: random key.
    batch: the micro-batch; see the module.
    max_degrees: the largest angle.
    min_zoom: below 1, all of the picture is seen.
    max_zoom: above 1, a part of it.
    probability: that a picture is turned, and that it is magnified.
  """
  angle_key, zoom_key, turned_key, zoomed_key = jax.random.split(key, 4)
  inputs = batch['inputs']
  size, height, width, _ = inputs.shape
  angle = jax.random.uniform(angle_key, (size,), minval=-max_degrees, maxval=max_degrees)
  angle = jnp.where(jax.random.bernoulli(turned_key, probability, (size,)), jnp.radians(angle), 0)
  zoom = jax.random.uniform(zoom_key, (size,), minval=min_zoom, maxval=max_zoom)
  zoom = jnp.where(jax.random.bernoulli(zoomed_key, probability, (size,)), zoom, 1.0)

  y, x = jnp.meshgrid(
    jnp.arange(height) - (height - 1) / 2, jnp.arange(width) - (width - 1) / 2, indexing='ij'
  )
  cos, sin = ((f(angle) / zoom)[:, None, None] for f in (jnp.cos, jnp.sin))
  from_y = sin * x + cos * y + (height - 1) / 2  # [batch, height, width]
  from_x = cos * x - sin * y + (width - 1) / 2
  return batch | {'inputs': _sample(inputs, from_y, from_x)}


def _sample(pictures: jax.Array, y: jax.Array, x: jax.Array) -> jax.Array:
  """Values at the places `y`, `x` [batch, rows, columns], between pixels; edges reach outside."""
  size, height, width, channels = pictures.shape
  y, x = jnp.clip(y, 0, height - 1), jnp.clip(x, 0, width - 1)
  top = jnp.minimum(y.astype(jnp.int32), height - 2)
  left = jnp.minimum(x.astype(jnp.int32), width - 2)
  down, right = (y - top)[..., None], (x - left)[..., None]
  # Two neighbours lie side by side: one look-up finds both.
  pairs = jnp.concatenate([pictures, jnp.roll(pictures, -1, axis=2)], axis=3)
  pairs = pairs.reshape(size, height * width, 2 * channels)
  place = (top * width + left).reshape(size, -1)

  def row(place):
    found = jax.vmap(lambda one, at: one[at])(pairs, place)
    found = found.reshape(*y.shape, 2, channels)
    return found[..., 0, :] + right * (found[..., 1, :] - found[..., 0, :])

  above, below = row(place), row(place + width)
  return above + down * (below - above)


def flip_horizontal(key: jax.Array, batch: Batch, *, probability: float = 0.5) -> Batch:
  """Swaps left and right."""
  return _chosen(key, probability, batch, batch['inputs'][:, :, ::-1])


def flip_vertical(key: jax.Array, batch: Batch, *, probability: float = 0.5) -> Batch:
  """Swaps top and bottom."""
  return _chosen(key, probability, batch, batch['inputs'][:, ::-1])


def exposure(
  key: jax.Array, batch: Batch, *, low: float = 0.7, high: float = 1.3, probability: float = 0.5
) -> Batch:
  """Changes brightness, `b x`, then contrast, `mean + c (x - mean)`, of the picture's mean.

  Args:
    key: random key.
    batch: the micro-batch; see the module.
    low: the least that b and c are; each is drawn by itself.
    high: the most.
    probability: that a picture is changed.
  """
  brightness_key, contrast_key, chance_key = jax.random.split(key, 3)
  x = _clip(_uniform(brightness_key, batch, low, high) * batch['inputs'])
  mean = x.mean(axis=(1, 2, 3), keepdims=True)
  x = mean + _uniform(contrast_key, batch, low, high) * (x - mean)
  return _chosen(chance_key, probability, batch, _clip(x))


def saturation_hue(
  key: jax.Array,
  batch: Batch,
  *,
  low: float = 0.7,
  high: float = 1.3,
  max_degrees: float = 20.0,
  probability: float = 0.5,
) -> Batch:
  """Changes saturation and hue as HSV has them; its value, the largest channel, stays.

  Args:
    key: random key.
    batch: the micro-batch; see the module.
    low: the least factor of the saturation, which ends at 1.
    high: the most.
    max_degrees: the most that the hue turns, of 360. OpenCV's bytes have half as many.
    probability: that a picture is changed.
  """
  saturation_key, hue_key, chance_key = jax.random.split(key, 3)
  red, green, blue = jnp.split(batch['inputs'], 3, axis=3)
  value = jnp.maximum(jnp.maximum(red, green), blue)
  chroma = value - jnp.minimum(jnp.minimum(red, green), blue)
  share = 1 / jnp.maximum(chroma, 1e-6)
  hue = jnp.where(  # In sixths of the circle, from red.
    value == red,
    (green - blue) * share,
    jnp.where(value == green, 2 + (blue - red) * share, 4 + (red - green) * share),
  )
  hue += _uniform(hue_key, batch, -max_degrees, max_degrees) / 60
  chroma = jnp.minimum(_uniform(saturation_key, batch, low, high) * chroma, value)
  place = (hue + jnp.array([5.0, 3.0, 1.0])) % 6  # [batch, height, width, 3]
  x = value - chroma * jnp.clip(jnp.minimum(place, 4 - place), 0, 1)
  return _chosen(chance_key, probability, batch, x)


def pixel_noise(
  key: jax.Array, batch: Batch, *, sigma: float = 15.0, probability: float = 0.5
) -> Batch:
  """Adds normal noise of both signs to every channel, by itself."""
  noise_key, chance_key = jax.random.split(key)
  noise = jax.random.normal(noise_key, batch['inputs'].shape)
  return _chosen(chance_key, probability, batch, _clip(batch['inputs'] + sigma * noise))


def blur(key: jax.Array, batch: Batch, *, sigma: float = 1.0, probability: float = 0.5) -> Batch:
  """Blurs with a Gaussian of 5 x 5 pixels."""
  weights = jnp.exp(-((jnp.arange(-2, 3) / sigma) ** 2) / 2)
  x = batch['inputs']
  for axis in (1, 2):
    x = sum(w * s for w, s in zip(weights / weights.sum(), _shifted(x, axis, 2), strict=True))
  return _chosen(key, probability, batch, x)


def sharpen(
  key: jax.Array, batch: Batch, *, amount: float = 1.0, probability: float = 0.5
) -> Batch:
  """Adds `amount` times what a pixel differs from its four neighbours, summed over them."""
  x = batch['inputs']
  neighbours = sum(shifted for axis in (1, 2) for shifted in _shifted(x, axis, 1)[::2])
  return _chosen(key, probability, batch, _clip(x + amount * (4 * x - neighbours)))


AUGMENTS = {
  augment.__name__: augment
  for augment in (
    rotate_zoom,
    flip_horizontal,
    flip_vertical,
    exposure,
    saturation_hue,
    pixel_noise,
    blur,
    sharpen,
  )
}


def _shifted(x: jax.Array, axis: int, most: int) -> list[jax.Array]:
  """`x` moved by -most .. most pixels along an axis; the edge is repeated."""
  size = x.shape[axis]
  pads = [(most, most) if a == axis else (0, 0) for a in range(x.ndim)]
  padded = jnp.pad(x, pads, mode='edge')
  moves = range(2 * most + 1)
  return [jax.lax.slice_in_dim(padded, move, move + size, axis=axis) for move in moves]


def _uniform(key: jax.Array, batch: Batch, low: float, high: float) -> jax.Array:
  return jax.random.uniform(key, (len(batch['inputs']), 1, 1, 1), minval=low, maxval=high)


def _clip(x: jax.Array) -> jax.Array:
  return jnp.clip(x, 0, 255)


def _chosen(key: jax.Array, probability: float, batch: Batch, changed: jax.Array) -> Batch:
  chosen = jax.random.bernoulli(key, probability, (len(changed), 1, 1, 1))
  return batch | {'inputs': jnp.where(chosen, changed, batch['inputs'])}
