"""What a playlist is to sound like: named features, a track of the catalogue, or a cover."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from musicjax.data import audio_features
from musicjax.data.audio_features import FEATURES
from musicjax.errors import ConfigError, quoted
from musicjax.playlist.catalog import Catalog, same

_SHOWN = 3  # Tracks that a message names.


def parse_features(texts: Sequence[str]) -> np.ndarray:
  """Returns [8] float64 of texts as `energy=0.8`, in the order of `FEATURES`.

  Raises:
    ConfigError: a feature is missing, unknown, given twice or out of its range.
  """
  given = [text.partition('=')[::2] for text in texts]
  if sorted(name.strip() for name, _ in given) != sorted(FEATURES):
    expected = ','.join(f'{name}=NUMBER' for name in FEATURES)
    raise ConfigError(f'--features: expected {expected}, found {quoted(",".join(texts))}')
  values = {name.strip(): (audio_features.number(text), text) for name, text in given}
  for name in FEATURES:
    if fault := audio_features.fault(name, *values[name]):
      raise ConfigError(f'--features: {fault}')
  return np.array([values[name][0] for name in FEATURES])


def find_track(catalog: Catalog, text: str) -> int:
  """Returns the row of a track: that with this id, else the most popular song of this name.

  Args:
    catalog: to look into.
    text: an id, a name, or `artist - name`, the latter in any case.

  Raises:
    ConfigError: there is none, or there are songs of this name by several artists.
  """
  if text in catalog.ids:
    return catalog.ids.index(text)
  wanted = same(text)
  names = [same(name) for name in catalog.names]
  artists = [same(artist) for artist in catalog.artists]
  found = [
    row
    for row, (artist, name) in enumerate(zip(artists, names, strict=True))
    if wanted in (name, f'{artist} - {name}')
  ]
  if len({artists[row] for row in found}) == 1:
    return max(found, key=lambda row: catalog.popularity[row])
  if found:
    raise ConfigError(f'--like: expected one track, found {_told(catalog, found)}; name its id')
  near = [row for row, name in enumerate(names) if wanted and wanted in name]
  told = f'; there is {_told(catalog, near)}' if near else ''
  raise ConfigError(f'--like: expected an id or a name, found none that is {quoted(text)}{told}')


def features_of_image(workdir: Path, image: Path) -> np.ndarray:
  """Returns [8] float64 features, in the order of `FEATURES`, that a run predicts of a cover.

  Args:
    workdir: of a run on covers; its best checkpoint predicts.
    image: PNG, JPEG or WebP.

  Raises:
    ConfigError: the workdir holds no such run.
    DataError: the image cannot be read, or predicted.
  """
  from musicjax import predict, system  # Seconds, where nothing else needs them.
  from musicjax import workdir as workdir_lib
  from musicjax.data import builders

  config = workdir_lib.read_config(workdir, None)
  system.check(config)
  dataset = workdir_lib.read_dataset(workdir)
  if dataset['label_names'] != list(FEATURES):
    found = quoted(dataset['label_names'])
    raise ConfigError(f'--workdir: expected a run that predicts {list(FEATURES)}, found {found}')
  read = builders.module(dataset['name']).read_inputs
  inputs = read([image], tuple(dataset['input_shape']), dataset['parameters'])
  [track] = predict.load(workdir, config)(inputs)
  if track.error:
    raise track.error
  return track.scores


def _told(catalog: Catalog, rows: Sequence[int]) -> str:
  tracks = [
    f'{catalog.ids[row]} ({catalog.artists[row]} - {catalog.names[row]})' for row in rows[:_SHOWN]
  ]
  return ', '.join(tracks) + (f' and {len(rows) - _SHOWN} more' if len(rows) > _SHOWN else '')
