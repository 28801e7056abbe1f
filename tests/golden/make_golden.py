"""Makes the reference arrays of the parity tests with PyTorch.

  pip install torch==2.13.0 numpy
  python tests/golden/make_golden.py          # writes tests/golden/*.npz
  python tests/golden/make_golden.py --check  # makes them again; exit code 1 if they differ

The references are the published networks with PyTorch's own layers: the Yandex one, plus a padding
mask, the SpectrogramCNN of Music-Predictor with its attention variant, the network of Freesound
2018 with its front end, the attention VAE of PRESSED/PLAY, also with attention over all places, and
musicnn. They are computed in float64 and stored in float32: the arrays are then true to float32's
last digits on every machine, and an error found against them is that of the implementation under
test. Weights and inputs are rounded to float32 before use. Sizes are the smallest that tell every
axis apart.
"""

import argparse
import collections
import functools
import itertools
import pathlib
import sys
import tempfile

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

FOLDER = pathlib.Path(__file__).parent
WIDTH, HEADS, MLP, HEAD_DIM, CLASSES = 16, 4, 32, 24, 10
CHANNELS = (4, 6, 8)
LATENT, TARGETS = 5, 3
BRANCHES = ((7, 5, 5), (5, 3, 3), (3, 3, 3), (1,))
LENGTHS = (13, 9, 1, 5, 13, 2)
TIME = 13
TOLERANCE = 1e-6  # max|a - b| / max|b|: some ulps of the float32 that the arrays are stored in


class Network(nn.Module):
  """The published network, batch first, dropout off."""

  def __init__(self):
    super().__init__()
    layer = nn.TransformerEncoderLayer(WIDTH, HEADS, MLP, dropout=0.0, batch_first=True)
    self.encoder = nn.ModuleList([layer])
    self.branches = nn.ModuleList(
      nn.ModuleList(nn.Conv1d(WIDTH, WIDTH, taps, padding='same') for taps in kernels)
      for kernels in BRANCHES
    )
    self.head = nn.ModuleList(
      [nn.Linear(len(BRANCHES) * WIDTH, HEAD_DIM), nn.Linear(HEAD_DIM, HEAD_DIM)]
    )
    self.head_norm = nn.ModuleList(nn.BatchNorm1d(HEAD_DIM) for _ in range(2))
    self.logits = nn.Linear(HEAD_DIM, CLASSES)

  def forward(self, inputs, lengths):
    """Returns the arrays of every stage; `logits` is the last."""
    mask = torch.arange(inputs.shape[1]) < lengths[:, None]
    stages = {'encoded': self.encoder[0](inputs, src_key_padding_mask=~mask)}
    pooled = []
    for b, branch in enumerate(self.branches):
      x = stages['encoded'].transpose(1, 2)
      for conv in branch:
        x = F.relu(conv(x * mask[:, None]))
      stages[f'branch_{b}'] = x.transpose(1, 2)
      pooled.append(x.masked_fill(~mask[:, None], -torch.inf).amax(2))
    x = stages['pooled'] = torch.cat(pooled, 1)
    for linear, norm in zip(self.head, self.head_norm, strict=True):
      x = norm(F.relu(linear(x)))
    stages['head'] = x
    stages['logits'] = self.logits(x)
    return stages


class ChannelAttention(nn.Module):
  def __init__(self, width):
    super().__init__()
    hidden = max(width // 16, 4)
    self.down = nn.Linear(width, hidden, bias=False)
    self.up = nn.Linear(hidden, width, bias=False)

  def forward(self, x):
    scores = [self.up(F.relu(self.down(pooled))) for pooled in (x.mean((2, 3)), x.amax((2, 3)))]
    return x * torch.sigmoid(sum(scores))[:, :, None, None]


class SpatialAttention(nn.Module):
  def __init__(self):
    super().__init__()
    self.conv = nn.Conv2d(2, 1, 7, padding=3, bias=False)

  def forward(self, x):
    pooled = torch.stack([x.mean(1), x.amax(1)], 1)
    return x * torch.sigmoid(self.conv(pooled))


class SpectrogramNetwork(nn.Module):
  """The published network on images [batch, 1, mel, time], standardised; dropout off."""

  def __init__(self, pool, attention):
    super().__init__()
    self.block = nn.ModuleList()
    for before, width in itertools.pairwise((1, *CHANNELS)):
      layers = {}
      for i, channels in enumerate((before, width)):
        layers[f'conv_{i}'] = nn.Conv2d(channels, width, 3, padding='same', bias=False)
        layers[f'norm_{i}'] = nn.BatchNorm2d(width)
        layers[f'relu_{i}'] = nn.ReLU()
      if attention:
        layers |= {'channel': ChannelAttention(width), 'spatial': SpatialAttention()}
      self.block.append(
        nn.Sequential(collections.OrderedDict(layers | {'pool': nn.MaxPool2d(pool)}))
      )
    self.head = nn.Linear(CHANNELS[-1], HEAD_DIM)
    self.head_norm = nn.BatchNorm1d(HEAD_DIM)
    self.logits = nn.Linear(HEAD_DIM, CLASSES)

  def forward(self, inputs):
    x = inputs.transpose(1, 2)[:, None]
    x = (x - x.mean((2, 3), keepdim=True)) / x.std((2, 3), keepdim=True, correction=0)
    for block in self.block:
      x = block(x)
    x = F.relu(self.head_norm(self.head(x.mean((2, 3)))))
    return self.logits(x)


class CoverNetwork(nn.Module):
  """The published attention VAE on pictures [batch, height, width, 3]; `noise` draws the code."""

  def __init__(self, attention, size):
    super().__init__()
    widths = itertools.pairwise((3, *CHANNELS))
    convs = (nn.Conv2d(before, width, 4, stride=2, padding=1) for before, width in widths)
    self.convs = nn.ModuleList(convs)
    self.score = nn.Conv2d(CHANNELS[-1], 1, 1)
    self.attention = attention
    features = CHANNELS[-1] * np.prod(size) // 4 ** len(CHANNELS)
    self.mean, self.log_var = nn.Linear(features, LATENT), nn.Linear(features, LATENT)
    self.outputs = nn.Linear(LATENT, TARGETS)

  def forward(self, inputs, noise=0.0):
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    x = ((inputs / 255 - mean) / std).permute(0, 3, 1, 2)
    for conv in self.convs:
      x = F.relu(conv(x))
    score = self.score(x)
    if self.attention == 'column':
      attention = score.softmax(2)
    else:
      attention = score.flatten(1).softmax(1).view_as(score) * score[0].numel()
    x = (x * attention).flatten(1)
    stages = {'attention': attention[:, 0], 'mean': self.mean(x), 'log_var': self.log_var(x)}
    code = stages['mean'] + (stages['log_var'] / 2).exp() * noise
    return stages | {'outputs': self.outputs(code)}


class AmplitudePhaseNetwork(nn.Module):
  """The published Freesound network on waveforms [batch, samples]; dropout off.

  TensorFlow's BatchNorm without a scale is PyTorch's without parameters, and a bias behind it.
  """

  def __init__(self):
    super().__init__()
    pairs = list(itertools.pairwise((2, *CHANNELS)))
    self.conv = nn.ModuleList(
      nn.Conv2d(before, width, (11, 3), padding=(5, 1), bias=False) for before, width in pairs
    )
    self.norm = nn.ModuleList(
      nn.BatchNorm2d(width, eps=1e-3, momentum=0.001, affine=False) for _, width in pairs
    )
    for norm in self.norm:
      norm.bias = nn.Parameter(torch.zeros(norm.num_features))
    self.logits = nn.Linear(CHANNELS[-1], CLASSES)

  def forward(self, audio):
    frames = audio.unfold(1, 400, 160) * torch.hann_window(400, dtype=audio.dtype)
    spectrum = torch.fft.rfft(frames, 512).transpose(1, 2)
    # Of silence, the FFT gives zeros of either sign, whose angles are 0 and pi.
    angle = torch.where(spectrum.abs() > 0, spectrum.angle(), 0.0)
    x = torch.stack([torch.log1p(spectrum.abs()), angle / torch.pi], 1)
    for conv, norm in zip(self.conv, self.norm, strict=True):
      normed = F.batch_norm(
        conv(x),
        norm.running_mean,
        norm.running_var,
        None,
        norm.bias,
        norm.training,
        norm.momentum,
        norm.eps,
      )
      x = F.max_pool2d(F.relu(normed), 2)
    return self.logits(x.mean((2, 3)))


class MusicNetwork(nn.Module):
  """musicnn on scaled decibels [batch, time, mel], of 12 bands; dropout off."""

  def __init__(self, timbral=((5, 3), (8, 3)), temporal=((6, 2), (3, 2)), width=4, head_dim=6):
    super().__init__()
    front = sum(channels for _, channels in (*timbral, *temporal))

    def norm(kind, features):
      return kind(features, eps=1e-3, momentum=0.01)

    self.input_norm = norm(nn.BatchNorm2d, 1)
    self.timbral = nn.ModuleList(
      nn.ModuleDict({'conv': nn.Conv2d(1, n, (bands, 7)), 'norm': norm(nn.BatchNorm2d, n)})
      for bands, n in timbral
    )
    self.temporal = nn.ModuleList(
      nn.ModuleDict({'conv': nn.Conv2d(1, n, (1, frames)), 'norm': norm(nn.BatchNorm2d, n)})
      for frames, n in temporal
    )
    self.time = nn.ModuleList(
      nn.ModuleDict(
        {'conv': nn.Conv1d(n, width, 7, padding='same'), 'norm': norm(nn.BatchNorm1d, width)}
      )
      for n in (front, width, width)
    )
    self.pooled_norm = norm(nn.BatchNorm1d, 2 * (front + 3 * width))
    self.head = nn.Linear(2 * (front + 3 * width), head_dim)
    self.head_norm = norm(nn.BatchNorm1d, head_dim)
    self.logits = nn.Linear(head_dim, CLASSES)

  def forward(self, inputs):
    power = 10 ** ((150 * inputs - 100) / 10)
    x = self.input_norm(torch.log10(1 + 10_000 * power).transpose(1, 2)[:, None])
    front = []
    for filters in (*self.timbral, *self.temporal):
      frames = filters.conv.kernel_size[1]
      padded = F.pad(x, ((frames - 1) // 2, frames // 2))
      front.append(filters.norm(F.relu(filters.conv(padded))).amax(2))
    stages = [torch.cat(front, 1)]
    for i, layer in enumerate(self.time):
      y = layer.norm(F.relu(layer.conv(stages[-1])))
      stages.append(stages[-1] + y if i else y)
    x = torch.cat(stages, 1)
    x = self.pooled_norm(torch.cat([x.amax(2), x.mean(2)], 1))
    return self.logits(self.head_norm(F.relu(self.head(x))))


def rounded(array):
  return torch.from_numpy(np.asarray(array, np.float32).astype(np.float64))


def make_network(rng, kind=Network, **sizes):
  """A network whose every array is random: PyTorch's zeros and ones would hide a mix-up."""
  torch.manual_seed(0)
  network = kind(**sizes).double()
  with torch.no_grad():
    for name, array in [*network.named_parameters(), *network.named_buffers()]:
      if name.endswith('running_var'):
        array.copy_(rounded(rng.uniform(0.5, 1.5, array.shape)))
      elif array.is_floating_point():
        array.copy_(rounded(array.numpy() + 0.1 * rng.normal(size=array.shape)))
  return network


def make_batch(rng, *leading):
  inputs = rounded(rng.normal(size=(*leading, len(LENGTHS), TIME, WIDTH)))
  labels = rounded(rng.random((*leading, len(LENGTHS), CLASSES)) < 0.3)
  return inputs, torch.tensor(LENGTHS), labels


def prefixed(prefix, arrays):
  """Arrays under `prefix/name`; BatchNorm's count of batches, which nothing uses, is left out."""
  return {
    f'{prefix}/{name}': array.detach().clone()
    for name, array in arrays.items()
    if 'num_batches_tracked' not in name
  }


def make_forward(rng):
  """Every stage in evaluation; in training logits, loss, gradients and statistics after it."""
  network = make_network(rng)
  inputs, lengths, labels = make_batch(rng)
  arrays = {'inputs': inputs, 'lengths': lengths, 'labels': labels}
  arrays |= prefixed('state', network.state_dict())
  with torch.no_grad():
    arrays |= prefixed('eval', network.eval()(inputs, lengths))
  network.train()
  logits = network(inputs, lengths)['logits']
  loss = F.binary_cross_entropy_with_logits(logits, labels)
  loss.backward()
  arrays |= {'train/logits': logits, 'train/loss': loss}
  arrays |= prefixed('grad', {name: p.grad for name, p in network.named_parameters()})
  arrays |= prefixed('after', dict(network.named_buffers()))
  return arrays


def make_adamw(rng, steps=10, accumulate=2, steps_per_epoch=2):
  """Updates by AdamW with PyTorch's defaults, each on the mean gradient of two micro-batches."""
  network = make_network(rng).train()
  inputs, lengths, labels = make_batch(rng, steps, accumulate)
  arrays = {'inputs': inputs, 'lengths': lengths, 'labels': labels}
  arrays |= prefixed('state', network.state_dict())
  optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4)
  schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.97)
  losses = torch.zeros(steps, dtype=torch.float64)
  for step in range(steps):
    optimizer.zero_grad()
    for micro in range(accumulate):
      logits = network(inputs[step, micro], lengths)['logits']
      loss = F.binary_cross_entropy_with_logits(logits, labels[step, micro]) / accumulate
      loss.backward()
      losses[step] += loss.detach()
    if step == 0:
      arrays |= prefixed('first_grad', {name: p.grad for name, p in network.named_parameters()})
    optimizer.step()
    if (step + 1) % steps_per_epoch == 0:
      schedule.step()
  arrays['losses'] = losses
  return arrays | prefixed('final', network.state_dict())


def make_spectrogram(rng, shape, **sizes):
  """Logits in evaluation; in training logits, loss, gradients and statistics after it."""
  network = make_network(rng, SpectrogramNetwork, **sizes)
  inputs = rounded(5 * rng.normal(size=shape) - 30)
  with torch.no_grad():
    # Else all maxima are above zero, where no shift outlives the head's norm.
    network.block[-1].norm_1.bias += 0.5 - torch.arange(CHANNELS[-1]) / 4
    # Statistics far from the batch's would leave nothing of the inputs.
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]
    for norm in norms:
      norm.momentum = 1.0
    network.train()(inputs)
    for norm in norms:
      norm.momentum = 0.1
      norm.running_mean.copy_(rounded(norm.running_mean * rng.uniform(0.8, 1.2)))
      norm.running_var.copy_(rounded(norm.running_var * rng.uniform(0.5, 1.5)))
  labels = rounded(rng.random((len(inputs), CLASSES)) < 0.3)
  arrays = {'inputs': inputs, 'labels': labels} | prefixed('state', network.state_dict())
  with torch.no_grad():
    arrays['eval/logits'] = network.eval()(inputs)
  logits = network.train()(inputs)
  loss = F.binary_cross_entropy_with_logits(logits, labels)
  loss.backward()
  arrays |= {'train/logits': logits, 'train/loss': loss}
  gradients = {name: p.grad for name, p in network.named_parameters()}
  del gradients['head.bias']  # BatchNorm takes it away: zero, but for rounding.
  arrays |= prefixed('grad', gradients)
  return arrays | prefixed('after', dict(network.named_buffers()))


def make_attention_vae(rng, attention, size=(16, 24)):
  """Stages in evaluation; in training outputs with given noise, loss and gradients."""
  network = make_network(rng, CoverNetwork, attention=attention, size=size)
  inputs = rounded(rng.integers(0, 256, (5, *size, 3)))
  labels, noise = rounded(rng.normal(size=(5, TARGETS))), rounded(rng.normal(size=(5, LATENT)))
  with torch.no_grad():
    network.score.weight *= 4.0  # Else attention would be almost even.
  arrays = {'inputs': inputs, 'labels': labels, 'noise': noise}
  arrays |= prefixed('state', network.state_dict())
  with torch.no_grad():
    arrays |= prefixed('eval', network(inputs))
  stages = network(inputs, noise)
  mean, log_var = stages['mean'], stages['log_var']
  kl = -0.5 * (1 + log_var - mean**2 - log_var.exp()).sum()
  loss = (F.mse_loss(stages['outputs'], labels, reduction='sum') + kl) / len(inputs)
  loss.backward()
  arrays |= {'train/outputs': stages['outputs'], 'train/kl': kl / len(inputs), 'train/loss': loss}
  return arrays | prefixed('grad', {name: p.grad for name, p in network.named_parameters()})


def make_amplitude_phase(rng, samples=2000, lengths=(1900, 4000, 2717)):
  """Logits of recordings one by one; of crops logits, loss, gradients and statistics after it."""
  network = make_network(rng, AmplitudePhaseNetwork)
  # 16-bit integers, a clip with silence in it; of noise no phase depends on rounding.
  stored = np.round(3000 * rng.normal(size=(4, max(lengths)))).astype(np.int32)
  stored[1, 500:1400] = 0
  audio = torch.from_numpy(stored).double() / 32767
  labels = F.one_hot(torch.tensor([1, 3, 3, 7]), CLASSES).double()
  arrays = {'inputs': torch.from_numpy(stored), 'lengths': torch.tensor(lengths), 'labels': labels}
  arrays['samples'] = torch.tensor(samples)
  arrays |= prefixed('state', network.state_dict())
  network.eval()
  with torch.no_grad():
    logits = [network(clip[None, :length]) for clip, length in zip(audio, lengths, strict=False)]
    arrays['eval/logits'] = torch.cat(logits)
  logits = network.train()(audio[:, :samples])
  loss = F.cross_entropy(logits, labels)
  loss.backward()
  arrays |= {'train/logits': logits, 'train/loss': loss}
  arrays |= prefixed('grad', {name: p.grad for name, p in network.named_parameters()})
  return arrays | prefixed('after', dict(network.named_buffers()))


def make_musicnn(rng, lengths=(23, 17, 9)):
  """Logits of clips one by one; of a batch logits, loss, gradients and statistics after it."""
  network = make_network(rng, MusicNetwork)
  inputs = rounded(rng.uniform(0.2, 0.7, (6, max(lengths), 12)))
  labels = rounded(rng.random((len(inputs), CLASSES)) < 0.3)
  arrays = {'inputs': inputs, 'lengths': torch.tensor(lengths), 'labels': labels}
  arrays |= prefixed('state', network.state_dict())
  network.eval()
  with torch.no_grad():
    logits = [network(clip[None, :length]) for clip, length in zip(inputs, lengths, strict=False)]
    arrays['eval/logits'] = torch.cat(logits)
  logits = network.train()(inputs)
  loss = F.binary_cross_entropy_with_logits(logits, labels)
  loss.backward()
  arrays |= {'train/logits': logits, 'train/loss': loss}
  gradients = {name: p.grad for name, p in network.named_parameters()}
  del gradients['time.2.norm.bias']  # BatchNorm of what is pooled takes it away.
  arrays |= prefixed('grad', gradients)
  return arrays | prefixed('after', dict(network.named_buffers()))


def asymmetric(logits, labels, gamma_neg, gamma_pos, clip):
  """Ridnik et al. 2021 for hard labels, term by term as in the paper."""
  p = torch.sigmoid(logits)
  shifted = (p - clip).clamp(min=0)
  positive = (1 - p).pow(gamma_pos).detach() * torch.log(p)
  negative = shifted.pow(gamma_neg).detach() * torch.log(1 - shifted)
  return -torch.where(labels > 0.5, positive, negative).mean(1)


def focal(logits, labels, gamma_pos, gamma_neg, clip=0.0):
  """Lin et al. 2017 term by term, without alpha; p kept from 0 and 1 by `clip`."""
  p = torch.sigmoid(logits).clamp(clip, 1 - clip)
  return -(
    labels * (1 - p).pow(gamma_pos) * torch.log(p)
    + (1 - labels) * p.pow(gamma_neg) * torch.log(1 - p)
  )


def make_losses(rng):
  """Values an example, and gradients of their sum."""
  logits = rounded(3 * rng.normal(size=(7, 9))).requires_grad_()
  hard = rounded(rng.random((7, 9)) < 0.3)
  soft = rounded(rng.random((7, 9)))
  one_hot = F.one_hot(torch.from_numpy(rng.integers(0, 9, 7)), 9).double()
  spread = rounded(rng.dirichlet(np.ones(9), 7))

  support = torch.tensor([40, 3, 1, 7, 25, 2, 9, 12, 0])
  weight = (99 / (9 * support.clamp(min=1))).double()
  weight[-1] = 1.0

  def bce(labels, **kwargs):
    return F.binary_cross_entropy_with_logits(logits, labels, reduction='none', **kwargs).mean(1)

  cases = {
    'bce': (hard, bce(hard)),
    'bce_soft': (soft, bce(soft)),
    'bce_smoothed': (hard, bce(0.9 * hard + 0.05)),
    'bce_weighted': (soft, bce(soft, pos_weight=weight)),
    'focal': (hard, (focal(logits, hard, 2.0, 2.0) * (0.75 - 0.5 * hard)).mean(1)),
    'asymmetric_focal': (soft, focal(logits, soft, 1.0, 4.0, 0.05).mean(1)),
    'asymmetric_focal_unclipped': (hard, focal(logits, hard, 0.5, 3.0).mean(1)),
    'asymmetric': (hard, asymmetric(logits, hard, 4.0, 1.0, 0.05)),
    'asymmetric_unclipped': (hard, asymmetric(logits, hard, 8.0, 0.0, 0.0)),
    'softmax': (one_hot, F.cross_entropy(logits, one_hot, reduction='none')),
    'softmax_soft': (spread, F.cross_entropy(logits, spread, reduction='none')),
    'softmax_smoothed': (
      one_hot,
      F.cross_entropy(logits, one_hot, reduction='none', label_smoothing=0.1),
    ),
  }
  arrays = {'logits': logits, 'support': support}
  for name, (labels, values) in cases.items():
    (gradient,) = torch.autograd.grad(values.sum(), logits, retain_graph=True)
    arrays |= {f'{name}/labels': labels, f'{name}/values': values, f'{name}/gradient': gradient}
  return arrays


def write(folder):
  torch.backends.mha.set_fastpath_enabled(False)  # Evaluation by the same code as training.
  torch.use_deterministic_algorithms(True)
  for name, make in (
    ('conv_transformer', make_forward),
    ('conv_transformer_adamw', make_adamw),
    (
      'spectrogram_cnn',
      functools.partial(make_spectrogram, shape=(6, 31, 56), pool=3, attention=False),
    ),
    (
      'spectrogram_cnn_attention',
      functools.partial(make_spectrogram, shape=(6, 17, 19), pool=2, attention=True),
    ),
    ('attention_vae', functools.partial(make_attention_vae, attention='column')),
    ('attention_vae_image', functools.partial(make_attention_vae, attention='image')),
    ('amplitude_phase_cnn', make_amplitude_phase),
    ('musicnn', make_musicnn),
    ('losses', make_losses),
  ):
    arrays = make(np.random.default_rng(0))
    arrays = {key: array.detach().numpy() for key, array in arrays.items()}
    arrays = {
      key: array.astype(np.float32 if array.dtype == np.float64 else np.int32)
      for key, array in arrays.items()
    }
    np.savez_compressed(folder / f'{name}.npz', **arrays)


def differences(made, kept):
  """Yields a line for each array of the folder `made` that is not what it is in `kept`."""
  for path in sorted(made.glob('*.npz')):
    if not (kept / path.name).exists():
      yield f'{path.name}: missing'
      continue
    new, old = np.load(path), np.load(kept / path.name)
    for name in sorted(set(new.files) ^ set(old.files)):
      yield f'{path.name}: {name}: in one of the two files only'
    for name in sorted(set(new.files) & set(old.files)):
      if new[name].shape != old[name].shape:
        yield f'{path.name}: {name}: shape {old[name].shape}, made again {new[name].shape}'
        continue
      error = np.abs(new[name] - old[name]).max() / max(np.abs(old[name]).max(), 1e-30)
      if not error <= TOLERANCE:
        yield f'{path.name}: {name}: relative difference {error:.1e}'


def main():
  parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
  parser.add_argument('--check', action='store_true', help='compare instead of writing')
  if not parser.parse_args().check:
    write(FOLDER)
    return
  with tempfile.TemporaryDirectory() as folder:
    write(pathlib.Path(folder))
    lines = list(differences(pathlib.Path(folder), FOLDER))
  print('\n'.join(lines) or 'The golden arrays are what PyTorch gives.')
  sys.exit(1 if lines else 0)


if __name__ == '__main__':
  main()
