"""Quickstart: synthetic tracks of six genres, for a first run without any download.

The tracks (`musicjax.data.builders.synthesis`) are told apart by rhythm and harmony, far less by
their average spectrum. Fields of `config.dataset`: `num_tracks` and `seed` of the collection.
"""

import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import ml_collections
import numpy as np

from musicjax.audio import io
from musicjax.audio.features import LogMel, scaled_log_mel
from musicjax.data.builders import synthesis
from musicjax.data.source import Source, read
from musicjax.errors import ConfigError, DataError

EXTENSIONS = io.EXTENSIONS
FIELDS = ('num_tracks', 'seed')  # of `config.dataset`
# A hop of 40 ms gives a track 100 to 150 frames, and a quarter of a beat 2 to 6.
FRONT_END = LogMel(sample_rate=synthesis.SAMPLE_RATE, n_fft=1024, hop_length=640, n_mels=64)
# Clips through the front end at once; a clip of 6 s takes 384 kB and its frames 620 kB.
FEATURE_BATCH = 16


def load(config: ml_collections.ConfigDict) -> Source:
  """The collection `config.dataset.seed` of `config.dataset.num_tracks` tracks.

  Raises:
    ConfigError: there are fewer tracks than genres.
  """
  num_tracks, seed = config.dataset.num_tracks, config.dataset.seed
  genres = tuple(synthesis.GENRES)
  if num_tracks < len(genres):
    raise ConfigError(
      f'dataset.num_tracks: expected at least {len(genres)}, one a genre, found {num_tracks}'
    )
  ids = np.array([f'track-{index:06d}' for index in range(num_tracks)])
  parameters = {
    'num_tracks': num_tracks,
    'seed': seed,
    'synthesis_version': synthesis.VERSION,
    'front_end': dataclasses.asdict(FRONT_END),
    # Longer files are read up to here.
    'max_seconds': synthesis.MAX_SECONDS,
    # Inputs are (dB + offset) / scale: about zero mean, unit variance.
    'offset_db': 30.0,
    'scale_db': 20.0,
  }
  return Source(
    name='quickstart',
    preparation=f'log-mel-{FRONT_END.n_mels}',
    parameters=parameters,
    manifest=(),
    ids=ids,
    groups=ids,
    labels=np.arange(num_tracks)[:, None] % len(genres) == np.arange(len(genres)),
    label_names=genres,
    input_shape=(None, FRONT_END.n_mels),
    input_dtype='float32',
    keys=range(num_tracks),
    decode=functools.partial(synthesis.synthesise, seed),
    features=functools.partial(log_mels, parameters=parameters),
  )


def log_mels(clips: Sequence[np.ndarray], parameters: Mapping[str, Any]) -> list[np.ndarray]:
  """Clips [samples] -> [frames, n_mels] float32 each, of the first `parameters['max_seconds']`."""
  front_end = LogMel(**parameters['front_end'])
  offset, scale = parameters['offset_db'], parameters['scale_db']
  # One shape for all batches, the last one too: it compiles once, and a clip's features do not
  # depend on its company.
  max_samples = int(parameters['max_seconds'] * front_end.sample_rate)

  features = []
  for start in range(0, len(clips), FEATURE_BATCH):
    batch = clips[start : start + FEATURE_BATCH]
    audio = np.zeros((FEATURE_BATCH, max_samples), np.float32)
    for row, clip in zip(audio, batch, strict=False):
      row[: len(clip)] = clip[:max_samples]
    frames = np.asarray(scaled_log_mel(front_end, audio, offset, scale))
    for row, clip in zip(frames, batch, strict=False):
      features.append(row[: front_end.num_frames(min(len(clip), max_samples))].copy())
  return features


def read_inputs(
  paths: Sequence[Path], input_shape: tuple[int | None, ...], parameters: Mapping[str, Any]
) -> Iterator[tuple[Path, np.ndarray | DataError]]:
  """Yields (path, [frames, n_mels] float32 or the error) of audio files, in order.

  Args:
    paths: of the files.
    input_shape: follows from the parameters.
    parameters: of the Source; of a longer file the first `max_seconds` are read.
  """
  del input_shape
  decode = functools.partial(
    io.load, sample_rate=parameters['front_end']['sample_rate'], seconds=parameters['max_seconds']
  )
  return read(paths, decode, functools.partial(log_mels, parameters=parameters))
