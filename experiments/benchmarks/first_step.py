"""How long a start of training takes until its first step is done, and where that time goes.

  python -m experiments.benchmarks.make_yandex --out=DIR --tracks=2000 --test_tracks=100
  python -m experiments.benchmarks.first_step --data_dir=DIR [--prepared_dir=DIR] [--repeats=3] \\
      [--configs=yandex.py]

Starts `musicjax.main` on prepared data with both Yandex configs at full size: first with an empty
folder of compiled programs, then again with what that start left there. Writes first_step.md.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from absl import app, flags

from configs import yandex
from experiments.benchmarks import machine
from musicjax.data import array_records

FLAGS = flags.FLAGS
flags.DEFINE_string('data_dir', None, 'Folder of make_yandex.py.', required=True)
flags.DEFINE_string('prepared_dir', '', 'Where shards are kept; empty: as in training.')
flags.DEFINE_list('configs', ['yandex.py', 'yandex.py:baseline'], 'Files of configs/ to start.')
flags.DEFINE_integer('repeats', 3, 'Of which the median is taken.')

_ROOT = Path(__file__).parents[2]
# (what a user would call it, the mark of watched_start.py that ends it)
_STAGES = (
  ('imports', 'imports'),
  ('open the data', 'prepare'),
  ('claim the workdir', 'claim'),
  ('first batch, initial state', 'init'),
  ('until the update is compiled, begun beside these', 'before step 1'),
  ('first step', 'step 1'),
)


def start(config: str, compiled: Path) -> tuple[dict[str, float], dict[str, float]]:
  """Returns, for each mark, the seconds from the process's start, and the most MB held by then."""
  with tempfile.TemporaryDirectory() as workdir:
    began = time.time()
    run = subprocess.run(
      [
        sys.executable,
        '-m',
        'experiments.benchmarks.watched_start',
        f'--config=configs/{config}',
        f'--workdir={workdir}',
        f'--compilation_cache={compiled}',
        f'--config.data_dir={FLAGS.data_dir}',
        f'--config.prepared_dir={FLAGS.prepared_dir}',
        '--config.num_train_steps=1000',
      ],
      cwd=_ROOT,
      capture_output=True,
      text=True,
      check=False,
    )
  told = [line[1:].rsplit(' ', 2) for line in run.stdout.splitlines() if line.startswith('@')]
  marks = {mark: float(seconds) - began for mark, seconds, _ in told}
  if 'step 2' not in marks:
    sys.exit(f'{run.stdout}\n{run.stderr}')
  return marks, {mark: float(most) for mark, _, most in told}


def main(argv):
  del argv
  config = yandex.get_config()
  config.data_dir, config.prepared_dir = FLAGS.data_dir, FLAGS.prepared_dir
  array_records.prepare(config)

  described = machine.describe()
  columns = []
  for name in FLAGS.configs:
    cold, warm = [], []
    for _ in range(FLAGS.repeats):
      with tempfile.TemporaryDirectory() as compiled:
        cold.append(start(name, Path(compiled))[0])
        warm.append(start(name, Path(compiled))[0])
    columns += [(f'{name}, {what}', marks) for what, marks in (('cold', cold), ('again', warm))]

  rows = [('seconds', *(name for name, _ in columns))]
  totals = [[marks['step 1'] for marks in repeats] for _, repeats in columns]
  rows.append(
    (
      '**start to first step**',
      *(f'**{np.median(t):.1f}** ({min(t):.1f}, {max(t):.1f})' for t in totals),
    )
  )
  before = None
  for stage, mark in _STAGES:
    rows.append(
      (
        stage,
        *(
          f'{np.median([marks[mark] - (marks[before] if before else 0) for marks in repeats]):.1f}'
          for _, repeats in columns
        ),
      )
    )
    before = mark
  rows.append(
    (
      'second step: the least a first one takes',
      *(
        f'{np.median([marks["step 2"] - marks["before step 2"] for marks in repeats]):.1f}'
        for _, repeats in columns
      ),
    )
  )
  machine.write_table(
    Path(__file__).with_suffix('.md'),
    'From a start to the first step',
    '`python -m experiments.benchmarks.first_step --data_dir=DIR '
    f'--configs={",".join(FLAGS.configs)} --repeats={FLAGS.repeats}` on a folder of '
    f'`make_yandex.py --tracks=2000 --test_tracks=100`, prepared; {described}; medians of '
    f'{FLAGS.repeats} (fastest, slowest). Cold: nothing compiled before; again: with the '
    'programs of the start before in `--compilation_cache`.',
    rows,
  )


if __name__ == '__main__':
  app.run(main)
