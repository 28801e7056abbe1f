import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from musicjax import losses, models
from musicjax.errors import ConfigError
from tests.models.torch_weights import relative_error

SMALL = {
  'name': 'attention_transformer',
  'width': 16,
  'num_layers': 2,
  'num_heads': 4,
  'mlp_dim': 32,
}
LENGTHS = np.array([13, 9, 1, 6], np.int32)


def make_inputs(width=12):
  return np.random.default_rng(0).normal(size=(4, 13, width)).astype(np.float32)


@functools.cache
def make_model(dtype='float32', **fields):
  model = models.create(SMALL | fields, num_classes=5, dtype=dtype)
  init = jax.jit(functools.partial(model.init, train=False))
  evaluate = jax.jit(functools.partial(model.apply, train=False))
  return model, init(jax.random.key(0), make_inputs(), LENGTHS), evaluate


@pytest.mark.parametrize('patch_frames', [1, 4])
def test_padding_is_inert_in_evaluation(patch_frames):
  _, variables, evaluate = make_model(patch_frames=patch_frames)
  inputs = make_inputs()
  logits = evaluate(variables, inputs, LENGTHS)
  garbage = np.full((4, 21, 12), np.nan, np.float32)
  for row, length in enumerate(LENGTHS):
    garbage[row, :length] = inputs[row, :length]
  padded = evaluate(variables, garbage, LENGTHS)
  # Sums over time are taken in another order: some ulps of float32.
  assert relative_error(padded, logits) <= 1e-5
  for row in (1, 2):  # 9 frames, and the shortest, 1.
    alone = evaluate(variables, inputs[[row], : LENGTHS[row]], LENGTHS[[row]])
    assert relative_error(alone[0], logits[row]) <= 1e-5


def test_every_valid_frame_and_their_order_count():
  _, variables, evaluate = make_model()
  inputs, lengths = make_inputs()[:1], LENGTHS[:1]
  gradient = jax.grad(lambda x: evaluate(variables, x, lengths)[0, 0])(inputs)
  assert (np.abs(gradient[0]).max(axis=1) > 0).all()
  logits = evaluate(variables, inputs, lengths)
  swapped = evaluate(variables, inputs[:, ::-1], lengths)
  assert relative_error(swapped, logits) > 1e-3


def test_dropout_is_on_in_training_alone():
  model, variables, evaluate = make_model()

  @jax.jit
  def train(key):
    return model.apply(variables, make_inputs(), LENGTHS, train=True, rngs={'dropout': key})

  logits = train(jax.random.key(0))
  np.testing.assert_array_equal(train(jax.random.key(0)), logits)
  assert relative_error(train(jax.random.key(1)), logits) > 0.01
  evaluate(variables, make_inputs(), LENGTHS)  # Needs no key.


def test_bfloat16_keeps_parameters_and_logits_in_float32():
  _, variables, evaluate = make_model()
  _, fresh, evaluate_half = make_model(dtype='bfloat16')
  assert {x.dtype for x in jax.tree.leaves(fresh)} == {jnp.dtype('float32')}
  logits = evaluate_half(variables, make_inputs(), LENGTHS)
  assert logits.dtype == jnp.float32
  # 8 bits of mantissa through some ten layers; it must also differ, or bfloat16 was not used.
  assert 1e-4 < relative_error(logits, evaluate(variables, make_inputs(), LENGTHS)) < 0.1


def test_a_small_genre_classifier_of_mel_frames_learns_a_batch():
  model = models.create(
    SMALL | {'patch_frames': 4, 'width': 32, 'dropout': 0.0, 'head_dropout': 0.0}, num_classes=4
  )
  inputs = np.random.default_rng(1).normal(size=(8, 24, 20)).astype(np.float32)
  lengths = np.array([24, 20, 17, 24, 9, 12, 24, 5], np.int32)
  labels = np.eye(4, dtype=np.float32)[np.arange(8) % 4]
  loss_function = losses.create({'name': 'softmax_cross_entropy'})
  init = jax.jit(functools.partial(model.init, train=False))
  params = init(jax.random.key(0), inputs, lengths)['params']
  optimizer = optax.adam(3e-3)

  @jax.jit
  def step(params, state):
    def loss(params):
      return loss_function(
        model.apply({'params': params}, inputs, lengths, train=True), labels
      ).mean()

    value, gradients = jax.value_and_grad(loss)(params)
    updates, state = optimizer.update(gradients, state)
    return optax.apply_updates(params, updates), state, value

  state = optimizer.init(params)
  for _ in range(60):
    params, state, loss = step(params, state)
  assert loss < 0.1  # Chance is log 4 = 1.39.


def test_a_genre_classifier_fits_into_a_million_parameters():
  model = models.create(
    SMALL | {'patch_frames': 4, 'width': 128, 'num_layers': 4, 'mlp_dim': 256}, num_classes=8
  )
  shapes = jax.eval_shape(
    lambda key: model.init(key, jnp.zeros((2, 431, 128)), jnp.array([431, 3]), train=False),
    jax.random.key(0),
  )
  assert sum(x.size for x in jax.tree.leaves(shapes)) < 1_000_000


def test_unknown_names_and_fields_are_told_with_the_nearest():
  with pytest.raises(ConfigError, match=r"'atention_transformer' \(nearest: attention_trans"):
    models.create({'name': 'atention_transformer'}, num_classes=5)
  with pytest.raises(ConfigError, match=r"'num_layer' \(nearest: num_layers\)"):
    models.create(SMALL | {'num_layer': 3}, num_classes=5)
  with pytest.raises(ConfigError, match=r'config.dtype: expected one of float32, bfloat16'):
    models.create(SMALL, num_classes=5, dtype='float16')
  with pytest.raises(ConfigError, match=r'multiple of 2 num_heads = 8, found 12'):
    models.create(SMALL | {'width': 12}, num_classes=5)


def test_models_are_listed_by_glob():
  assert {'attention_transformer', 'conv_transformer'} <= set(models.names())
  assert models.names('conv_trans*') == ['conv_transformer']
  assert 'layers' not in models.names()
  assert models.names('no such model') == []
