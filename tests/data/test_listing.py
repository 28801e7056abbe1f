import json
import os

import numpy as np
import pandas as pd
import pytest

from configs import spectrogram_cnn
from musicjax.data import array_records, examples, listing, plans
from musicjax.data.builders import audio
from musicjax.errors import DataError
from tests.conftest import write_audio_folder


def make_config(folder, **fields):
  config = spectrogram_cnn.get_config('test')
  config.data_dir = str(folder)
  config.task, config.loss.name = 'multi_label', 'bce'
  config.update_from_flattened_dict(fields)
  return config


def describe(folder, table, **fields):
  config = make_config(folder, **{'dataset.table': table}, **fields)
  return listing.describe(listing.read(config, ['.wav']), config)


def write_csv(folder, text, name='tags.csv'):
  (folder / name).write_text(text)
  return name


def write_parquet(folder, name='tags.parquet', **columns):
  pd.DataFrame(columns).to_parquet(folder / name)
  return name


def test_a_parquet_table_says_what_a_csv_table_says(tmp_path):
  csv = write_csv(
    tmp_path,
    'path,tags,group,fold,weight\nx/2.wav,"a, b",7,9,0.5\nx/1.wav,b|c d,7,9,1\n3.wav,,,10,\n'
    '4.wav,a,,,2\n5.wav,a,,11,0\n',
  )
  parquet = write_parquet(
    tmp_path,
    path=['x/2.wav', 'x/1.wav', '3.wav', '4.wav', '5.wav'],
    more=range(5),
    tags=['a, b', 'b|c d', None, 'a', 'a'],
    group=[7, 7, None, None, None],  # Pandas makes floats of them.
    fold=['9', '9', '10', '', '11'],
    weight=[0.5, 1, None, 2, 0],
  )
  expected = describe(tmp_path, csv, num_folds=3)
  assert expected['official_folds'].tolist() == [1, -1, 2, 0, 0]
  assert expected['groups'].tolist() == ['3.wav', '4.wav', '5.wav', '7', '7']
  assert expected['weights'].tolist() == [1, 2, 0, 1, 0.5]
  np.testing.assert_equal(describe(tmp_path, parquet, num_folds=3), expected)


def test_tags_in_a_list_may_hold_commas_and_bars(tmp_path):
  tags = [['R&B, Soul', 'a|b'], ['a|b'], []]
  table = write_parquet(tmp_path, path=['1.wav', '2.wav', '3.wav'], tags=tags)
  found = describe(tmp_path, table)
  assert found['label_names'] == ('R&B, Soul', 'a|b')
  assert found['labels'].tolist() == [[True, True], [False, True], [False, False]]


GOOD = {'path': ['1.wav', '2.wav'], 'tags': ['a', 'b']}


@pytest.mark.parametrize(
  ('columns', 'message'),
  [
    ({'path': ['1.wav']}, r"expected columns \['path', 'tags'\]"),
    ({'path': [], 'tags': []}, 'expected at least one row'),
    ({**GOOD, 'weight': [1.5, -1]}, "row 2: weight: expected a number in 0..1e6, found '-1'"),
    ({**GOOD, 'tags': [True, False]}, 'row 1: tags: expected text, found True'),
    ({**GOOD, 'tags': [b'a', b'b']}, "row 1: tags: expected text, found b'a'"),
    ({**GOOD, 'tags': [[['a']], [['b']]]}, 'row 1: tags: expected text'),
    ({**GOOD, 'path': ['1.wav', None]}, "row 2: path: expected a file .*, found ''"),
    ({**GOOD, 'path': ['1.wav', '../2.wav']}, 'row 2: path: expected a file below the folder'),
    ({**GOOD, 'path': [['1.wav'], ['2.wav']]}, 'row 1: path: expected a file below the folder'),
    ({**GOOD, 'path': ['1.wav', '1.wav']}, 'row 2: expected every path once'),
    ({**GOOD, 'group': [['x'], ['y']]}, r"row 1: group: expected text, found \['x'\]"),
    ({**GOOD, 'tags': ['', ' , ']}, 'tags: expected at least one tag'),
    ({**GOOD, 'split': ['train', 'dev']}, "row 2: split: expected train, .*, found 'dev'"),
    ({**GOOD, 'split': ['train', '']}, "split: expected .* in every row, found none for '2.wav'"),
    ({**GOOD, 'split': ['train', 'test'], 'fold': [1, 2]}, 'row 2: fold: expected none in test'),
  ],
)
def test_a_parquet_file_that_is_no_such_table_is_told_in_one_line(tmp_path, columns, message):
  table = write_parquet(tmp_path, **columns)
  with pytest.raises(DataError, match=rf'^{tmp_path}/tags.parquet: .*{message}'):
    describe(tmp_path, table)


@pytest.mark.parametrize('content', [b'', b'path,tags\n', b'PAR1' + bytes(20) + b'PAR1', None])
def test_a_file_that_is_no_parquet_is_told_in_one_line(tmp_path, content):
  whole = (tmp_path / write_parquet(tmp_path, **GOOD)).read_bytes()
  (tmp_path / 'tags.parquet').write_bytes(whole[: len(whole) // 2] if content is None else content)
  with pytest.raises(DataError, match=r'tags.parquet: expected a Parquet table, found: ') as error:
    describe(tmp_path, 'tags.parquet')
  assert str(error.value).isprintable()
  with pytest.raises(DataError, match=r'gone.parquet: not found'):
    describe(tmp_path, 'gone.parquet')


def test_the_data_s_own_test_set_tests_whatever_the_fold(tmp_path):
  folder = write_audio_folder(tmp_path / 'raw', num_tracks=6)
  names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob('*.*'))
  of_track = ['test', 'validation', *['train'] * 4]
  splits = {name: of_track[int(name.split('/')[1][0])] for name in names}
  rows = [f'{name},{name.split("/")[0]},{split}' for name, split in splits.items()]
  write_csv(folder, '\n'.join(['path,tags,split', *rows]))
  config = make_config(folder, num_folds=4, **{'dataset.table': 'tags.csv'})
  config.prepared_dir = str(tmp_path / 'prepared')
  prepared = array_records.prepare(config)
  validated = []
  for config.fold in range(4):
    found = plans.split_rows(prepared.index, config)
    tracks = {split: set(prepared.index.tracks[rows]) for split, rows in found.items()}
    assert tracks['test'] == {name for name in names if splits[name] == 'test'}
    assert tracks['train'] | tracks['validation'] == set(names) - tracks['test']
    assert not tracks['train'] & tracks['validation']
    validated.append(tracks['validation'])
    if config.fold == 0:  # As the data has it.
      assert tracks['validation'] == {name for name in names if splits[name] == 'validation'}
  assert sum(map(len, validated)) == 15

  records = [prepared.records[p] for p in prepared.index.positions]
  features = examples.features(prepared.input_shape, 'float16', 3)
  ids = [features.deserialize_example_np(record)['id'].decode() for record in records]
  assert ids == prepared.index.ids.tolist()
  before = array_records.dataset_name(audio.load(config), config)
  assert before == prepared.fingerprint
  write_csv(folder, '\n'.join(['path,tags,split', *rows]).replace('validation', 'train'))
  assert array_records.dataset_name(audio.load(config), config) != before


TABLE = 'path,tags\n1.wav,hip hop|live\n2.wav,Rap\n3.wav,live\n4.wav,rock\n5.wav,\n'
MAP = {'hip hop': 'hiphop', 'Rap': ['hiphop', 'spoken'], 'live': None, 'rock': 'rock'}


def write_map(folder, label_map, name):
  if name.endswith('.json'):
    (folder / name).write_text(json.dumps(label_map))
  else:
    rows = [(raw, '|'.join([to] if isinstance(to, str) else to or [])) for raw, to in
            label_map.items()]  # fmt: skip
    pd.DataFrame(rows, columns=['raw', 'label']).to_csv(folder / name, index=False)


@pytest.mark.parametrize('name', ['map.json', 'map.csv', 'map.parquet'])
def test_a_label_map_makes_few_labels_of_many(tmp_path, name):
  write_csv(tmp_path, TABLE)
  write_map(tmp_path, MAP, name.replace('parquet', 'csv'))
  if name.endswith('parquet'):
    pd.read_csv(tmp_path / 'map.csv').to_parquet(tmp_path / name)
  found = describe(tmp_path, 'tags.csv', **{'dataset.label_map': name})
  assert found['label_names'] == ('hiphop', 'rock', 'spoken')
  assert found['ids'].tolist() == ['1.wav', '2.wav', '4.wav', '5.wav']
  np.testing.assert_array_equal(found['labels'], [[1, 0, 0], [1, 0, 1], [0, 1, 0], [0, 0, 0]])
  assert [key.name for key in found['keys']] == found['ids'].tolist()
  assert found['left_out'] == (('3.wav', f"3.wav: {name} keeps none of its labels: 'live'"),)


def test_labels_that_the_map_lacks_are_refused_or_taken_together(tmp_path):
  write_csv(tmp_path, TABLE)
  write_map(tmp_path, {'rock': 'rock'}, 'map.json')
  with pytest.raises(DataError) as error:
    describe(tmp_path, 'tags.csv', **{'dataset.label_map': 'map.json'})
  assert str(error.value) == (
    f"{tmp_path}/map.json: expected all labels of the data, or '*' for the others; "
    "found none for 3 of 4: 'Rap', 'hip hop', 'live'"
  )
  write_map(tmp_path, {'rock': 'rock', '*': 'other'}, 'map.json')
  found = describe(tmp_path, 'tags.csv', **{'dataset.label_map': 'map.json'})
  assert found['labels'].tolist() == [[1, 0], [1, 0], [1, 0], [0, 1], [0, 0]]
  write_map(tmp_path, {'rock': 'rock', '*': None}, 'map.json')
  found = describe(tmp_path, 'tags.csv', **{'dataset.label_map': 'map.json'})
  assert found['ids'].tolist() == ['4.wav', '5.wav']
  assert [name for name, _ in found['left_out']] == ['1.wav', '2.wav', '3.wav']


@pytest.mark.parametrize(
  ('name', 'text', 'message'),
  [
    ('map.json', '', 'expected a JSON object'),
    ('map.json', '[["a", "b"]]', 'expected a JSON object'),
    ('map.json', '\xff', 'expected a JSON object'),
    ('map.json', '[' * 100_000, 'expected a JSON object'),
    ('map.json', '{"a": 1}', "'a': expected a label, a list of them or null, found 1"),
    ('map.json', '{"a": {"b": "c"}}', "'a': expected a label"),
    ('map.json', '{"a": "b", "a": "c"}', "every label once, found 'a' twice"),
    ('map.json', '{"*": null}', 'expected a label for at least one track'),
    ('map.csv', 'a,b\nc,d\n', r"expected columns \['raw', 'label'\]"),
    ('map.csv', 'raw,label\na,b\na,c\n', "every label once, found 'a' twice"),
  ],
)
def test_what_is_no_label_map_is_told_in_one_line(tmp_path, name, text, message):
  write_csv(tmp_path, TABLE)
  (tmp_path / name).write_text(text, encoding='latin-1')
  with pytest.raises(DataError, match=rf'^{tmp_path}/{name}: .*{message}') as error:
    describe(tmp_path, 'tags.csv', **{'dataset.label_map': name})
  assert str(error.value).isprintable()


def test_another_label_map_leads_to_another_dataset_and_tells_whom_it_left_out(tmp_path):
  folder = write_audio_folder(tmp_path / 'raw', num_tracks=6)
  config = make_config(folder, num_folds=3, **{'dataset.label_map': 'map.json'})
  config.prepared_dir, config.max_skipped = str(tmp_path / 'prepared'), 0.0
  names = set()
  for noise in 'low', 'other', None:
    write_map(folder, {'high': 'high', 'low': 'low', 'noise': noise}, 'map.json')
    names.add(array_records.dataset_name(audio.load(config), config))
  assert len(names) == 3
  prepared = array_records.prepare(config)
  assert prepared.fingerprint in names
  assert prepared.label_names == ('high', 'low')
  assert len(set(prepared.index.tracks)) == 12
  assert [name for name, _ in prepared.skipped] == [
    f'noise/{track}.{kind}'
    for track, kind in enumerate(['wav', 'flac', 'ogg', 'mp3', 'wav', 'flac'])
  ]
  assert array_records.prepare(config).skipped == prepared.skipped


def test_a_folder_s_name_that_is_no_text_is_told_readably(tmp_path):
  folder = os.fsencode(tmp_path) + b'/caf\xe9'
  os.mkdir(folder)
  (tmp_path / 'b').mkdir()
  for path in (folder + b'/1.wav', os.fsencode(tmp_path) + b'/b/\xff.wav'):
    with open(path, 'wb'):
      pass
  config = make_config(tmp_path)
  found = listing.describe(listing.read(config, ['.wav']), config)
  assert found['ids'].tolist() == ['b/\\xff.wav', 'caf\\xe9/1.wav']
  assert found['label_names'] == ('b', 'caf\\xe9')
  assert all(key.exists() for key in found['keys'])
