"""What the GPU benchmark counts and compares; on CPU."""

import jax
import pytest

from experiments.benchmarks import gpu_steps


@pytest.mark.parametrize('variant', ['baseline', ''])
def test_operations_counted_from_shapes_are_those_of_xla(variant, monkeypatch):
  monkeypatch.setattr(jax, 'default_backend', lambda: 'gpu')  # Convolutions as such.
  step = gpu_steps.make(variant, 'float32', gpu_steps.Sizes(), batch=2, accumulate=1)
  of_xla = step.lower(step.sizes.frames).cost_analysis()['flops']
  # XLA counts what is no product, too, and not the gradient to the inputs.
  assert step.flops == pytest.approx(of_xla, rel=0.06)
