import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from musicjax import losses, models
from tests.models.torch_weights import flax_variables, load_golden, relative_error, relative_errors

# The golden arrays are float64 results: float32 through some ten layers costs about 1e-6.
TOLERANCE = 1e-4
SMALL = {'name': 'spectrogram_cnn', 'channels': (4, 6, 8), 'head_dim': 24, 'dropout': 0.0}
VARIANTS = {
  'spectrogram_cnn': SMALL | {'pool': 3},
  'spectrogram_cnn_attention': SMALL | {'pool': 2, 'attention': True},
}
bce = losses.create({'name': 'bce'})


@pytest.fixture(scope='module', params=VARIANTS)
def published(request):
  """A variant's model, its golden arrays, its variables, and the jitted evaluation."""
  golden = load_golden(request.param)
  model = models.create(VARIANTS[request.param], 10)
  evaluate = jax.jit(functools.partial(model.apply, train=False))
  return model, golden, flax_variables(golden['state']), evaluate


def full(inputs):
  return np.full(len(inputs), inputs.shape[1])


def count_parameters(**fields):
  init = functools.partial(models.create({'name': 'spectrogram_cnn'} | fields, 7).init, train=False)
  shapes = jax.eval_shape(init, jax.random.key(0), jnp.zeros((1, 8, 8)), jnp.array([8]))
  return sum(x.size for x in jax.tree.leaves(shapes['params']))


def test_evaluation_equals_torch(published):
  _, golden, variables, evaluate = published
  logits = evaluate(variables, golden['inputs'], full(golden['inputs']))
  assert relative_error(logits, golden['eval']['logits']) <= TOLERANCE


def test_training_loss_gradients_and_statistics_equal_torch(published):
  model, golden, variables, _ = published

  def loss_and_updates(params):
    logits, updates = model.apply(
      {'params': params, 'batch_stats': variables['batch_stats']},
      golden['inputs'],
      full(golden['inputs']),
      train=True,
      mutable=['batch_stats'],
    )
    return bce(logits, golden['labels']).mean(), (logits, updates['batch_stats'])

  step = jax.jit(jax.value_and_grad(loss_and_updates, has_aux=True))
  (loss, (logits, batch_stats)), gradients = step(variables['params'])
  # BatchNorm takes the bias before it away, but for rounding.
  vanishing = np.abs(gradients['head'].pop('bias')).max()
  assert vanishing <= 2e-5 * np.abs(gradients['head']['kernel']).max()
  errors = relative_errors(gradients, flax_variables(golden['grad'])['params'])
  errors |= relative_errors(batch_stats, flax_variables(golden['after'])['batch_stats'])
  errors['logits'] = relative_error(logits, golden['train']['logits'])
  errors['loss'] = relative_error(loss, golden['train']['loss'])
  assert max(errors.values()) <= TOLERANCE, max(errors.items(), key=lambda item: item[1])


def test_level_and_contrast_of_a_slice_do_not_matter_unless_it_comes_standardised(published):
  model, golden, variables, evaluate = published
  inputs, expected = golden['inputs'], golden['eval']['logits']
  logits = evaluate(variables, 0.1 * inputs + 3, full(inputs))
  assert relative_error(logits, expected) <= TOLERANCE
  unit = jax.jit(functools.partial(model.clone(standardize=False).apply, train=False))
  ready = (inputs - inputs.mean((1, 2), keepdims=True)) / inputs.std((1, 2), keepdims=True)
  assert relative_error(unit(variables, ready, full(inputs)), expected) <= TOLERANCE
  assert relative_error(unit(variables, ready + 1, full(inputs)), expected) > 0.01


def test_frames_beyond_the_length_are_the_mean_whatever_they_hold(published):
  model, golden, variables, evaluate = published
  inputs, lengths = golden['inputs'].copy(), full(golden['inputs'])
  lengths[1] -= 5
  inputs[1, lengths[1] :] = np.nan
  padded = evaluate(variables, inputs, lengths)
  kept = inputs[1, : lengths[1]]
  inputs[1, : lengths[1]] = (kept - kept.mean()) / kept.std()
  inputs[1, lengths[1] :] = 0
  unit = jax.jit(functools.partial(model.clone(standardize=False).apply, train=False))
  ready = unit(variables, inputs, full(inputs))
  assert relative_error(padded[1], ready[1]) <= TOLERANCE
  assert relative_error(padded[0], golden['eval']['logits'][0]) <= TOLERANCE


def test_silence_has_finite_logits(published):
  _, golden, variables, evaluate = published
  inputs = np.full_like(golden['inputs'], -100.0)
  logits = evaluate(variables, inputs, full(inputs))
  assert np.isfinite(logits).all()


def test_dropout_strikes_only_in_training():
  model = models.create(SMALL | {'channels': (4,), 'dropout': 0.5}, 10)
  inputs = np.random.default_rng(0).normal(size=(4, 9, 9)).astype(np.float32)
  variables = model.init(jax.random.key(0), inputs, full(inputs), train=False)
  evaluate = functools.partial(model.apply, variables, inputs, full(inputs))

  @jax.jit
  def train(key):
    return evaluate(train=True, rngs={'dropout': key}, mutable=['batch_stats'])[0]

  first, again, other = (train(jax.random.key(seed)) for seed in (0, 0, 1))
  np.testing.assert_array_equal(first, again)
  assert relative_error(other, first) > 0.01
  np.testing.assert_array_equal(evaluate(train=False), evaluate(train=False))


def test_published_sizes():
  # By hand: convolutions 285,984, their norms 896, head 33,024, its norm 512, logits 1,799.
  plain = 285_984 + 896 + 33_024 + 512 + 1_799
  assert count_parameters() == plain
  # Channel attention 2 x (32 x 4 + 64 x 4 + 128 x 8), spatial 3 x 98.
  assert count_parameters(attention=True) == plain + 2_816 + 294


def test_bfloat16_keeps_parameters_statistics_and_logits_in_float32(published):
  model, golden, variables, _ = published
  model = model.clone(dtype=jnp.bfloat16)
  inputs, lengths = golden['inputs'], full(golden['inputs'])
  fresh = jax.eval_shape(
    functools.partial(model.init, train=False), jax.random.key(0), inputs, lengths
  )
  assert jax.tree.structure(fresh) == jax.tree.structure(variables)
  assert {x.dtype for x in jax.tree.leaves(fresh)} == {jnp.dtype('float32')}
  logits = jax.jit(functools.partial(model.apply, train=False))(variables, inputs, lengths)
  assert logits.dtype == jnp.float32
  # 8 bits of mantissa through some ten layers; it must also differ, or bfloat16 was not used.
  assert 1e-4 < relative_error(logits, golden['eval']['logits']) < 0.1


def test_a_config_read_back_from_json_gives_the_same_model():
  fields = VARIANTS['spectrogram_cnn'] | {'channels': [4, 6, 8]}
  assert hash(models.create(fields, 10)) == hash(models.create(VARIANTS['spectrogram_cnn'], 10))
