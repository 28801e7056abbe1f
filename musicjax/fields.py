"""Config fields: their dotted names, and checks that what they name exists."""

import difflib
from collections.abc import Collection, Mapping
from typing import Any

from musicjax.errors import ConfigError


def check_name(path: str, name: str, known: Collection[str]) -> str:
  """Returns `name` where it is one of `known`.

  Args:
    path: the config field that holds the name, for the message.
    name: what the config says.
    known: the names there are.

  Raises:
    ConfigError: otherwise, with the known names and the nearest one.
  """
  if name in known:
    return name
  nearest = difflib.get_close_matches(str(name), known, n=1, cutoff=0.4)
  hint = f' (nearest: {nearest[0]})' if nearest else ''
  raise ConfigError(
    f'{path}: expected one of {", ".join(k or repr(k) for k in known) or "(there are none)"}; '
    f'found {name!r}{hint}'
  )


def unknown_field(path: str, known: Collection[str]) -> ConfigError:
  """Returns the error for a dotted field that is none of `known`, with the nearest of those.

  Near is a field of the same name in another group, one of these initials (`lr`), or one spelt
  alike, in this order.
  """
  group, _, name = path.rpartition('.')
  siblings = [field for field in known if field.rpartition('.')[0] == group]
  initials = [f for f in siblings if ''.join(w[:1] for w in _last(f).split('_')) == name]
  alike = difflib.get_close_matches(path, siblings, n=1) or difflib.get_close_matches(path, known)
  nearest = [f for f in known if _last(f) == name] + initials + alike
  hint = f' (nearest: config.{nearest[0]})' if nearest else '; --show_config lists them'
  return ConfigError(f'config.{path}: no such field{hint}')


def check_fields(path: str, config: Mapping[str, Any], known: Collection[str]) -> dict[str, Any]:
  """Returns the config's fields but for `name` as keyword arguments.

  Raises:
    ConfigError: a field is none of `known`.
  """
  fields = {field: value for field, value in config.items() if field != 'name'}
  for field in fields:
    check_name(f'{path}: its field', field, known)
  return fields


def flatten(fields: Mapping[str, Any], prefix: str = '') -> dict[str, Any]:
  """Returns nested fields under dotted names, as `{'optimizer.name': 'adamw'}`.

  An empty mapping stays a value.
  """
  flat = {}
  for name, value in fields.items():
    if isinstance(value, Mapping) and value:
      flat |= flatten(value, f'{prefix}{name}.')
    else:
      flat[f'{prefix}{name}'] = value
  return flat


def _last(path: str) -> str:
  return path.rpartition('.')[2]
