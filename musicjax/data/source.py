"""A raw dataset before preparation: the one interface between dataset modules and the packer.

Worker processes import this module, so it imports neither JAX nor TensorFlow.
"""

import dataclasses
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from musicjax.errors import DataError

# Decoded examples that go through the features at once and are held in memory for it: so many, and
# no more once they have so many bytes.
FEATURE_BATCH, FEATURE_BYTES = 32, 1 << 26


@dataclasses.dataclass(frozen=True)
class Source:
  """What the label files of a dataset say, and how to read its inputs.

  Inputs are read in worker processes: `keys`, `decode` and `features` are pickled, so the functions
  are those of a module, or `functools.partial` of one.

  Attributes:
    name: of the dataset's module in `musicjax.data.builders`.
    preparation: short name of what is done to the raw inputs, e.g. `float32` or `log-mel-64`.
    parameters: everything that shapes the records, JSON-able. Prediction reads raw files with it.
    manifest: (name, size in bytes, mtime in ns) of the raw files; empty for synthesised data.
    ids: [n] str, unique and ascending.
    groups: [n] str; a group (track, artist, cover) never lies on both sides of a split.
    labels: [n, classes] bool, or [n, targets] float32 of a regression.
    label_names: one name a class or target.
    input_shape: of one record, time first, None where it varies: `(None, 768)`.
    input_dtype: of the stored records.
    keys: [n] what `decode` needs to find an example: a path, or a number.
    decode: key -> array, the example or what `features` makes it from; raises DataError.
    features: arrays of `decode` -> inputs, in order, with an input that does not depend on its
      company; None where `decode` gives the inputs.
    official_folds: [n] int folds that come with the data and win; None where there are none.
    official_splits: [n] `train`, `validation` or `test`, that come with the data and win; None
      where there are none.
    left_out: (id, reason) of tracks that are on purpose not among the ids.
    weights: [n] float32 of examples in the training loss, 0 or more; None where all count alike.
    sliced: an id stands for a track of several examples, its slices, along a leading axis of what
      `features` (`decode`, where there are none) returns.
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
  keys: Sequence[Any]
  decode: Callable[[Any], np.ndarray]
  features: Callable[[list[np.ndarray]], list[np.ndarray]] | None = None
  official_folds: np.ndarray | None = None
  official_splits: np.ndarray | None = None
  left_out: tuple[tuple[str, str], ...] = ()
  weights: np.ndarray | None = None
  sliced: bool = False

  @property
  def label_dtype(self) -> str:
    """Of labels in records."""
    return 'uint8' if self.labels.dtype == bool else 'float32'


def read(
  keys: Iterable[Any],
  decode: Callable[[Any], np.ndarray],
  features: Callable[[list[np.ndarray]], list[np.ndarray]] | None = None,
) -> Iterator[tuple[Any, np.ndarray | DataError]]:
  """Yields (key, inputs or the error that stands for them) in order, in this process."""
  keys = iter(keys)
  while batch := list(itertools.islice(keys, FEATURE_BATCH)):
    results = []
    for key in batch:
      try:
        results.append(decode(key))
      except DataError as error:
        results.append(error)
    if features is not None:
      inputs = iter(features([result for result in results if isinstance(result, np.ndarray)]))
      results = [next(inputs) if isinstance(r, np.ndarray) else r for r in results]
    yield from zip(batch, results, strict=True)


def manifest(names: Iterable[str], paths: Iterable[Path]) -> tuple[tuple[str, int, int], ...]:
  """Returns (name, bytes, mtime in ns) a file; -1 where there is none to be seen."""

  def entry(name, path):
    try:
      status = path.stat()
      return name, status.st_size, status.st_mtime_ns
    except OSError:
      return name, -1, -1

  return tuple(map(entry, names, paths))


def check_name(path: Path) -> None:
  """Raises DataError where a path is not in UTF-8."""
  if (readable := readable_name(path)) != str(path):
    raise DataError(f'{readable}: expected a file name in UTF-8')


def readable_name(path: str | os.PathLike) -> str:
  r"""Returns a path with `\xff` where it holds bytes that are not UTF-8."""
  return os.fsencode(path).decode('utf-8', 'backslashreplace')
