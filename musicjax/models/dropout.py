"""Dropout of single features, with random numbers at a quarter of the price."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp


class Dropout(nn.Module):
  """PyTorch's `nn.Dropout`: zeroes features with probability `rate`, scales the rest.

  On a CPU random numbers would be a quarter of an encoder's training step, so a number of 32 bits
  decides of four features, each by another byte first: the number, turned by 0, 8, 16 and 24 bits,
  is compared with the probability. Each feature has exactly its probability, to 2^-32, and two that
  share a number depend on each other in one case of 256, where a byte does not decide.

  Attributes:
    rate: probability of a zero, in [0, 1].
    whole: zeroes examples, not features: PyTorch's `nn.Dropout1d` on two axes, a published fault.
  """

  rate: float
  whole: bool = False

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """Drops features of `[..., width]` when `train` (needs the rng `dropout`)."""
    kept = round((1 - self.rate) * 2**32)
    if not train or kept == 2**32:
      return x
    shape = (*x.shape[:-1], 1) if self.whole else x.shape
    # Numbers of an example stand in its row: the first axis may be sharded. Groups of features,
    # each of whole rows, make loops that vectorise; four neighbours of one number do not.
    size = math.prod(shape[1:])
    numbers = jax.random.bits(self.make_rng('dropout'), (shape[0], -(-size // 4)))
    turned = [numbers, *((numbers << n) | (numbers >> (32 - n)) for n in (8, 16, 24))]
    keep = jnp.stack([bits < jnp.uint32(kept) for bits in turned], axis=1)
    keep = keep.reshape(shape[0], -1)[:, :size].reshape(shape)
    return jnp.where(keep, x * (2**32 / max(kept, 1)), 0).astype(x.dtype)
