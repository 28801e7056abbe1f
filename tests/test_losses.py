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
  'bce_weighted': {'name': 'bce', 'pos_weight': True},
  'focal': {'name': 'focal'},
  'asymmetric_focal': {'name': 'asymmetric_focal'},
  'asymmetric_focal_unclipped': {
    'name': 'asymmetric_focal',
    'gamma_neg': 3.0,
    'gamma_pos': 0.5,
    'clip': 0.0,
  },
  'asymmetric': {'name': 'asymmetric'},
  'asymmetric_unclipped': {'name': 'asymmetric', 'gamma_neg': 8.0, 'gamma_pos': 0.0, 'clip': 0.0},
  'softmax': {'name': 'softmax_cross_entropy'},
  'softmax_soft': {'name': 'softmax_cross_entropy'},
  'softmax_smoothed': {'name': 'softmax_cross_entropy', 'label_smoothing': 0.1},
}

OF_CLASSES = sorted(losses.LOSSES.keys() - {'squared_error'})


@pytest.mark.parametrize('case', CASES)
def test_values_and_gradients_equal_torch(case):
  golden = load_golden('losses')
  loss = losses.create(CASES[case], golden['support'])
  logits, labels = golden['logits'], golden[case]['labels'].astype(np.float32)
  values = loss(logits, labels)
  gradient = jax.grad(lambda x: loss(x, labels).sum())(logits)
  # float64 results against a few float32 operations each.
  assert relative_error(values, golden[case]['values']) <= 1e-5
  assert relative_error(gradient, golden[case]['gradient']) <= 1e-5


@pytest.mark.parametrize('name', OF_CLASSES)
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


def numpy_loss(name, logits, labels):
  """In float64, as the formulas stand in the papers."""
  p = 1 / (1 + np.exp(-logits))
  if name == 'asymmetric_focal':
    p = np.clip(p, 0.05, 0.95)
    positive, negative = (1 - p) * np.log(p), p**4 * np.log(1 - p)
  elif name == 'focal':
    positive, negative = 0.25 * (1 - p) ** 2 * np.log(p), 0.75 * p**2 * np.log(1 - p)
  else:
    support = np.array([6, 1, 2])
    weight = support.sum() / (len(support) * support)
    positive, negative = weight * np.log(p), np.log(1 - p)
  return -(labels * positive + (1 - labels) * negative).mean(axis=-1)


@pytest.mark.parametrize('name', ['bce', 'focal', 'asymmetric_focal'])
def test_values_and_gradients_equal_float64_formulas(name):
  logits = np.array([[0.5, -1.2, 2.7], [-2.0, 0.1, 1.4], [4.0, -4.0, -5.0]])
  labels = np.array([[1.0, 0.0, 0.3], [0.0, 1.0, 0.8], [0.0, 1.0, 0.0]])
  fields = {'name': name} | ({'pos_weight': True} if name == 'bce' else {})
  loss = losses.create(fields, np.array([6, 1, 2]))
  assert relative_error(loss(logits, labels), numpy_loss(name, logits, labels)) <= 1e-5
  gradient = jax.grad(lambda x: loss(x, labels).sum())(logits.astype(np.float32))
  expected = np.zeros_like(logits)
  for place in np.ndindex(*logits.shape):
    step = np.zeros_like(logits)
    step[place] = 1e-5
    change = numpy_loss(name, logits + step, labels) - numpy_loss(name, logits - step, labels)
    expected[place] = change.sum() / 2e-5
  # A few float32 operations; central differences in float64 err by 1e-10.
  assert relative_error(gradient, expected) <= 1e-5


def test_focal_losses_without_focus_are_bce():
  logits = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)
  labels = np.random.default_rng(1).random((4, 6)).astype(np.float32)
  bce = losses.bce(logits, labels)
  half = losses.focal(logits, labels, gamma=0.0, alpha=0.5)
  assert relative_error(2 * half, bce) <= 1e-6  # The same sums.
  plain = losses.asymmetric_focal(logits, labels, gamma_neg=0.0, gamma_pos=0.0, clip=0.0)
  assert relative_error(plain, bce) <= 1e-6


def test_weights_by_support_are_refused_without_it_when_computed_and_not_before():
  loss = losses.create({'name': 'bce', 'pos_weight': True})
  with pytest.raises(ConfigError, match=r'config.loss.pos_weight: expected the positives'):
    loss(jnp.zeros((1, 2)), jnp.zeros((1, 2)))
  labels = jnp.eye(2)
  plain = losses.create({'name': 'bce'}, np.array([1, 9]))
  np.testing.assert_array_equal(
    plain(jnp.ones((2, 2)), labels), losses.bce(jnp.ones((2, 2)), labels)
  )


@pytest.mark.parametrize('name', OF_CLASSES)
def test_losses_are_linear_in_the_labels(name):
  loss = losses.create({'name': name, 'label_smoothing': 0.1})
  rng = np.random.default_rng(0)
  logits = rng.normal(size=(4, 6)).astype(np.float32)
  first, second = np.eye(6, dtype=np.float32)[rng.integers(0, 6, (2, 4))]
  mixed = loss(logits, 0.3 * first + 0.7 * second)
  expected = 0.3 * loss(logits, first) + 0.7 * loss(logits, second)
  assert relative_error(mixed, expected) <= 1e-6  # The same sums in another order.


def test_unknown_names_and_fields_are_told():
  with pytest.raises(ConfigError, match=r"bce, focal, asymmetric, .*; found 'hinge'"):
    losses.create({'name': 'hinge'})
  with pytest.raises(ConfigError, match=r"'gamma' \(nearest: gamma_"):
    losses.create({'name': 'asymmetric', 'gamma': 2.0})
  with pytest.raises(ConfigError, match=r"its field: expected one of .*; found 'support'"):
    losses.create({'name': 'bce', 'support': (1, 2)})
  with pytest.raises(ConfigError, match=r'config.loss.clip: expected \[0, 0.5\), found 0.5'):
    losses.asymmetric_focal(jnp.zeros((1, 2)), jnp.zeros((1, 2)), clip=0.5)
