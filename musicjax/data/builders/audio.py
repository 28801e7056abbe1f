"""Music files in a sub-folder a label, or as a table lists them, as slices of log-mel frames.

They (`io.EXTENSIONS`) may have any rate, channels and length, and lie at any depth below the
sub-folder that is their label. Fields of `config.dataset`:

  sample_rate, channels   what is decoded: Hz, and the `average` or the `left` channel
  seconds, hop_seconds    length of a slice, and between the starts of slices; a slice with less
                          audio repeats it, see `musicjax.audio.slices.Slices`
  n_fft, hop_length       samples of a frame, and between frames
  n_mels, mel_scale       bands, `slaney` or `htk`
  pattern                 regular expression, found in a file's path below the folder; its named
                          groups `fold` and `group` are the official fold and what must not be split
  table                   a CSV file instead of sub-folders, with the columns `path,tags` and, where
                          wanted, `group` and `fold`: paths are below the folder, several tags are
                          joined by bars or commas, an empty cell is no group or no fold
"""

import collections
import dataclasses
import functools
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from ml_collections import ConfigDict

from musicjax.audio import io
from musicjax.audio.features import LogMel, scaled_log_mel
from musicjax.audio.slices import Slices
from musicjax.data import files, tables
from musicjax.data.source import Source, manifest
from musicjax.errors import ConfigError, DataError, quoted

EXTENSIONS = io.EXTENSIONS
FIELDS = (
  'sample_rate', 'channels', 'seconds', 'hop_seconds', 'n_fft', 'hop_length', 'n_mels',
  'mel_scale', 'pattern', 'table',
)  # fmt: skip  # of `config.dataset`
# Inputs are (dB + offset) / scale: 0 is what the front end takes for silence, and music below 1.
_OFFSET_DB, _SCALE_DB = 100.0, 150.0
# Slices through the front end at once: one shape, which compiles once. On CPU it takes one after
# the other anyway, and what fills up the last batch is lost time.
_SLICES = 8
_NAME = re.compile(r'[^\x00-\x1f\x7f]+')


def load(config: ConfigDict) -> Source:
  """The files below `config.data_dir`.

  Raises:
    ConfigError: slices, frames or the pattern are not possible.
    DataError: there are no files, a file is in no sub-folder, its path does not fit the pattern or
      it has not the one tag of a single-label task; the table is none.
  """
  fields, folder = config.dataset, Path(config.data_dir)
  rule = Slices(fields.sample_rate, fields.seconds, fields.hop_seconds)
  front_end = LogMel(
    sample_rate=fields.sample_rate,
    n_fft=fields.n_fft,
    hop_length=fields.hop_length,
    n_mels=fields.n_mels,
    mel_scale=fields.mel_scale,
  )
  listing = _read_table(folder, fields.table) if fields.table else _list_folder(folder)
  if config.task == 'single_label' and (odd := [t for t in listing if len(t.tags) != 1]):
    raise DataError(
      f'{odd[0].name}: expected one tag with config.task=single_label, found {len(odd[0].tags)}; '
      'multi_label takes any number'
    )
  if fields.pattern:
    listing = _parse_names(listing, fields.pattern)
  names = [track.name for track in listing]
  label_names = sorted(set().union(*(track.tags for track in listing)))
  folds = [track.fold for track in listing]
  parameters = {
    'slices': dataclasses.asdict(rule),
    'channels': fields.channels,
    'front_end': dataclasses.asdict(front_end),
    'offset_db': _OFFSET_DB,
    'scale_db': _SCALE_DB,
  }
  paths = [folder / name for name in names]
  return Source(
    name='audio',
    preparation=f'log-mel-{fields.n_mels}',
    parameters=parameters,
    manifest=manifest(names, paths),
    ids=np.array(names),
    groups=np.array([track.group or track.name for track in listing]),
    labels=np.array([[label in track.tags for label in label_names] for track in listing]),
    label_names=tuple(label_names),
    input_shape=(front_end.num_frames(rule.samples), fields.n_mels),
    input_dtype='float16',
    keys=paths,
    decode=functools.partial(io.load, sample_rate=fields.sample_rate, channels=fields.channels),
    features=functools.partial(slice_features, parameters=parameters),
    official_folds=_number_folds(folds, config.num_folds) if any(folds) else None,
    sliced=True,
  )


class _Track(NamedTuple):
  """What is known of a file before it is read; empty texts are unknown.

  Attributes:
    name: its path below the folder, with slashes.
    tags: its labels.
    group: what must not be split; where unknown, a file is its own.
    fold: its official fold.
  """

  name: str
  tags: frozenset[str]
  group: str = ''
  fold: str = ''


def _list_folder(folder: Path) -> list[_Track]:
  """Returns all files below the folder, ascending."""
  if not folder.is_dir():
    raise DataError(f'{folder}: expected a folder of sub-folders of audio files, found none')
  names = sorted(p.relative_to(folder).as_posix() for p in files.below(folder, io.EXTENSIONS))
  if not names:
    raise DataError(f'{folder}: expected files {", ".join(io.EXTENSIONS)} in it, found none')
  for name in names:
    try:
      name.encode()
    except UnicodeEncodeError:  # Ids of records are text.
      raise DataError(f'{folder / name}: expected a file name in UTF-8') from None
  if alone := [name for name in names if '/' not in name]:
    raise DataError(
      f'{folder / alone[0]}: expected files in a sub-folder a label, found one beside'
    )
  return [_Track(name, frozenset([name.split('/')[0]])) for name in names]


def _read_table(folder: Path, table: str) -> list[_Track]:
  """Returns the files that a table names, ascending."""
  path = folder / table
  tracks = {}
  for line, (name, cell, group, fold) in tables.read(path, ['path', 'tags'], ['group', 'fold']):
    if not _NAME.fullmatch(name) or {'', '.', '..'} & set(name.split('/')):
      raise DataError(
        f'{path}: line {line}: path: expected a file below the folder, found {quoted(name)}'
      )
    if name in tracks:
      raise DataError(f'{path}: line {line}: expected every path once, found {quoted(name)} twice')
    tags = (tag.strip() for tag in cell.split('|' if '|' in cell else ','))
    tracks[name] = _Track(name, frozenset(filter(None, tags)), group.strip(), fold.strip())
  if not any(track.tags for track in tracks.values()):
    raise DataError(f'{path}: tags: expected at least one tag, found none')
  return [tracks[name] for name in sorted(tracks)]


def _parse_names(listing: Sequence[_Track], pattern: str) -> list[_Track]:
  """Returns the files with the groups and official folds that a pattern finds in their names."""
  try:
    compiled = re.compile(pattern)
  except re.error as error:
    raise ConfigError(
      f'config.dataset.pattern: expected a regular expression, found {quoted(pattern)}: {error}'
    ) from None
  known = set(compiled.groupindex)
  if not known or not known <= {'fold', 'group'}:
    raise ConfigError(
      'config.dataset.pattern: expected named groups, (?P<fold>...) or (?P<group>...) or both, '
      f'found {", ".join(known) or "none"}'
    )
  parsed = []
  for track in listing:
    match = compiled.search(track.name)
    if match is None or not all(match.groupdict().values()):
      raise DataError(f'{track.name}: expected a path that config.dataset.pattern fits, found none')
    parsed.append(track._replace(**match.groupdict()))
  return parsed


def _number_folds(folds: Sequence[str], num_folds: int) -> np.ndarray:
  """Numbers folds from 0 in their order, that of numbers where all are: '1'..'5' to 0..4, '' to -1.

  Raises:
    ConfigError: there are not as many as `num_folds`.
  """
  numbers = all(fold.isdecimal() for fold in folds if fold)
  values = sorted(set(folds) - {''}, key=int if numbers else str)
  if len(values) != num_folds:
    raise ConfigError(
      f'config.num_folds: expected the {len(values)} of the data ({quoted(", ".join(values))}), '
      f'found {num_folds}'
    )
  return np.array([values.index(fold) if fold else -1 for fold in folds])


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
    blocks = io.blocks(path, rule.sample_rate, channels=parameters['channels'])
    for span, samples in rule.stream(blocks):
      spans.append(span)
      yield samples

  for frames in log_mels(audio(), parameters):
    yield spans.popleft(), frames
