import dataclasses

import numpy as np
import pytest

from musicjax.errors import ConfigError
from musicjax.playlist import queries
from tests.playlist.tracks import make_catalog

GIVEN = [
  'loudness=-6.5', 'acousticness=0.1', 'danceability=0.2', 'energy=0.3', 'instrumentalness=0.4',
  'liveness=0.5', ' speechiness = 0.7', 'valence=1',
]  # fmt: skip


def test_features_are_given_by_name_in_any_order():
  expected = [0.1, 0.2, 0.3, 0.4, 0.5, -6.5, 0.7, 1]
  np.testing.assert_array_equal(queries.parse_features(GIVEN), expected)


@pytest.mark.parametrize(
  ('given', 'message'),
  [
    (GIVEN[1:], 'expected acousticness=NUMBER,.*,loudness=NUMBER,.* found'),
    ([*GIVEN, 'energy=0.3'], 'expected acousticness=NUMBER,.* found'),
    ([*GIVEN, 'tempo=120'], 'expected acousticness=NUMBER,.* found'),
    (['loudness=20', *GIVEN[1:]], "loudness: expected a number from -60 to 10, found '20'"),
    (['loudness', *GIVEN[1:]], "loudness: expected a number from -60 to 10, found ''"),
    ([*GIVEN[:-1], 'valence=nan'], "valence: expected a number from 0 to 1, found 'nan'"),
  ],
)
def test_features_that_cannot_be_used_are_refused(given, message):
  with pytest.raises(ConfigError, match=f'--features: {message}'):
    queries.parse_features(given)


@pytest.fixture
def catalog():
  names = ['Intro', 'Intro', 'Blue', 'blue', 'id5', 'Other']
  artists = ['A', 'B', 'C', 'c', 'D', 'E']
  popularity = np.array([1, 2, 3, 4, 5, 6], np.float32)
  return dataclasses.replace(make_catalog(6), names=names, artists=artists, popularity=popularity)


def test_a_track_is_found_by_id_then_by_name(catalog):
  assert queries.find_track(catalog, 'id5') == 5
  assert queries.find_track(catalog, 'ID5') == 4
  assert queries.find_track(catalog, 'b -  INTRO') == 1
  assert queries.find_track(catalog, 'Blue') == 3  # The more popular of one song's two.


@pytest.mark.parametrize(
  ('text', 'message'),
  [
    ('intro', r'expected one track, found id0 \(A - Intro\), id1 \(B - Intro\); name its id'),
    ('bl', r"found none that is 'bl'; there is id2 \(C - Blue\), id3 \(c - blue\)$"),
    ('', "found none that is ''$"),
  ],
)
def test_a_track_that_is_not_one_is_told_with_what_is_near(text, message, catalog):
  with pytest.raises(ConfigError, match=f'--like: .*{message}'):
    queries.find_track(catalog, text)
