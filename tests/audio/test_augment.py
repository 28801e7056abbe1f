"""What is promised of augmentations together, as a config names them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from musicjax.audio import augment
from musicjax.errors import ConfigError
from tests.audio.test_augment_frames import SIZE, TIME, make_batch, make_clocks

ALL = {
  'gaussian_noise': {'sigma': 0.5},
  'mixup': {'alpha': 1.0, 'probability': 0.5},
  'cutmix_time': {'alpha': 1.0, 'probability': 0.5},
}


def test_a_waveform_runs_through_all_that_waveforms_have():
  chain = augment.create({
    'gain': {'max_db': 6.0},
    'gaussian_noise': {'sigma': 0.1},
    'mixup': {'alpha': 1.0},
    'random_crop': {'frames': 6},
    'time_shift': {'max_share': 0.3},
  })  # fmt: skip
  after = jax.jit(chain)(jax.random.key(0), make_clocks())
  assert after['inputs'].shape == (SIZE, 6)
  valid = np.arange(6) < np.asarray(after['lengths'])[:, None]
  assert np.isfinite(np.asarray(after['inputs'])[valid]).all()
  np.testing.assert_allclose(after['labels'].sum(axis=1), 1, rtol=1e-6)


def test_same_key_same_result_and_another_key_another():
  function, batch = jax.jit(augment.create(ALL)), make_batch(2)
  first, again = (function(jax.random.key(0), batch) for _ in range(2))
  jax.tree.map(np.testing.assert_array_equal, first, again)
  other = function(jax.random.key(1), batch)
  assert not np.array_equal(np.nan_to_num(first['inputs']), np.nan_to_num(other['inputs']))
  np.testing.assert_array_equal(first['index'], batch['index'])


def test_what_one_augmentation_draws_does_not_depend_on_the_others():
  batch = make_batch(2)
  key = jax.random.key(0)
  mixed = augment.create({'mixup': ALL['mixup']})(key, batch)
  noisy = augment.create({'gaussian_noise': ALL['gaussian_noise'], 'mixup': ALL['mixup']})
  np.testing.assert_array_equal(noisy(key, batch)['labels'], mixed['labels'])
  np.testing.assert_array_equal(noisy(key, batch)['lengths'], mixed['lengths'])


def test_order_is_that_of_the_file_not_of_the_config():
  batch, key = make_batch(2), jax.random.key(0)
  forward, backward = augment.create(ALL), augment.create(dict(reversed(ALL.items())))
  jax.tree.map(np.testing.assert_array_equal, forward(key, batch), backward(key, batch))
  # Noise after mixing has its own sigma; mixed noise would have less.
  quiet = augment.create({'mixup': {'alpha': 100.0}})
  noisy = augment.create({'gaussian_noise': {'sigma': 0.5}, 'mixup': {'alpha': 100.0}})
  large = {**make_batch(500), 'lengths': jnp.full(SIZE, TIME)}
  large['inputs'] = jnp.nan_to_num(large['inputs'])
  noise = noisy(key, large)['inputs'] - quiet(key, large)['inputs']
  assert noise.std() == pytest.approx(0.5, rel=0.02)  # 48,000 draws: 0.3 % an error.


def test_nothing_configured_changes_nothing():
  batch = make_batch()
  assert augment.create({})(jax.random.key(0), batch) == batch


def test_unknown_and_missing_fields_are_told():
  with pytest.raises(ConfigError, match=r"config.augment: .*'mixupp' \(nearest: mixup\)"):
    augment.create({'mixupp': {'alpha': 1.0}})
  with pytest.raises(ConfigError, match=r'config.augment.mixup: .*probability.*found'):
    augment.create({'mixup': {'alpha': 1.0, 'chance': 0.5}})
  with pytest.raises(ConfigError, match=r'gaussian_noise: expected a value of sigma, found none'):
    augment.create({'gaussian_noise': {}})
