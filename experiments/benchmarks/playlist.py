"""Seconds that a playlist takes from a catalogue of a million tracks, once it is in memory.

  python -m experiments.benchmarks.playlist

The tracks are random: features of the spread that music has, a tenth as many artists, up to three
genres each. They are read from a CSV table, indexed, and asked for playlists of 20 tracks that
sound like one of them. Writes playlist.md.
"""

import csv
import tempfile
import time
from pathlib import Path

import numpy as np
from absl import app, flags

from experiments.benchmarks import machine
from musicjax.data.audio_features import FEATURES
from musicjax.playlist import catalog as catalog_lib
from musicjax.playlist import genres, recommend
from musicjax.playlist.genre_styles import SEED_GENRES

FLAGS = flags.FLAGS
flags.DEFINE_integer('tracks', 1_000_000, 'In the catalogue.')
flags.DEFINE_integer('queries', 50, 'Of each kind.', lower_bound=9)


_KINDS = {
  'any genre': None,
  'a seed genre': {'techno'},
  'five seed genres': {'blues', 'indie-pop', 'jazz', 'rock', 'soul'},
}


def write_catalog(path: Path, num_tracks: int) -> None:
  rng = np.random.default_rng(0)
  features = rng.beta(1.5, 2.5, (num_tracks, len(FEATURES)))
  features[:, list(FEATURES).index('loudness')] *= -25
  artists = rng.integers(num_tracks // 10, size=num_tracks)
  popularity = rng.integers(0, 101, num_tracks)
  names = rng.choice(sorted(SEED_GENRES), (num_tracks, 3)).tolist()
  counts = rng.integers(1, 4, num_tracks)
  with path.open('w', newline='') as file:
    writer = csv.writer(file)
    writer.writerow(['track_id', 'name', 'artist', 'genres', 'popularity', *FEATURES])
    for i, row in enumerate(features.round(4).tolist()):
      played = '|'.join(names[i][: counts[i]])
      writer.writerow([i, f'Song {i}', f'Artist {artists[i]}', played, popularity[i], *row])


def main(argv):
  del argv
  described = machine.describe()
  with tempfile.TemporaryDirectory() as folder:
    path = Path(folder, 'tracks.csv')
    write_catalog(path, FLAGS.tracks)
    start = time.perf_counter()
    catalog, skipped = catalog_lib.read(path)
  read = time.perf_counter()
  index = recommend.make_index(catalog, genres.make_mapper({}))
  indexed = time.perf_counter()
  assert not skipped
  rows = [
    ('what', 'lower quartile', 'median', 'upper quartile', 'slowest'),
    ('CSV table read, s', '', f'{read - start:.1f}', '', ''),
    ('index made, s', '', f'{indexed - read:.1f}', '', ''),
  ]
  wish = recommend.Wish()
  for kind, seeds in _KINDS.items():
    seconds = []
    for liked in range(FLAGS.queries):
      start = time.perf_counter()
      found, _ = recommend.recommend(index, catalog.features[liked], wish, seeds, liked)
      seconds.append(time.perf_counter() - start)
      assert len(found) == wish.size
    measured = 1000 * np.quantile(seconds, [0.25, 0.5, 0.75, 1])
    rows.append((f'query, {kind}, ms', *(f'{value:.1f}' for value in measured)))
  machine.write_table(
    Path(__file__).with_suffix('.md'),
    'Playlists from a large catalogue',
    f'`python -m experiments.benchmarks.playlist`: {FLAGS.tracks} tracks, {FLAGS.queries} queries '
    f'of each kind, after another, for {wish.size} tracks; {described}.',
    rows,
  )


if __name__ == '__main__':
  app.run(main)
