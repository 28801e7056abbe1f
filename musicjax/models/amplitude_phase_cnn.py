"""The published Freesound 2018 baseline: three convolutions on amplitude and phase of an STFT.

Three times dropout, convolution of 3 frames x 11 frequencies, BatchNorm, ReLU and max-pooling by 2,
then a mean over time and frequency, dropout and a 1x1 convolution. Padding, BatchNorm (statistics
of `decay` 0.999, unbiased variance, no scale) and initialisation are TensorFlow's. It was trained
on crops of one length and read whole recordings one by one; here padding changes nothing, so that
recordings of several lengths share a batch.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from musicjax.models import layers
from musicjax.models.convolution import convolve_image
from musicjax.models.dropout import Dropout


class AmplitudePhaseCNN(nn.Module):
  """See the module; the defaults are the published sizes.

  Attributes:
    num_classes: logits.
    dtype: of the products; statistics and logits are float32.
    channels: of the convolutions.
    dropout: before each convolution.
    head_dropout: before the logits.
  """

  num_classes: int
  dtype: Any = jnp.float32
  channels: tuple[int, ...] = (16, 32, 64)
  dropout: float = 0.1
  head_dropout: float = 0.2

  @nn.compact
  def __call__(self, inputs: jax.Array, lengths: jax.Array, *, train: bool) -> jax.Array:
    """Tags spectra.

    Args:
      inputs: `[batch, time, frequency, channels]`; frames from `lengths` on may hold anything.
      lengths: `[batch]` int, valid frames, at least 1.
      train: dropout on (needs the rng `dropout`), BatchNorm by the batch (updates `batch_stats`).

    Returns:
      Logits `[batch, num_classes]` float32.
    """
    mask = layers.frame_mask(lengths, inputs.shape[1])  # [batch, time]
    x = inputs.astype(self.dtype)
    for b, width in enumerate(self.channels):
      x = Dropout(self.dropout)(layers.zero_padding(x, mask), train)
      x = Convolution(width, self.dtype, name=f'conv_{b}')(x)  # -> [batch, time, freq., width]
      x = layers.BatchNorm(0.001, 1e-3, self.dtype, use_scale=False, name=f'norm_{b}')(
        x, not train, mask
      )
      x = layers.max_pool(nn.relu(x), 2)  # -> [batch, time // 2, frequency // 2, width]
      lengths = jnp.maximum(lengths // 2, 1)  # What is shorter than a window is one.
      mask = layers.frame_mask(lengths, x.shape[1])
    x = x.mean(axis=(1, 2), where=mask[:, :, None, None])  # -> [batch, width]
    x = Dropout(self.head_dropout)(x, train)
    return nn.Dense(self.num_classes, kernel_init=nn.initializers.xavier_uniform(), name='logits')(
      x.astype(jnp.float32)
    )  # -> [batch, num_classes]


class Convolution(nn.Module):
  """3 frames x 11 frequencies, 'same', no bias: `[batch, time, frequency, in]` to `features`."""

  features: int
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    shape = (3, 11, x.shape[-1], self.features)
    kernel = self.param('kernel', nn.initializers.xavier_uniform(), shape)
    return convolve_image(*nn.dtypes.promote_dtype(x, kernel, dtype=self.dtype))


def create_model(config, num_classes: int, dtype='float32') -> AmplitudePhaseCNN:
  """Returns the model of `config.model`, whose fields are the attributes of `AmplitudePhaseCNN`.

  Raises:
    ConfigError: a field that there is not.
  """
  return layers.from_config(AmplitudePhaseCNN, config, num_classes, dtype)
