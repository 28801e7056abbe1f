import csv
import io
import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from configs import pressed_play
from musicjax import predict, train, workdir
from musicjax.data.audio_features import FEATURES
from musicjax.errors import ConfigError, DataError
from musicjax.playlist import queries
from tests.playlist.test_main import run
from tests.playlist.tracks import row, write_csv


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
  """Returns the workdir of a run of two steps, and one of its covers beside it."""
  folder = tmp_path_factory.mktemp('covers')
  rng = np.random.default_rng(0)
  rows = []
  for _ in range(32):
    pixels = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
    with io.BytesIO() as file:
      Image.fromarray(pixels).save(file, 'PNG')
      rows.append({'cover': file.getvalue(), 'features': rng.random(len(FEATURES)).tolist()})
  pd.DataFrame(rows).to_parquet(folder / 'covers.parquet')
  (folder / 'cover.png').write_bytes(rows[0]['cover'])
  config = pressed_play.get_config('test')
  config.data_dir, config.prepared_dir = str(folder), str(folder / 'prepared')
  train.train_and_evaluate(config, folder / 'W')
  return folder / 'W'


def test_a_cover_has_the_features_that_prediction_writes(trained):
  image = trained.with_name('cover.png')
  features = queries.features_of_image(trained, image)
  assert not (trained / 'predictions' / 'predictions.csv').exists()  # That is a prediction's.
  path = predict.predict(trained, workdir.read_config(trained, None), 'best', [str(image)])
  with path.open(newline='') as file:
    [found] = csv.DictReader(file)
  expected = [float(found[name]) for name in FEATURES]
  np.testing.assert_allclose(features, expected, rtol=1e-5)  # Six digits are written.


def test_a_playlist_says_what_it_took_a_cover_for(trained, tmp_path):
  image = trained.with_name('cover.png')
  tracks = write_csv(tmp_path / 'tracks.csv', [row(track_id=i, name=i) for i in range(3)])
  result = run(f'--workdir={trained}', f'--catalog={tracks}', f'--image={image}', '--size=2')
  features = queries.features_of_image(trained, image)
  told = ', '.join(f'{name} {value:.3g}' for name, value in zip(FEATURES, features, strict=True))
  assert result.stdout.startswith(f'{image}: {told}\n')
  assert 'files/s' not in result.stderr  # Nor a bar for one image.
  content = json.loads((trained / 'playlist' / 'playlist.json').read_text())
  assert content['image'] == str(image)
  assert len(content['tracks']) == 2


def test_what_is_no_cover_is_one_line(trained, tmp_path):
  (tmp_path / 'text.png').write_text('no picture')
  with pytest.raises(DataError, match=r'text.png: expected a sound image, found'):
    queries.features_of_image(trained, tmp_path / 'text.png')
  with pytest.raises(DataError, match=r'none.png: not found'):
    queries.features_of_image(trained, tmp_path / 'none.png')


def test_a_workdir_that_predicts_something_else_is_refused(trained, tmp_path):
  with pytest.raises(ConfigError, match=r'config.json'):
    queries.features_of_image(tmp_path, trained.with_name('cover.png'))
  workdir.write_text(tmp_path / 'config.json', (trained / 'config.json').read_text())
  dataset = workdir.read_json(trained / 'dataset.json')
  workdir.write_json(tmp_path / 'dataset.json', dataset | {'label_names': ['rock', 'pop']})
  with pytest.raises(ConfigError, match=r"--workdir: .*'valence'\], found \['rock', 'pop'\]"):
    queries.features_of_image(tmp_path, trained.with_name('cover.png'))
