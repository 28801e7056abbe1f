import jax
import jax.numpy as jnp
import numpy as np
import pytest

from musicjax.models import layers
from tests.models.torch_weights import relative_error

# The same sums in another order.
TOLERANCE = 1e-5


@pytest.mark.parametrize('ceil', [False, True])
@pytest.mark.parametrize(('time', 'mel', 'size'), [(7, 9, 2), (6, 11, 3), (2, 5, 3)])
def test_max_pool_and_its_gradient_are_those_of_each_window(time, mel, size, ceil):
  rng = np.random.default_rng(0)
  x = rng.normal(size=(2, time, mel, 3)).astype(np.float32)
  pooled, pull = jax.vjp(lambda x: layers.max_pool(x, size, ceil=ceil), x)
  high, wide = min(size, time), min(size, mel)
  rounded = (lambda n, d: -(-n // d)) if ceil else (lambda n, d: n // d)
  rows, columns = rounded(time, high), rounded(mel, wide)
  assert pooled.shape == (2, rows, columns, 3)
  weight = rng.normal(size=pooled.shape).astype(np.float32)
  gradient = np.zeros_like(x)
  for b, row, column, c in np.ndindex(*pooled.shape):
    window = np.s_[b, row * high : (row + 1) * high, column * wide : (column + 1) * wide, c]
    assert pooled[b, row, column, c] == x[window].max()
    gradient[window] += weight[b, row, column, c] * (x[window] == x[window].max())
  np.testing.assert_array_equal(pull(weight)[0], gradient)


@pytest.mark.parametrize('axis', [1, -1])
def test_maximum_gives_its_gradient_to_the_first_of_equals(axis):
  x = np.array([[[1, 3], [3, 3], [2, -1]]], np.float32)
  most, pull = jax.vjp(lambda x: layers.maximum(x, axis), x)
  np.testing.assert_array_equal(most, x.max(axis))
  expected = [[0, 1], [1, 0], [0, 0]] if axis == 1 else [[0, 1], [1, 0], [1, 0]]
  np.testing.assert_array_equal(pull(jnp.ones_like(most))[0], [expected])


def test_max_pool_gives_its_gradient_to_the_first_of_equals():
  gradient = jax.grad(lambda x: layers.max_pool(x, 2).sum())(jnp.ones((1, 2, 2, 1)))
  np.testing.assert_array_equal(gradient[0, :, :, 0], [[1, 0], [0, 0]])


def test_masked_batch_norm_is_batch_norm_of_the_valid_frames():
  rng = np.random.default_rng(0)
  x = rng.normal(2, 3, size=(3, 5, 4, 2)).astype(np.float32)
  mask = np.arange(5) < np.array([5, 1, 3])[:, None]
  norm = layers.BatchNorm()
  variables = norm.init(jax.random.key(0), x, use_running_average=False)
  padded = np.where(mask[..., None, None], x, np.nan)
  masked, masked_updates = norm.apply(variables, padded, False, mask, mutable=['batch_stats'])
  valid, updates = norm.apply(variables, x[mask], False, mutable=['batch_stats'])
  assert relative_error(masked[mask], valid) <= TOLERANCE
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=TOLERANCE), masked_updates, updates
  )


@pytest.mark.parametrize('lengths', [None, [5, 1, 3]])
def test_gradients_of_batch_norm_on_cpu_are_those_jax_finds(lengths):
  rng = np.random.default_rng(0)
  x, weight = rng.normal(2, 3, size=(2, 3, 5, 4, 2)).astype(np.float32)
  scale, bias = rng.normal(size=(2, 2)).astype(np.float32)
  where, count = None, 3 * 5 * 4
  if lengths:
    where, count = (np.arange(5) < np.array(lengths)[:, None])[..., None, None], sum(lengths) * 4

  def gradients(normalize):
    def total(x, scale, bias):
      return (weight * normalize(x, where, count, scale, bias, 1e-5)[0]).sum()

    return jax.jit(jax.grad(total, argnums=(0, 1, 2)))(x, scale, bias)

  found, expected = gradients(layers._normalize_cpu), gradients(layers._normalize)
  for ours, jaxs in zip(found, expected, strict=True):
    assert relative_error(ours, jaxs) <= TOLERANCE
