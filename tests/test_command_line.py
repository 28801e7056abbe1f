import errno
import os

import pytest

from musicjax import command_line
from musicjax.errors import ConfigError, DataError, StorageError

FILE = 'configs/yandex.py:test'


def test_fields_are_set_by_text_in_the_type_they_have():
  arguments = ['main', '--config.batch_size=4', '-config.ema_decay', '1', '--config.buckets=48,64']
  arguments += ['--workdir=W', '--config.data_dir=3', '--config.augment={}', '--config.fold=1']
  others, overrides = command_line.split_overrides([*arguments, '--config.fold=2'])
  assert others == ['main', '--workdir=W']
  config = command_line.load_config(FILE, overrides)
  assert (config.batch_size, config.ema_decay, config.buckets) == (4, 1.0, (48, 64))
  assert (config.data_dir, config.augment.to_dict(), config.fold) == ('3', {}, 2)
  assert isinstance(config.ema_decay, float)
  assert config.model.width == 16  # As the variant says.


REFUSED = [
  ('batchsize', '3', r'config.batchsize: no such field \(nearest: config.batch_size\)'),
  ('optimizer.lr', '1', r'config.optimizer.lr: no such field \(nearest: .*learning_rate\)'),
  ('optimizer.name.x', '1', 'config.optimizer.name.x: no such field'),
  ('', '1', 'config.: no such field'),
  ('batch_size', 'many', "config.batch_size: expected a whole number, found 'many'"),
  ('batch_size', '3.5', "config.batch_size: expected a whole number, found '3.5'"),
  ('batch_size', None, 'config.batch_size: expected a whole number, found none'),
  ('ema_decay', 'high', "config.ema_decay: expected a number, found 'high'"),
  ('buckets', '1, x(', 'config.buckets: expected values, as 1,2, found'),
  ('optimizer', '3', "config.optimizer: expected fields, .* found '3'"),
]


@pytest.mark.parametrize(('field', 'text', 'message'), REFUSED)
def test_a_flag_that_does_not_fit_its_field_is_refused(field, text, message):
  with pytest.raises(ConfigError, match=message):
    command_line.load_config(FILE, [(field, text)])


FILES = {
  'syntax': ('\ndef get_config(:\n', 'config.py, line 2: SyntaxError: invalid syntax$'),
  'import': ('import no_such_module', 'config.py, line 1: ModuleNotFoundError: No module'),
  'call': ('\n\ndef get_config():\n  return 1 / 0', 'config.py, line 4: ZeroDivisionError'),
  'nothing': ('x = 1', 'config.py: expected a function get_config, found none'),
  'none': ('def get_config():\n  pass', 'config.py: get_config: expected a ConfigDict, found None'),
  'binary': ('\0', 'config.py.*(ValueError|SyntaxError): source code'),
}


@pytest.mark.parametrize('case', FILES)
def test_an_error_in_a_config_file_is_told_with_file_and_line(case, tmp_path):
  text, message = FILES[case]
  (tmp_path / 'config.py').write_text(text)
  with pytest.raises(ConfigError, match=message):
    command_line.load_config(str(tmp_path / 'config.py'))


def test_a_variant_of_a_file_without_variants_is_refused(tmp_path):
  (tmp_path / 'config.py').write_text('def get_config():\n  pass')
  with pytest.raises(ConfigError, match='takes 0 positional arguments but 1 was given'):
    command_line.load_config(f'{tmp_path}/config.py:test')


@pytest.mark.parametrize(
  ('error', 'line', 'code'),
  [
    (ConfigError('seed: no'), 'error: seed: no', 2),
    (DataError('a.npy: no'), 'error: a.npy: no', 2),
    (FloatingPointError('step 7: loss is nan'), 'stopped: step 7: loss is nan', 1),
    (StorageError('checkpoint 7\ncannot be'), 'stopped: checkpoint 7 cannot be', 1),
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
  with pytest.raises(SystemExit) as ended, command_line._told_in_one_line():
    raise error
  assert ended.value.code == code
  assert capsys.readouterr().err == f'{line}\n'
