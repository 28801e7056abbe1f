import itertools

import numpy as np
import pytest

from musicjax.data import array_records, input_pipeline, plans
from tests.conftest import make_config

VARIANTS = {
  'plain': {},
  'cropped': {'crop_frames': 6},
  'bucketed': {'buckets': (8, 16), 'bucket_window': 4, 'crop_frames': 0},
  'accumulated': {'accumulate': 2, 'buckets': (10,), 'bucket_window': 3, 'crop_frames': 12},
  'other fold': {'fold': 3, 'crop_frames': 0},
}


@pytest.fixture(params=VARIANTS.values(), ids=VARIANTS.keys())
def config(request, yandex_folder, prepared_dir):
  return make_config(yandex_folder, prepared_dir, **request.param)


def train_batches(config, steps, local=slice(None)):
  prepared = array_records.prepare(config)
  rows = plans.split_rows(prepared.index, config)['train']
  plan = plans.train_plan(prepared.index, rows, config)
  return list(input_pipeline.tf_batches(prepared, plan, steps, local)), plan, prepared, rows


def assert_equal_batches(found, expected):
  assert found.keys() == expected.keys()
  for key in expected:
    assert found[key].dtype == expected[key].dtype, key
    np.testing.assert_array_equal(found[key], expected[key], err_msg=key)


def test_batch_at_equals_the_tf_data_path_over_epoch_boundaries(config):
  # 30 training examples, batches of 8: steps 3 and 7 hold the ends of epochs.
  batches, *_ = train_batches(config, range(9))
  for step, batch in enumerate(batches):
    assert_equal_batches(batch, input_pipeline.batch_at(config, step))
    assert (batch['weights'] == 1).all()  # The dataset has none.


def test_a_later_start_yields_the_same_batches(config):
  from_start, *_ = train_batches(config, range(8))
  resumed, *_ = train_batches(config, range(5, 8))
  for batch, expected in zip(resumed, from_start[5:], strict=True):
    assert_equal_batches(batch, expected)


def test_hosts_hold_disjoint_parts_of_the_same_global_batch(config):
  whole, *_ = train_batches(config, range(5))
  size = config.batch_size // config.accumulate
  halves = [
    train_batches(config, range(5), np.arange(size)[half])[0]
    for half in (slice(0, size // 2), slice(size // 2, size))
  ]
  for step, batch in enumerate(whole):
    for key, value in batch.items():
      np.testing.assert_array_equal(
        np.concatenate([half[step][key] for half in halves], axis=1), value, err_msg=key
      )


def test_every_example_comes_once_an_epoch_and_none_is_dropped(config):
  _, plan, _, rows = train_batches(config, range(1))
  # As many windows as hold whole epochs: examples may change places within a window only.
  steps = int(np.lcm(len(rows), config.batch_size * config.bucket_window)) // config.batch_size
  epochs = steps * config.batch_size // len(rows)
  seen = np.concatenate([plan(step).rows.ravel() for step in range(steps)])
  np.testing.assert_array_equal(
    np.bincount(seen, minlength=rows.max() + 1)[rows], np.full(len(rows), epochs)
  )
  assert set(seen) == set(rows)


def test_epochs_are_shuffled_differently_and_by_the_seed(yandex_folder, prepared_dir):
  config = make_config(yandex_folder, prepared_dir)
  _, plan, _, rows = train_batches(config, range(1))
  steps = len(rows) // np.gcd(len(rows), config.batch_size)
  order = np.concatenate([plan(step).rows.ravel() for step in range(2 * steps)])
  first, second = order[: len(rows)], order[len(rows) : 2 * len(rows)]
  assert sorted(first) == sorted(second)
  assert not np.array_equal(first, second)
  config.seed = 1
  assert not np.array_equal(train_batches(config, range(1))[1](0).rows, plan(0).rows)


def test_buckets_bound_the_shapes_and_save_padding(yandex_folder, prepared_dir):
  config = make_config(yandex_folder, prepared_dir, crop_frames=0)
  _, plain, prepared, _ = train_batches(config, range(1))
  config.update(buckets=(8, 16, 20), bucket_window=8)
  _, bucketed, *_ = train_batches(config, range(1))
  longest = plain(0).time
  times = [bucketed(step).time for step in range(64)]
  assert set(times) <= {8, 16, 20, longest}
  assert np.mean(times) < 0.8 * longest
  for step in range(16):
    plan = bucketed(step)
    assert plan.lengths.max() <= plan.time
    np.testing.assert_array_equal(plan.lengths, prepared.index.lengths[plan.rows])


def test_buckets_of_a_small_set_keep_epochs_and_batches_apart(yandex_folder, prepared_dir):
  config = make_config(yandex_folder, prepared_dir, crop_frames=0, buckets=(8, 16))
  config.bucket_window = 64  # 512 examples of a training fold of about 30.
  _, plan, _, rows = train_batches(config, range(1))
  seen = np.zeros(len(rows), int)
  for step in range(len(rows) // config.batch_size):
    batch = plan(step).rows.ravel()
    assert len(set(batch)) == len(batch)
    seen[np.searchsorted(rows, batch)] += 1
  assert seen.max() == 1


def test_crops_lie_within_the_track_and_differ_by_step(yandex_folder, prepared_dir):
  config = make_config(yandex_folder, prepared_dir, crop_frames=4)
  _, plan, prepared, _ = train_batches(config, range(1))
  starts = {}
  for step in range(40):
    rows, begin, lengths, time = plan(step)
    assert time == 4
    assert (begin >= 0).all()
    assert (begin + lengths <= prepared.index.lengths[rows]).all()
    for row, start in zip(rows.ravel(), begin.ravel(), strict=True):
      starts.setdefault(row, set()).add(start)
  assert max(map(len, starts.values())) > 3


def test_evaluation_reads_every_example_once_and_fills_up_with_padding(yandex_folder, prepared_dir):
  config = make_config(yandex_folder, prepared_dir, eval_batch_size=7, buckets=(8, 16))
  prepared = array_records.prepare(config)
  for rows in plans.split_rows(prepared.index, config).values():
    plan, steps = plans.eval_plan(prepared.index, rows, config)
    batches = list(input_pipeline.tf_batches(prepared, plan, range(steps)))
    index = np.concatenate([batch['index'] for batch in batches])
    np.testing.assert_array_equal(np.sort(index[index >= 0]), rows)
    for step, batch in enumerate(batches):
      assert_equal_batches(batch, input_pipeline.plain_batch(prepared, plan(step)))


def test_splits_of_a_fold_are_disjoint_and_folds_rotate(yandex_folder, prepared_dir):
  config = make_config(yandex_folder, prepared_dir)
  index = array_records.prepare(config).index
  tests = []
  for fold in range(config.num_folds):
    config.fold = fold
    rows = plans.split_rows(index, config)
    assert not any(set(a) & set(b) for a, b in itertools.combinations(rows.values(), 2))
    assert sum(map(len, rows.values())) == len(index.ids)
    tests.append(rows['test'])
  np.testing.assert_array_equal(np.sort(np.concatenate(tests)), np.arange(len(index.ids)))
