import collections
import dataclasses

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from musicjax.playlist import genres, recommend
from musicjax.playlist.recommend import Wish
from tests.playlist.tracks import make_catalog

MAPPED = genres.make_mapper({})
CENTRE = np.array([0.5, 0.5, 0.5, 0.5, 0.5, -30, 0.5, 0.5])
PLAIN = Wish(popularity=0, diversity=0, variety=0, max_per_artist=1000)
WEIGHT = st.floats(0, 1)
WISHES = st.builds(
  Wish,
  size=st.integers(1, 60),
  max_per_artist=st.integers(1, 5),
  popularity=WEIGHT,
  diversity=WEIGHT,
  variety=WEIGHT,
  seed=st.integers(0, 2**64),
)


@given(
  num_tracks=st.integers(1, 1500),
  num_artists=st.integers(1, 40),
  wish=WISHES,
  wanted=st.sampled_from([None, {'indie'}, {'indie', 'blues'}, {'techno'}, set()]),
  leave_out=st.booleans(),
)
@settings(max_examples=100, deadline=None)
def test_playlists_keep_their_promises(num_tracks, num_artists, wish, wanted, leave_out):
  catalog = make_catalog(num_tracks, num_artists, seed=num_tracks)
  index = recommend.make_index(catalog, MAPPED)
  liked = 0 if leave_out else None
  rows, nearness = recommend.recommend(index, CENTRE, wish, wanted, liked)

  songs = [(catalog.artists[row], catalog.names[row]) for row in range(num_tracks)]
  seeds = [{seed for name in names for seed in MAPPED(name)} for names in catalog.genres]
  allowed = {
    songs[row]
    for row in range(num_tracks)
    if (wanted is None or seeds[row] & wanted) and not (leave_out and songs[row] == songs[0])
  }
  by_artist = collections.Counter(artist for artist, _ in allowed)
  possible = sum(min(count, wish.max_per_artist) for count in by_artist.values())
  assert len(rows) == len(nearness) == min(wish.size, possible)

  chosen = [songs[row] for row in rows]
  assert len({*chosen}) == len(chosen)
  assert {*chosen} <= allowed
  assert all(wanted is None or seeds[row] & wanted for row in rows)
  artists = collections.Counter(artist for artist, _ in chosen)
  assert max(artists.values(), default=0) <= wish.max_per_artist
  assert ((nearness >= 0) & (nearness <= 1)).all()

  again, _ = recommend.recommend(recommend.make_index(catalog, MAPPED), CENTRE, wish, wanted, liked)
  np.testing.assert_array_equal(rows, again)


def test_without_other_weights_the_nearest_come_in_order():
  catalog = make_catalog(5000, num_artists=4000)
  index = recommend.make_index(catalog, MAPPED)
  rows, nearness = recommend.recommend(index, CENTRE, dataclasses.replace(PLAIN, size=50))
  # By scikit-learn's definitions of standardised features and Euclidean distance.
  points = (catalog.features - catalog.features.mean(0, np.float64)) / catalog.features.std(0)
  target = (CENTRE - catalog.features.mean(0, np.float64)) / catalog.features.std(0)
  distances = np.linalg.norm(points - target, axis=1)
  expected = np.argsort(distances)
  unique = {(catalog.artists[row], catalog.names[row]): row for row in expected[::-1]}
  expected = [row for row in expected if unique[catalog.artists[row], catalog.names[row]] == row]
  np.testing.assert_array_equal(rows, expected[:50])
  # Points are float32: 1e-6 of a nearness.
  np.testing.assert_allclose(nearness, np.exp(-(distances[rows] ** 2) / 16), atol=1e-6)


def test_another_seed_is_another_playlist_of_much_the_same_nearness():
  index = recommend.make_index(make_catalog(5000, num_artists=4000), MAPPED)
  wishes = [dataclasses.replace(PLAIN, variety=0.05, seed=seed) for seed in (0, 0, 1)]
  (first, near), (same, _), (other, also_near) = (
    recommend.recommend(index, CENTRE, wish) for wish in wishes
  )
  np.testing.assert_array_equal(first, same)
  assert len({*first} & {*other}) < 20
  assert abs(near.mean() - also_near.mean()) < 0.05


def test_diversity_spreads_a_playlist_and_popularity_lifts_it():
  catalog = make_catalog(5000, num_artists=4000)
  index = recommend.make_index(catalog, MAPPED)

  def of(**weights):
    rows, nearness = recommend.recommend(index, CENTRE, dataclasses.replace(PLAIN, **weights))
    points = index.points[:, rows]
    spread = np.linalg.norm(points[:, :, None] - points[:, None], axis=0).mean()
    return spread, catalog.popularity[rows].mean(), nearness.mean()

  spread, popularity, nearness = of()
  assert of(diversity=0.5)[0] > 1.1 * spread
  assert of(popularity=0.5)[1] > popularity + 20
  assert of(diversity=0.5)[2] < nearness  # What it costs.
  assert of(popularity=0.5)[2] < nearness


def test_a_playlist_is_filled_though_the_nearest_are_of_one_artist():
  catalog = make_catalog(6000, num_artists=3000)
  near = {*np.argsort(np.linalg.norm(catalog.features - CENTRE, axis=1))[:3000]}
  artists = ['The one' if row in near else name for row, name in enumerate(catalog.artists)]
  index = recommend.make_index(dataclasses.replace(catalog, artists=artists), MAPPED)
  wish = dataclasses.replace(PLAIN, size=30, max_per_artist=1)
  rows, _ = recommend.recommend(index, CENTRE, wish)
  assert len(rows) == 30
  assert [artists[row] for row in rows].count('The one') == 1


def test_features_that_are_the_same_everywhere_count_nothing():
  catalog = make_catalog(100)
  catalog.features[:, 3] = 0
  index = recommend.make_index(catalog, MAPPED)
  rows, nearness = recommend.recommend(
    index, catalog.features[7], dataclasses.replace(PLAIN, size=1)
  )
  assert rows == [7]
  np.testing.assert_allclose(nearness, 1, atol=1e-6)
