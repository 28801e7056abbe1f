import numpy as np

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
