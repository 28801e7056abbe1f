"""The rows of a sweep: what `get_sweep(name)` of a config file says, as configs.

A sweep is a dict with one of these; fields are dotted:

  rows    {name: {field: value, ...}, ...}
  grid    {field: values, ...}, a row a combination, that of the first values first
  random  {field: space, ...} with `num_rows` and `seed`: the row `ours`, which changes nothing,
          then `random_1`, ...; a space is ('uniform', low, high), ('log_uniform', low, high) or a
          list of values

and, where all rows share some, `fixed`: {field: value, ...}. The field `variant` chooses the
config's variant, a value None takes a group away (`augment.mixup`), a dict replaces one (`loss`).
Flags (`--config.field=value`) win over what is fixed, a row's own fields over both.
"""

import importlib.util
import itertools
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from musicjax import config as config_lib
from musicjax.errors import ConfigError
from musicjax.fields import check_name

Fields = dict[str, Any]
Sweep = Mapping[str, Any]


def load(file: str, name: str, flags: Fields) -> tuple[Sweep, Callable[[Fields], ConfigDict]]:
  """Returns a sweep, and what makes the config of a row of what the row changes.

  Args:
    file: of the config, with `:variant`, which is that of rows that name none.
    name: of the sweep; empty: the config itself is the only row.
    flags: fields of the command line.

  Raises:
    ConfigError: there is no such sweep; when called, a row's config cannot be.
  """
  path, _, variant = file.partition(':')
  module = _import(Path(path))
  if name and not hasattr(module, 'get_sweep'):
    raise ConfigError(f'--sweep: expected get_sweep beside get_config in {path}, found none')
  sweep = module.get_sweep(name) if name else {'rows': {variant or 'ours': {}}}

  def make(fields: Fields) -> ConfigDict:
    if twice := flags.keys() & fields.keys():
      raise ConfigError(f'--config.{min(twice)}: sweep {name} sets it in its rows')
    changed = {'variant': variant, **sweep.get('fixed', {}), **flags, **fields}
    chosen = changed.pop('variant')  # None is for `get_config` to choose.
    config = override(module.get_config(chosen) if chosen else module.get_config(), changed)
    config_lib.check(config)
    return config

  return sweep, make


def configs(file: str, name: str, flags: Fields) -> dict[str, ConfigDict]:
  """Returns the config of each row of a sweep, the reference first; see `load`.

  Raises:
    ConfigError: also if it is no sweep.
  """
  sweep, make = load(file, name, flags)
  result = {}
  for row, fields in named(sweep).items():
    try:
      result[row] = make(fields)
    except ConfigError as error:
      raise ConfigError(f'row {row}: {error}') from error
  return result


def named(sweep: Sweep) -> dict[str, Fields]:
  """Returns what each row of a sweep changes.

  Raises:
    ConfigError: it is no sweep.
  """
  kinds = [kind for kind in ('rows', 'grid', 'random') if kind in sweep]
  if len(kinds) != 1 or not sweep[kinds[0]]:
    raise ConfigError(f'get_sweep: expected one of rows, grid and random, found {list(sweep)}')
  if kinds == ['grid']:
    grid = sweep['grid']
    changes = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
    rows = {','.join(map(_setting, fields.items())): fields for fields in changes}
    if len(rows) < len(changes):
      raise ConfigError(
        'get_sweep: expected other names for each row of the grid, found some twice'
      )
  elif kinds == ['random']:
    # A generator a row: a longer sweep begins as the shorter one.
    numbers = range(1, sweep['num_rows'])
    draws = {i: np.random.default_rng((sweep['seed'], i)) for i in numbers}
    rows = {'ours': {}} | {
      f'random_{i}': {field: draw(space, rng) for field, space in sweep['random'].items()}
      for i, rng in draws.items()
    }
  else:
    rows = sweep['rows']
  for row in rows:
    if not re.fullmatch(r'\w[\w.,=+-]*', row):
      raise ConfigError(f'get_sweep: expected names of folders for rows, found {row!r}')
  return dict(rows)


def draw(space: Any, rng: np.random.Generator) -> Any:
  """Returns a value of a space of the random form.

  Raises:
    ConfigError: it is no space.
  """
  match space:
    case ('uniform', low, high):
      return float(rng.uniform(low, high))
    case ('log_uniform', low, high):
      return float(np.exp(rng.uniform(np.log(low), np.log(high))))
    case [*values] if isinstance(space, list) and values:
      return values[rng.integers(len(values))]
  raise ConfigError(f'get_sweep: expected a space, found {space!r}; see experiments/sweep_rows.py')


def override(config: ConfigDict, fields: Mapping[str, Any]) -> ConfigDict:
  """Returns a config with other values of dotted fields.

  Raises:
    ConfigError: a field's group is not there, or its value is of another type.
  """
  config = ConfigDict(config.to_dict())
  for path, value in fields.items():
    *groups, last = path.split('.')
    group = config
    try:
      for name in groups:
        group = group[name]
      if value is None:
        del group[last]
      else:
        group[last] = value
    except (KeyError, TypeError) as error:
      raise ConfigError(f'config.{path}: cannot be {value!r}: {error}') from error
  return config


def check_select(name: str, config: ConfigDict) -> str:
  """Returns the metric of `--select=validation_<metric>`: what test folds say chooses nothing.

  Raises:
    ConfigError: it is no metric of validation.
  """
  from musicjax import tasks  # With JAX: flags are checked before.

  known = [f'validation_{metric}' for metric in tasks.create(config.task).selectable]
  if name.startswith('test'):
    raise ConfigError(f'--select: test folds choose nothing; expected validation_..., found {name}')
  return check_name('--select', name, known).removeprefix('validation_')


def _import(path: Path) -> Any:
  spec = importlib.util.spec_from_file_location(path.stem, path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


def _setting(item: tuple[str, Any]) -> str:
  """`('optimizer.learning_rate', 1e-3)` as `learning_rate=0.001`."""
  field, value = item
  text = f'{value:g}' if isinstance(value, float) else str(value)
  return f'{field.rpartition(".")[2]}={re.sub(r"[^A-Za-z0-9_.+-]+", "_", text).strip("_")}'
