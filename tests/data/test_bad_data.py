"""Preparation of a folder in which bad files of several kinds lie at once."""

import csv
import pickle
import shutil

import numpy as np
import pandas as pd
import pytest
import tensorflow_datasets as tfds

from musicjax.data import array_records
from musicjax.errors import DataError
from tests.conftest import make_config, write_yandex_folder


def save(array):
  return lambda path: np.save(path, array, allow_pickle=True)


def cut(path):
  path.write_bytes(path.read_bytes()[:-1])


def replace_by_folder(path):
  path.unlink()
  path.mkdir()


def replace_by_loop(path):
  path.unlink()
  path.symlink_to(path)


KINDS = {
  'missing': (lambda path: path.unlink(), 'not found'),
  'width': (save(np.zeros((5, 7), np.float32)), 'expected width 8, found 7'),
  'rank': (save(np.zeros((5, 8, 1), np.float32)), 'found float32 [5, 8, 1]'),
  'dtype': (save(np.zeros((5, 8), np.float16)), 'found float16 [5, 8]'),
  'nan': (save(np.full((5, 8), np.nan, np.float32)), 'expected finite values, found NaN or Inf'),
  'empty': (save(np.zeros((0, 8), np.float32)), 'expected at least one frame, found [0, 8]'),
  'objects': (save(np.full((5, 8), None)), 'found object [5, 8]'),
  'cut': (cut, 'bytes for ['),
  'pickle': (lambda path: path.write_bytes(pickle.dumps([1])), 'expected a .npy file'),
  'no bytes': (lambda path: path.write_bytes(b''), 'expected a .npy file'),
  'folder': (replace_by_folder, 'expected a file, found a folder'),
  'loop': (replace_by_loop, 'cannot be read: Too many levels of symbolic links'),
}


@pytest.fixture
def broken(tmp_path):
  """Returns a folder and {track: what is said of it}; others have files of their own shapes."""
  folder = write_yandex_folder(tmp_path / 'raw', num_tracks=60)
  tracks = pd.read_csv(folder / 'train.csv', dtype=str)['track']
  reasons = {}
  for track, (spoil, reason) in zip(sorted(tracks)[:24:2], KINDS.values(), strict=True):
    spoil(folder / 'track_embeddings' / f'{track}.npy')
    reasons[track] = reason
  first = folder / 'track_embeddings' / f'{sorted(tracks)[1]}.npy'
  np.save(first, np.asfortranarray(np.load(first)))
  (folder / 'track_embeddings' / 'surplus.npy').write_text('garbage of a track in no table')
  return folder, reasons


def test_bad_files_of_all_kinds_are_listed_and_the_others_are_right(broken, tmp_path):
  folder, reasons = broken
  config = make_config(folder, tmp_path / 'prepared', on_bad_example='skip', max_skipped=0.25)
  prepared = array_records.prepare(config)
  with (prepared.directory / 'skipped.csv').open(newline='') as file:
    header, *rows = csv.reader(file)
  assert header == ['id', 'reason']
  assert [track for track, _ in rows] == sorted(reasons)
  for track, reason in rows:
    assert reason.startswith(f'{folder}/track_embeddings/{track}.npy: ')
    assert reasons[track] in reason

  table = pd.read_csv(folder / 'train.csv', dtype=str).set_index('track')['tags']
  assert list(prepared.index.ids) == sorted(set(table.index) - set(reasons))
  features = tfds.features.FeaturesDict.from_config(str(prepared.directory))
  for row, track in enumerate(prepared.index.ids):
    record = features.deserialize_example_np(prepared.records[prepared.index.positions[row]])
    frames = np.load(folder / 'track_embeddings' / f'{track}.npy')
    np.testing.assert_array_equal(record['inputs'], frames)
    tags = [int(tag) for tag in table[track].split(',')]
    assert np.flatnonzero(record['labels']).tolist() == tags


def test_more_bad_files_than_allowed_are_counted_in_one_line(broken, tmp_path):
  folder, reasons = broken
  config = make_config(folder, tmp_path / 'prepared', on_bad_example='skip', max_skipped=0.2)
  with pytest.raises(DataError) as error:
    array_records.prepare(config)
  first = f'{folder}/track_embeddings/{min(reasons)}.npy: not found'
  assert str(error.value) == (
    f'12 of 50 examples cannot be read, more than max_skipped=0.2 allows; the first: {first}'
  )


def test_a_folder_of_nothing_but_bad_files_names_the_first(tmp_path):
  folder = write_yandex_folder(tmp_path / 'raw', num_tracks=12)
  shutil.rmtree(folder / 'track_embeddings')
  config = make_config(folder, tmp_path / 'prepared', on_bad_example='skip', max_skipped=1.0)
  with pytest.raises(DataError, match=r'/track_embeddings/\d+\.npy: not found$'):
    array_records.prepare(config)
