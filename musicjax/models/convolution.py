"""'Same' convolutions over time and over images, each in the form that is fastest on its backend.

Shapes, parameters and `dtype` are as in `musicjax.models.layers`.
"""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from musicjax.apart import apart
from musicjax.models import winograd
from musicjax.models.layers import uniform_bias, uniform_kernel


def convolve_time(x: jax.Array, kernel: jax.Array, prepared: jax.Array | None = None) -> jax.Array:
  """'Same' convolution over time; the one place where a backend's fastest form is chosen.

  Args:
    x: `[batch, time, in]`.
    kernel: `[taps, in, out]`, of the same dtype.
    prepared: of `prepare_kernel`, where the kernel is not learnt.

  Returns:
    `[batch, time, out]`.
  """
  if _is_minimal(kernel):
    return winograd.convolve_time(x, kernel, prepared)
  if jax.default_backend() == 'cpu':
    time, taps = x.shape[1], kernel.shape[0]
    # Inside a scan, which micro-batches run in, XLA's CPU convolution is a naive loop: 100 times
    # slower. A sum of shifted products is not.
    left = (taps - 1) // 2
    padded = jnp.pad(x, ((0, 0), (left, taps - 1 - left), (0, 0)))
    return sum(padded[:, tap : tap + time] @ kernel[tap] for tap in range(taps))
  return jax.lax.conv_general_dilated(
    x, kernel, window_strides=(1,), padding='SAME', dimension_numbers=('NWC', 'WIO', 'NWC')
  )


def prepare_kernel(kernel: jax.Array) -> jax.Array | None:
  """Returns what `convolve_time` computes of a kernel alone; None for nothing."""
  return winograd.evaluate_kernel(kernel) if _is_minimal(kernel) else None


def _is_minimal(kernel: jax.Array) -> bool:
  is_float32 = kernel.dtype == jnp.float32
  return jax.default_backend() == 'cpu' and is_float32 and len(kernel) in winograd.TILES


class Conv1D(nn.Module):
  """PyTorch's `nn.Conv1d` with 'same' padding: `[batch, time, in]` to `[batch, time, features]`.

  Where the collection `precomputed` is mutable, as `System.precompute` has it, what is computed of
  the kernel alone goes there, and later calls that are given it do not compute it again.
  """

  features: int
  taps: int
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    fan_in = self.taps * x.shape[-1]
    kernel = self.param('kernel', uniform_kernel, (self.taps, x.shape[-1], self.features))
    bias = self.param('bias', uniform_bias(fan_in), (self.features,))
    x, kernel, bias = nn.dtypes.promote_dtype(x, kernel, bias, dtype=self.dtype)
    prepared = self.get_variable('precomputed', 'kernel')
    if self.is_mutable_collection('precomputed') and not self.is_initializing():
      prepared = prepare_kernel(kernel)
      if prepared is not None:
        self.put_variable('precomputed', 'kernel', prepared)
    return convolve_time(x, kernel, prepared) + bias


def convolve_image(x: jax.Array, kernel: jax.Array, within_bands: bool = False) -> jax.Array:
  """'Same' convolution over time and mel; the one place where a backend's fastest form is chosen.

  Args:
    x: `[batch, time, mel, in]`.
    kernel: `[height, width, in, out]` in frames and bands, of the same dtype.
    within_bands: mel is not padded.

  Returns:
    `[batch, time, mel, out]`; `within_bands`, mel - width + 1 bands.
  """
  if kernel.shape[:2] == (1, 1):
    rows = x.reshape(-1, x.shape[-1]) @ kernel[0, 0]  # As `layers.dense` does, and why.
    return rows.reshape(*x.shape[:-1], kernel.shape[-1])
  padding = tuple(((size - 1) // 2, size // 2) for size in kernel.shape[:2])
  if within_bands:
    padding = (padding[0], (0, 0))
  if jax.default_backend() == 'cpu':
    return _convolve_image_cpu(x, kernel, padding)
  return _convolve_nhwc(x, kernel, padding)


def _convolve_nhwc(x, kernel, padding):
  return jax.lax.conv_general_dilated(
    x, kernel, window_strides=(1, 1), padding=padding, dimension_numbers=('NHWC', 'HWIO', 'NHWC')
  )


# XLA's fast CPU convolution wants its operands as NHWC and HWIO. JAX's gradients are in other
# orders, which XLA mends in a program's outermost computation alone: inside a scan, where
# micro-batches run, they become naive loops. So both are written in the order it wants.
@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _convolve_image_cpu(x, kernel, padding):
  return _convolve_nhwc(x, kernel, padding)


def _convolve_image_cpu_forward(x, kernel, padding):
  return _convolve_nhwc(x, kernel, padding), (x, kernel)


def _convolve_image_cpu_backward(padding, saved, gradient):
  x, kernel = saved
  # As far as any place of the kernel reaches.
  mirrored = tuple(
    (size - 1 - low, size - 1 - high)
    for size, (low, high) in zip(kernel.shape[:2], padding, strict=True)
  )
  to_x = _convolve_nhwc(gradient, kernel[::-1, ::-1].swapaxes(2, 3), mirrored)
  # XLA would fuse what made the two images into their transposition, and compute it in that order,
  # five times slower.
  to_kernel = apart(functools.partial(_kernel_gradient, padding=padding), x, gradient)
  return to_x, to_kernel


def _kernel_gradient(x, gradient, padding):
  """A convolution of images: examples take the place of channels, these of examples."""
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
  # Squares of 2 x 2 pixels become channels, of which the kernel sees 2 x 2.
  batch, height, width, channels = x.shape
  rows, columns, features = height // 2 + 1, width // 2 + 1, kernel.shape[-1]
  x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
  x = x.reshape(batch, rows, 2, columns, 2, channels).swapaxes(2, 3)
  x = x.reshape(batch, rows, columns, 4 * channels)
  kernel = kernel.reshape(2, 2, 2, 2, channels, features)
  if features < 4 * channels:  # Fewer numbers lie in what is added than in what is multiplied.
    return _add_products(x, kernel.transpose(1, 3, 4, 0, 2, 5).reshape(4 * channels, 4 * features))
  return _squares(x) @ kernel.swapaxes(1, 2).reshape(16 * channels, features)


@jax.custom_vjp
def _add_products(x, kernel):
  """[batch, rows + 1, columns + 1, in], [in, 4 features] -> [batch, rows, columns, features]."""
  rows, columns = x.shape[1] - 1, x.shape[2] - 1
  corners = jnp.split(x @ kernel, 4, axis=-1)
  places = [(r, c) for r in (0, 1) for c in (0, 1)]
  return sum(y[:, r : r + rows, c : c + columns] for y, (r, c) in zip(corners, places, strict=True))


def _add_products_forward(x, kernel):
  return _add_products(x, kernel), (x, kernel)


# JAX would pad four times, and add.
def _add_products_backward(saved, gradient):
  x, kernel = saved
  seen = _squares(jnp.pad(gradient, ((0, 0), (1, 1), (1, 1), (0, 0))), (1, 0))
  return seen @ kernel.T, x.reshape(-1, x.shape[-1]).T @ seen.reshape(-1, seen.shape[-1])


_add_products.defvjp(_add_products_forward, _add_products_backward)


def _squares(x, order=(0, 1)):
  """[batch, rows + 1, columns + 1, in] -> [batch, rows, columns, 4 in]; `order` is the corners'."""
  rows, columns = x.shape[1] - 1, x.shape[2] - 1
  corners = [x[:, r : r + rows, c : c + columns] for r in order for c in order]
  return jnp.concatenate(corners, axis=-1)


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
