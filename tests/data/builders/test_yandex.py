"""Damaged tables and embeddings: each is read as it is there, or refused in one line."""

import ast
import codecs
import csv
import io
import os
import pickle
import re
import struct
import threading
import tracemalloc
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from musicjax.data.builders import yandex
from musicjax.errors import DataError
from tests.conftest import make_config
from tests.damage import apply, cases, damages, outcome

WIDTH = 4
# Of RFC 4180: a cell in quotes or without, and what ends it.
CELL = re.compile(r'(?:"((?:[^"]|"")*)"|([^",\r\n][^,\r\n]*)?)(,|\r\n|\r|\n|\Z)')


def parse_csv(content):
  """Returns the rows of a CSV text without its blank lines; None if it is none."""
  try:
    text = content.decode('utf-8').removeprefix('\ufeff')
  except UnicodeDecodeError:
    return None
  rows, row, at = [], [], 0
  while True:
    cell = CELL.match(text, at)
    if not cell:
      return None
    quoted, plain, end = cell.groups()
    row.append((plain or '') if quoted is None else quoted.replace('""', '"'))
    if end != ',':
      if len(row) > 1 or quoted is not None or plain:
        rows.append(row)
      row = []
    at = cell.end()
    if not end:
      return rows


def expected_rows(content, columns):
  """Returns the cells of the columns where a table is in order, else None."""
  rows = parse_csv(content)
  if not rows or len(rows) < 2 or any(len(row) != len(rows[0]) for row in rows):
    return None
  if any(rows[0].count(column) != 1 for column in columns):
    return None
  cells = [[row[rows[0].index(column)] for column in columns] for row in rows[1:]]
  tracks = [track for track, *_ in cells]
  good = all(
    track
    and track == track.strip()
    and len(f'{track}.npy'.encode()) <= 255
    and not any(ord(c) < 32 or c in '/\\\x7f' for c in track)
    for track in tracks
  )
  return cells if good and len(set(tracks)) == len(tracks) else None


def expected_labels(content, num_names):
  """Returns {track: tags}; None where a table or a tag is not in order."""
  rows = expected_rows(content, ['track', 'tags'])
  if rows is None:
    return None
  labels = {}
  for track, cell in rows:
    tags = [tag.strip(' ') for tag in cell.split(',')] if cell.strip(' ') else []
    if not all(tag.isascii() and tag.isdigit() and int(tag) < num_names for tag in tags):
      return None
    labels[track] = set(map(int, tags))
  return labels if any(labels.values()) else None


@pytest.fixture
def folder(tmp_path):
  embeddings = tmp_path / 'raw' / 'track_embeddings'
  embeddings.mkdir(parents=True)
  for track in ('0', '1', '7', '12', 'ä b', 'surplus'):
    np.save(embeddings / f'{track}.npy', np.full((3, WIDTH), len(track), np.float32))
  return tmp_path / 'raw'


def load(folder):
  return yandex.load(make_config(folder, folder))


CELLS = st.sampled_from(['0', '1', '3', '0,2', '1,2,4', '3,3', ' 2 , 0', '', '10', '4,-1', '1,,2'])
PIECES = [
  *(b'"', b',', b'\n', b'\r\n', b'\r', b'\0', b'""', b',"1,2"', b'\n"', b'track', b' ', b'\n\n'),
  *(
    b'..',
    b'/',
    b'../',
    b'\\',
    b'-',
    b'+',
    b'1_0',
    b'1e1',
    b'nan',
    b'\xff\xfe',
    b'\xe9',
    b'\x1b[2J',
  ),
  *(b'\xef\xbb\xbf', 'ä'.encode(), '３'.encode(), b'99999999999999999999', b'9' * 5000, b'x' * 300),
  *('\u2028'.encode(), b'7,1\n', b'12,"0,1"\n', b'# no comment\n', b'NA', b'\t'),
]


@st.composite
def tables(draw):
  """Bytes of a table of tracks and tags, most of them damaged."""
  tracks = draw(st.permutations(['0', '1', '7', '12', 'ä b', 'none']))[: draw(st.integers(1, 6))]
  columns = draw(
    st.sampled_from([['track', 'tags'], ['tags', 'artist', 'track'], ['track', 'tags']])
  )
  text = io.StringIO()
  writer = csv.DictWriter(
    text, columns, lineterminator=draw(st.sampled_from(['\n', '\r\n'])), extrasaction='ignore'
  )
  writer.writeheader()
  tags = draw(st.lists(CELLS, min_size=len(tracks), max_size=len(tracks)))
  writer.writerows(
    {'track': t, 'tags': c, 'artist': 'x, "y"'} for t, c in zip(tracks, tags, strict=True)
  )
  encoding = draw(st.sampled_from(['utf-8'] * 12 + ['utf-8-sig', 'utf-16', 'utf-16-le', 'latin-1']))
  return apply(text.getvalue().encode(encoding), draw(damages(PIECES)))


def test_a_damaged_table_gives_the_labels_it_holds_or_one_line(folder):
  config = make_config(folder, folder)
  counts = Counter()

  @cases(1000)
  @given(tables(), st.booleans())
  def check(content, with_names):
    names = folder / 'tags.txt'
    names.unlink(missing_ok=True)
    if with_names:
      names.write_text('a\nb\nc\nd\ne\n')
    (folder / 'train.csv').write_bytes(content)
    expected = expected_labels(content, 5 if with_names else 10_000)
    if expected and not any((folder / f'track_embeddings/{t}.npy').exists() for t in expected):
      expected = None  # Without one embedding their width is unknown.
    source = outcome(yandex.load, config)
    counts[type(source).__name__] += 1
    if isinstance(source, DataError):
      assert expected is None, str(source)
      assert str(folder) in str(source)
      return
    found = {t: set(np.flatnonzero(row)) for t, row in zip(source.ids, source.labels, strict=True)}
    assert found == expected
    assert list(source.ids) == sorted(expected)
    assert [key.stem for key in source.keys] == list(source.ids)
    assert {key.parent for key in source.keys} == {folder / 'track_embeddings'}
    highest = max(map(max, filter(None, expected.values())))
    assert len(source.label_names) == (5 if with_names else highest + 1)

  check()
  print(dict(counts))
  assert counts.total() >= 1000
  assert min(counts['Source'], counts['DataError']) > 200


def test_a_damaged_test_table_gives_the_tracks_it_holds_or_one_line(folder):
  counts = Counter()

  @cases(200)
  @given(tables(), st.sampled_from(['test.csv', 'sample_submission.csv']))
  def check(content, name):
    (folder / 'test.csv').write_text('track\n0\n')
    (folder / 'sample_submission.csv').unlink(missing_ok=True)
    (folder / name).write_bytes(content)
    expected = expected_rows(content, ['track'])
    found = outcome(yandex.submission_inputs, folder)
    counts[type(found).__name__] += 1
    if isinstance(found, DataError):
      assert expected is None, str(found)
    else:
      assert [[track] for track, _ in found] == expected
      assert {path.parent for _, path in found} == {folder / 'track_embeddings'}

  check()
  print(dict(counts))
  assert counts.total() >= 200
  assert min(counts['list'], counts['DataError']) > 40


def test_a_damaged_list_of_names_gives_the_names_it_holds_or_one_line(folder):
  (folder / 'train.csv').write_text('track,tags\n0,0\n')
  config = make_config(folder, folder)
  counts = Counter()

  @cases(150)
  @given(damages(PIECES))
  def check(places):
    content = apply('rock\nhip hop\njazz & blues\näther\n'.encode(), places)
    (folder / 'tags.txt').write_bytes(content)
    source = outcome(yandex.load, config)
    counts[type(source).__name__] += 1
    try:
      text = content.decode().removeprefix('\ufeff').replace('\r\n', '\n').replace('\r', '\n')
    except UnicodeDecodeError:
      text = ''
    names = [name.strip() for name in text.rstrip().split('\n')]
    control = any(ord(c) < 32 or ord(c) == 127 for name in names for c in name)
    if control or '' in names or len(set(names)) < len(names) or max(map(len, names)) > 1000:
      assert isinstance(source, DataError)
    else:
      assert list(source.label_names) == names

  check()
  print(dict(counts))
  assert counts.total() >= 150
  assert min(counts['Source'], counts['DataError']) > 30


def expected_array(content, path):
  """Returns the array of a whole .npy file of finite float32 [frames, WIDTH], else None."""
  try:
    array = np.load(path, allow_pickle=False)
  except Exception:
    return None
  if not isinstance(array, np.ndarray):
    return None
  prefix, size = (10, '<H') if content[6] == 1 else (12, '<I')
  start = prefix + struct.unpack_from(size, content, 8)[0]
  header = re.sub(r'\b(\d+)L\b', r'\1', content[prefix:start].decode('latin-1'))  # Of Python 2.
  header = ast.literal_eval(header.strip())
  good = (
    # Not one of sub-arrays, whose numbers NumPy counts twice.
    np.lib.format.descr_to_dtype(header['descr']).subdtype is None
    and (array.dtype.str, array.ndim, array.shape[1:]) == ('<f4', 2, (WIDTH,))
    and header['shape'] == array.shape  # NumPy takes -1 for whatever is there.
    and len(array)
    and len(content) == start + array.nbytes
    and np.isfinite(array).all()
  )
  return array if good else None


def npy_bytes(array, version=(1, 0)):
  file = io.BytesIO()
  np.lib.format.write_array(file, array, version, allow_pickle=True)
  return file.getvalue()


NPY_PIECES = [
  *(
    b'-',
    b'0',
    b'9',
    b'99',
    b',',
    b'(',
    b"'",
    b'\n',
    b'\0',
    b'\x7f\xc0',
    b'\0\0\xc0\x7f',
    b'\xff' * 4,
  ),
  *(
    b'>f4',
    b'<f8',
    b'<i4',
    b'|O',
    b'<f2',
    b'(',
    b'True ',
    b'\x93NUMPY',
    b'PK\x03\x04',
    b'\x80\x04.',
  ),
  *(b'\x02', b'\x03', b'L', b'#', b'shape', b'descr', b'\x1b[2J', b' ' * 16, b'\x00' * 16),
]
SHAPES = st.sampled_from(
  ['(0, 4)', '(-1, 4)', '(4,)', '()', '(2, 2, 4)', '(1000000000, 768)', '(4611686018427387904, 4)',
   '(2, 3)', '(4, 0)', '(True, 4)', '(1, 4)', '(-3, -4)', '(2L, 4L)', '(1e1, 4)', '[2, 4]']
)  # fmt: skip
DTYPES = st.sampled_from(
  ['>f4', '<f8', '<i4', '<f2', '|O', '|S4', '<c8', '|b1', '<U1', 'f4', '<M8[s]']
)


@st.composite
def embeddings(draw):
  """Bytes of a .npy file, most of them damaged."""
  shape = (draw(st.integers(1, 6)), WIDTH)
  array = np.arange(shape[0] * WIDTH, dtype=np.float32).reshape(shape) / 7 - 1
  array = np.asarray(array, order=draw(st.sampled_from('CF')))
  version = draw(st.sampled_from([(1, 0), (1, 0), (2, 0), (3, 0)]))
  content = npy_bytes(array, version)
  kind = draw(st.sampled_from(['bytes'] * 5 + ['shape', 'dtype', 'value']))
  if kind == 'shape':
    content = edit_header(content, str(shape), draw(SHAPES))
  if kind == 'dtype':
    content = edit_header(content, "'<f4'", repr(draw(DTYPES)))
  if kind == 'value':
    value = draw(st.sampled_from([np.nan, np.inf, -np.inf, np.finfo(np.float32).max, -0.0, 1e-45]))
    array[draw(st.integers(0, shape[0] - 1)), draw(st.integers(0, WIDTH - 1))] = value
    content = npy_bytes(array, version)
  return apply(content, draw(damages(NPY_PIECES)) if kind == 'bytes' else [])


def edit_header(content, old, new):
  """Puts another text in the header, whose length stays."""
  at = content.index(old.encode())
  end = content.index(b'\n')
  text = new.encode() + content[at + len(old) : end].rstrip(b' ')
  return content[:at] + text + b' ' * (end - at - len(text)) + content[end:]


@pytest.mark.filterwarnings('ignore:.*additional header parsing:UserWarning')
@pytest.mark.filterwarnings('ignore::SyntaxWarning')
def test_a_damaged_embedding_gives_the_array_it_holds_or_one_line(folder):
  (folder / 'train.csv').write_text('track,tags\n0,0\n')
  decode = load(folder).decode
  path = folder / 'track_embeddings' / 'damaged.npy'
  counts = Counter()

  @cases(1200)
  @given(embeddings())
  def check(content):
    path.write_bytes(content)
    expected, found = expected_array(content, path), outcome(decode, path)
    counts[type(found).__name__] += 1
    if isinstance(found, DataError):
      assert expected is None, str(found)
      assert str(found).startswith(f'{path}: expected ')
    else:
      np.testing.assert_array_equal(found, expected)
      assert found.tobytes() == expected.tobytes()  # What a record holds.

  check()
  print(dict(counts))
  assert counts.total() >= 1200
  assert min(counts['ndarray'], counts['DataError']) > 250


@pytest.mark.filterwarnings('ignore:.*additional header parsing:UserWarning')
@pytest.mark.filterwarnings('ignore::SyntaxWarning')
def test_files_to_predict_are_read_as_those_to_learn_from(folder):
  counts = Counter()

  @cases(20)
  @given(st.lists(embeddings(), min_size=8, max_size=8))
  def check(contents):
    inputs = folder / 'inputs'
    inputs.mkdir(exist_ok=True)
    for number, content in enumerate(contents):
      (inputs / f'{number}.npy').write_bytes(content)
    paths = [inputs / f'{n}.npy' for n in range(len(contents))]
    results = list(yandex.read_inputs(paths, (None, WIDTH), {}))
    assert [path for path, _ in results] == paths
    for (path, result), content in zip(results, contents, strict=True):
      counts[type(result).__name__] += 1
      expected = expected_array(content, path)
      assert isinstance(result, DataError) == (expected is None)
      if expected is not None:
        np.testing.assert_array_equal(result, expected)

  check()
  assert counts.total() >= 160
  assert min(counts['ndarray'], counts['DataError']) > 30


class Trace:
  """Unpickling it makes a folder."""

  def __init__(self, path):
    self.path = path

  def __reduce__(self):
    return os.mkdir, (str(self.path),)


def test_nothing_is_ever_unpickled(tmp_path):
  payload = np.array([[Trace(tmp_path / 'trace')]], dtype=object)
  np.save(tmp_path / 'object.npy', payload, allow_pickle=True)
  np.load(tmp_path / 'object.npy', allow_pickle=True)
  (tmp_path / 'trace').rmdir()  # So the payload works.
  (tmp_path / 'pickle.npy').write_bytes(pickle.dumps(payload))
  np.savez(tmp_path / 'archive', payload)
  (tmp_path / 'archive.npz').rename(tmp_path / 'archive.npy')
  fields = np.zeros(2, [('a', 'f4'), ('b', 'O')])
  fields['b'] = Trace(tmp_path / 'trace')
  np.save(tmp_path / 'fields.npy', fields, allow_pickle=True)
  # A header that lies: floats by name, a pickle by content.
  lie = npy_bytes(np.zeros((1, WIDTH), np.float32)).split(b'\n')[0] + b'\n' + pickle.dumps(payload)
  (tmp_path / 'lie.npy').write_bytes(lie)
  paths = sorted(tmp_path.glob('*.npy'))
  results = [result for _, result in yandex.read_inputs(paths, (None, WIDTH), {})]
  assert [type(result) for result in results] == 5 * [DataError]
  assert not (tmp_path / 'trace').exists()


@pytest.mark.parametrize('shape', ['(1000000000, 768)', '(300000, 4)', f'({2**62}, 4)'])
def test_memory_that_a_header_claims_is_not_asked_for(tmp_path, shape):
  path = tmp_path / 'x.npy'
  content = npy_bytes(np.zeros((200, WIDTH), np.float32))
  path.write_bytes(edit_header(content, '(200, 4)', shape))
  tracemalloc.start()
  try:
    error = outcome(yandex.read_embedding, path)
    _, peak = tracemalloc.get_traced_memory()
  finally:
    tracemalloc.stop()
  assert isinstance(error, DataError)
  assert re.search(r'expected \d+ bytes for \[\d+, \d+\], found 3200$', str(error))
  assert peak < 500_000


def test_a_file_that_does_not_fit_into_memory_is_told_in_one_line(tmp_path):
  path = tmp_path / 'x.npy'
  frames = 2**38
  path.write_bytes(edit_header(npy_bytes(np.zeros((1, 4), np.float32)), '(1, 4)', f'({frames}, 4)'))
  os.truncate(path, 128 + 16 * frames)  # 4 TB that take no room.
  assert 'fits into memory' in str(outcome(yandex.read_embedding, path))


def test_sizes_beyond_any_memory_are_told_in_one_line(tmp_path):
  size = '9' * 4000  # Python writes out no product of two of them.
  text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({size}, {size}), }}\n".encode()
  for version, prefix in ((1, struct.pack('<H', len(text))), (2, struct.pack('<I', len(text)))):
    content = b'\x93NUMPY' + bytes([version, 0]) + prefix + text
    (tmp_path / 'x.npy').write_bytes(content)
    error = outcome(yandex.read_embedding, tmp_path / 'x.npy')
    assert 'expected a .npy file, found: shape' in str(error)


ARRAYS = {
  'big-endian': (np.zeros((2, 4), '>f4'), 'found >f4 [2, 4]'),
  'fields': (np.zeros((2, 4), [('a', 'f4')]), "found [('a', '<f4')] [2, 4]"),
  'scalar': (np.float32(3), 'found float32 []'),
  'three axes': (np.zeros((2, 2, 4), np.float32), 'found float32 [2, 2, 4]'),
  'no width': (np.zeros((2, 0), np.float32), 'expected at least one frame, found [2, 0]'),
  'width': (np.zeros((2, 5), np.float32), 'expected width 4, found 5'),
  'infinite': (np.full((2, 4), -np.inf, np.float32), 'expected finite values'),
  'text': (np.full((2, 4), 'a'), 'found <U1 [2, 4]'),
}


@pytest.mark.parametrize('case', ARRAYS)
def test_other_arrays_are_described(tmp_path, case):
  array, message = ARRAYS[case]
  np.save(tmp_path / 'x.npy', array)
  error = outcome(yandex.read_embedding, tmp_path / 'x.npy', WIDTH)
  assert message in str(error)


def make_folder(path):
  path.mkdir()


def make_loop(path):
  path.symlink_to(path)


def make_dangling(path):
  path.symlink_to(path.with_name('nowhere'))


def make_pipe(path):
  os.mkfifo(path)
  # Without this, a reader that opens it would wait for ever; with it, it finds an empty file.
  thread = threading.Thread(target=lambda: path.open('wb').close(), daemon=True)
  thread.start()

  def end():
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    thread.join()
    os.close(reader)

  return end


def make_unreadable(path):
  path.symlink_to('/proc/self/mem')  # Opens, and fails to read.


@pytest.mark.parametrize(
  'make', [make_folder, make_loop, make_dangling, make_pipe, make_unreadable]
)
@pytest.mark.parametrize('name', ['train.csv', 'tags.txt', 'track_embeddings/0.npy'])
def test_what_is_no_file_is_refused_and_never_waited_for(folder, make, name):
  (folder / 'train.csv').write_text('track,tags\n0,1\n')
  (folder / name).unlink(missing_ok=True)
  end = make(folder / name)
  error = outcome(load, folder)
  assert isinstance(error, DataError)
  assert str(error).startswith(f'{folder / name}: ')
  if end:
    end()


@pytest.mark.parametrize('name', ['train.csv', 'tags.txt', 'track_embeddings/0.npy'])
def test_files_without_permission_are_named(folder, name):
  (folder / 'train.csv').write_text('track,tags\n0,1\n')
  (folder / 'tags.txt').write_text('a\nb\n')
  (folder / name).chmod(0)
  for parent in list(folder.parents)[:-2] if os.geteuid() == 0 else []:
    parent.chmod(0o755)
  codecs.lookup('utf-8-sig')  # Its module may lie where nobody but root reads.
  user = os.geteuid()
  try:
    if user == 0:
      os.seteuid(65534)  # The permissions of root are not asked for.
    error = outcome(load, folder)
  finally:
    os.seteuid(user)
  assert str(error) == f'{folder / name}: cannot be read: Permission denied'


def test_a_track_never_leads_out_of_its_folder(folder):
  np.save(folder / 'secret.npy', np.zeros((1, WIDTH), np.float32))
  for track in ('../secret', '/etc/passwd', '..\\secret', 'a/../../secret', './0', 'x/', '\0', ''):
    with (folder / 'train.csv').open('w', newline='') as file:
      csv.writer(file).writerows([('track', 'tags'), ('0', '1'), (track, '1')])
    error = outcome(load, folder)
    assert 'line 3: track: expected a name' in str(error)


def test_dots_other_alphabets_and_surplus_files_are_right(folder):
  for track in ('..', '.', 'Ünïcödé', '東京', "a'b", 'x' * 251):
    np.save(folder / 'track_embeddings' / f'{track}.npy', np.full((1, WIDTH), 5, np.float32))
    (folder / 'train.csv').write_text(f'track,tags\n0,1\n{track},0\n', encoding='utf-8')
    source = load(folder)
    assert sorted(source.ids) == sorted(['0', track])
    row = list(source.ids).index(track)
    np.testing.assert_array_equal(source.decode(source.keys[row]), [4 * [5]])
    assert source.labels[row].tolist() == [True, False]


MESSAGES = {
  'unquoted': ('track,tags\n0,1,2\n', 'line 2: expected 2 cells as in the first line, found 3'),
  'long cell': ('track,tags\n0,' + 'x' * 100_000, "joined by commas, found 'xxxx"),
  'huge cell': ('track,tags\n0,' + '1' * 1_000_000, 'field larger than field limit'),
  'screen': ('track,tags\n0,\x1b[2J\n', r"found '\x1b[2J'"),
  'huge tag': ('track,tags\n0,1\n1,' + '9' * 3000, 'expected numbers in 0..9999, found 9999'),
  'underscore': ('track,tags\n0,1_0\n', "joined by commas, found '1_0'"),
  'gap': ('track,tags\n0,"1,,2"\n', "joined by commas, found '1,,2'"),
  'no tags': ('track,tags\n0,\n1,""\n', 'expected at least one tag, found none'),
  'two columns of tags': ('track,tags,tags\n0,1,2\n', "found ['tags'] twice in ['track', "),
  'open quote': ('track,tags\n0,"1\n1,2\n', 'unexpected end of data'),
  'long name': (f'track,tags\n{"x" * 252},1\n', 'a name of up to 251 bytes'),
}


@pytest.mark.parametrize('case', MESSAGES)
def test_what_was_found_in_a_table_is_quoted_shortly(folder, case):
  text, message = MESSAGES[case]
  (folder / 'train.csv').write_bytes(text.encode())
  error = outcome(load, folder)
  assert str(error).startswith(f'{folder}/train.csv: ')
  assert message in str(error)


def test_one_file_of_another_width_is_the_bad_one_even_if_it_is_the_first(folder):
  (folder / 'train.csv').write_text('track,tags\n0,1\n1,0\n7,1\n')
  np.save(folder / 'track_embeddings' / '0.npy', np.zeros((2, 9), np.float32))
  source = load(folder)
  assert source.input_shape == (None, WIDTH)
  assert 'expected width 4, found 9' in str(outcome(source.decode, source.keys[0]))


def test_files_to_predict_that_are_none_are_errors(tmp_path):
  (tmp_path / 'folder.npy').mkdir()
  np.save(tmp_path / 'a.npy', np.ones((2, WIDTH), np.float32))
  paths = [tmp_path / name for name in ('a.npy', 'folder.npy', 'gone.npy')]
  (first, array), *errors = yandex.read_inputs(paths, (None, WIDTH), {})
  np.testing.assert_array_equal(array, np.ones((2, WIDTH)))
  assert [first, *(path for path, _ in errors)] == paths
  assert 'expected a file, found a folder' in str(errors[0][1])
  assert 'not found' in str(errors[1][1])
