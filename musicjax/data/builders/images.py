"""Images of whole-track spectrograms, as squares projected to mel bands: Music-Predictor's data.

Frequency rises, time runs to the right, and ink on white paper is sound. An image is made grey, cut
along time into squares, inverted, turned upside down so that row 0 is 0 Hz, taken for a linear
spectrum up to half the sample rate, and projected to mel bands in decibels, all of it as published.
An image narrower than a square repeats itself. PNG, JPEG and WebP files lie in a sub-folder a
label, or a table names them; or they are in a Parquet file with the columns `image` (bytes, or
those under `bytes` in it), `text` (labels with spaces between) and, where wanted, those of
`listing.COLUMNS`. Fields of `config.dataset`:

  sample_rate, n_fft  of the spectrum that an image stands for, Hz and samples: its rows are
                      interpolated to 1 + n_fft // 2 bins
  n_mels, mel_scale   bands, `slaney` or `htk`
  num_frames          of a square, to which its columns are resized

and those of `musicjax.data.listing`.
"""

import functools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict
from PIL import Image

from musicjax.audio.features import AMIN, LogMel
from musicjax.audio.slices import Slices
from musicjax.data import listing, parquet, pictures, tables
from musicjax.data.source import Source, check_name, manifest

FIELDS = ('sample_rate', 'n_fft', 'n_mels', 'mel_scale', 'num_frames', *listing.FIELDS)
EXTENSIONS = pictures.EXTENSIONS
# As for audio: 0 is white paper, black is below 1.
_OFFSET_DB, _SCALE_DB = 100.0, 150.0


def load(config: ConfigDict) -> Source:
  """The images below `config.data_dir`, or in a table there.

  Raises:
    ConfigError: the mel bands are not possible; as `listing.describe`.
    DataError: as `listing.read` and `listing.describe`.
  """
  fields, parameters = config.dataset, load_parameters(config.dataset)
  table = Path(config.data_dir, fields.table)
  if fields.table and tables.is_parquet(table) and 'image' in parquet.read_header(table):
    known = listing.describe(_read_table(table), config)
    files = manifest([fields.table], [table])
    decode = functools.partial(decode_cell, path=table, parameters=parameters)
  else:
    known = listing.describe(listing.read(config, EXTENSIONS), config)
    files = manifest(known['ids'].tolist(), known['keys'])
    decode = functools.partial(decode_file, parameters=parameters)
  return Source(
    name='images',
    preparation=f'log-mel-{fields.n_mels}',
    parameters=parameters,
    manifest=files,
    input_shape=(fields.num_frames, fields.n_mels),
    input_dtype='float16',
    decode=decode,
    sliced=True,
    **known,
  )


def load_parameters(fields: ConfigDict) -> dict[str, Any]:
  """Returns `Source.parameters`; raises ConfigError where the mel bands are not possible."""
  of_mel = _of_mel(fields)
  _mel_basis(**of_mel)
  numbers = {'num_frames': fields.num_frames, 'offset_db': _OFFSET_DB, 'scale_db': _SCALE_DB}
  return {**of_mel, **numbers}


def _read_table(path: Path) -> list[listing.Track]:
  """Returns the rows of a table of images; their keys are their positions."""
  tracks = []
  rows = tables.read(path, ['text'], listing.COLUMNS)
  for position, (place, (text, *cells)) in enumerate(rows):
    tags = text.split() if isinstance(text, str) else text
    tracks.append(listing.make_track(path, place, f'row {position + 1:08d}', tags, position, cells))
  listing.check_tags(path, 'text', tracks)
  listing.check_rows(path, tracks)
  return tracks


def decode_file(path: Path, parameters: Mapping[str, Any]) -> np.ndarray:
  """Returns the squares of an image file, [squares, frames, n_mels] float16.

  Raises:
    DataError: the file is no sound image of 8 bits, its name is not in UTF-8, or it is too large.
  """
  check_name(path)
  return np.stack(list(_project(_read_image(path), parameters)))


def decode_cell(row: int, path: Path, parameters: Mapping[str, Any]) -> np.ndarray:
  """As `decode_file`, of an image in a row, from 0, of a Parquet file."""
  content = parquet.read_bytes(path, 'image', row)
  grey = pictures.decode(content, f'{path}: row {row + 1}', 'L')
  return np.stack(list(_project(np.asarray(grey), parameters)))


def read_inputs(
  paths: Sequence[Path], input_shape: tuple[int | None, ...], parameters: Mapping[str, Any]
) -> Iterator[tuple[Path, Iterator[tuple[tuple[float, float], np.ndarray]]]]:
  """Yields (path, iterator over its squares) of image files, in order.

  The iterator yields ((start, end) columns, as an image has no seconds, [frames, n_mels] float16).
  It decodes when it is begun, and raises DataError.

  Args:
    paths: of the files.
    input_shape: follows from the parameters.
    parameters: of the Source.
  """
  del input_shape
  for path in paths:
    yield path, _read_squares(path, parameters)


def _read_squares(
  path: Path, parameters: Mapping[str, Any]
) -> Iterator[tuple[tuple[float, float], np.ndarray]]:
  grey = _read_image(path)
  rows, columns = grey.shape
  for number, square in enumerate(_project(grey, parameters)):
    yield (float(number * rows), float(min((number + 1) * rows, columns))), square


def _read_image(path: Path) -> np.ndarray:
  """Returns an image as grey [rows, columns] uint8."""
  with tables.opened(path) as file:
    content = file.read()
  return np.asarray(pictures.decode(content, str(path), 'L'))


def _project(grey: np.ndarray, parameters: Mapping[str, Any]) -> Iterator[np.ndarray]:
  """Yields the squares of an image [rows, columns] uint8 as [frames, n_mels] float16."""
  rows, columns = grey.shape
  weights = _mel_weights(rows, **_of_mel(parameters))
  size = parameters['num_frames'], parameters['n_mels']
  square = Slices(sample_rate=1, seconds=rows, hop_seconds=rows)
  for start in square.starts(columns):
    filled = start + np.arange(rows) % (columns - start)  # What is missing repeats what is there.
    ink = 255.0 - grey[::-1, filled].astype(np.float32)
    decibels = 10 * np.log10(np.maximum(weights @ ink, AMIN))
    resized = Image.fromarray(decibels).resize(size, Image.Resampling.BILINEAR)
    inputs = (np.asarray(resized).T + parameters['offset_db']) / parameters['scale_db']
    yield inputs.astype(np.float16)


def _of_mel(parameters: Mapping[str, Any]) -> dict[str, Any]:
  return {field: parameters[field] for field in ('sample_rate', 'n_fft', 'n_mels', 'mel_scale')}


@functools.lru_cache(maxsize=4)
def _mel_basis(**of_mel: Any) -> np.ndarray:
  """[1 + n_fft // 2, n_mels] weights of the bins in each band."""
  return LogMel(hop_length=1, **of_mel).mel_basis


@functools.lru_cache(maxsize=4)
def _mel_weights(rows: int, **of_mel: Any) -> np.ndarray:
  """[n_mels, rows] weights of an image's rows, from 0 Hz up, interpolated to the bins, in bands."""
  basis = _mel_basis(**of_mel)
  at = np.linspace(0, rows - 1, len(basis))
  below = np.minimum(at.astype(int), rows - 2)
  share = (at - below)[:, None]
  weights = np.zeros((rows, basis.shape[1]))
  np.add.at(weights, below, basis * (1 - share))
  np.add.at(weights, below + 1, basis * share)
  return weights.T.astype(np.float32)
