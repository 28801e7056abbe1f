"""Music files in a sub-folder a label, or as a table lists them, as slices of log-mel frames.

They (`io.EXTENSIONS`) may have any rate, channels and length, and lie at any depth below the
sub-folder that is their label. Fields of `config.dataset`:

  sample_rate, channels   what is decoded: Hz, and the `average` or the `left` channel
  seconds, hop_seconds    length of a slice, and between the starts of slices; a slice with less
                          audio repeats it, see `musicjax.audio.slices.Slices`
  n_fft, hop_length       samples of a frame, and between frames
  n_mels, mel_scale       bands, `slaney` or `htk`

and, for what a file's labels, group, fold and split are, those of `musicjax.data.listing`.
"""

import collections
import dataclasses
import functools
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from musicjax.audio import io
from musicjax.audio.features import LogMel, scaled_log_mel
from musicjax.audio.front_ends import OFFSET_DB, SCALE_DB
from musicjax.audio.slices import Slices
from musicjax.data import listing
from musicjax.data.source import Source, check_name, manifest
from musicjax.errors import DataError

EXTENSIONS = io.EXTENSIONS
FIELDS = (
  'sample_rate', 'channels', 'seconds', 'hop_seconds', 'n_fft', 'hop_length', 'n_mels',
  'mel_scale', *listing.FIELDS,
)  # fmt: skip  # of `config.dataset`
# Slices through the front end at once: one shape, which compiles once. On CPU it takes one after
# the other anyway, and what fills up the last batch is lost time.
_SLICES = 8


def load(config: ConfigDict) -> Source:
  """The files below `config.data_dir`.

  Raises:
    ConfigError: slices or frames are not possible; as `listing.describe`.
    DataError: as `listing.read` and `listing.describe`.
  """
  fields = config.dataset
  rule = Slices(fields.sample_rate, fields.seconds, fields.hop_seconds)
  front_end = LogMel(
    sample_rate=fields.sample_rate,
    n_fft=fields.n_fft,
    hop_length=fields.hop_length,
    n_mels=fields.n_mels,
    mel_scale=fields.mel_scale,
  )
  known = listing.describe(listing.read(config, io.EXTENSIONS), config)
  parameters = {
    'slices': dataclasses.asdict(rule),
    'channels': fields.channels,
    'front_end': dataclasses.asdict(front_end),
    'offset_db': OFFSET_DB,
    'scale_db': SCALE_DB,
  }
  return Source(
    name='audio',
    preparation=f'log-mel-{fields.n_mels}',
    parameters=parameters,
    manifest=manifest(known['ids'].tolist(), known['keys']),
    input_shape=(front_end.num_frames(rule.samples), fields.n_mels),
    input_dtype='float16',
    decode=functools.partial(decode, parameters=parameters),
    features=functools.partial(slice_features, parameters=parameters),
    sliced=True,
    **known,
  )


def decode(path: Path, parameters: Mapping[str, Any]) -> np.ndarray:
  """Returns a file's audio [samples] float32, as `Source.parameters` say.

  Raises:
    DataError: the file is not sound, its name is not in UTF-8, or it is shorter than a frame.
  """
  check_name(path)  # Ids of records are text.
  return np.concatenate(list(_blocks(path, parameters)))


def _blocks(path: Path, parameters: Mapping[str, Any]) -> Iterator[np.ndarray]:
  """Yields a file's audio as `io.blocks` does."""
  rate, shortest = parameters['slices']['sample_rate'], parameters['front_end']['n_fft']
  found = 0
  for block in io.blocks(path, rate, channels=parameters['channels']):
    found += len(block)
    yield block
  if found < shortest:
    raise DataError(
      f'{path}: expected at least a frame of {shortest} samples at {rate} Hz, found {found}'
    )


def slice_features(tracks: Sequence[np.ndarray], parameters: Mapping[str, Any]) -> list[np.ndarray]:
  """Tracks [samples] -> [slices, frames, n_mels] float16 each."""
  rule = Slices(**parameters['slices'])
  counts = [len(rule.starts(len(track))) for track in tracks]
  slices = (audio for track in tracks for _, audio in rule.stream([track]))
  frames = log_mels(slices, parameters)
  return [np.stack(list(itertools.islice(frames, count))) for count in counts]


def log_mels(slices: Iterable[np.ndarray], parameters: Mapping[str, Any]) -> Iterator[np.ndarray]:
  """Slices [samples] -> [frames, n_mels] float16 each, in order, a few held in memory."""
  front_end = LogMel(**parameters['front_end'])
  offset, scale = parameters['offset_db'], parameters['scale_db']
  slices = iter(slices)
  while batch := list(itertools.islice(slices, _SLICES)):
    audio = np.zeros((_SLICES, len(batch[0])), np.float32)
    audio[: len(batch)] = batch
    frames = np.asarray(scaled_log_mel(front_end, audio, offset, scale)).astype(np.float16)
    # Of its own: a view would keep the batch in memory.
    yield from (row.copy() for row in frames[: len(batch)])


def read_inputs(
  paths: Sequence[Path], input_shape: tuple[int | None, ...], parameters: Mapping[str, Any]
) -> Iterator[tuple[Path, Iterator[tuple[tuple[float, float], np.ndarray]]]]:
  """Yields (path, iterator over its slices) of audio files, in order.

  The iterator yields ((start, end) in seconds, [frames, n_mels] float16). It decodes as it goes,
  and raises DataError. Memory does not grow with a file's length.

  Args:
    paths: of the files.
    input_shape: follows from the parameters.
    parameters: of the Source.
  """
  del input_shape
  for path in paths:
    yield path, _read_slices(path, parameters)


def _read_slices(
  path: Path, parameters: Mapping[str, Any]
) -> Iterator[tuple[tuple[float, float], np.ndarray]]:
  rule = Slices(**parameters['slices'])
  spans = collections.deque()  # Of the slices that are in the front end.

  def audio():
    for span, samples in rule.stream(_blocks(path, parameters)):
      spans.append(span)
      yield samples

  for frames in log_mels(audio(), parameters):
    yield spans.popleft(), frames
