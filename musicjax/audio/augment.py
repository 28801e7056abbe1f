"""The augmentations that a config names, as one function of (key, micro-batch) to a batch.

They are functions of `augment_frames.py`, applied in the order of that file, and not in that of the
config; then those of pictures in `augment_images.py`, in its order. A new one is a function there
and its name in `AUGMENTS` there; its keyword arguments are config fields. Each draws from a key of
its own, derived from its name: switching one on leaves what the others draw as it was.
"""

import inspect
import zlib
from collections.abc import Callable

import jax

from musicjax.audio import augment_frames, augment_images
from musicjax.audio.augment_frames import Batch
from musicjax.errors import ConfigError
from musicjax.fields import check_fields, check_name

AUGMENTS = augment_frames.AUGMENTS | augment_images.AUGMENTS
_OF_PICTURES = (*augment_images.AUGMENTS, 'mixup', 'cutmix_time')  # These keep to 0..255.
_RANGES = ('low', 'high'), ('min_zoom', 'max_zoom'), ('min_area', 'max_area')  # Fields.


def create(config) -> Callable[[jax.Array, Batch], Batch]:
  """Returns `f(key, batch) -> batch`, which applies what `config.augment` names.

  Args:
    config: `config.augment`: names in `AUGMENTS`, each with its keyword arguments.

  Raises:
    ConfigError: a name or a field is not known, a field is missing, or a range is empty.
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
    values = known | dict(fields)
    for low, high in _RANGES:
      if low in values and values[low] > values[high]:
        raise ConfigError(
          f'config.augment.{name}.{low}: expected at most {high} ({values[high]:g}), found '
          f'{values[low]:g}'
        )
  of_batches, of_pictures = (
    [
      (zlib.crc32(name.encode()), function, dict(config[name]))
      for name, function in augments.items()
      if name in config
    ]
    for augments in (augment_frames.AUGMENTS, augment_images.AUGMENTS)
  )

  def augment(key, batch):
    for salt, function, fields in of_batches:
      batch = function(jax.random.fold_in(key, salt), batch, **fields)
    return augment_images.apply(key, batch, of_pictures) if of_pictures else batch

  return augment


def check_inputs(config, pictures: bool) -> None:
  """Refuses what does not suit the inputs of a dataset.

  Args:
    config: `config.augment`.
    pictures: whether the inputs are pictures, not spectrograms, waveforms or embeddings.

  Raises:
    ConfigError: a name is of the other kind of inputs.
  """
  for name in config:
    if pictures and name not in _OF_PICTURES:
      wanted, known, found = 'pictures', _OF_PICTURES, 'frames'
    elif not pictures and name in augment_images.AUGMENTS:
      wanted, known, found = 'frames', augment_frames.AUGMENTS, 'pictures'
    else:
      continue
    raise ConfigError(
      f'config.augment.{name}: expected augmentations of {wanted} ({", ".join(known)}), found one '
      f'of {found}'
    )
