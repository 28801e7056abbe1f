"""Train and evaluation steps of a network in one library, timed in a process of its own.

  python experiments/benchmarks/train_step_worker.py NETWORK SUBJECT FOLDER

Reads FOLDER/batch.npz (inputs [batch, time, ...], labels [batch, classes], and what an input of
waveforms is normalised by: mean, std). `musicjax` writes
weights.npz, under PyTorch's names, and the others begin with these. Each prints a JSON object:
`losses` of the first three steps without dropout or noise and, of `torch`, the `flops` of a step.
Then, for every line that it reads, `train` or `inference`, the seconds of a step, with both.
Imports the library it measures only.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np


def with_jax(network, batch, folder):
  """Returns (dropout: bool) -> (step, infer), as `torch_networks.create` does."""
  import importlib

  import jax

  jax.config.update('jax_platforms', 'cpu')
  jax.config.update('jax_cpu_enable_async_dispatch', False)  # As `backends.set_up` has it.
  import flax

  from musicjax import sharding, system
  from musicjax.models import attention_vae

  name, ours, _ = network.partition('_ours')
  config = importlib.import_module(f'configs.{name}').get_config('' if ours else 'baseline')
  config.augment, config.normalize, config.accumulate = {}, 'none', 1
  config.optimizer.schedule, config.optimizer.warmup_steps = 'constant', 0
  if ours:
    config.ema_decay, config.optimizer.weight_decay = 0.0, 0.0
  classes = batch['labels'].shape[1]
  dataset = {
    'label_names': range(classes),
    'input_shape': batch['inputs'].shape[1:],
    'statistics': {name: batch.pop(name) for name in ('mean', 'std') if name in batch},
    'support': [1] * classes,
  }
  if config.task == 'feature_regression':
    dataset['targets'] = {'scale': 'natural', 'mean': [], 'std': [], 'bounds': []}
  mesh = sharding.make_mesh()
  size, frames = batch['inputs'].shape[:2]
  host = {name: batch[name] for name in ('inputs', 'labels')}
  host['lengths'] = np.full(size, frames, np.int32)
  for_training = sharding.to_global(mesh, {name: x[None] for name, x in host.items()}, 1)
  for_evaluation = sharding.to_global(mesh, host | {'index': np.arange(size)}, 0)
  draw_noise = attention_vae.draw_noise
  rates = {name: rate for name, rate in config.model.items() if 'dropout' in name}

  def make(dropout):
    config.model.update({name: dropout * rate for name, rate in rates.items()})
    attention_vae.draw_noise = lambda key, shape: dropout * draw_noise(key, shape)
    parts = system.create(config, dataset, mesh, steps=10_000)
    state = parts.init()
    weights = flax.traverse_util.flatten_dict(jax.device_get(state.params), sep='.')
    np.savez(folder / 'weights.npz', **dict(map(as_in_torch, weights.items())))

    def step():
      nonlocal state
      state, metrics = parts.update(state, for_training)
      return float(metrics['loss'])

    # As an evaluation of many batches does once. The state's own arrays end with the next step.
    initial = {'params': state.params, 'batch_stats': state.batch_stats}
    variables = parts.precompute(jax.tree.map(jax.numpy.copy, initial))

    def infer():
      jax.block_until_ready(parts.eval_step(variables, for_evaluation))

    return step, infer

  return make


def as_in_torch(item):
  """A Flax path and array, as in PyTorch: all axes in the opposite order."""
  name, array = item
  leaf = {'kernel': 'weight', 'scale': 'weight', 'bias': 'bias'}[name.rpartition('.')[2]]
  return f'{name.rpartition(".")[0]}.{leaf}', array.transpose()


def main():
  network, subject, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
  with np.load(folder / 'batch.npz', allow_pickle=False) as arrays:
    batch = dict(arrays)
  flops = None
  if subject == 'musicjax':
    make = with_jax(network, batch, folder)
  else:
    import torch_networks

    def make(dropout):
      with np.load(folder / 'weights.npz', allow_pickle=False) as weights:
        return torch_networks.create(network, subject, batch, dict(weights), dropout)

    if subject == 'torch':
      flops = torch_networks.count_flops(make(False)[0])
  step, _ = make(False)
  losses = [step() for _ in range(3)]
  tasks = dict(zip(('train', 'inference'), make(True), strict=True))
  for run in tasks.values():
    for _ in range(3):  # Compiles; buffers are made.
      run()
  print(json.dumps({'losses': losses, 'flops': flops}), flush=True)
  for line in sys.stdin:
    run = tasks[line.strip()]
    start = time.perf_counter()
    run()
    print(time.perf_counter() - start, flush=True)


if __name__ == '__main__':
  main()
