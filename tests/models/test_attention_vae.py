import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from musicjax import losses, models
from musicjax.errors import ConfigError
from musicjax.models import attention_vae
from musicjax.targets import Targets
from tests.models.torch_weights import load_golden, relative_error, relative_errors

# The golden arrays are float64 results: float32 through some ten layers costs about 1e-6.
TOLERANCE = 1e-4
SMALL = {'name': 'attention_vae', 'channels': (4, 6, 8), 'latent_dim': 5}
VARIANTS = {
  'attention_vae': SMALL | {'attention': 'column'},
  'attention_vae_image': SMALL | {'attention': 'image'},
}
NATURAL = Targets('natural', mean=[0.0] * 3, std=[1.0] * 3, bounds=[None] * 3)
squared_error = losses.create({'name': 'squared_error'}, targets=NATURAL)


def flax_params(state_dict):
  """PyTorch keeps kernels as `[out, in, height, width]`, and flattens channels first."""
  params = {}
  for name, array in state_dict.items():
    path, leaf = name.rsplit('.', 1)
    layer = path.replace('convs.', 'conv_')
    if leaf == 'weight':
      leaf = 'kernel'
      if layer in ('mean', 'log_var'):
        array = array.reshape(len(array), 8, 2, 3).transpose(2, 3, 1, 0).reshape(-1, len(array))
      elif layer == 'score':
        array = array[:, :, 0, 0].T
      elif array.ndim == 4:
        array = array.transpose(2, 3, 1, 0)
      else:
        array = array.T
    params.setdefault(layer, {})[leaf] = array
  return params


@pytest.fixture(scope='module', params=VARIANTS)
def published(request):
  """A variant's model, its golden arrays and its variables."""
  golden = load_golden(request.param)
  return models.create(VARIANTS[request.param], 3), golden, {'params': flax_params(golden['state'])}


def lengths(inputs):
  return np.full(len(inputs), inputs.shape[1])


def apply(model, variables, inputs, **kwargs):
  return model.apply(variables, inputs, lengths(inputs), **kwargs)


def test_attention_code_and_outputs_equal_torch(published):
  model, golden, variables = published
  evaluate = jax.jit(
    functools.partial(apply, model, train=False, mutable=['intermediates', 'penalties'])
  )
  outputs, shown = evaluate(variables, golden['inputs'])
  (attention,), ((mean, log_var),) = shown['intermediates'].values()
  found = {'outputs': outputs, 'attention': attention, 'mean': mean, 'log_var': log_var}
  errors = relative_errors(found, golden['eval'])
  assert max(errors.values()) <= TOLERANCE, errors
  (kl,) = shown['penalties']['kl']
  assert relative_error(kl.mean(), golden['train']['kl']) <= TOLERANCE


def test_reconstruction_loss_and_gradients_with_the_same_noise_equal_torch(published, monkeypatch):
  model, golden, variables = published
  monkeypatch.setattr(attention_vae, 'draw_noise', lambda key, shape: golden['noise'])

  @functools.partial(jax.value_and_grad, has_aux=True)
  def loss(params):
    outputs, sown = apply(
      model,
      {'params': params},
      golden['inputs'],
      train=True,
      rngs={'dropout': jax.random.key(0)},
      mutable=['penalties'],
    )
    (kl,) = sown['penalties']['kl']
    return (squared_error(outputs, golden['labels']) + kl).mean(), outputs

  (value, outputs), gradients = jax.jit(loss)(variables['params'])
  errors = relative_errors(gradients, flax_params(golden['grad']))
  errors['outputs'] = relative_error(outputs, golden['train']['outputs'])
  errors['loss'] = relative_error(value, golden['train']['loss'])
  # A softmax does not see the bias of its logits: zero, but for rounding.
  del errors['score/bias']
  assert max(errors.values()) <= TOLERANCE, max(errors.items(), key=lambda item: item[1])


def test_the_code_is_drawn_in_training_and_its_mean_in_evaluation():
  model = models.create(SMALL, 3)
  inputs = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3)).astype(np.float32)
  variables = model.init(jax.random.key(0), inputs, lengths(inputs), train=False)
  run = jax.jit(functools.partial(apply, model, variables, inputs), static_argnames='train')
  drawn = [run(train=True, rngs={'dropout': jax.random.key(seed)}) for seed in (0, 0, 1)]
  np.testing.assert_array_equal(drawn[0], drawn[1])
  assert relative_error(drawn[2], drawn[0]) > 0.01
  many = jax.vmap(lambda key: run(train=True, rngs={'dropout': key}))(
    jax.random.split(jax.random.key(0), 4000)
  )
  # A code's deviation is about 1 a feature, that of the mean of 4,000 a 60th.
  np.testing.assert_allclose(many.mean(axis=0), run(train=False), atol=0.06)


def test_the_divergence_of_a_standard_normal_code_is_nothing():
  model = models.create(SMALL, 3)
  inputs = np.zeros((2, 16, 16, 3), np.float32)
  variables = model.init(jax.random.key(0), inputs, lengths(inputs), train=False)
  params = variables['params'] | {
    layer: jax.tree.map(np.zeros_like, variables['params'][layer]) for layer in ('mean', 'log_var')
  }
  _, sown = apply(model, {'params': params}, inputs, train=False, mutable=['penalties'])
  np.testing.assert_array_equal(sown['penalties']['kl'][0], 0)


def test_published_sizes():
  model = models.create({'name': 'attention_vae'}, 8)
  inputs = jnp.zeros((1, 128, 128, 3))
  shapes = jax.eval_shape(
    functools.partial(model.init, train=False), jax.random.key(0), inputs, jnp.array([128])
  )
  # By hand: convolutions 1,568 + 32,832 + 131,200, attention 129, the code's 2 x 1,048,608,
  # decoder 264.
  assert sum(x.size for x in jax.tree.leaves(shapes['params'])) == 2_263_209


def test_bfloat16_keeps_parameters_and_outputs_in_float32(published):
  model, golden, variables = published
  model = model.clone(dtype=jnp.bfloat16)
  outputs = jax.jit(functools.partial(apply, model, train=False))(variables, golden['inputs'])
  assert outputs.dtype == jnp.float32
  # 8 bits of mantissa through some five layers; it must also differ, or bfloat16 was not used.
  assert 1e-4 < relative_error(outputs, golden['eval']['outputs']) < 0.1


def test_what_cannot_be_is_told():
  with pytest.raises(ConfigError, match=r'config.model.attention: expected one of image, column'):
    models.create(SMALL | {'attention': 'row'}, 3)
