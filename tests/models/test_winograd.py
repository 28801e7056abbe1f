import jax
import jax.numpy as jnp
import numpy as np
import pytest

from musicjax.models import convolution, winograd
from tests.models.torch_weights import relative_error

# Of float32 at up to 10 points, which are off by up to 1e-5; a wrong weight is off by a tenth.
TOLERANCE = 1e-4


def direct(x, kernel):
  """In float64: `[batch, time, out]`."""
  x, kernel = np.asarray(x, np.float64), np.asarray(kernel, np.float64)
  time, taps = x.shape[1], len(kernel)
  left = (taps - 1) // 2
  padded = np.pad(x, ((0, 0), (left, taps - 1 - left), (0, 0)))
  return sum(padded[:, tap : tap + time] @ kernel[tap] for tap in range(taps))


def direct_gradients(x, kernel, gradient):
  """In float64, of what `direct` returns: to x and to the kernel."""
  x, gradient = np.asarray(x, np.float64), np.asarray(gradient, np.float64)
  time, taps = x.shape[1], len(kernel)
  left = (taps - 1) // 2
  padded = np.pad(x, ((0, 0), (left, taps - 1 - left), (0, 0)))
  to_padded = np.zeros_like(padded)
  for tap in range(taps):
    to_padded[:, tap : tap + time] += gradient @ kernel[tap].T.astype(np.float64)
  spans = [padded[:, tap : tap + time] for tap in range(taps)]
  to_kernel = [np.einsum('bti,bto->io', span, gradient) for span in spans]
  return to_padded[:, left : left + time], np.stack(to_kernel)


@pytest.mark.parametrize(
  ('taps', 'time'), [(taps, time) for taps in winograd.TILES for time in (1, 13, 60, 130)]
)
def test_filtering_and_its_gradients_inside_a_scan_are_those_of_direct_convolution(taps, time):
  rng = np.random.default_rng(0)
  width, features = 96, 80
  # Not centred, as what ReLU leaves.
  x = np.maximum(rng.normal(0.5, 1, size=(2, 3, time, width)), 0).astype(np.float32)
  kernel = rng.uniform(-1, 1, size=(taps, width, features)).astype(np.float32)
  gradient = rng.normal(size=(3, time, features)).astype(np.float32)

  @jax.jit
  def ours(x, kernel):
    def body(total, micro):
      y, pull = jax.vjp(convolution.convolve_time, micro, kernel)
      to_x, to_kernel = pull(gradient)
      return total + to_kernel, (y, to_x)

    return jax.lax.scan(body, jnp.zeros_like(kernel), x)

  total, (y, to_x) = ours(x, kernel)
  expected = [direct_gradients(micro, kernel, gradient) for micro in x]
  assert relative_error(y, np.stack([direct(micro, kernel) for micro in x])) <= TOLERANCE
  assert relative_error(to_x, np.stack([to_x for to_x, _ in expected])) <= TOLERANCE
  assert relative_error(total, sum(to_kernel for _, to_kernel in expected)) <= TOLERANCE


def test_only_float32_is_filtered():
  x, kernel = jnp.ones((1, 4, 2)), jnp.ones((5, 2, 2))
  products = [
    str(jax.make_jaxpr(convolution.convolve_time)(x.astype(dtype), kernel.astype(dtype))).count(
      'dot_general'
    )
    for dtype in (jnp.float32, jnp.bfloat16)
  ]
  assert products == [4, 5]  # Frames, kernel, both at all points, back; a product a tap.


@pytest.mark.parametrize(('taps', 'time'), [(3, 13), (7, 130)])
def test_what_was_computed_of_a_kernel_before_is_used_and_changes_no_bit(taps, time):
  conv = convolution.Conv1D(5, taps)
  x = np.random.default_rng(0).normal(size=(2, time, 6)).astype(np.float32)
  variables = conv.init(jax.random.key(0), x)
  assert set(variables) == {'params'}
  expected, precomputed = conv.apply(variables, x, mutable=['precomputed'])
  assert precomputed['precomputed']['kernel'].shape == (taps + winograd.TILES[taps] - 1, 6, 5)
  np.testing.assert_array_equal(conv.apply(variables, x), expected)
  np.testing.assert_array_equal(conv.apply(variables | precomputed, x), expected)
  unused = {'params': variables['params'] | {'kernel': jnp.full((taps, 6, 5), jnp.nan)}}
  np.testing.assert_array_equal(conv.apply(unused | precomputed, x), expected)


def test_nothing_is_computed_before_of_kernels_that_are_not_filtered():
  x = jnp.ones((1, 4, 2))
  for conv in (convolution.Conv1D(2, 1), convolution.Conv1D(2, 5, jnp.bfloat16)):
    _, precomputed = conv.apply(conv.init(jax.random.key(0), x), x, mutable=['precomputed'])
    assert not precomputed
