"""Data that tests share: small folders in the layouts of the systems, and configs to read them."""

import io
import os
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from PIL import Image

from configs import yandex

os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')
# Tests compile the same tiny models again and again, some of them in processes of their own.
_COMPILED = tempfile.TemporaryDirectory(prefix='musicjax-xla-')
os.environ['JAX_COMPILATION_CACHE_DIR'] = _COMPILED.name
os.environ['JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS'] = '0.2'


def write_yandex_folder(folder: Path, num_tracks=60, width=8, num_tags=5, seed=0) -> Path:
  """Writes tracks of 4..24 frames whose tags shift some of their features."""
  rng = np.random.default_rng(seed)
  (folder / 'track_embeddings').mkdir(parents=True)
  directions = rng.normal(size=(num_tags, width))
  labels = rng.random((num_tracks, num_tags)) < 0.3
  labels[np.arange(num_tracks), np.arange(num_tracks) % num_tags] = True
  for track in range(num_tracks):
    frames = rng.normal(size=(rng.integers(4, 25), width)) + labels[track] @ directions
    np.save(folder / 'track_embeddings' / f'{track}.npy', frames.astype(np.float32))
  tags = [','.join(map(str, np.flatnonzero(row))) for row in labels]
  test = rng.permutation(num_tracks)[: num_tracks // 6]
  table = pd.DataFrame({'track': range(num_tracks), 'tags': tags})
  table[~table['track'].isin(test)].to_csv(folder / 'train.csv', index=False)
  pd.DataFrame({'track': test}).to_csv(folder / 'test.csv', index=False)
  return folder


def write_audio_folder(folder: Path, num_tracks=8, sample_rate=8000, seed=0) -> Path:
  """Writes tones and noise of 0.3 to 1.5 s, a sub-folder a label, in every format."""
  rng = np.random.default_rng(seed)
  for label in ('high', 'low', 'noise'):
    (folder / label).mkdir(parents=True)
    for track in range(num_tracks):
      time = np.arange(int(sample_rate * rng.uniform(0.3, 1.5))) / sample_rate
      pitch = rng.uniform(100, 300) * (8 if label == 'high' else 1)
      tone = np.sin(2 * np.pi * pitch * time) * (label != 'noise')
      audio = 0.3 * (tone + rng.normal(0, 0.1 + (label == 'noise'), len(time)))
      extension = ('wav', 'flac', 'ogg', 'mp3')[track % 4]
      soundfile.write(folder / label / f'{track}.{extension}', audio.clip(-1, 1), sample_rate)
  return folder


def write_cover_folder(folder: Path, num_covers=40, size=48, seed=0) -> Path:
  """Writes a Parquet file of random covers, red ones energetic."""
  rng = np.random.default_rng(seed)
  folder.mkdir(parents=True)
  covers, features = [], rng.random((num_covers, 8)) * [1, 1, 1, 1, 1, -20, 1, 1]
  for energy in features[:, 2]:
    colours = rng.integers(0, 256, (6, 6, 3)).astype(np.uint8)
    colours[..., 0] = 255 * energy
    file = io.BytesIO()
    Image.fromarray(colours).resize((size, size), Image.Resampling.NEAREST).save(file, 'JPEG')
    covers.append(file.getvalue())
  table = pd.DataFrame({'cover': covers, 'features': features.tolist()})
  table.to_parquet(folder / 'covers.parquet')
  return folder


def write_freesound_folder(folder: Path, after=True, sample_rate=8000, seed=0) -> Path:
  """Writes the layout of Freesound 2018: 30 clips of 0.3 to 3 s to train on, and 10 of a test set.

  `after` it the test set has labels. Six of it were scored. The others are padding, one of them
  without a sample, one a file without a byte, and one 30 s long.
  """
  rng = np.random.default_rng(seed)
  labels = ('Bass_drum', 'Flute', 'Tearing')

  def write(part, number, seconds, usage=''):
    label, fname = labels[number % 3], f'{number:08x}.wav'
    time = np.arange(int(sample_rate * seconds)) / sample_rate
    tone = np.sin(2 * np.pi * time * {'Bass_drum': 100, 'Flute': 1500, 'Tearing': 0}[label])
    audio = 0.3 * tone + rng.normal(0, 0.2 if label == 'Tearing' else 0.01, len(time))
    (folder / part).mkdir(parents=True, exist_ok=True)
    soundfile.write(folder / part / fname, audio.clip(-1, 1), sample_rate, subtype='PCM_16')
    return {'fname': fname, 'label': 'None' if usage == 'Ignored' else label}

  train = pd.DataFrame(write('audio_train', n, rng.uniform(0.3, 3.0)) for n in range(30))
  train['manually_verified'] = np.arange(30) % 2
  usages = ['Public', 'Private', 'Private'] * 2 + ['Ignored'] * 4
  seconds = [*rng.uniform(0.3, 2.0, 7), 0.0, 0.5, 30.0]
  test = pd.DataFrame(
    write('audio_test', 30 + n, s, u) for n, (s, u) in enumerate(zip(seconds, usages, strict=True))
  )
  (folder / 'audio_test' / test['fname'][8]).write_bytes(b'')
  test['usage'], test['freesound_id'], test['license'] = usages, range(10), 'Attribution'
  if after:
    train['freesound_id'], train['license'] = range(30), 'Creative Commons 0'
    test.to_csv(folder / 'test_post_competition.csv', index=False)
  train.to_csv(folder / f'train{"_post_competition" * after}.csv', index=False)
  shuffled = test.sample(frac=1, random_state=seed).assign(label='Laughter Hi-Hat Flute')
  shuffled[['fname', 'label']].to_csv(folder / 'sample_submission.csv', index=False)
  return folder


def make_config(folder: Path, prepared: Path, **fields):
  """Returns the tiny Yandex config on a folder, with dotted fields overridden."""
  config = yandex.get_config('test')
  config.data_dir, config.prepared_dir = str(folder), str(prepared)
  config.update_from_flattened_dict(fields)
  return config


@pytest.fixture(scope='session')
def yandex_folder(tmp_path_factory) -> Path:
  return write_yandex_folder(tmp_path_factory.mktemp('raw') / 'yandex')


@pytest.fixture(scope='session')
def prepared_dir(tmp_path_factory) -> Path:
  return tmp_path_factory.mktemp('prepared')


@pytest.fixture(scope='session')
def real_data() -> Path:
  """The folder of real development data; tests that need it skip where it is not."""
  folder = os.environ.get('MUSICJAX_DATA')
  if not folder:
    pytest.skip('real data: $MUSICJAX_DATA is not set')
  return Path(folder)
