"""The update: what it computes, and that all its randomness comes from (seed, step)."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import yandex
from musicjax import losses, models, optimizers, train_state, train_step
from musicjax.audio import augment
from musicjax.config import base_config
from musicjax.models import layers
from musicjax.models.dropout import Dropout
from tests.models.torch_weights import (
  GOLDEN_MODEL,
  flax_variables,
  load_golden,
  relative_error,
  relative_errors,
)

CLASSES, WIDTH, TIME = 3, 4, 6
unchanged = augment.create({})
LENGTHS = np.array([6, 2, 5, 1, 6, 3, 4, 6], np.int32)
NOISY = {'gaussian_noise': {'sigma': 0.5}, 'mixup': {'alpha': 0.4, 'probability': 0.5}}


class Tiny(nn.Module):
  """Mean of the valid frames, two dense layers; the batch's statistics and dropout if asked for."""

  batch_norm: bool = False
  dropout: float = 0.0

  @nn.compact
  def __call__(self, inputs, lengths, *, train):
    x = layers.zero_padding(inputs, layers.frame_mask(lengths, inputs.shape[1]))
    x = nn.tanh(nn.Dense(8)(x.sum(axis=1) / lengths[:, None]))
    if self.batch_norm:
      x = nn.BatchNorm(use_running_average=not train, momentum=0.5)(x)
    x = Dropout(self.dropout)(x, train)
    return nn.Dense(CLASSES)(x)


def make_config(**fields):
  """Returns the shared config with plain gradient descent: unlike Adam, it sees a factor of 3."""
  config = base_config()
  config.loss = {'name': 'bce'}
  config.optimizer.update(name='sgd', learning_rate=0.5, weight_decay=0.0, b1=0.0)
  config.update_from_flattened_dict(fields)
  return config


def make_batch(seed=0, accumulate=1):
  rng = np.random.default_rng(seed)
  shape = (accumulate, len(LENGTHS) // accumulate)
  return {
    'inputs': rng.normal(size=(*shape, TIME, WIDTH)).astype(np.float32),
    'lengths': LENGTHS.reshape(shape),
    'labels': (rng.random((*shape, CLASSES)) < 0.4).astype(np.float32),
    'index': np.arange(len(LENGTHS), dtype=np.int32).reshape(shape),
  }


def make_step(config, model, augmentation=unchanged, statistics=None, variables=None):
  """Returns the state before the first update, and the jitted update."""
  schedule = optimizers.create_schedule(config.optimizer, 10, steps_per_epoch=2)
  tx = optimizers.create(config.optimizer, schedule)
  features = train_step.make_features(lambda batch: batch, statistics or {})
  prepare = train_step.make_prepare(augmentation, features, config)
  update = train_step.make_train_step(
    model, losses.create(config.loss), prepare, lambda logits: logits >= 0, tx, schedule, config
  )
  if variables is None:
    inputs, lengths = jnp.zeros((1, TIME, WIDTH)), jnp.array([TIME])
    init = jax.jit(functools.partial(model.init, train=False))
    variables = init(jax.random.key(0), inputs, lengths)
  return train_state.create(variables, tx, config), jax.jit(update)


def assert_close(a, b, **tolerance):
  jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, **tolerance), a, b)


def assert_same_bits(a, b):
  jax.tree.map(np.testing.assert_array_equal, a, b)


def test_ten_steps_of_the_baseline_equal_torch():
  golden = load_golden('conv_transformer_adamw')
  variables = flax_variables(golden['state'])
  config = yandex.get_config('baseline')
  config.accumulate = 2
  model = models.create(GOLDEN_MODEL, num_classes=10)
  state, update = make_step(config, model, variables=variables)
  lengths = np.stack([golden['lengths']] * 2)
  # The golden arrays are float64 results: float32 through some ten layers costs about 1e-6.
  tolerance = 1e-4
  for step in range(10):
    state, metrics = update(
      state,
      {'inputs': golden['inputs'][step], 'lengths': lengths, 'labels': golden['labels'][step]},
    )
    assert relative_error(metrics['loss'], golden['losses'][step]) <= tolerance, step
    if step == 0:
      first = flax_variables(golden['first_grad'])['params']
      norm = np.sqrt(sum((x.astype(np.float64) ** 2).sum() for x in jax.tree.leaves(first)))
      assert relative_error(metrics['grad_norm'], norm) <= tolerance
  assert int(state.step) == 10
  assert relative_error(state.loss_sum, golden['losses'].sum()) <= tolerance

  final = flax_variables(golden['final'])
  errors = relative_errors(state.batch_stats, final['batch_stats'])

  # Some gradients are zero in truth and rounding in practice: a softmax does not see the bias of
  # its keys, nor BatchNorm that of a unit which ReLU passes on every example. Adam divides them by
  # their own size, so that such an element moves at random, by a rate a step at most.
  start, rate = variables['params'], 1e-4
  ours = jax.tree.map(lambda end, begin: np.asarray(end) - begin, state.params, start)
  theirs = jax.tree.map(np.subtract, final['params'], start)
  farthest = jax.tree.map(lambda a, b: np.abs(a - b).max(), ours, theirs)
  assert max(jax.tree.leaves(farthest)) <= 2 * 10 * rate

  # All others (95 %) are held to PyTorch's values.
  real = jax.tree.map(lambda g: np.abs(g) > 1e-6, first)
  assert np.mean(np.concatenate([x.ravel() for x in jax.tree.leaves(real)])) > 0.95
  ours, theirs = (jax.tree.map(np.multiply, moved, real) for moved in (ours, theirs))
  errors |= relative_errors(jax.tree.map(np.add, start, ours), jax.tree.map(np.add, start, theirs))
  assert max(errors.values()) <= tolerance, max(errors.items(), key=lambda item: item[1])

  # Their updates too: a parameter of about 1 is kept to 6e-8 at each step and moves by 1e-3 in all,
  # which leaves 6e-4 of an update at the worst.
  errors = relative_errors(ours, theirs)
  assert max(errors.values()) <= 1e-3, max(errors.items(), key=lambda item: item[1])


def test_micro_batches_give_the_update_of_one_batch_of_them_all():
  whole, update_whole = make_step(make_config(), Tiny())
  parts, update_parts = make_step(make_config(accumulate=2), Tiny())
  for step in range(3):
    batch = make_batch(step)
    halves = {name: x.reshape(2, -1, *x.shape[2:]) for name, x in batch.items()}
    (whole, expected), (parts, metrics) = update_whole(whole, batch), update_parts(parts, halves)
    assert_close(metrics, expected, rtol=1e-5)  # Sums in another order.
  assert_close(parts.params, whole.params, rtol=1e-5, atol=1e-6)


def reference_step(params, batch):
  """Loss and gradient of `Tiny` under `bce`, weighed, in float64 numpy: all examples at once."""
  params = jax.tree.map(lambda x: np.asarray(x, np.float64), params)
  batch = {name: x.reshape(-1, *x.shape[2:]).astype(np.float64) for name, x in batch.items()}
  first, last = params['Dense_0'], params['Dense_1']
  valid = np.arange(TIME) < batch['lengths'][:, None]
  x = (batch['inputs'] * valid[..., None]).sum(axis=1) / batch['lengths'][:, None]
  hidden = np.tanh(x @ first['kernel'] + first['bias'])
  logits = hidden @ last['kernel'] + last['bias']
  losses = (np.logaddexp(0, logits) - batch['labels'] * logits).mean(axis=1)
  share = batch['weights'] / batch['weights'].sum()

  to_logits = (1 / (1 + np.exp(-logits)) - batch['labels']) * share[:, None] / CLASSES
  to_hidden = (to_logits @ last['kernel'].T) * (1 - hidden**2)
  grads = {
    'Dense_0': {'kernel': x.T @ to_hidden, 'bias': to_hidden.sum(axis=0)},
    'Dense_1': {'kernel': hidden.T @ to_logits, 'bias': to_logits.sum(axis=0)},
  }
  return (share * losses).sum(), grads


WEIGHTS = np.array([0.3, 1.0, 0.0, 2.5, 0.7, 0.1, 4.0, 0.0], np.float32)


@pytest.mark.parametrize('accumulate', [1, 2, 4])
def test_a_weighed_step_has_the_loss_and_gradient_of_its_formula(accumulate):
  batch = make_batch(accumulate=accumulate)
  batch['weights'] = WEIGHTS.reshape(accumulate, -1)
  state, update = make_step(make_config(accumulate=accumulate), Tiny())
  loss, grads = reference_step(state.params, batch)
  after, metrics = update(state, batch)
  np.testing.assert_allclose(metrics['loss'], loss, rtol=1e-6)
  moved = jax.tree.map(lambda old, grad: np.asarray(old) - 0.5 * grad, state.params, grads)
  assert_close(after.params, moved, rtol=1e-6, atol=1e-7)


def test_weights_of_one_are_no_weights():
  batch = make_batch(accumulate=2)
  state, update = make_step(make_config(accumulate=2), Tiny(dropout=0.5))
  ones = np.ones((2, 4), np.float32)
  assert_same_bits(update(state, batch), update(state, batch | {'weights': ones}))


def test_an_example_of_weight_zero_might_as_well_not_be_there():
  batch = make_batch()
  weights = np.array([[1, 1, 0, 1, 0, 1, 1, 1]], np.float32)
  state, update = make_step(make_config(), Tiny())
  present = {name: x[:, weights[0] > 0] for name, x in batch.items()}
  after, metrics = update(state, {**batch, 'weights': weights})
  expected, expected_metrics = update(state, present)
  assert_close(metrics, expected_metrics, rtol=1e-6)
  assert_close(after.params, expected.params, rtol=1e-6, atol=1e-7)


def test_a_step_without_any_weight_changes_nothing():
  state, update = make_step(make_config(), Tiny())
  after, metrics = update(state, {**make_batch(), 'weights': np.zeros((1, 8), np.float32)})
  assert metrics['loss'] == 0
  assert_same_bits(after.params, state.params)


def test_mixed_examples_count_by_their_mixed_weights():
  batch = make_batch() | {'weights': WEIGHTS[None]}
  seen = []

  def recording(key, micro):
    mixed = augment.create({'cutmix_time': {'alpha': 1.0}})(key, micro)
    jax.debug.callback(lambda mixed: seen.append(jax.tree.map(np.array, mixed)), mixed)
    return mixed

  state, update = make_step(make_config(), Tiny(), recording)
  _, metrics = update(state, batch)
  jax.effects_barrier()
  assert not np.allclose(seen[0]['weights'], WEIGHTS)
  mixed = {name: x[None] for name, x in seen[0].items()}
  np.testing.assert_allclose(metrics['loss'], reference_step(state.params, mixed)[0], rtol=1e-6)


def test_batch_statistics_are_updated_by_each_micro_batch_in_turn():
  batch = make_batch(accumulate=2)
  state, update = make_step(make_config(accumulate=2), Tiny(batch_norm=True))
  expected = state.batch_stats
  for number in range(2):
    _, updated = Tiny(batch_norm=True).apply(
      {'params': state.params, 'batch_stats': expected},
      batch['inputs'][number],
      batch['lengths'][number],
      train=True,
      mutable=['batch_stats'],
    )
    expected = updated['batch_stats']
  assert_close(update(state, batch)[0].batch_stats, expected, rtol=1e-5, atol=1e-6)


def test_the_moving_average_follows_its_formula_batch_statistics_included():
  ema_decay = 0.25  # (1 + step) / (10 + step) is less at steps 0 and 1, more from 3 on.
  state, update = make_step(make_config(ema_decay=ema_decay), Tiny(batch_norm=True))
  as_double = lambda tree: jax.tree.map(lambda x: np.asarray(x, np.float64), tree)  # noqa: E731
  expected = as_double({'params': state.params, 'batch_stats': state.batch_stats})
  assert_same_bits(state.ema, expected)
  for step in range(6):
    state, _ = update(state, make_batch(step))
    now = as_double({'params': state.params, 'batch_stats': state.batch_stats})
    decay = min(ema_decay, (1 + step) / (10 + step))
    expected = jax.tree.map(
      lambda old, new, decay=decay: decay * old + (1 - decay) * new, expected, now
    )
    assert_close(state.ema, expected, rtol=1e-5, atol=1e-6)
  assert_same_bits(state.eval_variables, state.ema)


def test_without_a_moving_average_the_parameters_themselves_are_evaluated():
  state, update = make_step(make_config(), Tiny(batch_norm=True))
  state, _ = update(state, make_batch())
  assert not jax.tree.leaves(state.ema)
  assert_same_bits(state.eval_variables, {'params': state.params, 'batch_stats': state.batch_stats})


def test_the_learning_rate_scale_scales_the_update_and_what_is_reported():
  config = make_config(**{
    'optimizer.name': 'adamw',
    'optimizer.weight_decay': 0.1,
    'optimizer.schedule': 'exponential',
    'optimizer.decay_rate': 0.5,
  })  # fmt: skip
  state, update = make_step(config, Tiny())
  for step in range(3):
    cut = state.replace(progress=state.progress.replace(lr_scale=jnp.float32(0.25)))
    (after, metrics), (after_cut, metrics_cut) = (
      update(start, make_batch(step)) for start in (state, cut)
    )
    rate = 0.5 * 0.5 ** (step // 2)  # Two steps an epoch.
    np.testing.assert_allclose(metrics['learning_rate'], rate, rtol=1e-6)
    np.testing.assert_allclose(metrics_cut['learning_rate'], rate / 4, rtol=1e-6)
    moved, moved_cut = (
      jax.tree.map(np.subtract, end.params, state.params) for end in (after, after_cut)
    )
    # Parameters of about 1 are kept to 6e-8.
    assert_close(moved_cut, jax.tree.map(lambda x: x / 4, moved), atol=5e-7)
    assert_same_bits(after_cut.opt_state, after.opt_state)
    state = after


def test_inputs_are_normalized_before_they_are_augmented():
  statistics = {'mean': [1.0, -2.0, 0.0, 3.0], 'std': [2.0, 0.5, 1.0, 4.0]}
  raise_by_one = lambda key, batch: {**batch, 'inputs': batch['inputs'] + 1}  # noqa: E731
  batch = make_batch()
  mean, std = (np.array(statistics[name], np.float32) for name in ('mean', 'std'))
  start, update = make_step(make_config(), Tiny(), raise_by_one, statistics)
  state, metrics = update(start, batch)
  _, plain = make_step(make_config(), Tiny())
  expected, expected_metrics = plain(start, {**batch, 'inputs': (batch['inputs'] - mean) / std + 1})
  assert_close(metrics, expected_metrics, rtol=1e-5)
  assert_close(state.params, expected.params, rtol=1e-5, atol=1e-6)


def test_one_seed_and_step_is_one_result_to_the_bit():
  config, batch = make_config(accumulate=2, ema_decay=0.9), make_batch(accumulate=2)
  model = Tiny(batch_norm=True, dropout=0.5)
  first, second = (
    update(state, batch)
    for state, update in (make_step(config, model, augment.create(NOISY)) for _ in range(2))
  )
  assert_same_bits(first, second)


@pytest.mark.parametrize('source', ['dropout', 'augment'])
def test_another_step_or_seed_or_micro_batch_draws_anew(source):
  model = Tiny(dropout=0.5 if source == 'dropout' else 0.0)
  augmentation = augment.create(NOISY) if source == 'augment' else unchanged

  def loss(seed, step, accumulate=1):
    state, update = make_step(make_config(seed=seed, accumulate=accumulate), model, augmentation)
    copies = {name: np.repeat(x, accumulate, axis=0) for name, x in make_batch().items()}
    return float(update(state.replace(step=jnp.int32(step)), copies)[1]['loss'])

  here = loss(seed=0, step=0)
  assert loss(seed=0, step=0) == here
  # Draws move the loss by some percent; sums in another order by 1e-7.
  assert loss(seed=0, step=1) != pytest.approx(here, rel=1e-4)
  assert loss(seed=1, step=0) != pytest.approx(here, rel=1e-4)
  # Were the second of two equal micro-batches drawn like the first, it would not show.
  assert loss(seed=0, step=0, accumulate=2) != pytest.approx(here, rel=1e-4)


def test_every_use_of_random_numbers_has_a_key_of_its_own():
  keys = []

  def record(key):
    jax.debug.callback(lambda data: keys.append(tuple(data.tolist())), jax.random.key_data(key))

  def recording_augment(key, batch):
    record(key)
    return batch

  class Recording(Tiny):
    def apply(self, variables, inputs, lengths, *, rngs=None, **arguments):
      if rngs:
        record(rngs['dropout'])
      return super().apply(variables, inputs, lengths, rngs=rngs, **arguments)

  for seed in range(2):
    config = make_config(seed=seed, accumulate=2)
    state, update = make_step(config, Recording(), recording_augment)
    for step in range(3):
      state, _ = update(state, make_batch(step, accumulate=2))
  jax.effects_barrier()
  assert len(keys) == 2 * 3 * 2 * 2  # Seeds, steps, micro-batches, augmentation and dropout.
  assert len(set(keys)) == len(keys)


@pytest.mark.parametrize('names', [['gaussian_noise'], ['gaussian_noise', 'mixup']])
def test_what_stands_in_padding_does_not_matter_whatever_augments(names):
  config = make_config(ema_decay=0.9, accumulate=2)
  fields = {'width': 8, 'branches': ((5, 3), (1,)), 'dropout': 0.1, 'head_dropout': 0.5}
  model = models.create(GOLDEN_MODEL | fields, num_classes=CLASSES)
  augmentation = augment.create({name: NOISY[name] for name in names})
  statistics = {'mean': [1.0] * WIDTH, 'std': [2.0] * WIDTH}
  state, update = make_step(config, model, augmentation, statistics)
  batch = make_batch(accumulate=2)
  padding = np.arange(TIME) >= batch['lengths'][..., None]
  garbage = {**batch, 'inputs': np.where(padding[..., None], np.nan, batch['inputs'])}
  zeros = {**batch, 'inputs': np.where(padding[..., None], 0, batch['inputs'])}
  after, metrics = update(state, garbage)
  assert all(np.isfinite(value) for value in metrics.values())
  assert_same_bits((after, metrics), update(state, zeros))


class Recording(nn.Module):
  """Keeps the inputs of its last call as batch statistics."""

  @nn.compact
  def __call__(self, inputs, lengths, *, train):
    self.variable('batch_stats', 'seen', jnp.zeros, inputs.shape).value = inputs
    return nn.Dense(CLASSES)(inputs.mean(axis=1))


def test_prepared_inputs_are_those_the_model_trains_on():
  config = make_config(accumulate=2, batch_size=8)
  augmentation = augment.create({'gaussian_noise': {'sigma': 0.5}, 'mixup': {'alpha': 1.0}})
  statistics = {'mean': [1.0] * WIDTH, 'std': [2.0] * WIDTH}
  model, batch = Recording(), make_batch(accumulate=2)
  variables = model.init(jax.random.key(0), batch['inputs'][0], batch['lengths'][0], train=False)
  state, update = make_step(config, model, augmentation, statistics, variables)
  state, _ = update(state, batch)
  prepare = train_step.make_prepare(
    augmentation, train_step.make_features(lambda batch: batch, statistics), config
  )
  micro = {name: array[1] for name, array in batch.items()}
  for step in (0, 1):
    before, after = jax.jit(prepare)(np.int32(step), np.int32(1), micro)
    np.testing.assert_array_equal(after['inputs'], state.batch_stats['seen'])
    np.testing.assert_array_equal(before['inputs'], (micro['inputs'] - 1) / 2)
    state, _ = update(state, batch)


def test_positives_and_those_found_are_counted_over_all_micro_batches():
  config = make_config(accumulate=2, batch_size=8)
  state, update = make_step(config, Tiny())
  state = state.replace(params=jax.tree.map(jnp.zeros_like, state.params))
  bias = jnp.array([1.0, -1.0, 0.0])  # The logits of all examples: yes, no, yes.
  dense = state.params['Dense_1']
  state = state.replace(params={**state.params, 'Dense_1': {**dense, 'bias': bias}})
  batch = make_batch(accumulate=2)
  batch['labels'] = np.random.default_rng(0).random(batch['labels'].shape).astype(np.float32)
  after, _ = update(state, batch)
  assert float(after.positive_sum) == pytest.approx(batch['labels'].sum(), rel=1e-6)
  assert float(after.found_sum) == pytest.approx(batch['labels'][..., [0, 2]].sum(), rel=1e-6)


class Sowing(Tiny):
  """Costs the squares of its outputs."""

  @nn.compact
  def __call__(self, inputs, lengths, *, train):
    outputs = super().__call__(inputs, lengths, train=train)
    self.sow('penalties', 'size', jnp.square(outputs).sum(axis=-1))
    return outputs


def test_what_a_model_sows_is_added_by_a_weight_that_grows_with_the_step():
  config = make_config()
  config.penalties.size = {'weight': 0.3, 'warmup_steps': 3}
  state, update = make_step(config, Sowing())
  bce = losses.create(config.loss)
  for step in range(5):
    batch = make_batch(step)
    micro = {name: x[0] for name, x in batch.items()}
    outputs = Sowing().apply({'params': state.params}, micro['inputs'], LENGTHS, train=False)
    size = np.square(outputs).sum(axis=-1).mean()
    expected = bce(outputs, micro['labels']).mean() + 0.3 * min(1, (step + 1) / 3) * size
    state, metrics = update(state, batch)
    np.testing.assert_allclose(metrics['loss'], expected, rtol=1e-5)  # Sums in another order.
    np.testing.assert_allclose(metrics['size'], size, rtol=1e-5)


def test_a_penalty_counts_by_weight_and_not_by_micro_batch():
  config = make_config(accumulate=2)
  config.penalties.size = {'weight': 0.3, 'warmup_steps': 0}
  parts, update_parts = make_step(config, Sowing())
  config = make_config()
  config.penalties.size = {'weight': 0.3, 'warmup_steps': 0}
  whole, update_whole = make_step(config, Sowing())
  batch = make_batch()
  batch['weights'] = np.float32([[0, 1, 2, 1, 0.5, 3, 1, 1]])
  halves = {name: x.reshape(2, -1, *x.shape[2:]) for name, x in batch.items()}
  (whole, expected), (parts, metrics) = update_whole(whole, batch), update_parts(parts, halves)
  assert_close(metrics, expected, rtol=1e-5)  # Sums in another order.
  assert_close(parts.params, whole.params, rtol=1e-5, atol=1e-6)


def test_without_classes_nothing_is_counted():
  config = make_config()
  schedule = optimizers.create_schedule(config.optimizer, 10, steps_per_epoch=2)
  tx = optimizers.create(config.optimizer, schedule)
  features = train_step.make_features(lambda batch: batch, {})
  prepare = train_step.make_prepare(unchanged, features, config)
  loss = losses.create(config.loss)
  update = train_step.make_train_step(Tiny(), loss, prepare, None, tx, schedule, config)
  state, _ = make_step(config, Tiny())
  state, _ = jax.jit(update)(state, make_batch())
  assert float(state.found_sum) == float(state.positive_sum) == 0
