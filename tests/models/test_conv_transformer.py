import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from musicjax import losses, models
from musicjax.errors import ConfigError
from musicjax.models import layers
from musicjax.models.convolution import Conv1D
from tests.models.torch_weights import (
  GOLDEN_MODEL,
  flax_variables,
  load_golden,
  relative_error,
  relative_errors,
)

# The golden arrays are float64 results: float32 through some ten layers costs about 1e-6.
TOLERANCE = 1e-4
loss_function = losses.create({'name': 'bce'})


@pytest.fixture(scope='module')
def golden():
  return load_golden('conv_transformer')


@pytest.fixture(scope='module')
def model():
  return models.create(GOLDEN_MODEL, num_classes=10)


@pytest.fixture(scope='module')
def evaluate(model):
  return jax.jit(functools.partial(model.apply, train=False))


@pytest.fixture(scope='module')
def variables(golden):
  return flax_variables(golden['state'])


def loss_and_updates(model, params, batch_stats, inputs, lengths, labels):
  logits, updates = model.apply(
    {'params': params, 'batch_stats': batch_stats},
    inputs,
    lengths,
    train=True,
    mutable=['batch_stats'],
  )
  return loss_function(logits, labels).mean(), (logits, updates['batch_stats'])


def init_shapes(model, input_width):
  inputs, lengths = jnp.zeros((2, 5, input_width)), jnp.array([5, 3])
  init = functools.partial(model.init, train=False)
  return jax.eval_shape(init, jax.random.key(0), inputs, lengths)['params']


def valid(x, golden):
  return x * np.asarray(layers.frame_mask(golden['lengths'], x.shape[1]))[..., None]


def test_encoder_layer_equals_torch_on_valid_frames(golden, variables):
  layer = layers.TransformerEncoderLayer(num_heads=4, mlp_dim=32)
  mask = layers.frame_mask(golden['lengths'], golden['inputs'].shape[1])
  encoded = layer.apply(
    {'params': variables['params']['encoder_0']}, golden['inputs'], mask, train=False
  )
  expected = golden['eval']['encoded']
  assert relative_error(valid(encoded, golden), valid(expected, golden)) <= TOLERANCE


@pytest.mark.parametrize('branch', range(4))
def test_conv_branch_equals_torch_on_valid_frames(golden, variables, model, branch):
  x = golden['eval']['encoded']
  mask = layers.frame_mask(golden['lengths'], x.shape[1])
  for i, taps in enumerate(model.branches[branch]):
    conv = Conv1D(16, taps)
    params = variables['params'][f'branch_{branch}_conv_{i}']
    x = jax.nn.relu(conv.apply({'params': params}, layers.zero_padding(x, mask)))
  expected = golden['eval'][f'branch_{branch}']
  assert relative_error(valid(x, golden), valid(expected, golden)) <= TOLERANCE


def test_pooling_equals_torch(golden):
  mask = layers.frame_mask(golden['lengths'], golden['inputs'].shape[1])
  pooled = [layers.masked_max(golden['eval'][f'branch_{b}'], mask) for b in range(4)]
  # A maximum does not round.
  np.testing.assert_array_equal(np.concatenate(pooled, axis=-1), golden['eval']['pooled'])


def test_head_equals_torch(golden, variables):
  x = golden['eval']['pooled']
  for i in range(2):
    params = variables['params'][f'head_{i}']
    norm = {key: variables[key][f'head_norm_{i}'] for key in ('params', 'batch_stats')}
    x = jax.nn.relu(x @ params['kernel'] + params['bias'])
    x = layers.BatchNorm().apply(norm, x, use_running_average=True)
  assert relative_error(x, golden['eval']['head']) <= TOLERANCE


def test_evaluation_equals_torch(golden, variables, evaluate):
  logits = evaluate(variables, golden['inputs'], golden['lengths'])
  assert relative_error(logits, golden['eval']['logits']) <= TOLERANCE


def test_training_loss_gradients_and_statistics_equal_torch(golden, variables, model):
  step = jax.jit(jax.value_and_grad(functools.partial(loss_and_updates, model), has_aux=True))
  (loss, (logits, batch_stats)), gradients = step(
    variables['params'],
    variables['batch_stats'],
    golden['inputs'],
    golden['lengths'],
    golden['labels'],
  )
  assert relative_error(logits, golden['train']['logits']) <= TOLERANCE
  assert relative_error(loss, golden['train']['loss']) <= TOLERANCE
  errors = relative_errors(gradients, flax_variables(golden['grad'])['params'])
  errors |= relative_errors(batch_stats, flax_variables(golden['after'])['batch_stats'])
  assert max(errors.values()) <= TOLERANCE, max(errors.items(), key=lambda item: item[1])


def test_padding_is_inert_in_evaluation(golden, variables, evaluate):
  inputs, lengths = golden['inputs'], golden['lengths']
  logits = evaluate(variables, inputs, lengths)
  garbage = np.full((6, 20, 16), np.nan, np.float32)
  for row, length in enumerate(lengths):
    garbage[row, :length] = inputs[row, :length]
  padded = evaluate(variables, garbage, lengths)
  # Sums over time are taken in another order: some ulps of float32.
  assert relative_error(padded, logits) <= 1e-5
  for row in (1, 2):  # 9 frames, and the shortest, 1.
    alone = evaluate(variables, inputs[[row], : lengths[row]], lengths[[row]])
    assert relative_error(alone[0], logits[row]) <= 1e-5


def test_dropout_strikes_single_features_and_only_in_training(golden, variables):
  model = models.create(GOLDEN_MODEL | {'dropout': 0.1, 'head_dropout': 0.5}, num_classes=10)
  inputs, lengths = golden['inputs'], golden['lengths']

  @jax.jit
  def train(key):
    rngs = {'dropout': key}
    return model.apply(variables, inputs, lengths, train=True, rngs=rngs, mutable=['batch_stats'])

  logits, _ = train(jax.random.key(0))
  np.testing.assert_array_equal(train(jax.random.key(0))[0], logits)
  assert relative_error(train(jax.random.key(1))[0], logits) > 0.01
  # With dropout of whole samples, about half the samples would have no feature left and so agree.
  assert len(np.unique(np.asarray(logits), axis=0)) == len(lengths)
  logits = jax.jit(functools.partial(model.apply, train=False))(variables, inputs, lengths)
  assert relative_error(logits, golden['eval']['logits']) <= TOLERANCE


def test_published_faults_put_back_see_padding_and_drop_whole_examples(golden, variables):
  inputs, lengths = golden['inputs'], golden['lengths']
  unmasked = models.create(GOLDEN_MODEL | {'masked': False}, num_classes=10)
  model = models.create(GOLDEN_MODEL, num_classes=10)
  found = jax.jit(functools.partial(unmasked.apply, train=False))(variables, inputs, lengths)
  whole = np.full_like(lengths, inputs.shape[1])
  expected = jax.jit(functools.partial(model.apply, train=False))(variables, inputs, whole)
  assert relative_error(found, expected) <= 1e-5  # As above.
  assert relative_error(found, golden['eval']['logits']) > 0.01

  faulty = GOLDEN_MODEL | {'head_dropout': 0.5, 'drop_examples': True}
  train = jax.jit(
    functools.partial(
      models.create(faulty, num_classes=10).apply, train=True, mutable=['batch_stats']
    )
  )
  logits, _ = train(variables, inputs, lengths, rngs={'dropout': jax.random.key(0)})
  assert 1 < len(np.unique(np.asarray(logits), axis=0)) < len(lengths)  # What is dropped is alike.


def test_bfloat16_keeps_parameters_statistics_and_logits_in_float32(golden, variables):
  model = models.create(GOLDEN_MODEL, num_classes=10, dtype='bfloat16')
  inputs, lengths = golden['inputs'], golden['lengths']
  init = functools.partial(model.init, train=False)
  fresh = jax.eval_shape(init, jax.random.key(0), inputs, lengths)
  assert jax.tree.structure(fresh) == jax.tree.structure(variables)
  assert {x.dtype for x in jax.tree.leaves(fresh)} == {jnp.dtype('float32')}
  train = functools.partial(model.apply, train=True, mutable=['batch_stats'])
  _, updates = jax.eval_shape(train, variables, inputs, lengths)
  assert {x.dtype for x in jax.tree.leaves(updates)} == {jnp.dtype('float32')}
  logits = jax.jit(functools.partial(model.apply, train=False))(variables, inputs, lengths)
  assert logits.dtype == jnp.float32
  # 8 bits of mantissa through some ten layers; it must also differ, or bfloat16 was not used.
  assert 1e-4 < relative_error(logits, golden['eval']['logits']) < 0.1


@pytest.mark.parametrize(
  ('input_width', 'width', 'expected'), [(8, 0, 8), (50, 0, 52), (8, 12, 12)]
)
def test_inputs_are_projected_only_to_another_width(input_width, width, expected):
  params = init_shapes(models.create(GOLDEN_MODEL | {'width': width}, num_classes=3), input_width)
  assert ('project' in params) == (input_width != expected)
  assert params['encoder_0']['linear2']['bias'].shape == (expected,)


def test_initial_values_are_spread_as_in_torch():
  model = models.create(GOLDEN_MODEL | {'mlp_dim': 400}, num_classes=3)
  init = jax.jit(functools.partial(model.init, train=False))
  params = init(jax.random.key(0), jnp.zeros((2, 5, 100)), jnp.array([5, 3]))['params']
  attention = params['encoder_0']['attention']
  for array, bound in (
    (params['encoder_0']['linear1']['kernel'], 1 / 100**0.5),
    (params['encoder_0']['linear1']['bias'], 1 / 100**0.5),
    (params['branch_0_conv_0']['kernel'], 1 / 700**0.5),
    (params['branch_0_conv_0']['bias'], 1 / 700**0.5),
    (attention['in_proj']['kernel'], (6 / 400) ** 0.5),
    (attention['out_proj']['kernel'], 1 / 100**0.5),
  ):
    # The largest of 100 uniform draws falls below 0.9 of the bound once in 40,000.
    assert 0.9 * bound < np.abs(array).max() <= bound
  assert not attention['in_proj']['bias'].any()
  assert not attention['out_proj']['bias'].any()


def test_published_defaults():
  shapes = init_shapes(models.create({'name': 'conv_transformer'}, num_classes=256), 768)
  convolutions = [name for name in shapes if name.startswith('branch')]
  assert len(convolutions) == 10
  assert shapes['head_0']['kernel'].shape == (3072, 768)
  # By hand: encoder 5,513,984, convolutions 22,420,992, head 2,953,728, logits 196,864.
  assert sum(x.size for x in jax.tree.leaves(shapes)) == 31_085_568


def test_a_config_read_back_from_json_gives_the_same_model(model):
  fields = GOLDEN_MODEL | {'branches': [[7, 5, 5], [5, 3, 3], [3, 3, 3], [1]]}
  assert hash(models.create(fields, num_classes=10)) == hash(model)


def test_a_width_that_the_heads_do_not_divide_is_told():
  with pytest.raises(ConfigError, match=r'width.*multiple of num_heads = 4.*found 18'):
    models.create(GOLDEN_MODEL | {'width': 18}, num_classes=3)


def test_a_micro_batch_of_one_is_told_in_training(golden, variables, model):
  with pytest.raises(ConfigError, match='at least 2 examples'):
    model.apply(
      variables,
      golden['inputs'][:1],
      golden['lengths'][:1],
      train=True,
      mutable=['batch_stats'],
    )
