from pathlib import Path

import numpy as np
import pytest

from configs import spectrogram_cnn
from musicjax.data import array_records, workers
from musicjax.data.builders import audio
from musicjax.errors import DataError
from tests.conftest import write_audio_folder
from tests.data import fragile

REASON = 'the extra `beam` is not installed'
PipelineOptions = pytest.importorskip(
  'apache_beam.options.pipeline_options', reason=REASON
).PipelineOptions
beam = pytest.importorskip('musicjax.data.beam', reason=REASON)

HERE = PipelineOptions(['--runner=FnApiRunner'])
PROCESSES = PipelineOptions([
  '--runner=FnApiRunner', '--direct_running_mode=multi_processing', '--direct_num_workers=2',
])  # fmt: skip


def files(folder):
  return {path.relative_to(folder): path.read_bytes() for path in folder.glob('*/*/1.0.0/*')}


def test_processes_of_beam_write_the_bytes_of_ours(tmp_path):
  folder = write_audio_folder(tmp_path / 'raw', 4)
  (folder / 'low' / '1.flac').write_bytes(b'no music')
  config = spectrogram_cnn.get_config('test')
  config.data_dir, config.num_folds, config.on_bad_example = str(folder), 3, 'skip'
  for name, options in ('own', None), ('beam', PROCESSES):
    config.prepared_dir = str(tmp_path / name)
    array_records.pack(audio.load(config), config, options)
  found = files(tmp_path / 'own')
  assert len(found) == 3 + 5  # Shards, and what lies beside them.
  assert files(tmp_path / 'beam') == found
  (skipped,) = (tmp_path / 'beam').rglob('skipped.csv')
  assert 'low/1.flac' in skipped.read_text()


def plan(folder: Path, *shards: list[int]) -> list[workers.Shard]:
  """Shards of files of these numbers."""
  (folder / 'shards').mkdir()
  return [
    workers.Shard(
      path=folder / 'shards' / f'{number}',
      ids=[f'{row:03d}' for row in rows],
      keys=[folder / 'raw' / f'{row:03d}' for row in rows],
      labels=np.ones((len(rows), 1), np.uint8),
    )
    for number, rows in enumerate(shards)
  ]


def read(skip_bad: bool) -> workers.Reader:
  return workers.Reader(fragile.decode, None, (None, 2), 'float32', skip_bad)


def test_files_that_hang_or_crash_under_beam_are_bad_files_too(tmp_path):
  folder = fragile.write(tmp_path / 'raw', 'ok', 'hang', 'ok', 'segfault', 'bad', 'ok')
  shards, seen = plan(tmp_path, [0, 1, 2], [3, 4, 5]), []
  written = beam.write_shards(shards, read(True), 0.5, seen.append, HERE)
  assert [w.num_records for w in written] == [2, 1]
  reasons = [reason for w in written for _, reason in w.skipped]
  assert reasons == [
    f'{folder}/001: decoding took longer than 0.5 s',
    f'{folder}/003: the decoder crashed (signal 11)',
    f'{folder}/004: bad',
  ]
  assert sum(seen) == 6


def test_beam_goes_on_where_it_was(tmp_path):
  folder = fragile.write(tmp_path / 'raw', 'ok', 'ok', 'ok')
  shards, seen = plan(tmp_path, [0, 1], [2]), []
  for some in (shards[:1], shards, shards):
    written = beam.write_shards(some, read(False), 60.0, seen.append, HERE)
  assert [w.num_records for w in written] == [2, 1]
  assert sorted(fragile.decoded(folder)) == ['000', '001', '002']
  assert sum(seen) == 2 + 3 + 3


def test_a_bad_file_under_beam_is_told_as_without(tmp_path):
  folder = fragile.write(tmp_path / 'raw', 'ok', 'bad')
  with pytest.raises(DataError) as error:
    beam.write_shards(plan(tmp_path, [0, 1]), read(False), 60.0, print, HERE)
  assert str(error.value) == f'{folder}/001: bad'
