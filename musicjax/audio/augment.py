"""Augmentation on device, a micro-batch at a time: pure functions of (key, batch) to a batch.

They are applied in the order in which they stand in this file, which is that of `AUGMENTS`, and not
in the order of the config: examples are mixed first, so that noise keeps its sigma. A new one is a
function here and its name in `AUGMENTS`; its keyword arguments are config fields. Each draws from a
key of its own, derived from its name: switching one on leaves what the others draw as it was.

A batch is `{'inputs': [batch, time, ...], 'lengths': [batch], 'labels': [batch, classes], ...}`.
"""

import inspect
import zlib
from collections.abc import Callable

import jax
import jax.numpy as jnp

from musicjax.errors import ConfigError
from musicjax.fields import check_fields, check_name

Batch = dict[str, jax.Array]


def mixup(key: jax.Array, batch: Batch, *, alpha: float, probability: float = 1.0) -> Batch:
  """Adds another example of the micro-batch, frame by frame (Zhang et al. 2018).

  Inputs and labels become `w x + (1 - w) partner`, w from Beta(alpha, alpha) an example. The result
  is as long as the longer of the two; beyond its end the shorter one contributes zeros.

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
  own = jnp.where(mixed, jax.random.beta(weight_key, alpha, alpha, size), 1.0)

  lengths, labels = batch['lengths'], batch['labels']
  inputs = jnp.where(_frames(batch, 0, lengths), batch['inputs'], 0.0)
  return batch | {
    'inputs': _blend(own, inputs, inputs[partner]),
    'labels': _blend(own, labels, labels[partner]),
    'lengths': jnp.where(mixed, jnp.maximum(lengths, lengths[partner]), lengths),
  }


def cutmix_time(key: jax.Array, batch: Batch, *, alpha: float, probability: float = 1.0) -> Batch:
  """Replaces a span of frames by the same span of another example (Yun et al. 2019, over time).

  The span lies where both are valid, and takes a share from Beta(alpha, alpha) of those frames.
  Labels are mixed by the share of the example's valid frames that come from each.

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
  share = jnp.where(cut, jax.random.beta(share_key, alpha, alpha, size), 0.0)

  inputs, lengths, labels = batch['inputs'], batch['lengths'], batch['labels']
  common = jnp.minimum(lengths, lengths[partner])
  span = jnp.round(share * common).astype(lengths.dtype)
  start = jax.random.randint(start_key, size, 0, common - span + 1, lengths.dtype)
  return batch | {
    'inputs': jnp.where(_frames(batch, start, start + span), inputs[partner], inputs),
    'labels': _blend(1 - span / lengths, labels, labels[partner]),
  }


def gaussian_noise(key: jax.Array, batch: Batch, *, sigma: float) -> Batch:
  """Adds normal noise to the valid frames.

  Args:
    key: random key.
    batch: the micro-batch; see the module.
    sigma: standard deviation, in the unit of the inputs.
  """
  inputs = batch['inputs']
  noise = sigma * jax.random.normal(key, inputs.shape, inputs.dtype)
  return batch | {'inputs': jnp.where(_frames(batch, 0, batch['lengths']), inputs + noise, inputs)}


AUGMENTS = {augment.__name__: augment for augment in (mixup, cutmix_time, gaussian_noise)}


def create(config) -> Callable[[jax.Array, Batch], Batch]:
  """Returns `f(key, batch) -> batch`, which applies what `config.augment` names.

  Args:
    config: `config.augment`: names of functions of this module, each with its keyword arguments.

  Raises:
    ConfigError: a name or a field is not known, or a field is missing.
  """
  for name, fields in config.items():
    check_name('config.augment', name, AUGMENTS)
    parameters = inspect.signature(AUGMENTS[name]).parameters.values()
    known = {p.name: p.default for p in parameters if p.kind == p.KEYWORD_ONLY}
    check_fields(f'config.augment.{name}', fields, known)
    missing = [
      p for p, default in known.items() if default is inspect.Parameter.empty and p not in fields
    ]
    if missing:
      raise ConfigError(f'config.augment.{name}: expected a value of {missing[0]}, found none')
  chosen = [
    (zlib.crc32(name.encode()), function, dict(config[name]))
    for name, function in AUGMENTS.items()
    if name in config
  ]

  def augment(key, batch):
    for salt, function, fields in chosen:
      batch = function(jax.random.fold_in(key, salt), batch, **fields)
    return batch

  return augment


def _frames(batch: Batch, start, stop) -> jax.Array:
  """True on frames `start..stop-1` (`[batch]` or numbers), as `[batch, time, 1, ...]`."""
  frame = jnp.arange(batch['inputs'].shape[1])
  start, stop = jnp.asarray(start)[..., None], jnp.asarray(stop)[..., None]
  mask = (frame >= start) & (frame < stop)
  return mask.reshape(mask.shape + (1,) * (batch['inputs'].ndim - 2))


def _blend(own: jax.Array, x: jax.Array, other: jax.Array) -> jax.Array:
  """`own x + (1 - own) other` with one weight an example."""
  own = own.reshape(own.shape + (1,) * (x.ndim - 1))
  return own * x + (1 - own) * other
