import dataclasses
import importlib
import inspect
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ml_collections import ConfigDict

from musicjax import config as config_lib
from musicjax import system
from musicjax.audio import augment, front_ends
from musicjax.errors import ConfigError
from musicjax.fields import flatten, unknown_field

FILES = sorted(path.stem for path in (Path(__file__).parents[1] / 'configs').glob('[!_]*.py'))


def shipped(name, variant=''):
  return importlib.import_module(f'configs.{name}').get_config(variant)


def changed(config, path, value):
  """Returns the config with a field of any type set, whether it is there or not."""
  fields = config.to_dict()
  *groups, last = path.split('.')
  holder = fields
  for group in groups:
    holder = holder.setdefault(group, {})
  holder[last] = value
  return ConfigDict(fields)


@pytest.mark.parametrize('variant', ['', 'baseline', 'test'])
@pytest.mark.parametrize('name', FILES)
def test_shipped_configs_pass_from_their_file_and_from_a_workdir(name, variant):
  config = shipped(name, variant)
  system.check(config)
  system.check(ConfigDict(json.loads(json.dumps(config.to_dict()))))


@pytest.mark.parametrize('name', FILES)
def test_every_shipped_field_has_a_range_of_its_own(name):
  fields = [f for v in ('', 'baseline') for f in flatten(shipped(name, v).to_dict())]
  catch_all = {'*', 'augment*', 'augment.*.*'}
  assert [f for f in fields if f != 'augment' and config_lib.pattern_of(f) in catch_all] == []


def test_every_field_of_an_augmentation_has_a_range_of_its_own():
  fields = [
    f'augment.{name}.{field}'
    for name, function in augment.AUGMENTS.items()
    for field, parameter in inspect.signature(function).parameters.items()
    if parameter.kind == parameter.KEYWORD_ONLY
  ]
  assert 'augment.gain.max_db' in fields
  assert [f for f in fields if config_lib.pattern_of(f) == 'augment.*.*'] == []


def test_every_field_of_a_front_end_has_a_range_of_its_own():
  fields = {
    f'front_end.{field.name}'
    for kind in front_ends.FRONT_ENDS.values()
    for field in dataclasses.fields(kind)
    if field.name != 'sample_rate'
  }
  assert 'front_end.time_constant' in fields
  assert [f for f in fields if config_lib.pattern_of(f) == '*'] == []


REFUSED = [
  ('batch_size', -3, 'a positive whole number below 2^31, found -3'),
  ('batch_size', 3.5, 'a positive whole number below 2^31, found 3.5'),
  ('batch_size', True, 'a positive whole number below 2^31, found True'),
  ('batch_size', 'many', "a positive whole number below 2^31, found 'many'"),
  ('seed', -1, '0..2^32 - 1, found -1'),
  ('seed', 2**32, '0..2^32 - 1'),
  ('split_seed', -1, '0..2^32 - 1'),
  ('num_folds', 2, 'from 3 (test, validation, training), found 2'),
  ('fold', 5, '0..4, found 5'),
  ('fold', -1, 'found -1'),
  ('buckets', (64, 48), 'ascending positive whole numbers, found (64, 48)'),
  ('buckets', (0, 48), 'ascending positive whole numbers, found (0, 48)'),
  ('buckets', 48, 'ascending positive whole numbers, found 48'),
  ('profile_steps', (5, 2), 'the first and the last step, or (0, 0), found (5, 2)'),
  ('profile_steps', (2,), 'the first and the last step'),
  ('profile_steps', (0, 3), 'the first and the last step'),
  ('num_train_steps', -1, '0..2^31 - 1, found -1'),
  ('log_every_steps', 0, 'found 0'),
  ('normalize', 'per_track', "none, per_feature, found 'per_track'"),
  ('report_checkpoint', 'bst', "best, latest, found 'bst'"),
  ('on_bad_example', 'ignore', "fail, skip, found 'ignore'"),
  ('dtype', 'float16', "float32, bfloat16; found 'float16'"),
  ('task', 'multilabel', 'nearest: multi_label'),
  ('select_metric', 'map_makro', 'nearest: map_macro'),
  ('ema_decay', 1.0, '[0, 1), found 1.0'),
  ('model.dropout', 1.1, '[0, 1], found 1.1'),
  ('model.head_dropout', float('nan'), '[0, 1], found nan'),
  ('model.width', 0, 'multiple of 2 num_heads'),
  ('model.num_heads', 0, 'positive whole number'),
  ('model.name', 'attention_trans', 'nearest: attention_transformer'),
  ('model.widht', 3, 'nearest: width'),
  ('loss.label_smoothing', -0.1, '[0, 1], found -0.1'),
  ('loss.name', 'asymetric', 'nearest: asymmetric'),
  ('loss.gamma', 1.0, 'nearest: gamma_'),
  ('augment.mixup.probability', 2, '[0, 1], found 2'),
  ('augment.mixup.alpha', 0.0, 'a positive number'),
  ('augment.blur', {'sigma': 0.0, 'probability': 0.5}, 'a positive number'),
  ('augment.exposure', {'low': 1.4}, 'low: expected at most high (1.3), found 1.4'),
  (
    'augment.rotate_zoom',
    {'max_zoom': 0.5},
    'min_zoom: expected at most max_zoom (0.5), found 0.8',
  ),
  ('augment.random_erasing', {'min_area': 0.6}, 'min_area: expected at most max_area (0.5)'),
  ('augment.gain.max_db', 300, '0..200, found 300'),
  ('augment.time_shift.max_share', 1.5, '[0, 1], found 1.5'),
  ('augment.time_shift.wrap', 1, 'true or false, found 1'),
  ('augment.random_crop.frames', 0, 'a positive whole number below 2^31, found 0'),
  ('augment.mixup', 3, 'fields, found 3'),
  ('augment.mixpu', {'alpha': 1.0}, 'nearest: mixup'),
  ('augment.mixup.beta', 1.0, "alpha, probability; found 'beta'"),
  ('optimizer.learning_rate', -1e-3, 'found -0.001'),
  ('optimizer.learning_rate', float('inf'), 'found inf'),
  ('optimizer.b2', 1.0, '[0, 1), found 1.0'),
  ('optimizer.decay_rate', 0.0, '(0, 1], found 0.0'),
  ('optimizer.name', 'adamww', 'nearest: adamw'),
  ('optimizer.schedule', 'cosin', 'nearest: cosine'),
  ('optimizer.warmup_steps', 2, 'fewer than the 2 steps of the run, found 2'),
  ('optimizer', 3, 'expected a value, found none'),
  ('plateau.factor', 1.5, '(0, 1], found 1.5'),
  ('plateau.patience', None, 'found None'),
  ('plateau.pacience', 2, 'no such field (nearest: config.plateau.patience)'),
  ('optimizer.lr', 1.0, 'no such field (nearest: config.optimizer.learning_rate)'),
  ('learning_rate', 1.0, 'no such field (nearest: config.optimizer.learning_rate)'),
  ('batchsize', 8, 'no such field (nearest: config.batch_size)'),
  ('dataset.name', 'yandx', 'nearest: yandex'),
  ('dataset.num_tracks', 60, "none); found 'num_tracks'"),
]


@pytest.mark.parametrize(('field', 'value', 'message'), REFUSED)
def test_a_bad_value_is_refused_with_field_expected_and_found(field, value, message):
  with pytest.raises(ConfigError) as error:
    system.check(changed(shipped('yandex', 'test'), field, value))
  assert str(error.value).startswith(f'config.{field.partition(".")[0]}')
  assert message in str(error.value)


def test_a_micro_batch_must_be_whole():
  with pytest.raises(ConfigError, match=r'config.batch_size: .* accumulate \(3\), found 8'):
    config_lib.check(changed(shipped('yandex', 'test'), 'accumulate', 3))


def test_a_run_must_have_a_length():
  config = shipped('quickstart')
  config.num_epochs = 0.0
  with pytest.raises(ConfigError, match=r'config.num_epochs: expected more than 0'):
    config_lib.check(config)
  config.num_train_steps = 3
  config_lib.check(config)


def test_a_missing_field_is_named():
  fields = shipped('quickstart', 'test').to_dict()
  del fields['dataset']['seed'], fields['plateau']['patience']
  with pytest.raises(ConfigError, match=r'config\.plateau.patience: expected a value, found none'):
    system.check(ConfigDict(fields))
  fields['plateau']['patience'] = 5
  with pytest.raises(ConfigError, match=r'config\.dataset.seed: expected a value, found none'):
    system.check(ConfigDict(fields))


def test_a_field_with_nothing_near_it_points_to_the_list():
  assert str(unknown_field('zzzz', ['fold'])) == (
    'config.zzzz: no such field; --show_config lists them'
  )


LEAVES = [(name, field) for name in FILES for field in flatten(shipped(name, 'test').to_dict())]
NUMBERS = st.sampled_from([-1, 0, 1, 3, 2**31, 2**63, 10**30, -1.0, -0.0, 0.5, 1e300, 5e-324])
JUNK = (
  NUMBERS
  | st.floats()
  | st.integers()
  | st.text(max_size=8)
  | st.sampled_from([None, True, '', 'a\nb', (), (()), {}, b'', 1j, object()])
  | st.tuples(NUMBERS, NUMBERS)
)


@settings(max_examples=1000, deadline=None)
@given(leaf=st.sampled_from(LEAVES), value=JUNK)
def test_any_value_passes_or_is_refused_in_one_line_that_names_its_field(leaf, value):
  name, field = leaf
  config = changed(shipped(name, 'test'), field, value)
  told = ''
  try:
    system.check(config)
  except ConfigError as error:
    told = str(error)
  assert not told or field.rpartition('.')[2] in told
  assert len(told.splitlines()) <= 1
