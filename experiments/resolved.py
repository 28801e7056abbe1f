"""A config that was written as JSON, as `--config=experiments/resolved.py:PATH/config.json`."""

from pathlib import Path

from ml_collections import ConfigDict

from musicjax.workdir import read_json


def get_config(path: str) -> ConfigDict:
  """Returns the config of a file that `workdir.write_json` has written."""
  return ConfigDict(read_json(Path(path)))
