"""'Same' convolutions over time and over images, each in the form that is fastest on its backend.

Shapes, parameters and `dtype` are as in `musicjax.models.layers`.
"""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from musicjax.models.layers import uniform_bias, uniform_kernel


def convolve_time(x: jax.Array, kernel: jax.Array) -> jax.Array:
  """'Same' convolution over time; the one place where a backend's fastest form is chosen.

  Args:
    x: `[batch, time, in]`.
    kernel: `[taps, in, out]`, of the same dtype.

  Returns:
    `[batch, time, out]`.
  """
  if jax.default_backend() == 'cpu':
    # Inside a scan, which micro-batches run in, XLA's CPU convolution is a naive loop: 100 times
    # slower. A sum of shifted products is not.
    time, taps = x.shape[1], kernel.shape[0]
    left = (taps - 1) // 2
    padded = jnp.pad(x, ((0, 0), (left, taps - 1 - left), (0, 0)))
    return sum(padded[:, tap : tap + time] @ kernel[tap] for tap in range(taps))
  return jax.lax.conv_general_dilated(
    x, kernel, window_strides=(1,), padding='SAME', dimension_numbers=('NWC', 'WIO', 'NWC')
  )


class Conv1D(nn.Module):
  """PyTorch's `nn.Conv1d` with 'same' padding: `[batch, time, in]` to `[batch, time, features]`."""

  features: int
  taps: int
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    fan_in = self.taps * x.shape[-1]
    kernel = self.param('kernel', uniform_kernel, (self.taps, x.shape[-1], self.features))
    bias = self.param('bias', uniform_bias(fan_in), (self.features,))
    x, kernel, bias = nn.dtypes.promote_dtype(x, kernel, bias, dtype=self.dtype)
    return convolve_time(x, kernel) + bias


def convolve_image(x: jax.Array, kernel: jax.Array) -> jax.Array:
  """'Same' convolution over time and mel; the one place where a backend's fastest form is chosen.

  Args:
    x: `[batch, time, mel, in]`.
    kernel: `[height, width, in, out]` in frames and bands, of the same dtype.

  Returns:
    `[batch, time, mel, out]`.
  """
  if kernel.shape[:2] == (1, 1):
    return x @ kernel[0, 0]
  padding = tuple(((size - 1) // 2, size // 2) for size in kernel.shape[:2])
  if jax.default_backend() == 'cpu':
    return _convolve_image_cpu(x, kernel, padding)
  return _convolve_nhwc(x, kernel, padding)


def _convolve_nhwc(x, kernel, padding):
  return jax.lax.conv_general_dilated(
    x, kernel, window_strides=(1, 1), padding=padding, dimension_numbers=('NHWC', 'HWIO', 'NHWC')
  )


# XLA's fast CPU convolution wants its operands as NHWC and HWIO. JAX's gradients are in other
# orders, which XLA mends in a program's outermost computation alone: inside a scan, where
# micro-batches run, they become naive loops. So that to the input is written in the order it wants,
# and that to the kernel as products, which are two to five times faster still.
@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _convolve_image_cpu(x, kernel, padding):
  return _convolve_nhwc(x, kernel, padding)


def _convolve_image_cpu_forward(x, kernel, padding):
  return _convolve_nhwc(x, kernel, padding), (x, kernel)


def _convolve_image_cpu_backward(padding, saved, gradient):
  x, kernel = saved
  mirrored = tuple((high, low) for low, high in padding)
  to_x = _convolve_nhwc(gradient, kernel[::-1, ::-1].swapaxes(2, 3), mirrored)
  # A scan over examples that other devices hold would move them all.
  to_kernel = _kernel_gradient if jax.device_count() == 1 else _kernel_gradient_of_many_devices
  return to_x, to_kernel(x, gradient, kernel.shape[:2], padding)


def _kernel_gradient(x, gradient, size, padding):
  """Products of an example's patches, a row of the kernel wide, with its gradient.

  Those of one example are held by the cache; those of a batch would be read from memory.
  """
  (_, time, mel, width), features = x.shape, gradient.shape[-1]
  height, columns = size
  x = jnp.pad(x, ((0, 0), *padding, (0, 0)))

  def add(total, example):
    x, gradient = example
    gradient = gradient.reshape(time * mel, features)
    patches = jnp.concatenate([x[:, c : c + mel] for c in range(columns)], axis=-1)
    rows = [patches[r : r + time].reshape(time * mel, -1) for r in range(height)]
    products = [jnp.matmul(r.T, gradient, preferred_element_type=jnp.float32) for r in rows]
    return total + jnp.stack(products), None

  total = jnp.zeros((height, columns * width, features))
  total, _ = jax.lax.scan(add, total, (x, gradient))
  return total.reshape(height, columns, width, features).astype(x.dtype)


def _kernel_gradient_of_many_devices(x, gradient, size, padding):
  """As one convolution: examples take the place of channels."""
  del size
  to_kernel = _convolve_nhwc(x.transpose(3, 1, 2, 0), gradient.transpose(1, 2, 0, 3), padding)
  return to_kernel.transpose(1, 2, 0, 3)


_convolve_image_cpu.defvjp(_convolve_image_cpu_forward, _convolve_image_cpu_backward)


class Conv2D(nn.Module):
  """PyTorch's `nn.Conv2d` without bias, square, with 'same' padding.

  `[batch, time, mel, in]` to `[batch, time, mel, features]`.
  """

  features: int
  size: int
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    shape = (self.size, self.size, x.shape[-1], self.features)
    kernel = self.param('kernel', uniform_kernel, shape)
    return convolve_image(*nn.dtypes.promote_dtype(x, kernel, dtype=self.dtype))


def convolve_halving(x: jax.Array, kernel: jax.Array) -> jax.Array:
  """Convolution of stride 2 with a padding of 1, by the backend's fastest form.

  Args:
    x: `[batch, height, width, in]`, both sides even.
    kernel: `[4, 4, in, out]`, of the same dtype.

  Returns:
    `[batch, height / 2, width / 2, out]`.
  """
  if jax.default_backend() != 'cpu':
    return jax.lax.conv_general_dilated(
      x, kernel, (2, 2), ((1, 1), (1, 1)), dimension_numbers=('NHWC', 'HWIO', 'NHWC')
    )
  # Squares of 2 x 2 pixels become channels, of which the kernel sees 2 x 2: one product.
  batch, height, width, channels = x.shape
  rows, columns, features = height // 2, width // 2, kernel.shape[-1]
  x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
  x = x.reshape(batch, rows + 1, 2, columns + 1, 2, channels).swapaxes(2, 3)
  x = x.reshape(batch, rows + 1, columns + 1, 4 * channels)
  corners = [x[:, r : r + rows, c : c + columns] for r in (0, 1) for c in (0, 1)]
  patches = jnp.concatenate(corners, axis=-1)  # [batch, rows, columns, 16 channels]
  kernel = kernel.reshape(2, 2, 2, 2, channels, features).swapaxes(1, 2)
  return patches @ kernel.reshape(16 * channels, features)


class HalvingConv2D(nn.Module):
  """PyTorch's `nn.Conv2d(in, features, 4, stride=2, padding=1)`.

  `[batch, height, width, in]` to `[batch, height / 2, width / 2, features]`.
  """

  features: int
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    shape = (4, 4, x.shape[-1], self.features)
    kernel = self.param('kernel', uniform_kernel, shape)
    bias = self.param('bias', uniform_bias(16 * x.shape[-1]), (self.features,))
    x, kernel, bias = nn.dtypes.promote_dtype(x, kernel, bias, dtype=self.dtype)
    return convolve_halving(x, kernel) + bias
