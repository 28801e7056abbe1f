import jax
import jax.numpy as jnp
import numpy as np
import pytest

from musicjax import losses
from musicjax.errors import ConfigError
from tests.models.torch_weights import load_golden, relative_error

CASES = {
  'bce': {'name': 'bce'},
  'bce_soft': {'name': 'bce'},
  'bce_smoothed': {'name': 'bce', 'label_smoothing': 0.1},
  'asymmetric': {'name': 'asymmetric'},
  'asymmetric_unclipped': {'name': 'asymmetric', 'gamma_neg': 8.0, 'gamma_pos': 0.0, 'clip': 0.0},
  'softmax': {'name': 'softmax_cross_entropy'},
  'softmax_soft': {'name': 'softmax_cross_entropy'},
  'softmax_smoothed': {'name': 'softmax_cross_entropy', 'label_smoothing': 0.1},
}


@pytest.mark.parametrize('case', CASES)
def test_values_and_gradients_equal_torch(case):
  golden = load_golden('losses')
  loss = losses.create(CASES[case])
  logits, labels = golden['logits'], golden[case]['labels'].astype(np.float32)
  values = loss(logits, labels)
  gradient = jax.grad(lambda x: loss(x, labels).sum())(logits)
  # float64 results against a few float32 operations each.
  assert relative_error(values, golden[case]['values']) <= 1e-5
  assert relative_error(gradient, golden[case]['gradient']) <= 1e-5


@pytest.mark.parametrize('name', losses.LOSSES)
def test_losses_and_gradients_are_finite_at_extreme_logits(name):
  loss = losses.create({'name': name})
  logits = jnp.array([[1e4, -1e4, 0.0], [-1e4, 1e4, 0.0]], jnp.bfloat16)
  labels = jnp.array([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
  values, gradient = loss(logits, labels), jax.grad(lambda x: loss(x, labels).sum())(logits)
  assert values.dtype == jnp.float32
  assert np.isfinite(values).all()
  assert np.isfinite(gradient.astype(jnp.float32)).all()


def test_asymmetric_without_focus_or_shift_is_bce():
  logits = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)
  labels = np.random.default_rng(1).random((4, 6)).astype(np.float32)
  plain = losses.asymmetric(logits, labels, gamma_neg=0.0, gamma_pos=0.0, clip=0.0)
  assert relative_error(plain, losses.bce(logits, labels)) <= 1e-6  # The same sums.


@pytest.mark.parametrize('name', losses.LOSSES)
def test_losses_are_linear_in_the_labels(name):
  loss = losses.create({'name': name, 'label_smoothing': 0.1})
  rng = np.random.default_rng(0)
  logits = rng.normal(size=(4, 6)).astype(np.float32)
  first, second = np.eye(6, dtype=np.float32)[rng.integers(0, 6, (2, 4))]
  mixed = loss(logits, 0.3 * first + 0.7 * second)
  expected = 0.3 * loss(logits, first) + 0.7 * loss(logits, second)
  assert relative_error(mixed, expected) <= 1e-6  # The same sums in another order.


def test_unknown_names_and_fields_are_told():
  with pytest.raises(ConfigError, match=r"bce, asymmetric, softmax_cross_entropy; found 'focal'"):
    losses.create({'name': 'focal'})
  with pytest.raises(ConfigError, match=r"'gamma' \(nearest: gamma_"):
    losses.create({'name': 'asymmetric', 'gamma': 2.0})
