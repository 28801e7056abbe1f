"""Losses: functions of logits and labels `[batch, classes]` to one float32 value an example.

Examples are averaged, and weighed where they have weights, by the train step.
A new loss is a function here and its name in `LOSSES`; its keyword arguments are config fields.
Labels of classes may be soft (mixed or smoothed): their losses are linear in them. A loss that
weighs classes by their frequency takes `support`, positives a class among the training labels, and
one of a regression `targets`; these are no fields.
"""

import functools
import math
from collections.abc import Callable, Collection

import jax
import jax.numpy as jnp

from musicjax.errors import ConfigError
from musicjax.fields import check_fields, check_name
from musicjax.targets import Targets


def bce(
  logits: jax.Array,
  labels: jax.Array,
  *,
  pos_weight: bool = False,
  label_smoothing: float = 0.0,
  support: jax.Array | None = None,
) -> jax.Array:
  """Binary cross-entropy, mean over classes: `[batch, classes]` twice to `[batch]`.

  Args:
    logits: `[batch, classes]`.
    labels: `[batch, classes]` in 0..1.
    pos_weight: multiply what a positive costs by all positives / (classes * positives of the
      class): rare tags count as much as common ones. A class without any keeps weight 1.
    label_smoothing: share by which a label is drawn to 1/2.
    support: `[classes]`, positives among the training labels.

  Raises:
    ConfigError: `pos_weight` without `support`.
  """
  logits, labels = logits.astype(jnp.float32), _smooth(labels, label_smoothing, 0.5)
  positive, negative = jax.nn.log_sigmoid(logits), jax.nn.log_sigmoid(-logits)
  if pos_weight:
    if support is None:
      raise ConfigError(
        'config.loss.pos_weight: expected the positives of each class, found no training labels'
      )
    support = jnp.asarray(support, jnp.float32)
    balanced = support.sum() / (support.size * jnp.maximum(support, 1.0))
    positive *= jnp.where(support > 0, balanced, 1.0)
  return -(labels * positive + (1 - labels) * negative).mean(axis=-1)


def focal(
  logits: jax.Array,
  labels: jax.Array,
  *,
  gamma: float = 2.0,
  alpha: float = 0.25,
  label_smoothing: float = 0.0,
) -> jax.Array:
  """Focal loss (Lin et al. 2017), mean over classes: `[batch, classes]` twice to `[batch]`.

  Positives cost `-alpha (1 - p)^gamma log p`, negatives `-(1 - alpha) p^gamma log(1 - p)`: what is
  already well told costs little. Gradients go through the focusing weights.

  Args:
    logits: `[batch, classes]`.
    labels: `[batch, classes]` in 0..1.
    gamma: focusing; 0: a weighted `bce`.
    alpha: weight of positives, 1 - alpha that of negatives.
    label_smoothing: share by which a label is drawn to 1/2.
  """
  labels = _smooth(labels, label_smoothing, 0.5)
  positive, negative = _focused(logits.astype(jnp.float32), gamma, gamma)
  return -(alpha * labels * positive + (1 - alpha) * (1 - labels) * negative).mean(axis=-1)


def asymmetric_focal(
  logits: jax.Array,
  labels: jax.Array,
  *,
  gamma_neg: float = 4.0,
  gamma_pos: float = 1.0,
  clip: float = 0.05,
  label_smoothing: float = 0.0,
) -> jax.Array:
  """Focal loss with a focus for each sign, as in the Music-Predictor system: to `[batch]`.

  With p clamped to [clip, 1 - clip], positives cost `-(1 - p)^gamma_pos log p` and negatives
  `-p^gamma_neg log(1 - p)`, mean over classes. Gradients go through the focusing weights, and none
  through a clamped p: an example that is wrong beyond the clip teaches nothing. `asymmetric` has
  neither of the two.

  Args:
    logits: `[batch, classes]`.
    labels: `[batch, classes]` in 0..1.
    gamma_neg: focusing of negatives.
    gamma_pos: focusing of positives.
    clip: distance that p keeps from 0 and from 1; below 1/2.
    label_smoothing: share by which a label is drawn to 1/2.

  Raises:
    ConfigError: `clip` leaves no room for p.
  """
  if not 0 <= clip < 0.5:
    raise ConfigError(f'config.loss.clip: expected [0, 0.5), found {clip}')
  limit = math.log((1 - clip) / clip) if clip else math.inf  # The logit where p = 1 - clip.
  logits, labels = logits.astype(jnp.float32), _smooth(labels, label_smoothing, 0.5)
  positive, negative = _focused(jnp.clip(logits, -limit, limit), gamma_pos, gamma_neg)
  return -(labels * positive + (1 - labels) * negative).mean(axis=-1)


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


def squared_error(
  outputs: jax.Array, labels: jax.Array, *, targets: Targets | None = None
) -> jax.Array:
  """Squared error, sum over targets: `[batch, targets]` twice to `[batch]`.

  Args:
    outputs: `[batch, targets]` of the network.
    labels: `[batch, targets]` in natural units.
    targets: how outputs become targets, and the unit of errors.

  Raises:
    ConfigError: without `targets`, as in a task that is no regression.
  """
  if targets is None:
    raise ConfigError('config.loss.name: squared_error: expected targets of a regression')
  return jnp.square(targets.error(outputs, labels)).sum(axis=-1)


LOSSES = {
  loss.__name__: loss
  for loss in (bce, focal, asymmetric, asymmetric_focal, softmax_cross_entropy, squared_error)
}


def create(
  config, support: jax.Array | None = None, targets: Targets | None = None
) -> Callable[[jax.Array, jax.Array], jax.Array]:
  """Returns the loss of `config.loss` as a function of logits and labels.

  Args:
    config: `config.loss`: the `name` of a loss and its keyword arguments.
    support: `[classes]`, positives a class among the training labels, for losses that weigh by it;
      without it these are made, but refuse to be computed.
    targets: of a regression, alike.

  Raises:
    ConfigError: the name or a field is not known.
  """
  loss = LOSSES[check_name('config.loss.name', config['name'], LOSSES)]
  known = dict(loss.__kwdefaults__)
  of_training = {'support': support, 'targets': targets}
  taken = {name: value for name, value in of_training.items() if known.pop(name, 0) is None}
  return functools.partial(loss, **check_fields('config.loss', config, known), **taken)


def check_penalties(config, known: Collection[str]) -> None:
  """Refuses penalties that a model does not have.

  Args:
    config: `config.penalties`: names of what the model sows, each with the `weight` it is added to
      the loss with, and the `warmup_steps` in which that grows from 0.
    known: what the model sows.

  Raises:
    ConfigError: a name or a field is not known, or a field is missing.
  """
  for name, fields in config.items():
    check_name('config.penalties', name, known)
    given = check_fields(f'config.penalties.{name}', fields, ('weight', 'warmup_steps'))
    for field in ('weight', 'warmup_steps'):
      if field not in given:
        raise ConfigError(f'config.penalties.{name}: expected a value of {field}, found none')


def penalty_weight(fields, step: jax.Array) -> jax.Array:
  """Returns the weight of a penalty in the update after `step` others."""
  return fields['weight'] * jnp.minimum(1.0, (step + 1) / max(1, fields['warmup_steps']))


def _focused(logits: jax.Array, gamma_pos: float, gamma_neg: float) -> tuple[jax.Array, jax.Array]:
  """`(1 - p)^gamma_pos log p` and `p^gamma_neg log(1 - p)`, finite at any finite logit."""
  log_p, log_q = jax.nn.log_sigmoid(logits), jax.nn.log_sigmoid(-logits)
  return jnp.exp(gamma_pos * log_q) * log_p, jnp.exp(gamma_neg * log_p) * log_q


def _smooth(labels: jax.Array, amount: float, towards: float) -> jax.Array:
  return labels.astype(jnp.float32) * (1 - amount) + amount * towards
