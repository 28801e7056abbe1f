import dataclasses
import itertools
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tensorflow_datasets as tfds
from array_record.python import array_record_data_source
from tensorflow_datasets.core import constants

from musicjax.data import array_records, folds_builder
from musicjax.data.builders import yandex
from musicjax.errors import DataError
from tests.conftest import make_config, write_yandex_folder


@pytest.fixture
def folder(tmp_path):
  return write_yandex_folder(tmp_path / 'raw', num_tracks=24)


def prepare(folder, tmp_path, **fields):
  return array_records.prepare(make_config(folder, tmp_path / 'prepared', **fields))


def test_records_hold_what_the_files_held(folder, tmp_path):
  prepared = prepare(folder, tmp_path)
  index = prepared.index
  table = pd.read_csv(folder / 'train.csv', dtype=str).set_index('track')
  features = tfds.features.FeaturesDict.from_config(str(prepared.directory))
  assert list(index.ids) == sorted(table.index)
  for row, track in enumerate(index.ids):
    frames = np.load(folder / 'track_embeddings' / f'{track}.npy')
    record = features.deserialize_example_np(prepared.records[index.positions[row]])
    np.testing.assert_array_equal(record['inputs'], frames)
    assert record['id'].decode() == track
    assert index.lengths[row] == len(frames)
    tags = [int(tag) for tag in table.loc[track, 'tags'].split(',')]
    np.testing.assert_array_equal(np.flatnonzero(index.labels[row]), tags)
    np.testing.assert_array_equal(record['labels'], index.labels[row])


def test_tfds_opens_the_prepared_dataset_with_a_split_a_fold(folder, tmp_path):
  prepared = prepare(folder, tmp_path)
  builder = tfds.builder_from_directory(prepared.directory)
  source = builder.as_data_source(split='fold_0+fold_2')
  expected = prepared.index.ids[np.isin(prepared.index.folds, [0, 2])]
  assert sorted(example['id'].decode() for example in source) == list(expected)


def test_shards_are_opened_in_the_order_of_their_splits_without_asking_tfds(folder, tmp_path):
  prepared = prepare(folder, tmp_path, num_folds=12, split_seed=1)
  splits = tfds.builder_from_directory(prepared.directory).info.splits
  in_order = [str(path) for fold in range(12) for path in splits[f'fold_{fold}'].filepaths]
  assert len(prepared.records) == len(prepared.index.ids)
  for position, record in enumerate(array_record_data_source.ArrayRecordDataSource(in_order)):
    assert prepared.records[position] == record


def test_what_a_killed_preparation_left_beside_the_shards_is_not_read(folder, tmp_path):
  prepared = prepare(folder, tmp_path)
  shard = next(prepared.directory.glob('*.array_record-*'))
  for left in (
    '.json',
    '.tmp',
  ):  # Of its worker: they are deleted once the dataset is in its place.
    shard.with_name(shard.name + left).touch()
  assert prepare(folder, tmp_path).index.ids.tolist() == prepared.index.ids.tolist()


@pytest.mark.parametrize('given', ['prepared_dir', 'TFDS_DATA_DIR', 'nothing'])
def test_a_dataset_is_looked_for_where_tfds_keeps_it(given, folder, tmp_path, monkeypatch):
  root = tmp_path / given
  config = make_config(folder, root if given == 'prepared_dir' else '')
  monkeypatch.delenv('TFDS_DATA_DIR', raising=False)
  if given == 'TFDS_DATA_DIR':
    monkeypatch.setenv(given, str(root))
  if given == 'nothing':
    root = Path(constants.get_default_data_dir())
  source = yandex.load(config)
  name = array_records.dataset_name(source, config)
  builder = folds_builder.FoldsBuilder(source, config, name, root)
  assert array_records.folder_of(name, config) == Path(builder.data_path)


def test_a_second_preparation_reads_nothing_again(folder, tmp_path):
  first = prepare(folder, tmp_path)
  shards = {path: path.stat().st_mtime_ns for path in first.directory.iterdir()}
  again = prepare(folder, tmp_path)
  assert again.fingerprint == first.fingerprint
  assert {path: path.stat().st_mtime_ns for path in again.directory.iterdir()} == shards


def change_file(folder):
  path = folder / 'track_embeddings' / _first_track(folder)
  np.save(path, np.load(path) + 1)


def touch_file(folder):
  path = folder / 'track_embeddings' / _first_track(folder)
  os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))


def change_label(folder):
  table = pd.read_csv(folder / 'train.csv', dtype=str)
  table.loc[0, 'tags'] = '4' if table.loc[0, 'tags'] != '4' else '3'
  table.to_csv(folder / 'train.csv', index=False)


def drop_track(folder):
  pd.read_csv(folder / 'train.csv', dtype=str)[1:].to_csv(folder / 'train.csv', index=False)


def name_tags(folder):
  (folder / 'tags.txt').write_text('a\nb\nc\nd\ne\n')


def _first_track(folder):
  return pd.read_csv(folder / 'train.csv', dtype=str)['track'][0] + '.npy'


CHANGES = [change_file, touch_file, change_label, drop_track, name_tags]


def test_other_weights_lead_to_another_dataset(folder, tmp_path):
  config = make_config(folder, tmp_path / 'prepared')
  plain = yandex.load(config)
  weighted = [
    dataclasses.replace(plain, weights=np.full(len(plain.ids), weight)) for weight in (0.5, 0.25)
  ]
  names = [array_records.dataset_name(source, config) for source in (plain, *weighted)]
  assert len(set(names)) == 3


@pytest.mark.parametrize('change', CHANGES, ids=lambda change: change.__name__)
def test_changed_raw_data_leads_to_another_dataset(folder, tmp_path, change):
  before = prepare(folder, tmp_path)
  change(folder)
  after = prepare(folder, tmp_path)
  assert after.fingerprint != before.fingerprint
  assert after.directory != before.directory


@pytest.mark.parametrize(
  'fields', [{'num_folds': 4}, {'split_seed': 1}, {'on_bad_example': 'skip'}]
)
def test_changed_preparation_leads_to_another_dataset(folder, tmp_path, fields):
  assert prepare(folder, tmp_path, **fields).fingerprint != prepare(folder, tmp_path).fingerprint


def test_a_moved_folder_is_the_same_dataset(folder, tmp_path):
  before = prepare(folder, tmp_path)
  shutil.move(folder, tmp_path / 'elsewhere')
  assert prepare(tmp_path / 'elsewhere', tmp_path).fingerprint == before.fingerprint


BROKEN = {
  'dtype': (lambda: np.zeros((5, 8)), 'expected float32 [frames, width], found float64 [5, 8]'),
  'rank': (lambda: np.zeros(8, np.float32), 'found float32 [8]'),
  'width': (lambda: np.zeros((5, 7), np.float32), 'expected width 8, found 7'),
  'empty': (lambda: np.zeros((0, 8), np.float32), 'expected at least one frame, found [0, 8]'),
  'nan': (lambda: np.full((5, 8), np.nan, np.float32), 'expected finite values'),
  'objects': (lambda: np.array([[{}]], dtype=object), 'found object [1, 1]'),
}


@pytest.mark.parametrize('case', BROKEN)
def test_a_bad_file_is_named_or_left_out_as_the_policy_says(folder, tmp_path, case):
  array, message = BROKEN[case]
  track = pd.read_csv(folder / 'train.csv', dtype=str)['track'][3]
  path = folder / 'track_embeddings' / f'{track}.npy'
  np.save(path, array(), allow_pickle=True)
  with pytest.raises(DataError) as error:
    prepare(folder, tmp_path)
  assert str(path) in str(error.value)
  assert message in str(error.value)
  prepared = prepare(folder, tmp_path, on_bad_example='skip')
  assert track not in prepared.index.ids
  assert len(prepared.index.ids) == len(pd.read_csv(folder / 'train.csv')) - 1
  assert [file for file, _ in prepared.skipped] == [track]
  assert message in prepared.skipped[0][1]


def damaged_header(shape: str) -> bytes:
  header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}".encode()
  return b'\x93NUMPY\x01\x00' + len(header).to_bytes(2, 'little') + header


DAMAGED = {
  'empty file': b'',
  'magic alone': b'\x93NUMPY',
  'text': b'not an array',
  'archive': b'PK\x03\x04 and no more',
  'larger than memory': damaged_header('(1000000000000, 8)'),
  'larger than can be': damaged_header(f'({10**30}, 8)'),
  'open bracket': damaged_header('((8,'),
  'no data': damaged_header('(5, 8)'),
}


@pytest.mark.parametrize('case', DAMAGED)
def test_a_damaged_file_is_named_in_one_line(folder, tmp_path, case):
  path = folder / 'track_embeddings' / _first_track(folder)
  path.write_bytes(DAMAGED[case])
  with pytest.raises(DataError) as error:
    prepare(folder, tmp_path)
  assert str(error.value).startswith(f'{path}: expected ')
  assert '\n' not in str(error.value)


def test_a_pipe_among_the_files_does_not_hang_the_preparation(folder, tmp_path):
  first = min(pd.read_csv(folder / 'train.csv', dtype=str)['track'])  # Its width is looked at.
  path = folder / 'track_embeddings' / f'{first}.npy'
  path.unlink()
  os.mkfifo(path)
  with pytest.raises(DataError) as error:
    prepare(folder, tmp_path)
  assert str(error.value) == f'{path}: expected a file, found a folder or device'


TABLES = {
  'missing column': ('track,labels\n1,2\n', "expected columns ['track', 'tags']"),
  'no rows': ('track,tags\n', 'expected at least one row'),
  'twice': ('track,tags\n1,2\n1,3\n', "expected every track once, found '1' twice"),
  'words': ('track,tags\n1,"2,rock"\n', 'expected numbers joined by commas'),
  'negative': ('track,tags\n1,-2\n2,3\n', 'tags of track 1: expected numbers in 0..3, found -2'),
  'empty': ('', 'expected a UTF-8 CSV table'),
}


@pytest.mark.parametrize('case', TABLES)
def test_a_bad_table_is_told_in_one_line(folder, tmp_path, case):
  text, message = TABLES[case]
  (folder / 'train.csv').write_text(text)
  with pytest.raises(DataError) as error:
    prepare(folder, tmp_path)
  assert message in str(error.value)
  assert 'train.csv' in str(error.value)
  assert '\n' not in str(error.value).strip()


def truncate(path):
  os.truncate(path, path.stat().st_size // 2)


def fill(path):
  path.write_bytes(b'garbage')


def test_a_damaged_dataset_is_told_in_one_line_and_can_be_made_again(folder, tmp_path):
  directory = prepare(folder, tmp_path).directory
  shard = next(path.name for path in directory.glob('*array_record-00000*'))
  cases = itertools.product(['index.npz', 'skipped.csv', shard], [truncate, fill, os.unlink])
  for name, damage in cases:
    path = directory / name
    whole = path.read_bytes()
    damage(path)
    with pytest.raises(DataError, match=r'; delete it and it is prepared again$') as error:
      prepare(folder, tmp_path)
    assert str(error.value).startswith(f'{directory}: damaged: '), name
    assert '\n' not in str(error.value)
    path.write_bytes(whole)
  (directory / 'sizes.json').unlink()  # As earlier versions wrote it.
  assert len(prepare(folder, tmp_path).index.ids)
  truncate(directory / shard)
  with pytest.raises(DataError, match='damaged'):
    prepare(folder, tmp_path)
  shutil.rmtree(directory)
  assert len(prepare(folder, tmp_path).index.ids)
