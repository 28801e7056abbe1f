"""What the GPU benchmark counts and compares; on CPU."""

import jax
import numpy as np
import pytest

from experiments.benchmarks import gpu_steps
from experiments.benchmarks.gpu_convolutions import FORMS
from musicjax.models import convolution
from tests.models.torch_weights import relative_error


@pytest.mark.parametrize('variant', ['baseline', ''])
def test_operations_counted_from_shapes_are_those_of_xla(variant, monkeypatch):
  monkeypatch.setattr(convolution, 'convolve_time', FORMS['direct'])
  step = gpu_steps.make(variant, 'float32', gpu_steps.Sizes(), batch=2, accumulate=1)
  of_xla = step.lower(step.sizes.frames).cost_analysis()['flops']
  # XLA counts what is no product, too, and not the gradient to the inputs.
  assert step.flops == pytest.approx(of_xla, rel=0.06)


@pytest.mark.parametrize('form', [name for name in FORMS if name != 'direct'])
@pytest.mark.parametrize('taps', [1, 3, 5])
def test_forms_of_convolution_equal_the_direct_one(form, taps):
  rng = np.random.default_rng(0)
  x = rng.normal(size=(3, 7, 4)).astype(np.float32)
  kernel = rng.normal(size=(taps, 4, 5)).astype(np.float32)
  weight = rng.normal(size=(3, 7, 5)).astype(np.float32)

  def both(form):
    y, pull = jax.vjp(FORMS[form], x, kernel)
    return y, *pull(weight)

  for found, expected in zip(both(form), both('direct'), strict=True):
    assert relative_error(found, expected) <= 1e-5  # The same sums in another order.
