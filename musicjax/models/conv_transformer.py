"""Transformer encoder, convolution branches over time, max-pooling: the Yandex Cup 2023 baseline.

As published, but for its faults: padding is masked in the attention, zeroed before every
convolution and left out of the maximum, and dropout before the head strikes single features.
Initialisation and norms are PyTorch's, which the published score was reached with.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from musicjax.errors import ConfigError
from musicjax.models import layers
from musicjax.models.convolution import Conv1D
from musicjax.models.dropout import Dropout


class ConvTransformer(nn.Module):
  """See the module; the defaults are the published sizes, on embeddings 768 wide.

  Attributes:
    num_classes: logits.
    dtype: of the products; statistics, softmax and logits are float32.
    width: of the encoder and of the branches. 0: the inputs' own, rounded up to a multiple of
      `num_heads`. Inputs of another width are projected to it.
    num_layers: encoder layers.
    num_heads: attention heads.
    mlp_dim: feed-forward width of the encoder.
    branches: a branch's kernel sizes in frames, branch by branch.
    head_dim: width of the two hidden layers of the head.
    dropout: in the encoder.
    head_dropout: of the concatenated branches.
    masked: False puts a published fault back: padding is attended to and may be the maximum.
    drop_examples: True puts another back: `head_dropout` zeroes whole examples.
  """

  num_classes: int
  dtype: Any = jnp.float32
  width: int = 0
  num_layers: int = 1
  num_heads: int = 4
  mlp_dim: int = 2048
  branches: tuple[tuple[int, ...], ...] = ((7, 5, 5), (5, 3, 3), (3, 3, 3), (1,))
  head_dim: int = 768
  dropout: float = 0.1
  head_dropout: float = 0.5
  masked: bool = True
  drop_examples: bool = False

  @nn.compact
  def __call__(self, inputs: jax.Array, lengths: jax.Array, *, train: bool) -> jax.Array:
    """Tags sequences of embeddings.

    Args:
      inputs: `[batch, time, input_width]`; frames from `lengths` on may hold anything.
      lengths: `[batch]` int, valid frames, at least 1.
      train: dropout on (needs the rng `dropout`), BatchNorm by the batch (updates `batch_stats`).

    Returns:
      Logits `[batch, num_classes]` float32.
    """
    width = self.width or -(-inputs.shape[-1] // self.num_heads) * self.num_heads
    mask = layers.frame_mask(lengths, inputs.shape[1]) | (not self.masked)  # [batch, time]

    x = layers.zero_padding(inputs, mask).astype(self.dtype)  # [batch, time, input_width]
    if inputs.shape[-1] != width:
      x = layers.dense(x, width, self.dtype, 'project')  # -> [batch, time, width]

    for i in range(self.num_layers):
      x = layers.TransformerEncoderLayer(
        self.num_heads, self.mlp_dim, self.dropout, dtype=self.dtype, name=f'encoder_{i}'
      )(x, mask, train)  # -> [batch, time, width]

    pooled = []
    for b, kernels in enumerate(self.branches):
      y = x
      for i, taps in enumerate(kernels):
        y = layers.zero_padding(y, mask)
        y = Conv1D(width, taps, self.dtype, name=f'branch_{b}_conv_{i}')(y)
        y = nn.relu(y)  # -> [batch, time, width]
      pooled.append(layers.masked_max(y, mask))  # -> [batch, width]
    x = jnp.concatenate(pooled, axis=-1)  # -> [batch, branches * width]

    x = Dropout(self.head_dropout, whole=self.drop_examples)(x, train)
    for i in range(2):
      x = nn.relu(layers.dense(x, self.head_dim, self.dtype, f'head_{i}'))
      x = layers.BatchNorm(dtype=self.dtype, name=f'head_norm_{i}')(x, not train)
      # -> [batch, head_dim]
    return layers.dense(x, self.num_classes, jnp.float32, 'logits')  # -> [batch, num_classes]


def create_model(config, num_classes: int, dtype='float32') -> ConvTransformer:
  """Returns the model of `config.model`, whose fields are the attributes of `ConvTransformer`.

  Raises:
    ConfigError: a field that there is not, or a width that the heads do not divide.
  """
  model = layers.from_config(ConvTransformer, config, num_classes, dtype)
  if model.width % model.num_heads:
    raise ConfigError(
      f'config.model.width: expected a multiple of num_heads = {model.num_heads}, '
      f'or 0 for the width of the inputs; found {model.width}'
    )
  return model
