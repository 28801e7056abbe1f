"""Pre-norm transformer encoder with attention pooling, for embeddings and for mel frames.

The field's best single models of the Yandex Cup 2023 were encoders of 3 to 6 layers under an
attention pooling. Ours adds the maximum over time, which catches what is heard once, and relative
(rotary) positions, because training cuts random spans.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from musicjax.errors import ConfigError
from musicjax.models import layers
from musicjax.models.dropout import Dropout


class AttentionTransformer(nn.Module):
  """See the module.

  Attributes:
    num_classes: logits.
    dtype: of the products; statistics, softmax and logits are float32.
    patch_frames: successive frames that make one token: 1 for embeddings of seconds, more for mel
      frames of milliseconds.
    width: of the encoder.
    num_layers: encoder layers.
    num_heads: of attention and of attention pooling.
    mlp_dim: feed-forward width.
    dropout: in the encoder and on the projected inputs.
    head_dropout: of the pooled features.
  """

  num_classes: int
  dtype: Any = jnp.float32
  patch_frames: int = 1
  width: int = 512
  num_layers: int = 4
  num_heads: int = 8
  mlp_dim: int = 2048
  dropout: float = 0.1
  head_dropout: float = 0.5

  @nn.compact
  def __call__(self, inputs: jax.Array, lengths: jax.Array, *, train: bool) -> jax.Array:
    """Tags sequences of frames.

    Args:
      inputs: `[batch, time, input_width]`; frames from `lengths` on may hold anything.
      lengths: `[batch]` int, valid frames, at least 1.
      train: dropout on (needs the rng `dropout`).

    Returns:
      Logits `[batch, num_classes]` float32.
    """
    batch, time, input_width = inputs.shape
    tokens = -(-time // self.patch_frames)
    x = layers.zero_padding(inputs, layers.frame_mask(lengths, time))  # [batch, time, input_width]
    x = jnp.pad(x, ((0, 0), (0, tokens * self.patch_frames - time), (0, 0)))
    x = x.reshape(batch, tokens, self.patch_frames * input_width)
    mask = layers.frame_mask(-(-lengths // self.patch_frames), tokens)  # [batch, tokens]

    x = layers.layer_norm(x, self.dtype, 'input_norm')
    x = layers.dense(x, self.width, self.dtype, 'project')  # -> [batch, tokens, width]
    x = Dropout(self.dropout)(x, train)

    for i in range(self.num_layers):
      x = layers.TransformerEncoderLayer(
        self.num_heads,
        self.mlp_dim,
        self.dropout,
        norm_first=True,
        rotary=True,
        dtype=self.dtype,
        name=f'encoder_{i}',
      )(x, mask, train)  # -> [batch, tokens, width]
    x = layers.layer_norm(x, self.dtype, 'output_norm')

    attended = layers.AttentionPool(self.num_heads, self.dtype, name='pool')(x, mask)
    x = jnp.concatenate([attended, layers.masked_max(x, mask)], axis=-1)  # -> [batch, 2 * width]
    x = Dropout(self.head_dropout)(x, train)
    return layers.dense(x, self.num_classes, jnp.float32, 'logits')  # -> [batch, num_classes]


def create_model(config, num_classes: int, dtype='float32') -> AttentionTransformer:
  """Returns the model of `config.model`, whose fields are those of `AttentionTransformer`.

  Raises:
    ConfigError: a field that there is not, or a width that the heads do not divide.
  """
  model = layers.from_config(AttentionTransformer, config, num_classes, dtype)
  if not model.width or model.width % (2 * model.num_heads):
    raise ConfigError(
      f'config.model.width: expected a positive multiple of 2 num_heads = '
      f'{2 * model.num_heads}, found {model.width}'
    )
  return model
