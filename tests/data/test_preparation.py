"""Preparation among files that hang and crash, and in processes that are killed."""

import contextlib
import csv
import errno
import os
import resource
import select
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import tensorflow_datasets as tfds
from array_record.python import array_record_data_source

from musicjax.data import examples, folds_builder, workers
from musicjax.errors import DataError, StorageError
from tests.data import fragile

ROOT = Path(__file__).parents[2]


@pytest.fixture
def start():
  """Starts preparations in process groups of their own; those left are killed at the end."""
  processes = []

  def start(*args):
    process = subprocess.Popen(
      [sys.executable, '-m', 'tests.data.fragile', *map(str, args)],
      cwd=ROOT,
      stdout=subprocess.PIPE,
      stderr=subprocess.DEVNULL,
      text=True,
      start_new_session=True,
    )
    processes.append(process)
    return process

  yield start
  for process in processes:
    with contextlib.suppress(ProcessLookupError):
      os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()


def wait_until(happened, process):
  while not happened():
    assert process.poll() is None, 'it ended before'
    time.sleep(0.01)


def finished_ids(prepared):
  """Ids in the shards that have their names."""
  features = examples.features((None, 2), 'float32', 1)
  ids = set()
  for path in prepared.glob('musicjax/*/unfinished/*.array_record-?????-of-?????'):
    source = array_record_data_source.ArrayRecordDataSource([str(path)])
    ids |= {features.deserialize_example_np(source[i])['id'].decode() for i in range(len(source))}
  return ids


def test_killed_preparation_goes_on_and_never_looks_finished(start, tmp_path):
  prepared = tmp_path / 'prepared'
  folder = fragile.write(tmp_path / 'raw', *['ok'] * 60)
  gates = np.random.default_rng(0).choice(np.arange(12, 60), 2, replace=False)
  # While decoding, twice; when all shards are there; when all but the last renaming is done.
  for moment in (*gates, 'die=_write_index', 'die=_sync'):
    finished, before = finished_ids(prepared), len(fragile.decoded(folder))
    if isinstance(moment, str):
      process = start(folder, prepared, moment)
    else:
      name = f'{moment:03d}'
      (folder / name).write_text('gate')
      process = start(folder, prepared)
      wait_until(lambda name=name: name in fragile.decoded(folder), process)
      os.killpg(process.pid, signal.SIGKILL)
      (folder / name).write_text('ok')
    assert process.wait() == -signal.SIGKILL
    assert not list(prepared.glob('musicjax/*/1.0.0'))
    assert not finished & set(fragile.decoded(folder)[before:])
    if moment == gates[0]:
      assert finished_ids(prepared)  # Else nothing could be done twice.
  assert len(finished) == 60
  result = fragile.prepare(folder, prepared)
  assert len(fragile.decoded(folder)) == before
  assert list(result.index.ids) == [f'{number:03d}' for number in range(60)]
  assert {path.name for path in result.directory.parent.iterdir()} <= {'1.0.0', 'lock'}
  assert len(tfds.builder_from_directory(result.directory).as_data_source('fold_0+fold_1')) == 40


def test_two_processes_prepare_once(start, tmp_path):
  folder = fragile.write(tmp_path / 'raw', *['ok'] * 8, 'gate')
  processes = [start(folder, tmp_path / 'prepared') for _ in range(2)]
  lines = sorted(process.stdout.readline() for process in processes)
  assert lines[0].startswith('preparing 9 tracks in /')
  assert lines[1].startswith('waiting for another process to prepare /')
  (folder / 'gate').touch()
  assert [process.communicate()[0] for process in processes] == 2 * ['opened 9\n']
  assert sorted(fragile.decoded(folder)) == [f'{number:03d}' for number in range(9)]


def test_workers_do_not_outlive_their_parent(start, tmp_path):
  folder = fragile.write(tmp_path / 'raw', 'ok', 'ok', 'hang')
  process = start(folder, tmp_path / 'prepared')
  wait_until(lambda: '002' in fragile.decoded(folder), process)
  (worker,) = fragile.workers(folder)
  descriptor = os.pidfd_open(worker)
  os.kill(process.pid, signal.SIGKILL)  # The parent alone.
  ended, _, _ = select.select([descriptor], [], [], 10)
  os.close(descriptor)
  assert ended


DEADLY = {
  'hang': 'decoding took longer than 0.5 s',
  'segfault': 'the decoder crashed (signal 11)',
  'exit': 'the decoder crashed (exit code 3)',
}


@pytest.mark.parametrize('content', DEADLY)
def test_a_file_that_hangs_or_crashes_its_decoder_is_a_bad_file(tmp_path, content):
  folder = fragile.write(tmp_path / 'raw', *['ok'] * 4, content, *['ok'] * 4, content, 'bad', 'ok')
  fields = {'decode_seconds': 0.5, 'max_skipped': 0.25}
  with pytest.raises(DataError) as error:
    fragile.prepare(folder, tmp_path / 'prepared', 4, **fields)
  # Fold 0 has the files 000, 003, 006, 009.
  assert str(error.value) == f'{folder}/009: {DEADLY[content]}'
  result = fragile.prepare(folder, tmp_path / 'prepared', 4, on_bad_example='skip', **fields)
  reasons = {'004': DEADLY[content], '009': DEADLY[content], '010': 'bad'}
  expected = [(name, f'{folder}/{name}: {reason}') for name, reason in reasons.items()]
  assert list(result.skipped) == expected
  with (result.directory / 'skipped.csv').open(newline='') as file:
    assert list(csv.reader(file)) == [['id', 'reason'], *map(list, expected)]
  assert not set(reasons) & set(result.index.ids)
  assert len(result.index.ids) == 9
  assert not list(result.directory.glob('*.tmp'))  # Of those that crashed.


def test_too_many_bad_files_are_refused(tmp_path):
  folder = fragile.write(tmp_path / 'raw', *['ok'] * 6, 'bad', 'ok', 'bad')
  for max_skipped in (0.1, 0.2):
    with pytest.raises(DataError) as error:
      fragile.prepare(folder, tmp_path / 'prepared', on_bad_example='skip', max_skipped=max_skipped)
    assert str(error.value) == (
      f'2 of 9 examples cannot be read, more than max_skipped={max_skipped} allows; '
      f'the first: {folder}/006: bad'
    )
  before = len(fragile.decoded(folder))
  fields = {'on_bad_example': 'skip', 'max_skipped': 0.25}
  assert len(fragile.prepare(folder, tmp_path / 'prepared', **fields).skipped) == 2
  assert len(fragile.decoded(folder)) == before  # All shards were there.
  with pytest.raises(DataError, match='2 of 9 examples'):
    fragile.prepare(folder, tmp_path / 'prepared', on_bad_example='skip', max_skipped=0.2)


def test_a_fold_without_examples_is_refused(tmp_path):
  for number, kinds in enumerate((['ok', 'bad', 'ok'] * 3, ['bad'] * 9)):
    folder = fragile.write(tmp_path / f'raw{number}', *kinds)
    with pytest.raises(DataError) as error:
      fragile.prepare(
        folder, tmp_path / f'prepared{number}', on_bad_example='skip', max_skipped=1.0
      )
    fold = 1 - number
    assert str(error.value) == (
      f'fold {fold}: no example is left of 3; the first: {folder}/{fold:03d}: bad'
    )


def test_a_shard_may_lose_all_its_examples(tmp_path):
  folder = fragile.write(tmp_path / 'raw', *['bad'] * 4, *['ok'] * 8)
  result = fragile.prepare(
    folder, tmp_path / 'prepared', on_bad_example='skip', max_skipped=0.5, rows_a_shard=1
  )
  assert list(result.index.ids) == [f'{number:03d}' for number in range(4, 12)]
  folds = tfds.builder_from_directory(result.directory).as_data_source('fold_0+fold_1+fold_2')
  ids = [example['id'].decode() for example in folds]
  assert sorted(ids) == list(result.index.ids)
  features = examples.features((None, 2), 'float32', 1)
  records = result.records.__getitems__(result.index.positions)
  assert [features.deserialize_example_np(r)['id'].decode() for r in records] == sorted(ids)


def test_more_time_is_given_to_files_that_had_too_little(tmp_path):
  folder = fragile.write(tmp_path / 'raw', 'slow', 'ok', 'ok')
  fields = {'on_bad_example': 'skip', 'max_skipped': 0.0}
  with pytest.raises(DataError, match='1 of 3 examples'):
    fragile.prepare(folder, tmp_path / 'prepared', decode_seconds=0.3, **fields)
  result = fragile.prepare(folder, tmp_path / 'prepared', decode_seconds=30.0, **fields)
  assert len(result.index.ids) == 3
  assert Counter(fragile.decoded(folder)) == {'000': 2, '001': 1, '002': 1}


def test_a_process_that_dies_while_it_does_not_decode_is_replaced_once(tmp_path):
  folder = fragile.write(tmp_path / 'raw', *['ok'] * 15)
  fields = {'on_bad_example': 'skip', 'dataset.die_on_13': True}
  with pytest.raises(DataError, match=r'2 processes died while they wrote it \(exit code 4\)'):
    fragile.prepare(folder, tmp_path / 'prepared', **fields)
  assert fragile.decoded(folder).count('013') == 2


def test_a_full_disk_is_told_in_one_line(tmp_path):
  folder = fragile.write(tmp_path / 'raw', 'ok', 'large', 'ok')
  limits = resource.getrlimit(resource.RLIMIT_FSIZE)
  resource.setrlimit(resource.RLIMIT_FSIZE, (4_000_000, limits[1]))  # Half of the large one.
  try:
    with pytest.raises(StorageError, match=r'cannot be written: .*too large') as error:
      fragile.prepare(folder, tmp_path / 'prepared', on_bad_example='skip')
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
  assert '\n' not in str(error.value)
  assert len(fragile.prepare(folder, tmp_path / 'prepared', on_bad_example='skip').index.ids) == 3


@pytest.mark.parametrize('place', ['_write_index', '_sync'])
def test_a_disk_full_at_the_end_is_told_and_nothing_is_decoded_again(place, tmp_path, monkeypatch):
  folder = fragile.write(tmp_path / 'raw', 'ok', 'ok', 'ok')
  full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
  with monkeypatch.context() as patch:
    patch.setattr(folds_builder, place, mock.Mock(side_effect=full))
    with pytest.raises(StorageError, match='No space left'):
      fragile.prepare(folder, tmp_path / 'prepared')
  fragile.prepare(folder, tmp_path / 'prepared')
  assert fragile.decoded(folder) == ['000', '001', '002']


def test_a_worker_tells_of_a_full_disk(tmp_path, monkeypatch):
  shard = workers.Shard(tmp_path / 'shard', [], [], np.ones((0, 1)))
  full = OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))
  monkeypatch.setattr(workers, '_write_durably', mock.Mock(side_effect=full))
  monkeypatch.setattr(workers, 'ctypes', mock.Mock())
  monkeypatch.setattr(workers, 'signal', mock.Mock())
  monkeypatch.setitem(sys.modules, 'jax', mock.Mock())  # It and the environment are set to the CPU.
  monkeypatch.setenv('JAX_PLATFORMS', 'cpu')
  pipe = mock.Mock(recv=mock.Mock(side_effect=[None, (shard, {})]))
  workers._work(pipe, os.getppid())
  [error] = pipe.send.call_args.args
  assert isinstance(error, StorageError)
  assert 'shard cannot be written: Disk quota exceeded' in str(error)


def test_a_mistake_in_the_decoder_is_no_bad_file(tmp_path):
  folder = fragile.write(tmp_path / 'raw', 'ok', 'mistake', 'ok')
  with pytest.raises(RuntimeError, match="KeyError: 'mistake'"):
    fragile.prepare(folder, tmp_path / 'prepared', on_bad_example='skip', max_skipped=1.0)


def test_files_of_another_layout_are_cleared_away(tmp_path):
  folder = fragile.write(tmp_path / 'raw', *['ok'] * 11, 'bad')
  fields = {'on_bad_example': 'skip'}
  with pytest.raises(DataError, match='1 of 12'):
    fragile.prepare(folder, tmp_path / 'prepared', 1, max_skipped=0.0, **fields)
  (left,) = (tmp_path / 'prepared').glob('musicjax/*/unfinished')
  (left / 'a.tmp').touch()
  result = fragile.prepare(folder, tmp_path / 'prepared', 4, **fields)
  assert len(result.index.ids) == 11
  names = {path.name for path in result.directory.iterdir()}
  shards = {f'musicjax-fold_{fold}.array_record-00000-of-00001' for fold in range(3)}
  ours = {'index.npz', 'skipped.csv', 'sizes.json'}
  assert names == shards | ours | {'dataset_info.json', 'features.json'}


def test_shards_do_not_depend_on_the_number_of_cpus(tmp_path, monkeypatch):
  folder = fragile.write(tmp_path / 'raw', *['ok'] * 80)
  found = []
  for cpus in (1, 3):
    monkeypatch.setattr(os, 'cpu_count', lambda cpus=cpus: cpus)
    result = fragile.prepare(folder, tmp_path / f'prepared{cpus}', rows_a_shard=5)
    shards = sorted(result.directory.glob('*.array_record*'))
    found.append([(path.name, path.read_bytes()) for path in shards])
  assert len(fragile.workers(folder)) > 2
  assert len(found[0]) == 18
  assert found[0] == found[1]


def test_workers_leave_the_accelerator_alone(tmp_path, monkeypatch):
  folder = fragile.write(tmp_path / 'raw', 'jax', 'ok', 'ok')
  monkeypatch.setenv('JAX_PLATFORMS', 'an accelerator')
  assert len(fragile.prepare(folder, tmp_path / 'prepared').index.ids) == 3
