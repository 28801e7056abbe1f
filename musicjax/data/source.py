"""A raw dataset before preparation: the one interface between dataset modules and the packer."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from musicjax.errors import DataError


@dataclasses.dataclass(frozen=True)
class Source:
  """What the label files of a dataset say, and how to read its inputs.

  Attributes:
    name: of the dataset's module in `musicjax.data.builders`.
    preparation: short name of what is done to the raw inputs, e.g. `float32` or `log-mel-64`.
    parameters: everything that shapes the records, JSON-able. Prediction reads raw files with it.
    manifest: (name, size in bytes, mtime in ns) of the raw files; empty for synthesised data.
    ids: [n] str, unique and ascending.
    groups: [n] str; a group (track, artist, cover) never lies on both sides of a split.
    labels: [n, classes] bool.
    label_names: one name a class.
    input_shape: of one example, time first, None where it varies: `(None, 768)`.
    input_dtype: of the stored records.
    read: rows [m] -> iterator over (row, inputs or the error that stands for them), in their order.
    official_folds: [n] int folds that come with the data and win; None where there are none.
  """

  name: str
  preparation: str
  parameters: Mapping[str, Any]
  manifest: tuple[tuple[str, int, int], ...]
  ids: np.ndarray
  groups: np.ndarray
  labels: np.ndarray
  label_names: tuple[str, ...]
  input_shape: tuple[int | None, ...]
  input_dtype: str
  read: Callable[[np.ndarray], Iterator[tuple[int, np.ndarray | DataError]]]
  official_folds: np.ndarray | None = None
