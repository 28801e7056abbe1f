import jax.numpy as jnp
import numpy as np
import optax
import pytest

from musicjax import optimizers
from musicjax.config import base_config
from musicjax.errors import ConfigError


def make_config(**fields):
  config = base_config().optimizer
  config.update(fields)
  return config


def rates(steps, num_train_steps=100, steps_per_epoch=10, **fields):
  schedule = optimizers.create_schedule(make_config(**fields), num_train_steps, steps_per_epoch)
  return np.array([schedule(step) for step in steps])


def updates(config, params, gradients, rate=0.1):
  optimizer = optimizers.create(config, lambda step: rate)
  return optimizer.update(gradients, optimizer.init(params), params)[0]


def test_constant_schedule_stays_at_the_peak():
  np.testing.assert_allclose(rates([0, 7, 99], learning_rate=0.3), 0.3, rtol=1e-6)


def test_exponential_schedule_steps_down_once_an_epoch():
  found = rates([0, 9, 10, 19, 20, 99], schedule='exponential', decay_rate=0.97, learning_rate=2.0)
  expected = 2.0 * 0.97 ** np.array([0, 0, 1, 1, 2, 9])
  np.testing.assert_allclose(found, expected, rtol=1e-6)  # A power in float32.


def test_cosine_schedule_falls_from_the_end_of_the_warm_up_to_zero():
  found = rates([20, 40, 60, 100, 120], schedule='cosine', warmup_steps=20, learning_rate=2.0)
  expected = [2.0, 1.0 + 0.5**0.5, 1.0, 0.0, 0.0]
  np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize('schedule', ['constant', 'cosine', 'exponential'])
def test_warm_up_is_linear_from_zero(schedule):
  found = rates([0, 1, 2, 4], schedule=schedule, warmup_steps=4, learning_rate=2.0)
  np.testing.assert_allclose(found, [0.0, 0.5, 1.0, 2.0], rtol=1e-6)


def test_schedules_take_the_steps_of_a_jitted_update():
  for schedule in ('constant', 'cosine', 'exponential'):
    config = make_config(schedule=schedule, warmup_steps=2, decay_rate=0.5)
    rate = optimizers.create_schedule(config, 10, 3)
    assert rate(jnp.int32(7)) == pytest.approx(float(rate(7)), rel=1e-6)


@pytest.mark.parametrize(
  ('name', 'expected'),
  [
    ('adamw', [-1.0, 1.0]),  # First step: the sign of the gradient.
    ('lion', [-1.0, 1.0]),
    ('sgd', [-3.0, 0.5]),
  ],
)
def test_first_update_is_the_direction_and_the_decoupled_decay(name, expected):
  params = {'kernel': jnp.array([[2.0, 4.0]])}
  gradients = {'kernel': jnp.array([[3.0, -0.5]])}
  found = updates(make_config(name=name, weight_decay=0.01), params, gradients)
  expected = 0.1 * (np.array([expected]) - 0.01 * np.array([[2.0, 4.0]]))
  # Adam divides by the root of 1 - 0.999, which float32 has to 6e-5.
  np.testing.assert_allclose(found['kernel'], expected, rtol=6e-5)


def test_sgd_has_momentum_b1():
  optimizer = optimizers.create(make_config(name='sgd', b1=0.5, weight_decay=0.0), lambda step: 1.0)
  params = jnp.zeros(1)
  state = optimizer.init(params)
  for _ in range(3):
    change, state = optimizer.update(jnp.ones(1), state, params)
    params = optax.apply_updates(params, change)
  assert params[0] == -(1 + 1.5 + 1.75)


def test_a_forgetful_optimizer_is_a_new_one_in_each_epoch_and_its_schedule_goes_on():
  def run(name, count, first=0):
    config = make_config(name=name, weight_decay=0.0)
    optimizer = optimizers.create(config, lambda step: 1.0 / (1 + step), steps_per_epoch=2.5)
    params = jnp.zeros(1)
    state, made = optimizer.init(params), []
    for step in range(first, first + count):
      change, state = optimizer.update(jnp.array([1.0 + step]), state, params)
      made.append(float(change[0]))
    return np.array(made)

  # Epochs of 2.5 updates begin with updates 0, 3, 5 and 8.
  rates = 1.0 / (1 + np.arange(9))
  directions = [run('adamw', stop - first, first) for first, stop in ((0, 3), (3, 5), (5, 8))]
  relative = [made * (1 + np.arange(len(made))) for made in directions]
  expected = np.concatenate(relative) * rates[:8]
  np.testing.assert_allclose(run('adamw_forgetful', 8), expected, rtol=1e-6)
  assert (np.abs(run('adamw', 8) - expected)[3:] > 1e-3).any()


@pytest.mark.parametrize(('decay', 'bias'), [('all', -0.1), ('kernels', 0.0)])
def test_decay_takes_all_parameters_or_kernels_alone(decay, bias):
  params = {'kernel': jnp.ones((1, 1)), 'bias': jnp.ones(1)}
  gradients = {'kernel': jnp.zeros((1, 1)), 'bias': jnp.zeros(1)}
  found = updates(make_config(decay=decay, weight_decay=1.0), params, gradients)
  assert found['kernel'][0, 0] == pytest.approx(-0.1)
  assert found['bias'][0] == pytest.approx(bias)


@pytest.mark.parametrize(('clip_norm', 'expected'), [(0.0, [-3.0, -4.0]), (1.0, [-0.6, -0.8])])
def test_clipping_is_by_global_norm_and_off_at_zero(clip_norm, expected):
  config = make_config(name='sgd', weight_decay=0.0, clip_norm=clip_norm)
  found = updates(config, jnp.zeros(2), jnp.array([3.0, 4.0]), rate=1.0)
  np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_values_that_are_not_known_are_told():
  with pytest.raises(ConfigError, match=r"optimizer.name: .*'adamww' \(nearest: adamw\)"):
    optimizers.create(make_config(name='adamww'), lambda step: 1.0)
  with pytest.raises(ConfigError, match=r'optimizer.decay: expected one of all, kernels'):
    optimizers.create(make_config(decay='some'), lambda step: 1.0)
  with pytest.raises(ConfigError, match=r'optimizer.schedule: .*cosine'):
    rates([0], schedule='linear')
  with pytest.raises(ConfigError, match=r'weight_decay: expected 0 with adam .*found 0.01'):
    optimizers.create(make_config(name='adam'), lambda step: 1.0)
  with pytest.raises(ConfigError, match=r'warmup_steps: expected fewer than the 100 steps'):
    rates([0], schedule='cosine', warmup_steps=100)
