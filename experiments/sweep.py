"""Trains the rows of a sweep on folds and with seeds, and writes one table.

  python -m experiments.sweep --config=configs/yandex.py --workdir=runs/faults \
    --sweep=emotify_faults --seeds=0,1,2 --jobs=2 --config.data_dir=DIR
  python -m experiments.sweep --config=configs/quickstart.py --workdir=runs/quickstart_folds

Rows are what `get_sweep(NAME)` of the config file says (experiments/sweep_rows.py), without --sweep
the config alone. Each run is a process of its own, in `<workdir>/<row>/fold_<f>_seed_<s>`, and what
it says is in the `.log` beside that: one that fails is an error in the table, not the end of the
sweep. The same command goes on with what is missing, wherever it was killed.

`table.md`, `table.csv` (a line a row) and `table_runs.csv` (a line a run) hold the
`config.select_metric` of the test folds, rows in their order; `tensorboard --logdir
<workdir>/hparams` compares them, too. To choose among rows, give `--select=validation_<metric>`: in
`selection.md` and `.csv` they are ranked by validation, and what test folds say is not read.
"""

import concurrent.futures
import ctypes
import itertools
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from absl import flags
from ml_collections import ConfigDict, config_flags

from experiments import sweep_rows
from musicjax import backends, command_line
from musicjax.errors import ConfigError
from musicjax.workdir import locked, read_json, write_json

FLAGS = flags.FLAGS
_RESOLVED = Path(__file__).with_name('resolved.py')


class Run(NamedTuple):
  """One training.

  Attributes:
    row: of the sweep.
    fold: that tests.
    seed: of the run.
    folder: its workdir.
    error: why it is not complete; empty where it is.
  """

  row: str
  fold: int
  seed: int
  folder: Path
  error: str = ''


def run_all(
  configs: Mapping[str, ConfigDict],
  workdir: Path,
  folds: Sequence[int],
  seeds: Sequence[int],
  jobs: int = 1,
) -> list[Run]:
  """Trains what is not complete, and returns all runs: row after row, in each fold after fold.

  Args:
    configs: of the rows; their folds and seeds are set here.
    workdir: of the sweep.
    folds: that test.
    seeds: of the runs.
    jobs: runs side by side.

  Raises:
    ConfigError: another process runs a sweep there.
  """
  runs = [
    Run(row, fold, seed, workdir / row / f'fold_{fold}_seed_{seed}')
    for row, fold, seed in itertools.product(configs, folds, seeds)
  ]
  with locked(workdir, 'runs a sweep'), concurrent.futures.ThreadPoolExecutor(jobs) as pool:
    for row, config in configs.items():
      write_json(workdir / row / 'config.json', config.to_dict())
    waiting = [run for run in runs if not _is_complete(run)]
    print(f'{len(runs) - len(waiting)} of {len(runs)} runs are complete', flush=True)
    begin, errors = time.monotonic(), {}
    started = {pool.submit(_train, run): run for run in waiting}
    try:
      for future in concurrent.futures.as_completed(started):
        run = started[future]
        errors[run] = future.result()
        left = (time.monotonic() - begin) / len(errors) * (len(waiting) - len(errors))
        told = errors[run] or 'complete'
        print(f'{len(errors)}/{len(waiting)}  eta {left:.0f} s  {run.folder}: {told}', flush=True)
    except BaseException:
      pool.shutdown(cancel_futures=True)
      raise
  return [run._replace(error=errors.get(run, '')) for run in runs]


def command(run: Run) -> list[str]:
  """Returns the command that trains a run."""
  return [
    sys.executable,
    *('-m', 'musicjax.main'),
    f'--config={_RESOLVED}:{run.folder.parent / "config.json"}',
    f'--config.fold={run.fold}',
    f'--config.seed={run.seed}',
    f'--workdir={run.folder}',
  ]


def _is_complete(run: Run) -> bool:
  """Whether a run of this very config is; of another one, or a shorter one, the run itself says."""
  if not (run.folder / 'metrics.json').exists():
    return False
  fields = read_json(run.folder.parent / 'config.json') | {'fold': run.fold, 'seed': run.seed}
  return read_json(run.folder / 'config.json') == fields


def _train(run: Run) -> str:
  """Trains a run in a process of its own, and returns its error, empty where it is complete."""
  log = run.folder.with_name(f'{run.folder.name}.log')
  with log.open('w', encoding='utf-8') as file:
    code = subprocess.run(
      command(run), stdout=file, stderr=subprocess.STDOUT, preexec_fn=_die_with_parent
    ).returncode
  if code == 0 and (run.folder / 'metrics.json').exists():
    return ''
  lines = log.read_text('utf-8', 'replace').split('\n')
  told = next((line for line in reversed(lines) if line.strip()), '')
  by = f'killed by {signal.Signals(-code).name}' if code < 0 else f'exit code {code}'
  return f'{by}; {told}' if told else by


def _die_with_parent() -> None:
  """A run that outlived its sweep would hold the workdir against the next one."""
  if sys.platform == 'linux':
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def define_flags() -> None:
  """Defines the flags of what trains runs: this program and `tune.py`."""
  flags.adopt_module_key_flags(command_line)
  flags.DEFINE_string('workdir', None, 'Folder of the runs and the tables.')
  flags.DEFINE_string('sweep', '', 'Name that get_sweep() of the config file knows.')
  flags.DEFINE_list('folds', ['all'], 'Those that test, or all.')
  flags.DEFINE_list('seeds', ['0'], 'Of initialisation, batch order, augmentation and dropout.')
  flags.DEFINE_integer('jobs', 1, 'Runs side by side.', lower_bound=1)
  flags.DEFINE_string('select', '', 'validation_<metric> to choose by; no test fold is looked at.')
  flags.register_validator(
    'seeds',
    lambda seeds: seeds and all(s.isdecimal() for s in seeds),
    'expected integers, separated by commas',
  )
  flags.register_validator(
    'folds',
    lambda folds: folds == ['all'] or (folds and all(f.isdecimal() for f in folds)),
    'expected all, or integers, separated by commas',
  )
  flags.mark_flags_as_required(['config', 'workdir'])


def given_fields() -> sweep_rows.Fields:
  """Returns the fields that flags set.

  Raises:
    ConfigError: one of them is set by `--folds` or `--seeds`.
  """
  given = dict(config_flags.get_override_values(FLAGS['config']))
  for field in ('fold', 'seed'):
    if field in given:
      raise ConfigError(f'--config.{field}: expected --{field}s, all of which are run')
  return given


def folds_of(config: ConfigDict) -> list[int]:
  """Returns the folds of `--folds`.

  Raises:
    ConfigError: there is none of that number.
  """
  folds = range(config.num_folds) if FLAGS.folds == ['all'] else map(int, FLAGS.folds)
  folds = list(folds)
  if max(folds) >= config.num_folds:
    raise ConfigError(f'--folds: expected 0..{config.num_folds - 1}, found {max(folds)}')
  return folds


def main(config: ConfigDict | None) -> None:
  file = config_flags.get_config_filename(FLAGS['config'])
  configs = sweep_rows.configs(file, FLAGS.sweep, given_fields())
  reference = next(iter(configs.values()))
  select = FLAGS.select and sweep_rows.check_select(FLAGS.select, reference)
  workdir, seeds = Path(FLAGS.workdir), [int(seed) for seed in FLAGS.seeds]
  runs = run_all(configs, workdir, folds_of(reference), seeds, FLAGS.jobs)
  if all(run.error for run in runs):
    raise ConfigError(f'all {len(runs)} runs failed, the first one: {runs[0].error}')

  backends.set_up()
  from experiments import sweep_table  # With what is slow to import.

  path = sweep_table.write(workdir, configs, runs, select, FLAGS.resamples)
  print(f'\n{path.read_text(encoding="utf-8")}\n{path}')


if __name__ == '__main__':
  define_flags()
  flags.DEFINE_integer('resamples', 1000, 'Of the bootstrap over examples.', lower_bound=1)
  command_line.run(main)
