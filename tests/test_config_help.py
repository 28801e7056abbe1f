"""What --show_config prints."""

from ml_collections import ConfigDict

from musicjax import config_help

_DEFAULTS = """
def base_config():
  config = ConfigDict()
  config.seed = 0  # of everything random
  config.batch_size = 32  # examples an update
  config.model = ConfigDict(dict(name=''))  # the network
  config.optimizer = ConfigDict(dict(
      name='adamw',  # adamw or sgd
      learning_rate=1e-4,  # peak
  ))
"""
_CONFIG = """
def get_config(variant=''):
  config = base_config()
  config.optimizer.learning_rate = 0.5  # as published
  config.batch_size = 8 * 2  # fits 8 GB
  config.model = ConfigDict(dict(name='yandex', width=4))
  if variant == 'test':
    config.optimizer.learning_rate = 0.25  # quick
"""


def _describe(tmp_path, **overrides):
  config = ConfigDict(
    dict(
      seed=0,
      batch_size=16,
      model=dict(name='yandex', width=4),
      optimizer=dict(name='adamw', learning_rate=0.5),
      late='x',
    )
  )
  config.update_from_flattened_dict(overrides)
  sources = []
  for name, text in (('config.py', _DEFAULTS), ('yandex.py', _CONFIG)):
    sources.append(tmp_path / name)
    sources[-1].write_text(text)
  return config_help.describe(config, sources)


def test_lists_every_field_in_the_order_of_the_sources_with_its_comment(tmp_path):
  lines = [line.split(maxsplit=1) for line in _describe(tmp_path).splitlines()]
  assert [(name, ' '.join(rest.split())) for name, rest in lines] == [
    ('seed', '0 # of everything random'),
    ('batch_size', '16 # fits 8 GB'),
    ('model', '# the network'),
    ('model.name', "'yandex'"),
    ('model.width', '4'),
    ('optimizer.name', "'adamw' # adamw or sgd"),
    ('optimizer.learning_rate', '0.5 # as published'),
    ('late', "'x'"),
  ]


def test_comment_is_that_of_the_value(tmp_path):
  variant = _describe(tmp_path, **{'optimizer.learning_rate': 0.25})
  assert '0.25' in variant
  assert '# quick' in variant
  default = _describe(tmp_path, **{'optimizer.learning_rate': 1e-4})
  assert '# peak' in default
  flag = _describe(tmp_path, **{'optimizer.learning_rate': 3.0})
  assert '# peak' in flag
  assert '# quick' not in flag


def test_long_values_and_comments_wrap_into_their_columns(tmp_path):
  source = tmp_path / 'config.py'
  source.write_text(f'config.a = 1  # {"long " * 60}\n              # and on\nconfig.b = 2\n')
  config = ConfigDict(dict(a=1, b=tuple(range(60))))
  text = config_help.describe(config, [source])
  assert max(map(len, text.splitlines())) <= 120
  assert len({line.index('#') for line in text.splitlines() if '#' in line}) == 1
  assert 'and on' in text
  assert '59)' in text


def test_hash_in_a_string_is_no_comment(tmp_path):
  source = tmp_path / 'config.py'
  source.write_text("config.a = 'c#m'\n")
  assert config_help.describe(ConfigDict(dict(a='c#m')), [source]) == "a  'c#m'"
