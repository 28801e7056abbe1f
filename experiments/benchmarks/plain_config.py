"""Stands in for `ml_collections`, where it is not installed, so that configs can be imported.

To be imported before them.
"""

import importlib.util
import sys
import types


class _Fields(dict):
  """A config whose fields are attributes, and in it those of groups."""

  def __setattr__(self, name, value):
    self[name] = _Fields(value) if isinstance(value, dict) else value

  def __getattr__(self, name):
    if name not in self:
      raise AttributeError(name)
    return self[name]


if importlib.util.find_spec('ml_collections') is None:
  sys.modules['ml_collections'] = types.SimpleNamespace(ConfigDict=_Fields)
