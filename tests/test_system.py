import jax
import numpy as np
import pytest

from configs import freesound, spectrogram_cnn, yandex
from musicjax import sharding, system
from musicjax.errors import ConfigError


def test_the_initial_state_has_the_bits_of_any_optimisation_level():
  for get_config, input_shape in (
    (yandex.get_config, (None, 8)),
    (spectrogram_cnn.get_config, (24, 16)),
  ):
    config = get_config('test')
    dataset = dict(label_names=['a', 'b'], input_shape=input_shape, statistics={}, support=[1, 1])
    parts = system.create(config, dataset, sharding.make_mesh(), steps=2)
    most = {'xla_backend_optimization_level': 3}
    optimised = parts.init.lower().compile(compiler_options=most)()
    jax.tree.map(np.testing.assert_array_equal, parts.init(), optimised)


def test_a_model_that_does_not_take_what_the_front_end_gives_is_refused_in_one_line():
  config = freesound.get_config('test')
  config.front_end = freesound.get_config('baseline').front_end
  config.normalize = 'none'
  dataset = dict(label_names=['a', 'b'], input_shape=(None,), statistics={}, support=[1, 1])
  parts = system.create(config, dataset, sharding.make_mesh(), steps=2)
  with pytest.raises(ConfigError, match=r'^config.model.name: .*found short_chunk_cnn: '):
    parts.init()


def test_an_update_makes_the_new_state_in_place_of_the_old_one():
  config = yandex.get_config('test')
  dataset = dict(label_names=['a', 'b'], input_shape=(None, 8), statistics={}, support=[1, 1])
  mesh = sharding.make_mesh()
  parts = system.create(config, dataset, mesh, steps=2)
  rows = (config.accumulate, config.batch_size // config.accumulate)
  batch = {
    'inputs': np.zeros((*rows, 6, 8), np.float32),
    'lengths': np.full(rows, 6, np.int32),
    'labels': np.zeros((*rows, 2), np.float32),
    'weights': np.ones(rows, np.float32),
    'index': np.zeros(rows, np.int32),
  }
  old, batch = parts.init(), sharding.to_global(mesh, batch, 1)
  update = parts.update.lower(old, batch).compile()
  held = sum(leaf.nbytes for leaf in jax.tree.leaves(old))
  assert update.memory_analysis().alias_size_in_bytes == held
  update(old, batch)
  assert all(leaf.is_deleted() for leaf in jax.tree.leaves(old))
  assert not any(leaf.is_deleted() for leaf in jax.tree.leaves(batch))


def test_evaluation_uses_what_was_computed_of_its_variables_before():
  config = yandex.get_config('baseline')
  config.model.update(num_heads=2, mlp_dim=8, head_dim=8)
  dataset = dict(label_names=['a', 'b'], input_shape=(None, 8), statistics={}, support=[1, 1])
  mesh = sharding.make_mesh()
  parts = system.create(config, dataset, mesh, steps=2)
  variables = parts.init().eval_variables
  prepared = parts.precompute(variables)
  convolved = set(prepared['precomputed'])
  assert len(convolved) == 9  # All convolutions of more than one tap.

  def spoil(path, leaf):
    is_kernel = path[-2].key in convolved and path[-1].key == 'kernel'
    return jax.numpy.full_like(leaf, np.nan) if is_kernel else leaf

  spoiled = prepared | {'params': jax.tree_util.tree_map_with_path(spoil, variables['params'])}
  rng = np.random.default_rng(0)
  batch = {
    'inputs': rng.normal(size=(4, 6, 8)).astype(np.float32),
    'lengths': np.array([6, 2, 5, 1], np.int32),
    'labels': np.zeros((4, 2), np.float32),
    'index': np.arange(4, dtype=np.int32),
  }
  batch = sharding.to_global(mesh, batch, 0)
  expected = parts.eval_step(variables, batch)['scores']
  for given in (prepared, spoiled):
    np.testing.assert_array_equal(parts.eval_step(given, batch)['scores'], expected)
