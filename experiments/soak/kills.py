"""Kills training at random moments, over and over, and compares what it ends with.

  python -m experiments.soak.kills --kills=20 [--processes=2] [--data_dir=DIR]

A tiny model with accumulation, averaged weights, a plateau schedule, early stopping, buckets and
crops is trained once without a disturbance; evaluations that bring nothing must have cut its
learning rate and ended it before its last step. Then runs of the same config are sent SIGKILL, five
times each, at moments drawn from --seed: while starting, while compiling with an empty cache, in a
step, in an evaluation, while a checkpoint is written, in the report. The same command goes on each
time, and a run is left alone after its fifth kill. It must end with the same `state_fingerprint`,
`metrics.json`, out-of-fold predictions and, byte for byte, `metrics.jsonl` as the undisturbed one.
With --processes it is trained by so many, which launch/local.py starts, and one of them drawn from
--seed is killed; all must end. Without --data_dir (Yandex layout) a small set is made. Writes
kills.md (kills_2_processes.md); exit code 1 if one differs.
"""

import contextlib
import itertools
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from absl import app, flags

from experiments.benchmarks import machine

FLAGS = flags.FLAGS
flags.DEFINE_integer('kills', 20, 'In all runs together.')
flags.DEFINE_integer('seed', 0, 'Of the moments.')
flags.DEFINE_integer('processes', 1, 'Of each run.')
flags.DEFINE_string('data_dir', '', 'Folder in the Yandex layout; empty: a small set is made.')

_ROOT = Path(__file__).parents[2]
_KILLS_A_RUN = 5
_MOST_STEPS, _EVAL_EVERY = 640, 8
_CONFIG = {
  'num_train_steps': _MOST_STEPS,
  'eval_every_steps': _EVAL_EVERY,
  'log_every_steps': 5,
  'accumulate': 2,
  'ema_decay': 0.9,
  'optimizer.learning_rate': 1e-2,
  'optimizer.schedule': 'constant',  # What cuts the learning rate is the plateau alone.
  'plateau.factor': 0.5,
  'plateau.patience': 1,
  'early_stopping': 3,
  'crop_frames': 16,
  'buckets': '(8,12)',
  'bucket_window': 4,
}
_AIMS = ('step', 'saving', 'starting', 'evaluation', 'compiling', 'any', 'report', 'saving')
_TOLD = re.compile(r'step (\d+)/\d+  (loss|validation)')


class Kill(NamedTuple):
  """One kill: what was aimed at, and what the last line of progress says was hit."""

  run: int
  aim: str
  phase: str
  step: int
  half_written: bool
  process: int


def main(argv):
  del argv
  described = machine.describe()
  with tempfile.TemporaryDirectory() as folder:
    home = Path(folder)
    data = FLAGS.data_dir or str(_make_data(home / 'data'))
    fields = _CONFIG | {'data_dir': data, 'prepared_dir': home / 'prepared'}
    launcher = ['launch/local.py', f'--processes={FLAGS.processes}', '--']
    command = [
      sys.executable,
      *(launcher if FLAGS.processes > 1 else ['-m', 'musicjax.main']),
      '--config=configs/yandex.py:test',
      *(f'--config.{name}={value}' for name, value in fields.items()),
    ]
    start = time.monotonic()
    _start(command, home / 'undisturbed', home / 'cache').communicate()
    expected = _results(home / 'undisturbed')
    rates = _check_reach(expected)
    kills, outcomes = _soak(command, home, time.monotonic() - start, expected)
  _write(kills, outcomes, expected, rates, described)
  sys.exit(0 if all(outcome == 'same' for outcome in outcomes) else 1)


def _check_reach(expected: dict[str, object]) -> list[float]:
  """Returns the learning rates of the undisturbed run, which must fall and end it."""
  rows = [json.loads(line) for line in expected['metrics.jsonl'].splitlines()]
  rates = sorted({row['learning_rate'] for row in rows}, reverse=True)
  if expected['steps'] >= _MOST_STEPS or len(rates) == 1:
    sys.exit(
      f'undisturbed run: expected an end before step {_MOST_STEPS} and a cut of the learning rate, '
      f'found {expected["steps"]} steps at {rates}'
    )
  return rates


def _soak(command, home: Path, seconds: float, expected) -> tuple[list[Kill], list[str]]:
  """Returns the kills and, a run each, `same` or what differs."""
  rng = random.Random(FLAGS.seed)
  aims = list(itertools.islice(itertools.cycle(_AIMS), FLAGS.kills))
  rng.shuffle(aims)
  kills, outcomes = [], []
  while aims:
    run = len(outcomes) + 1
    workdir = home / f'run_{run}'
    for aim in aims[:_KILLS_A_RUN]:
      # A cache of its own: the kill meets the compiler, and what it was writing.
      cache = home / ('cache' if aim != 'compiling' else f'cache_{len(kills)}')
      victim = rng.randrange(FLAGS.processes)
      lines = _run_and_kill(command, workdir, cache, aim, victim, rng, seconds, expected['steps'])
      if lines is None:
        break  # It was over before the moment came.
      aims.remove(aim)
      kills.append(_describe(run, aim, lines, workdir, expected['steps'], victim))
      print(*kills[-1], flush=True)
    _start(command, workdir, home / 'cache').communicate()
    found = _results(workdir)
    wrong = [name for name in expected if found.get(name) != expected[name]]
    outcomes.append('; '.join(wrong) or 'same')
    print(f'run {run}: {outcomes[-1]}', flush=True)
  return kills, outcomes


def _run_and_kill(
  command,
  workdir: Path,
  cache: Path,
  aim: str,
  victim: int,
  rng: random.Random,
  seconds: float,
  last_step: int,
) -> list[str] | None:
  """Returns the lines told before the kill, None where the run ended by itself."""
  process = _start(command, workdir, cache)
  lines, count = [], rng.randint(1, 4)
  watched: dict[str, tuple[Callable[[str], bool], int, float]] = {
    # Aim: (line after which, how many of them, seconds after it at most).
    'compiling': (lambda line: 'training, ' in line, 1, 3.0),
    'step': (lambda line: '  loss ' in line, count, 0.1),
    'evaluation': (_before_evaluation, count, 0.1),
    'saving': (lambda line: '  validation ' in line, count, 0.15),
    'report': (lambda line: 'validation' in line and _step(line) == last_step, 1, 2.0),
  }
  timer = None
  if aim in ('starting', 'any'):
    delay = rng.uniform(0.1, 0.5 * seconds if aim == 'starting' else seconds)
    timer = threading.Timer(delay, _kill, [process, victim])
    timer.start()
  else:
    is_moment, left, at_most = watched[aim]
    delay = rng.uniform(0, at_most)
  for line in process.stdout:
    lines.append(line)
    if timer is None and is_moment(line):
      left -= 1
      if left == 0:
        time.sleep(delay)
        _kill(process, victim)
  code = process.wait()
  if timer is not None:
    timer.cancel()
    timer.join()
  if code == 0:
    return None
  if code != (-signal.SIGKILL if FLAGS.processes == 1 else 128 + signal.SIGKILL):
    sys.exit(f'ended with {code} by itself:\n' + ''.join(lines))
  return lines


def _kill(process: subprocess.Popen, victim: int) -> None:
  """Kills the process, or one of those that it has launched, once they are there."""
  if FLAGS.processes == 1:
    return process.kill()
  launched = Path(f'/proc/{process.pid}/task/{process.pid}/children')
  with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # It is over.
    while len(pids := launched.read_text().split()) < FLAGS.processes:
      time.sleep(0.01)
    os.kill(int(pids[victim]), signal.SIGKILL)


def _before_evaluation(line: str) -> bool:
  told = _TOLD.match(line)
  return bool(told) and told[2] == 'loss' and int(told[1]) % _EVAL_EVERY == 0


def _step(line: str) -> int:
  told = _TOLD.match(line)
  return int(told[1]) if told else 0


def _describe(
  run: int, aim: str, lines: list[str], workdir: Path, last_step: int, victim: int
) -> Kill:
  told = _TOLD.match(lines[-1]) if lines else None
  step = int(told[1]) if told else 0
  half_written = any(workdir.glob('checkpoints/*tmp*'))
  if not lines:
    phase = 'starting'
  elif lines[-1].startswith('resuming'):
    phase, step = 'compiling, after a restore', int(re.search(r'step (\d+)', lines[-1])[1])
  elif told is None:
    phase = 'report' if re.search('^report:|^curves:| at step ', lines[-1]) else 'compiling'
  elif _before_evaluation(lines[-1]):
    phase = 'evaluation'
  elif told[2] == 'loss':
    phase = 'step'
  else:
    phase = 'report' if step == last_step else 'step after an evaluation'
  if half_written:
    phase += ', a checkpoint half written'
  return Kill(run, aim, phase, step, half_written, victim)


def _start(command: list[str], workdir: Path, cache: Path) -> subprocess.Popen:
  command = [*command, f'--workdir={workdir}', f'--compilation_cache={cache}']
  return subprocess.Popen(
    command, cwd=_ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
  )


def _results(workdir: Path) -> dict[str, object]:
  """Returns all that must not depend on when a run was killed."""
  if not (workdir / 'metrics.json').exists():
    return {'metrics.json': 'missing'}
  final = json.loads((workdir / 'metrics.json').read_text())
  timed = ('seconds', 'examples_per_second')
  return {
    **{name: value for name, value in final.items() if name not in timed},
    'metrics.jsonl': (workdir / 'metrics.jsonl').read_bytes(),
    'out_of_fold.csv': (workdir / 'predictions' / 'out_of_fold.csv').read_bytes(),
  }


def _make_data(folder: Path) -> Path:
  from tests import conftest  # Imports pytest, which only a checkout has.

  return conftest.write_yandex_folder(folder, num_tracks=200)


def _write(
  kills: list[Kill], outcomes: list[str], expected, rates: list[float], described: str
) -> None:
  same = sum(outcomes[kill.run - 1] == 'same' for kill in kills)
  data = ' --data_dir=DIR' if FLAGS.data_dir else ''
  several = FLAGS.processes > 1
  name = f'kills_{FLAGS.processes}_processes' if several else 'kills'
  processes = f' --processes={FLAGS.processes}' if several else ''
  machine.write_table(
    Path(__file__).with_name(f'{name}.md'),
    'Killed at random moments' + (f', one of {FLAGS.processes} processes' if several else ''),
    f'`python -m experiments.soak.kills --kills={FLAGS.kills} --seed={FLAGS.seed}'
    f'{processes}{data}`; '
    f'{described}.\n\n'
    f'{same} of {len(kills)} kills, in {len(outcomes)} runs, ended with the `state_fingerprint`, '
    '`metrics.json`, out-of-fold predictions and `metrics.jsonl`\n(all columns) of the '
    f'undisturbed run: {expected["steps"]} of at most {_MOST_STEPS} steps, ended early, at '
    f'learning rates {", ".join(f"{rate:.2g}" for rate in rates)}; state '
    f'`{expected["state_fingerprint"][:16]}...`.',
    [
      (
        *('run', 'aimed at', 'hit, by the last line of progress', 'last step told'),
        *(['process'] if several else []),
        'the run ended',
      ),
      *(
        (
          *(k.run, k.aim, k.phase, k.step or ''),
          *([k.process] if several else []),
          outcomes[k.run - 1],
        )
        for k in kills
      ),
    ],
  )


if __name__ == '__main__':
  app.run(main)
