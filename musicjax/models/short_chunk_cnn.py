"""Residual CNN of 3x3 convolutions on log-mel, for chunks of seconds and for whole clips.

In the spirit of the residual short-chunk CNN of Won et al. 2020, "Evaluation of CNN-based automatic
music tagging models": no large kernels and no early loss of resolution, time and mel are halved
block by block. Ours pools by maximum and by mean at the end, over valid frames alone, and takes the
statistics of BatchNorm from these: padding changes nothing, in training either.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from musicjax.fields import check_name
from musicjax.models import layers
from musicjax.models.convolution import Conv2D
from musicjax.models.dropout import Dropout

POOLING = ('max', 'mean')


class ShortChunkCNN(nn.Module):
  """See the module; the defaults are for 128 bands.

  Attributes:
    num_classes: logits.
    dtype: of the products; statistics and logits are float32.
    channels: of the residual blocks, each of which halves time and mel: 7 for 128 bands.
    pooling: what is told of each channel over the image at the end: `POOLING`, or some of it.
    head_dim: width of the hidden layer of the head.
    head_dropout: before the logits.
  """

  num_classes: int
  dtype: Any = jnp.float32
  channels: tuple[int, ...] = (16, 16, 32, 32, 64, 64, 128)
  pooling: tuple[str, ...] = POOLING
  head_dim: int = 128
  head_dropout: float = 0.5

  @nn.compact
  def __call__(self, inputs: jax.Array, lengths: jax.Array, *, train: bool) -> jax.Array:
    """Tags log-mel frames.

    Args:
      inputs: `[batch, time, mel]`; frames from `lengths` on may hold anything.
      lengths: `[batch]` int, valid frames, at least 1.
      train: dropout on (needs the rng `dropout`), BatchNorm by the batch (updates `batch_stats`).

    Returns:
      Logits `[batch, num_classes]` float32.
    """
    # Else the first blocks, whose images are large, would have an odd frame to pool.
    inputs = jnp.pad(inputs, ((0, 0), (0, -inputs.shape[1] % 8), (0, 0)))
    mask = layers.frame_mask(lengths, inputs.shape[1])  # [batch, time]
    x = layers.zero_padding(inputs, mask)[..., None]  # [batch, time, mel, 1]
    x = layers.BatchNorm(dtype=self.dtype, name='input_norm')(x, not train, mask)

    for b, width in enumerate(self.channels):
      x = ResidualBlock(width, self.dtype, name=f'block_{b}')(x, mask, train)
      # After ReLU, the zeros of padding are no more than what is heard beside them.
      x = layers.max_pool(layers.zero_padding(x, mask), 2, ceil=True)
      lengths = -(-lengths // 2)
      mask = layers.frame_mask(lengths, x.shape[1])
      # -> [batch, ceil(time / 2), ceil(mel / 2), width]

    pooled = []
    if 'max' in self.pooling:
      whole = layers.zero_padding(x, mask).reshape(len(x), -1, x.shape[-1])
      pooled.append(layers.maximum(whole, axis=1))
    if 'mean' in self.pooling:
      pooled.append(x.mean(axis=(1, 2), where=mask[:, :, None, None]))
    x = jnp.concatenate(pooled, axis=-1)  # -> [batch, len(pooling) * width]
    x = layers.dense(x, self.head_dim, self.dtype, 'head')  # -> [batch, head_dim]
    x = nn.relu(layers.BatchNorm(dtype=self.dtype, name='head_norm')(x, not train))
    x = Dropout(self.head_dropout)(x, train)
    return layers.dense(x, self.num_classes, jnp.float32, 'logits')  # -> [batch, num_classes]


class ResidualBlock(nn.Module):
  """Two 3x3 convolutions with BatchNorm, added to the input: `[batch, time, mel, in]` to `width`.

  Where the width changes, the input goes through a 1x1 convolution with BatchNorm.
  """

  width: int
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array, mask: jax.Array, train: bool) -> jax.Array:
    def convolve(x, size, name):
      x = Conv2D(self.width, size, self.dtype, name=f'{name}_conv')(x)
      return layers.BatchNorm(dtype=self.dtype, name=f'{name}_norm')(x, not train, mask)

    x = layers.zero_padding(x, mask)  # [batch, time, mel, in]
    y = nn.relu(convolve(x, 3, 'first'))  # -> [batch, time, mel, width]
    y = convolve(layers.zero_padding(y, mask), 3, 'second')
    if x.shape[-1] != self.width:
      x = convolve(x, 1, 'shortcut')
    return nn.relu(x + y)


def create_model(config, num_classes: int, dtype='float32') -> ShortChunkCNN:
  """Returns the model of `config.model`, whose fields are the attributes of `ShortChunkCNN`.

  Raises:
    ConfigError: a field that there is not, or a pooling.
  """
  model = layers.from_config(ShortChunkCNN, config, num_classes, dtype)
  for name in model.pooling:
    check_name('config.model.pooling', name, POOLING)
  return model
