"""Every shipped config, in every variant it names."""

import importlib
import itertools
from pathlib import Path

import jax
import numpy as np
import pytest

from musicjax import sharding, system, targets, train
from tests.conftest import write_audio_folder, write_cover_folder, write_yandex_folder

NAMES = sorted(path.stem for path in (Path(__file__).parents[1] / 'configs').glob('[!_]*.py'))

# Shape of an example, classes.
SIZES = {
  'yandex': ((None, 768), 256),
  'quickstart': ((None, 64), 6),
  'audio': ((173, 128), 10),
  'images': ((128, 128), 10),
  'covers': ((128, 128, 3), 8),
  'waveforms': ((None,), 41),
}
WRITERS = {
  'audio': write_audio_folder,
  'covers': write_cover_folder,
  'waveforms': write_audio_folder,
}


def describe_dataset(config):
  """What a run knows of its data."""
  input_shape, num_classes = SIZES[config.dataset.name]
  known = {
    'label_names': range(num_classes),
    'input_shape': input_shape,
    'statistics': {},
    'support': [1] * num_classes,
  }
  if config.task == 'feature_regression':
    known['targets'] = targets.describe(np.eye(num_classes), 'bounded', range(num_classes), {})
  return known


@pytest.mark.parametrize('name', NAMES)
def test_the_test_variant_trains_two_steps_and_reports(name, tmp_path):
  config = importlib.import_module(f'configs.{name}').get_config('test')
  raw = WRITERS.get(config.dataset.name, write_yandex_folder)(tmp_path / 'raw')
  config.data_dir, config.prepared_dir = str(raw), str(tmp_path / 'prepared')
  final = train.train_and_evaluate(config, tmp_path / 'run')
  assert final['steps'] == 2
  assert np.isfinite(final['test']['loss'])
  assert (tmp_path / 'run' / 'report.md').read_text().startswith('# ')


@pytest.mark.parametrize('dtype', ['float32', 'bfloat16'])
@pytest.mark.parametrize(
  ('name', 'variant'),
  [
    *itertools.product(NAMES, ('', 'baseline')),
    ('spectrogram_cnn', 'attention'),
    ('spectrogram_cnn', 'musicnn'),
    ('spectrogram_cnn', 'images'),
  ],
)
def test_the_full_size_fits_together(name, variant, dtype):
  config = importlib.import_module(f'configs.{name}').get_config(variant)
  config.dtype = dtype
  (time, *width), classes = SIZES[config.dataset.name]
  dataset = describe_dataset(config)
  parts = system.create(config, dataset, sharding.make_mesh(), steps=1000, steps_per_epoch=100)
  state = jax.eval_shape(parts.init)
  micro = config.batch_size // config.accumulate
  shapes = {'inputs': (time or 20, *width), 'lengths': (), 'labels': (classes,), 'index': ()}
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
  dataset = describe_dataset(config)
  params = jax.eval_shape(system.create(config, dataset, sharding.make_mesh()).init).params
  assert sum(leaf.size for leaf in jax.tree.leaves(params)) <= 1_000_000
