"""Searches a config's space with Optuna, on validation alone.

  pip install -e '.[tune]'
  python -m experiments.tune --config=configs/yandex.py --workdir=runs/tune --sweep=emotify_search \
    --select=validation_map_macro --trials=50 --config.data_dir=DIR

The space is the `random` form of `get_sweep(NAME)` (experiments/sweep_rows.py). The study lies in
`<workdir>/study.journal`, or in the database of `--storage=sqlite:///...`: started several times,
here or on hosts that see the same folder, the command is so many workers, which together complete
`--trials`. A trial is the mean of `--select` over folds and seeds, its runs in
`<workdir>/trial_<n>`; one that fails is told, and counts for nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags
from ml_collections import ConfigDict, config_flags

from experiments import sweep, sweep_rows
from musicjax import command_line
from musicjax.errors import ConfigError

FLAGS = flags.FLAGS


def suggest(trial: Any, field: str, space: Any) -> Any:
  """Returns what Optuna takes of a space of the random form.

  Raises:
    ConfigError: it is no space.
  """
  match space:
    case ('uniform', low, high):
      return trial.suggest_float(field, low, high)
    case ('log_uniform', low, high):
      return trial.suggest_float(field, low, high, log=True)
    case list() if space:
      return trial.suggest_categorical(field, space)
  raise ConfigError(f'get_sweep: expected a space, found {space!r}; see experiments/sweep_rows.py')


def search(
  space: Mapping[str, Any],
  score: Callable[[int, sweep_rows.Fields], float],
  trials: int,
  storage: Any,
  name: str,
) -> Any:
  """Tries fields of a space until so many trials are complete, and returns the best of all workers.

  Args:
    space: field -> space.
    score: (number of the trial, fields) -> what to maximise; a RuntimeError is a trial that failed.
    trials: to complete, with those that are.
    storage: of Optuna, that workers share.
    name: of the study in it.

  Raises:
    ConfigError: no trial completes.
  """
  import optuna

  study = optuna.create_study(
    storage=storage, study_name=name, direction='maximize', load_if_exists=True
  )

  def complete():
    return study.get_trials(states=(optuna.trial.TrialState.COMPLETE,))

  for _ in range(2 * trials):  # As many may fail.
    if len(complete()) >= trials:
      break
    trial = study.ask()
    fields = {field: suggest(trial, field, values) for field, values in space.items()}
    try:
      value = score(trial.number, fields)
    except RuntimeError as error:
      study.tell(trial, state=optuna.trial.TrialState.FAIL)
      print(f'trial {trial.number} failed: {error}', flush=True)
    else:
      study.tell(trial, value)
      print(f'trial {trial.number}: {value:.4f} of {fields}', flush=True)
  if not complete():
    raise ConfigError('experiments.tune: expected a trial that completes, found none')
  return study.best_trial


def mean_of_validation(runs: Sequence[sweep.Run], measure: Callable[..., float]) -> float:
  """Returns the mean over runs of a metric of what they have kept of validation.

  Raises:
    RuntimeError: one of them failed.
  """
  from experiments import predictions

  for run in runs:
    if run.error:
      raise RuntimeError(f'{run.folder}: {run.error}')
  kept = [predictions.read(run.folder, 'validation') for run in runs]
  return float(np.mean([measure(p.scores, p.labels) for p in kept]))


def main(config: ConfigDict | None) -> None:
  try:
    from optuna.storages import journal
  except ImportError:
    raise ConfigError("expected Optuna, found none: pip install -e '.[tune]'") from None
  command_line.require('sweep', 'select')
  file = config_flags.get_config_filename(FLAGS['config'])
  kind, make = sweep_rows.load(file, FLAGS.sweep, sweep.given_fields())
  if 'random' not in kind:
    raise ConfigError(f'--sweep: expected the random form, found {", ".join(kind)}')
  metric = sweep_rows.check_select(FLAGS.select, config)
  folds, seeds = sweep.folds_of(config), [int(seed) for seed in FLAGS.seeds]
  workdir = Path(FLAGS.workdir)
  workdir.mkdir(parents=True, exist_ok=True)
  from experiments import predictions  # With JAX: flags are checked before.

  measure = predictions.measure_of(config.task, metric)

  def score(number, fields):
    rows = {'ours': make(fields)}
    runs = sweep.run_all(rows, workdir / f'trial_{number}', folds, seeds, FLAGS.jobs)
    return mean_of_validation(runs, measure)

  backend = journal.JournalFileBackend(str(workdir / 'study.journal'))
  storage = FLAGS.storage or journal.JournalStorage(backend)
  best = search(kind['random'], score, FLAGS.trials, storage, FLAGS.sweep)
  print(f'best {FLAGS.select}: {best.value:.4f}, in {workdir / f"trial_{best.number}"}')
  print(' '.join(f'--config.{field}={value}' for field, value in best.params.items()))


if __name__ == '__main__':
  sweep.define_flags()
  flags.DEFINE_integer('trials', 20, 'To complete, by all workers together.', lower_bound=1)
  flags.DEFINE_string('storage', '', "A database's URL instead of the journal.")
  command_line.run(main)
