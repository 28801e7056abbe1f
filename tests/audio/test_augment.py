import jax
import jax.numpy as jnp
import numpy as np
import pytest

from musicjax.audio import augment
from musicjax.errors import ConfigError

LENGTHS = np.array([12, 3, 7, 12, 1, 9, 5, 10], np.int32)
SIZE, TIME = len(LENGTHS), 12
ALL = {
  'gaussian_noise': {'sigma': 0.5},
  'mixup': {'alpha': 1.0, 'probability': 0.5},
  'cutmix_time': {'alpha': 1.0, 'probability': 0.5},
}

mixup, cutmix_time = (
  jax.jit(function, static_argnames=('alpha', 'probability'))
  for function in (augment.mixup, augment.cutmix_time)
)


def make_batch(*features):
  """Example i holds i + 1 on its valid frames and has label i: an output frame tells its sources.

  Padding holds NaN, which whatever reads it would spread.
  """
  frames = np.arange(TIME) < LENGTHS[:, None]
  inputs = np.where(frames, np.arange(1.0, SIZE + 1)[:, None], np.nan).astype(np.float32)
  inputs = np.tile(inputs.reshape(SIZE, TIME, *(1 for _ in features)), (1, 1, *features))
  return {
    'inputs': jnp.asarray(inputs),
    'lengths': jnp.asarray(LENGTHS),
    'labels': jnp.eye(SIZE),
    'index': jnp.arange(SIZE),
  }


def sources(row, labels):
  """The share of the example itself, and its partner where one shows in the labels."""
  others = [i for i in np.flatnonzero(labels) if i != row]
  assert len(others) <= 1
  return labels[row], (others or [row])[0]


@pytest.mark.parametrize('seed', range(3))
def test_mixup_mixes_labels_with_the_weights_of_the_inputs(seed):
  batch = make_batch(2)
  mixed = mixup(jax.random.key(seed), batch, alpha=1.0)
  frame = np.arange(TIME)
  partners = set()
  for row, (inputs, labels) in enumerate(zip(mixed['inputs'], mixed['labels'], strict=True)):
    own, partner = sources(row, np.asarray(labels))
    partners.add(partner)
    expected = own * (row + 1) * (frame < LENGTHS[row])
    expected += (1 - own) * (partner + 1) * (frame < LENGTHS[partner])
    np.testing.assert_allclose(inputs[:, 0], expected, rtol=1e-5)
    np.testing.assert_array_equal(inputs[:, 0], inputs[:, 1])
    assert mixed['lengths'][row] == max(LENGTHS[row], LENGTHS[partner])
  np.testing.assert_allclose(mixed['labels'].sum(axis=1), 1, rtol=1e-6)
  assert len(partners) == SIZE  # A permutation: nobody is mixed in twice.


@pytest.mark.parametrize('seed', range(3))
def test_cutmix_mixes_labels_by_the_share_of_frames(seed):
  batch = make_batch(2)
  cut = cutmix_time(jax.random.key(seed), batch, alpha=1.0)
  replaced = 0
  for row, length in enumerate(LENGTHS):
    inputs, labels = np.asarray(cut['inputs'][row]), np.asarray(cut['labels'][row])
    own, partner = sources(row, labels)
    values = inputs[:length, 0]
    assert set(values) <= {row + 1, partner + 1}
    foreign = np.flatnonzero(values != row + 1)
    assert own == pytest.approx(1 - len(foreign) / length, abs=1e-6)
    assert (np.diff(foreign) == 1).all()  # One span.
    assert np.isnan(inputs[length:]).all()  # Padding is left alone.
    replaced += len(foreign)
  np.testing.assert_array_equal(cut['lengths'], LENGTHS)
  assert replaced > 0


@pytest.mark.parametrize('features', [(), (16,), (4, 3)])
def test_noise_has_its_sigma_and_leaves_padding(features):
  batch = make_batch(*features)
  noisy = augment.gaussian_noise(jax.random.key(0), batch, sigma=0.5)['inputs']
  noise = np.asarray(noisy) - batch['inputs']
  valid = np.arange(TIME) < LENGTHS[:, None]
  assert np.isnan(noisy[~valid]).all()
  noise = noise[valid]
  count = noise.size
  # Four standard errors of the mean and of the deviation.
  assert abs(noise.mean()) < 4 * 0.5 / count**0.5
  assert abs(noise.std() - 0.5) < 4 * 0.5 / (2 * count) ** 0.5


@pytest.mark.parametrize('function', [mixup, cutmix_time])
def test_probability_is_the_share_of_examples_that_change(function):
  batch = make_batch()
  never = function(jax.random.key(0), batch, alpha=1.0, probability=0.0)
  np.testing.assert_array_equal(np.nan_to_num(never['inputs']), np.nan_to_num(batch['inputs']))
  np.testing.assert_array_equal(never['labels'], batch['labels'])
  np.testing.assert_array_equal(never['lengths'], batch['lengths'])

  share = np.mean(
    [
      (
        function(jax.random.key(seed), batch, alpha=1.0, probability=0.3)['labels']
        != batch['labels']
      ).any(axis=1)
      for seed in range(60)
    ]
  )
  # At most 0.3; less by partners that are the example itself (1/8) and by spans of no frame.
  assert 0.1 < share < 0.36


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
