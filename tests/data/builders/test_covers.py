import io
import pickle

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from configs import pressed_play
from musicjax.data import array_records, duplicates, input_pipeline, plans
from musicjax.data.builders import covers
from musicjax.errors import DataError
from tests.conftest import write_cover_folder


def make_config(folder, prepared, **fields):
  config = pressed_play.get_config('test')
  config.data_dir, config.prepared_dir = str(folder), str(prepared)
  config.update_from_flattened_dict(fields)
  return config


def encode(image, kind='PNG', **options):
  file = io.BytesIO()
  image.save(file, kind, **options)
  return file.getvalue()


def clouds(seed, size=160):
  """A picture without plain areas: random colours, smoothly between them."""
  colours = np.random.default_rng(seed).integers(0, 256, (7, 7, 3)).astype(np.uint8)
  return Image.fromarray(colours).resize((size, size), Image.Resampling.BICUBIC)


def write_table(path, contents, features, **columns):
  pd.DataFrame({'cover': contents, 'features': features, **columns}).to_parquet(path)


GOOD = [0.1, 0.2, 0.3, 0.4, 0.5, -6.0, 0.7, 0.8]


def test_the_real_covers_are_read_in_the_original_format(real_data, tmp_path):
  source = covers.load(make_config(real_data / 'pressed_play', tmp_path))
  table = pd.read_parquet(real_data / 'pressed_play' / 'covers_sample.parquet')
  assert source.ids.tolist() == [f'covers_sample.parquet {row:08d}' for row in range(1, 11)]
  assert source.label_names[5] == 'loudness'
  np.testing.assert_array_equal(source.labels, np.stack(table['features']).astype(np.float32))
  assert len(set(source.groups)) == 10
  decode = pickle.loads(pickle.dumps(source.decode))
  for key, content in zip(source.keys, table['cover'], strict=True):
    image = Image.open(io.BytesIO(content)).convert('RGB')
    expected = np.asarray(image.resize((32, 32), Image.Resampling.BICUBIC), float)
    # A JPEG that is decoded at a fraction of its size is blurred by another filter.
    assert np.abs(decode(key) - expected).mean() < 5


def test_a_table_of_paths_and_a_parquet_of_covers_hold_the_same(tmp_path):
  contents = [encode(clouds(seed), 'PNG') for seed in range(6)]
  features = np.random.default_rng(0).random((6, 8)).tolist()
  write_table(tmp_path / 'a.parquet', contents, features, group=list('aabbcd'))
  rows = []
  for row, (content, values, group) in enumerate(zip(contents, features, 'aabbcd', strict=True)):
    (tmp_path / f'{row}.png').write_bytes(content)
    rows.append({'path': f'{row}.png', **dict(zip(covers.FEATURES, values, strict=True))})
    rows[-1] |= {'group': group, 'weight': 2}
  rows.append(rows[0])  # Another track of the same cover.
  pd.DataFrame(rows).to_csv(tmp_path / 'tracks.csv', index=False)
  of_parquet = covers.load(make_config(tmp_path, tmp_path / 'prepared'))
  fields = {'dataset.table': 'tracks.csv'}
  of_table = covers.load(make_config(tmp_path, tmp_path / 'prepared', **fields))
  assert of_table.ids[:2].tolist() == ['0.png', '0.png (2)']
  rows = [0, *range(2, 7)]
  np.testing.assert_array_equal(of_table.labels[rows], of_parquet.labels)
  np.testing.assert_array_equal(of_table.labels[1], of_parquet.labels[0])
  for one, other in zip(of_parquet.keys, [of_table.keys[row] for row in rows], strict=True):
    np.testing.assert_array_equal(of_parquet.decode(one), of_table.decode(other))
  assert of_parquet.groups.tolist() == list('aabbcd')
  assert of_table.groups.tolist() == list('aaabbcd')
  assert of_table.weights.tolist() == [2.0] * 7
  read = dict(covers.read_inputs(of_table.keys, of_table.input_shape, of_table.parameters))
  np.testing.assert_array_equal(read[tmp_path / '3.png'], of_parquet.decode(of_parquet.keys[3]))


def test_a_cover_in_other_sizes_formats_and_qualities_is_in_one_fold_with_itself(tmp_path):
  images = [clouds(seed) for seed in range(8)]
  contents = [encode(image) for image in images]
  contents += [encode(image.resize((90, 90)), 'JPEG', quality=40) for image in images]
  contents += [encode(image.resize((300, 300)).convert('L'), 'WEBP') for image in images]
  write_table(tmp_path / 'a.parquet', contents, [GOOD] * 24)
  config = make_config(tmp_path, tmp_path / 'prepared')
  groups = covers.load(config).groups
  assert (groups == np.tile(groups[:8], 3)).all()
  assert len(set(groups)) == 8
  index = array_records.prepare(config).index
  assert (index.folds == np.tile(index.folds[:8], 3)).all()


def test_groups_are_computed_once(tmp_path, monkeypatch):
  write_table(tmp_path / 'a.parquet', [encode(clouds(0))] * 3, [GOOD] * 3)
  config = make_config(tmp_path, tmp_path / 'prepared')
  groups = covers.load(config).groups
  monkeypatch.setattr(duplicates, 'group', None)
  np.testing.assert_array_equal(covers.load(config).groups, groups)


def test_joined_groups_hold_what_shares_one_of_either_kind():
  groups = np.array(['a', 'a', 'b', 'c', 'd', 'e'])
  joined = duplicates.join(groups, np.array([1, 2, 2, 3, 3, 4]))
  assert joined.tolist() == ['a', 'a', 'a', 'c', 'c', 'e']


def test_plain_pictures_are_told_from_those_with_a_drawing_on_them():
  plain = Image.new('RGB', (100, 100), 'red')
  drawn = plain.copy()
  drawn.paste('white', (30, 20, 70, 80))
  prints = np.stack([duplicates.fingerprint(image) for image in (plain, drawn, plain)])
  first, second, third = duplicates.group(prints)
  assert first == third != second


BAD = {
  'NaN': (
    [*GOOD[:2], float('nan'), *GOOD[3:]],
    'energy: expected a number from 0 to 1, found (nan|N)',
  ),
  'above': ([1.5, *GOOD[1:]], 'acousticness: expected a number from 0 to 1, found 1.5'),
  'loud': ([*GOOD[:5], 60.0, *GOOD[6:]], r'loudness: expected a number from -60 to 10, found 60.0'),
  'few': (GOOD[:7], r'features: expected 8 numbers, found \[0.1'),
  'none': (None, r'features: expected 8 numbers, found \[\]'),
}


@pytest.mark.parametrize('case', BAD)
def test_features_that_cannot_be_are_one_line_or_left_out(case, tmp_path):
  values, message = BAD[case]
  contents = [encode(clouds(seed)) for seed in range(12)]
  write_table(tmp_path / 'a.parquet', contents, [GOOD] * 5 + [values] + [GOOD] * 6)
  with pytest.raises(DataError, match=rf'a.parquet: row 6: {message}') as error:
    covers.load(make_config(tmp_path, tmp_path / 'p'))
  assert str(error.value).isprintable()
  source = covers.load(make_config(tmp_path, tmp_path / 'p', on_bad_example='skip'))
  assert len(source.ids) == 11
  assert source.left_out == (('a.parquet 00000006', str(error.value)),)
  with pytest.raises(DataError, match=r'1 of 12 rows cannot be used, more than max_skipped=0.05'):
    covers.load(make_config(tmp_path, tmp_path / 'p', on_bad_example='skip', max_skipped=0.05))


@pytest.mark.parametrize(
  ('columns', 'message'),
  [
    ({'split': ['train'] * 6 + [''] * 6}, 'split: expected train, .* in every row, found none for'),
    ({'weight': [0.0] * 12}, 'weight: expected at least one above 0, found none'),
  ],
)
def test_columns_that_contradict_themselves_are_told(columns, message, tmp_path):
  contents = [encode(clouds(seed)) for seed in range(12)]
  write_table(tmp_path / 'a.parquet', contents, [GOOD] * 12, **columns)
  with pytest.raises(DataError, match=rf'^{tmp_path}: {message}'):
    covers.load(make_config(tmp_path, tmp_path / 'p'))


def test_a_table_without_a_good_row_is_told_though_all_may_be_skipped(tmp_path):
  write_table(tmp_path / 'a.parquet', [b''] * 3, [[1.5, *GOOD[1:]]] * 3)
  fields = {'on_bad_example': 'skip', 'max_skipped': 1.0}
  with pytest.raises(DataError, match=r'none of 3 rows can be used; .*: row 1: acousticness: '):
    covers.load(make_config(tmp_path, tmp_path / 'p', **fields))


def test_what_is_no_table_of_covers_is_told(tmp_path):
  with pytest.raises(DataError, match='expected Parquet files of covers in it, found none'):
    covers.load(make_config(tmp_path, tmp_path))
  columns = dict.fromkeys(covers.FEATURES, 0.5)
  pd.DataFrame([{'path': '../x.png', **columns}]).to_csv(tmp_path / 'a.csv', index=False)
  pd.DataFrame([{'path': 'x.png', 'energy': 'high'}]).to_csv(tmp_path / 'b.csv', index=False)
  pd.DataFrame([{'path': 'x.png', **columns, 'valence': 'low'}]).to_csv(
    tmp_path / 'c.csv', index=False
  )
  pd.DataFrame({'cover': [b''], 'features': ['0.5']}).to_parquet(tmp_path / 'd.parquet')
  for name, message in {
    'a.csv': "line 2: path: expected a file below the folder, found '../x.png'",
    'b.csv': r"expected columns \['path', 'acousticness'",
    'c.csv': "line 2: valence: expected a number from 0 to 1, found 'low'",
    'd.parquet': "row 1: features: expected a list, found '0.5'",
    'e.parquet': 'not found',
  }.items():
    with pytest.raises(DataError, match=rf'{name}: {message}'):
      covers.load(make_config(tmp_path, tmp_path, **{'dataset.table': name}))


def test_bad_covers_are_left_out_with_their_lines_and_batches_hold_the_rest(tmp_path):
  folder = write_cover_folder(tmp_path / 'raw', num_covers=20)
  table = pd.read_parquet(folder / 'covers.parquet')
  deep = encode(clouds(0).convert('L').convert('I;16'), 'PNG')
  covers_of_bad = [b'no image', deep, table['cover'][0]]
  bad = pd.DataFrame({'cover': covers_of_bad, 'features': [GOOD, GOOD, [9.0, *GOOD[1:]]]})
  pd.concat([table, bad]).to_parquet(folder / 'covers.parquet')
  config = make_config(folder, tmp_path / 'prepared', on_bad_example='skip')
  prepared = array_records.prepare(config)
  assert [reason.partition('row ')[2] for _, reason in prepared.skipped] == [
    '21: expected a sound image, found: no PNG, JPEG or WebP',
    '22: expected one picture, grey, RGB or CMYK of 8 bits, found I;16, 1 of them',
    '23: acousticness: expected a number from 0 to 1, found 9.0',
  ]
  assert prepared.index.labels.dtype == np.float32
  rows = plans.split_rows(prepared.index, config)['train']
  plan = plans.train_plan(prepared.index, rows, config)
  batch = next(input_pipeline.tf_batches(prepared, plan, range(3, 4)))
  expected = input_pipeline.plain_batch(prepared, plan(3))
  for name, array in expected.items():
    np.testing.assert_array_equal(batch[name], array)
  np.testing.assert_array_equal(batch['labels'], prepared.index.labels[plan(3).rows])
  assert batch['inputs'].shape == (1, 8, 32, 32, 3)
