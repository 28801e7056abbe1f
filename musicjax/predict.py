"""Predicts raw files with the model of a workdir; needs nothing else of the run."""

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import tqdm
from ml_collections import ConfigDict

from musicjax import sharding, system
from musicjax import workdir as workdir_lib
from musicjax.checkpoints import Checkpoints
from musicjax.data import builders
from musicjax.errors import ConfigError, DataError

_CHUNK_BATCHES = 8  # Inputs of so many batches are held in memory and sorted by length.


def predict(workdir: Path, config: ConfigDict, checkpoint: str, inputs: list[str]) -> Path:
  """Writes `predictions/*.csv` and returns its path.

  Args:
    workdir: of a trained run.
    config: of that run; its `data_dir` is read only where there are no `inputs`.
    checkpoint: `best`, `latest` or a step.
    inputs: files or folders; empty for the test set of the data's own submission format.

  Raises:
    ConfigError: if there are no inputs and the dataset has no submission format.
    DataError: for the first file that cannot be read.
  """
  system.check(config)
  dataset = workdir_lib.read_dataset(workdir)
  module = builders.module(dataset['name'])
  if inputs:
    paths = [Path(path) for path in inputs]
    names = None
  elif hasattr(module, 'submission_inputs'):
    names, paths = zip(*module.submission_inputs(Path(config.data_dir)), strict=True)
  else:
    raise ConfigError(
      f'inputs: dataset {dataset["name"]} has no test set of its own; give --inputs=PATHS'
    )
  arrays = module.read_inputs(paths, tuple(dataset['input_shape']), dataset['parameters'])
  read, scores = _score(workdir, config, dataset, checkpoint, arrays)
  if not read:
    raise DataError(f'inputs: no files to predict in {", ".join(map(str, paths))}')
  folder = workdir / 'predictions'
  if names is not None:
    name, text = module.format_submission(names, scores)
    if sharding.is_main_process():
      workdir_lib.write_text(folder / name, text)
    return folder / name
  path = folder / 'predictions.csv'
  if sharding.is_main_process():
    workdir_lib.write_predictions(path, 'path', read, scores, dataset['label_names'])
  return path


def _score(
  workdir: Path,
  config: ConfigDict,
  dataset: dict[str, Any],
  checkpoint: str,
  arrays: Iterable[tuple[Path, np.ndarray | Iterator[np.ndarray] | DataError]],
) -> tuple[list[Path], np.ndarray]:
  """Returns the paths and their scores [n, labels], means over slices, in the order of `arrays`.

  Memory holds the examples of a few batches, whatever the length of a track.
  """
  mesh = sharding.make_mesh()
  parts = system.create(config, dataset, mesh)
  saved = Checkpoints(workdir / 'checkpoints', read_only=True)
  state = saved.restore(checkpoint, jax.eval_shape(parts.init), sharding.replicated(mesh))
  num_labels = len(dataset['label_names'])
  local = sharding.local_rows(mesh, config.eval_batch_size, 'eval_batch_size')

  paths, sums, counts = [], [], []
  silent = not sharding.is_main_process()
  arrays = tqdm.tqdm(arrays, desc='Predicting', unit=' files', disable=silent)
  examples = _examples(arrays, paths)
  while chunk := list(itertools.islice(examples, _CHUNK_BATCHES * config.eval_batch_size)):
    in_chunk = np.empty((len(chunk), num_labels))
    for rows, batch in _batches(
      [array for _, array in chunk], dataset['input_shape'][0], num_labels, config
    ):
      batch = {name: array[local] for name, array in batch.items()}
      result = jax.device_get(
        parts.eval_step(state.eval_variables, sharding.to_global(mesh, batch, 0))
      )
      in_chunk[rows] = result['scores'][: len(rows)]
    for (position, _), row in zip(chunk, in_chunk, strict=True):
      if position == len(sums):
        sums.append(np.zeros(num_labels))
        counts.append(0)
      sums[position] += row
      counts[position] += 1
  return paths, np.reshape(sums, (-1, num_labels)) / np.reshape(counts, (-1, 1))


def _examples(
  arrays: Iterable[tuple[Path, np.ndarray | Iterator[np.ndarray] | DataError]], paths: list[Path]
) -> Iterator[tuple[int, np.ndarray]]:
  """Yields (position of its path, example), and appends the paths; slices come one by one.

  Raises:
    DataError: for the first file that cannot be read.
  """
  for path, inputs in arrays:
    if isinstance(inputs, DataError):
      raise inputs
    paths.append(path)
    for example in [inputs] if isinstance(inputs, np.ndarray) else inputs:
      yield len(paths) - 1, example


def _batches(
  arrays: list[np.ndarray], fixed_time: int | None, num_labels: int, config: ConfigDict
) -> Iterator[tuple[np.ndarray, dict[str, np.ndarray]]]:
  """Yields (positions in `arrays`, padded batch) in order of length."""
  lengths = np.array([len(array) for array in arrays], np.int32)
  order = np.argsort(lengths, kind='stable')
  size = config.eval_batch_size
  for start in range(0, len(order), size):
    rows = order[start : start + size]
    time = _padded(int(lengths[rows].max()), config) if fixed_time is None else fixed_time
    inputs = np.zeros((size, time, *arrays[0].shape[1:]), np.float32)
    for position, row in enumerate(rows):
      inputs[position, : lengths[row]] = arrays[row]
    yield (
      rows,
      {
        'inputs': inputs,
        'lengths': np.pad(lengths[rows], (0, size - len(rows)), constant_values=1),
        'labels': np.zeros((size, num_labels), np.float32),
        'index': np.arange(size, dtype=np.int32),
      },
    )


def _padded(longest: int, config: ConfigDict) -> int:
  """Returns the bucket that holds a length, beyond them a power of two: few shapes to compile."""
  return next((b for b in sorted(config.buckets) if b >= longest), 1 << (longest - 1).bit_length())
