"""One optimizer update and one evaluation step, to be jitted; jax, flax and optax only."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from musicjax import losses
from musicjax.models import frozen
from musicjax.train_state import TrainState

Batch = dict[str, jax.Array]

# Streams of random numbers within a step.
_AUGMENT, _DROPOUT = range(2)


def make_features(
  front_end: Callable[[Batch], Batch], statistics: dict[str, Any]
) -> Callable[[Batch], Batch]:
  """Returns batch as stored -> as the model sees it: inputs [..., width] float32 (x - mean) / std.

  Args:
    front_end: of `musicjax.audio.front_ends`.
    statistics: of what it gives; where they are empty, that is not normalised.
  """

  def features(batch):
    batch = front_end(batch)
    inputs = batch['inputs'].astype(jnp.float32)
    if statistics:
      mean, std = (jnp.asarray(statistics[k], jnp.float32) for k in ('mean', 'std'))
      inputs = (inputs - mean) / std
    return batch | {'inputs': inputs}

  return features


def make_prepare(
  augment: Callable[[jax.Array, Batch], Batch],
  features: Callable[[Batch], Batch],
  config,
) -> Callable[[jax.Array, jax.Array, Batch], tuple[Batch, Batch]]:
  """Returns (step, number, micro-batch) -> its features, and these augmented for training.

  `step` counts the updates done, `number` the micro-batches of this one.
  """

  def prepare(step, number, micro):
    seen = features({'weights': jnp.ones(micro['lengths'].shape), **micro})
    return seen, augment(_key(config.seed, step, number, _AUGMENT), seen)

  return prepare


def make_train_step(
  model: nn.Module,
  loss_fn: Callable[[jax.Array, jax.Array], jax.Array],
  prepare: Callable[[jax.Array, jax.Array, Batch], tuple[Batch, Batch]],
  decide: Callable[[jax.Array], jax.Array] | None,
  tx: optax.GradientTransformation,
  schedule: optax.Schedule,
  config,
) -> Callable[[TrainState, Batch], tuple[TrainState, dict[str, jax.Array]]]:
  """Returns (state, batch) -> (state, {loss, grad_norm, update_norm, learning_rate, ...}).

  The batch's arrays begin with [accumulate, micro]. Micro-batches run one after another: gradients
  are summed, batch statistics updated by each. Randomness is a function of (seed, step) alone.

  The loss is the sum of `weights` times losses of all examples of the step, over the sum of their
  weights, which are 1 where the batch has none. So it does not depend on which micro-batch or
  device an example is on, and one of weight 0 counts for nothing but batch statistics. What the
  model sows as `penalties` and the config names is added to it, by a weight that may grow with the
  step, and told by its name.

  Args:
    model: module to train.
    loss_fn: logits, labels [micro, classes] -> [micro].
    prepare: of `make_prepare`.
    decide: logits [micro, classes] -> bool, the labels that the model gives; None where labels
      are no classes, then none are counted.
    tx: optimizer.
    schedule: of its learning rate.
    config: of the run.
  """

  def loss_and_stats(params, batch_stats, batch, step, dropout_key):
    with frozen.as_in_evaluation(config.frozen):
      logits, updates = model.apply(
        {'params': frozen.hold(params, config.frozen), 'batch_stats': batch_stats},
        batch['inputs'],
        batch['lengths'],
        train=True,
        rngs={'dropout': dropout_key},
        mutable=['batch_stats', 'penalties'],
      )
    found = positives = jnp.float32(0)
    if decide is not None:
      positives = jnp.sum(batch['labels'])
      found = jnp.sum(batch['labels'], where=decide(logits))
    loss = (batch['weights'] * loss_fn(logits, batch['labels'])).sum()
    penalties = {}
    for name, fields in config.penalties.items():
      (sown,) = updates['penalties'][name]  # [micro]
      penalties[name] = (batch['weights'] * sown).sum()
      loss += losses.penalty_weight(fields, step) * penalties[name]
    return loss, (updates.get('batch_stats', {}), found, positives, penalties)

  def train_step(state: TrainState, batch: Batch):
    def micro_step(carry, numbered):
      batch_stats, sums = carry
      number, micro = numbered
      _, micro = prepare(state.step, number, micro)
      key = _key(config.seed, state.step, number, _DROPOUT)
      (loss, (batch_stats, *counts)), grads = jax.value_and_grad(loss_and_stats, has_aux=True)(
        state.params, batch_stats, micro, state.step, key
      )
      # The weights that were used: mixing examples mixes them.
      made = (grads, loss, micro['weights'].sum(), *counts)
      return (batch_stats, jax.tree.map(jnp.add, sums, made)), None

    zero = jnp.float32(0)
    no_penalties = dict.fromkeys(config.penalties, zero)
    zeros = (jax.tree.map(jnp.zeros_like, state.params), *4 * [zero], no_penalties)
    (batch_stats, (grads, loss, total, found, positives, penalties)), _ = jax.lax.scan(
      micro_step, (state.batch_stats, zeros), (jnp.arange(config.accumulate), batch)
    )
    total = jnp.where(total > 0, total, 1.0)  # Without any weight there is nothing to learn.
    # Of the sums, whose squares nothing else needs: they are added up without being written. Those
    # of the means are the optimizer's, too.
    grad_norm = optax.global_norm(grads) / total
    grads, loss, penalties = jax.tree.map(lambda x: x / total, (grads, loss, penalties))

    updates, opt_state = tx.update(grads, state.opt_state, state.params)
    lr_scale = state.progress.lr_scale
    updates = jax.tree.map(lambda update: lr_scale * update, updates)
    params = optax.apply_updates(state.params, updates)
    ema = state.ema
    if config.ema_decay:
      # A young average leans on what is recent (as TensorFlow's ExponentialMovingAverage does).
      decay = jnp.minimum(config.ema_decay, (1 + state.step) / (10 + state.step))
      ema = jax.tree.map(
        lambda old, new: old + (1 - decay) * (new - old),  # What is frozen stays to the bit.
        ema,
        {'params': params, 'batch_stats': batch_stats},
      )
    metrics = {
      'loss': loss,
      'grad_norm': grad_norm,
      'update_norm': optax.global_norm(updates),
      'learning_rate': schedule(state.step) * lr_scale,
      **penalties,
    }
    state = state.replace(
      step=state.step + 1,
      params=params,
      batch_stats=batch_stats,
      opt_state=opt_state,
      ema=ema,
      loss_sum=state.loss_sum + loss,
      found_sum=state.found_sum + found,
      positive_sum=state.positive_sum + positives,
    )
    return state, metrics

  return train_step


def make_eval_step(
  model: nn.Module,
  loss_fn: Callable[[jax.Array, jax.Array], jax.Array],
  features: Callable[[Batch], Batch],
  activation: Callable[[jax.Array], jax.Array],
) -> Callable[[dict[str, Any], Batch], dict[str, jax.Array]]:
  """Returns (variables, batch) -> {scores [batch, classes], loss [batch], index [batch]}."""

  def eval_step(variables, batch):
    batch = features(batch)
    logits = model.apply(variables, batch['inputs'], batch['lengths'], train=False)
    return {
      'scores': activation(logits),
      'loss': loss_fn(logits, batch['labels']),
      'index': batch['index'],
    }

  return eval_step


def make_look(
  model: nn.Module,
  features: Callable[[Batch], Batch],
  activation: Callable[[jax.Array], jax.Array],
) -> Callable[[dict[str, Any], Batch], dict[str, Any]]:
  """Returns (variables, batch) -> {scores, intermediates}, with all that the model shows."""

  def look(variables, batch):
    batch = features(batch)
    outputs, shown = model.apply(
      variables, batch['inputs'], batch['lengths'], train=False, mutable=['intermediates']
    )
    return {'scores': activation(outputs), **shown}

  return look


def _key(seed: int, step: jax.Array, number: jax.Array, stream: int) -> jax.Array:
  """The random key of one use in one micro-batch."""
  key = jax.random.fold_in(jax.random.key(seed), step)
  return jax.random.fold_in(jax.random.fold_in(key, number), stream)
