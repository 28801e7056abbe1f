"""Trains and predicts on a set of the competition's size: speed, waiting for input, what is learnt.

  python -m experiments.benchmarks.make_yandex --out=DIR
  python -m experiments.benchmarks.training --data_dir=DIR --config=yandex.py --steps=250 \\
      [--prepared_dir=DIR] [-- --config.batch_size=64 ...]

Scores the untrained model, trains, predicts test.csv and checks the prediction, in a temporary
workdir, by the commands a user would give; what stands behind `--` goes to all training.
Writes training_{config}.md.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from absl import app, flags

from experiments.benchmarks import machine

FLAGS = flags.FLAGS
flags.DEFINE_string('data_dir', None, 'Folder of make_yandex.py.', required=True)
flags.DEFINE_string('prepared_dir', '', 'Where shards are kept; empty: as in training.')
flags.DEFINE_string('config', 'yandex.py', 'A file of configs/, with :variant.')
flags.DEFINE_integer('steps', 250, 'To train.')

_ROOT = Path(__file__).parents[2]
_LINE = re.compile(r'step (\d+)/.* ([\d.]+) examples/s  waiting for input ([\d.]+)%')


def run(*command: object) -> str:
  """Runs Python in the repository and returns what it prints, shown as it comes."""
  command = [str(part) for part in command]
  print('python', *command, flush=True)
  lines = []
  with subprocess.Popen(
    [sys.executable, *command], cwd=_ROOT, stdout=subprocess.PIPE, text=True
  ) as process:
    for line in process.stdout:
      print(line, end='', flush=True)
      lines.append(line)
  if process.returncode:
    sys.exit(f'ended with status {process.returncode}')
  return ''.join(lines)


def main(argv):
  described = machine.describe()
  with tempfile.TemporaryDirectory() as folder:

    def train(workdir, *more):
      return run(
        '-m',
        'musicjax.main',
        f'--config=configs/{FLAGS.config}',
        f'--workdir={folder}/{workdir}',
        f'--config.data_dir={FLAGS.data_dir}',
        f'--config.prepared_dir={FLAGS.prepared_dir}',
        *argv[1:],
        *more,
      )

    train(
      'untrained',
      '--config.num_train_steps=1',
      '--config.optimizer.warmup_steps=0',
      '--config.optimizer.learning_rate=0.0',
    )
    told = train('trained', f'--config.num_train_steps={FLAGS.steps}')
    run('-m', 'musicjax.main', f'--workdir={folder}/trained', '--mode=predict')
    checked = run(
      'experiments/check_prediction.py',
      f'{folder}/trained/predictions/prediction.csv',
      f'{FLAGS.data_dir}/test.csv',
    )
    before, after = (
      json.loads(Path(folder, name, 'metrics.json').read_text())
      for name in ('untrained', 'trained')
    )
    batch = json.loads(Path(folder, 'trained', 'config.json').read_text())['batch_size']

  # The first line holds compilation, the others the steps since the line before.
  lines = [(int(step), float(speed), float(wait)) for step, speed, wait in _LINE.findall(told)][1:]
  steps, speeds, waits = np.array(lines).T
  weights = np.diff(steps, prepend=1) / speeds  # Seconds, but for a factor.
  name = FLAGS.config.replace('.py', '').replace(':', '_')
  given = ''.join(f' {flag}' for flag in argv[1:])
  machine.write_table(
    Path(__file__).with_name(f'training_{name}.md'),
    f'Training {FLAGS.config}',
    f'`python -m experiments.benchmarks.training --data_dir=DIR --config={FLAGS.config} '
    f'--steps={FLAGS.steps}{" --" if given else ""}{given}` on a folder of `make_yandex.py`; '
    f'{described}.',
    [
      ('what', 'measured'),
      ('batch size', batch),
      ('steps/s', f'{np.median(speeds) / batch:.2f}'),
      ('examples/s, median of the lines told', f'{np.median(speeds):.0f}'),
      (
        'waiting for input',
        f'{np.average(waits, weights=weights):.1f} % (worst line {waits.max():.1f} %)',
      ),
      ('validation map_macro, untrained', f'{before["validation"]["map_macro"]:.4f}'),
      (
        f'validation map_macro, best of {FLAGS.steps} steps',
        f'{after["validation"]["map_macro"]:.4f}',
      ),
      ('test map_macro, untrained', f'{before["test"]["map_macro"]:.4f}'),
      ('test map_macro, same checkpoint', f'{after["test"]["map_macro"]:.4f}'),
      ('training, evaluations and compilation', f'{after["seconds"]:.0f} s'),
      ('prediction.csv', checked.strip()),
    ],
  )


if __name__ == '__main__':
  app.run(main)
