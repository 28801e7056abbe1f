"""Augmentation on device, a micro-batch at a time: pure functions of (key, batch) to a batch.

They are applied in the order in which they stand in this file: examples are cut, shifted and scaled
each by itself, then mixed, then noise is added, which so keeps its sigma, and masked last, so that
what is masked holds nothing.

A batch is `{'inputs': [batch, time, ...], 'lengths': [batch], 'labels': [batch, classes], ...}`,
where it has them with `weights` `[batch]`. A label of a mixture counts by the weight of the example
that brought it, too. Inputs may be waveforms, `[batch, samples]`: what is said of frames holds for
samples then.
"""

import jax
import jax.numpy as jnp
import numpy as np
import scipy.special

from musicjax.fields import check_name

Batch = dict[str, jax.Array]

_QUANTILES = 4096  # Of a Beta distribution that is drawn from.


def random_crop(key: jax.Array, batch: Batch, *, frames: int) -> Batch:
  """Takes a span of each example's valid frames, its start uniform among those where it fits.

  The inputs become `[batch, frames, ...]`; a shorter example keeps all it has, and its padding.
  Where nothing must see the rest of an example, `config.crop_frames` cuts it before it gets here.

  Args:
    key: random key.
    batch: the micro-batch; see the module.
    frames: that are left of each example; of a waveform, samples.
  """
  inputs, lengths = batch['inputs'], batch['lengths']
  frames = min(frames, inputs.shape[1])
  start = jax.random.randint(key, lengths.shape, 0, jnp.maximum(lengths - frames, 0) + 1)
  cut = jax.vmap(lambda x, first: jax.lax.dynamic_slice_in_dim(x, first, frames))
  return batch | {'inputs': cut(inputs, start), 'lengths': jnp.minimum(lengths, frames)}


def random_length(key: jax.Array, batch: Batch, *, min_share: float) -> Batch:
  """Takes a span of each example's valid frames, of random length.

  The length is uniform in `min_share..1` of the example's own, the start uniform where it fits.
  The shape stays: what is left over becomes padding, of zeros.

  Args:
    key: random key.
    batch: the micro-batch; see the module.
    min_share: of its frames that an example keeps at least; at least one frame is kept.
  """
  share_key, start_key = jax.random.split(key)
  inputs, lengths = batch['inputs'], batch['lengths']
  share = jax.random.uniform(share_key, lengths.shape, minval=min_share, maxval=1.0)
  kept = jnp.clip(jnp.round(share * lengths).astype(lengths.dtype), 1, lengths)
  start = jax.random.randint(start_key, lengths.shape, 0, lengths - kept + 1, lengths.dtype)
  at = jnp.minimum(jnp.arange(inputs.shape[1]) + start[:, None], inputs.shape[1] - 1)
  spans = jax.vmap(lambda x, at: x[at])(inputs, at)
  return batch | {'inputs': jnp.where(_frames(batch, 0, kept), spans, 0.0), 'lengths': kept}


def time_shift(
  key: jax.Array, batch: Batch, *, max_share: float, wrap: bool = True, probability: float = 1.0
) -> Batch:
  """Moves each example's valid frames to later or to earlier times.

  The shift is uniform in `+-max_share` of the example's own length, in whole frames.

  Args:
    key: random key.
    batch: the micro-batch; see the module.
    max_share: of the length that is the largest shift.
    wrap: what leaves at one end comes in at the other; else zeros do.
    probability: that an example is shifted at all.
  """
  shift_key, chance_key = jax.random.split(key)
  inputs, lengths = batch['inputs'], batch['lengths']
  most = jnp.floor(max_share * lengths).astype(lengths.dtype)
  shift = jax.random.randint(shift_key, lengths.shape, -most, most + 1, lengths.dtype)
  shift = jnp.where(jax.random.bernoulli(chance_key, probability, lengths.shape), shift, 0)

  place = jnp.arange(inputs.shape[1])
  source = place - shift[:, None]  # [batch, time]
  valid = place < lengths[:, None]
  source = jnp.where(valid, source % lengths[:, None], place)
  shifted = jax.vmap(lambda x, at: x[at])(inputs, source)
  if not wrap:
    stayed = _frames(batch, shift, lengths + shift) | ~_frames(batch, 0, lengths)
    shifted = jnp.where(stayed, shifted, 0.0)
  return batch | {'inputs': shifted}


def gain(key: jax.Array, batch: Batch, *, max_db: float, probability: float = 1.0) -> Batch:
  """Makes waveforms, or spectrograms of amplitude, louder or quieter.

  The factor is `10^(g / 20)`, g uniform in `+-max_db` an example. Nothing is clipped. For decibels
  there is `brightness_contrast`.

  Args:
    key: random key.
    batch: the micro-batch; see the module.
    max_db: the largest change, in decibels.
    probability: that an example is changed at all.
  """
  gain_key, chance_key = jax.random.split(key)
  inputs, size = batch['inputs'], batch['lengths'].shape
  decibels = jax.random.uniform(gain_key, size, inputs.dtype, -max_db, max_db)
  decibels = jnp.where(jax.random.bernoulli(chance_key, probability, size), decibels, 0.0)
  factor = (10.0 ** (decibels / 20)).reshape(size + (1,) * (inputs.ndim - 1))
  return batch | {'inputs': jnp.where(_frames(batch, 0, batch['lengths']), factor * inputs, inputs)}


def mixup(key: jax.Array, batch: Batch, *, alpha: float, probability: float = 1.0) -> Batch:
  """Adds another example of the micro-batch, frame by frame (Zhang et al. 2018).

  Inputs and weights become `w x + (1 - w) partner`, w from Beta(alpha, alpha) an example, and so do
  labels, where weights are equal. The result is as long as the longer of the two; beyond its end
  the shorter one contributes zeros.

  Args:
    key: random key.
    batch: the micro-batch; see the module.
    alpha: of the Beta distribution: 0.2 mostly one of the two, 1 uniform, more nearer to halves.
    probability: that an example is mixed at all.
  """
  weight_key, chance_key, partner_key = jax.random.split(key, 3)
  size = batch['lengths'].shape
  partner = jax.random.permutation(partner_key, size[0])
  mixed = jax.random.bernoulli(chance_key, probability, size)
  own = jnp.where(mixed, _beta(weight_key, alpha, size), 1.0)

  lengths = batch['lengths']
  inputs = jnp.where(_frames(batch, 0, lengths), batch['inputs'], 0.0)
  return batch | {
    **_mix_targets(own, batch, partner),
    'inputs': _blend(own, inputs, inputs[partner]),
    'lengths': jnp.where(mixed, jnp.maximum(lengths, lengths[partner]), lengths),
  }


def cutmix_time(key: jax.Array, batch: Batch, *, alpha: float, probability: float = 1.0) -> Batch:
  """Replaces a span of frames by the same span of another example (Yun et al. 2019, over time).

  The span lies where both are valid, and takes a share from Beta(alpha, alpha) of those frames.
  Weights are mixed by the share of the example's valid frames that come from each, and so are
  labels, where weights are equal.

  Args:
    key: random key.
    batch: the micro-batch; see the module.
    alpha: of the Beta distribution; see `mixup`.
    probability: that an example is cut at all.
  """
  share_key, chance_key, start_key, partner_key = jax.random.split(key, 4)
  size = batch['lengths'].shape
  partner = jax.random.permutation(partner_key, size[0])
  cut = jax.random.bernoulli(chance_key, probability, size)
  share = jnp.where(cut, _beta(share_key, alpha, size), 0.0)

  inputs, lengths = batch['inputs'], batch['lengths']
  common = jnp.minimum(lengths, lengths[partner])
  span = jnp.round(share * common).astype(lengths.dtype)
  start = jax.random.randint(start_key, size, 0, common - span + 1, lengths.dtype)
  return batch | {
    **_mix_targets(1 - span / lengths, batch, partner),
    'inputs': jnp.where(_frames(batch, start, start + span), inputs[partner], inputs),
  }


def brightness_contrast(
  key: jax.Array, batch: Batch, *, brightness: float, contrast: float, probability: float = 0.8
) -> Batch:
  """Jitters spectrograms as images: `x b`, then `mean + c (x - mean)`, each clamped to 0..1.

  Expects `[batch, time, mel]` in 0..1 (decibels mapped to 0..1, or grey levels), *before* they are
  standardised: standardised values would lose their negative half to the clamp. A later
  standardisation of each example undoes both factors, and the clamp is what remains. b is uniform
  in `1 +- brightness`, c in `1 +- contrast`, neither below 0; the mean is of the valid frames.

  Args:
    key: random key.
    batch: the micro-batch; see the module.
    brightness: the most that b differs from 1.
    contrast: the most that c differs from 1.
    probability: that an example is jittered at all.
  """
  bright_key, contrast_key, chance_key = jax.random.split(key, 3)
  inputs, shape = batch['inputs'], (batch['inputs'].shape[0], 1, 1)

  def factor(key, most):
    return jax.random.uniform(key, shape, inputs.dtype, max(1 - most, 0), 1 + most)

  x = jnp.clip(factor(bright_key, brightness) * inputs, 0, 1)
  mean = _valid_mean(batch | {'inputs': x})
  x = jnp.clip(mean + factor(contrast_key, contrast) * (x - mean), 0, 1)
  jittered = jax.random.bernoulli(chance_key, probability, shape)
  return batch | {'inputs': jnp.where(jittered & _frames(batch, 0, batch['lengths']), x, inputs)}


def gaussian_noise(
  key: jax.Array, batch: Batch, *, sigma: float, on_padding: bool = False
) -> Batch:
  """Adds normal noise to the valid frames.

  Args:
    key: random key.
    batch: the micro-batch; see the module.
    sigma: standard deviation, in the unit of the inputs.
    on_padding: True puts a published fault back, and adds it to padding, too.
  """
  inputs = batch['inputs']
  noise = sigma * jax.random.normal(key, inputs.shape, inputs.dtype)
  noisy = _frames(batch, 0, batch['lengths']) | on_padding
  return batch | {'inputs': jnp.where(noisy, inputs + noise, inputs)}


def spec_augment(
  key: jax.Array,
  batch: Batch,
  *,
  time_width: int,
  mel_width: int,
  time_masks: int = 2,
  mel_masks: int = 2,
  time_share: float = 1.0,
  fill: str = 'mean',
) -> Batch:
  """Masks spans of frames and of mel bands (Park et al. 2019, without time warping).

  A span's width is uniform in `0..time_width` or `0..mel_width`, and its place uniform where it
  fits, among the valid frames.

  Args:
    key: random key.
    batch: the micro-batch, inputs `[batch, time, mel]`; see the module.
    time_width: the most frames a span may have.
    mel_width: the most bands a span may have.
    time_masks: spans of frames an example.
    mel_masks: spans of bands an example.
    time_share: the most of an example's frames that a span may have.
    fill: 'mean' of the example's valid frames, or 'zero'.

  Raises:
    ConfigError: for another `fill`.
  """
  time_key, mel_key = jax.random.split(key)
  lengths, (size, _, mel) = batch['lengths'], batch['inputs'].shape
  bands = jnp.full(size, mel, lengths.dtype)
  masked = jnp.zeros((), bool)
  for one in jax.random.split(time_key, time_masks):
    widest = jnp.minimum(time_width, jnp.floor(time_share * lengths).astype(lengths.dtype))
    masked |= _frames(batch, *_span(one, widest, lengths))
  for one in jax.random.split(mel_key, mel_masks):
    masked |= _bands(batch, *_span(one, jnp.minimum(mel_width, bands), bands))
  return _fill(batch, masked, fill, 'spec_augment')


def random_erasing(
  key: jax.Array,
  batch: Batch,
  *,
  probability: float = 0.8,
  min_area: float = 0.02,
  max_area: float = 0.5,
  max_ratio: float = 3.3,
  fill: str = 'zero',
) -> Batch:
  """Erases a rectangle of each example's valid frames (Zhong et al. 2020).

  Its share of the area is uniform, the ratio of its frames to its bands log-uniform; a rectangle
  longer or wider than the example is made to fit with its area kept.

  Args:
    key: random key.
    batch: the micro-batch, inputs `[batch, time, mel]`; see the module.
    probability: that an example is erased from at all.
    min_area: the smallest share of the area.
    max_area: the largest share of the area, at most 1.
    max_ratio: of the longer side to the other.
    fill: 'mean' of the example's valid frames, or 'zero'.

  Raises:
    ConfigError: for another `fill`.
  """
  area_key, ratio_key, time_key, mel_key, chance_key = jax.random.split(key, 5)
  lengths, (size, _, mel) = batch['lengths'], batch['inputs'].shape
  area = jax.random.uniform(area_key, (size,), minval=min_area, maxval=max_area) * lengths * mel
  ratio = max_ratio ** jax.random.uniform(ratio_key, (size,), minval=-1.0, maxval=1.0)
  long = jnp.clip(jnp.sqrt(area * ratio), area / mel, lengths)
  frames = jnp.clip(jnp.round(long).astype(lengths.dtype), 1, lengths)
  bands = jnp.clip(jnp.round(area / long).astype(lengths.dtype), 1, mel)
  start = jax.random.randint(time_key, (size,), 0, lengths - frames + 1, lengths.dtype)
  lowest = jax.random.randint(mel_key, (size,), 0, mel - bands + 1, lengths.dtype)
  erased = jax.random.bernoulli(chance_key, probability, (size, 1, 1))
  erased &= _frames(batch, start, start + frames) & _bands(batch, lowest, lowest + bands)
  return _fill(batch, erased, fill, 'random_erasing')


AUGMENTS = {
  augment.__name__: augment
  for augment in (
    random_crop,
    random_length,
    time_shift,
    gain,
    mixup,
    cutmix_time,
    brightness_contrast,
    gaussian_noise,
    spec_augment,
    random_erasing,
  )
}


def _beta(key: jax.Array, alpha: float, shape: tuple[int, ...]) -> jax.Array:
  """Beta(alpha, alpha), as one of its quantiles, which are equally likely.

  `jax.random.beta` draws by nested loops, which take XLA on CPU a second to compile.
  """
  levels = (np.arange(_QUANTILES) + 0.5) / _QUANTILES
  quantiles = scipy.special.betaincinv(alpha, alpha, levels).astype(np.float32)
  return jnp.asarray(quantiles)[jax.random.randint(key, shape, 0, _QUANTILES)]


def _frames(batch: Batch, start, stop) -> jax.Array:
  """True on frames `start..stop-1` (`[batch]` or numbers), as `[batch, time, 1, ...]`."""
  mask = _between(batch['inputs'].shape[1], start, stop)
  return mask.reshape(mask.shape + (1,) * (batch['inputs'].ndim - 2))


def _bands(batch: Batch, start, stop) -> jax.Array:
  """True on mel bands `start..stop-1` (`[batch]`), as `[batch, 1, mel]`."""
  return _between(batch['inputs'].shape[2], start, stop)[:, None]


def _between(size: int, start, stop) -> jax.Array:
  place = jnp.arange(size)
  return (place >= jnp.asarray(start)[..., None]) & (place < jnp.asarray(stop)[..., None])


def _span(key: jax.Array, widest: jax.Array, size: jax.Array) -> tuple[jax.Array, jax.Array]:
  """Start and stop `[batch]` of a span of 0..`widest` within `size`, both `[batch]`."""
  width_key, start_key = jax.random.split(key)
  width = jax.random.randint(width_key, size.shape, 0, widest + 1, size.dtype)
  start = jax.random.randint(start_key, size.shape, 0, size - width + 1, size.dtype)
  return start, start + width


def _valid_mean(batch: Batch) -> jax.Array:
  """Mean of an example's valid frames, `[batch, 1, 1]` of inputs `[batch, time, mel]`."""
  valid = _frames(batch, 0, batch['lengths'])
  return batch['inputs'].mean(axis=(1, 2), where=valid, keepdims=True)


def _fill(batch: Batch, masked: jax.Array, fill: str, name: str) -> Batch:
  """Fills what is masked, `[batch, time, mel]`, in the valid frames."""
  check_name(f'config.augment.{name}.fill', fill, ('mean', 'zero'))
  value = _valid_mean(batch) if fill == 'mean' else 0.0
  masked &= _frames(batch, 0, batch['lengths'])
  return batch | {'inputs': jnp.where(masked, value, batch['inputs'])}


def _mix_targets(own: jax.Array, batch: Batch, partner: jax.Array) -> Batch:
  """Labels and weights where each example keeps the share `own` `[batch]` of itself.

  Losses are linear in labels: mixed by share and weight, each label costs what it would alone.
  """
  if 'weights' not in batch:
    return {'labels': _blend(own, batch['labels'], batch['labels'][partner])}
  weights = _blend(own, batch['weights'], batch['weights'][partner])
  by_weight = jnp.where(weights > 0, own * batch['weights'] / weights, own)
  labels = _blend(by_weight, batch['labels'], batch['labels'][partner])
  return {'labels': labels, 'weights': weights}


def _blend(own: jax.Array, x: jax.Array, other: jax.Array) -> jax.Array:
  """`own x + (1 - own) other` with one weight an example."""
  own = own.reshape(own.shape + (1,) * (x.ndim - 1))
  return own * x + (1 - own) * other
