"""The label files of Freesound 2018 (FSDKaggle2018), as Kaggle had them and as released after it.

A folder holds `train.csv` (`fname,label,manually_verified`), or `train_post_competition.csv` and
`test_post_competition.csv`, which also have `freesound_id` and, of test files, `usage`: `Public`
and `Private` ones were scored and are the test set, those `Ignored` are in no split. Beside them
lie `audio_train/`, `audio_test/` and, for a submission, `sample_submission.csv` (`fname`), whose
row order wins; without it that of `test_post_competition.csv` does.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from musicjax.data import listing, tables
from musicjax.errors import DataError, quoted

TRAIN, TRAIN_AFTER, TEST_AFTER = (
  'train.csv', 'train_post_competition.csv', 'test_post_competition.csv',
)  # fmt: skip
SUBMISSION = 'sample_submission.csv'

_FILE = re.compile(r'[\w-][\w.-]*')
_LABEL = re.compile(r'\S+')  # Those of a submission are joined by spaces.


def has_labels(folder: Path) -> bool:
  """Whether there are label files of Freesound in a folder."""
  return any((folder / name).exists() for name in (TRAIN, TRAIN_AFTER))


def read(folder: Path, unverified_weight: float) -> list[listing.Track]:
  """Returns the labelled clips of a folder.

  Args:
    folder: with the label files.
    unverified_weight: in the training loss, of training clips whose label nobody has verified.

  Raises:
    DataError: a label file is no table of clips, or of the two that belong together one is missing.
  """
  after = (folder / TRAIN_AFTER).exists()
  path = folder / (TRAIN_AFTER if after else TRAIN)
  split = 'train' if after else ''
  tracks = []
  for place, fname, (label, verified) in _rows(path, 'label', 'manually_verified'):
    if verified not in ('0', '1'):
      raise DataError(
        f'{path}: {place}: manually_verified: expected 0 or 1, found {quoted(verified)}'
      )
    weight = 1.0 if verified == '1' else float(unverified_weight)
    tracks.append(_track(folder, 'audio_train', fname, label, split, weight))
  if after:
    tracks += _read_test(folder, {label for track in tracks for label in track.tags})
  return tracks


def _read_test(folder: Path, known: set[str]) -> list[listing.Track]:
  """Returns the test clips that were scored."""
  path = folder / TEST_AFTER
  tracks = []
  for place, fname, (label, usage) in _rows(path, 'label', 'usage'):
    if usage not in ('Public', 'Private', 'Ignored'):
      raise DataError(
        f'{path}: {place}: usage: expected Public, Private or Ignored, found {quoted(usage)}'
      )
    if usage == 'Ignored':
      continue
    if label not in known:
      raise DataError(f'{path}: {place}: label: expected one of training, found {quoted(label)}')
    tracks.append(_track(folder, 'audio_test', fname, label, 'test', 1.0))
  return tracks


def _track(
  folder: Path, part: str, fname: str, label: str, split: str, weight: float
) -> listing.Track:
  name = f'{part}/{fname}'
  return listing.Track(name, frozenset([label]), folder / name, split=split, weight=weight)


def _rows(path: Path, *columns: str) -> Iterator[tuple[str, str, tuple[str, ...]]]:
  """Yields (place, file name, cells of the columns) of every row of a label file.

  Raises:
    DataError: it is no table with these columns, a name is none or there twice, or a label is none.
  """
  seen = set()
  for place, (fname, *cells) in tables.read(path, ['fname', *columns]):
    if not _FILE.fullmatch(fname):
      raise DataError(f'{path}: {place}: fname: expected a file name, found {quoted(fname)}')
    if fname in seen:
      raise DataError(f'{path}: {place}: expected every file once, found {quoted(fname)} twice')
    if 'label' in columns and not _LABEL.fullmatch(cells[columns.index('label')]):
      label = cells[columns.index('label')]
      raise DataError(f'{path}: {place}: label: expected one without spaces, found {quoted(label)}')
    seen.add(fname)
    yield place, fname, tuple(cells)


def submission_inputs(folder: Path) -> list[tuple[str, Path]]:
  """Returns (file name, path) of every row a submission needs, in its order.

  Raises:
    DataError: no file in the folder names them, or one does that is no table of clips.
  """
  order = next((folder / f for f in (SUBMISSION, TEST_AFTER) if (folder / f).exists()), None)
  if order is None:
    raise DataError(
      f'{folder}: expected {SUBMISSION} or {TEST_AFTER} to predict without --inputs, found neither'
    )
  rows = _rows(order)
  return [(fname, folder / 'audio_test' / fname) for _, fname, _ in rows]


def format_submission(
  names: Sequence[str], scores: np.ndarray, label_names: Sequence[str]
) -> tuple[str, str]:
  """Returns file name and text: `fname,label`, the three likeliest labels, best first.

  Args:
    names: [n] of files, in the order of the rows.
    scores: [n, labels]; of equal ones the first label comes first, as in `metrics.map_at_k`.
    label_names: one a column.
  """
  best = np.argsort(-scores, axis=1, kind='stable')[:, :3]
  rows = [
    f'{name},{" ".join(label_names[label] for label in row)}'
    for name, row in zip(names, best, strict=True)
  ]
  return 'submission.csv', '\n'.join(['fname,label', *rows, ''])
