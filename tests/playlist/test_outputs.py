import csv
import dataclasses
import json
import unicodedata

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from musicjax.data import files
from musicjax.data.audio_features import FEATURES
from musicjax.playlist import outputs
from tests.playlist.tracks import make_catalog

ODD = [
  'a, b',
  'two\nlines',
  'carriage\r\nreturn',
  'quote"d',
  '#EXTM3U',
  '夜に駆ける',
  '=1+1',
  '\x1b[2J',
]
TEXT = st.text(st.characters(exclude_categories=['Cs']), min_size=1)  # What UTF-8 can hold.


def test_what_is_written_reads_back_whatever_names_hold(tmp_path):
  catalog = make_catalog(len(ODD))
  catalog = dataclasses.replace(catalog, names=ODD, artists=ODD[::-1])
  rows, nearness = np.arange(len(ODD))[::-1], np.linspace(1, 0.5, len(ODD))
  outputs.write(tmp_path, catalog, rows, nearness, {'seed': 3})

  with (tmp_path / 'playlist.csv').open(newline='', encoding='utf-8') as file:
    table = list(csv.DictReader(file))
  assert [row['name'] for row in table] == ODD[::-1]
  assert [row['artist'] for row in table] == ODD
  assert [row['genres'] for row in table] == ['|'.join(catalog.genres[row]) for row in rows]
  values = [[float(row[name]) for name in FEATURES] for row in table]
  np.testing.assert_allclose(values, catalog.features[rows], rtol=1e-5)  # Six digits.

  content = json.loads((tmp_path / 'playlist.json').read_text())
  assert content['seed'] == 3
  assert [track['name'] for track in content['tracks']] == ODD[::-1]
  assert [track['position'] for track in content['tracks']] == [*range(1, len(ODD) + 1)]
  assert [track['track_id'] for track in content['tracks']] == [row['track_id'] for row in table]

  first, *lines = (tmp_path / 'playlist.m3u8').read_bytes().decode().splitlines()
  assert first == '#EXTM3U'
  assert lines[1::2] == [catalog.locations[row] for row in rows]
  assert lines[4:6] == ['#EXTINF:-1,carriage return - 夜に駆ける', catalog.locations[5]]
  assert all(line.startswith('#EXTINF:-1,') for line in lines[::2])


@given(TEXT, TEXT)
def test_a_title_is_one_line_of_an_m3u8_list(artist, name):
  line = f'#EXTINF:-1,{outputs.one_line(artist)} - {outputs.one_line(name)}'
  assert len(line.splitlines()) == 1
  assert '\x1b' not in line


def test_prediction_reads_the_list_back(tmp_path):
  names = ['a, b.mp3', 'c #d.mp3', 'é.mp3']
  for name in names:
    (tmp_path / name).touch()
  catalog = make_catalog(3)
  catalog = dataclasses.replace(catalog, locations=[str(tmp_path / name) for name in names])
  outputs.write(tmp_path / 'W', catalog, np.array([2, 0, 1]), np.ones(3), {})
  found = files.find([str(tmp_path / 'W/playlist.m3u8')], ('.mp3',))
  assert found == [(tmp_path / name, None) for name in ('é.mp3', 'a, b.mp3', 'c #d.mp3')]


@given(TEXT)
def test_the_table_keeps_its_columns(name):
  catalog = dataclasses.replace(make_catalog(2), names=['plain', name], artists=['夜' * 50, 'b'])
  lines = outputs.table(catalog, np.arange(2), np.array([1.0, 0.5])).split('\n')
  assert len(lines) == 3
  assert [line[-8:] for line in lines] == ['nearness', '   1.000', '   0.500']
  wide = [sum(unicodedata.east_asian_width(c) in 'WF' for c in line) for line in lines]
  marks = [sum(unicodedata.category(c) in ('Mn', 'Me', 'Cf') for c in line) for line in lines]
  columns = [len(x) + w - m for x, w, m in zip(lines, wide, marks, strict=True)]
  assert len({*columns}) == 1
