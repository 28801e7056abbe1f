"""Seconds that a playlist takes from a catalogue of a million tracks, once it is in memory.

  python -m experiments.benchmarks.playlist

The tracks are random: features of the spread that music has, a tenth as many artists, one to three
of forty genres each. A query is for 20 tracks that sound like one of them. Checks beside it that
the pool of best tracks loses nothing: the playlist is the one picked from all that are allowed.
Writes playlist.md.
"""

import dataclasses
import time
from pathlib import Path

import numpy as np
from absl import app, flags

from experiments.benchmarks import machine
from musicjax.playlist import genres, recommend
from musicjax.playlist.catalog import FEATURES, Catalog
from musicjax.playlist.genre_styles import SEED_GENRES

FLAGS = flags.FLAGS
flags.DEFINE_integer('tracks', 1_000_000, 'In the catalogue.')
flags.DEFINE_integer('queries', 50, 'Of each kind.', lower_bound=9)


def make_catalog(num_tracks: int) -> Catalog:
  rng = np.random.default_rng(0)
  features = rng.beta(1.5, 2.5, (num_tracks, len(FEATURES))).astype(np.float32)
  features[:, list(FEATURES).index('loudness')] *= -25
  names = rng.choice(sorted(SEED_GENRES), (num_tracks, 3)).tolist()
  counts = rng.integers(1, 4, num_tracks).tolist()
  return Catalog(
    ids=[f'{i:022d}' for i in range(num_tracks)],
    names=[f'Song {i}' for i in range(num_tracks)],
    artists=[f'Artist {i}' for i in rng.integers(num_tracks // 10, size=num_tracks).tolist()],
    genres=[tuple(row[:count]) for row, count in zip(names, counts, strict=True)],
    locations=[''] * num_tracks,
    popularity=rng.integers(0, 101, num_tracks).astype(np.float32),
    features=features,
  )
