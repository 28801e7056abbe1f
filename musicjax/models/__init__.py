"""Models by name: each file `musicjax/models/<name>.py` that has `create_model` is one.

`create_model(config, num_classes, dtype)` returns a module that is applied as
`module.apply(variables, inputs, lengths, train=..., rngs={'dropout': key})` to inputs
`[batch, time, ...]` and lengths `[batch]`, and gives logits `[batch, num_classes]` float32. What it
adds to the loss it sows as `penalties`, `[batch]` each, and names in an attribute of that name.
"""

import fnmatch
import importlib
import pkgutil

import flax.linen as nn

from musicjax.fields import check_name


def names(pattern: str = '*') -> list[str]:
  """Returns the names of the models that match a glob, as `names('*transformer')`, sorted."""
  modules = {
    info.name: importlib.import_module(f'{__name__}.{info.name}')
    for info in pkgutil.iter_modules(__path__)
  }
  found = [name for name, module in modules.items() if hasattr(module, 'create_model')]
  return sorted(fnmatch.filter(found, pattern))


def create(config, num_classes: int, dtype: str = 'float32') -> nn.Module:
  """Returns the model that `config.model` describes.

  Args:
    config: `config.model`: the `name`, and the model's own fields.
    num_classes: number of logits.
    dtype: of the computation, `float32` or `bfloat16`; parameters and logits are float32.

  Raises:
    ConfigError: the name, a field or the dtype is not known.
  """
  check_name('config.model.name', config['name'], names())
  check_name('config.dtype', dtype, ('float32', 'bfloat16'))
  module = importlib.import_module(f'{__name__}.{config["name"]}')
  return module.create_model(config, num_classes, dtype)
