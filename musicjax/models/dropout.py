"""Dropout of single features, with random numbers at half the price."""

import flax.linen as nn
import jax
import jax.numpy as jnp


class Dropout(nn.Module):
  """PyTorch's `nn.Dropout`: zeroes features with probability `rate`, scales the rest.

  A probability is a whole number of 65536ths, so that one 32-bit random number decides of two
  features: on a CPU, random numbers are a quarter of an encoder's training step. The survivors are
  scaled by the probability that results, which is off by at most 1e-5.

  Attributes:
    rate: probability of a zero, in [0, 1].
    whole: zeroes examples, not features: PyTorch's `nn.Dropout1d` on two axes, a published fault.
  """

  rate: float
  whole: bool = False

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """Drops features of `[..., width]` when `train` (needs the rng `dropout`)."""
    kept = round((1 - self.rate) * 2**16)
    if not train or kept == 2**16:
      return x
    width = 1 if self.whole else x.shape[-1]
    # Pairs stand on the last axis alone: the others may be sharded.
    pairs = jax.random.bits(self.make_rng('dropout'), (*x.shape[:-1], -(-width // 2)))
    bits = jnp.concatenate([pairs & 0xFFFF, pairs >> 16], axis=-1)[..., :width]
    return jnp.where(bits < kept, x * (2**16 / max(kept, 1)), 0).astype(x.dtype)
