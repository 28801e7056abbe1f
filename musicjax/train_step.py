"""One optimizer update and one evaluation step, to be jitted; jax, flax and optax only."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from musicjax.train_state import TrainState

Batch = dict[str, jax.Array]

# Streams of random numbers within a step.
_AUGMENT, _DROPOUT = range(2)


def make_normalize(statistics: dict[str, Any]) -> Callable[[jax.Array], jax.Array]:
  """Returns inputs [..., width] -> (inputs - mean) / std, or the identity for empty statistics."""
  if not statistics:
    return lambda inputs: inputs
  mean, std = (jnp.asarray(statistics[k], jnp.float32) for k in ('mean', 'std'))
  return lambda inputs: (inputs - mean) / std


def make_train_step(
  model: nn.Module,
  loss_fn: Callable[[jax.Array, jax.Array], jax.Array],
  augment: Callable[[jax.Array, Batch], Batch],
  normalize: Callable[[jax.Array], jax.Array],
  tx: optax.GradientTransformation,
  schedule: optax.Schedule,
  config,
) -> Callable[[TrainState, Batch], tuple[TrainState, dict[str, jax.Array]]]:
  """Returns (state, batch) -> (state, {loss, grad_norm, update_norm, learning_rate}).

  The batch's arrays begin with [accumulate, micro]. Micro-batches run one after another: gradients
  are summed, batch statistics updated by each. Randomness is a function of (seed, step) alone.

  The loss is the sum of `weights` times losses of all examples of the step, over the sum of their
  weights, which are 1 where the batch has none. So it does not depend on which micro-batch or
  device an example is on, and one of weight 0 counts for nothing but batch statistics.
  """

  def loss_and_stats(params, batch_stats, batch, dropout_key):
    logits, updates = model.apply(
      {'params': params, 'batch_stats': batch_stats},
      batch['inputs'],
      batch['lengths'],
      train=True,
      rngs={'dropout': dropout_key},
      mutable=['batch_stats'],
    )
    loss = (batch['weights'] * loss_fn(logits, batch['labels'])).sum()
    return loss, updates.get('batch_stats', {})

  def train_step(state: TrainState, batch: Batch):
    step_key = jax.random.fold_in(jax.random.key(config.seed), state.step)

    def micro_step(carry, numbered):
      batch_stats, *sums = carry
      number, micro = numbered
      key = jax.random.fold_in(step_key, number)
      ones = jnp.ones(micro['lengths'].shape)
      micro = {'weights': ones, **micro, 'inputs': normalize(micro['inputs'])}
      micro = augment(jax.random.fold_in(key, _AUGMENT), micro)
      (loss, batch_stats), grads = jax.value_and_grad(loss_and_stats, has_aux=True)(
        state.params, batch_stats, micro, jax.random.fold_in(key, _DROPOUT)
      )
      # The weights that were used: mixing examples mixes them.
      sums = jax.tree.map(jnp.add, sums, [grads, loss, micro['weights'].sum()])
      return (batch_stats, *sums), None

    zeros = jax.tree.map(jnp.zeros_like, state.params)
    (batch_stats, grads, loss, total), _ = jax.lax.scan(
      micro_step,
      (state.batch_stats, zeros, jnp.float32(0), jnp.float32(0)),
      (jnp.arange(config.accumulate), batch),
    )
    total = jnp.where(total > 0, total, 1.0)  # Without any weight there is nothing to learn.
    grads, loss = jax.tree.map(lambda x: x / total, (grads, loss))

    updates, opt_state = tx.update(grads, state.opt_state, state.params)
    lr_scale = state.progress.lr_scale
    updates = jax.tree.map(lambda update: lr_scale * update, updates)
    params = optax.apply_updates(state.params, updates)
    ema = state.ema
    if config.ema_decay:
      # A young average leans on what is recent (as TensorFlow's ExponentialMovingAverage does).
      decay = jnp.minimum(config.ema_decay, (1 + state.step) / (10 + state.step))
      ema = jax.tree.map(
        lambda old, new: decay * old + (1 - decay) * new,
        ema,
        {'params': params, 'batch_stats': batch_stats},
      )
    metrics = {
      'loss': loss,
      'grad_norm': optax.global_norm(grads),
      'update_norm': optax.global_norm(updates),
      'learning_rate': schedule(state.step) * lr_scale,
    }
    state = state.replace(
      step=state.step + 1,
      params=params,
      batch_stats=batch_stats,
      opt_state=opt_state,
      ema=ema,
      loss_sum=state.loss_sum + loss,
    )
    return state, metrics

  return train_step


def make_eval_step(
  model: nn.Module,
  loss_fn: Callable[[jax.Array, jax.Array], jax.Array],
  normalize: Callable[[jax.Array], jax.Array],
  activation: Callable[[jax.Array], jax.Array],
) -> Callable[[dict[str, Any], Batch], dict[str, jax.Array]]:
  """Returns (variables, batch) -> {scores [batch, classes], loss [batch], index [batch]}."""

  def eval_step(variables, batch):
    logits = model.apply(variables, normalize(batch['inputs']), batch['lengths'], train=False)
    return {
      'scores': activation(logits),
      'loss': loss_fn(logits, batch['labels']),
      'index': batch['index'],
    }

  return eval_step
