"""What stored waveforms become in the jitted step, before anything is normalised or augmented.

`config.front_end` has the `name` of a representation of `musicjax.audio.features` and its fields;
the sample rate is that of `config.dataset`. Without a name, models see inputs as they are stored;
no model takes waveforms.
"""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from musicjax.audio import features
from musicjax.errors import ConfigError
from musicjax.fields import check_fields, check_name

Batch = dict[str, jax.Array]

FULL_SCALE = 2**15 - 1  # Of stored waveforms, 16-bit integers.
# Decibels are seen as (dB + offset) / scale: 0 is what `LogMel` takes for silence, and sound is
# below 1.
OFFSET_DB, SCALE_DB = 100.0, 150.0


class ScaledLogMel(features.LogMel):
  """`LogMel` in units in which augmentation of images in 0..1 makes sense."""

  def transform_clip(self, audio: jax.Array) -> jax.Array:
    return (super().transform_clip(audio) + OFFSET_DB) / SCALE_DB


FRONT_ENDS = {
  'log_mel': ScaledLogMel,
  'pcen_mel': features.PcenMel,
  'amplitude_phase': features.AmplitudePhase,
}


def create(config) -> Callable[[Batch], Batch]:
  """Returns f(batch) -> batch: `inputs` [batch, samples] become frames [batch, time, ...] float32.

  `lengths`, valid samples, become valid frames, at least one. Silence in gives finite values out.

  Args:
    config: of the run.

  Raises:
    ConfigError: a name or a field is not known, missing or not possible, or the dataset holds no
      waveforms.
  """
  name = check_name('config.front_end.name', config.front_end.name, ('', *FRONT_ENDS))
  if not name:
    return _as_stored
  kind = FRONT_ENDS[name]
  known = {field.name: field.default for field in dataclasses.fields(kind)}
  rate = config.dataset.get('sample_rate')
  if rate is None:
    raise ConfigError(f'config.front_end.name: expected none without waveforms, found {name!r}')
  given = {'sample_rate': rate} if 'sample_rate' in known else {}
  known = {field: default for field, default in known.items() if field not in given}
  fields = check_fields('config.front_end', config.front_end, known)
  for field, default in known.items():
    if default is dataclasses.MISSING and field not in fields:
      raise ConfigError(f'config.front_end.{field}: expected a value, found none')
  front_end = kind(**given, **fields)

  def transform(batch: Batch) -> Batch:
    if batch['inputs'].ndim != 2:
      raise ConfigError(
        f'config.front_end.name: expected none without waveforms, found {name!r} and inputs of '
        f'{batch["inputs"].ndim - 1} axes'
      )
    audio = batch['inputs'].astype(jnp.float32) / FULL_SCALE
    # What is not centred needs a frame, also of clips that are shorter.
    audio = jnp.pad(audio, ((0, 0), (0, max(0, front_end.n_fft - audio.shape[1]))))
    lengths = jnp.maximum(front_end.num_frames(batch['lengths']), 1)
    return batch | {'inputs': front_end(audio), 'lengths': lengths}

  return transform


def _as_stored(batch: Batch) -> Batch:
  if batch['inputs'].ndim == 2:
    raise ConfigError(
      f'config.front_end.name: expected one of {", ".join(FRONT_ENDS)} with waveforms, found none'
    )
  return batch


def create_for_records(config) -> Callable[[np.ndarray], np.ndarray]:
  """As `create`, for one stored example on the host: [samples] -> [frames, ...]."""
  if not config.front_end.name:
    return lambda inputs: inputs
  transform = jax.jit(create(config))

  def transform_record(inputs: np.ndarray) -> np.ndarray:
    # Of a few lengths, as each is compiled.
    padded = np.pad(inputs, (0, (1 << (len(inputs) - 1).bit_length()) - len(inputs)))
    batch = transform({'inputs': padded[None], 'lengths': np.array([len(inputs)])})
    return np.asarray(batch['inputs'])[0, : int(batch['lengths'][0])]

  return transform_record
