"""Runs a config on all its folds, and seeds, one after another; tables the test metric.

  python experiments/folds.py --config=configs/yandex.py:baseline --workdir=runs/emotify/baseline \
    --seeds=0,1,2 --config.data_dir=DIR --config.batch_size=32

Runs live in `<workdir>/fold_<f>_seed_<s>`; the same command goes on with what is missing.
`config.fold` and `config.seed` are set here; `folds.md` and `folds.csv` hold
`config.select_metric` of the test folds.
"""

from pathlib import Path
from typing import Any

import numpy as np
from absl import flags
from ml_collections import ConfigDict

from musicjax import backends, command_line
from musicjax import config as config_lib

Runs = dict[tuple[int, int], dict[str, Any]]  # (fold, seed) -> what `metrics.json` holds.


def run_folds(config: ConfigDict, workdir: Path, seeds: list[int]) -> Runs:
  """Trains every fold with every seed and writes the tables.

  Raises:
    ConfigError, DataError, FloatingPointError: as training does, with the run's workdir as a note.
  """
  from musicjax import train  # Slow to import: flags are checked before.

  runs = {}
  for seed in seeds:
    for fold in range(config.num_folds):
      run = ConfigDict(config.to_dict())
      run.fold, run.seed = fold, seed
      run_dir = workdir / f'fold_{fold}_seed_{seed}'
      print(f'\n{run_dir}', flush=True)
      try:
        runs[fold, seed] = train.train_and_evaluate(run, run_dir)
      except Exception as error:
        error.add_note(f'in {run_dir}; runs before it are complete and are not repeated')
        raise
  metric = config.select_metric
  (workdir / 'folds.md').write_text(markdown(runs, metric), encoding='utf-8')
  lines = [f'fold,seed,validation_{metric},test_{metric},reported_step,seconds']
  for (fold, seed), run in sorted(runs.items()):
    scores = f'{run["validation"][metric]},{run["test"][metric]}'
    lines.append(f'{fold},{seed},{scores},{run["reported_step"]},{run["seconds"]:.1f}')
  (workdir / 'folds.csv').write_text('\n'.join(lines) + '\n', encoding='utf-8')
  return runs


def markdown(runs: Runs, metric: str) -> str:
  """Returns the test metric by fold and seed; seeds are averaged before folds are compared."""
  folds, seeds = (sorted(set(numbers)) for numbers in zip(*runs, strict=True))
  values = np.array([[runs[f, s]['test'][metric] for s in seeds] for f in folds], float)
  seconds = np.array([[runs[f, s]['seconds'] for s in seeds] for f in folds])
  by_fold = values.mean(axis=1)
  rows = [
    ('fold', *(f'seed {s}' for s in seeds), 'mean', 'seconds'),
    ('---',) + ('---:',) * (len(seeds) + 2),
  ]
  for fold, row, mean, time in zip(folds, values, by_fold, seconds.sum(axis=1), strict=True):
    rows.append((f'{fold}', *(f'{value:.4f}' for value in row), f'{mean:.4f}', f'{time:.0f}'))
  overall = f'{by_fold.mean():.4f} ± {by_fold.std(ddof=1):.4f}'
  by_seed = (f'{value:.4f}' for value in values.mean(axis=0))
  rows.append(('mean', *by_seed, overall, f'{seconds.sum():.0f}'))
  table = '\n'.join(f'| {" | ".join(row)} |' for row in rows)
  return f'Test {metric}; ±: standard deviation over {len(folds)} folds.\n\n{table}\n'


def main(config: ConfigDict | None) -> None:
  config_lib.check(config)
  backends.set_up()
  workdir = Path(flags.FLAGS.workdir)
  run_folds(config, workdir, [int(seed) for seed in flags.FLAGS.seeds])
  print(f'\n{(workdir / "folds.md").read_text(encoding="utf-8")}\n{workdir / "folds.md"}')


if __name__ == '__main__':
  flags.adopt_module_key_flags(command_line)
  flags.DEFINE_string('workdir', None, 'Folder of the runs and the tables.')
  flags.DEFINE_list('seeds', ['0'], 'Of initialisation, batch order, augmentation and dropout.')
  flags.register_validator(
    'seeds',
    lambda seeds: seeds and all(s.isdecimal() for s in seeds),
    'expected integers, separated by commas',
  )
  flags.mark_flags_as_required(['config', 'workdir'])
  command_line.run(main)
