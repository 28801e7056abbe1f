"""SpectrogramCNN of the Music-Predictor system: blocks of two 3x3 convolutions on mel slices.

As published, with its attention variant (channel, then spatial attention; Woo et al. 2018). It was
made for slices of one length, and reads them as images: frames from `lengths` on are zero after
standardisation, its mean, and count like all others, in the mean over the image too. A slice of
full length is therefore treated as published; a shorter one should be made full before (repeated,
or padded), and always to the same length. Initialisation and BatchNorm are PyTorch's.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from musicjax.models import layers
from musicjax.models.dropout import Dropout


class SpectrogramCNN(nn.Module):
  """See the module; the defaults are the published sizes. The attention variant pools by 2.

  Attributes:
    num_classes: logits.
    dtype: of the products; statistics and logits are float32.
    channels: of the two convolutions of each block.
    pool: frames and bands that max-pooling makes one of, after each block.
    attention: channel and spatial attention before each pooling.
    standardize: each example's valid frames to mean 0 and deviation 1, as published. Here, and not
      before: augmentation of images in 0..1 must precede it.
    head_dim: width of the hidden layer of the head.
    dropout: after each block and before the logits.
  """

  num_classes: int
  dtype: Any = jnp.float32
  channels: tuple[int, ...] = (32, 64, 128)
  pool: int = 3
  attention: bool = False
  standardize: bool = True
  head_dim: int = 256
  dropout: float = 0.5

  @nn.compact
  def __call__(self, inputs: jax.Array, lengths: jax.Array, *, train: bool) -> jax.Array:
    """Tags slices of log-mel frames.

    Args:
      inputs: `[batch, time, mel]`; frames from `lengths` on may hold anything.
      lengths: `[batch]` int, valid frames, at least 1.
      train: dropout on (needs the rng `dropout`), BatchNorm by the batch (updates `batch_stats`).

    Returns:
      Logits `[batch, num_classes]` float32.
    """
    mask = layers.frame_mask(lengths, inputs.shape[1])  # [batch, time]
    x = layers.zero_padding(inputs, mask)
    if self.standardize:
      x = layers.zero_padding(_standardize(x, mask), mask)
    x = x[..., None].astype(self.dtype)  # [batch, time, mel, 1]

    for b, width in enumerate(self.channels):
      for i in range(2):
        x = layers.Conv2D(width, 3, self.dtype, name=f'block_{b}_conv_{i}')(x)
        x = layers.BatchNorm(dtype=self.dtype, name=f'block_{b}_norm_{i}')(x, not train)
        x = nn.relu(x)  # -> [batch, time, mel, width]
      if self.attention:
        x = ChannelAttention(dtype=self.dtype, name=f'block_{b}_channel')(x)
        x = SpatialAttention(dtype=self.dtype, name=f'block_{b}_spatial')(x)
      x = layers.max_pool(x, self.pool)  # -> [batch, time // pool, mel // pool, width]
      x = Dropout(self.dropout)(x, train)

    x = x.mean(axis=(1, 2))  # -> [batch, width]
    x = layers.dense(x, self.head_dim, self.dtype, 'head')  # -> [batch, head_dim]
    x = nn.relu(layers.BatchNorm(dtype=self.dtype, name='head_norm')(x, not train))
    x = Dropout(self.dropout)(x, train)
    return layers.dense(x, self.num_classes, jnp.float32, 'logits')  # -> [batch, num_classes]


class ChannelAttention(nn.Module):
  """Weighs channels by a small network, without biases, of their means and of their maxima.

  `[batch, time, mel, width]` to the same.

  Attributes:
    reduction: channels to one hidden unit; there are at least 4 units.
    dtype: of the products.
  """

  reduction: int = 16
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    def dense(features, name):
      kernel_init = layers.uniform_kernel
      return nn.Dense(
        features, use_bias=False, dtype=self.dtype, kernel_init=kernel_init, name=name
      )

    width = x.shape[-1]
    down, up = dense(max(width // self.reduction, 4), 'down'), dense(width, 'up')
    loudest = layers.maximum(x.reshape(len(x), -1, width), axis=1)
    pooled = x.mean(axis=(1, 2)), loudest  # each [batch, width]
    scores = sum(up(nn.relu(down(p))) for p in pooled)  # [batch, width]
    return x * nn.sigmoid(scores)[:, None, None]


class SpatialAttention(nn.Module):
  """Weighs positions by a 7x7 convolution of the channels' mean and maximum there.

  `[batch, time, mel, width]` to the same.
  """

  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    pooled = jnp.stack(
      [x.mean(axis=-1), layers.maximum(x, axis=-1)], axis=-1
    )  # [batch, time, mel, 2]
    return x * nn.sigmoid(layers.Conv2D(1, 7, self.dtype, name='conv')(pooled))


def _standardize(x: jax.Array, mask: jax.Array) -> jax.Array:
  """`[batch, time, mel]` with mean 0 and deviation 1 over an example's valid frames."""
  where = mask[..., None]
  x = x - x.mean(axis=(1, 2), where=where, keepdims=True)
  var = jnp.square(x).mean(axis=(1, 2), where=where, keepdims=True)
  return x * jax.lax.rsqrt(var + 1e-10)  # Silence has no deviation.


def create_model(config, num_classes: int, dtype='float32') -> SpectrogramCNN:
  """Returns the model of `config.model`, whose fields are the attributes of `SpectrogramCNN`.

  Raises:
    ConfigError: a field that there is not.
  """
  return layers.from_config(SpectrogramCNN, config, num_classes, dtype)
