"""Catalogues that tests share."""

import csv
from pathlib import Path

import numpy as np

from musicjax.data.audio_features import FEATURES
from musicjax.playlist.catalog import Catalog

GENRES = ('indie pop', 'indie rock', 'chicago blues', 'trap chileno', 'deep house', 'no such word')
HEADER = ['track_id', 'name', 'artist', 'genres', 'popularity', *FEATURES]


def make_catalog(num_tracks: int, num_artists: int = 10, seed: int = 0) -> Catalog:
  """Returns random tracks of up to two genres; every fifth has the name of the one before."""
  rng = np.random.default_rng(seed)
  features = rng.random((num_tracks, len(FEATURES)))
  features[:, list(FEATURES).index('loudness')] *= -60
  genres = [tuple(rng.choice(GENRES, rng.integers(3), replace=False)) for _ in range(num_tracks)]
  return Catalog(
    ids=[f'id{i}' for i in range(num_tracks)],
    names=[f'Song {i - (i % 5 == 4)}' for i in range(num_tracks)],
    artists=[f'Artist {i}' for i in rng.integers(num_artists, size=num_tracks)],
    genres=[tuple(map(str, names)) for names in genres],
    locations=[f'spotify:track:id{i}' for i in range(num_tracks)],
    popularity=rng.integers(0, 101, num_tracks).astype(np.float32),
    features=features.astype(np.float32),
  )


def row(**cells) -> dict:
  """Returns a good row of a catalogue, but for what is given."""
  values = (0.2, 0.7, 0.8, 0, 0.1, -6.5, 0.05, 0.9)
  good = dict(zip(HEADER, ('id', 'Name', 'Artist', 'indie pop|blues', 50, *values), strict=True))
  return good | cells


def write_csv(path: Path, rows: list[dict]) -> Path:
  with path.open('w', newline='', encoding='utf-8') as file:
    writer = csv.DictWriter(file, rows[0].keys())
    writer.writeheader()
    writer.writerows(rows)
  return path
