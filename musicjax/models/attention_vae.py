"""Attention VAE of the PRESSED/PLAY system: a cover to the audio features of what it covers.

Strided convolutions, one attention map, a Gaussian code and a linear decoder. `attention='column'`
is as published, a softmax over each column by itself; `image` is one over all places, scaled to
mean 1, so that features keep their size. A code is drawn in training; evaluated, it is the mean
(published: drawn, too). What outputs are in, and what bounds them, is the task's
(`musicjax.targets`). Initialisation is PyTorch's.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from musicjax.errors import ConfigError
from musicjax.fields import check_name
from musicjax.models import layers
from musicjax.models.convolution import HalvingConv2D

# Of the channels of ImageNet's pictures, in 0..1.
_MEAN, _STD = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])


class AttentionVAE(nn.Module):
  """See the module; the defaults are the published sizes, and our attention.

  Sows what the code's distribution costs in training, `penalties/kl` `[batch]`, and as
  `intermediates` `attention` `[batch, rows, columns]` and `code`, its mean and log-variance
  `[batch, latent_dim]`.

  Attributes:
    num_classes: outputs.
    dtype: of the products; attention, code and outputs are float32.
    channels: of the convolutions, each of which halves height and width.
    attention: what a softmax is taken over, `image` or `column`.
    latent_dim: of the code.
  """

  num_classes: int
  dtype: Any = jnp.float32
  channels: tuple[int, ...] = (32, 64, 128)
  attention: str = 'image'
  latent_dim: int = 32

  penalties = ('kl',)

  @nn.compact
  def __call__(self, inputs: jax.Array, lengths: jax.Array, *, train: bool) -> jax.Array:
    """Maps pictures to outputs.

    Args:
      inputs: `[batch, height, width, 3]` in 0..255; sides are multiples of 2^(convolutions).
      lengths: `[batch]`, not used: a picture is whole.
      train: draw the code (needs the rng `dropout`).

    Returns:
      `[batch, num_classes]` float32.

    Raises:
      ConfigError: sides are other multiples.
    """
    del lengths
    _, height, width, _ = inputs.shape
    if height % (factor := 2 ** len(self.channels)) or width % factor:
      raise ConfigError(
        f'config.model.channels: expected pictures whose sides are multiples of {factor} for '
        f'{len(self.channels)} convolutions, found {height} x {width}'
      )
    x = ((inputs / 255 - _MEAN) / _STD).astype(self.dtype)
    for i, width in enumerate(self.channels):
      x = nn.relu(HalvingConv2D(width, self.dtype, name=f'conv_{i}')(x))
    # -> [batch, rows, columns, width], for covers of 128 x 128 pixels [batch, 16, 16, 128]

    scores = layers.dense(x, 1, jnp.float32, 'score')  # -> [batch, rows, columns, 1]
    if self.attention == 'image':
      weights = jax.nn.softmax(scores, axis=(1, 2)) * (x.shape[1] * x.shape[2])
    else:
      weights = jax.nn.softmax(scores, axis=1)
    x = (x * weights).reshape(len(x), -1).astype(self.dtype)
    # -> [batch, rows * columns * width]

    mean = layers.dense(x, self.latent_dim, self.dtype, 'mean').astype(jnp.float32)
    log_var = layers.dense(x, self.latent_dim, self.dtype, 'log_var').astype(jnp.float32)
    code = mean  # -> [batch, latent_dim]
    if train:
      code += jnp.exp(log_var / 2) * draw_noise(self.make_rng('dropout'), mean.shape)

    kl = (jnp.square(mean) + jnp.exp(log_var) - 1 - log_var).sum(axis=-1) / 2
    self.sow('penalties', 'kl', kl)
    self.sow('intermediates', 'attention', weights[..., 0])
    self.sow('intermediates', 'code', (mean, log_var))
    return layers.dense(code, self.num_classes, jnp.float32, 'outputs')  # -> [batch, num_classes]


def draw_noise(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
  """Returns standard normal numbers."""
  return jax.random.normal(key, shape)


def create_model(config, num_classes: int, dtype='float32') -> AttentionVAE:
  """Returns the model of `config.model`, whose fields are the attributes of `AttentionVAE`.

  Raises:
    ConfigError: a field that there is not, or another kind of attention.
  """
  model = layers.from_config(AttentionVAE, config, num_classes, dtype)
  check_name('config.model.attention', model.attention, ('image', 'column'))
  return model
