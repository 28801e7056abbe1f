"""Datasets, one module each: `load(config) -> Source` and `read_inputs(paths, shape, parameters)`.

A dataset with a submission format of its own also has `submission_inputs(data_dir)` and
`write_submission(path, names, scores)`.
"""

import importlib
import pkgutil
from types import ModuleType

from musicjax.errors import ConfigError


def module(name: str) -> ModuleType:
  """Returns the dataset module called `name`.

  Raises:
    ConfigError: if there is none of that name.
  """
  known = [m.name for m in pkgutil.iter_modules(__path__) if m.name != 'synthesis']
  if name not in known:
    raise ConfigError(f'dataset.name: expected one of {", ".join(known)}, found {name!r}')
  return importlib.import_module(f'{__name__}.{name}')
