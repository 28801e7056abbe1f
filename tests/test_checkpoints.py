"""What a run may find of its checkpoints after a crash, and what it makes of it."""

import errno
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import optax
import pytest
from ml_collections import ConfigDict

from musicjax import checkpoints, sharding, train_state
from musicjax.errors import ConfigError, DataError, StorageError


def state_of(step: int, best_step: int) -> train_state.TrainState:
  """A small state whose numbers tell its step."""
  params = {'kernel': jnp.full((40, 50), step, jnp.float32) + jnp.arange(50)}
  state = train_state.create({'params': params}, optax.adam(1.0), ConfigDict({'ema_decay': 0.5}))
  state = state.replace(
    step=jnp.int32(step), progress=state.progress.replace(best_step=jnp.int32(best_step))
  )
  return jax.device_put(state, sharding.replicated(sharding.make_mesh()))


def restore(saved: checkpoints.Checkpoints, which: str) -> train_state.TrainState:
  like = jax.eval_shape(lambda: state_of(0, 0))
  return saved.restore(which, like, sharding.replicated(sharding.make_mesh()))


def open_checkpoints(directory: Path, *, read_only: bool) -> checkpoints.Checkpoints:
  return checkpoints.Checkpoints(directory, read_only=read_only)


def save(directory: Path, steps: dict[int, int]) -> None:
  """Saves steps, each with its best step, as one run."""
  saved = open_checkpoints(directory, read_only=False)
  for step, best_step in steps.items():
    saved.save(state_of(step, best_step), seconds=float(step), learning_rate=0.5)
  saved.close()


@pytest.fixture(scope='module')
def original(tmp_path_factory) -> Path:
  """Checkpoints 1 (the best), 2 and 3."""
  directory = tmp_path_factory.mktemp('original') / 'checkpoints'
  save(directory, {1: 1, 2: 1, 3: 1})
  return directory


@pytest.fixture
def directory(original, tmp_path) -> Path:
  return shutil.copytree(original, tmp_path / 'checkpoints')


def steps(directory: Path) -> list[str]:
  return sorted(path.name for path in directory.iterdir())


def array_file(folder: Path) -> Path:
  """The largest file: numbers of arrays."""
  return max((path for path in folder.rglob('*') if path.is_file()), key=lambda p: p.stat().st_size)


def flip(path: Path, at: float = 0.5) -> None:
  content = bytearray(path.read_bytes())
  content[int(len(content) * at)] ^= 1
  path.write_bytes(content)


def empty(folder: Path) -> None:
  shutil.rmtree(folder)
  folder.mkdir()


DAMAGE = {
  'array truncated': lambda folder: array_file(folder).write_bytes(
    array_file(folder).read_bytes()[:-20]
  ),
  'array of zeros': lambda folder: array_file(folder).write_bytes(
    bytes(array_file(folder).stat().st_size)
  ),
  'array of garbage': lambda folder: array_file(folder).write_bytes(b'garbage'),
  'array missing': lambda folder: array_file(folder).unlink(),
  'one bit of an array': lambda folder: flip(array_file(folder)),
  'index of arrays': lambda folder: flip(folder / 'default' / 'manifest.ocdbt'),
  'metadata missing': lambda folder: (folder / '_CHECKPOINT_METADATA').unlink(),
  'metadata garbage': lambda folder: (folder / '_CHECKPOINT_METADATA').write_bytes(b'\xff\0{'),
  'metadata of the item': lambda folder: (folder / 'default' / '_METADATA').write_text('{}'),
  'seal missing': lambda folder: (folder / 'seal.json').unlink(),
  'seal garbage': lambda folder: (folder / 'seal.json').write_text('[1, 2]'),
  'seal altered': lambda folder: (folder / 'seal.json').write_text(
    (folder / 'seal.json').read_text().replace('"best_step": 1', '"best_step": 2')
  ),
  'empty folder': empty,
}


@pytest.mark.parametrize('damage', DAMAGE)
def test_a_damaged_checkpoint_is_passed_over_told_and_kept(directory, damage, capfd):
  DAMAGE[damage](directory / '3')
  before = {path: path.stat().st_mtime_ns for path in directory.rglob('*')}
  reader = open_checkpoints(directory, read_only=True)
  assert int(restore(reader, 'latest').step) == 2
  assert 'checkpoint 3 is damaged and passed over: ' in capfd.readouterr().err
  with pytest.raises(DataError, match=r'checkpoint 3: .*/checkpoints/3 is damaged: '):
    restore(reader, '3')
  assert {path: path.stat().st_mtime_ns for path in directory.rglob('*')} == before

  writer = open_checkpoints(directory, read_only=False)
  state = restore(writer, 'latest')
  assert train_state.fingerprint(state) == train_state.fingerprint(state_of(2, 1))
  assert writer.metadata('latest')['seconds'] == 2.0
  told = capfd.readouterr().out
  assert 'checkpoint 3 is damaged and passed over, kept as 3.corrupt: ' in told
  writer.save(state_of(3, 1), seconds=3.0, learning_rate=0.5)  # The run gets there again.
  writer.close()
  assert steps(directory) == ['1', '2', '3', '3.corrupt']
  assert int(restore(open_checkpoints(directory, read_only=True), 'latest').step) == 3


def test_leftovers_of_a_kill_are_no_checkpoints_and_are_cleared(directory):
  (directory / '3').rename(directory / '3.orbax-checkpoint-tmp')
  assert int(restore(open_checkpoints(directory, read_only=True), 'latest').step) == 2
  writer = open_checkpoints(directory, read_only=False)
  assert writer.latest_step == 2
  writer.save(state_of(3, 1), seconds=3.0, learning_rate=0.5)
  writer.close()
  assert steps(directory) == ['1', '2', '3']


def test_no_run_starts_from_zero_where_every_checkpoint_is_damaged(directory):
  for step in (1, 2, 3):
    flip(array_file(directory / str(step)))
  for _ in range(2):  # The same the second time: nothing was moved.
    with pytest.raises(DataError) as error:
      open_checkpoints(directory, read_only=False)
    assert str(directory) in str(error.value)
    assert str(error.value).count('the content is not what was saved') == 3
  with pytest.raises(DataError, match='every checkpoint is damaged'):
    restore(open_checkpoints(directory, read_only=True), 'latest')
  assert steps(directory) == ['1', '2', '3']


def test_a_damaged_best_is_named_and_the_run_goes_on_without(directory, capfd):
  flip(array_file(directory / '1'))
  with pytest.raises(DataError, match=r'checkpoint best: .*/checkpoints/1 is damaged: default/'):
    restore(open_checkpoints(directory, read_only=True), 'best')
  writer = open_checkpoints(directory, read_only=False)
  assert int(restore(writer, 'latest').step) == 3
  assert 'kept as 1.corrupt' in capfd.readouterr().out
  with pytest.raises(ConfigError, match='the best one is that of step 1, which is not in'):
    restore(writer, 'best')


def test_the_best_of_the_checkpoint_before_the_latest_is_kept_too(tmp_path):
  # 4 is better than 2. If it is damaged, 3 is resumed from, and there 2 is still the best.
  save(tmp_path, {1: 1, 2: 2, 3: 2})
  save(tmp_path, {4: 4})
  assert steps(tmp_path) == ['2', '3', '4']
  save(tmp_path, {5: 4, 6: 4})
  assert steps(tmp_path) == ['4', '5', '6']


def best_of_latest(saved: checkpoints.Checkpoints) -> int:
  return int(restore(saved, 'latest').progress.best_step)


def test_a_step_saved_before_its_evaluation_is_replaced_by_what_that_says(directory):
  save(directory, {3: 3})
  assert steps(directory) == ['1', '2', '3']
  reader = open_checkpoints(directory, read_only=True)
  assert (reader.resolve('best'), best_of_latest(reader)) == (3, 3)


def test_a_replacement_that_is_not_finished_leaves_the_step_as_it_was(directory, monkeypatch):
  def fail(self):
    del self
    raise OSError(errno.ENOSPC, 'No space left on device')

  with monkeypatch.context() as patch:
    patch.setattr(checkpoints.Checkpoints, '_seal', fail)
    saved = open_checkpoints(directory, read_only=False)
    saved.save(state_of(3, 3), seconds=3.0, learning_rate=0.5)
    with pytest.raises(StorageError, match=r'checkpoint 3 cannot be written .* is 2'):
      saved.wait()
    saved.close()  # As training does, whatever ended it.
  reader = open_checkpoints(directory, read_only=True)
  assert reader.resolve('latest') == 2
  writer = open_checkpoints(directory, read_only=False)
  assert (writer.latest_step, best_of_latest(writer)) == (3, 1)
  writer.close()
  assert steps(directory) == ['1', '2', '3']


@pytest.mark.parametrize('which', ['latest', 'best', '3'])
@pytest.mark.parametrize(
  'moment',
  [(checkpoints, '_fault'), (checkpoints, '_size_and_checksum'),
   (checkpoints, '_check_orbax_metadata'), (checkpoints.ocp, 'StandardCheckpointer')],
  ids=['before', 'in the middle', 'at the end', 'afterwards'],
)  # fmt: skip
def test_what_a_training_deletes_while_it_is_read_is_not_damaged(
  which, moment, directory, monkeypatch, capfd
):
  """Before, in the middle, at the end of its verification, and after that."""
  flip(array_file(directory / '2'))  # This one is damaged, and stays so.
  original, calls = getattr(*moment), iter([None])

  def delete_first(*args, **kwargs):
    for _ in calls:  # As the training does that has saved 4, the new best, and 5.
      save(directory.parent / 'later', {4: 4, 5: 4})
      for step in ('4', '5'):
        (directory.parent / 'later' / step).rename(directory / step)
      shutil.rmtree(directory / '1')
      shutil.rmtree(directory / '3')
    return original(*args, **kwargs)

  monkeypatch.setattr(*moment, delete_first)
  reader = open_checkpoints(directory, read_only=True)
  if which == '3':
    with pytest.raises(ConfigError, match=r'one of \[2, 4, 5\], found .3.'):
      restore(reader, which)
  else:
    assert int(restore(reader, which).step) == {'latest': 5, 'best': 4}[which]
  assert 'damaged' not in capfd.readouterr().err
  assert steps(directory) == ['2', '4', '5']


def test_a_resume_reads_the_files_of_a_checkpoint_once_before_it_restores(directory, monkeypatch):
  original, read = checkpoints._fault, []
  monkeypatch.setattr(checkpoints, '_fault', lambda folder: read.append(folder) or original(folder))
  writer = open_checkpoints(directory, read_only=False)
  assert int(restore(writer, 'latest').step) == 3
  assert writer.metadata('latest')['learning_rate'] == 0.5
  assert sorted(folder.name for folder in read) == ['1', '2', '3']
  writer.save(state_of(4, 1), seconds=4.0, learning_rate=0.5)
  writer.wait()
  restore(writer, 'best')  # For the report, maybe hours later.
  writer.close()
  assert [folder.name for folder in read[3:]] == ['4', '1']


# Saves 1 and 2, the second one onto a disk that takes files of 500 bytes and no more.
FULL_DISK = """
import resource, signal, sys, time
from pathlib import Path
from musicjax import checkpoints
from musicjax.errors import StorageError
from tests import test_checkpoints
saved = checkpoints.Checkpoints(Path(sys.argv[1]), read_only=False)
saved.save(test_checkpoints.state_of(1, 1), seconds=1.0, learning_rate=0.5)
saved.wait()
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (500, resource.RLIM_INFINITY))
try:
  saved.save(test_checkpoints.state_of(2, 2), seconds=2.0, learning_rate=0.5)
  end = time.monotonic() + 30
  while time.monotonic() < end:  # As training does after every step.
    saved.check()
except StorageError as error:
  sys.exit(f'told: {error}')
"""


def test_a_full_disk_is_told_at_the_next_step_and_leaves_the_last_checkpoint(tmp_path):
  result = subprocess.run(
    [sys.executable, '-c', FULL_DISK, str(tmp_path)], capture_output=True, text=True
  )
  told = (
    f'told: checkpoint 2 cannot be written in {tmp_path}: File too large; the newest there is 1'
  )
  assert told in result.stderr
  save(tmp_path, {2: 2})  # There is room again.
  assert steps(tmp_path) == ['1', '2']
  assert int(restore(open_checkpoints(tmp_path, read_only=True), 'latest').step) == 2
