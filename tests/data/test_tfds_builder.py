"""Datasets prepared by the command line of TFDS, as functions: its program needs mlcroissant."""

import importlib
from unittest import mock

import pytest
import tensorflow_datasets as tfds
from tensorflow_datasets.scripts.cli import build, cli_utils

from configs import yandex
from musicjax.data import array_records


def tfds_build(config, data_dir, **flags):
  """Does `tfds build musicjax ...`."""
  tfds.core.visibility.set_availables(list(tfds.core.visibility.DatasetType))
  generation = dict(imports='musicjax.data.tfds_builder', config=config, **flags)
  build.Args(
    positional_datasets=['musicjax'],
    paths=cli_utils.PathOptions(data_dir=data_dir),
    generation=cli_utils.GenerationOptions(**generation),
  ).execute()


@pytest.fixture
def words(yandex_folder):
  return f"configs/yandex.py:test --config.data_dir='{yandex_folder}' --config.num_folds=3"


def files(folder):
  return {p.relative_to(folder): p.read_bytes() for p in folder.rglob('*') if p.is_file()}


def prepare(folder, prepared):
  config = yandex.get_config('test')
  config.data_dir, config.prepared_dir, config.num_folds = str(folder), str(prepared), 3
  return array_records.prepare(config)


def test_a_run_opens_what_tfds_build_prepared(yandex_folder, words, tmp_path, capsys):
  tfds_build(words, tmp_path)
  assert f'preparing 50 tracks in {tmp_path}/musicjax/yandex-' in capsys.readouterr().out
  before = files(tmp_path)
  prepared = prepare(yandex_folder, tmp_path)
  assert not capsys.readouterr().out
  assert len(prepared.index.ids) == 50
  tfds_build(words, tmp_path)
  assert files(tmp_path) == before


def test_what_is_wrong_is_told_in_one_line(words, tmp_path, capsys):
  for fields, message in (
    ('--config.num_folds=2', 'config.num_folds: expected a whole number from 3'),
    ('--config.data_dir=/nowhere', '/nowhere/train.csv: '),
  ):
    with pytest.raises(SystemExit) as ended:
      tfds_build(f'{words} {fields}', tmp_path)
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f'error: {message}')


def test_beam_packs_the_same_files(yandex_folder, words, tmp_path):
  pytest.importorskip('apache_beam', reason='the extra `beam` is not installed')
  beam = importlib.import_module('musicjax.data.beam')
  with mock.patch.object(beam, 'write_shards', wraps=beam.write_shards) as write_shards:
    tfds_build(words, tmp_path / 'beam', beam_pipeline_options='runner=FnApiRunner')
  write_shards.assert_called_once()
  prepare(yandex_folder, tmp_path / 'own')
  assert files(tmp_path / 'beam') == files(tmp_path / 'own')
