"""Puts together the parts that a config names: model, loss, optimizer, and the jitted steps."""

import functools
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from musicjax import averages, losses, models, optimizers, sharding, tasks, train_state, train_step
from musicjax import config as config_lib
from musicjax import targets as targets_lib
from musicjax.audio import augment, front_ends
from musicjax.data import builders
from musicjax.errors import ConfigError
from musicjax.fields import check_fields, check_name
from musicjax.models import frozen, pretrained
from musicjax.targets import Targets
from musicjax.train_state import TrainState


class System(NamedTuple):
  """What training, evaluation and prediction run.

  Attributes:
    task: how logits become scores, and scores metrics.
    prepare: jitted: (step, number, micro-batch) -> its features, and these augmented.
    init: weights by path -> the train state before the first update, of new weights without any.
    update: jitted, donates its state: (state, batch) -> (state, metrics).
    precompute: variables -> variables, with what would be computed of them alone for every batch.
    eval_step: jitted, replicated results: (variables, batch) -> {scores, loss, index}.
    look: jitted, replicated results: (variables, batch) -> {scores, intermediates}.
  """

  task: tasks.Task
  prepare: Callable[..., tuple[train_step.Batch, train_step.Batch]]
  init: Callable[..., TrainState]
  update: Callable[..., tuple[TrainState, dict[str, jax.Array]]]
  precompute: Callable[[dict[str, Any]], dict[str, Any]]
  eval_step: Callable[..., dict[str, jax.Array]]
  look: Callable[..., dict[str, Any]]


def check(config) -> None:
  """Refuses a config before any data is read or prepared for it.

  Raises:
    ConfigError: a field that `config.check` refuses, a dataset, task, metric, front end, model,
      loss, augmentation or optimizer that there is not, or one that does not take its fields.
  """
  config_lib.check(config)
  known = getattr(builders.module(config.dataset.name), 'FIELDS', ())
  given = check_fields('config.dataset', config.dataset, known)
  for field in known:
    if field not in given:
      raise ConfigError(f'config.dataset.{field}: expected a value, found none')
  task = tasks.create(config.task)
  check_name('config.select_metric', config.select_metric, task.selectable)
  if (config.task == 'feature_regression') != (config.loss.name == 'squared_error'):
    raise ConfigError(
      'config.loss.name: expected squared_error with task feature_regression, and no other; found '
      f'{config.loss.name!r:.80} with {config.task}'
    )
  check_name('config.target_scale', config.target_scale, targets_lib.SCALES)
  front_ends.create(config)
  averages.create(config)
  model = models.create(config.model, 1, config.dtype)
  if getattr(model, 'normalizes', False) and config.normalize != 'none':
    raise ConfigError(
      f'config.normalize: expected none, as {config.model.name} does it itself, found '
      f'{config.normalize}'
    )
  losses.create(config.loss)
  losses.check_penalties(config.penalties, getattr(model, 'penalties', ()))
  augment.create(config.augment)
  augment.check_inputs(config.augment, pictures='image_size' in config.dataset)
  schedule = optimizers.create_schedule(
    config.optimizer, config.num_train_steps or sys.maxsize, steps_per_epoch=1.0
  )
  optimizers.create(config.optimizer, schedule)


def create(
  config, dataset: dict[str, Any], mesh: Mesh, steps: int = 0, steps_per_epoch: float = 1.0
) -> System:
  """Returns the system of a config for a dataset as `dataset.json` describes it.

  Args:
    config: resolved.
    dataset: with `label_names`, `input_shape`, `statistics`, `support` (training positives a
      class), and of a regression `targets`.
    mesh: of all devices.
    steps: of the whole run; 0 where nothing is trained.
    steps_per_epoch: may be fractional.

  Raises:
    ConfigError: for a model, loss, optimizer, augmentation or task that does not exist, a task of
      other labels, or crops of slices or pictures.
  """
  if config.eval_crop_frames and 'slices' in dataset.get('parameters', {}):
    raise ConfigError(
      'config.eval_crop_frames: expected 0 for tracks that are cut into slices, found '
      f'{config.eval_crop_frames}'
    )
  if 'image_size' in dataset.get('parameters', {}):
    for field in ('crop_frames', 'eval_crop_frames'):
      if config[field]:
        raise ConfigError(f'config.{field}: expected 0 for pictures, found {config[field]}')
  if (config.task == 'feature_regression') != ('targets' in dataset):
    found = 'numbers' if 'targets' in dataset else 'classes'
    raise ConfigError(
      'config.task: expected feature_regression for labels that are numbers, and no other; found '
      f'{config.task} for {found}'
    )
  targets = Targets(**dataset['targets']) if 'targets' in dataset else None
  task = tasks.create(config.task, targets)
  model = models.create(config.model, len(dataset['label_names']), config.dtype)
  loss_fn = losses.create(config.loss, dataset['support'], targets)
  schedule = (
    optimizers.create_schedule(config.optimizer, steps, steps_per_epoch)
    if steps
    else optax.constant_schedule(0.0)
  )
  tx = optimizers.create(config.optimizer, schedule, steps_per_epoch, config.frozen)
  features = train_step.make_features(front_ends.create(config), dataset['statistics'])
  prepare = train_step.make_prepare(augment.create(config.augment), features, config)
  decide = task.decide and (lambda logits: task.decide(task.activation(logits)))
  replicated = sharding.replicated(mesh)
  jit = functools.partial(jax.jit, compiler_options=compiler_options(2))

  def blank() -> tuple[jax.Array, jax.Array]:
    time, *rest = dataset['input_shape']
    time = time or 8  # Parameters do not depend on it where it varies.
    seen = features({'inputs': jnp.zeros((1, time, *rest)), 'lengths': jnp.array([time])})
    return seen['inputs'], seen['lengths']

  def init(weights: dict[str, jax.Array] | None = None) -> TrainState:
    inputs, lengths = blank()
    try:
      variables = model.init(jax.random.key(config.seed), inputs, lengths, train=False)
    except ConfigError:  # It names the field itself.
      raise
    except (TypeError, ValueError) as error:
      raise ConfigError(
        f'config.model.name: expected a model that takes inputs {list(inputs.shape)} of the front '
        f'end, found {config.model.name}: {str(error).splitlines()[0]:.200}'
      ) from error
    frozen.check(variables['params'], config.frozen)
    if weights is not None:
      variables = pretrained.put(variables, weights)
    return train_state.create(variables, tx, config)

  @functools.partial(jit, out_shardings=replicated)
  def precomputed(variables: dict[str, Any]) -> dict[str, Any]:
    return model.apply(variables, *blank(), train=False, mutable=['precomputed'])[1]

  return System(
    task=task,
    prepare=jit(prepare),
    init=jax.jit(init, out_shardings=replicated, compiler_options=compiler_options(0)),
    update=jit(
      train_step.make_train_step(model, loss_fn, prepare, decide, tx, schedule, config),
      donate_argnums=0,
      out_shardings=replicated,
    ),
    precompute=lambda variables: variables | precomputed(variables),
    eval_step=jit(
      train_step.make_eval_step(model, loss_fn, features, task.activation),
      out_shardings=replicated,
    ),
    look=jit(train_step.make_look(model, features, task.activation), out_shardings=replicated),
  )


def compiler_options(cpu_level: int) -> dict[str, Any]:
  """Returns how XLA is to compile for this backend, on CPU at this optimisation level."""
  # On CPU level 3 makes no step faster than 2, and takes half as long again to compile; what runs
  # once gains from none. Vectors are half as wide by default, where a CPU has AVX-512. YNN,
  # XLA's choice, takes 1.7 times as long for convolutions as Eigen does. It keeps products, and
  # sums: a CNN's step takes 1.6 times as long without its sums.
  library = 'LIBRARY_FUSION_TYPE_'
  return (
    {
      'xla_backend_optimization_level': cpu_level,
      'xla_cpu_prefer_vector_width': 512,
      'xla_cpu_experimental_ynn_fusion_type': f'{library}INDIVIDUAL_DOT,{library}REDUCE',
    }
    if jax.default_backend() == 'cpu'
    else {}
  )
