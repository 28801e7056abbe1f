import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from configs import freesound
from musicjax import losses, models
from musicjax.audio import front_ends
from tests.models.torch_weights import flax_variables, load_golden, relative_error, relative_errors

# The golden arrays are float64 results: float32 through a few layers costs about 1e-6.
TOLERANCE = 1e-4
SMALL = {'name': 'amplitude_phase_cnn', 'channels': (4, 6, 8), 'dropout': 0.0, 'head_dropout': 0.0}
cross_entropy = losses.create({'name': 'softmax_cross_entropy'})


@pytest.fixture(scope='module')
def published():
  """The model, its golden arrays, its variables, and the published front end."""
  golden = load_golden('amplitude_phase_cnn')
  front_end = jax.jit(front_ends.create(freesound.get_config('baseline')))
  return models.create(SMALL, 10), golden, flax_variables(golden['state']), front_end


@pytest.fixture(scope='module')
def evaluate(published):
  return jax.jit(functools.partial(published[0].apply, train=False))


def test_recordings_padded_to_one_length_equal_torch_one_by_one(published, evaluate):
  _, golden, variables, front_end = published
  lengths = golden['lengths']
  # What is behind a recording in the batch is zero, as the pipeline pads.
  inputs = golden['inputs'][: len(lengths)] * (np.arange(4000) < lengths[:, None])
  seen = front_end({'inputs': inputs, 'lengths': lengths})
  assert seen['lengths'].tolist() == [10, 23, 15]
  logits = evaluate(variables, seen['inputs'], seen['lengths'])
  assert relative_error(logits, golden['eval']['logits']) <= TOLERANCE
  beyond = np.arange(seen['inputs'].shape[1]) >= seen['lengths'][:, None]
  lost = np.where(beyond[:, :, None, None], np.nan, seen['inputs'])
  np.testing.assert_array_equal(evaluate(variables, lost, seen['lengths']), logits)


def test_training_loss_gradients_and_statistics_equal_torch(published):
  model, golden, variables, front_end = published
  crops = golden['inputs'][:, : golden['samples']]
  seen = front_end({'inputs': crops, 'lengths': np.full(len(crops), crops.shape[1])})

  def loss_and_updates(params):
    logits, updates = model.apply(
      {'params': params, 'batch_stats': variables['batch_stats']},
      seen['inputs'],
      seen['lengths'],
      train=True,
      mutable=['batch_stats'],
    )
    return cross_entropy(logits, golden['labels']).mean(), (logits, updates['batch_stats'])

  step = jax.jit(jax.value_and_grad(loss_and_updates, has_aux=True))
  (loss, (logits, batch_stats)), gradients = step(variables['params'])
  errors = relative_errors(gradients, flax_variables(golden['grad'])['params'])
  errors |= relative_errors(batch_stats, flax_variables(golden['after'])['batch_stats'])
  errors['logits'] = relative_error(logits, golden['train']['logits'])
  errors['loss'] = relative_error(loss, golden['train']['loss'])
  assert max(errors.values()) <= TOLERANCE, max(errors.items(), key=lambda item: item[1])


def test_silence_and_less_than_a_frame_have_finite_logits(published, evaluate):
  _, _, variables, front_end = published
  audio = np.zeros((3, 1000), np.int16)
  audio[1, :30] = 1000
  seen = front_end({'inputs': audio, 'lengths': np.array([1, 30, 1000])})
  assert seen['lengths'].tolist() == [1, 1, 4]
  logits = evaluate(variables, seen['inputs'], seen['lengths'])
  assert np.isfinite(logits).all()
  assert relative_error(logits[1], logits[0]) > 1e-3  # Thirty samples are heard.


def test_dropout_strikes_only_in_training():
  model = models.create(SMALL | {'channels': (4,), 'dropout': 0.1}, 10)
  inputs = np.random.default_rng(0).normal(size=(4, 9, 9, 2)).astype(np.float32)
  lengths = np.full(4, 9)
  variables = model.init(jax.random.key(0), inputs, lengths, train=False)
  apply = functools.partial(model.apply, variables, inputs, lengths)

  @jax.jit
  def train(key):
    return apply(train=True, rngs={'dropout': key}, mutable=['batch_stats'])[0]

  first, again, other = (train(jax.random.key(seed)) for seed in (0, 0, 1))
  np.testing.assert_array_equal(first, again)
  assert relative_error(other, first) > 0.01
  np.testing.assert_array_equal(apply(train=False), apply(train=False))


def test_published_sizes():
  model = models.create(ConfigDict(freesound.get_config('baseline').model), 41)
  init = functools.partial(model.init, train=False)
  shapes = jax.eval_shape(init, jax.random.key(0), jnp.zeros((1, 48, 257, 2)), jnp.array([48]))
  # Kernels 33 (2 x 16 + 16 x 32 + 32 x 64), biases of the norms 112, logits 65 x 41.
  assert sum(x.size for x in jax.tree.leaves(shapes['params'])) == 85_536 + 112 + 2_665


def test_bfloat16_keeps_parameters_statistics_and_logits_in_float32(published, evaluate):
  model, golden, variables, front_end = published
  audio = golden['inputs'][:, :2000]
  seen = front_end({'inputs': audio, 'lengths': np.full(4, 2000)})
  model = model.clone(dtype=jnp.bfloat16)
  logits = jax.jit(functools.partial(model.apply, train=False))(
    variables, seen['inputs'], seen['lengths']
  )
  assert logits.dtype == jnp.float32
  # 8 bits of mantissa through three layers; it must also differ, or bfloat16 was not used.
  assert 1e-5 < relative_error(logits, evaluate(variables, seen['inputs'], seen['lengths'])) < 0.1
