"""Every shipped config, in every variant it names."""

import importlib
from pathlib import Path

import jax
import numpy as np
import pytest

from musicjax import sharding, system, train
from tests.conftest import write_yandex_folder

NAMES = sorted(path.stem for path in (Path(__file__).parents[1] / 'configs').glob('[!_]*.py'))

NOTHING_KNOWN = {'statistics': {}, 'support': None}  # Of the training fold.


@pytest.fixture
def raw(tmp_path):
  return write_yandex_folder(tmp_path / 'raw')


@pytest.mark.parametrize('name', NAMES)
def test_the_test_variant_trains_two_steps_and_reports(name, raw, tmp_path):
  config = importlib.import_module(f'configs.{name}').get_config('test')
  config.data_dir, config.prepared_dir = str(raw), str(tmp_path / 'prepared')
  final = train.train_and_evaluate(config, tmp_path / 'run')
  assert final['steps'] == 2
  assert np.isfinite(final['test']['loss'])
  assert (tmp_path / 'run' / 'report.md').read_text().startswith('# ')


@pytest.mark.parametrize('dtype', ['float32', 'bfloat16'])
@pytest.mark.parametrize('variant', ['', 'baseline'])
@pytest.mark.parametrize('name', NAMES)
def test_the_full_size_fits_together(name, variant, dtype):
  config = importlib.import_module(f'configs.{name}').get_config(variant)
  config.dtype = dtype
  sizes = {'yandex': (768, 256), 'quickstart': (64, 6)}
  width, classes = sizes.get(config.dataset.name, (64, 10))
  dataset = {'label_names': range(classes), 'input_shape': (None, width)} | NOTHING_KNOWN
  parts = system.create(config, dataset, sharding.make_mesh(), steps=1000, steps_per_epoch=100)
  state = jax.eval_shape(parts.init)
  micro = config.batch_size // config.accumulate
  shapes = {'inputs': (20, width), 'lengths': (), 'labels': (classes,), 'index': ()}
  batch = {
    key: jax.ShapeDtypeStruct(
      (config.accumulate, micro, *shape), 'int32' if key in ('lengths', 'index') else 'float32'
    )
    for key, shape in shapes.items()
  }
  after, metrics = jax.eval_shape(parts.update, state, batch)
  assert jax.tree.map(lambda x: (x.shape, x.dtype), after) == jax.tree.map(
    lambda x: (x.shape, x.dtype), state
  )
  assert metrics['loss'].shape == ()


def test_the_quickstart_model_stays_small():
  config = importlib.import_module('configs.quickstart').get_config()
  dataset = {'label_names': range(6), 'input_shape': (None, 64)} | NOTHING_KNOWN
  params = jax.eval_shape(system.create(config, dataset, sharding.make_mesh()).init).params
  assert sum(leaf.size for leaf in jax.tree.leaves(params)) <= 1_000_000
