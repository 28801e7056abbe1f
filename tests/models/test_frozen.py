import functools

import jax
import numpy as np
import pytest

from configs import spectrogram_cnn
from musicjax import models, sharding, system
from musicjax.errors import ConfigError
from musicjax.models import frozen
from tests.models.torch_weights import GOLDEN_MODEL

DATASET = dict(label_names=['a', 'b'], input_shape=(24, 16), statistics={}, support=[1, 1])


def small_config(patterns):
  config = spectrogram_cnn.get_config('test')
  config.model.head_dropout = 0.0
  config.optimizer.update(weight_decay=0.1, decay='all', learning_rate=0.1)
  config.augment = {}
  config.frozen = patterns
  return config


def make_batch(rows=8):
  rng = np.random.default_rng(0)
  return {
    'inputs': rng.random((1, rows, 24, 16), np.float32),
    'lengths': np.full((1, rows), 24, np.int32),
    'labels': np.eye(2, dtype=np.float32)[rng.integers(0, 2, (1, rows))],
    'index': np.zeros((1, rows), np.int32),
  }


def test_updates_leave_frozen_layers_as_they_were():
  patterns = ('input_norm', 'block_*')
  mesh = sharding.make_mesh()
  parts = system.create(small_config(patterns), DATASET, mesh, steps=2)
  before = jax.tree.map(np.asarray, parts.init())
  batch = sharding.to_global(mesh, make_batch(), 1)
  after, _ = parts.update(parts.init(), batch)
  of_layers = [(getattr(before, c), getattr(after, c)) for c in ('params', 'batch_stats')]
  of_layers += [(before.ema[c], after.ema[c]) for c in ('params', 'batch_stats')]
  for old, new in of_layers:
    for layer in old:
      same = jax.tree.map(np.array_equal, old[layer], new[layer])
      assert all(jax.tree.leaves(same)) == frozen.is_frozen(layer, patterns), layer


def test_frozen_layers_run_in_training_as_in_evaluation():
  everything = ('input_norm', 'block_*', 'head*')
  mesh, batch = sharding.make_mesh(), make_batch()
  parts = system.create(small_config(everything), DATASET, mesh, steps=2)
  evaluated = parts.eval_step(parts.init().eval_variables, jax.tree.map(lambda x: x[0], batch))
  batch = sharding.to_global(mesh, batch, 1)
  _, frozen_metrics = parts.update(parts.init(), batch)
  # The same sums in another order.
  np.testing.assert_allclose(frozen_metrics['loss'], evaluated['loss'].mean(), rtol=1e-5)
  parts = system.create(small_config(()), DATASET, mesh, steps=2)
  _, metrics = parts.update(parts.init(), batch)
  assert abs(metrics['loss'] - frozen_metrics['loss']) > 1e-3


def test_a_frozen_encoder_drops_nothing():
  model = models.create({**GOLDEN_MODEL, 'dropout': 0.5}, 2)  # Drops nothing before its encoder.
  inputs, lengths = np.random.default_rng(0).normal(size=(4, 6, 16)), np.full(4, 6)
  variables = model.init(jax.random.key(0), inputs, lengths, train=False)

  def encode(patterns, seed):
    with frozen.as_in_evaluation(patterns):
      _, shown = model.apply(
        variables,
        inputs,
        lengths,
        train=True,
        rngs={'dropout': jax.random.key(seed)},
        mutable=['batch_stats', 'intermediates'],
        capture_intermediates=lambda module, _: module.name == 'encoder_0',
      )
    return np.asarray(shown['intermediates']['encoder_0']['__call__'][0])

  assert np.abs(encode((), 0) - encode((), 1)).max() > 0.1
  np.testing.assert_array_equal(encode(('encoder_0',), 0), encode(('encoder_0',), 1))


def test_layers_that_nothing_was_read_for_cannot_be_frozen():
  config = spectrogram_cnn.get_config('musicnn')
  with pytest.raises(ConfigError, match=r'^config\.pretrained: expected weights .* found none$'):
    system.check(config)


def test_frozen_layers_have_no_moments():
  mesh = sharding.make_mesh()
  count = functools.partial(jax.tree.reduce, lambda total, leaf: total + leaf.size)
  sizes = {}
  for patterns in ((), ('block_*',)):
    init = system.create(small_config(patterns), DATASET, mesh, steps=2).init
    state = jax.eval_shape(init)
    sizes[patterns] = count(state.opt_state, initializer=0)
  blocks = [state.params[layer] for layer in state.params if layer.startswith('block_')]
  assert sizes[()] - sizes[('block_*',)] == 2 * count(blocks, initializer=0)


def test_patterns_of_no_layer_and_of_all_layers_are_refused():
  params = {'stem': {}, 'logits': {}}
  with pytest.raises(ConfigError, match=r"^config\.frozen: .* stem, logits; found 'stme'"):
    frozen.check(params, ('stem', 'stme'))
  with pytest.raises(ConfigError, match=r'^config\.frozen: .* found all of them'):
    frozen.check(params, ('*',))
