"""Runs a config on all its folds, and seeds, one after another; tables the test metric.

  python experiments/folds.py --config=configs/yandex.py:baseline --workdir=runs/emotify/baseline \
    --seeds=0,1,2 --config.data_dir=DIR --config.batch_size=32

Each run has a workdir of its own, `fold_<f>_seed_<s>`, where it resumes and is left alone once it
is complete: the same command goes on with what is missing. `config.fold` and `config.seed` are set
here. At the end `folds.md` and `folds.csv` hold `config.select_metric` of the test folds.
"""

import csv
import os
import sys
from pathlib import Path
from typing import Any

# As in musicjax/main.py: TensorFlow only reads data here.
os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')
os.environ.setdefault('TF_ENABLE_ONEDNN_OPTS', '0')

import numpy as np
from absl import app, flags, logging
from ml_collections import ConfigDict, config_flags

from musicjax.errors import ConfigError, DataError

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
  with (workdir / 'folds.csv').open('w', newline='', encoding='utf-8') as file:
    csv.writer(file).writerows([
        ('fold', 'seed', f'validation_{metric}', f'test_{metric}', 'reported_step', 'seconds'),
        *((fold, seed, final['validation'][metric], final['test'][metric], final['reported_step'],
           f'{final["seconds"]:.1f}') for (fold, seed), final in sorted(runs.items()))])
  return runs


def markdown(runs: Runs, metric: str) -> str:
  """Returns the test metric by fold and seed; seeds are averaged before folds are compared."""
  folds, seeds = (sorted(set(numbers)) for numbers in zip(*runs, strict=True))
  values = np.array([[runs[f, s]['test'][metric] for s in seeds] for f in folds], float)
  seconds = np.array([[runs[f, s]['seconds'] for s in seeds] for f in folds])
  by_fold = values.mean(axis=1)
  spread = by_fold.std(ddof=1) if len(folds) > 1 else float('nan')
  rows = [('fold', *(f'seed {s}' for s in seeds), 'mean', 'seconds'),
          ('---',) + ('---:',) * (len(seeds) + 2)]
  for fold, row, mean, time in zip(folds, values, by_fold, seconds.sum(axis=1), strict=True):
    rows.append((f'{fold}', *(f'{value:.4f}' for value in row), f'{mean:.4f}', f'{time:.0f}'))
  rows.append(('mean', *(f'{value:.4f}' for value in values.mean(axis=0)),
               f'{by_fold.mean():.4f} ± {spread:.4f}', f'{seconds.sum():.0f}'))
  table = '\n'.join(f'| {" | ".join(row)} |' for row in rows)
  return f'Test {metric}; ±: standard deviation over {len(folds)} folds.\n\n{table}\n'


def main(argv: list[str]) -> None:
  if len(argv) > 1:
    raise app.UsageError(f'expected flags alone, found {argv[1]!r}')
  if not flags.FLAGS['verbosity'].present:
    logging.set_verbosity(logging.ERROR)
  import jax
  import tensorflow as tf
  tf.config.set_visible_devices([], 'GPU')
  jax.config.update('jax_compilation_cache_dir', os.path.expanduser('~/.cache/musicjax/xla'))
  jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.5)
  workdir = Path(flags.FLAGS.workdir)
  try:
    run_folds(flags.FLAGS.config, workdir, [int(seed) for seed in flags.FLAGS.seeds])
  except (ConfigError, DataError, FloatingPointError) as error:
    print('error:', error, *getattr(error, '__notes__', ()), file=sys.stderr)
    sys.exit(2)
  print(f'\n{(workdir / "folds.md").read_text(encoding="utf-8")}\n{workdir / "folds.md"}')


if __name__ == '__main__':
  config_flags.DEFINE_config_file('config', None, 'A file of configs/, with :variant.')
  flags.DEFINE_string('workdir', None, 'Folder of the runs and the tables.')
  flags.DEFINE_list('seeds', ['0'], 'Of initialisation, batch order, augmentation and dropout.')
  flags.register_validator('seeds', lambda seeds: seeds and all(s.isdecimal() for s in seeds),
                           'expected integers, separated by commas')
  flags.mark_flags_as_required(['config', 'workdir'])
  app.run(main)
