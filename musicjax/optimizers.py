"""Learning rate schedules and optimizers from `config.optimizer`."""

from collections.abc import Callable, Collection

import jax
import jax.numpy as jnp
import optax

from musicjax.errors import ConfigError
from musicjax.fields import check_name
from musicjax.models.frozen import is_frozen


def create_schedule(
  config, num_train_steps: int, steps_per_epoch: float
) -> Callable[[jax.Array], jax.Array]:
  """Returns the learning rate as a function of the step, counted in updates from 0.

  Args:
    config: `config.optimizer`: `learning_rate` at its peak; `schedule`: `constant`, `cosine` (to 0
      at the last step) or `exponential` (times `decay_rate` after each epoch, in steps);
      `warmup_steps`: linear from 0.
    num_train_steps: updates in all.
    steps_per_epoch: updates an epoch, which may be fractional.

  Raises:
    ConfigError: a schedule that there is not, or a warm-up that a cosine has no room for.
  """
  schedule = check_name(
    'config.optimizer.schedule', config.schedule, ('constant', 'cosine', 'exponential')
  )
  warmup = config.warmup_steps
  if schedule == 'cosine' and warmup >= num_train_steps:
    raise ConfigError(
      'config.optimizer.warmup_steps: expected fewer than the '
      f'{num_train_steps} steps of the run, found {warmup}'
    )

  def learning_rate(step):
    factor = 1.0
    if schedule == 'cosine':
      progress = jnp.clip((step - warmup) / (num_train_steps - warmup), 0.0, 1.0)
      factor = 0.5 * (1 + jnp.cos(jnp.pi * progress))
    elif schedule == 'exponential':
      factor = jnp.asarray(config.decay_rate, jnp.float32) ** (step // steps_per_epoch)
    if warmup:
      factor = factor * jnp.minimum(step / warmup, 1.0)
    return jnp.asarray(config.learning_rate * factor, jnp.float32)

  return learning_rate


def create(
  config,
  schedule: Callable[[jax.Array], jax.Array],
  steps_per_epoch: float = 1.0,
  frozen: Collection[str] = (),
) -> optax.GradientTransformation:
  """Returns the optimizer of `config.optimizer`.

  Weight decay is decoupled and times the learning rate, as in PyTorch's `AdamW`, for all of them.

  Args:
    config: `name`: `adamw`, `adam` (without weight decay), `lion`, `sgd` (momentum `b1`) or
      `adamw_forgetful`, a published fault: it is made anew, without moments, after each epoch;
      `b1`, `b2`: decay of the moments; `weight_decay`; `decay`: `all` parameters, or `kernels`
      alone (arrays of two and more axes); `clip_norm`: of the gradient before all else, 0 is off.
    schedule: the learning rate by step.
    steps_per_epoch: updates an epoch, which may be fractional.
    frozen: patterns of layers that get no updates, see `musicjax.models.frozen`.

  Raises:
    ConfigError: a value that is not known, or weight decay with `adam`.
  """
  names = ('adamw', 'adam', 'lion', 'sgd', 'adamw_forgetful')
  name = check_name('config.optimizer.name', config.name, names)
  decay = check_name('config.optimizer.decay', config.decay, ('all', 'kernels'))
  if name == 'adam' and config.weight_decay:
    raise ConfigError(
      'config.optimizer.weight_decay: expected 0 with adam (adamw has weight '
      f'decay), found {config.weight_decay}'
    )
  if name == 'lion':
    direction = optax.scale_by_lion(config.b1, config.b2)
  elif name == 'sgd':
    direction = optax.trace(config.b1)
  else:
    direction = optax.scale_by_adam(config.b1, config.b2)
  if name == 'adamw_forgetful':
    direction = _forgetful(direction, steps_per_epoch)
  tx = optax.chain(
    optax.clip_by_global_norm(config.clip_norm) if config.clip_norm else optax.identity(),
    direction,
    optax.add_decayed_weights(config.weight_decay, _kernels if decay == 'kernels' else None),
    optax.scale_by_learning_rate(schedule),
  )
  if not frozen:
    return tx
  return optax.partition(
    {'frozen': optax.set_to_zero(), 'trained': tx},
    lambda params: {layer: 'frozen' if is_frozen(layer, frozen) else 'trained' for layer in params},
  )


def _forgetful(
  direction: optax.GradientTransformation, steps_per_epoch: float
) -> optax.GradientTransformation:
  """Makes the state of `direction` anew at the first update of each epoch."""

  def init(params):
    return jnp.int32(0), direction.init(params)

  def update(gradients, state, params=None):
    step, inner = state
    is_first = step % steps_per_epoch < 1
    new = direction.init(gradients)
    inner = jax.tree.map(lambda new, old: jnp.where(is_first, new, old), new, inner)
    updates, inner = direction.update(gradients, inner, params)
    return updates, (step + 1, inner)

  return optax.GradientTransformation(init, update)


def _kernels(params):
  return jax.tree.map(lambda x: x.ndim > 1, params)
