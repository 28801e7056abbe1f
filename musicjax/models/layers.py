"""What two or more models share: PyTorch's initialisers and norms, masks, attention, pooling.

The published systems were trained with PyTorch's defaults, which differ from Flax's in every layer
that follows. Shapes are `[batch, time, width]`, of images `[batch, time, mel, width]`; `mask` is
`[batch, time]`, True on valid frames.
Parameters are float32; `dtype` is that of the products. Softmax and statistics are float32.
"""

import dataclasses
import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from musicjax.apart import apart
from musicjax.errors import ConfigError
from musicjax.fields import check_fields
from musicjax.models.dropout import Dropout

# Uniform on +-1/sqrt(fan_in): PyTorch's Linear and Conv, kernels and biases alike.
uniform_kernel = nn.initializers.variance_scaling(1 / 3, 'fan_in', 'uniform')


def uniform_bias(fan_in: int):
  """Initialiser of the bias that goes with a `uniform_kernel` of this fan-in."""

  def init(key, shape, dtype=jnp.float32):
    return jax.random.uniform(key, shape, dtype, -1.0, 1.0) / fan_in**0.5

  return init


def dense(
  x: jax.Array, features: int, dtype: Any, name: str, kernel_init=uniform_kernel, bias_init=None
) -> jax.Array:
  """PyTorch's `nn.Linear`: `[..., width]` to `[..., features]`.

  As one product of matrices: of more axes, XLA on CPU transposes one side of the gradient to the
  kernel, and computes all that made that side column by column, many times slower.
  """
  rows = nn.Dense(
    features,
    dtype=dtype,
    kernel_init=kernel_init,
    bias_init=bias_init or uniform_bias(x.shape[-1]),
    name=name,
  )(x.reshape(-1, x.shape[-1]))
  return rows.reshape(*x.shape[:-1], features)


def layer_norm(x: jax.Array, dtype: Any, name: str) -> jax.Array:
  """PyTorch's `nn.LayerNorm` over the last axis: epsilon 1e-5, variance in two passes."""
  return nn.LayerNorm(epsilon=1e-5, dtype=dtype, use_fast_variance=False, name=name)(x)


class BatchNorm(nn.Module):
  """PyTorch's `nn.BatchNorm1d/2d` over all axes but the last.

  Normalises by the biased variance of the batch and keeps running averages of the mean and of the
  *unbiased* variance in the collection `batch_stats` (`mean`, `var`).

  Attributes:
    momentum: weight of the new batch in the running averages.
    epsilon: added to the variance.
    dtype: of the output; statistics are float32 whatever it is.
    use_scale: multiply by a learned factor a feature.
  """

  momentum: float = 0.1
  epsilon: float = 1e-5
  dtype: Any = jnp.float32
  use_scale: bool = True

  @nn.compact
  def __call__(
    self, x: jax.Array, use_running_average: bool, mask: jax.Array | None = None
  ) -> jax.Array:
    """Normalises `[..., width]`.

    Args:
      x: `[..., width]`.
      use_running_average: in evaluation; else the statistics are the batch's.
      mask: `[batch, time]`, of an `x` `[batch, time, ..., width]`: frames that statistics are taken
        of. All by default, as in PyTorch's.

    Raises:
      ConfigError: in training, where a single value a feature has no variance.
    """
    features = x.shape[-1]
    scale = jnp.ones(features)
    if self.use_scale:
      scale = self.param('scale', nn.initializers.ones, (features,))
    bias = self.param('bias', nn.initializers.zeros, (features,))
    running_mean = self.variable('batch_stats', 'mean', jnp.zeros, (features,))
    running_var = self.variable('batch_stats', 'var', jnp.ones, (features,))

    x = jnp.asarray(x, jnp.float32)
    if use_running_average:
      mean, var = running_mean.value, running_var.value
      x = (x - mean) * jax.lax.rsqrt(var + self.epsilon) * scale + bias
    else:
      most = count = x.size // features
      where = None
      if mask is not None:
        where = mask.reshape(mask.shape + (1,) * (x.ndim - 2))
        count = mask.sum() * (most // mask.size)
      normalize = _normalize_cpu if jax.default_backend() == 'cpu' else _normalize
      x, mean, var = normalize(x, where, count, scale, bias, self.epsilon)
      if not self.is_initializing():
        if most < 2:
          raise ConfigError(
            'config.batch_size / accumulate: expected at least 2 examples a '
            f'micro-batch for BatchNorm, found {most}'
          )
        unbiased = var * (count / jnp.maximum(count - 1, 1))
        running_mean.value += self.momentum * (mean - running_mean.value)
        running_var.value += self.momentum * (unbiased - running_var.value)
    return x.astype(self.dtype)


def _normalize(x, where, count, scale, bias, epsilon):
  """`[..., width]` normalised, and the mean and variance of the rows where `where`.

  `count` is how many these are, for the gradient.
  """
  axes = tuple(range(x.ndim - 1))
  mean = x.mean(axes, where=where)
  var = jnp.square(x - mean).mean(axes, where=where)
  return (x - mean) * jax.lax.rsqrt(var + epsilon) * scale + bias, mean, var


# XLA on CPU makes seven passes and five sums of JAX's gradient, which takes three times as long.
_normalize_cpu = jax.custom_vjp(_normalize, nondiff_argnums=(5,))


def _normalize_forward(x, where, count, scale, bias, epsilon):
  y, mean, var = _normalize(x, where, count, scale, bias, epsilon)
  return (y, mean, var), (x - mean, where, count, scale, jax.lax.rsqrt(var + epsilon))


def _normalize_backward(epsilon, saved, gradients):
  """No gradient comes through the mean and variance themselves, which are only kept."""
  del epsilon
  centred, where, count, scale, inverse = saved
  gradient, axes = gradients[0], tuple(range(centred.ndim - 1))
  to_bias, seen = gradient.sum(axes), (gradient * centred).sum(axes)
  mean, slope = to_bias / count, inverse * inverse * seen / count
  if where is not None:
    mean, slope = jnp.where(where, mean, 0), jnp.where(where, slope, 0)
  to_x = (scale * inverse) * (gradient - mean - centred * slope)
  return to_x, None, None, inverse * seen, to_bias


_normalize_cpu.defvjp(_normalize_forward, _normalize_backward)


def from_config(module: type[nn.Module], config, num_classes: int, dtype: Any) -> nn.Module:
  """Returns `module` with the fields of `config.model` as its attributes.

  Lists, as a config read back from JSON holds them, become the tuples of a hashable module.

  Raises:
    ConfigError: a field that is none of its attributes.
  """
  known = {field.name for field in dataclasses.fields(module)}
  fields = check_fields(
    'config.model', config, sorted(known - {'num_classes', 'dtype', 'parent', 'name'})
  )
  fields = {name: _tuples(value) for name, value in fields.items()}
  return module(num_classes=num_classes, dtype=jnp.dtype(dtype), **fields)


def _tuples(value: Any) -> Any:
  return tuple(map(_tuples, value)) if isinstance(value, list | tuple) else value


def frame_mask(lengths: jax.Array, time: int) -> jax.Array:
  """`lengths` `[batch]` to `[batch, time]` bool, True on the first `lengths` frames."""
  return jnp.arange(time) < lengths[:, None]


def zero_padding(x: jax.Array, mask: jax.Array) -> jax.Array:
  """`x` `[batch, time, ...]` with zeros where `mask` is False, whatever stood there (NaN too)."""
  return jnp.where(mask.reshape(mask.shape + (1,) * (x.ndim - 2)), x, 0)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def maximum(x: jax.Array, axis: int) -> jax.Array:
  """`x.max(axis)`, of which the first of equals gets the gradient, as in PyTorch.

  The gradient of `max` looks for what equals the maximum. Where XLA fuses the two with a norm
  before them, they need not be equal to the last bit, and none is found. An index stays; it is
  looked for only where there is a gradient.
  """
  return x.max(axis)


def _maximum_forward(x, axis):
  first = jnp.expand_dims(jnp.argmax(x, axis), axis)
  place = jax.lax.broadcasted_iota(first.dtype, x.shape, axis % x.ndim) == first
  return jnp.where(place, x, 0).sum(axis), place


def _maximum_backward(axis, place, gradient):
  return (jnp.where(place, jnp.expand_dims(gradient, axis), 0),)


maximum.defvjp(_maximum_forward, _maximum_backward)


def masked_max(x: jax.Array, mask: jax.Array) -> jax.Array:
  """Maximum over the valid frames: `[batch, time, width]` to `[batch, width]`."""
  return maximum(jnp.where(mask[..., None], x, jnp.finfo(x.dtype).min), axis=1)


def masked_softmax(logits: jax.Array, mask: jax.Array, axis: int) -> jax.Array:
  """Softmax over `axis` in float32; exactly 0 where `mask`, of the same rank, is False."""
  logits = logits.astype(jnp.float32)
  return jax.nn.softmax(jnp.where(mask, logits, jnp.finfo(jnp.float32).min), axis=axis)


def max_pool(x: jax.Array, size: int, ceil: bool = False) -> jax.Array:
  """PyTorch's `nn.MaxPool2d(size)`: `[batch, time, mel, width]` to `[batch, time // size, ...]`.

  Not `reduce_window`, whose gradient runs on one core of a CPU, and not `max`, as in `maximum`.
  Where `ceil`, the last window may be partly outside, as in PyTorch's `ceil_mode`; otherwise what
  fills no window is left out. An axis shorter than the window is one window.
  """
  batch, time, mel, width = x.shape
  high, wide = min(size, time), min(size, mel)
  if ceil:
    pads = ((0, 0), (0, -time % high), (0, -mel % wide), (0, 0))
    x = jnp.pad(x, pads, constant_values=jnp.finfo(x.dtype).min)
  rows, columns = x.shape[1] // high, x.shape[2] // wide
  x = x[:, : rows * high, : columns * wide]
  x = x.reshape(batch, rows, high, columns, wide, width)
  return _most_of_windows(x)


@jax.custom_vjp
def _most_of_windows(x):
  """[batch, rows, high, columns, wide, width] -> [batch, rows, columns, width]."""
  return _pick(x)[0]


def _pick(x):
  """The maximum of each window, and which cell it is, the first of equals."""
  cells = [x[:, :, row, :, column] for row in range(x.shape[2]) for column in range(x.shape[4])]
  most, which = cells[0], jnp.zeros(cells[0].shape, jnp.int32)
  for number, cell in enumerate(cells[1:], 1):
    larger = cell > most
    most, which = jnp.where(larger, cell, most), jnp.where(larger, number, which)
  return most, which


def _most_of_windows_forward(x):
  most, which = _pick(x)
  return most, (which, x.shape)


# JAX would add up a padded image a cell, with conditions for every number of each.
def _most_of_windows_backward(saved, gradient):
  which, (_, _, high, _, wide, _) = saved
  number = np.arange(high * wide, dtype=np.int32).reshape(high, 1, wide, 1)

  def spread(gradient, which):
    place = which[:, :, None, :, None] == number
    return jnp.where(place, gradient[:, :, None, :, None], 0)

  return (apart(spread, gradient, which),)  # Of what fills no window: padding, fused, costs most.


_most_of_windows.defvjp(_most_of_windows_forward, _most_of_windows_backward)


def rotate(x: jax.Array) -> jax.Array:
  """Rotary positions (Su et al. 2021): turns pairs of features by angles that grow with time.

  The product of two rotated vectors depends on their distance in time alone, so that a random span
  looks the same wherever in the track it was cut.

  Args:
    x: queries or keys `[batch, heads, time, features]`, features even.
  """
  time, features = x.shape[-2:]
  # In numpy: XLA would compute them again for every number that they meet.
  frequency = 10_000.0 ** (-np.arange(0, features, 2) / features)
  angle = np.arange(time)[:, None] * frequency  # [time, features / 2]
  cos, sin = np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)
  first, second = jnp.split(x.astype(jnp.float32), 2, axis=-1)
  rotated = jnp.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)
  return rotated.astype(x.dtype)


class SelfAttention(nn.Module):
  """PyTorch's `nn.MultiheadAttention` of a sequence with itself, with a key padding mask.

  Attributes:
    num_heads: divides the width.
    dropout: of attention weights.
    rotary: encode relative positions in queries and keys (not in PyTorch's).
    dtype: of the products.
  """

  num_heads: int
  dropout: float
  rotary: bool
  dtype: Any

  @nn.compact
  def __call__(self, x: jax.Array, mask: jax.Array, train: bool) -> jax.Array:
    batch, time, width = x.shape
    # PyTorch draws the three projections as one Xavier matrix, and the biases as zeros.
    xavier, zeros = nn.initializers.xavier_uniform(), nn.initializers.zeros
    packed = dense(x, 3 * width, self.dtype, 'in_proj', xavier, zeros)
    # Split, not indexed: gradients are then joined, not padded and added. Heads before time: on CPU
    # products of matrices that lie as they are multiplied take half as long.
    query, key, value = (  # [batch, heads, time, features]
      part.reshape(batch, time, self.num_heads, width // self.num_heads).swapaxes(1, 2)
      for part in jnp.split(packed, 3, axis=-1)
    )
    if self.rotary:
      query, key = rotate(query), rotate(key)
    query = query / (width // self.num_heads) ** 0.5
    scores = jnp.matmul(query, key.swapaxes(2, 3), preferred_element_type=jnp.float32)
    weights = masked_softmax(scores, mask[:, None, None, :], axis=-1).astype(self.dtype)
    weights = Dropout(self.dropout)(weights, train)  # [batch, heads, query time, key time]
    x = (weights @ value).swapaxes(1, 2).reshape(batch, time, width)
    return dense(x, width, self.dtype, 'out_proj', bias_init=zeros)


class TransformerEncoderLayer(nn.Module):
  """PyTorch's `nn.TransformerEncoderLayer` with ReLU: `[batch, time, width]` to the same.

  Attributes:
    num_heads: divides the width.
    mlp_dim: width between the two feed-forward layers.
    dropout: of attention weights, of the hidden feed-forward layer and of both residual branches.
    norm_first: LayerNorm before each branch (pre-norm), not after each sum.
    rotary: see `SelfAttention`.
    dtype: of the products.
  """

  num_heads: int
  mlp_dim: int
  dropout: float = 0.1
  norm_first: bool = False
  rotary: bool = False
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array, mask: jax.Array, train: bool) -> jax.Array:
    def drop(x):
      return Dropout(self.dropout)(x, train)

    def attend(x):
      attention = SelfAttention(
        self.num_heads, self.dropout, self.rotary, self.dtype, name='attention'
      )
      return drop(attention(x, mask, train))

    def feed_forward(x):
      hidden = drop(nn.relu(dense(x, self.mlp_dim, self.dtype, 'linear1')))
      return drop(dense(hidden, x.shape[-1], self.dtype, 'linear2'))

    if self.norm_first:
      x = x + attend(layer_norm(x, self.dtype, 'norm1'))
      return x + feed_forward(layer_norm(x, self.dtype, 'norm2'))
    x = layer_norm(x + attend(x), self.dtype, 'norm1')
    return layer_norm(x + feed_forward(x), self.dtype, 'norm2')


class AttentionPool(nn.Module):
  """Each head averages its share of the features with its own learned weights over time.

  `[batch, time, width]` to `[batch, width]`; weights are a softmax over the valid frames.
  """

  num_heads: int
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array, mask: jax.Array) -> jax.Array:
    batch, time, width = x.shape
    scores = dense(x, self.num_heads, self.dtype, 'score')  # [batch, time, heads]
    weights = masked_softmax(scores, mask[..., None], axis=1).astype(self.dtype)
    value = dense(x, width, self.dtype, 'value').reshape(batch, time, self.num_heads, -1)
    return jnp.einsum('bth,bthd->bhd', weights, value).reshape(batch, width)
