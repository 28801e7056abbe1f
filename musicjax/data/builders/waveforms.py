"""Sound files as waveforms: clips of seconds, whole, for models that take them in their step.

The files (`io.EXTENSIONS`), of any rate and channels, are those of Freesound 2018 where
`config.data_dir` has its label files (`musicjax.data.freesound`), else those in a sub-folder a
label or of a table (`musicjax.data.listing`). A record is a clip as 16-bit integers. Fields of
`config.dataset`:

  sample_rate, channels   of the record: Hz, and the `average` or the `left` channel
  max_seconds             a longer file ends there
  trim_db                 silence at both ends, so many dB below the loudest, is cut off; 0: kept.
                          Here, and not in the step: so no crop is silent, records are short, their
                          lengths are known to the plan of batches, and prediction does the same
  unverified_weight       in the training loss, of Freesound's clips that nobody listened to

and those of `musicjax.data.listing`. In prediction a file without samples is silence, and no error.
"""

import functools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from musicjax.audio import io
from musicjax.data import freesound, listing
from musicjax.data.source import Source, check_name, manifest
from musicjax.errors import ConfigError, DataError

EXTENSIONS = io.EXTENSIONS
_OF_AUDIO = ('sample_rate', 'channels', 'max_seconds', 'trim_db')
FIELDS = (*_OF_AUDIO, 'unverified_weight', *listing.FIELDS)  # of `config.dataset`

# A submission is one of Freesound's.
submission_inputs = freesound.submission_inputs
format_submission = freesound.format_submission


def load(config: ConfigDict) -> Source:
  """The files of `config.data_dir`.

  Raises:
    ConfigError: clips are to have no sample; as `listing.describe`.
    DataError: as `freesound.read`, `listing.read` and `listing.describe`.
  """
  fields, folder = config.dataset, Path(config.data_dir)
  if not fields.table and freesound.has_labels(folder):
    tracks = freesound.read(folder, fields.unverified_weight)
  else:
    tracks = listing.read(config, io.EXTENSIONS)
  if round(fields.sample_rate * fields.max_seconds) < 1:
    raise ConfigError(
      f'config.dataset.max_seconds: expected at least a sample, found {fields.max_seconds}'
    )
  known = listing.describe(tracks, config)
  parameters = {name: fields[name] for name in _OF_AUDIO}
  return Source(
    name='waveforms',
    preparation=f'int16-{fields.sample_rate}',
    parameters=parameters,
    manifest=manifest(known['ids'].tolist(), known['keys']),
    input_shape=(None,),
    input_dtype='int16',
    decode=functools.partial(decode, parameters=parameters),
    **known,
  )


def decode(path: Path, parameters: Mapping[str, Any]) -> np.ndarray:
  """Returns a file's audio [samples] int16, as `Source.parameters` say.

  Raises:
    DataError: the file is not sound, or its name is not in UTF-8.
  """
  check_name(path)  # Ids of records are text.
  rate, seconds = parameters['sample_rate'], parameters['max_seconds']
  audio = io.load(path, rate, seconds, parameters['channels'])[: round(rate * seconds)]
  if parameters['trim_db']:
    audio = io.trim_silence(audio, parameters['trim_db'])
  # As files of 16 bits have it; resampling may overshoot.
  return np.clip(np.round(audio * 2**15), -(2**15), 2**15 - 1).astype(np.int16)


def read_inputs(
  paths: Sequence[Path], input_shape: tuple[int | None, ...], parameters: Mapping[str, Any]
) -> Iterator[tuple[Path, np.ndarray | DataError]]:
  """Yields (path, [samples] int16 or the error) of sound files, in order."""
  del input_shape
  for path in paths:
    try:
      yield path, decode(path, parameters)
    except io.EmptyError:
      yield path, np.zeros(1, np.int16)
    except DataError as error:
      yield path, error
