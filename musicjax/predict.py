"""Predicts raw files with the model of a workdir; needs nothing else of the run."""

import collections
import contextlib
import dataclasses
import functools
import hashlib
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import tqdm
from jax.sharding import Mesh
from ml_collections import ConfigDict

from musicjax import averages, processes, sharding, system
from musicjax import workdir as workdir_lib
from musicjax.audio.slices import cover
from musicjax.checkpoints import Checkpoints
from musicjax.data import builders, files
from musicjax.errors import ConfigError, DataError

_CHUNK_BATCHES = 8  # Inputs of so many batches are held in memory and sorted by length.
# What a UTF-8 table that is read line by line cannot hold of a name; shown as Python does.
_ESCAPED = re.compile('[\x00-\x1f\x7f\ud800-\udfff]')

# A slice's seconds, and inputs [time, ...].
_Slice = tuple[tuple[float, float], np.ndarray]


@dataclasses.dataclass
class Track:
  """A path to predict; `error` says why it cannot be.

  Attributes:
    scores: [labels] float64, the average over its slices or spans, once all are scored.
    sums: [labels] float64, of the average's terms.
    count: of the slices or spans.
    slices: ((start, end) in seconds, [labels] scores) of each, where they are wanted.
  """

  path: Path
  error: DataError | None = None
  scores: np.ndarray | None = None
  sums: np.ndarray | float = 0.0
  count: int = 0
  slices: list[tuple[tuple[float, float], np.ndarray]] = dataclasses.field(default_factory=list)


def predict(
  workdir: Path, config: ConfigDict, checkpoint: str, inputs: Sequence[str], slices: bool = False
) -> Path:
  """Writes `predictions/*.csv` and returns its path.

  With inputs `predictions.csv` has a row a track, in the order of `files.find`, `slices.csv` one a
  slice, and `skipped.csv` one for what cannot be read, with the reason.

  Args:
    workdir: of a trained run.
    config: of that run; its `data_dir` is read only where there are no `inputs`.
    checkpoint: `best`, `latest` or a step.
    inputs: as of `files.find`; empty for the test set of the data's own submission format.
    slices: also write `slices.csv`; a track's scores are the means over its rows.

  Raises:
    ConfigError: there are no inputs and the dataset has no submission format, or slices are wanted
      of tracks that are not cut.
    DataError: none of the inputs can be read, or one of the data's own test set cannot.
  """
  system.check(config)
  dataset = workdir_lib.read_dataset(workdir)
  module = builders.module(dataset['name'])
  if slices and (not inputs or 'slices' not in dataset['parameters']):
    found = f'those of dataset {dataset["name"]}' if inputs else 'no --inputs'
    raise ConfigError(f'--slices: expected --inputs that are cut into slices, found {found}')
  if inputs:
    named = files.find(inputs, module.EXTENSIONS)
  elif hasattr(module, 'submission_inputs'):
    names, paths = zip(*module.submission_inputs(Path(config.data_dir)), strict=True)
    named = [(path, None) for path in paths]
  else:
    raise ConfigError(
      f'inputs: dataset {dataset["name"]} has no test set of its own; give --inputs=PATHS'
    )
  digest = hashlib.sha256(repr([str(path) for path, _ in named]).encode()).hexdigest()
  processes.check_same({'files to predict, their SHA-256': digest})

  readable = [path for path, error in named if error is None]
  read = module.read_inputs(readable, tuple(dataset['input_shape']), dataset['parameters'])
  arrays = (next(read) if error is None else (path, error) for path, error in named)
  silent = not sharding.is_main_process()
  arrays = tqdm.tqdm(arrays, desc='Predicting', unit=' files', total=len(named), disable=silent)
  tracks = load(workdir, config, checkpoint)(arrays, slices)
  folder = workdir / 'predictions'
  if inputs:
    return _write_tables(folder, tracks, dataset['label_names'], slices)
  scores = []
  for track in tracks:
    if track.error:
      raise track.error
    scores.append(track.scores)
  name, text = module.format_submission(names, np.array(scores), dataset['label_names'])
  if sharding.is_main_process():
    workdir_lib.write_text(folder / name, text)
  return folder / name


def load(
  workdir: Path, config: ConfigDict, checkpoint: str = 'best'
) -> Callable[..., Iterator[Track]]:
  """Returns what scores inputs with a run's model: (arrays, keep_slices=False) -> tracks, in order.

  `arrays` are (path, inputs or the error that stands for them), as the dataset's `read_inputs`
  yields them. A `Track` holds the scores, or the error.

  Args:
    workdir: of a trained run.
    config: of that run.
    checkpoint: `best`, `latest` or a step.

  Raises:
    ConfigError: there is no such checkpoint.
  """
  dataset = workdir_lib.read_dataset(workdir)
  mesh = sharding.make_mesh()
  parts = system.create(config, dataset, mesh)
  saved = Checkpoints(workdir / 'checkpoints', read_only=True)
  state = saved.restore(checkpoint, jax.eval_shape(parts.init), sharding.replicated(mesh))
  eval_step = functools.partial(parts.eval_step, parts.precompute(state.eval_variables))
  return functools.partial(_score, eval_step, mesh, config, dataset)


def _write_tables(
  folder: Path, tracks: Iterable[Track], label_names: Sequence[str], slices: bool
) -> Path:
  """Writes tracks as they come, and returns where; without one that can be read, nothing.

  Raises:
    DataError: there is none.
  """
  skipped, total = [], 0
  with contextlib.ExitStack() as whole:
    write = whole.enter_context(
      workdir_lib.table(folder / 'predictions.csv', ['path', *label_names])
    )
    if slices:
      write_slice = whole.enter_context(
        workdir_lib.table(folder / 'slices.csv', ['path', 'start', 'end', *label_names])
      )
    skip = whole.enter_context(workdir_lib.table(folder / 'skipped.csv', ['path', 'reason']))
    for track in tracks:
      total += 1
      path = _ESCAPED.sub(lambda found: repr(found[0])[1:-1], str(track.path))
      if track.error:
        skipped.append(track.error)
        skip([path, track.error])
        continue
      write([path, *(f'{p:.6g}' for p in track.scores)])
      for (start, end), scores in track.slices:
        write_slice([path, f'{start:.3f}', f'{end:.3f}', *(f'{p:.6g}' for p in scores)])
    if len(skipped) == total:
      raise skipped[0] if total == 1 else DataError(f'none of {total} inputs; {skipped[0]}')
  if sharding.is_main_process():
    if not slices:  # Of an earlier prediction.
      (folder / 'slices.csv').unlink(missing_ok=True)
    if skipped:
      left_out = f'{len(skipped)} of {total} inputs left out'
      print(f'{left_out}, listed in {folder / "skipped.csv"}', flush=True)
  return folder / 'predictions.csv'


def _score(
  eval_step: Callable[..., dict[str, jax.Array]],
  mesh: Mesh,
  config: ConfigDict,
  dataset: dict[str, Any],
  arrays: Iterable[tuple[Path, np.ndarray | Iterator[_Slice] | DataError]],
  keep_slices: bool = False,
) -> Iterator[Track]:
  """Yields tracks with their scores, means over slices, in the order of `arrays`.

  Memory holds the examples of a few batches, whatever the length of a track.
  """
  num_labels = len(dataset['label_names'])
  local = sharding.local_rows(mesh, config.eval_batch_size, 'eval_batch_size')

  average = averages.create(config)
  begun = collections.deque()
  examples = _examples(arrays, begun, config.eval_crop_frames)
  while True:
    chunk = list(itertools.islice(examples, _CHUNK_BATCHES * config.eval_batch_size))
    # A file that only one process cannot read would have the others wait for it in a batch.
    processes.check_same({'examples read next': [len(chunk), len(begun)]})
    if not chunk:
      break
    in_chunk = np.empty((len(chunk), num_labels))
    for rows, batch in _batches(
      [array for *_, array in chunk], dataset['input_shape'][0], num_labels, config
    ):
      batch = {name: array[local] for name, array in batch.items()}
      result = jax.device_get(eval_step(sharding.to_global(mesh, batch, 0)))
      in_chunk[rows] = result['scores'][: len(rows)]
    for (track, span, _), scores in zip(chunk, in_chunk, strict=True):
      track.sums = track.sums + average.terms(scores)
      track.count += 1
      if keep_slices:
        track.slices.append((span, scores))
    while begun[0] is not chunk[-1][0]:  # Of the last one there may be more.
      yield _finished(begun.popleft(), average)
  yield from (_finished(track, average) for track in begun)


def _finished(track: Track, average: averages.Average) -> Track:
  """Gives a track its scores; an error where one is no number, as of inputs beyond all measure."""
  if not track.error:
    track.scores = average.scores(track.sums / track.count)
    if not np.isfinite(track.scores).all():
      track.error = DataError(f'{track.path}: expected finite scores, found NaN or Inf')
  return track


def _examples(
  arrays: Iterable[tuple[Path, np.ndarray | Iterator[_Slice] | DataError]],
  begun: collections.deque[Track],
  crop_frames: int,
) -> Iterator[tuple[Track, tuple[float, float] | None, np.ndarray]]:
  """Yields (track, seconds, inputs) of every slice, or without seconds of spans of a whole track.

  Every track is appended to `begun` before. One that proves to be bad gets its error, also behind
  slices that were yielded.
  """
  for path, inputs in arrays:
    begun.append(track := Track(path))
    if isinstance(inputs, DataError):
      track.error = inputs
    elif isinstance(inputs, np.ndarray):
      for start in cover(len(inputs), crop_frames):
        yield track, None, inputs[start : start + crop_frames] if crop_frames else inputs
    else:
      try:
        for span, example in inputs:
          yield track, span, example
      except DataError as error:
        track.error = error


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
