"""Losses: functions of logits and labels `[batch, classes]` to one float32 value an example.

A new loss is a function here and its name in `LOSSES`; its keyword arguments are config fields.
Labels may be soft (mixed or smoothed): every loss is linear in them.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp

from musicjax.fields import check_fields, check_name


def bce(logits: jax.Array, labels: jax.Array, *, label_smoothing: float = 0.0) -> jax.Array:
  """Binary cross-entropy, mean over classes: `[batch, classes]` twice to `[batch]`.

  Args:
    logits: `[batch, classes]`.
    labels: `[batch, classes]` in 0..1.
    label_smoothing: share by which a label is drawn to 1/2.
  """
  logits, labels = logits.astype(jnp.float32), _smooth(labels, label_smoothing, 0.5)
  losses = labels * jax.nn.log_sigmoid(logits) + (1 - labels) * jax.nn.log_sigmoid(-logits)
  return -losses.mean(axis=-1)


def asymmetric(
  logits: jax.Array,
  labels: jax.Array,
  *,
  gamma_neg: float = 4.0,
  gamma_pos: float = 1.0,
  clip: float = 0.05,
  label_smoothing: float = 0.0,
) -> jax.Array:
  """Asymmetric loss (Ridnik et al. 2021), mean over classes: `[batch, classes]` twice to `[batch]`.

  Positives cost `-(1 - p)^gamma_pos log p`, negatives `-q^gamma_neg log(1 - q)` with the shifted
  probability `q = max(p - clip, 0)`: easy negatives, which are most of them, cost nothing. No
  gradient goes through the focusing weights, as in the authors' code.

  Args:
    logits: `[batch, classes]`.
    labels: `[batch, classes]` in 0..1.
    gamma_neg: focusing of negatives.
    gamma_pos: focusing of positives.
    clip: probability below which a negative costs nothing.
    label_smoothing: share by which a label is drawn to 1/2.
  """
  logits, labels = logits.astype(jnp.float32), _smooth(labels, label_smoothing, 0.5)
  p_pos, p_neg = jax.nn.sigmoid(logits), jax.nn.sigmoid(-logits)
  log_pos = jax.nn.log_sigmoid(logits)
  log_neg = jnp.log(jnp.minimum(p_neg + clip, 1.0)) if clip else jax.nn.log_sigmoid(-logits)
  focus_pos = jax.lax.stop_gradient(p_neg**gamma_pos)
  focus_neg = jax.lax.stop_gradient(jnp.maximum(p_pos - clip, 0.0) ** gamma_neg)
  losses = labels * focus_pos * log_pos + (1 - labels) * focus_neg * log_neg
  return -losses.mean(axis=-1)


def softmax_cross_entropy(
  logits: jax.Array, labels: jax.Array, *, label_smoothing: float = 0.0
) -> jax.Array:
  """Cross-entropy of one label an example: `[batch, classes]` twice to `[batch]`.

  Args:
    logits: `[batch, classes]`.
    labels: `[batch, classes]`, one-hot or a distribution.
    label_smoothing: share of the label that is spread over all classes.
  """
  labels = _smooth(labels, label_smoothing, 1 / labels.shape[-1])
  return -(labels * jax.nn.log_softmax(logits.astype(jnp.float32))).sum(axis=-1)


LOSSES = {loss.__name__: loss for loss in (bce, asymmetric, softmax_cross_entropy)}


def create(config) -> Callable[[jax.Array, jax.Array], jax.Array]:
  """Returns the loss of `config.loss` as a function of logits and labels.

  Args:
    config: `config.loss`: the `name` of a loss and its keyword arguments.

  Raises:
    ConfigError: the name or a field is not known.
  """
  loss = LOSSES[check_name('config.loss.name', config['name'], LOSSES)]
  return functools.partial(loss, **check_fields('config.loss', config, loss.__kwdefaults__))


def _smooth(labels: jax.Array, amount: float, towards: float) -> jax.Array:
  return labels.astype(jnp.float32) * (1 - amount) + amount * towards
