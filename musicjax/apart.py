"""Keeps XLA on CPU from fusing what takes longer fused."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp


def apart(function: Callable[..., Any], *arrays: jax.Array) -> Any:
  """Returns `function(*arrays)`, computed by itself, once, and in the order it is written in.

  Fused, XLA on CPU would compute it in the order of what follows, and for every neighbour anew.
  Nothing is fused across a condition, which it cannot know to be always true. On an accelerator,
  where a condition waits for the host, this is a plain call. The first array holds floats.
  """
  if jax.default_backend() != 'cpu':
    return function(*arrays)
  made = jax.eval_shape(function, *arrays)

  def nothing(*_):
    return jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), made)

  first = arrays[0]
  is_true = first[(0,) * first.ndim] != jnp.finfo(first.dtype).min
  return jax.lax.cond(is_true, function, nothing, *arrays)
