import functools
import importlib
import zipfile

import flax.traverse_util
import jax
import numpy as np
import pytest

from configs import spectrogram_cnn
from musicjax import models, sharding, system
from musicjax.errors import ConfigError
from musicjax.models import pretrained

flatten = functools.partial(flax.traverse_util.flatten_dict, sep='/')
zeros = functools.partial(np.zeros, dtype=np.float32)
NEW = {
  'params': {'head': {'kernel': zeros((2, 3))}, 'logits': {'kernel': zeros((3, 4))}},
  'batch_stats': {'norm': {'mean': zeros(3)}},
}
WEIGHTS = {
  'params/head/kernel': np.ones((2, 3)),
  'params/logits/kernel': np.ones((3, 50)),
  'batch_stats/norm/mean': np.ones(3),
}


def test_all_arrays_but_those_of_the_logits_are_the_given_ones():
  got = pretrained.put(NEW, WEIGHTS)
  np.testing.assert_array_equal(got['params']['head']['kernel'], np.ones((2, 3)))
  np.testing.assert_array_equal(got['batch_stats']['norm']['mean'], np.ones(3))
  np.testing.assert_array_equal(got['params']['logits']['kernel'], np.zeros((3, 4)))


@pytest.mark.parametrize(
  ('weights', 'told'),
  [
    ({'params/head/kernel': None}, r'expected params/head/kernel \[2, 3\], found none'),
    ({'batch_stats/norm/mean': np.ones(4)}, r'expected batch_stats/norm/mean \[3\], found \[4\]'),
    ({'params/stem/kernel': np.ones(1)}, 'expected arrays of the model, found params/stem/kernel'),
    ({'other': np.ones(1)}, 'expected arrays of the model, found other'),
  ],
)
def test_what_is_not_the_models_is_refused_in_one_line(weights, told):
  given = {path: array for path, array in (WEIGHTS | weights).items() if array is not None}
  with pytest.raises(ConfigError, match=rf'^config\.pretrained: {told}'):
    pretrained.put(NEW, given)


def test_a_file_that_holds_no_weights_is_refused_in_one_line(tmp_path):
  np.save(tmp_path / 'lone.npy', np.ones(3))
  (tmp_path / 'text.npz').write_text('PK no archive')
  np.savez(tmp_path / 'cut.npz', **WEIGHTS)
  (tmp_path / 'cut.npz').write_bytes((tmp_path / 'cut.npz').read_bytes()[:-40])
  (tmp_path / 'empty.npz').write_bytes(b'')
  with zipfile.ZipFile(tmp_path / 'other.npz', 'w') as file:
    file.writestr('data.pkl', 'no array')
  np.savez(tmp_path / 'nothing.npz')
  np.savez(tmp_path / 'texts.npz', **{'params/head/kernel': 'one'})
  np.savez(tmp_path / 'nan.npz', **{'params/head/kernel': np.float32('nan')})
  names = ('lone.npy', 'text.npz', 'cut.npz', 'empty.npz', 'other.npz', 'nothing.npz', 'texts.npz')
  for name in (*names, 'nan.npz', 'none.npz', '.'):
    with pytest.raises(ConfigError, match=r'^config\.pretrained: expected [^\n]*, found [^\n]+$'):
      pretrained.read(config_of(tmp_path / name))


def config_of(path):
  config = spectrogram_cnn.get_config('musicnn')
  config.pretrained = str(path)
  return config


def test_weights_of_another_front_end_are_refused(tmp_path):
  config = config_of(tmp_path / 'weights.npz')
  np.savez(config.pretrained, front_end='{"n_mels": 96, "mel_scale": "slaney"}', **WEIGHTS)
  assert pretrained.read(config).keys() == WEIGHTS.keys()
  config.dataset.n_mels = 128
  with pytest.raises(ConfigError, match=r'^n_mels: expected 96, .* found 128$'):
    pretrained.read(config)


@pytest.mark.parametrize('name', ['spectrogram_cnn', 'yandex', 'pressed_play', 'freesound'])
def test_a_model_takes_its_own_arrays(name):
  config = importlib.import_module(f'configs.{name}').get_config('test')
  model = models.create(config.model, 3, config.dtype)
  shape = {'pressed_play': (32, 32, 3), 'yandex': (8, 8)}.get(name, (24, 16))
  inputs, lengths = np.zeros((2, *shape), np.float32), np.full(2, shape[0])
  variables = jax.eval_shape(lambda: model.init(jax.random.key(0), inputs, lengths, train=False))
  kept = {c: variables[c] for c in ('params', 'batch_stats') if c in variables}
  flat = flatten(kept)
  weights = {path: np.ones(leaf.shape, leaf.dtype) for path, leaf in flat.items()}
  put = jax.eval_shape(lambda: pretrained.put(kept, weights))
  assert jax.tree.map(lambda x: x.shape, put) == jax.tree.map(lambda x: x.shape, kept)


def test_a_run_starts_from_the_weights_of_a_file(tmp_path):
  config = spectrogram_cnn.get_config('test')
  config.ema_decay = 0.99
  dataset = dict(label_names=['a', 'b'], input_shape=(24, 16), statistics={}, support=[1, 1])
  parts = system.create(config, dataset, sharding.make_mesh(), steps=2)
  new = parts.init()
  variables = {'params': new.params, 'batch_stats': new.batch_stats}
  flat = {path: np.asarray(array) + 1 for path, array in flatten(variables).items()}
  np.savez(tmp_path / 'weights.npz', **flat)
  config.pretrained = str(tmp_path / 'weights.npz')
  state = parts.init(pretrained.read(config))
  for variables in (state.ema, {'params': state.params, 'batch_stats': state.batch_stats}):
    got = flatten(variables)
    assert flat.keys() == got.keys()
    for path, array in flat.items():
      if not path.startswith('params/logits/'):
        np.testing.assert_array_equal(got[path], array)
    jax.tree.map(np.testing.assert_array_equal, variables['params']['logits'], new.params['logits'])
