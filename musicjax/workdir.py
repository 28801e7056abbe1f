"""The files of a workdir: it belongs to one config and one dataset, and predicts without either."""

import contextlib
import csv
import json
import math
import os
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import filelock
import numpy as np
from ml_collections import ConfigDict

from musicjax.config import check
from musicjax.errors import ConfigError, quoted, told_of_full_disk
from musicjax.fields import flatten
from musicjax.sharding import is_main_process

if TYPE_CHECKING:  # A workdir can be read without TensorFlow.
  from musicjax.data.plans import StepPlan
  from musicjax.data.prepared import Index, Prepared

# Fields that may change between starts: they move or extend a run, or only watch it.
_FREE_FIELDS = frozenset({
  'data_dir', 'prepared_dir', 'decode_seconds', 'max_skipped', 'resident', 'num_epochs',
  'num_train_steps', 'log_every_steps', 'profile_steps', 'report_checkpoint',
})  # fmt: skip

_OF_DATASET = (
  'name', 'fingerprint', 'label_names', 'input_shape', 'input_dtype', 'parameters', 'statistics',
  'support',
)  # fmt: skip


def check_writable(folder: Path, field: str) -> None:
  """Tries, and leaves no trace.

  Raises:
    ConfigError: naming `field`, if the folder cannot be made, or nothing can be written to it.
  """
  existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
  try:
    with tempfile.TemporaryFile(dir=existing):
      pass
  except OSError as error:
    raise ConfigError(
      f'{field}: expected a folder that can be written, found {existing}: {error.strerror}'
    ) from error


def describe(
  workdir: Path,
  config: ConfigDict,
  prepared: 'Prepared',
  of_training: Callable[[], dict[str, Any]],
) -> dict[str, Any]:
  """Returns what `dataset.json` holds, or will hold where the workdir is new.

  Args:
    workdir: of the run.
    config: resolved.
    prepared: the dataset.
    of_training: () -> {statistics, support} of the training fold; called where the workdir is new.

  Raises:
    ConfigError: listing what differs from the run that owns the workdir, or naming what of that
      run's files is missing.
  """
  exist = [(workdir / name).exists() for name in ('config.json', 'dataset.json')]
  trained = is_trained(workdir)
  if trained or any(exist):
    _check_config(workdir, config, _FREE_FIELDS)
  if trained or exist[1]:  # A config alone is what a start left that was killed.
    return read_dataset(workdir, prepared)
  return {
    'name': config.dataset.name,
    'fingerprint': prepared.fingerprint,
    'label_names': prepared.label_names,
    'input_shape': prepared.input_shape,
    'input_dtype': prepared.input_dtype,
    'parameters': prepared.parameters,
    **of_training(),
  }


def is_trained(workdir: Path) -> bool:
  """Whether the workdir has checkpoints."""
  return any(path.name.isdecimal() for path in workdir.glob('checkpoints/*'))


@contextlib.contextmanager
def held(workdir: Path) -> Iterator[None]:
  """Keeps other runs out of a workdir, which is made; the system lets go when its holder dies.

  Raises:
    ConfigError: another process trains there.
  """
  if not is_main_process():
    yield
    return
  with locked(workdir, 'trains'):
    yield


@contextlib.contextmanager
def locked(folder: Path, does: str) -> Iterator[None]:
  """Makes a folder and holds its lock, without asking JAX which process this is.

  Args:
    folder: to hold.
    does: what its holder does there, as `trains`.

  Raises:
    ConfigError: another process holds it.
  """
  folder.mkdir(parents=True, exist_ok=True)
  lock = filelock.FileLock(folder / 'lock')
  try:
    lock.acquire(blocking=False)
  except filelock.Timeout:
    raise ConfigError(f'--workdir: another process {does} in {folder}') from None
  try:
    yield
  finally:
    lock.release()


def claim(
  workdir: Path, config: ConfigDict, dataset: dict[str, Any], skipped: Sequence[tuple[str, str]]
) -> None:
  """Writes whose workdir this is, and that the run is not complete; for the main process."""
  if not is_main_process():
    return
  (workdir / 'metrics.json').unlink(missing_ok=True)
  write_json(workdir / 'config.json', _plain(config))
  write_csv(workdir / 'skipped.csv', [('id', 'reason'), *skipped])
  write_json(workdir / 'dataset.json', dataset)


def check_untrained(workdir: Path) -> None:
  """Refuses to start from zero where a run was: for a workdir without a checkpoint.

  Up to two evaluations are written before the first checkpoint is whole, so they refuse nothing.

  Raises:
    ConfigError: if the workdir has checkpoints no more.
  """
  steps = [step for step, _ in _evaluations(workdir)]
  complete = (workdir / 'metrics.json').exists()
  if complete or len(steps) > 2:
    last = max([*steps, *([_read_final(workdir)['steps']] if complete else [])])
    raise ConfigError(f'checkpoints: none in {workdir}, but it has evaluations up to step {last}')


def read_dataset(workdir: Path, prepared: 'Prepared | None' = None) -> dict[str, Any]:
  """Returns what `dataset.json` holds.

  Raises:
    ConfigError: if it does not hold that, or the run was on another dataset than `prepared`.
  """
  dataset = _read_object(workdir / 'dataset.json', _OF_DATASET)
  if prepared and dataset['fingerprint'] != prepared.fingerprint:
    raise ConfigError(
      f'workdir {workdir} belongs to another run: dataset: {dataset["fingerprint"]} there, '
      f'{prepared.fingerprint} here'
    )
  return dataset


def final_metrics(workdir: Path, steps: int) -> dict[str, Any] | None:
  """Returns `metrics.json` of a run complete at `steps`, None where there is work left.

  Raises:
    ConfigError: if the run is complete beyond `steps`.
  """
  path = workdir / 'metrics.json'
  if not path.exists():
    return None
  final = _read_final(workdir)
  if steps < final['steps']:
    raise ConfigError(
      f'num_train_steps: expected at least the {final["steps"]} done in {workdir}, found {steps}'
    )
  return final if final['num_train_steps'] == steps else None


def _read_final(workdir: Path) -> dict[str, Any]:
  final = _read_object(workdir / 'metrics.json', ('steps', 'num_train_steps'))
  if not isinstance(final['steps'], int):
    raise ConfigError(f'{workdir}/metrics.json: steps: expected a number, found {final["steps"]!r}')
  return final


def read_config(workdir: Path, given: ConfigDict | None) -> ConfigDict:
  """Returns the config of the run that owns the workdir.

  Args:
    workdir: of the run.
    given: config of this start, or None; it may differ where a run may move.

  Raises:
    ConfigError: if there is no run in the workdir, or one of another config.
  """
  for name in ('config.json', 'dataset.json'):
    if not (workdir / name).is_file():
      raise ConfigError(f'workdir: {workdir} holds no run (no {name})')
  if given is None:
    config = ConfigDict(_read_fields(workdir))
    try:
      check(config)
    except ConfigError as error:
      raise ConfigError(f'{workdir}/config.json: {error}') from error
    return config
  # Padding and batches of a score are no part of what was trained.
  _check_config(workdir, given, _FREE_FIELDS | {'eval_batch_size'})
  return given


def _check_config(workdir: Path, config: ConfigDict, free: Collection[str]) -> None:
  old, new = (
    {field: repr(value) for field, value in flatten(fields).items()}
    for fields in (_read_fields(workdir), _plain(config))
  )
  differences = [
    f'{field}: {old.get(field, "absent")} there, {new.get(field, "absent")} here'
    for field in sorted(old.keys() | new.keys())
    if old.get(field) != new.get(field) and field not in free
  ]
  if differences:
    raise ConfigError(f'workdir {workdir} belongs to another run: ' + '; '.join(differences))


def _read_fields(workdir: Path) -> dict[str, Any]:
  fields = read_json(workdir / 'config.json')
  if not isinstance(fields, dict) or not fields:
    raise ConfigError(
      f'{workdir}/config.json: expected the fields of a run, found {quoted(fields)}'
    )
  return fields


def _read_object(path: Path, names: Sequence[str]) -> dict[str, Any]:
  found = read_json(path)
  if not isinstance(found, dict):
    raise ConfigError(f'{path}: expected {", ".join(names)}, found {quoted(found)}')
  if missing := [name for name in names if name not in found]:
    raise ConfigError(f'{path}: expected {", ".join(names)}, found no {", ".join(missing)}')
  return found


def read_json(path: Path) -> Any:
  """Returns what a file holds.

  Raises:
    ConfigError: it is no JSON, or not there.
  """
  try:
    return json.loads(path.read_text(encoding='utf-8'))
  except ValueError as error:  # Of its bytes or of its syntax.
    raise ConfigError(f'{path}: expected JSON, found: {error}') from error
  except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
    raise ConfigError(f'{path}: expected a file that a run wrote, found none') from error


def write_json(path: Path, value: Any) -> None:
  """Writes a file that is whole whenever it is there."""
  write_text(path, json.dumps(finite(value), indent=2, allow_nan=False) + '\n')


def append_evaluation(workdir: Path, row: dict[str, float]) -> None:
  """Adds a line to `metrics.jsonl`."""
  if not is_main_process():
    return
  path = workdir / 'metrics.jsonl'
  with told_of_full_disk(path), path.open('a', encoding='utf-8') as file:
    file.write(json.dumps(finite(row), allow_nan=False) + '\n')


def cut_evaluations(workdir: Path, step: int) -> None:
  """Drops the lines of `metrics.jsonl` behind a step: a resumed run will write them again."""
  path = workdir / 'metrics.jsonl'
  if not is_main_process() or not path.exists():
    return
  write_text(path, ''.join(f'{line}\n' for done, line in _evaluations(workdir) if done <= step))


def _evaluations(workdir: Path) -> list[tuple[int, str]]:
  """Returns (step, line) of `metrics.jsonl`."""
  path, found = workdir / 'metrics.jsonl', []
  for line in path.read_text('utf-8', 'replace').splitlines() if path.exists() else ():
    # Else it was torn by a kill while it was written; the evaluation runs again.
    with contextlib.suppress(ValueError, KeyError, TypeError):
      found.append((int(json.loads(line)['step']), line))
  return found


def write_batch(workdir: Path, step: int, index: 'Index', plan: 'StepPlan') -> str:
  """Writes the examples of one update to `batch_of_step_<step>.csv`.

  Args:
    workdir: of the run.
    step: number of the update; batches are counted from 0, updates from 1.
    index: of the dataset.
    plan: of the batch.

  Returns:
    Where that is, and the line of Python that makes the batch again.
  """
  path = workdir / f'batch_of_step_{step}.csv'
  micro_batches = np.broadcast_to(np.arange(len(plan.rows))[:, None], plan.rows.shape)
  columns = (
    index.ids[plan.rows], index.tracks[plan.rows], plan.starts, plan.lengths, micro_batches
  )  # fmt: skip
  if is_main_process():
    rows = zip(*(column.ravel().tolist() for column in columns), strict=True)
    write_csv(path, [('id', 'track', 'start', 'length', 'micro_batch'), *rows])
  return (
    f'its batch is in {path}, and again: from pathlib import Path; from musicjax import workdir; '
    'from musicjax.data.input_pipeline import batch_at; '
    f'batch = batch_at(workdir.read_config(Path({str(workdir)!r}), None), {step - 1})'
  )


def write_csv(path: Path, rows: Iterable[Sequence[Any]]) -> None:
  """Writes a table that is whole whenever it is there."""
  with _written_whole(path) as file:
    csv.writer(file, lineterminator='\n').writerows(rows)


@contextlib.contextmanager
def table(path: Path, columns: Sequence[str]) -> Iterator[Callable[[Sequence[Any]], Any]]:
  """Gives what writes a row, in the main process; the table is there, whole, after the block."""
  if not is_main_process():
    yield lambda row: None
    return
  with _written_whole(path) as file:
    writer = csv.writer(file, lineterminator='\n')
    writer.writerow(columns)
    yield writer.writerow


def write_predictions(path: Path, first: str, names, scores: np.ndarray, label_names) -> None:
  """Writes one row a name: the name, then a column a label with its probability."""
  rows = ([name, *(f'{p:.6g}' for p in row)] for name, row in zip(names, scores, strict=True))
  write_csv(path, [[first, *label_names], *rows])


def same_everywhere(config: ConfigDict) -> dict[str, Any]:
  """Returns the fields, dotted, that all processes of a run share; folders are their own."""
  fields = {f'config.{name}': value for name, value in flatten(_plain(config)).items()}
  return {
    name: value
    for name, value in fields.items()
    if name not in ('config.data_dir', 'config.prepared_dir')
  }


def _plain(config: ConfigDict) -> dict[str, Any]:
  """Returns the config as JSON keeps it (tuples become lists)."""
  return json.loads(json.dumps(config.to_dict()))


def finite(value: Any) -> Any:
  """Returns the value with null for NaN and infinities, which JSON does not have."""
  if isinstance(value, dict):
    return {key: finite(item) for key, item in value.items()}
  if isinstance(value, float) and not math.isfinite(value):
    return None
  return value


def write_text(path: Path, text: str) -> None:
  """Writes a file that is whole whenever it is there.

  Raises:
    StorageError: if the disk is full.
  """
  with _written_whole(path) as file:
    file.write(text)


@contextlib.contextmanager
def _written_whole(path: Path) -> Iterator[TextIO]:
  """Gives a file that takes its name after the block, and is deleted where that fails."""
  temporary = path.with_name(path.name + '.tmp')
  with told_of_full_disk(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
      with temporary.open('w', encoding='utf-8', newline='') as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
      temporary.replace(path)
    except BaseException:
      with contextlib.suppress(OSError):
        temporary.unlink()
      raise
