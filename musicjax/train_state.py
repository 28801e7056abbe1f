"""Everything training depends on besides (config, step), as one pytree."""

import hashlib
from typing import Any

import flax
import jax
import jax.numpy as jnp
import numpy as np
import optax


@flax.struct.dataclass
class Progress:
  """What evaluations have decided so far; scalars.

  Attributes:
    best_metric: highest value of `config.select_metric` on validation.
    best_step: step it was reached at; 0 where there is none.
    evaluated_step: step of the last evaluation.
    evals_since_best: counts towards early stopping.
    plateau_evals: evaluations without improvement since the last cut of the learning rate.
    lr_scale: factor on the scheduled learning rate.
  """

  best_metric: jax.Array
  best_step: jax.Array
  evaluated_step: jax.Array
  evals_since_best: jax.Array
  plateau_evals: jax.Array
  lr_scale: jax.Array


@flax.struct.dataclass
class TrainState:
  """The train state; `step` counts optimizer updates.

  Attributes:
    step: updates done.
    params: of the model, float32.
    batch_stats: running statistics of the model.
    opt_state: of the optimizer.
    ema: moving average of {params, batch_stats}; empty where `config.ema_decay` is 0.
    loss_sum: of the updates since the last evaluation.
    found_sum: positives of these updates' labels that were decided for; mixed labels count in part.
    positive_sum: positives of these updates' labels.
    progress: see `Progress`.
  """

  step: jax.Array
  params: Any
  batch_stats: Any
  opt_state: optax.OptState
  ema: Any
  loss_sum: jax.Array
  found_sum: jax.Array
  positive_sum: jax.Array
  progress: Progress

  @property
  def eval_variables(self) -> dict[str, Any]:
    """The model's variables to evaluate with: the averaged ones where there are any."""
    return self.ema or {'params': self.params, 'batch_stats': self.batch_stats}


def create(variables: dict[str, Any], tx: optax.GradientTransformation, config) -> TrainState:
  """Returns the state before the first update, from the model's initial variables."""
  params, batch_stats = variables['params'], variables.get('batch_stats', {})
  ema = {'params': params, 'batch_stats': batch_stats} if config.ema_decay else {}
  return TrainState(
    step=jnp.int32(0),
    params=params,
    batch_stats=batch_stats,
    opt_state=tx.init(params),
    ema=jax.tree.map(jnp.copy, ema),  # Donated buffers must not be shared.
    loss_sum=jnp.float32(0),
    found_sum=jnp.float32(0),
    positive_sum=jnp.float32(0),
    progress=Progress(
      best_metric=jnp.float32(-jnp.inf),
      best_step=jnp.int32(0),
      evaluated_step=jnp.int32(0),
      evals_since_best=jnp.int32(0),
      plateau_evals=jnp.int32(0),
      lr_scale=jnp.float32(1),
    ),
  )


def after_evaluation(progress: Progress, metric: float, step: int, config) -> Progress:
  """Returns the progress after an evaluation (host scalars in and out).

  An improvement is any strictly higher metric. The learning rate is cut when more than
  `config.plateau.patience` evaluations in a row brought none, as PyTorch's ReduceLROnPlateau does.
  """
  metric = np.float32(metric)
  progress = progress.replace(evaluated_step=np.int32(step))
  if metric > progress.best_metric:
    return progress.replace(
      best_metric=metric,
      best_step=np.int32(step),
      evals_since_best=np.int32(0),
      plateau_evals=np.int32(0),
    )
  plateau_evals, lr_scale = progress.plateau_evals + np.int32(1), progress.lr_scale
  if plateau_evals > config.plateau.patience:
    plateau_evals, lr_scale = np.int32(0), np.float32(lr_scale * config.plateau.factor)
  return progress.replace(
    evals_since_best=progress.evals_since_best + np.int32(1),
    plateau_evals=plateau_evals,
    lr_scale=lr_scale,
  )


def fingerprint(state: Any) -> str:
  """Returns the SHA-256 over path, dtype, shape and bytes of all leaves, in path order."""
  leaves = {
    jax.tree_util.keystr(path): np.asarray(leaf)
    for path, leaf in jax.tree_util.tree_leaves_with_path(state)
  }
  digest = hashlib.sha256()
  for path in sorted(leaves):
    leaf = leaves[path]
    digest.update(f'{path} {leaf.dtype} {leaf.shape}\n'.encode())
    digest.update(np.ascontiguousarray(leaf).tobytes())
  return digest.hexdigest()
