import errno
import os
import sys

import pytest
from absl import flags
from absl.testing import flagsaver
from ml_collections import ConfigDict, config_dict

from musicjax import command_line
from musicjax.errors import ConfigError, DataError, StorageError

FILE = '--config=configs/yandex.py:test'


@pytest.fixture
def parse(monkeypatch):
  """Returns the config of arguments; flags are as before when the test ends."""

  def parse(*arguments) -> ConfigDict:
    monkeypatch.delitem(sys.modules, 'config_config', raising=False)  # Of another file.
    monkeypatch.setattr(sys, 'argv', ['main', *arguments])
    command_line.parse(sys.argv)
    return flags.FLAGS.config

  with flagsaver.flagsaver():
    yield parse


def test_fields_are_set_by_text_in_the_type_they_have(parse):
  arguments = ['--config.batch_size=4', '-config.ema_decay', '1', '--config.buckets=48,64']
  arguments += ['--config.data_dir=3', '--config.augment={}', '--config.fold=1']
  config = parse(FILE, *arguments, '--config.fold=2', '--config.profile_steps=1,')
  assert (config.batch_size, config.ema_decay, config.buckets) == (4, 1.0, (48, 64))
  assert (config.data_dir, config.augment.to_dict(), config.fold) == ('3', {}, 2)
  assert isinstance(config.ema_decay, float)
  assert config.model.width == 16  # As the variant says.
  assert config.is_locked


def test_flags_are_those_of_config_flags(parse, tmp_path):
  (tmp_path / 'config.py').write_text(f"""
from {config_dict.__name__} import ConfigDict, placeholder
def get_config():
  return ConfigDict(dict(on=True, off=False, count=placeholder(int), sizes=(1,)))
""")
  file = f'{tmp_path}/config.py'
  arguments = ['--noconfig.on', '--config.off', '--config.count=3', '--config.sizes=4']
  config = parse('--config', file, *arguments, '--config.sizes=5')
  assert config.to_dict() == {'on': False, 'off': True, 'count': 3, 'sizes': (4, 5)}


def test_a_config_in_one_text_is_what_the_flags_make_of_it(parse):
  fields = ['--config.batch_size=4', "--config.data_dir='a folder'", '--config.buckets=48,64']
  config = command_line.config_of(' '.join([FILE.removeprefix('--config='), *fields]))
  assert config == parse(FILE, fields[0], '--config.data_dir=a folder', fields[2])
  assert (config.batch_size, config.data_dir, config.buckets) == (4, 'a folder', (48, 64))


@pytest.mark.parametrize(
  ('words', 'message'),
  [
    ('configs/nowhere.py', "--config: expected a Python file, found none at 'configs/nowhere.py'"),
    (
      f'{FILE[9:]} --config.data_dri=x',
      'config.data_dri: no such field (nearest: config.data_dir)',
    ),
    (f'{FILE[9:]} data', "--config: expected a file and its fields, found 'data'"),
    (f"{FILE[9:]} 'x", f'--config: No closing quotation in "{FILE[9:]} \'x"'),
  ],
)
def test_a_text_that_is_no_config_is_refused(words, message):
  with pytest.raises(ConfigError) as error:
    command_line.config_of(words)
  assert str(error.value) == message


def test_without_a_config_there_is_none(parse):
  assert parse() is None


def test_a_field_without_a_config_is_told_what_it_needs(parse):
  with pytest.raises(ConfigError, match=r'^--config.data_dir needs --config=FILE, with the fields'):
    parse('--workdir=W', '--mode=predict', '--config.data_dir=/x')


REFUSED = [
  ('batchsize=3', r'config.batchsize: no such field \(nearest: config.batch_size\)$'),
  ('model.widht=3', r'config.model.widht: no such field \(nearest: config.model.width\)$'),
  ('optimizer.lr=1', r'config.optimizer.lr: no such field \(nearest: .*learning_rate\)$'),
  ('optimizer.name.x=1', 'config.optimizer.name.x: no such field'),
  ('zzz.x=1', 'config.zzz.x: no such field'),
  ('items=1', 'config.items: no such field'),
  ('=1', 'config.: no such field'),
  ('batch_size=many', "--config.batch_size=many: .* int.*'many'$"),
  ('batch_size=3.5', "--config.batch_size=3.5: .* int.*'3.5'$"),
  ('batch_size', 'Missing value for flag --config.batch_size$'),
  ('ema_decay=high', "--config.ema_decay=high: .* float: 'high'$"),
  ('buckets=1, x(', r'--config.buckets=1, x\(: .* as tuple'),
  ('optimizer=3', '--config.optimizer=3: .* not a dict'),
]


@pytest.mark.parametrize(('field', 'message'), REFUSED)
def test_a_flag_that_does_not_fit_its_field_is_refused(field, message, parse):
  with pytest.raises(ConfigError, match=f'^(flag )?{message}'):
    parse(FILE, f'--config.{field}')


def test_a_field_of_a_group_that_another_flag_replaced_is_refused(parse):
  with pytest.raises(ConfigError, match=r'KeyError by flags: .*mixup'):
    parse(FILE, '--config.augment={}', '--config.augment.mixup.alpha=1')


LOCKED = 'from ml_collections import ConfigDict\ndef get_config():\n  ConfigDict().lock().x = 1'
FILES = {
  'syntax': ('\ndef get_config(:\n', r'config.py: SyntaxError: invalid syntax \(.*, line 2\)$'),
  'import': ('import no_such_module', 'config.py, line 1: ModuleNotFoundError: No module'),
  'call': ('\n\ndef get_config():\n  return 1 / 0', 'config.py, line 4: ZeroDivisionError'),
  'value': ('def get_config():\n  int("x")', "config.py, line 2: ValueError: invalid .*: 'x'$"),
  'file': ('def get_config():\n  open("none")', 'config.py, line 2: FileNotFoundError: .*none'),
  'field': (LOCKED, 'config.py, line 3: AttributeError: .*"x" does not exist'),
  'chain': (
    'def get_config():\n  try: 1 / 0\n  except Exception:\n    raise RuntimeError("mine")',
    'config.py, line 4: RuntimeError: mine$',
  ),
  'nothing': ('x = 1', "config.py: AttributeError: .* no attribute 'get_config'"),
  'none': ('def get_config():\n  pass', 'config.py: get_config: expected a ConfigDict, found None'),
  'binary': ('\0', 'config.py.*(ValueError|SyntaxError): source code'),
}


@pytest.mark.parametrize('override', [[], ['--config.fold=1']])
@pytest.mark.parametrize('case', FILES)
def test_an_error_in_a_config_file_is_told_with_file_and_line(case, override, parse, tmp_path):
  text, message = FILES[case]
  (tmp_path / 'config.py').write_text(text)
  with pytest.raises(ConfigError, match=f'^{tmp_path}/{message}'):
    parse(f'--config={tmp_path}/config.py', *override)


def test_a_variant_of_a_file_without_variants_is_refused(parse, tmp_path):
  (tmp_path / 'config.py').write_text('def get_config():\n  pass')
  with pytest.raises(ConfigError, match=r'takes 0 positional arguments but 1 was given$'):
    parse(f'--config={tmp_path}/config.py:test')


@pytest.mark.parametrize(
  ('error', 'line', 'code'),
  [
    (ConfigError('seed: no'), 'error: seed: no', 2),
    (DataError('a.npy: no'), 'error: a.npy: no', 2),
    (FloatingPointError('step 7: loss is nan'), 'stopped: step 7: loss is nan', 1),
    (StorageError('checkpoint 7\ncannot be'), 'stopped: checkpoint 7 cannot be', 1),
    (
      OSError(errno.EROFS, os.strerror(errno.EROFS), 'W/a.csv'),
      "error: [Errno 30] Read-only file system: 'W/a.csv'",
      2,
    ),
    (
      OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), 'W/a.png'),
      "stopped: [Errno 28] No space left on device: 'W/a.png'",
      1,
    ),
  ],
)
def test_an_error_is_one_line_and_its_code_says_whether_to_mend_or_to_repeat(
  error, line, code, capsys, monkeypatch
):
  monkeypatch.setattr(command_line, 'FLAGS', {'debug': type('Flag', (), {'value': False})})
  with pytest.raises(SystemExit) as ended, command_line.told_in_one_line():
    raise error
  assert ended.value.code == code
  assert capsys.readouterr().err == f'{line}\n'
