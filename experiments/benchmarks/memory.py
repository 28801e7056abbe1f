"""How much memory a training holds at most, and what of.

  python -m experiments.benchmarks.make_yandex --out=DIR --tracks=2000 --test_tracks=100
  python -m experiments.benchmarks.memory --data_dir=DIR [--prepared_dir=DIR]

Counts what the updates of both Yandex configs hold at full size, and asks processes that train on
prepared data for the most they held: stage by stage until the second update, and for three updates
with evaluation, checkpoint and report. Writes memory.md.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from absl import app, flags

from experiments.benchmarks import first_step, machine
from musicjax import backends

FLAGS = flags.FLAGS
# (what a user would call it, the mark of watched_start.py that ends it)
_STAGES = (
  ('all imported', 'imports'),
  ('first batch, initial state', 'init'),
  ('update compiled', 'before step 1'),
  ('first update', 'step 1'),
  ('second update', 'step 2'),
)


def train(config: str) -> float:
  """Trains for three updates; returns the most memory the process held, in MB."""
  with tempfile.TemporaryDirectory() as workdir, tempfile.TemporaryFile() as told:
    command = [
      *(sys.executable, '-m', 'musicjax.main'),
      f'--config=configs/{config}',
      f'--workdir={workdir}',
      f'--config.data_dir={FLAGS.data_dir}',
      f'--config.prepared_dir={FLAGS.prepared_dir}',
      '--config.num_train_steps=3',
      '--config.optimizer.warmup_steps=0',
    ]
    process = subprocess.Popen(command, stdout=told, stderr=told)
    _, status, used = os.wait4(process.pid, 0)
    if status:
      told.seek(0)
      sys.exit(told.read().decode())
  return used.ru_maxrss / 1e3


def count_update(variant: str) -> dict[str, int]:
  """Returns the bytes that an update of a config holds."""
  import jax

  from experiments.benchmarks import gpu_steps

  step = gpu_steps.make(variant, 'float32', gpu_steps.Sizes())
  program = step.lower(step.sizes.frames).compile()
  told, state = program.memory_analysis(), jax.eval_shape(step.parts.init)
  params, whole = (
    sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))
    for tree in (state.params, state)
  )
  return {
    'parameters': params,
    'state: parameters, moments of AdamW, moving average': whole,
    'state that the update makes in place of the old one': told.alias_size_in_bytes,
    'batch': told.argument_size_in_bytes - whole,
    'temporaries of the update': told.temp_size_in_bytes,
  }


def main(argv):
  del argv
  described = machine.describe()
  measured = {}
  for name in FLAGS.configs:
    with tempfile.TemporaryDirectory() as compiled:
      _, held = first_step.start(name, Path(compiled))
    measured[name] = {
      **{f'at most until: {what}': f'{held[mark]:.0f}' for what, mark in _STAGES},
      'at most: 3 updates, evaluation, checkpoint, report': f'**{train(name):.0f}**',
    }
  backends.set_up(compilation_cache='')
  columns = {}  # Counted now: Linux hands what a process held at most on to those that it starts.
  for name in FLAGS.configs:
    counted = count_update(name.partition(':')[2])
    columns[name] = {f'{what}, counted': f'{size / 1e6:.0f}' for what, size in counted.items()}
    columns[name] |= measured[name]
  rows = [('MB', *columns)]
  rows += [(what, *(column[what] for column in columns.values())) for what in columns[name]]
  machine.write_table(
    Path(__file__).with_suffix('.md'),
    'Memory of a training',
    '`python -m experiments.benchmarks.memory --data_dir=DIR` on a folder of '
    '`make_yandex.py --tracks=2000 --test_tracks=100`, prepared, nothing compiled before; '
    f'{described}. Counted: what the update of 60 frames has, compiled. At most: the resident set '
    'of a process on CPU, which keeps the memory it was once given.',
    rows,
  )


if __name__ == '__main__':
  app.run(main)
