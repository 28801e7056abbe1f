"""Networks in PyTorch, under the names that our weights have; PyTorch and NumPy only.

They are the published ones, and that of `configs/freesound.py` beside its baseline. Their sizes are
the defaults of `musicjax.models` or of the config, and their losses those of the configs.
"""

import itertools

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F


class Network(nn.Module):
  """What networks may have of their own."""

  NAMES = ()  # Parts of our names -> PyTorch's.
  DECAY, CLIP_NORM = 0.0, 0.0
  FIXED = ('running', 'tracked')  # Parts of the names of what is not learned.
  layout = torch.contiguous_format


class Yandex(Network):
  """Of `configs/yandex.py:baseline`, [batch, time, width]; all frames are valid."""

  NAMES = (('attention.in_proj.', 'self_attn.in_proj_'), ('attention.', 'self_attn.'))
  RATE, DECAY = 1e-4, 1e-2
  BRANCHES, MLP_DIM, HEAD_DIM = ((7, 5, 5), (5, 3, 3), (3, 3, 3), (1,)), 2048, 768

  def __init__(self, batch, dropout):
    super().__init__()
    width, classes = batch['inputs'].shape[-1], batch['labels'].shape[-1]
    self.encoder_0 = nn.TransformerEncoderLayer(
      width, 4, self.MLP_DIM, dropout * 0.1, batch_first=True
    )
    for b, branch in enumerate(self.BRANCHES):
      for i, taps in enumerate(branch):
        self.add_module(f'branch_{b}_conv_{i}', nn.Conv1d(width, width, taps, padding='same'))
    for i, size in enumerate((len(self.BRANCHES) * width, self.HEAD_DIM)):
      self.add_module(f'head_{i}', nn.Linear(size, self.HEAD_DIM))
      self.add_module(f'head_norm_{i}', nn.BatchNorm1d(self.HEAD_DIM))
    self.logits = nn.Linear(self.HEAD_DIM, classes)
    self.dropout = dropout * 0.5

  def forward(self, x):
    encoded = self.encoder_0(x).transpose(1, 2)
    pooled = []
    for b, branch in enumerate(self.BRANCHES):
      x = encoded
      for i in range(len(branch)):
        x = F.relu(self.get_submodule(f'branch_{b}_conv_{i}')(x))
      pooled.append(x.amax(2))
    x = F.dropout(torch.cat(pooled, 1), self.dropout, self.training)
    for i in range(2):
      x = self.get_submodule(f'head_norm_{i}')(F.relu(self.get_submodule(f'head_{i}')(x)))
    return self.logits(x)

  def loss(self, logits, labels):
    return F.binary_cross_entropy_with_logits(logits, labels)


class SpectrogramCNN(Network):
  """Of `configs/spectrogram_cnn.py:baseline`, [batch, time, mel]; it convolves [mel, time]."""

  RATE, DECAY = 1e-3, 1e-4
  CHANNELS, POOL, HEAD_DIM = (32, 64, 128), 3, 256
  GAMMA_NEG, GAMMA_POS, CLIP = 4.0, 1.0, 0.05

  def __init__(self, batch, dropout):
    super().__init__()
    for block, (before, width) in enumerate(itertools.pairwise((1, *self.CHANNELS))):
      for i, channels in enumerate((before, width)):
        conv = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        self.add_module(f'block_{block}_conv_{i}', conv)
        self.add_module(f'block_{block}_norm_{i}', nn.BatchNorm2d(width))
    self.head = nn.Linear(self.CHANNELS[-1], self.HEAD_DIM)
    self.head_norm = nn.BatchNorm1d(self.HEAD_DIM)
    self.logits = nn.Linear(self.HEAD_DIM, batch['labels'].shape[-1])
    self.dropout = dropout * 0.5

  def forward(self, x):
    x = x.transpose(1, 2)[:, None]
    x = x - x.mean((2, 3), keepdim=True)
    x = x * torch.rsqrt(x.square().mean((2, 3), keepdim=True) + 1e-10)
    x = x.contiguous(memory_format=self.layout)
    for block in range(len(self.CHANNELS)):
      for i in range(2):
        x = self.get_submodule(f'block_{block}_conv_{i}')(x)
        x = F.relu(self.get_submodule(f'block_{block}_norm_{i}')(x), inplace=True)
      x = F.dropout(F.max_pool2d(x, self.POOL), self.dropout, self.training)
    x = F.relu(self.head_norm(self.head(x.mean((2, 3)))))
    return self.logits(F.dropout(x, self.dropout, self.training))

  def loss(self, logits, labels):
    limit = np.log((1 - self.CLIP) / self.CLIP)
    logits = logits.clamp(-limit, limit)
    log_p, log_q = F.logsigmoid(logits), F.logsigmoid(-logits)
    positive = torch.exp(self.GAMMA_POS * log_q) * log_p
    negative = torch.exp(self.GAMMA_NEG * log_p) * log_q
    return -(labels * positive + (1 - labels) * negative).mean()


class AttentionVAE(Network):
  """Of `configs/pressed_play.py:baseline`, [batch, height, width, 3]; it convolves [width, height].

  Gives outputs, and what the code's distribution costs.
  """

  RATE = 1e-3
  CHANNELS, LATENT_DIM = (32, 64, 128), 32

  def __init__(self, batch, dropout):
    super().__init__()
    for i, (before, width) in enumerate(itertools.pairwise((3, *self.CHANNELS))):
      self.add_module(f'conv_{i}', nn.Conv2d(before, width, 4, stride=2, padding=1))
    self.score = nn.Linear(self.CHANNELS[-1], 1)
    size = self.CHANNELS[-1] * batch['inputs'][0, :, :, 0].size // 4 ** len(self.CHANNELS)
    self.mean, self.log_var = (nn.Linear(size, self.LATENT_DIM) for _ in range(2))
    self.outputs = nn.Linear(self.LATENT_DIM, batch['labels'].shape[-1])
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    self.register_buffer('pixel_mean', torch.tensor(mean), persistent=False)
    self.register_buffer('pixel_std', torch.tensor(std), persistent=False)
    self.noise = float(dropout)

  def forward(self, x):
    x = ((x / 255 - self.pixel_mean) / self.pixel_std).permute(0, 3, 2, 1)
    x = x.contiguous(memory_format=self.layout)
    for i in range(len(self.CHANNELS)):
      x = F.relu(self.get_submodule(f'conv_{i}')(x), inplace=True)
    attention = F.conv2d(x, self.score.weight[:, :, None, None], self.score.bias).softmax(3)
    x = (x * attention).permute(0, 3, 2, 1).flatten(1)
    mean, log_var = self.mean(x), self.log_var(x)
    code = mean
    if self.training:
      code = mean + self.noise * torch.exp(log_var / 2) * torch.randn_like(mean)
    kl = -0.5 * (1 + log_var - mean.square() - log_var.exp()).sum()
    return self.outputs(code), kl

  def loss(self, found, labels):
    outputs, kl = found
    return (F.mse_loss(outputs, labels, reduction='sum') + kl) / len(labels)


class Freesound(Network):
  """Of `configs/freesound.py:baseline`, [batch, samples] int16."""

  RATE, CLIP_NORM = 3e-4, 15.0
  FIXED = (*Network.FIXED, 'norm')  # BatchNorm without a scale.

  def __init__(self, batch, dropout):
    super().__init__()
    for b, (before, width) in enumerate(itertools.pairwise((2, 16, 32, 64))):
      self.add_module(f'conv_{b}', nn.Conv2d(before, width, (11, 3), padding=(5, 1), bias=False))
      self.add_module(f'norm_{b}', nn.BatchNorm2d(width, eps=1e-3, momentum=0.001))
      self.get_submodule(f'norm_{b}').weight.requires_grad_(False)
    self.logits = nn.Linear(64, batch['labels'].shape[-1])
    # Frames of 400 samples with zeros behind them, as TensorFlow has them.
    self.register_buffer('window', F.pad(torch.hann_window(400), (0, 112)), persistent=False)
    self.dropout = dropout

  def forward(self, audio):
    audio = F.pad(audio / 32767, (0, 112))
    x = torch.stft(audio, 512, 160, window=self.window, center=False, return_complex=True)
    x = torch.stack([torch.log1p(x.abs()), x.angle() / torch.pi], 1)
    x = x.contiguous(memory_format=self.layout)
    for b in range(3):
      x = self.get_submodule(f'conv_{b}')(F.dropout(x, 0.1 * self.dropout, self.training))
      x = F.max_pool2d(F.relu(self.get_submodule(f'norm_{b}')(x), inplace=True), 2)
    return self.logits(F.dropout(x.mean((2, 3)), 0.2 * self.dropout, self.training))

  def loss(self, logits, labels):
    return F.cross_entropy(logits, labels)


class ResidualBlock(nn.Module):
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


class FreesoundOurs(Network):
  """Of `configs/freesound.py`, [batch, samples] int16; the batch has `mel_basis`, `mean`, `std`."""

  RATE, CLIP_NORM = 1e-3, 1.0

  def __init__(self, batch, dropout):
    super().__init__()
    channels = (1, 16, 32, 32, 64, 64, 128)
    self.input_norm = nn.BatchNorm2d(1)
    for b, pair in enumerate(itertools.pairwise(channels)):
      self.add_module(f'block_{b}', ResidualBlock(*pair))
    self.head = nn.Linear(2 * channels[-1], 128)
    self.head_norm = nn.BatchNorm1d(128)
    self.logits = nn.Linear(128, batch['labels'].shape[-1])
    self.register_buffer('window', torch.hann_window(1024), persistent=False)
    for name in ('mel_basis', 'mean', 'std'):
      self.register_buffer(name, torch.from_numpy(batch[name]), persistent=False)
    self.dropout = dropout * 0.5

  def forward(self, audio):
    x = torch.stft(
      audio / 32767, 1024, 640, window=self.window, pad_mode='constant', return_complex=True
    )
    mel = (x.real.square() + x.imag.square()).transpose(1, 2) @ self.mel_basis
    x = (10 * torch.log10(mel.clamp(min=1e-10)) + 100) / 150  # [batch, time, mel]
    x = ((x - self.mean) / self.std).transpose(1, 2)[:, None]
    x = self.input_norm(x.contiguous(memory_format=self.layout))
    for b in range(6):
      x = F.max_pool2d(self.get_submodule(f'block_{b}')(x), 2, ceil_mode=True)
    x = self.head(torch.cat([x.amax((2, 3)), x.mean((2, 3))], 1))
    x = F.dropout(F.relu(self.head_norm(x)), self.dropout, self.training)
    return self.logits(x)

  def loss(self, logits, labels):
    return F.cross_entropy(logits, labels)


NETWORKS = {
  'yandex': Yandex,
  'spectrogram_cnn': SpectrogramCNN,
  'freesound': Freesound,
  'freesound_ours': FreesoundOurs,
  'pressed_play': AttentionVAE,
}


def create(name, subject, batch, weights, dropout):
  """Returns (step, infer): () -> loss, after an update; () -> None.

  `torch` is eager, `torch_channels_last` in that layout, `torch_compiled` through torch.compile and
  with AdamW in one kernel.
  """
  network = NETWORKS[name](batch, dropout)
  state = {torch_name(name, key): torch.from_numpy(array) for key, array in weights.items()}
  missing, unexpected = network.load_state_dict(state, strict=False)
  assert not unexpected, unexpected
  assert all(any(part in key for part in network.FIXED) for key in missing), missing
  if subject == 'torch_channels_last':
    network.layout = torch.channels_last
    network = network.to(memory_format=network.layout)
  compiled = subject == 'torch_compiled'
  forward = torch.compile(network) if compiled else network
  rate, decay = network.RATE, network.DECAY
  learned = [parameter for parameter in network.parameters() if parameter.requires_grad]
  optimizer = torch.optim.AdamW(learned, rate, weight_decay=decay, fused=compiled)
  inputs, labels = torch.from_numpy(batch['inputs']), torch.from_numpy(batch['labels'])

  def step():
    network.train()
    optimizer.zero_grad()
    loss = network.loss(forward(inputs), labels)
    loss.backward()
    if network.CLIP_NORM:
      nn.utils.clip_grad_norm_(learned, network.CLIP_NORM)
    optimizer.step()
    return loss.item()

  @torch.inference_mode()
  def infer():
    network.eval()
    forward(inputs)

  return step, infer


def torch_name(network, key):
  for ours, theirs in NETWORKS[network].NAMES:
    key = key.replace(ours, theirs)
  return key


def count_flops(step):
  """Returns the floating-point operations of a step's products, as PyTorch counts them."""
  from torch.utils.flop_counter import FlopCounterMode

  with FlopCounterMode(display=False) as counter:
    step()
  return counter.get_total_flops()
