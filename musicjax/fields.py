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
    f'{path}: expected one of {", ".join(known) or "(there are none)"}; found {name!r}{hint}'
  )


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
      flat[prefix + name] = value
  return flat
