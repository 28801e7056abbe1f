import json
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import musicjax
from tests.playlist.test_queries import GIVEN
from tests.playlist.tracks import row, write_csv

FEATURES = f'--features={",".join(GIVEN)}'


def run(*arguments, code=0):
  command = [sys.executable, '-m', 'musicjax.playlist', *map(str, arguments)]
  result = subprocess.run(command, capture_output=True, text=True)
  assert result.returncode == code, result.stderr
  return result


@pytest.fixture
def tracks(tmp_path):
  rows = [row(track_id=i, name=f'N{i}', artist=f'A{i % 8}', valence=i / 40) for i in range(40)]
  rows += [row(track_id='odd', name='Odd', genres='zzz|jazz'), row(track_id='bad', energy=9)]
  return write_csv(tmp_path / 'tracks.csv', rows)


def test_a_playlist_is_printed_and_written_with_what_was_left_out(tracks, tmp_path):
  workdir = tmp_path / 'W'
  arguments = (f'--workdir={workdir}', f'--catalog={tracks}', '--genres=indie pop,zzz', '--size=5')
  told = run(*arguments, '--like=n3').stdout.splitlines()
  folder = workdir / 'playlist'
  assert told[0] == "--genres: no seed genre for 'zzz'"
  assert told[-3] == f'1 rows of {tracks} left out, listed in {folder / "skipped.csv"}'
  assert told[-2].startswith(f'1 of 4 genres of {tracks} have no seed genre, listed in {folder}')
  assert told[-1] == str(folder / 'playlist.m3u8')
  assert len(told) == 1 + 6 + 3
  skipped = pd.read_csv(folder / 'skipped.csv')
  expected = f"{tracks}: line 43: energy: expected a number from 0 to 1, found '9'"
  assert skipped.to_dict('records') == [{'row': 'line 43', 'reason': expected}]
  assert pd.read_csv(folder / 'unmapped.csv').to_dict('records') == [{'genre': 'zzz', 'tracks': 1}]
  content = json.loads((folder / 'playlist.json').read_text())
  assert (content['like'], content['size'], content['genres']['indie pop']) == (
    '3',
    5,
    ['indie-pop'],
  )
  written = [path.read_bytes() for path in sorted(folder.glob('playlist.*'))]
  assert len(written) == 3
  assert 'N3' not in set(pd.read_csv(folder / 'playlist.csv')['name'])

  run(*arguments, '--like=n3')
  assert [path.read_bytes() for path in sorted(folder.glob('playlist.*'))] == written


def test_nothing_that_trains_imports_playlists():
  package = Path(musicjax.__file__).parent
  others = [path for path in package.rglob('*.py') if path.parent != package / 'playlist']
  assert len(others) > 40
  importing = re.compile(r'musicjax(\.| import )playlist')
  assert [path for path in others if importing.search(path.read_text())] == []


def test_fewer_tracks_than_wanted_are_told(tracks, tmp_path):
  arguments = (f'--workdir={tmp_path}', f'--catalog={tracks}', FEATURES, '--max_per_artist=1')
  (tmp_path / 'map.json').write_text('{"blues": ["jazz"], "indie pop": []}')
  told = run(*arguments, '--genres=jazz', f'--genre_map={tmp_path / "map.json"}').stdout
  limits = f'{tracks} has no more of the seed genres jazz, within --max_per_artist=1'
  assert f'9 of 20 tracks: {limits}\n' in told


def test_what_cannot_be_is_one_line(tracks, tmp_path):
  given = (f'--workdir={tmp_path}', f'--catalog={tracks}')
  for arguments, message in (
    (given, '--image, --features, --like: expected one of them, found none'),
    ((*given, FEATURES, '--like=n3'), "expected one of them, found ['features', 'like']"),
    (('--like=x', given[1]), '--workdir: expected a value'),
    ((*given, FEATURES, '--variety=nan'), '--variety: expected a number from 0 to 1, found nan'),
    ((*given, FEATURES, '--genres=zzz'), "expected genres that have a seed genre, found 'zzz'"),
    ((*given, FEATURES, '--genres=techno'), 'tracks of the seed genres techno, within'),
    ((given[0], FEATURES, '--catalog=x.csv'), 'x.csv: not found'),
  ):
    error = run(*arguments, code=2).stderr
    assert error.startswith('error: ')
    assert message in error
    assert error.count('\n') == 1
  assert not (tmp_path / 'playlist').exists()
