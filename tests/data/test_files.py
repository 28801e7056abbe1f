import os
from pathlib import Path

import pytest

from musicjax.data import files
from musicjax.errors import ConfigError, DataError


@pytest.fixture
def folder(tmp_path, monkeypatch):
  """The current folder, with some files."""
  monkeypatch.chdir(tmp_path)
  for name in ('b/2.mp3', 'b/deep/1.MP3', 'b/notes.txt', 'a.wav', 'c[1].wav', '#d.wav', 'e, f.wav'):
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).touch()
  return tmp_path


def find(*inputs):
  """Returns the names that are found; of errors `!` and a part of their line."""
  found = files.find(inputs, ['.mp3', '.wav'])
  return [str(path) if error is None else f'!{error}' for path, error in found]


@pytest.mark.parametrize(
  ('inputs', 'expected'),
  [
    (['b'], ['b/2.mp3', 'b/deep/1.MP3']),
    (['b/notes.txt'], ['b/notes.txt']),  # As it is named.
    (['b/*'], ['b/2.mp3', 'b/deep/1.MP3']),
    (['*/*.mp3'], ['b/2.mp3']),
    (['**/*.mp3', '**/*.MP3'], ['b/2.mp3', 'b/deep/1.MP3']),
    (['**'], ['#d.wav', 'a.wav', 'b/2.mp3', 'b/deep/1.MP3', 'c[1].wav', 'e, f.wav']),
    (['c[1].wav'], ['c[1].wav']),  # A file, not a pattern.
    (['c[[]1].wav', '?.wav'], ['c[1].wav', 'a.wav']),
    (['b/deep', 'a.wav', 'b'], ['b/deep/1.MP3', 'a.wav', 'b/2.mp3']),
    (['b/../a.wav', './a.wav', '?.wav', '*.wav'], ['b/../a.wav', '#d.wav', 'c[1].wav', 'e, f.wav']),
    (['b/*.txt'], ['!b/*.txt: expected files .mp3, .wav, found none']),
  ],
)
def test_inputs_name_files_in_their_order_and_each_once(folder, inputs, expected):
  assert find(*inputs) == expected
  absolute = find(*(str(folder / text) for text in inputs))
  assert [text.replace(f'{folder}/', '') for text in absolute] == expected


def test_another_way_to_a_folder_leads_to_the_same_files(folder):
  (folder / 'link').symlink_to(folder / 'b')
  (folder / 'b' / 'other.mp3').symlink_to(folder / 'b' / '2.mp3')  # A name of its own.
  assert find('link', 'b') == ['link/2.mp3', 'link/deep/1.MP3', 'link/other.mp3']


def test_links_are_not_followed_round_in_circles(folder):
  (folder / 'b' / 'loop').symlink_to(folder)
  (folder / 'b' / 'round').symlink_to(folder / 'b')
  assert find('b') == find('b/**') == ['b/2.mp3', 'b/deep/1.MP3']
  assert find('**/*.mp3') == ['b/2.mp3']


def test_a_list_names_files_from_its_folder_on(folder):
  lines = ['#EXTM3U', '', '#EXTINF:3,A - B', 'deep/1.MP3', '  ../a.wav ', f'{folder}/e, f.wav']
  lines += ['gone.mp3', '../a.wav', 'deep', 'caf\xe9.mp3', 'x\0y.mp3', './#d.wav', '.']
  text = '\r\n'.join(lines).encode()
  (folder / 'b' / 'list.M3U8').write_bytes(b'\xef\xbb\xbf' + text)
  assert find('b/list.M3U8') == [
    'b/deep/1.MP3',
    'b/../a.wav',
    f'{folder}/e, f.wav',
    'b/gone.mp3',  # For its reader to refuse.
    'b/caf\xe9.mp3',
    r"!b/list.M3U8: expected a path, found b'x\x00y.mp3'",
    'b/#d.wav',
    'b/2.mp3',
  ]


def test_names_that_are_no_utf8_are_found(folder):
  name = os.fsdecode(b'caf\xe9.wav')
  (folder / name).touch()
  (folder / 'list.m3u').write_bytes(b'caf\xe9.wav\n')
  assert find('list.m3u') == find('caf*') == [name]
  assert name in find('.')


def test_a_list_that_is_none_is_told(folder):
  (folder / 'empty.m3u8').write_text('#EXTM3U\n')
  (folder / 'loop.m3u8').symlink_to('loop.m3u8')
  assert find('empty.m3u8', 'loop.m3u8', 'a.wav') == [
    '!empty.m3u8: expected a file a line, found none',
    '!loop.m3u8: cannot be read: Too many levels of symbolic links',
    'a.wav',
  ]


def test_a_folder_that_cannot_be_read_is_not_taken_for_an_empty_one(folder, monkeypatch):
  scandir = os.scandir

  def deny(path):  # Root may read any folder.
    if str(path).endswith('deep'):
      raise PermissionError(13, 'Permission denied', str(path))
    return scandir(path)

  monkeypatch.setattr(os, 'scandir', deny)
  told = 'b/deep: cannot be read: Permission denied'
  assert find('b') == ['b/2.mp3', f'!{told}']
  with pytest.raises(DataError, match=told):
    files.below(Path('b'), ['.mp3'])


@pytest.mark.parametrize(
  ('text', 'message'),
  [
    ('gone.mp3', '--inputs: gone.mp3 does not exist'),
    ('*.ogg', r'--inputs: expected files that fit \*\.ogg, found none'),
    ('a**', r'--inputs: a\*\*: .*only be an entire path component'),
  ],
)
def test_what_names_nothing_is_refused(folder, text, message):
  files.check(['a.wav', 'b', '**/*.mp3', 'c[1].wav'])
  with pytest.raises(ConfigError, match=message):
    files.check(['a.wav', text])
