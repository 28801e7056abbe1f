"""Dropout: how often, how much, and independently."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from musicjax.models.dropout import Dropout


def drop(x, rate, seed=0, train=True):
  return np.asarray(Dropout(rate).apply({}, x, train, rngs={'dropout': jax.random.key(seed)}))


@pytest.mark.parametrize('rate', [0.1, 0.5, 0.9])
def test_a_feature_is_dropped_with_its_probability_and_the_mean_stays(rate):
  dropped = drop(jnp.ones((400, 50, 251)), rate)
  share = np.mean(dropped == 0)  # Of 5 million: within 1 / 1000.
  assert share == pytest.approx(rate, abs=5 * (rate * (1 - rate) / dropped.size) ** 0.5)
  np.testing.assert_allclose(dropped[dropped != 0], 1 / (1 - rate), rtol=1e-6)


@pytest.mark.parametrize('rate', [0.1, 0.5])
def test_features_that_share_a_random_number_are_dropped_independently(rate):
  dropped = drop(jnp.ones((20_000, 2, 6)), rate).reshape(20_000, 12) == 0
  correlations = np.corrcoef(dropped, rowvar=False) - np.eye(12)
  assert np.abs(correlations).max() < 5 / 20_000**0.5


def test_nothing_is_dropped_in_evaluation_nor_at_rate_0_and_everything_at_rate_1():
  x = jnp.arange(12.0).reshape(3, 4) + 1
  np.testing.assert_array_equal(drop(x, 0.5, train=False), x)
  np.testing.assert_array_equal(drop(x, 0.0), x)
  np.testing.assert_array_equal(drop(x, 1.0), np.zeros_like(x))


def test_whole_examples_are_dropped_where_the_published_fault_is_put_back():
  x = jnp.ones((2000, 7))
  dropped = Dropout(0.5, whole=True).apply({}, x, True, rngs={'dropout': jax.random.key(0)})
  kept = np.asarray(dropped)[:, 0]
  np.testing.assert_array_equal(dropped, np.tile(kept[:, None], (1, 7)))
  assert set(kept.tolist()) == {0.0, 2.0}
  assert np.mean(kept == 0) == pytest.approx(0.5, abs=5 * (0.25 / 2000) ** 0.5)


def test_the_key_alone_decides_and_the_dtype_stays():
  x = jnp.ones((8, 33), jnp.bfloat16)
  assert drop(x, 0.3).dtype == x.dtype
  np.testing.assert_array_equal(drop(x, 0.3), drop(x, 0.3))
  assert (drop(x, 0.3) != drop(x, 0.3, seed=1)).any()
