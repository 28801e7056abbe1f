"""Folds for cross-validation: no group lies in two folds, every label is spread evenly over them.

Folds depend on group names, labels, num_folds and split_seed only: the order of rows does not
matter, and the pseudo-random stream is one that NumPy keeps frozen.
"""

import warnings

import numpy as np

from musicjax.errors import ConfigError, DataError, quoted

SPLITS = ('train', 'validation', 'test')  # That data may bring.
TEST = -1  # In place of a fold: a row of the data's own test set.


def assign_folds(groups, labels, num_folds: int, split_seed: int, official=None) -> np.ndarray:
  """Gives every row a fold.

  Rows with one label each go through scikit-learn's StratifiedGroupKFold, unless it cannot fill
  all folds; all else through iterative stratification (Sechidis et al., 2011) of the groups.

  Args:
    groups: [n] str; rows of one group share a fold.
    labels: [n, classes] bool.
    num_folds: 2 or more.
    split_seed: 0 .. 2**32 - 1.
    official: [n] int folds that come with the data, or None. They win; -1 marks a row without
      one, which follows its group or, if the whole group has none, is stratified around them.

  Returns:
    [n] int32, folds 0 .. num_folds - 1, none of them empty.

  Raises:
    ConfigError: num_folds or split_seed out of range, or more folds than groups can fill.
    DataError: an official fold out of range, or a group in two official folds.
  """
  if num_folds < 2:
    raise ConfigError(f'num_folds: expected 2 or more, found {num_folds}')
  if not 0 <= split_seed < 2**32:
    raise ConfigError(f'split_seed: expected 0..{2**32 - 1}, found {split_seed}')
  labels = np.asarray(labels, bool)
  names, group_of_row = np.unique(np.asarray(groups, str), return_inverse=True)
  if len(group_of_row) != len(labels):
    raise ValueError(f'groups: expected {len(labels)} as labels, found {len(group_of_row)}')

  fixed = _official_folds(names, group_of_row, official, num_folds)
  num_unfixed = np.count_nonzero(fixed < 0)
  empty = num_folds - len(np.unique(fixed[fixed >= 0]))
  if num_unfixed < empty:
    found = f'{len(names)} groups' + ('' if official is None else f', {num_unfixed} not official')
    raise ConfigError(f'num_folds: expected a group for each of {num_folds} folds, found {found}')

  # scikit-learn refuses labels of which none has num_folds examples, and leaves a fold empty now
  # and then where groups are barely more than folds; iterative stratification does neither.
  if official is None and np.all(labels.sum(1) == 1) and labels.sum(0).max() >= num_folds:
    folds = _stratified_group_k_fold(group_of_row, labels.argmax(1), num_folds, split_seed)
    if len(np.unique(folds)) == num_folds:
      return folds
  sizes = np.bincount(group_of_row, minlength=len(names))
  counts = np.zeros((len(names), labels.shape[1]), np.int64)
  rows, classes = np.nonzero(labels)
  np.add.at(counts, (group_of_row[rows], classes), 1)
  return _iterative_stratification(counts, sizes, fixed, num_folds, split_seed)[group_of_row]


def assign_around_splits(
  groups, labels, splits, num_folds: int, split_seed: int, official=None
) -> np.ndarray:
  """Gives every row of data that brings its own splits a fold; see `split_rows`.

  Test rows are the test set, whatever the fold. Validation rows are the fold that validates where
  config.fold is 0, and training rows fill the others; without validation rows, or without test
  rows, folds for these are cut from the training rows.

  Args:
    groups: as of `assign_folds`, as are labels, num_folds, split_seed and official.
    splits: [n] of `SPLITS`.

  Returns:
    [n] int32, `TEST` or a fold.

  Raises:
    ConfigError, DataError: as `assign_folds`; a group lies in two splits, nothing is left to train
      on, or there are both validation rows and official folds.
  """
  groups, labels, splits = np.asarray(groups, str), np.asarray(labels, bool), np.asarray(splits)
  split_of = {}
  for group, split in zip(groups.tolist(), splits.tolist(), strict=True):
    if split_of.setdefault(group, split) != split:
      raise DataError(
        f'split of group {quoted(group)}: expected one, found {split_of[group]}, {split}'
      )
  test, validation = splits == 'test', splits == 'validation'
  folds = np.full(len(splits), TEST, np.int32)
  if (test | validation).all():
    raise DataError('split: expected rows to train on, found none')
  if not validation.any():
    rows = ~test
    fixed = None if official is None else official[rows]
    folds[rows] = assign_folds(groups[rows], labels[rows], num_folds, split_seed, fixed)
    return folds
  if official is not None:
    raise DataError('split: expected no validation rows beside official folds, found both')
  train = splits == 'train'
  folds[validation] = held = 0 if test.any() else 1
  cut = assign_folds(groups[train], labels[train], num_folds - 1, split_seed)
  folds[train] = cut + (cut >= held)
  return folds


def split_rows(folds, fold: int, num_folds: int) -> dict[str, np.ndarray]:
  """Rows of each split: fold f tests, fold (f + 1) % num_folds validates, the rest trains.

  Where the data brings its own test set, that tests, fold f validates, and the rest trains.

  Args:
    folds: [n] int, from `assign_folds`, or `TEST`.
    fold: 0 .. num_folds - 1.
    num_folds: 3 or more, or nothing would be left to train on.

  Returns:
    `train`, `validation`, `test`: ascending int64 rows, disjoint, together all n.

  Raises:
    ConfigError: a number out of range, or folds made for another num_folds.
  """
  folds = np.asarray(folds)
  if num_folds < 3:
    raise ConfigError(f'num_folds: expected 3 or more, found {num_folds}')
  if not 0 <= fold < num_folds:
    raise ConfigError(f'fold: expected 0..{num_folds - 1}, found {fold}')
  if folds.size and (folds.min() < TEST or folds.max() >= num_folds):
    raise ConfigError(
      f'num_folds: expected folds 0..{num_folds - 1}, found {folds.min()}..{folds.max()}'
    )
  if (folds == TEST).any():
    test, validation = folds == TEST, folds == fold
  else:
    test, validation = folds == fold, folds == (fold + 1) % num_folds
  return {
    'train': np.flatnonzero(~test & ~validation),
    'validation': np.flatnonzero(validation),
    'test': np.flatnonzero(test),
  }


def _official_folds(names, group_of_row, official, num_folds) -> np.ndarray:
  """Fold of each group [groups], -1 where none is given."""
  fixed = np.full(len(names), -1, np.int64)
  if official is None:
    return fixed
  official = np.asarray(official)
  if official.shape != group_of_row.shape:
    raise ValueError(f'official: expected shape {group_of_row.shape}, found {official.shape}')
  wrong = np.flatnonzero((official < -1) | (official >= num_folds))
  if wrong.size:
    raise DataError(
      f'official fold of group {str(names[group_of_row[wrong[0]]])!r}: '
      f'expected 0..{num_folds - 1} or -1, found {official[wrong[0]]}'
    )
  given = np.flatnonzero(official >= 0)
  fixed[group_of_row[given]] = official[given]
  clash = given[fixed[group_of_row[given]] != official[given]]
  if clash.size:
    group = group_of_row[clash[0]]
    found = np.unique(official[given[group_of_row[given] == group]])
    raise DataError(
      f'official fold of group {str(names[group])!r}: '
      f'expected one, found {", ".join(str(f) for f in found)}'
    )
  return fixed


def _stratified_group_k_fold(groups, classes, num_folds, split_seed) -> np.ndarray:
  # Imported here because it takes a second, and training on prepared data does not need it.
  from sklearn.model_selection import StratifiedGroupKFold

  splitter = StratifiedGroupKFold(num_folds, shuffle=True, random_state=split_seed)
  folds = np.empty(len(groups), np.int32)
  with warnings.catch_warnings():
    # A class with fewer examples than folds is the data's nature, nothing to act on.
    warnings.filterwarnings('ignore', message='The least populated class')
    for fold, (_, rows) in enumerate(splitter.split(classes, classes, groups)):
      folds[rows] = fold
  return folds


def _iterative_stratification(counts, sizes, fixed, num_folds, split_seed) -> np.ndarray:
  """Sechidis, Tsoumakas and Vlahavas, 2011: the rarest label first, each of its groups to the fold
  that lacks most of that label, ties to the smallest fold, further ties at random. An empty fold
  lacks most of everything, so none stays empty while there are groups.

  A label's groups go by falling count of it (an example's count is always one in the paper), so
  that small groups even out what large ones upset. Needs are kept times num_folds, as integers,
  so that ties are exact.

  Args:
    counts: [groups, classes] rows with each label.
    sizes: [groups] rows.
    fixed: [groups] fold, or -1 for a group to place.
    num_folds: number of folds.
    split_seed: seeds the order of equal groups and the last ties.

  Returns:
    [groups] int32 fold.
  """
  rng = np.random.RandomState(split_seed)
  shuffled = rng.permutation(len(sizes))
  preference = rng.random_sample((len(sizes), num_folds))

  folds = fixed.astype(np.int32)
  waiting = fixed < 0
  label_need = np.tile(counts.sum(0), (num_folds, 1))
  row_need = np.full(num_folds, sizes.sum())
  for fold in range(num_folds):
    label_need[fold] -= num_folds * counts[fixed == fold].sum(0)
    row_need[fold] -= num_folds * sizes[fixed == fold].sum()
  left = counts[waiting].sum(0)

  while waiting.any():
    if left.any():
      label = int(np.argmin(np.where(left > 0, left, np.iinfo(np.int64).max)))
      need, amount = label_need[:, label], counts[:, label]
    else:
      need, amount = row_need, sizes
    members = shuffled[waiting[shuffled] & (amount[shuffled] > 0)]
    for group in members[np.argsort(-amount[members], kind='stable')]:
      fold = max(range(num_folds), key=lambda f: (need[f], row_need[f], preference[group, f]))
      folds[group], waiting[group] = fold, False
      label_need[fold] -= num_folds * counts[group]
      row_need[fold] -= num_folds * sizes[group]
      left -= counts[group]
  return folds
