"""'Same' convolutions over time in the forms that a GPU may like, to be timed by `gpu.py`.

Each takes `x` [batch, time, in] and `kernel` [taps, in, out], and returns [batch, time, out].
"""

import jax
import jax.numpy as jnp


def _padded(x, taps):
  left = (taps - 1) // 2
  return jnp.pad(x, ((0, 0), (left, taps - 1 - left), (0, 0)))


def direct(x, kernel):
  return jax.lax.conv_general_dilated(
    x, kernel, window_strides=(1,), padding='SAME', dimension_numbers=('NWC', 'WIO', 'NWC')
  )


def direct_2d(x, kernel):
  y = jax.lax.conv_general_dilated(
    x[:, None], kernel[None], (1, 1), 'SAME', dimension_numbers=('NHWC', 'HWIO', 'NHWC')
  )
  return y[:, 0]


def shifted(x, kernel):
  """A product a tap, of shifted frames."""
  time, padded = x.shape[1], _padded(x, len(kernel))
  return sum(padded[:, tap : tap + time] @ weights for tap, weights in enumerate(kernel))


def shifted_flat(x, kernel):
  """The same, all examples behind one another with their padding: one large product a tap."""
  (batch, time, width), taps = x.shape, len(kernel)
  padded = _padded(x, taps)
  flat = jnp.pad(padded.reshape(-1, width), ((0, taps - 1), (0, 0)))
  rows = batch * padded.shape[1]
  y = sum(flat[tap : tap + rows] @ weights for tap, weights in enumerate(kernel))
  return y.reshape(batch, padded.shape[1], -1)[:, :time]


def added(x, kernel):
  """One product of all taps, whose results are shifted and added."""
  (_, time, width), taps = x.shape, len(kernel)
  products = _padded(x, taps) @ kernel.transpose(1, 0, 2).reshape(width, -1)
  products = jnp.split(products, taps, axis=-1)
  return sum(product[:, tap : tap + time] for tap, product in enumerate(products))


def _patches(x, taps):
  """[batch, time, in] -> [batch * time, taps * in]: each frame with its neighbours."""
  (batch, time, width), padded = x.shape, _padded(x, taps)
  patches = jnp.concatenate([padded[:, tap : tap + time] for tap in range(taps)], axis=-1)
  return patches.reshape(batch * time, taps * width)


def patches(x, kernel):
  """One product, of frames with their neighbours; gradients are JAX's."""
  taps, width, features = kernel.shape
  if taps == 1:
    return x @ kernel[0]
  y = _patches(x, taps) @ kernel.reshape(taps * width, features)
  return y.reshape(*x.shape[:2], features)


@jax.custom_vjp
def patches_both_ways(x, kernel):
  """The same, and the gradient to the input, too, is one product of a frame's neighbours."""
  return patches(x, kernel)


def _forward(x, kernel):
  return patches(x, kernel), (x, kernel)


def _backward(saved, gradient):
  x, kernel = saved
  taps = len(kernel)  # Odd: the mirrored kernel has the same padding.
  to_x = patches(gradient, kernel[::-1].swapaxes(1, 2))
  flat = gradient.reshape(-1, gradient.shape[-1])
  return to_x, (_patches(x, taps).T @ flat).reshape(kernel.shape)


patches_both_ways.defvjp(_forward, _backward)


FORMS = {
  'direct': direct,
  'direct_2d': direct_2d,
  'shifted': shifted,
  'shifted_flat': shifted_flat,
  'added': added,
  'patches': patches,
  'patches_both_ways': patches_both_ways,
}
