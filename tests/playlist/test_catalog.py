import numpy as np
import pandas as pd
import pytest

from musicjax.data.audio_features import FEATURES
from musicjax.errors import DataError
from musicjax.playlist import catalog
from tests.playlist.tracks import HEADER, row, write_csv

BAD = {
  'energy': ({'energy': 1.2}, "energy: expected a number from 0 to 1, found '1.2'"),
  'nan': ({'valence': 'nan'}, "valence: expected a number from 0 to 1, found 'nan'"),
  'empty': ({'liveness': ''}, "liveness: expected a number from 0 to 1, found ''"),
  'text': ({'speechiness': 'low'}, "speechiness: expected a number from 0 to 1, found 'low'"),
  'infinite': ({'loudness': '-inf'}, "loudness: expected a number from -60 to 10, found '-inf'"),
  'popularity': ({'popularity': 101}, "popularity: expected a number from 0 to 100, found '101'"),
  'no id': ({'track_id': ' '}, "track_id: expected text, found ' '"),
  'two lines': ({'track_id': 'a\nb'}, r"track_id: expected one line of text, found 'a\nb'"),
  'no name': ({'name': ''}, "name: expected text, found ''"),
  'no artist': ({'artist': ''}, "artist: expected text, found ''"),
  'twice': ({'track_id': 'first'}, "track_id: expected one row a track, found 'first' again"),
  'padded': ({'location': ' '}, "location: expected one line of text, found ' '"),
}


def test_rows_that_cannot_be_used_are_told_and_the_others_are_read(tmp_path):
  rows = [
    row(track_id='first', energy=0.25, location=''),
    *(row(track_id=kind) | BAD[kind][0] for kind in BAD),
  ]
  path = write_csv(tmp_path / 'tracks.csv', [*rows, row(track_id='last', name='a, "b"\nc')])
  found, skipped = catalog.read(path)
  assert found.ids == ['first', 'last']
  assert found.names == ['Name', 'a, "b"\nc']
  assert found.genres[0] == ('indie pop', 'blues')
  assert found.features.dtype == np.float32
  np.testing.assert_array_equal(found.features[0, 2], np.float32(0.25))
  assert found.popularity[0] == 50
  assert found.locations[0] == 'spotify:track:first'
  assert [str(error).split(': ', 2)[2] for _, error in skipped] == [
    text for _, text in BAD.values()
  ]
  places = ['line 3', 'line 4', 'line 5', 'line 6', 'line 7', 'line 8', 'line 9', 'line 11']
  assert [place for place, _ in skipped][:8] == places  # A cell of two lines counts two.
  assert all(str(error).startswith(f'{path}: {place}: ') for place, error in skipped)


def test_parquet_reads_as_csv_does(tmp_path):
  rows = [row(track_id=str(i), name=f'Name {i}', valence=i / 10) for i in range(5)]
  expected, _ = catalog.read(write_csv(tmp_path / 'tracks.csv', rows))
  table = pd.DataFrame(rows)
  table['genres'] = [cell.split('|') for cell in table['genres']]
  table.loc[4, 'valence'] = np.nan
  table.to_parquet(tmp_path / 'tracks.parquet')
  found, [(place, error)] = catalog.read(tmp_path / 'tracks.parquet')
  assert place == 'row 5'
  assert str(error).endswith(": row 5: valence: expected a number from 0 to 1, found ''")
  assert (found.names, found.genres) == (expected.names[:4], expected.genres[:4])
  np.testing.assert_array_equal(found.features, expected.features[:4])


def test_files_lie_where_the_table_does_and_urls_stay(tmp_path):
  places = {'a': 'music/a b.mp3', 'b': 'https://host/b.mp3', 'c': '/c.mp3', 'd': ''}
  places['e'] = 'Band: b.mp3'  # No scheme, though it looks like one.
  rows = [row(track_id=key, location=place) for key, place in places.items()]
  found, skipped = catalog.read(write_csv(tmp_path / 'tracks.csv', rows))
  assert found.locations == [
    str(tmp_path / 'music/a b.mp3'),
    'https://host/b.mp3',
    '/c.mp3',
    'spotify:track:d',
    str(tmp_path / 'Band: b.mp3'),
  ]
  assert not skipped


def test_popularity_may_be_missing(tmp_path):
  rows = [row(popularity='')]
  assert catalog.read(write_csv(tmp_path / 'a.csv', rows))[0].popularity == [0]
  del rows[0]['popularity']
  assert catalog.read(write_csv(tmp_path / 'b.csv', rows))[0].popularity == [0]


@pytest.mark.parametrize('column', [name for name in HEADER if name != 'popularity'])
def test_a_missing_column_is_one_line(column, tmp_path):
  rows = [row()]
  del rows[0][column]
  path = write_csv(tmp_path / 'tracks.csv', rows)
  told = rf"tracks.csv: expected columns .*, found \['{column}'\] missing in \["
  with pytest.raises(DataError, match=told):
    catalog.read(path)


def test_a_catalogue_without_a_track_is_one_line(tmp_path):
  path = tmp_path / 'tracks.csv'
  with pytest.raises(DataError, match=r'tracks.csv: not found'):
    catalog.read(path)
  path.write_text('')
  with pytest.raises(DataError, match=r'tracks.csv: expected a UTF-8 CSV table, found no text'):
    catalog.read(path)
  path.write_text(','.join(HEADER) + '\n')
  with pytest.raises(DataError, match=r'tracks.csv: expected at least one row, found none'):
    catalog.read(path)
  write_csv(path, [row(energy=2), row(energy=3)])
  with pytest.raises(DataError, match=r'none of 2 rows can be used; .*: line 2: energy: expected'):
    catalog.read(path)


def test_a_real_catalogue_is_read_whole(real_data):
  path = real_data / 'spotify_catalog' / 'tracks.csv'
  found, skipped = catalog.read(path)
  table = pd.read_csv(path)
  assert not skipped
  np.testing.assert_array_equal(found.features, table[list(FEATURES)].to_numpy(np.float32))
  assert found.names == list(table['name'])
