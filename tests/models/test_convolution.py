import jax
import jax.numpy as jnp
import numpy as np
import pytest

from musicjax.models import convolution
from tests.models.torch_weights import relative_error

# The same sums in another order.
TOLERANCE = 1e-5


@pytest.mark.parametrize(
  ('time', 'mel', 'channels', 'features', 'kernel'),
  [(7, 5, 3, 4, (3, 3)), (5, 6, 2, 1, (7, 7)), (6, 5, 3, 2, (2, 4)), (4, 3, 2, 5, (1, 1))],
)
def test_convolution_and_its_gradients_equal_xlas_inside_a_scan(
  time, mel, channels, features, kernel
):
  rng = np.random.default_rng(0)
  x = rng.normal(size=(2, 3, time, mel, channels)).astype(np.float32)
  kernel = rng.normal(size=(*kernel, channels, features)).astype(np.float32)
  weight = rng.normal(size=(3, time, mel, features)).astype(np.float32)

  def reference(x, kernel):
    return jax.lax.conv_general_dilated(
      x, kernel, (1, 1), 'SAME', dimension_numbers=('NHWC', 'HWIO', 'NHWC')
    )

  @jax.jit
  def ours(x, kernel):
    def body(total, micro):
      y, pull = jax.vjp(convolution.convolve_image, micro, kernel)
      to_x, to_kernel = pull(weight)
      return total + to_kernel, (y, to_x)

    return jax.lax.scan(body, jnp.zeros_like(kernel), x)

  total, (y, to_x) = ours(x, kernel)
  expected = [jax.vjp(reference, micro, kernel) for micro in x]
  pulled = [pull(weight) for _, pull in expected]
  assert relative_error(y, np.stack([y for y, _ in expected])) <= TOLERANCE
  assert relative_error(to_x, np.stack([to_x for to_x, _ in pulled])) <= TOLERANCE
  assert relative_error(total, sum(to_kernel for _, to_kernel in pulled)) <= TOLERANCE


def test_convolution_has_torchs_initial_spread():
  conv = convolution.Conv2D(50, 3)
  kernel = conv.init(jax.random.key(0), jnp.zeros((1, 4, 4, 20)))['params']['kernel']
  bound = 1 / (9 * 20) ** 0.5
  assert kernel.shape == (3, 3, 20, 50)
  assert 0.99 * bound < np.abs(kernel).max() <= bound  # 9,000 uniform draws.


@pytest.mark.parametrize('channels', [1, 3])  # Products of squares; products that are added.
def test_halving_convolution_and_its_gradients_equal_xlas_inside_a_scan(channels):
  rng = np.random.default_rng(0)
  x = rng.normal(size=(2, 3, 6, 10, channels)).astype(np.float32)
  kernel = rng.normal(size=(4, 4, channels, 5)).astype(np.float32)
  weight = rng.normal(size=(3, 3, 5, 5)).astype(np.float32)

  def reference(x, kernel):
    return jax.lax.conv_general_dilated(
      x, kernel, (2, 2), ((1, 1), (1, 1)), dimension_numbers=('NHWC', 'HWIO', 'NHWC')
    )

  @jax.jit
  def ours(x, kernel):
    def body(total, micro):
      y, pull = jax.vjp(convolution.convolve_halving, micro, kernel)
      to_x, to_kernel = pull(weight)
      return total + to_kernel, (y, to_x)

    return jax.lax.scan(body, jnp.zeros_like(kernel), x)

  total, (y, to_x) = ours(x, kernel)
  expected = [jax.vjp(reference, micro, kernel) for micro in x]
  gradients = [pull(weight) for _, pull in expected]
  assert relative_error(y, np.stack([y for y, _ in expected])) <= TOLERANCE
  assert relative_error(to_x, np.stack([to_x for to_x, _ in gradients])) <= TOLERANCE
  assert relative_error(total, sum(to_kernel for _, to_kernel in gradients)) <= TOLERANCE
