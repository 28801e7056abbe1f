"""The files of a workdir: it belongs to one config and one dataset, and predicts without either."""

import csv
import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from musicjax.data.array_records import Prepared
from musicjax.errors import ConfigError
from musicjax.fields import flatten

# Fields that may change between starts: they move or extend a run, or only watch it.
_FREE_FIELDS = frozenset(
  {
    'data_dir',
    'prepared_dir',
    'num_epochs',
    'num_train_steps',
    'eval_batch_size',
    'log_every_steps',
    'profile_steps',
    'report_checkpoint',
  }
)


def claim(workdir: Path, config: ConfigDict, prepared: Prepared, statistics) -> dict[str, Any]:
  """Writes `config.json` and `dataset.json`, or checks that those there belong to this run.

  Args:
    workdir: of the run, made if missing.
    config: resolved.
    prepared: the dataset.
    statistics: () -> {mean, std} of the inputs or {}; called where the workdir is new.

  Returns:
    what `dataset.json` holds.

  Raises:
    ConfigError: listing what differs from the run that owns the workdir.
  """
  workdir.mkdir(parents=True, exist_ok=True)
  if (workdir / 'dataset.json').exists():
    dataset = read_dataset(workdir, config, prepared)
  else:
    dataset = {
      'name': config.dataset.name,
      'fingerprint': prepared.fingerprint,
      'label_names': prepared.label_names,
      'input_shape': prepared.input_shape,
      'input_dtype': prepared.input_dtype,
      'parameters': prepared.parameters,
      'statistics': statistics(),
    }
  if not is_main_process():
    return dataset
  write_json(workdir / 'config.json', _plain(config))
  with (workdir / 'skipped.csv').open('w', newline='') as file:
    csv.writer(file).writerows([('id', 'reason'), *prepared.skipped])
  write_json(workdir / 'dataset.json', dataset)
  return dataset


def read_dataset(workdir: Path, config: ConfigDict, prepared: Prepared) -> dict[str, Any]:
  """Returns what `dataset.json` holds.

  Raises:
    ConfigError: listing what differs from the config and dataset of the run that owns the workdir.
  """
  dataset = read_json(workdir / 'dataset.json')
  _check_owner(workdir, config, dataset['fingerprint'], prepared.fingerprint)
  return dataset


def final_metrics(workdir: Path, steps: int) -> dict[str, Any] | None:
  """Returns `metrics.json` of a run complete at `steps`; removes it where the run goes on."""
  path = workdir / 'metrics.json'
  if not path.exists():
    return None
  final = read_json(path)
  if final['num_train_steps'] == steps:
    return final
  if is_main_process():
    path.unlink()
  return None


def read_config(workdir: Path, given: ConfigDict | None) -> ConfigDict:
  """Returns the config of the run that owns the workdir.

  Args:
    workdir: of the run.
    given: config of this start, or None; it may differ where a run may move.

  Raises:
    ConfigError: if there is no run in the workdir, or one of another config.
  """
  path = workdir / 'config.json'
  if not path.exists():
    raise ConfigError(f'workdir: {workdir} holds no run (no config.json)')
  if given is None:
    return ConfigDict(read_json(path))
  _check_owner(workdir, given)
  return given


def _check_owner(workdir: Path, config: ConfigDict, *fingerprints: str) -> None:
  old, new = flatten(read_json(workdir / 'config.json')), flatten(_plain(config))
  differences = [
    f'{field}: {old.get(field)!r} there, {new.get(field)!r} here'
    for field in sorted(old.keys() | new.keys())
    if old.get(field) != new.get(field) and field not in _FREE_FIELDS
  ]
  if len(set(fingerprints)) > 1:
    differences.append('dataset: {} there, {} here'.format(*fingerprints))
  if differences:
    raise ConfigError(f'workdir {workdir} belongs to another run: ' + '; '.join(differences))


def is_main_process() -> bool:
  """Whether this process is the one that writes files."""
  import jax  # Kept out of the way of tools that read a workdir.

  return jax.process_index() == 0


def read_json(path: Path) -> Any:
  return json.loads(path.read_text(encoding='utf-8'))


def write_json(path: Path, value: Any) -> None:
  """Writes a file that is whole whenever it is there."""
  _replace(path, json.dumps(_finite(value), indent=2, allow_nan=False) + '\n')


def append_evaluation(workdir: Path, row: dict[str, float]) -> None:
  """Adds a line to `metrics.jsonl`."""
  if not is_main_process():
    return
  with (workdir / 'metrics.jsonl').open('a', encoding='utf-8') as file:
    file.write(json.dumps(_finite(row), allow_nan=False) + '\n')


def cut_evaluations(workdir: Path, step: int) -> None:
  """Drops the lines of `metrics.jsonl` behind a step: a resumed run will write them again."""
  path = workdir / 'metrics.jsonl'
  if not is_main_process() or not path.exists():
    return
  kept = []
  for line in path.read_text(encoding='utf-8').splitlines():
    try:
      row = json.loads(line)
    except json.JSONDecodeError:
      continue  # Torn by a kill while it was written; the evaluation runs again.
    if row['step'] <= step:
      kept.append(line + '\n')
  _replace(path, ''.join(kept))


def write_table(path: Path, first: str, names, scores: np.ndarray, label_names) -> None:
  """Writes one row a name: the name, then a column a label with its probability."""
  path.parent.mkdir(parents=True, exist_ok=True)
  with path.open('w', newline='', encoding='utf-8') as file:
    writer = csv.writer(file)
    writer.writerow([first, *label_names])
    for name, row in zip(names, scores, strict=True):
      writer.writerow([name, *(f'{p:.6g}' for p in row)])


def _plain(config: ConfigDict) -> dict[str, Any]:
  """Returns the config as JSON keeps it (tuples become lists)."""
  return json.loads(json.dumps(config.to_dict()))


def _finite(value: Any) -> Any:
  """Returns the value with null for NaN and infinities, which JSON does not have."""
  if isinstance(value, dict):
    return {key: _finite(item) for key, item in value.items()}
  if isinstance(value, float) and not math.isfinite(value):
    return None
  return value


def _replace(path: Path, text: str) -> None:
  temporary = path.with_name(path.name + '.tmp')
  with temporary.open('w', encoding='utf-8') as file:
    file.write(text)
    file.flush()
    os.fsync(file.fileno())
  temporary.replace(path)
