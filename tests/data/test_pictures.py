"""Pictures as they are seen; what is refused is tested with the images of spectrograms."""

import io
import warnings

import numpy as np
import pytest
from PIL import Image

from musicjax.data import pictures

# Four quarters that tell every turn and mirror image apart.
QUARTERS = np.zeros((64, 96, 3), np.uint8)
QUARTERS[:32, :48], QUARTERS[:32, 48:], QUARTERS[32:, :48] = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def encode(image, kind='PNG', **options):
  file = io.BytesIO()
  image.save(file, kind, **options)
  return file.getvalue()


@pytest.mark.parametrize('least', [0, 16])
@pytest.mark.parametrize(
  ('orientation', 'stored'),
  [
    (1, QUARTERS),
    (2, QUARTERS[:, ::-1]),
    (3, QUARTERS[::-1, ::-1]),
    (6, np.rot90(QUARTERS)),
    (8, np.rot90(QUARTERS, -1)),
  ],
)
def test_a_photograph_stands_upright(orientation, stored, least):
  exif = Image.Exif()
  exif[0x0112] = orientation
  content = encode(Image.fromarray(np.ascontiguousarray(stored)), 'JPEG', quality=95, exif=exif)
  found = np.asarray(pictures.decode(content, 'x.jpg', 'RGB', least=least))
  height, width = found.shape[:2]
  assert (height, width) == ((64, 96) if not least else (16, 24))
  expected = np.asarray(Image.fromarray(QUARTERS).resize((width, height), Image.Resampling.BOX))
  # JPEG blurs colours between the quarters.
  assert np.median(np.abs(found.astype(int) - expected)) <= 3


def test_a_broken_exif_block_is_no_crash():
  content = encode(Image.fromarray(QUARTERS), 'JPEG', exif=b'Exif\0\0II*\0\xff\xff\xff\xff')
  with warnings.catch_warnings():
    warnings.simplefilter('ignore')  # Pillow tells of it.
    assert pictures.decode(content, 'x.jpg', 'RGB').size == (96, 64)


@pytest.mark.parametrize('least', [0, 16])
def test_print_colours_are_those_of_the_screen(least):
  printed = Image.fromarray(QUARTERS).convert('CMYK')
  content = encode(printed, 'JPEG', quality=95, subsampling=0)
  found = np.asarray(pictures.decode(content, 'x.jpg', 'RGB', least=least)).astype(int)
  size = found.shape[1], found.shape[0]
  expected = np.asarray(Image.fromarray(QUARTERS).resize(size, Image.Resampling.BOX))
  assert np.median(np.abs(found - expected)) <= 3  # JPEG blurs colours between the quarters.
  grey = np.asarray(pictures.decode(content, 'x.jpg', 'L')).astype(int)
  assert np.median(np.abs(grey - Image.fromarray(QUARTERS).convert('L'))) <= 3


def test_grey_palettes_and_transparency_become_colours_on_white_paper():
  grey = Image.fromarray(QUARTERS).convert('L')
  np.testing.assert_array_equal(
    np.asarray(pictures.decode(encode(grey), 'x', 'RGB')),
    np.repeat(np.asarray(grey)[..., None], 3, axis=2),
  )
  palette = Image.fromarray(QUARTERS).quantize(4)
  np.testing.assert_array_equal(
    np.asarray(pictures.decode(encode(palette), 'x', 'RGB')), np.asarray(palette.convert('RGB'))
  )
  clear = Image.fromarray(QUARTERS)
  clear.putalpha(Image.new('L', clear.size, 0))
  assert (np.asarray(pictures.decode(encode(clear), 'x', 'RGB')) == 255).all()
