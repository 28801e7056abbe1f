"""musicnn: a CNN whose first filters have the shapes of timbre and of rhythm.

Pons et al. 2018, "End-to-end learning for music audio tagging at scale"; the sizes are those of the
weights that Pons and Serra published in 2019 ("musicnn: pre-trained convolutional neural networks
for music audio tagging"), see `experiments/import_musicnn.py`. Filters over many bands and few
frames, and over many frames of one band, are each told by their maximum over the bands; three
densely connected convolutions over time follow, and the maximum and the mean over time. BatchNorm
(momentum 0.99, epsilon 1e-3) comes after each ReLU. Here padding changes nothing.
"""

from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from musicjax.audio.front_ends import OFFSET_DB, SCALE_DB
from musicjax.errors import ConfigError
from musicjax.models import layers
from musicjax.models.convolution import Conv1D, convolve_image
from musicjax.models.dropout import Dropout


class MusicNN(nn.Module):
  """See the module; the defaults are the published sizes, for 96 bands.

  Attributes:
    num_classes: logits.
    dtype: of the products; statistics and logits are float32.
    timbral_bands: of the filters of 7 frames, `timbral_channels` each.
    timbral_channels: see there.
    temporal_frames: of the filters of one band, `temporal_channels` each.
    temporal_channels: see there.
    width: of the convolutions over time, of 7 frames.
    head_dim: width of the hidden layer of the head.
    head_dropout: before both layers of the head.
  """

  num_classes: int
  dtype: Any = jnp.float32
  timbral_bands: tuple[int, ...] = (38, 67)
  timbral_channels: int = 204
  temporal_frames: tuple[int, ...] = (128, 64, 32)
  temporal_channels: int = 51
  width: int = 64
  head_dim: int = 200
  head_dropout: float = 0.5

  normalizes: ClassVar[bool] = True  # Its inputs itself.

  @nn.compact
  def __call__(self, inputs: jax.Array, lengths: jax.Array, *, train: bool) -> jax.Array:
    """Tags log-mel frames.

    Args:
      inputs: `[batch, time, mel]`, decibels as `ScaledLogMel` gives them: not normalised. Frames
        from `lengths` on may hold anything.
      lengths: `[batch]` int, valid frames, at least 1.
      train: dropout on (needs the rng `dropout`), BatchNorm by the batch (updates `batch_stats`).

    Returns:
      Logits `[batch, num_classes]` float32.

    Raises:
      ConfigError: there are fewer bands than a filter has.
    """
    bands, most = inputs.shape[-1], max(self.timbral_bands)
    if bands < most:
      raise ConfigError(
        f'n_mels: expected at least {most} for config.model.timbral_bands, found {bands}'
      )
    mask = layers.frame_mask(lengths, inputs.shape[1])  # [batch, time]

    def norm(x, name, mask=mask):
      return layers.BatchNorm(0.01, 1e-3, self.dtype, name=name)(x, not train, mask)

    def filters(channels, shape, name):
      y = Filters(channels, shape, self.dtype, name=f'{name}_conv')(x)  # [batch, time, bands, ...]
      return layers.maximum(norm(nn.relu(y), f'{name}_norm'), axis=2)  # -> [batch, time, channels]

    x = compressed(layers.zero_padding(inputs, mask))[..., None]  # [batch, time, mel, 1]
    x = layers.zero_padding(norm(x, 'input_norm'), mask)
    front = [
      filters(self.timbral_channels, (7, bands), f'timbral_{i}')
      for i, bands in enumerate(self.timbral_bands)
    ] + [
      filters(self.temporal_channels, (frames, 1), f'temporal_{i}')
      for i, frames in enumerate(self.temporal_frames)
    ]
    stages = [layers.zero_padding(jnp.concatenate(front, axis=-1), mask)]
    for i in range(3):
      y = nn.relu(Conv1D(self.width, 7, self.dtype, name=f'time_{i}_conv')(stages[-1]))
      y = layers.zero_padding(norm(y, f'time_{i}_norm'), mask)  # [batch, time, width]
      stages.append(stages[-1] + y if i else y)

    x = jnp.concatenate(stages, axis=-1)
    x = jnp.concatenate(
      [layers.masked_max(x, mask), x.mean(axis=1, where=mask[..., None])], axis=-1
    )  # -> [batch, 2 * features]
    x = Dropout(self.head_dropout)(norm(x, 'pooled_norm', None), train)
    x = nn.relu(layers.dense(x, self.head_dim, self.dtype, 'head'))
    x = Dropout(self.head_dropout)(norm(x, 'head_norm', None), train)
    return layers.dense(x, self.num_classes, jnp.float32, 'logits')  # -> [batch, num_classes]


class Filters(nn.Module):
  """Convolution of `shape` frames x bands, 'same' in time and within the bands.

  `[batch, time, mel, in]` to `[batch, time, mel - bands + 1, features]`.
  """

  features: int
  shape: tuple[int, int]
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    shape = (*self.shape, x.shape[-1], self.features)
    kernel = self.param('kernel', nn.initializers.xavier_uniform(), shape)
    bias = self.param('bias', nn.initializers.zeros, (self.features,))
    x, kernel, bias = nn.dtypes.promote_dtype(x, kernel, bias, dtype=self.dtype)
    return convolve_image(x, kernel, within_bands=True) + bias


def compressed(inputs: jax.Array) -> jax.Array:
  """Scaled decibels to log10(1 + 10,000 power), what musicnn was trained on."""
  decibels = SCALE_DB * inputs.astype(jnp.float32) - OFFSET_DB
  return jnp.log10(1 + 10_000 * 10 ** (decibels / 10))


def create_model(config, num_classes: int, dtype='float32') -> MusicNN:
  """Returns the model of `config.model`, whose fields are the attributes of `MusicNN`.

  Raises:
    ConfigError: a field that there is not.
  """
  return layers.from_config(MusicNN, config, num_classes, dtype)
