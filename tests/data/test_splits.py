import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musicjax.data.splits import TEST, assign_around_splits, assign_folds, split_rows
from musicjax.errors import ConfigError, DataError


def _tracks(n, classes, groups, seed=0, single=False):
  """Rows of artists with few or many tracks; class frequencies fall as 1 / rank."""
  rng = np.random.default_rng(seed)
  sizes = rng.exponential(size=groups)
  of_row = np.append(np.arange(groups), rng.choice(groups, n - groups, p=sizes / sizes.sum()))
  frequency = 1 / np.arange(1, classes + 1)
  if single:
    labels = np.eye(classes, dtype=bool)[rng.choice(classes, n, p=frequency / frequency.sum())]
  else:
    labels = rng.random((n, classes)) < 0.5 * frequency
  return np.char.add('artist', of_row.astype(str)), labels


def _imbalance(folds, labels, num_folds):
  """Mean over labels and folds of |share of the label in the fold - 1 / num_folds|."""
  counts = np.stack([labels[folds == f].sum(0) for f in range(num_folds)])
  return np.mean(np.abs(counts / labels.sum(0) - 1 / num_folds))


def _assert_valid(folds, groups, num_folds):
  assert folds.dtype == np.int32
  assert set(folds.tolist()) == set(range(num_folds))
  assert len(set(zip(groups, folds.tolist(), strict=True))) == len(set(groups))


@pytest.mark.parametrize('single', [False, True])
@pytest.mark.parametrize('num_folds', [2, 5])
def test_folds_are_group_disjoint_and_none_is_empty(single, num_folds):
  groups, labels = _tracks(600, 12, 90, single=single)
  _assert_valid(assign_folds(groups, labels, num_folds, 0), groups, num_folds)


@pytest.mark.parametrize('single', [False, True])
def test_stratification_beats_random_folds(single):
  groups, labels = _tracks(3000, 20, 600, single=single)
  names, of_row = np.unique(groups, return_inverse=True)
  random = np.random.default_rng(0).permutation(np.arange(len(names)) % 5)[of_row]
  ours = _imbalance(assign_folds(groups, labels, 5, 0), labels, 5)
  assert ours < 0.5 * _imbalance(random, labels, 5)


def test_each_fold_gets_its_share_of_every_label_where_groups_are_single_tracks():
  _, labels = _tracks(2000, 30, 10)
  folds = assign_folds(np.arange(2000).astype(str), labels, 5, 0)
  counts = np.stack([labels[folds == f].sum(0) for f in range(5)])
  # Placing a row for its rarest label moves its others too: a few rows off, not a few per cent.
  assert np.abs(counts - labels.sum(0) / 5).max() <= 6
  assert np.ptp(np.bincount(folds)) <= 6


def test_label_with_one_group_a_fold_reaches_every_fold():
  groups, labels = _tracks(500, 10, 100)
  rare = np.zeros((500, 1), bool)
  rare[np.unique(groups, return_index=True)[1][:5]] = True
  folds = assign_folds(groups, np.hstack([labels, rare]), 5, 0)
  assert sorted(folds[rare[:, 0]].tolist()) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize('single', [False, True])
def test_same_seed_same_folds_in_any_row_order_and_another_seed_others(single):
  groups, labels = _tracks(400, 8, 120, single=single)
  folds = assign_folds(groups, labels, 4, 7)
  order = np.random.default_rng(0).permutation(400)
  np.testing.assert_array_equal(folds, assign_folds(groups, labels, 4, 7))
  np.testing.assert_array_equal(folds[order], assign_folds(groups[order], labels[order], 4, 7))
  assert (folds != assign_folds(groups, labels, 4, 8)).any()


def test_folds_of_a_seed_stay_what_they_were():
  labels = np.arange(36).reshape(12, 3) % 5 < 2
  folds = assign_folds(np.arange(12).astype(str), labels, 3, 0)
  assert folds.tolist() == [2, 1, 0, 1, 1, 2, 2, 0, 0, 0, 1, 2]


def test_small_groups_even_out_a_large_one():
  groups = np.append(np.full(8, 'large'), np.arange(8).astype(str))
  labels = np.ones((16, 2), bool)
  for seed in range(5):
    assert np.bincount(assign_folds(groups, labels, 2, seed)).tolist() == [8, 8]


def test_rows_without_labels_are_spread_by_number():
  groups = np.arange(103).astype(str)
  folds = assign_folds(groups, np.zeros((103, 4), bool), 5, 0)
  assert sorted(np.bincount(folds).tolist()) == [20, 20, 21, 21, 21]


def test_as_many_groups_as_folds_gives_each_fold_one():
  for single in (False, True):
    groups, labels = _tracks(60, 4, 5, single=single)
    _assert_valid(assign_folds(groups, labels, 5, 0), groups, 5)


def test_single_label_groups_of_one_class_each_leave_no_fold_empty():
  # StratifiedGroupKFold alone leaves one empty for some of these seeds.
  sizes = [21, 2, 24, 13, 6, 16]
  classes = np.repeat(np.arange(6), sizes)
  for seed in range(20):
    folds = assign_folds(classes.astype(str), np.eye(6, dtype=bool)[classes], 6, seed)
    _assert_valid(folds, classes.astype(str), 6)


def test_single_label_classes_smaller_than_the_number_of_folds_are_split():
  labels = np.eye(6, dtype=bool)[np.arange(12) % 6]
  folds = assign_folds(np.arange(12).astype(str), labels, 5, 0)
  _assert_valid(folds, np.arange(12).astype(str), 5)
  for members in labels.T:
    assert len(set(folds[members].tolist())) == 2


@pytest.mark.parametrize('single', [False, True])
def test_too_few_groups_are_an_error_that_says_how_many(single):
  groups, labels = _tracks(60, 4, 3, single=single)
  with pytest.raises(ConfigError, match=r'num_folds: .* each of 5 folds, found 3 groups'):
    assign_folds(groups, labels, 5, 0)
  with pytest.raises(ConfigError, match='found 0 groups'):
    assign_folds(groups[:0], labels[:0], 5, 0)


@pytest.mark.parametrize(
  ('field', 'num_folds', 'seed'), [('num_folds', 1, 0), ('split_seed', 2, -1)]
)
def test_field_out_of_range_is_named(field, num_folds, seed):
  with pytest.raises(ConfigError, match=f'{field}: expected'):
    assign_folds(['a', 'b'], np.ones((2, 1), bool), num_folds, seed)


def test_official_folds_win():
  groups, labels = _tracks(200, 5, 50)
  official = np.unique(groups, return_inverse=True)[1] % 3
  np.testing.assert_array_equal(assign_folds(groups, labels, 3, 0, official), official)


@pytest.mark.parametrize('single', [False, True])
def test_rows_without_official_fold_fill_up_what_the_official_ones_lack(single):
  groups, labels = _tracks(1500, 6, 400, single=single)
  of_row = np.unique(groups, return_inverse=True)[1]
  official = np.where(of_row < 60, 0, -1)
  folds = assign_folds(groups, labels, 3, 0, official)
  _assert_valid(folds, groups, 3)
  assert (folds[official == 0] == 0).all()
  assert _imbalance(folds, labels, 3) < 0.02


def test_unlabelled_rows_without_official_fold_even_out_the_official_sizes():
  official = np.repeat([0, 1, -1], [25, 10, 55])
  folds = assign_folds(np.arange(90).astype(str), np.zeros((90, 2), bool), 3, 0, official)
  assert np.bincount(folds).tolist() == [30, 30, 30]


def test_row_without_official_fold_follows_its_group():
  folds = assign_folds(['a', 'a', 'b', 'c'], np.ones((4, 1), bool), 2, 0, [1, -1, 0, -1])
  assert folds[:3].tolist() == [1, 1, 0]


def test_official_folds_that_cannot_be_are_errors_that_name_the_group():
  labels = np.ones((4, 1), bool)
  with pytest.raises(DataError, match="group 'b': expected one, found 0, 2"):
    assign_folds(['a', 'b', 'c', 'b'], labels, 3, 0, [1, 0, 1, 2])
  with pytest.raises(DataError, match=r"group 'c': expected 0..2 or -1, found 3"):
    assign_folds(['a', 'b', 'c', 'd'], labels, 3, 0, [1, 0, 3, 2])
  with pytest.raises(ConfigError, match='each of 3 folds, found 4 groups, 0 not official'):
    assign_folds(['a', 'b', 'c', 'd'], labels, 3, 0, [1, 0, 1, 1])


_rows = st.lists(
  st.tuples(st.integers(0, 7), st.tuples(*[st.booleans()] * 3), st.booleans()),
  min_size=1,
  max_size=30,
)


@settings(max_examples=200, deadline=None)
@given(_rows, st.integers(2, 4), st.integers(0, 9), st.booleans())
def test_any_rows_get_valid_folds_or_an_error_about_groups(rows, num_folds, seed, single):
  groups = np.array([f'g{group}' for group, _, _ in rows])
  labels = np.array([label for _, label, _ in rows])
  if single:
    labels = np.eye(3, dtype=bool)[labels.sum(1) % 3]
  if len(set(groups)) < num_folds:
    with pytest.raises(ConfigError, match=f'found {len(set(groups))} groups'):
      assign_folds(groups, labels, num_folds, seed)
    return
  folds = assign_folds(groups, labels, num_folds, seed)
  _assert_valid(folds, groups, num_folds)
  official = np.where([known for _, _, known in rows], folds, -1)
  again = assign_folds(groups, labels, num_folds, seed, official)
  _assert_valid(again, groups, num_folds)
  assert (again == official)[official >= 0].all()


def test_splits_hold_every_row_once_and_each_fold_tests_and_validates_once():
  folds = np.array([3, 0, 1, 2, 2, 1, 0, 3, 3])
  tested, validated = [], []
  for fold in range(4):
    split = split_rows(folds, fold, 4)
    assert sorted(np.concatenate(list(split.values())).tolist()) == list(range(9))
    assert set(folds[split['test']]) == {fold}
    assert set(folds[split['validation']]) == {(fold + 1) % 4}
    assert all(np.all(np.diff(rows) > 0) for rows in split.values())
    tested += split['test'].tolist()
    validated += split['validation'].tolist()
  assert sorted(tested) == sorted(validated) == list(range(9))


@pytest.mark.parametrize(
  ('fold', 'num_folds', 'message'),
  [
    (7, 5, 'fold: expected 0..4, found 7'),
    (-1, 5, 'fold: expected 0..4, found -1'),
    (0, 2, 'num_folds: expected 3 or more, found 2'),
    (0, 3, r'num_folds: expected folds 0..2, found 0..4'),
  ],
)
def test_split_out_of_range_is_an_error_that_names_the_field(fold, num_folds, message):
  with pytest.raises(ConfigError, match=message):
    split_rows(np.arange(5), fold, num_folds)


def test_fifty_thousand_tracks_of_256_tags_take_under_ten_seconds():
  # Measured 0.7 s on one core.
  rng = np.random.default_rng(0)
  frequency = 1 / np.arange(1, 257)
  labels = rng.random((51_134, 256)) < np.minimum(4 * frequency / frequency.sum(), 0.6)
  groups = np.arange(51_134).astype(str)
  start = time.perf_counter()
  folds = assign_folds(groups, labels, 5, 0)
  assert time.perf_counter() - start < 10
  assert _imbalance(folds, labels, 5) < 0.005


def test_official_splits_are_what_fold_0_gives_and_folds_are_cut_from_the_rest():
  _, labels = _tracks(300, 4, 300)
  splits = np.repeat(['train', 'test', 'validation'], [200, 60, 40])
  folds = assign_around_splits(groups_of_rows(300), labels, splits, 4, 0)
  for fold in range(4):
    rows = split_rows(folds, fold, 4)
    assert sorted(np.concatenate(list(rows.values())).tolist()) == list(range(300))
    assert set(splits[rows['test']]) == {'test'}
    assert len(rows['test']) == 60
  assert set(splits[split_rows(folds, 0, 4)['validation']]) == {'validation'}
  assert np.bincount(folds[:200]).tolist() in ([0, 67, 67, 66], [0, 67, 66, 67], [0, 66, 67, 67])
  assert _imbalance(folds[:200] - 1, labels[:200], 3) < 0.03


def groups_of_rows(number):
  return np.arange(number).astype(str)


def test_without_validation_rows_they_are_cut_from_the_training_rows():
  _, labels = _tracks(100, 4, 100)
  splits = np.repeat(['train', 'test'], [80, 20])
  folds = assign_around_splits(groups_of_rows(100), labels, splits, 4, 0)
  assert folds[80:].tolist() == [TEST] * 20
  assert np.bincount(folds[:80]).tolist() == [20] * 4
  official = np.append(np.arange(80) % 4, np.full(20, -1))
  found = assign_around_splits(groups_of_rows(100), labels, splits, 4, 0, official)
  np.testing.assert_array_equal(found[:80], official[:80])


def test_without_test_rows_fold_0_cuts_them_from_the_training_rows():
  _, labels = _tracks(100, 4, 100)
  splits = np.repeat(['train', 'validation'], [80, 20])
  rows = split_rows(assign_around_splits(groups_of_rows(100), labels, splits, 5, 0), 0, 5)
  assert set(rows['validation']) == set(range(80, 100))
  assert len(rows['test']) == 20


def test_splits_that_cannot_be_are_errors():
  labels = np.ones((6, 1), bool)
  splits = ['train', 'train', 'train', 'train', 'validation', 'test']
  with pytest.raises(DataError, match="split of group 'a': expected one, found train, test"):
    assign_around_splits(list('abcdea'), labels, splits, 3, 0)
  with pytest.raises(DataError, match='expected rows to train on'):
    assign_around_splits(list('ab'), labels[:2], splits[4:], 3, 0)
  with pytest.raises(DataError, match='expected no validation rows beside official folds'):
    assign_around_splits(list('abcdef'), labels, splits, 3, 0, np.array([0, 1, 2, 0, -1, -1]))
  with pytest.raises(ConfigError, match='each of 4 folds, found 3 groups'):
    assign_around_splits(list('abccef'), labels, splits, 5, 0)
