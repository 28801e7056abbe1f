"""From audio features to tracks: nearest neighbours in a catalogue, traded off against sameness.

The score of a track is what its distance, popularity and a draw say; tracks are then picked one by
one by maximal marginal relevance (MMR; Carbonell and Goldstein 1998). What a person liked or
disliked would be one more term of that score.
"""

import dataclasses
from collections.abc import Callable, Collection, Hashable, Iterable, Sequence

import numpy as np

from musicjax.data.audio_features import FEATURES
from musicjax.playlist.catalog import Catalog, same

_POOL = 500  # Best tracks that picks are made from, at least; beyond, ten for each that is wanted.


@dataclasses.dataclass(frozen=True)
class Wish:
  """What a playlist shall be.

  Attributes:
    size: tracks, at least 1.
    max_per_artist: tracks of one artist, at least 1.
    popularity: 0..1, what popularity counts in a track's score; nearness has the rest.
    diversity: 0..1, what being unlike the tracks before counts; the score has the rest.
    variety: 0..1, the largest draw that is added to a score.
    seed: of the draws, at least 0.
  """

  size: int = 20
  max_per_artist: int = 2
  popularity: float = 0.1
  diversity: float = 0.2
  variety: float = 0.05
  seed: int = 0


@dataclasses.dataclass(frozen=True)
class Index:
  """A catalogue, ready to be asked.

  Attributes:
    mean, std: [8] float64, of the catalogue's features.
    points: [8, tracks] float32, standardised. In this order a query reads rows of memory, which is
      20 times as fast.
    squares: [tracks] float32, their squared lengths.
    popularity: [tracks] float32, 0..1.
    artists, songs: [tracks] int32; equal for one artist, and for one artist's tracks of one name.
    rows_of_seed: seed genre -> [n] int32, the tracks that have it.
  """

  mean: np.ndarray
  std: np.ndarray
  points: np.ndarray
  squares: np.ndarray
  popularity: np.ndarray
  artists: np.ndarray
  songs: np.ndarray
  rows_of_seed: dict[str, np.ndarray]


def make_index(catalog: Catalog, mapped: Callable[[str], Sequence[str]]) -> Index:
  """Returns the index of a catalogue.

  Args:
    catalog: of at least one track.
    mapped: genre -> seed genres.
  """
  mean = catalog.features.mean(axis=0, dtype=np.float64)
  std = catalog.features.std(axis=0, dtype=np.float64)
  std[std == 0] = 1.0
  points = np.ascontiguousarray(((catalog.features - mean) / std).T, np.float32)
  artists = [same(artist) for artist in catalog.artists]
  rows_of_seed = {}
  for row, genres in enumerate(catalog.genres):
    for seed in {seed for genre in genres for seed in mapped(genre)}:
      rows_of_seed.setdefault(seed, []).append(row)
  return Index(
    mean=mean,
    std=std,
    points=points,
    squares=np.einsum('ij,ij->j', points, points),
    popularity=catalog.popularity / np.float32(100),
    artists=_codes(artists),
    songs=_codes(zip(artists, map(same, catalog.names), strict=True)),
    rows_of_seed={seed: np.array(rows, np.int32) for seed, rows in rows_of_seed.items()},
  )


def recommend(
  index: Index,
  features: np.ndarray,
  wish: Wish,
  seed_genres: Collection[str] | None = None,
  leave_out: int | None = None,
) -> tuple[np.ndarray, np.ndarray]:
  """Returns ([n] rows, best first; [n] float64 nearness, 1 for equal features, towards 0 for far).

  `n` is `wish.size`, or less where no more tracks are allowed: no song comes twice, also under
  another id, no artist too often, and each track has one of the seed genres. A pure function of its
  arguments.

  Args:
    index: of the catalogue.
    features: [8], in the order and units of `FEATURES`.
    wish: size, limits, weights, seed.
    seed_genres: None for all tracks, also those without a genre.
    leave_out: row of a song that is not wanted.
  """
  target = (features - index.mean) / index.std
  allowed = np.flatnonzero(_allowed(index, seed_genres, leave_out))
  scores = _scores(index, target.astype(np.float32), wish)[allowed]
  pool_size = max(_POOL, 10 * wish.size)
  while True:
    first = max(0, len(allowed) - pool_size)
    best = np.sort(np.argpartition(scores, first - 1)[first:]) if first else slice(None)
    pool = allowed[best]
    picks, nearness = _pick(index, target, pool, wish)
    if len(picks) == wish.size or not first:
      return pool[picks], nearness[picks]
    pool_size *= 4  # The best tracks are of too few artists.


def _scores(index: Index, target: np.ndarray, wish: Wish) -> np.ndarray:
  """Returns [tracks] float32 scores without draws, good enough to find the best of a million."""
  distances = index.squares - 2 * (target @ index.points) + target @ target
  near = np.exp(distances * np.float32(-0.5 / len(FEATURES)))
  share = np.float32(wish.popularity)
  return (1 - share) * near + share * index.popularity


def _allowed(
  index: Index, seed_genres: Collection[str] | None, leave_out: int | None
) -> np.ndarray:
  """Returns [tracks] bool."""
  allowed = np.full(len(index.songs), seed_genres is None)
  for genre in index.rows_of_seed.keys() & (seed_genres or ()):
    allowed[index.rows_of_seed[genre]] = True
  if leave_out is not None:
    allowed &= index.songs != index.songs[leave_out]
  return allowed


def _pick(
  index: Index, target: np.ndarray, pool: np.ndarray, wish: Wish
) -> tuple[list[int], np.ndarray]:
  """Returns (positions in the pool, in the order picked; [pool] nearness), computed in float64."""
  points = index.points[:, pool].astype(np.float64)
  artists, songs = index.artists[pool], index.songs[pool]
  nearness = _nearness(points, target)
  scores = (1 - wish.popularity) * nearness + wish.popularity * index.popularity[pool]
  scores += wish.variety * np.random.default_rng(wish.seed).random(len(pool))
  likeness = np.zeros(len(pool))  # To the most similar track that was picked.
  free = np.ones(len(pool), bool)
  picks = []
  while len(picks) < wish.size and free.any():
    gains = (1 - wish.diversity) * scores - wish.diversity * likeness
    pick = int(np.argmax(np.where(free, gains, -np.inf)))
    picks.append(pick)
    likeness = np.maximum(likeness, _nearness(points, points[:, pick]))
    free &= songs != songs[pick]
    if np.count_nonzero(artists[picks] == artists[pick]) == wish.max_per_artist:
      free &= artists != artists[pick]
  return picks, nearness


def _nearness(points: np.ndarray, target: np.ndarray) -> np.ndarray:
  """Returns [n], of points [8, n] to a target [8]: exp(-d/2) of the mean squared difference d."""
  return np.exp(-0.5 * np.mean((points - target[:, None]) ** 2, axis=0))


def _codes(keys: Iterable[Hashable]) -> np.ndarray:
  """Returns [n] int32, equal where keys are."""
  codes = {}
  return np.array([codes.setdefault(key, len(codes)) for key in keys], np.int32)
