import functools

import jax
import numpy as np
import pytest

from musicjax import losses, models
from tests.models.torch_weights import flax_variables, load_golden, relative_error, relative_errors

# The golden arrays are float64 results: float32 through a few layers costs about 1e-6.
TOLERANCE = 1e-4
SMALL = {
  'name': 'musicnn',
  'timbral_bands': (5, 8),
  'timbral_channels': 3,
  'temporal_frames': (6, 3),
  'temporal_channels': 2,
  'width': 4,
  'head_dim': 6,
  'head_dropout': 0.0,
}
bce = losses.create({'name': 'bce'})


@pytest.fixture(scope='module')
def published():
  """The model, its golden arrays and its variables."""
  golden = load_golden('musicnn')
  return models.create(SMALL, 10), golden, flax_variables(golden['state'])


def test_clips_padded_to_one_length_equal_torch_one_by_one(published):
  model, golden, variables = published
  evaluate = jax.jit(functools.partial(model.apply, train=False))
  lengths = golden['lengths']
  inputs = golden['inputs'][: len(lengths)]
  logits = evaluate(variables, inputs, lengths)
  assert relative_error(logits, golden['eval']['logits']) <= TOLERANCE
  beyond = np.arange(inputs.shape[1]) >= lengths[:, None]
  lost = np.where(beyond[..., None], np.nan, inputs)
  np.testing.assert_array_equal(evaluate(variables, lost, lengths), logits)


def test_training_loss_gradients_and_statistics_equal_torch(published):
  model, golden, variables = published
  inputs, labels = golden['inputs'], golden['labels']

  def loss_and_updates(params):
    logits, updates = model.apply(
      {'params': params, 'batch_stats': variables['batch_stats']},
      inputs,
      np.full(len(inputs), inputs.shape[1]),
      train=True,
      mutable=['batch_stats'],
    )
    return bce(logits, labels).mean(), (logits, updates['batch_stats'])

  step = jax.jit(jax.value_and_grad(loss_and_updates, has_aux=True))
  (loss, (logits, batch_stats)), gradients = step(variables['params'])
  del gradients['time_2_norm']['bias']  # Zero, but for rounding.
  errors = relative_errors(gradients, flax_variables(golden['grad'])['params'])
  errors |= relative_errors(batch_stats, flax_variables(golden['after'])['batch_stats'])
  errors['logits'] = relative_error(logits, golden['train']['logits'])
  errors['loss'] = relative_error(loss, golden['train']['loss'])
  assert max(errors.values()) <= TOLERANCE, max(errors.items(), key=lambda item: item[1])
