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


def make_model(**fields):
  model = models.create(SMALL | fields, num_classes=5)
  return model, model.init(jax.random.key(0), make_inputs(), LENGTHS, train=False)


@pytest.mark.parametrize('patch_frames', [1, 4])
def test_padding_is_inert_in_evaluation(patch_frames):
  model, variables = make_model(patch_frames=patch_frames)
  inputs = make_inputs()
  logits = model.apply(variables, inputs, LENGTHS, train=False)
  garbage = np.full((4, 21, 12), np.nan, np.float32)
  for row, length in enumerate(LENGTHS):
    garbage[row, :length] = inputs[row, :length]
  padded = model.apply(variables, garbage, LENGTHS, train=False)
  # Sums over time are taken in another order: some ulps of float32.
  assert relative_error(padded, logits) <= 1e-5
  for row, length in enumerate(LENGTHS):
    alone = model.apply(variables, inputs[row : row + 1, :length], LENGTHS[[row]], train=False)
    assert relative_error(alone[0], logits[row]) <= 1e-5


def test_every_valid_frame_and_their_order_count():
  model, variables = make_model()
  inputs, lengths = make_inputs()[:1], LENGTHS[:1]
  gradient = jax.grad(lambda x: model.apply(variables, x, lengths, train=False)[0, 0])(inputs)
  assert (np.abs(gradient[0]).max(axis=1) > 0).all()
  logits = model.apply(variables, inputs, lengths, train=False)
  swapped = model.apply(variables, inputs[:, ::-1], lengths, train=False)
  assert relative_error(swapped, logits) > 1e-3


def test_dropout_is_on_in_training_alone():
  model, variables = make_model()

  def train(seed):
    return model.apply(
      variables, make_inputs(), LENGTHS, train=True, rngs={'dropout': jax.random.key(seed)}
    )

  np.testing.assert_array_equal(train(0), train(0))
  assert relative_error(train(0), train(1)) > 0.01
  model.apply(variables, make_inputs(), LENGTHS, train=False)  # Needs no key.


def test_bfloat16_keeps_parameters_and_logits_in_float32():
  model, variables = make_model()
  half = models.create(SMALL, num_classes=5, dtype='bfloat16')
  fresh = half.init(jax.random.key(0), make_inputs(), LENGTHS, train=False)
  assert {x.dtype for x in jax.tree.leaves(fresh)} == {jnp.dtype('float32')}
  logits = half.apply(variables, make_inputs(), LENGTHS, train=False)
  assert logits.dtype == jnp.float32
  # 8 bits of mantissa through some ten layers; it must also differ, or bfloat16 was not used.
  expected = model.apply(variables, make_inputs(), LENGTHS, train=False)
  assert 1e-4 < relative_error(logits, expected) < 0.1


def test_a_small_genre_classifier_of_mel_frames_learns_a_batch():
  model = models.create(
    SMALL | {'patch_frames': 4, 'width': 32, 'dropout': 0.0, 'head_dropout': 0.0}, num_classes=4
  )
  inputs = np.random.default_rng(1).normal(size=(8, 24, 20)).astype(np.float32)
  lengths = np.array([24, 20, 17, 24, 9, 12, 24, 5], np.int32)
  labels = np.eye(4, dtype=np.float32)[np.arange(8) % 4]
  loss_function = losses.create({'name': 'softmax_cross_entropy'})
  params = model.init(jax.random.key(0), inputs, lengths, train=False)['params']
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
