import dataclasses
import types

import jax
import numpy as np
import pytest

from configs import spectrogram_cnn
from musicjax import sharding, train
from musicjax.data import array_records, device_batches, plans
from musicjax.errors import ConfigError
from tests.conftest import make_config, write_audio_folder


@pytest.fixture(scope='module')
def slices(tmp_path_factory):
  """Config and dataset of float16 slices of one length."""
  folder = tmp_path_factory.mktemp('audio')
  config = spectrogram_cnn.get_config('test')
  config.data_dir = str(write_audio_folder(folder / 'raw', num_tracks=4))
  config.prepared_dir = str(folder / 'prepared')
  return config, array_records.prepare(config)


def read_both(config, prepared, plan, steps):
  """Returns the batches of steps: read and uploaded, and gathered."""
  both = []
  for config.resident in (False, True):
    read = device_batches.make_read(prepared, config, sharding.make_mesh())
    both.append(list(map(jax.device_get, read(plan, steps))))
  return both


def assert_equal(found, expected):
  for one, other in zip(found, expected, strict=True):
    assert one.keys() == other.keys()
    for name in one:
      assert one[name].dtype == other[name].dtype, name
      np.testing.assert_array_equal(one[name], other[name], err_msg=name)


@pytest.mark.parametrize(
  'fields',
  [
    {'crop_frames': 6},
    {'crop_frames': 0, 'buckets': (8, 16), 'bucket_window': 4},
    {'crop_frames': 12, 'accumulate': 2},
  ],
  ids=['cropped', 'bucketed', 'accumulated'],
)
def test_gathered_batches_have_the_bits_of_read_ones(yandex_folder, prepared_dir, fields):
  config = make_config(yandex_folder, prepared_dir, **fields)
  prepared = array_records.prepare(config)
  rows = plans.split_rows(prepared.index, config)
  plan = plans.train_plan(prepared.index, rows['train'], config)
  assert_equal(*read_both(config, prepared, plan, range(3, 9)))
  config.eval_batch_size = 7  # The last batch is filled up.
  plan, steps = plans.eval_plan(prepared.index, rows['test'], config)
  assert_equal(*read_both(config, prepared, plan, range(steps)))


def test_batches_of_slices_keep_the_stored_type(slices):
  config, prepared = slices
  rows = plans.split_rows(prepared.index, config)['train']
  plan = plans.train_plan(prepared.index, rows, config)
  read, gathered = read_both(config, prepared, plan, range(3))
  assert {batch['inputs'].dtype for batch in read} == {np.dtype('float16')}
  assert_equal(gathered, read)


def test_training_on_a_resident_dataset_ends_with_the_same_state(
  yandex_folder, prepared_dir, tmp_path
):
  # A run that is extended goes on as it was under a constant learning rate alone.
  fields = {'eval_every_steps': 2, 'optimizer.schedule': 'constant'}
  config = make_config(yandex_folder, prepared_dir, num_train_steps=4, **fields)
  plain = train.train_and_evaluate(config, tmp_path / 'plain')
  config.resident = True
  config.num_train_steps = 2
  train.train_and_evaluate(config, tmp_path / 'resident')
  config.num_train_steps = 4
  resumed = train.train_and_evaluate(config, tmp_path / 'resident')
  assert resumed['state_fingerprint'] == plain['state_fingerprint']
  assert resumed['test'] == plain['test']


def test_a_dataset_that_does_not_fit_is_refused_in_one_line(slices):
  config, prepared = slices
  config.resident = True
  mesh = sharding.make_mesh()
  told = {'bytes_limit': 3000, 'bytes_in_use': 1000}
  few = types.SimpleNamespace(local_devices=[types.SimpleNamespace(memory_stats=lambda: told)])
  with pytest.raises(
    ConfigError, match=r'config.resident: expected .* at most 0.00 GB.* found 0.0'
  ):
    device_batches.make_read(prepared, config, few)
  long = dataclasses.replace(
    prepared.index, lengths=np.full_like(prepared.index.lengths, 2**31 - 1)
  )
  with pytest.raises(ConfigError, match=r'config.resident: expected fewer than 2\^31 frames'):
    device_batches.make_read(dataclasses.replace(prepared, index=long), config, mesh)
