"""Train steps of SpectrogramCNN in one library, timed in a process of its own.

  python experiments/benchmarks/spectrogram_step_worker.py SUBJECT FOLDER STEPS

Reads FOLDER/batch.npz (inputs [batch, time, mel], labels [batch, classes]). `musicjax` writes
weights.npz, under PyTorch's names, and the others begin with these. Each prints the loss of the
first three steps without dropout, then, for every line that it reads, the seconds of a step, over
STEPS of them with dropout. Imports NumPy and the library it measures only, as that may live in
another environment.
"""

import itertools
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

CHANNELS, POOL, HEAD_DIM, DROPOUT = (32, 64, 128), 3, 256, 0.5
RATE, DECAY = 1e-3, 1e-4
GAMMA_NEG, GAMMA_POS, CLIP = 4.0, 1.0, 0.05


def with_jax(batch, folder) -> Callable[[bool], Callable[[], float]]:
  import jax

  jax.config.update('jax_platforms', 'cpu')
  import flax

  from configs import spectrogram_cnn
  from musicjax import sharding, system

  config = spectrogram_cnn.get_config('baseline')
  config.augment = {}
  classes = batch['labels'].shape[1]
  dataset = {
    'label_names': range(classes),
    'input_shape': batch['inputs'].shape[1:],
    'statistics': {},
    'support': [1] * classes,
  }
  mesh = sharding.make_mesh()
  size, frames, _ = batch['inputs'].shape
  host = {**batch, 'lengths': np.full(size, frames, np.int32)}
  on_device = sharding.to_global(mesh, {name: x[None] for name, x in host.items()}, 1)

  def make(dropout):
    config.model.dropout = dropout * DROPOUT
    parts = system.create(config, dataset, mesh, steps=10_000)
    state = parts.init()
    weights = flax.traverse_util.flatten_dict(jax.device_get(state.params), sep='.')
    np.savez(folder / 'weights.npz', **dict(map(_as_in_torch, weights.items())))

    def step():
      nonlocal state
      state, metrics = parts.update(state, on_device)
      return float(metrics['loss'])

    return step

  return make


def _as_in_torch(item):
  """A Flax path and array, as in PyTorch: [mel, time] images, all axes in the opposite order."""
  name, array = item
  leaf = {'kernel': 'weight', 'scale': 'weight', 'bias': 'bias'}[name.rpartition('.')[2]]
  return f'{name.rpartition(".")[0]}.{leaf}', array.transpose()


def with_torch(batch, folder, channels_last) -> Callable[[bool], Callable[[], float]]:
  import torch
  from torch import nn
  from torch.nn import functional as F

  class Network(nn.Module):
    """The published network."""

    def __init__(self, dropout):
      super().__init__()
      for block, (before, width) in enumerate(itertools.pairwise((1, *CHANNELS))):
        for i, channels in enumerate((before, width)):
          conv = nn.Conv2d(channels, width, 3, padding=1, bias=False)
          self.add_module(f'block_{block}_conv_{i}', conv)
          self.add_module(f'block_{block}_norm_{i}', nn.BatchNorm2d(width))
      self.head = nn.Linear(CHANNELS[-1], HEAD_DIM)
      self.head_norm = nn.BatchNorm1d(HEAD_DIM)
      self.logits = nn.Linear(HEAD_DIM, batch['labels'].shape[1])
      self.dropout = dropout

    def forward(self, x):
      layer = self.get_submodule
      x = x - x.mean((2, 3), keepdim=True)
      x = x * torch.rsqrt(x.square().mean((2, 3), keepdim=True) + 1e-10)
      if channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
      for block in range(len(CHANNELS)):
        for i in range(2):
          x = layer(f'block_{block}_norm_{i}')(layer(f'block_{block}_conv_{i}')(x))
          x = F.relu(x, inplace=True)
        x = F.dropout(F.max_pool2d(x, POOL), self.dropout, self.training)
      x = F.relu(self.head_norm(self.head(x.mean((2, 3)))))
      return self.logits(F.dropout(x, self.dropout, self.training))

  def loss_of(logits, labels):
    limit = np.log((1 - CLIP) / CLIP)
    logits = logits.clamp(-limit, limit)
    log_p, log_q = F.logsigmoid(logits), F.logsigmoid(-logits)
    positive, negative = torch.exp(GAMMA_POS * log_q) * log_p, torch.exp(GAMMA_NEG * log_p) * log_q
    return -(labels * positive + (1 - labels) * negative).mean()

  inputs = torch.from_numpy(batch['inputs'].transpose(0, 2, 1)[:, None].copy())
  labels = torch.from_numpy(batch['labels'])

  def make(dropout):
    network = Network(dropout * DROPOUT)
    weights = np.load(folder / 'weights.npz', allow_pickle=False)
    missing = network.load_state_dict({k: torch.from_numpy(v) for k, v in weights.items()}, False)
    assert not missing.unexpected_keys
    assert all('running' in key or 'tracked' in key for key in missing.missing_keys)
    if channels_last:
      network = network.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters(), RATE, weight_decay=DECAY)

    def step():
      optimizer.zero_grad()
      loss = loss_of(network(inputs), labels)
      loss.backward()
      optimizer.step()
      return loss.item()

    return step

  return make


SUBJECTS = {
  'musicjax': with_jax,
  'torch': lambda *given: with_torch(*given, channels_last=False),
  'torch_channels_last': lambda *given: with_torch(*given, channels_last=True),
}


def main():
  subject, folder, steps = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
  with np.load(folder / 'batch.npz', allow_pickle=False) as batch:
    make = SUBJECTS[subject](dict(batch), folder)
  step = make(False)
  losses = [step() for _ in range(3)]
  step = make(True)
  for _ in range(3):  # Compiles; buffers are made.
    step()
  print(*losses, flush=True)
  for _ in sys.stdin:
    start = time.perf_counter()
    for _ in range(steps):
      step()
    print((time.perf_counter() - start) / steps, flush=True)


if __name__ == '__main__':
  main()
