import numpy as np

from musicjax.data import array_records, plans, statistics
from tests.conftest import make_config, write_yandex_folder


def test_statistics_are_those_of_the_training_fold(yandex_folder, prepared_dir):
  config = make_config(yandex_folder, prepared_dir, normalize='per_feature')
  prepared = array_records.prepare(config)
  rows = plans.split_rows(prepared.index, config)['train']
  frames = np.concatenate(
    [np.load(yandex_folder / 'track_embeddings' / f'{prepared.index.ids[row]}.npy') for row in rows]
  )
  found = statistics.input_statistics(prepared, rows, config)
  np.testing.assert_allclose(found['mean'], frames.mean(axis=0, dtype=np.float64), atol=1e-9)
  np.testing.assert_allclose(found['std'], frames.std(axis=0, dtype=np.float64), rtol=1e-6)


def test_a_feature_that_does_not_vary_has_deviation_one(tmp_path):
  folder = write_yandex_folder(tmp_path / 'raw')
  for path in (folder / 'track_embeddings').iterdir():
    frames = np.load(path)
    frames[:, :2] = 0.1, -7.3
    np.save(path, frames)
  config = make_config(folder, tmp_path / 'prepared', normalize='per_feature')
  prepared = array_records.prepare(config)
  rows = plans.split_rows(prepared.index, config)['train']
  found = statistics.input_statistics(prepared, rows, config)
  assert found['std'][:2] == [1, 1]
  np.testing.assert_allclose(found['mean'][:2], [0.1, -7.3], rtol=1e-6)
