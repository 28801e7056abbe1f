"""What one process of several sees, for test_topology.py; the main one writes it to a file.

python -m tests.topology_worker DATA_DIR PREPARED_DIR FILE
"""

import dataclasses
import sys
from pathlib import Path

import jax
import numpy as np

from musicjax import backends, evaluate, processes, sharding, system
from musicjax import workdir as workdir_lib
from musicjax.data import array_records, device_batches, plans
from tests.conftest import make_config

STEPS = 3
SIZES = (1, 13, 50)  # No multiple of the batch, of the devices or of the processes.


def make(data_dir: str, prepared_dir: str):
  """Returns a config, and its dataset with examples that are slices of seven tracks."""
  config = make_config(data_dir, prepared_dir, batch_size=8, accumulate=2)
  prepared = array_records.prepare(config)
  slices_of = np.array([f'track {i % 7}' for i in range(len(prepared.index.ids))])
  index = dataclasses.replace(prepared.index, tracks=slices_of)
  return config, dataclasses.replace(prepared, index=index)


def seen(config, prepared) -> dict[str, np.ndarray]:
  """Returns whole training batches as the devices hold them, and scores of evaluations."""
  mesh = sharding.make_mesh()
  whole = jax.jit(lambda batch: batch, out_shardings=sharding.replicated(mesh))
  train_rows = plans.split_rows(prepared.index, config)['train']
  plan = plans.train_plan(prepared.index, train_rows, config)
  result = {}
  for way, config.resident in (('batch', False), ('resident', True)):
    read = device_batches.make_read(prepared, config, mesh)
    result |= {
      f'{way} {step} {name}': np.asarray(array)
      for step, batch in enumerate(read(plan, range(STEPS)))
      for name, array in whole(batch).items()
    }
  dataset = workdir_lib.describe(
    Path('none'), config, prepared, lambda: {'statistics': {}, 'support': None}
  )
  parts = system.create(config, dataset, mesh)
  variables = parts.init().eval_variables
  for size in SIZES:
    scores = evaluate.evaluate(parts.eval_step, variables, prepared, np.arange(size), config, read)
    result |= {f'{size} {name}': value for name, value in dataclasses.asdict(scores).items()}
  return result


if __name__ == '__main__':
  backends.set_up(distributed=True)
  with processes.ending_together():
    found = seen(*make(*sys.argv[1:3]))
    if sharding.is_main_process():
      np.savez(sys.argv[3], **found)
