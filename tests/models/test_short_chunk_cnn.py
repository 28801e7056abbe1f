import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from musicjax import losses, models
from musicjax.errors import ConfigError
from tests.models.torch_weights import relative_error, relative_errors

SMALL = {'name': 'short_chunk_cnn', 'channels': (4, 6), 'head_dim': 8, 'head_dropout': 0.0}
LENGTHS = np.array([21, 9, 1, 14], np.int32)


def make_inputs():
  return np.random.default_rng(0).normal(size=(4, 21, 12)).astype(np.float32) - 2


@functools.cache
def make_model(dtype='float32'):
  model = models.create(SMALL, num_classes=5, dtype=dtype)
  init = jax.jit(functools.partial(model.init, train=False))
  variables = init(jax.random.key(0), make_inputs(), LENGTHS)
  # Norms that shift padding away from zero.
  noise = jax.random.key(1)
  variables = jax.tree.map(lambda x: x + 0.1 * jax.random.uniform(noise, x.shape), variables)
  return model, variables, jax.jit(functools.partial(model.apply, train=False))


def with_garbage(inputs, time):
  garbage = np.full((len(inputs), time, inputs.shape[2]), np.nan, np.float32)
  for row, length in enumerate(LENGTHS):
    garbage[row, :length] = inputs[row, :length]
  return garbage


def test_padding_is_inert_in_evaluation():
  _, variables, evaluate = make_model()
  inputs = make_inputs()
  logits = evaluate(variables, inputs, LENGTHS)
  padded = evaluate(variables, with_garbage(inputs, 30), LENGTHS)
  # Sums over time are taken in another order: some ulps of float32.
  assert relative_error(padded, logits) <= 1e-5
  alone = evaluate(variables, inputs[[1], : LENGTHS[1]], LENGTHS[[1]])  # 9 frames, then 5, then 3.
  assert relative_error(alone[0], logits[1]) <= 1e-5


def test_padding_is_inert_in_training():
  model, variables, _ = make_model()

  @jax.jit
  @functools.partial(jax.grad, has_aux=True)
  def train(params, inputs):
    variables_ = {'params': params, 'batch_stats': variables['batch_stats']}
    logits, updates = model.apply(variables_, inputs, LENGTHS, train=True, mutable=['batch_stats'])
    return (logits**2).sum(), updates['batch_stats']

  inputs = make_inputs()
  gradients, stats = train(variables['params'], inputs)
  padded_gradients, padded_stats = train(variables['params'], with_garbage(inputs, 30))
  for tree in (gradients, padded_gradients):  # What BatchNorm undoes: zero, but for rounding.
    del tree['head']['bias'], tree['block_0']['shortcut_conv']
  errors = relative_errors(padded_gradients, gradients) | relative_errors(padded_stats, stats)
  # Sums over time in another order, through BatchNorm of four examples.
  assert max(errors.values()) <= 1e-3, max(errors.items(), key=lambda item: item[1])


def test_every_valid_frame_counts():
  _, variables, evaluate = make_model()
  gradient = jax.grad(lambda x: evaluate(variables, x, LENGTHS)[:, 0].sum())(make_inputs())
  reached = np.abs(gradient).max(axis=2) > 0
  np.testing.assert_array_equal(reached, np.arange(21) < LENGTHS[:, None])


def test_it_learns_a_batch_of_rising_and_falling_sweeps():
  model = models.create(SMALL | {'channels': (4,)}, num_classes=2)
  time, mel = np.mgrid[:16, :16]
  rising, falling = np.exp(-((mel - time) ** 2)), np.exp(-((mel + time - 15) ** 2))
  inputs = np.stack([rising, falling] * 4) + 0.1 * np.random.default_rng(0).normal(size=(8, 16, 16))
  inputs, lengths = inputs.astype(np.float32), np.full(8, 16)
  labels = np.tile(np.eye(2, dtype=np.float32), (4, 1))
  loss_function = losses.create({'name': 'softmax_cross_entropy'})
  variables = jax.jit(functools.partial(model.init, train=False))(
    jax.random.key(0), inputs, lengths
  )
  optimizer = optax.adam(1e-2)

  @jax.jit
  def step(variables, state):
    def loss(params):
      given = variables | {'params': params}
      logits, updates = model.apply(given, inputs, lengths, train=True, mutable=['batch_stats'])
      return loss_function(logits, labels).mean(), updates

    (value, updates), gradients = jax.value_and_grad(loss, has_aux=True)(variables['params'])
    change, state = optimizer.update(gradients, state)
    return updates | {'params': optax.apply_updates(variables['params'], change)}, state, value

  state = optimizer.init(variables['params'])
  for _ in range(30):
    variables, state, loss = step(variables, state)
  assert loss < 0.1  # Chance is log 2 = 0.69.


def test_default_sizes():
  model = models.create({'name': 'short_chunk_cnn'}, num_classes=8)
  init = functools.partial(model.init, train=False)
  shapes = jax.eval_shape(init, jax.random.key(0), jnp.zeros((2, 188, 128)), jnp.array([188, 3]))
  assert sum(x.size for x in jax.tree.leaves(shapes['params'])) == 436_362
  assert shapes['params']['head']['kernel'].shape == (256, 128)


def test_pooling_chooses_what_the_head_sees():
  _, variables, evaluate = make_model()
  both = variables['params']['head']['kernel']  # [max and mean, head]
  params = variables['params'] | {'head': variables['params']['head'] | {'kernel': both[6:]}}
  mean = models.create(SMALL | {'pooling': ('mean',)}, num_classes=5)
  found = mean.apply(variables | {'params': params}, make_inputs(), LENGTHS, train=False)
  silent = variables['params']['head'] | {'kernel': both.at[:6].set(0)}
  params = variables['params'] | {'head': silent}
  expected = evaluate(variables | {'params': params}, make_inputs(), LENGTHS)
  assert relative_error(found, expected) <= 1e-5  # Sums in another order.
  with pytest.raises(ConfigError, match=r'config\.model\.pooling: expected one of max, mean'):
    models.create(SMALL | {'pooling': ('mean', 'sum')}, num_classes=5)


def test_bfloat16_keeps_parameters_statistics_and_logits_in_float32():
  _, variables, evaluate = make_model()
  model, fresh, evaluate_bfloat16 = make_model('bfloat16')
  assert {x.dtype for x in jax.tree.leaves(fresh)} == {jnp.dtype('float32')}
  train = functools.partial(model.apply, train=True, mutable=['batch_stats'])
  _, updates = jax.eval_shape(train, variables, make_inputs(), LENGTHS)
  assert {x.dtype for x in jax.tree.leaves(updates)} == {jnp.dtype('float32')}
  logits = evaluate_bfloat16(variables, make_inputs(), LENGTHS)
  assert logits.dtype == jnp.float32
  # 8 bits of mantissa through some ten layers; it must also differ, or bfloat16 was not used.
  assert 1e-4 < relative_error(logits, evaluate(variables, make_inputs(), LENGTHS)) < 0.1


def test_a_config_read_back_from_json_gives_the_same_model():
  fields = SMALL | {'channels': [4, 6]}
  assert hash(models.create(fields, 5)) == hash(models.create(SMALL, 5))
