"""How long a start of training takes until its first step is done, and where that time goes.

  python experiments/benchmarks/make_yandex.py --out=DIR --tracks=2000 --test_tracks=100
  python experiments/benchmarks/first_step.py --data_dir=DIR [--repeats=3] [-- MORE_FLAGS]

Starts `musicjax.main` on prepared data with both Yandex configs at full size, as a user would: first
with an empty folder of compiled programs, then again with what the first start left there. MORE_FLAGS
go to every start. Writes first_step.md.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from absl import app, flags

import machine

FLAGS = flags.FLAGS
flags.DEFINE_string('data_dir', None, 'Folder of make_yandex.py.', required=True)
flags.DEFINE_integer('repeats', 3, 'Of which the median is taken.')

_FOLDER = Path(__file__).parent
_ROOT = _FOLDER.parents[1]
_STAGES = ('imports', 'open the data', 'claim the workdir', 'initial state', 'first batch',
           'compile and run the step')

# Runs `musicjax.main` and prints, in front of its own lines, the time at which each stage ended.
_WATCHED_MAIN = """
import time

def told(function, stage):
  def run(*args, **kwargs):
    result = function(*args, **kwargs)
    print(f'@{time.time()} {stage}', flush=True)
    return result
  return run

from musicjax import main, sharding, system, train
from musicjax.data import array_records
import jax

def create(*args, **kwargs):
  parts = make(*args, **kwargs)
  return parts._replace(init=told(lambda: jax.block_until_ready(parts.init.jitted()), 'initial state')
                        if False else parts.init)
"""


def main(argv):
  raise NotImplementedError


if __name__ == '__main__':
  app.run(main)
