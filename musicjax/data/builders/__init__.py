"""Datasets, one module each: `load(config) -> Source` and `read_inputs(paths, shape, parameters)`.

`read_inputs` yields a path's inputs, or its DataError; for a sliced dataset an iterator over its
slices, ((start, end) in seconds, inputs), which raises it. Files of folders are those that end in
one of the module's `EXTENSIONS`. A sliced dataset says in `parameters['slices']` how it cuts.

A dataset with fields of its own in `config.dataset` names them in `FIELDS`; they must be given.
A dataset with a submission format of its own also has `submission_inputs(data_dir)` and
`format_submission(names, scores, label_names)`.
"""

import importlib
import pkgutil
from types import ModuleType

from musicjax.fields import check_name


def module(name: str) -> ModuleType:
  """Returns the dataset module called `name`.

  Raises:
    ConfigError: if there is none of that name.
  """
  known = [m.name for m in pkgutil.iter_modules(__path__) if m.name != 'synthesis']
  return importlib.import_module(f'{__name__}.{check_name("config.dataset.name", name, known)}')
