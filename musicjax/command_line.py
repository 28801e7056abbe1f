"""The command line: the flags of absl and `config_flags`; misuse told in one line, exit code 2."""

import contextlib
import re
import shlex
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

from absl import app, flags, logging
from ml_collections import ConfigDict
from ml_collections.config_flags import config_flags

from musicjax.errors import ConfigError, exit_line, quoted
from musicjax.fields import flatten, unknown_field

FLAGS = flags.FLAGS
config_flags.DEFINE_config_file('config', None, 'A file of configs/, with :variant.')
flags.DEFINE_bool('debug', False, 'Show the traceback of an error in the input or the config.')


def run(main: Callable[[ConfigDict | None], None]) -> None:
  """Calls `main` with the config of `--config` and its `--config.field=value`, None without one.

  Ends the program with exit code 2 after a `ConfigError` or `DataError`, what can be mended first,
  and with 1 after a `FloatingPointError`, `StorageError` or full disk, which stop a run on its way;
  each is told in one line of stderr.
  """
  told = told_in_one_line()
  app.run(told(lambda _: main(FLAGS.config)), flags_parser=told(parse))


def parse(argv: list[str]) -> None:
  """Parses all flags, of `sys.argv` as `config_flags` reads fields there.

  Raises:
    ConfigError: a flag, field, text or config file that cannot be used as given.
  """
  # Unless a flag says more: libraries tell of every file, and in pages of what they raise as well.
  FLAGS.verbosity = logging.FATAL
  try:
    _, *others = FLAGS(argv)
    if FLAGS['config'].present:
      FLAGS.config.to_dict()  # A file that could not be read tells of it only now.
  except Exception as error:  # Of absl, config_flags or a user's own Python.
    raise _explain(error, '\0'.join(argv)) from error
  if others:
    raise ConfigError(f'expected flags alone, found {others[0]!r}')


def config_of(words: str) -> ConfigDict:
  """Returns the config of `FILE --config.field=value ...`, what else follows `--config=`.

  Raises:
    ConfigError: as `parse`.
  """
  try:
    argv = ['', *shlex.split(f'--config={words}')]
  except ValueError as error:  # A quote without an end.
    raise ConfigError(f'--config: {error} in {quoted(words)}') from error
  values = flags.FlagValues()
  config_flags.DEFINE_config_file('config', flag_values=values, sys_argv=argv)
  try:
    _, *others = values(argv)
    config = values.config
    config.to_dict()
  except Exception as error:  # As in `parse`.
    raise _explain(error, '\0'.join(argv)) from error
  if others:
    raise ConfigError(f'--config: expected a file and its fields, found {others[0]!r}')
  return config


def require(*names: str) -> None:
  """Raises ConfigError for the first of these flags that has no value."""
  for name in names:
    if not FLAGS[name].value:
      raise ConfigError(f'--{name}: expected a value, found none; see --help')


def _explain(error: Exception, arguments: str) -> ConfigError:
  """Returns the error of the flags with its place; `arguments` are joined by NUL."""
  kind = '' if isinstance(error, flags.Error) else f'{type(error).__name__} by flags: '
  if not (given := re.search(r'\0--?config[=\0]([^\0]*)', arguments)):
    if field := re.search(r'\0--?(?:no)?(config\.[^=\0]*)', arguments):
      return ConfigError(f'--{field[1]} needs --config=FILE, with the fields the run was given')
    return ConfigError(f'{kind}{error}')
  path = given[1].split(':')[0]
  if not Path(path).is_file():
    return ConfigError(f'--config: expected a Python file, found none at {path!r}')
  try:  # Once more and alone: its own errors, and the fields it has.
    config = config_flags.ConfigFileFlagParser('config').parse(given[1])
    is_config = hasattr(config, 'to_dict')
  except Exception as caught:
    wrapped = isinstance(caught, TypeError | ValueError | OSError)  # By config_flags.
    own = (wrapped and (caught.__cause__ or caught.__context__)) or caught
    lines = [f', line {f.lineno}' for f in traceback.extract_tb(own.__traceback__) if f[0] == path]
    kind = '' if isinstance(own, ConfigError) else f'{type(own).__name__}: '
    return ConfigError(f'{path}{"".join(lines[-1:])}: {kind}{own}')
  if not is_config:
    return ConfigError(f'{path}: get_config: expected a ConfigDict, found {type(config).__name__}')
  known = flatten(config.to_dict())
  for field in re.findall(r'\0--?(?:no)?config\.([^=\0]*)', arguments):
    if not any(f'{name}.'.startswith(f'{field}.') for name in known):
      return unknown_field(field, known)
  return ConfigError(f'{kind}{error}')


@contextlib.contextmanager
def told_in_one_line() -> Iterator[None]:
  """Ends the program as `run` says."""
  try:
    yield
  except (Exception, KeyboardInterrupt) as error:
    if (told := exit_line(error)) is None:
      raise
    if FLAGS['debug'].value or '--debug' in sys.argv:  # Maybe not parsed yet.
      traceback.print_exception(error)
    code, line = told
    print(line, file=sys.stderr)
    sys.exit(code)
