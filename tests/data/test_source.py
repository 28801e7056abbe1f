import os

import numpy as np
import pytest

from musicjax.data import source
from musicjax.errors import DataError


def decode(key):
  if key % 3 == 0:
    raise DataError(f'{key}: bad')
  return np.full(key, key)


def test_inputs_and_errors_come_in_the_order_of_the_keys():
  keys = list(range(2 * source.FEATURE_BATCH + 1))
  sizes = []

  def features(arrays):
    sizes.append(len(arrays))
    return [2 * array for array in arrays]

  for front_end, factor in ((None, 1), (features, 2)):
    results = list(source.read(iter(keys), decode, front_end))
    assert [key for key, _ in results] == keys
    for key, result in results:
      if key % 3 == 0:
        assert str(result) == f'{key}: bad'
      else:
        np.testing.assert_array_equal(result, np.full(key, factor * key))
  assert sum(sizes) == sum(key % 3 > 0 for key in keys)
  assert max(sizes) <= source.FEATURE_BATCH


def test_files_are_found_below_a_folder_and_not_through_links(tmp_path):
  deep = tmp_path / 'b.npy' / 'deep'
  deep.mkdir(parents=True)
  for path in (tmp_path / 'c.NPY', deep / 'a.npy', deep / 'a.txt'):
    path.touch()
  (deep / 'loop.npy').symlink_to(tmp_path)
  assert source.find_files(tmp_path, ['.npy']) == [deep / 'a.npy', tmp_path / 'c.NPY']
  assert source.find_files(tmp_path, ['.wav']) == [tmp_path]
  assert source.find_files(tmp_path / 'gone.wav', ['.npy']) == [tmp_path / 'gone.wav']


def test_a_folder_that_cannot_be_read_is_not_taken_for_an_empty_one(tmp_path, monkeypatch):
  (tmp_path / 'closed').mkdir()
  scandir = os.scandir

  def deny(path):  # Root may read any folder.
    if str(path).endswith('closed'):
      raise PermissionError(13, 'Permission denied', str(path))
    return scandir(path)

  monkeypatch.setattr(os, 'scandir', deny)
  with pytest.raises(DataError, match=r'closed: cannot be read: Permission denied'):
    source.find_files(tmp_path, ['.npy'])


def test_a_name_that_is_no_text_is_refused_before_it_is_predicted(tmp_path):
  (tmp_path / os.fsdecode(b'\xff.npy')).touch()
  with pytest.raises(DataError, match=r'\\xff.npy: expected a file name in UTF-8'):
    source.find_files(tmp_path, ['.npy'])
