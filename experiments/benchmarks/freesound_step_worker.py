"""Train steps of the Freesound networks in one library, timed in a process of its own.

  python experiments/benchmarks/freesound_step_worker.py NETWORK SUBJECT FOLDER STEPS

NETWORK is `baseline` or `ours`. Reads FOLDER/batch.npz (inputs [batch, samples] int16, labels
[batch, classes], and mean and std [bands], mel_basis [bins, bands] of ours). `musicjax` writes
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

FULL_SCALE = 32767


def make_config(network):
  """Returns the config of a network, with nothing random but dropout, which is not augmentation."""
  from configs import freesound

  config = freesound.get_config({'baseline': 'baseline', 'ours': ''}[network])
  config.augment, config.ema_decay, config.optimizer.schedule = {}, 0.0, 'constant'
  config.optimizer.warmup_steps, config.optimizer.weight_decay = 0, 0.0
  return config


def with_jax(network, batch, folder) -> Callable[[bool], Callable[[], float]]:
  import jax

  jax.config.update('jax_platforms', 'cpu')
  import flax

  from musicjax import sharding, system

  config = make_config(network)
  statistics = {name: batch[name] for name in ('mean', 'std')} if network == 'ours' else {}
  classes = batch['labels'].shape[1]
  dataset = {
    'label_names': range(classes),
    'input_shape': (None,),
    'statistics': statistics,
    'support': [1] * classes,
  }
  mesh = sharding.make_mesh()
  inputs = batch['inputs'].astype(np.float32)
  host = {'inputs': inputs, 'labels': batch['labels']}
  host['lengths'] = np.full(len(inputs), inputs.shape[1], np.int32)
  on_device = sharding.to_global(mesh, {name: x[None] for name, x in host.items()}, 1)
  rates = {name: rate for name, rate in config.model.items() if name.endswith('dropout')}

  def make(dropout):
    config.model.update({name: dropout * rate for name, rate in rates.items()})
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


def with_torch(network, batch, folder, channels_last) -> Callable[[bool], Callable[[], float]]:
  import torch
  from torch import nn
  from torch.nn import functional as F

  layout = torch.channels_last if channels_last else torch.contiguous_format
  classes = batch['labels'].shape[1]

  class Baseline(nn.Module):
    """The published network on waveforms."""

    def __init__(self, dropout):
      super().__init__()
      self.dropout = dropout
      for b, (before, width) in enumerate(itertools.pairwise((2, 16, 32, 64))):
        self.add_module(f'conv_{b}', nn.Conv2d(before, width, (11, 3), padding=(5, 1), bias=False))
        norm = nn.BatchNorm2d(width, eps=1e-3, momentum=0.001)
        norm.weight.requires_grad_(False)
        self.add_module(f'norm_{b}', norm)
      self.logits = nn.Linear(64, classes)
      # Frames of 400 samples with zeros behind them: as TensorFlow takes them.
      self.register_buffer('window', F.pad(torch.hann_window(400), (0, 112)), persistent=False)

    def forward(self, audio):
      spectrum = torch.stft(
        F.pad(audio, (0, 112)), 512, 160, window=self.window, center=False, return_complex=True
      )
      x = torch.stack([torch.log1p(spectrum.abs()), spectrum.angle() / torch.pi], 1)
      x = x.contiguous(memory_format=layout)
      for b in range(3):
        x = F.dropout(x, 0.1 * self.dropout, self.training)
        x = self.get_submodule(f'norm_{b}')(self.get_submodule(f'conv_{b}')(x))
        x = F.max_pool2d(F.relu(x, inplace=True), 2)
      return self.logits(F.dropout(x.mean((2, 3)), 0.2 * self.dropout, self.training))

  class Block(nn.Module):
    def __init__(self, before, width):
      super().__init__()
      self.first_conv = nn.Conv2d(before, width, 3, padding=1, bias=False)
      self.first_norm = nn.BatchNorm2d(width)
      self.second_conv = nn.Conv2d(width, width, 3, padding=1, bias=False)
      self.second_norm = nn.BatchNorm2d(width)
      if before != width:
        self.shortcut_conv = nn.Conv2d(before, width, 1, bias=False)
        self.shortcut_norm = nn.BatchNorm2d(width)

    def forward(self, x):
      y = F.relu(self.first_norm(self.first_conv(x)), inplace=True)
      y = self.second_norm(self.second_conv(y))
      if hasattr(self, 'shortcut_conv'):
        x = self.shortcut_norm(self.shortcut_conv(x))
      return F.relu(x + y, inplace=True)

  class Ours(nn.Module):
    """ShortChunkCNN on the log-mel frames of waveforms."""

    def __init__(self, dropout):
      super().__init__()
      self.dropout = dropout
      channels = (1, 16, 32, 32, 64, 64, 128)
      self.input_norm = nn.BatchNorm2d(1)
      for b, pair in enumerate(itertools.pairwise(channels)):
        self.add_module(f'block_{b}', Block(*pair))
      self.head = nn.Linear(2 * channels[-1], 128)
      self.head_norm = nn.BatchNorm1d(128)
      self.logits = nn.Linear(128, classes)
      for name in ('mean', 'std', 'mel_basis'):
        self.register_buffer(name, torch.from_numpy(batch[name]), persistent=False)
      self.register_buffer('window', torch.hann_window(1024), persistent=False)

    def forward(self, audio):
      spectrum = torch.stft(
        audio, 1024, 640, window=self.window, center=True, pad_mode='constant', return_complex=True
      )
      power = spectrum.real.square() + spectrum.imag.square()
      mel = power.transpose(1, 2) @ self.mel_basis  # [batch, time, mel]
      decibels = (10 * torch.log10(mel.clamp(min=1e-10)) + 100) / 150
      x = ((decibels - self.mean) / self.std).transpose(1, 2)[:, None]
      x = self.input_norm(x.contiguous(memory_format=layout))
      for b in range(6):
        x = F.max_pool2d(self.get_submodule(f'block_{b}')(x), 2, ceil_mode=True)
      x = torch.cat([x.amax((2, 3)), x.mean((2, 3))], 1)
      x = F.relu(self.head_norm(self.head(x)))
      return self.logits(F.dropout(x, 0.5 * self.dropout, self.training))

  inputs = torch.from_numpy(batch['inputs'].astype(np.float32))
  labels = torch.from_numpy(batch['labels'])
  kind, rate, norm = {'baseline': (Baseline, 3e-4, 15.0), 'ours': (Ours, 1e-3, 1.0)}[network]

  def make(dropout):
    module = kind(float(dropout))
    weights = np.load(folder / 'weights.npz', allow_pickle=False)
    missing = module.load_state_dict({k: torch.from_numpy(v) for k, v in weights.items()}, False)
    assert not missing.unexpected_keys
    fixed = ('running', 'tracked') if network == 'ours' else ('running', 'tracked', 'norm')
    assert all(any(word in key for word in fixed) for key in missing.missing_keys)
    module = module.to(memory_format=layout)
    parameters = [p for p in module.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(parameters, rate)

    def step():
      optimizer.zero_grad()
      loss = F.cross_entropy(module(inputs / FULL_SCALE), labels)
      loss.backward()
      nn.utils.clip_grad_norm_(parameters, norm)
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
  network, subject, folder, steps = *sys.argv[1:3], Path(sys.argv[3]), int(sys.argv[4])
  with np.load(folder / 'batch.npz', allow_pickle=False) as batch:
    make = SUBJECTS[subject](network, dict(batch), folder)
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
