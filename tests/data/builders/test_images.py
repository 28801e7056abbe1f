import io
import os
import pickle
import zlib

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from configs import spectrogram_cnn
from musicjax import train
from musicjax.audio.features import LogMel
from musicjax.data import array_records, pictures
from musicjax.data.builders import images
from musicjax.errors import ConfigError, DataError

SMALL = {
  'dataset.sample_rate': 2000, 'dataset.n_fft': 400, 'dataset.n_mels': 8, 'dataset.num_frames': 16,
}  # fmt: skip


def make_config(folder, prepared='', **fields):
  config = spectrogram_cnn.get_config('images')
  config.data_dir, config.prepared_dir = str(folder), str(prepared)
  config.update_from_flattened_dict({**SMALL, **fields})
  return config


def draw(pitch, width=100, height=40, seed=0):
  """White paper with a line at a share of the height, 0 below, that swells and fades."""
  rng = np.random.default_rng(seed)
  paper = rng.integers(246, 256, (height, width))
  row = round((1 - pitch) * (height - 1))
  paper[max(0, row - 1) : row + 2] = 128 + 100 * np.sin(np.arange(width) / 7)
  return paper.astype(np.uint8)


def encode(array, kind='PNG', **options):
  file = io.BytesIO()
  (array if isinstance(array, Image.Image) else Image.fromarray(array)).save(file, kind, **options)
  return file.getvalue()


def write_folder(folder, num_tracks=8):
  rng = np.random.default_rng(0)
  for label, pitch in ('high', 0.8), ('low', 0.2):
    (folder / label).mkdir(parents=True)
    for track in range(num_tracks):
      kind = ('PNG', 'JPEG', 'WEBP')[track % 3]
      spectrogram = draw(pitch + rng.uniform(-0.1, 0.1), int(rng.integers(30, 130)), seed=track)
      (folder / label / f'{track}.{kind.lower()}').write_bytes(encode(spectrogram, kind))
  return folder


def write_parquet(path, contents, text, **columns):
  images = [c if isinstance(c, dict) else {'bytes': c, 'path': None} for c in contents]
  pd.DataFrame({'image': images, 'text': text, **columns}).to_parquet(path, row_group_size=7)


def decode(content):
  return np.asarray(pictures.decode(content, 'x.png', 'L'))


def test_squares_are_inverted_turned_and_projected_as_published():
  # As many rows as bins: nothing is interpolated. As many columns as frames: nothing is resized.
  parameters = images.load_parameters(make_config('', **{'dataset.num_frames': 201}).dataset)
  grey = draw(0.3, width=500, height=201)
  found = np.stack(list(images._project(grey, parameters)))
  assert found.shape == (2, 201, 8)
  basis = LogMel(sample_rate=2000, n_fft=400, hop_length=1, n_mels=8, mel_scale='htk').mel_basis
  for square, start in zip(found, (0, 201), strict=True):
    spectrum = np.flipud(255.0 - grey[:, start : start + 201])
    expected = 10 * np.log10(np.maximum(basis.T @ spectrum, 1e-10))
    # Half a unit of the last place of float16 below 1, times 150 dB.
    np.testing.assert_allclose(150 * square.T.astype(float) - 100, expected, rtol=0, atol=0.04)
  assert 0 <= found.min() < found.max() < 1
  # The line is where its frequency is.
  centre = (np.arange(201) / 200 * 1000) @ basis / basis.sum(axis=0)
  assert abs(centre[found.mean(axis=(0, 1)).argmax()] - 300) < 100


def test_any_height_gives_the_same_bands():
  parameters = images.load_parameters(make_config('').dataset)
  by_height = [
    next(images._project(draw(0.5, height, height), parameters)).astype(float).mean(axis=0)
    for height in (60, 120, 240)
  ]
  assert {profile.argmax() for profile in by_height} == {by_height[0].argmax()}
  flat = np.full((60, 60), 155, np.uint8)
  for height in (16, 201, 700):
    resized = np.full((height, height), 155, np.uint8)
    np.testing.assert_allclose(
      next(images._project(resized, parameters)), next(images._project(flat, parameters)), atol=1e-3
    )


def test_the_end_is_a_square_where_half_of_it_is_there_and_a_narrow_image_repeats():
  parameters = images.load_parameters(make_config('').dataset)
  counts = {
    width: len(list(images._project(draw(0.5, width), parameters)))
    for width in (16, 40, 59, 60, 80, 99, 100)
  }
  assert counts == {16: 1, 40: 1, 59: 1, 60: 2, 80: 2, 99: 2, 100: 3}
  narrow = draw(0.5, 20)
  (once,) = images._project(narrow, parameters)
  (twice,) = images._project(np.hstack([narrow, narrow]), parameters)
  np.testing.assert_array_equal(once, twice)


def test_a_folder_and_a_table_of_the_same_images_hold_the_same(tmp_path):
  folder = write_folder(tmp_path / 'raw', num_tracks=9)
  of_folder = images.load(make_config(folder))
  assert of_folder.label_names == ('high', 'low')
  contents = [path.read_bytes() for path in of_folder.keys]
  text = [path.parent.name for path in of_folder.keys]
  write_parquet(tmp_path / 'x.parquet', contents, text)
  of_table = images.load(make_config(tmp_path, **{'dataset.table': 'x.parquet'}))
  pd.DataFrame({'image': contents, 'text': text}).to_parquet(tmp_path / 'plain.parquet')
  of_plain = images.load(make_config(tmp_path, **{'dataset.table': 'plain.parquet'}))
  assert of_table.ids[:2].tolist() == ['row 00000001', 'row 00000002']
  decoders = [
    pickle.loads(pickle.dumps(source.decode)) for source in (of_folder, of_table, of_plain)
  ]
  order = np.random.default_rng(0).permutation(18)  # Backwards, too, and across groups of rows.
  for row in (*range(18), *order):
    expected = decoders[0](of_folder.keys[row])
    for decoder in decoders[1:]:
      np.testing.assert_array_equal(decoder(int(row)), expected)
  np.testing.assert_array_equal(of_table.labels, of_folder.labels)
  read = dict(images.read_inputs(of_folder.keys, of_folder.input_shape, of_folder.parameters))
  assert list(read) == of_folder.keys
  for key, squares in read.items():
    spans, inputs = zip(*squares, strict=True)
    assert spans[0][0] == 0
    np.testing.assert_array_equal(inputs, of_folder.decode(key))


def test_a_table_gives_labels_with_spaces_between_groups_and_splits(tmp_path):
  contents = [encode(draw(0.5))] * 4
  write_parquet(
    tmp_path / 'x.parquet', contents, ['rock  live', 'pop', 'live', ''],
    group=['a', 'a', 'b', None], split=['train', 'train', 'test', 'train'],
  )  # fmt: skip
  (tmp_path / 'map.json').write_text('{"rock": "rock", "pop": "pop", "*": null}')
  fields = {'dataset.table': 'x.parquet', 'dataset.label_map': 'map.json'}
  source = images.load(make_config(tmp_path, **fields))
  assert source.ids.tolist() == ['row 00000001', 'row 00000002', 'row 00000004']
  assert source.keys == [0, 1, 3]
  assert source.groups.tolist() == ['a', 'a', 'row 00000004']
  assert source.label_names == ('pop', 'rock')
  assert source.official_splits.tolist() == ['train'] * 3
  assert [name for name, _ in source.left_out] == ['row 00000003']
  assert [name for name, *_ in source.manifest] == ['x.parquet']


def test_the_published_network_learns_from_images_in_a_table(tmp_path):
  folder = write_folder(tmp_path / 'raw', num_tracks=9)
  paths = sorted(folder.rglob('*.*'))
  contents = [path.read_bytes() for path in paths]
  write_parquet(folder / 'x.parquet', contents, [path.parent.name for path in paths])
  config = make_config(
    folder, tmp_path / 'prepared', num_train_steps=2, batch_size=8, eval_batch_size=8,
    **{'model.channels': (4,), 'model.head_dim': 4, 'dataset.table': 'x.parquet'},
  )  # fmt: skip
  config.augment = {}  # Takes the longest to compile.
  final = train.train_and_evaluate(config, tmp_path / 'run')
  assert final['steps'] == 2
  assert np.isfinite(final['test']['loss'])


def chunk(kind, data):
  return len(data).to_bytes(4, 'big') + kind + data + zlib.crc32(kind + data).to_bytes(4, 'big')


def bomb(width, height):
  header = width.to_bytes(4, 'big') + height.to_bytes(4, 'big') + b'\x08\x00\x00\x00\x00'
  data = zlib.compress(bytes(10_000))
  return b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', header) + chunk(b'IDAT', data) + chunk(b'IEND', b'')


def animated():
  frames = [Image.fromarray(draw(pitch)) for pitch in (0.2, 0.8)]
  return encode(frames[0], 'WEBP', save_all=True, append_images=frames[1:], lossless=True)


GREY = draw(0.4)
RGB = Image.fromarray(GREY).convert('RGB')
TEXT_BOMB = chunk(b'zTXt', b'k\0\0' + zlib.compress(bytes(100_000_000)))
BAD = {
  'no bytes': (lambda: b'', 'found: no PNG, JPEG or WebP'),
  'text': (lambda: b'no image', 'found: no PNG, JPEG or WebP'),
  'other format': (lambda: encode(GREY, 'TIFF'), 'found: no PNG, JPEG or WebP'),
  'cut': (lambda: encode(GREY)[:-60], 'found: image file is truncated'),
  'cut JPEG': (lambda: encode(GREY, 'JPEG')[:-200], 'found: image file is truncated'),
  'cut WebP': (lambda: encode(GREY, 'WEBP')[:-200], 'a sound image, found: '),
  'flipped': (lambda: encode(GREY).replace(b'IDAT', b'IDAX'), 'a sound image, found: '),
  'bomb': (lambda: bomb(60_000, 60_000), 'at most 67108864 pixels'),
  'warned bomb': (lambda: bomb(12_000, 10_000), 'at most 67108864 pixels'),
  'small bomb': (lambda: bomb(8_200, 8_200), 'at most 67108864 pixels, found 8200 x 8200'),
  'text bomb': (lambda: encode(GREY)[:33] + TEXT_BOMB + encode(GREY)[33:], 'a sound image'),
  'thin': (lambda: encode(GREY[:15]), 'at least 16 x 16 .* found 100 x 15'),
  '16 bits': (lambda: encode(GREY.astype(np.uint16) * 257), 'of 8 bits, found I;16'),
  'animated': (animated, 'one picture, .* 2 of them'),
}


@pytest.mark.parametrize('case', BAD)
def test_an_image_that_is_not_sound_is_told_in_one_line(case):
  make, message = BAD[case]
  with pytest.raises(DataError, match=rf'^x.png: expected .*({message})') as error:
    decode(make())
  assert str(error.value).isprintable()


def test_colours_palettes_and_transparency_are_read_as_they_are_seen():
  grey = decode(encode(GREY))
  np.testing.assert_array_equal(grey, GREY)
  np.testing.assert_array_equal(decode(encode(RGB)), GREY)
  np.testing.assert_array_equal(decode(encode(RGB.quantize(256))), GREY)
  alpha = np.full_like(GREY, 255)
  alpha[:, :50] = 0  # White paper, whatever the colour below.
  for mode in ('LA', 'RGBA'):
    image = Image.fromarray(GREY).convert(mode)
    image.putalpha(Image.fromarray(alpha))
    found = decode(encode(image))
    assert (found[:, :50] == 255).all()
    np.testing.assert_array_equal(found[:, 50:], GREY[:, 50:])
  assert set(np.unique(decode(encode(Image.fromarray(GREY).convert('1'))))) == {0, 255}


def test_bad_images_are_left_out_with_their_lines(tmp_path):
  folder = write_folder(tmp_path / 'raw', num_tracks=12)
  (folder / 'high' / 'text.png').write_text('no image')
  (folder / 'low' / 'bomb.png').write_bytes(bomb(60_000, 60_000))
  with open(os.fsencode(folder) + b'/low/\xff.png', 'wb') as file:
    file.write(encode(GREY))
  config = make_config(folder, tmp_path / 'prepared', on_bad_example='skip', max_skipped=0.2)
  skipped = dict(array_records.prepare(config).skipped)
  assert list(skipped) == ['high/text.png', r'low/\xff.png', 'low/bomb.png']
  assert all(reason.startswith(f'{folder}/{name}: exp') for name, reason in skipped.items())

  contents = [encode(draw(0.5))] * 12 + [b'no image', {'bytes': None, 'path': 'gone.png'}]
  write_parquet(folder / 'x.parquet', contents, ['a', 'b'] * 7)
  source = images.load(make_config(folder, **{'dataset.table': 'x.parquet'}))
  assert len(source.decode(11)) == 3
  with pytest.raises(DataError, match=r'x.parquet: row 13: expected a sound image, found: no PNG'):
    source.decode(12)
  with pytest.raises(DataError, match=r'x.parquet: row 14: image: expected bytes, found None'):
    source.decode(13)


def test_what_cannot_be_is_told_in_one_line(tmp_path):
  with pytest.raises(DataError, match=r'expected files .jpeg, .jpg, .png, .webp in it'):
    images.load(make_config(tmp_path))
  pd.DataFrame({'image': [1, 2], 'text': ['a', 'b']}).to_parquet(tmp_path / 'x.parquet')
  source = images.load(make_config(tmp_path, **{'dataset.table': 'x.parquet'}))
  with pytest.raises(DataError, match=r'x.parquet: row 1: image: expected bytes, found 1'):
    source.decode(0)
  pd.DataFrame({'image': [b''], 'label': [3]}).to_parquet(tmp_path / 'x.parquet')
  with pytest.raises(DataError, match=r"x.parquet: expected columns \['text'\]"):
    images.load(make_config(tmp_path, **{'dataset.table': 'x.parquet'}))
  with pytest.raises(ConfigError, match='mel_scale'):
    images.load(make_config(tmp_path, **{'dataset.mel_scale': 'bark'}))
