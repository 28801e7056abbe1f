"""The command line: its flags and its config; every misuse is told in one line, exit code 2."""

import ast
import contextlib
import re
import runpy
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from absl import app, flags, logging
from ml_collections import ConfigDict
from ml_collections.config_flags import tuple_parser

from musicjax.errors import ConfigError, exit_line
from musicjax.fields import flatten, unknown_field

FLAGS = flags.FLAGS
flags.DEFINE_string('config', None, 'A file of configs/, with :variant.')
flags.DEFINE_bool('debug', False, 'Show the traceback of an error in the input or the config.')

# How a flag's text becomes a value of the type that the field has, and what to call that type.
_PARSERS = {
  bool: (flags.BooleanParser().parse, 'true or false'),
  int: (flags.IntegerParser().parse, 'a whole number'),
  float: (flags.FloatParser().parse, 'a number'),
  str: (str, 'a text'),
  tuple: (tuple_parser.TupleParser().parse, 'values, as 1,2'),
  ConfigDict: (
    lambda text: ConfigDict(dict(ast.literal_eval(text))),
    "fields, as {'name': 'value'}",
  ),
}


def run(main: Callable[[ConfigDict | None], None]) -> None:
  """Calls `main` with the config of `--config` and its `--config.field=value`, None without one.

  Ends the program with exit code 2 after a `ConfigError` or `DataError` and with 1 after a
  `FloatingPointError`, told in one line of stderr.
  """

  def parse(argv: list[str]) -> list[tuple[str, str | None]]:
    with _told_in_one_line():
      arguments, overrides = split_overrides(argv)
      try:
        positional = FLAGS(arguments)[1:]
      except flags.Error as error:
        raise ConfigError(error) from None
      if positional:
        raise ConfigError(f'expected flags alone, found {positional[0]!r}')
      return overrides

  def start(overrides: list[tuple[str, str | None]]) -> None:
    if not FLAGS['verbosity'].present:
      logging.set_verbosity(logging.ERROR)  # Libraries tell of every file they touch.
    with _told_in_one_line():
      if overrides and not FLAGS.config:
        raise ConfigError(f'--config.{overrides[0][0]}: expected --config=FILE, too, found none')
      main(load_config(FLAGS.config, overrides) if FLAGS.config else None)

  app.run(start, flags_parser=parse)


def split_overrides(argv: list[str]) -> tuple[list[str], list[tuple[str, str | None]]]:
  """Returns the arguments without `--config.field=value`, and those as (field, value)."""
  others, overrides, arguments = [], [], iter(argv)
  for argument in arguments:
    if match := re.fullmatch(r'--?config\.([^=]*)(?:=(.*))?', argument, re.DOTALL):
      field, text = match.groups()
      overrides.append((field, next(arguments, None) if text is None else text))
    else:
      others.append(argument)
  return others, overrides


def load_config(given: str, overrides: list[tuple[str, str | None]] = ()) -> ConfigDict:
  """Runs a config file and sets fields by their texts.

  Args:
    given: path of a Python file with `get_config`, and `:variant` where it takes one.
    overrides: (dotted field, text), in the order in which they are set.

  Raises:
    ConfigError: no such file, an error in it, a field that there is not, a text of another type.
  """
  path, *variant = given.split(':', 1)
  if not Path(path).is_file():
    raise ConfigError(f'--config: expected a Python file, found none at {path!r}')
  try:
    config = _run_file(path, variant)
  except ConfigError as error:
    raise ConfigError(f'{path}: {error}') from error
  except Exception as error:  # Whatever a user's own Python does.
    text = error.msg if isinstance(error, SyntaxError) else error
    raise ConfigError(f'{_place(error, path)}: {type(error).__name__}: {text}') from error
  for field, text in overrides:
    _override(config, field, text)
  return config.lock()


def _run_file(path: str, variant: list[str]) -> ConfigDict:
  get_config = runpy.run_path(path).get('get_config')
  if get_config is None:
    raise ConfigError('expected a function get_config, found none')
  config = get_config(*variant)
  if not isinstance(config, ConfigDict):
    raise ConfigError(f'get_config: expected a ConfigDict, found {type(config).__name__}')
  return config


def _place(error: Exception, path: str) -> str:
  """Returns file and line of an error: where Python cannot read, or the file's last call."""
  if isinstance(error, SyntaxError) and error.lineno:
    return f'{error.filename}, line {error.lineno}'
  lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == path]
  return f'{path}, line {lines[-1]}' if lines else path


def _override(config: ConfigDict, field: str, text: str | None) -> None:
  *groups, name = field.split('.')
  holder: Any = config
  for group in groups:
    holder = holder.get(group) if isinstance(holder, ConfigDict) else None
  if not isinstance(holder, ConfigDict) or name not in holder:
    raise unknown_field(field, flatten(config.to_dict()))
  if type(holder[name]) not in _PARSERS:
    raise ConfigError(f'config.{field}: expected a field that a flag can set; set it in the file')
  parser, expected = _PARSERS[type(holder[name])]
  try:
    if text is None:
      raise ValueError
    holder[name] = parser(text)
  except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
    found = 'none' if text is None else repr(text)
    raise ConfigError(f'config.{field}: expected {expected}, found {found}') from None


@contextlib.contextmanager
def _told_in_one_line() -> Iterator[None]:
  try:
    yield
  except Exception as error:
    if (told := exit_line(error)) is None:
      raise
    if FLAGS['debug'].value:
      traceback.print_exception(error)
    code, line = told
    print(line, file=sys.stderr)
    sys.exit(code)
