"""How long the imports of a training take, by library, and what keeps them short.

  python -m experiments.benchmarks.imports [--rounds=9]

Starts `musicjax.main` on data that is not there: it ends when all is imported that comes before the
compiler. It does so in turns as it is, with what else is imported beside the compiler, and without
each of the things that keep imports short. Writes imports.md.
"""

import collections
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from absl import app, flags

from experiments.benchmarks import machine

FLAGS = flags.FLAGS
flags.DEFINE_integer('rounds', 9, 'Of which medians are taken.')

_ROOT = Path(__file__).parents[2]
_RUN = "import runpy; runpy.run_module('musicjax.main', run_name='__main__')"
_BESIDE = (
  'from musicjax import backends; set_up = backends.set_up\n'
  'def set_up_and_import(*args): set_up(*args); from musicjax import first_look, summaries{}\n'
  'backends.set_up = set_up_and_import\n'
)
_WHOLE = 'with TensorFlow and TFDS, which are imported beside the compiler'
# What is started -> (code that runs first, environment).
_STARTS = {
  'as it is': ('', {}),
  'searching for garbage meanwhile': (
    'import contextlib; from musicjax import backends; '
    'backends.importing = contextlib.nullcontext; ',
    {},
  ),
  _WHOLE: (_BESIDE.format(''), {}),
  'with these and Keras': (_BESIDE.format(''), {'TF_USE_LEGACY_KERAS': '0'}),
  "with these, Keras and clu's metric writers": (
    _BESIDE.format('; from clu import metric_writers'),
    {'TF_USE_LEGACY_KERAS': '0'},
  ),
}


def start(first: str, environment: dict[str, str], *options: str) -> tuple[float, str]:
  """Returns seconds from a start to its end by the missing data, and what it said."""
  with tempfile.TemporaryDirectory() as folder:
    began = time.perf_counter()
    run = subprocess.run(
      [
        sys.executable,
        *options,
        '-c',
        first + _RUN,
        '--config=configs/yandex.py',
        f'--workdir={folder}/run',
        f'--config.data_dir={folder}/missing',
      ],
      cwd=_ROOT,
      env=os.environ | environment,
      capture_output=True,
      text=True,
      check=False,
    )
    seconds = time.perf_counter() - began
  if run.returncode != 2:
    sys.exit(run.stderr)
  return seconds, run.stderr


def by_library(told: str) -> collections.Counter[str]:
  """Returns the seconds that `-X importtime` tells of each top-level package, its own alone."""
  seconds = collections.Counter()
  for microseconds, module in re.findall(r'import time: +(\d+) \| +\d+ \| +(\S+)', told):
    seconds[module.split('.')[0]] += int(microseconds) / 1e6
  return seconds


def main(argv):
  del argv
  described = machine.describe()
  start(*_STARTS['as it is'])  # Files are then in the system's cache.
  taken = {name: [] for name in _STARTS}
  libraries = []
  for i in range(FLAGS.rounds):
    for name in _STARTS if i % 2 else reversed(_STARTS):
      taken[name].append(start(*_STARTS[name])[0])
    libraries.append(by_library(start(*_STARTS[_WHOLE], '-X', 'importtime')[1]))
  medians = {
    name: float(np.median([seconds[name] for seconds in libraries]))
    for name in set().union(*libraries)
  }
  first = [name for name, _ in collections.Counter(medians).most_common(10)]
  rows = [('what', 'seconds (quartiles)', 'longer by')]
  whole = np.array(taken['as it is'])
  for name, seconds in taken.items():
    low, middle, high = np.quantile(seconds, (0.25, 0.5, 0.75))
    longer = '' if name == 'as it is' else f'{np.median(np.array(seconds) - whole):.2f}'
    rows.append(
      (f'a start until data is asked for, {name}', f'{middle:.2f} ({low:.2f}..{high:.2f})', longer)
    )
  rows += [(f'`{name}`', f'{medians[name]:.2f}', '') for name in first]
  rest = sum(medians.values()) - sum(medians[name] for name in first)
  rows.append((f'{len(medians) - len(first)} other packages', f'{rest:.2f}', ''))
  machine.write_table(
    Path(__file__).with_suffix('.md'),
    'Imports of a training',
    f'`python -m experiments.benchmarks.imports --rounds={FLAGS.rounds}`; {described}; medians of '
    'rounds in turns. Packages, those beside the compiler among them, are told by `-X importtime`, '
    'which takes time itself, each without what it imports of others; files are in the cache of '
    'the system.',
    rows,
  )


if __name__ == '__main__':
  app.run(main)
