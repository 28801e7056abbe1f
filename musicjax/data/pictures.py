"""Pictures from files that nobody has looked at: PNG, JPEG and WebP, checked before any is decoded.

Worker processes import this module, so it imports neither JAX nor TensorFlow.
"""

import io
import warnings

from PIL import Image, ImageOps, UnidentifiedImageError

from musicjax.errors import DataError

EXTENSIONS = ('.jpeg', '.jpg', '.png', '.webp')
# Once for all threads; what follows looks at the size, too.
warnings.filterwarnings('error', category=Image.DecompressionBombWarning)

_FORMATS = ('JPEG', 'PNG', 'WEBP')
_MODES = ('1', 'L', 'LA', 'P', 'RGB', 'RGBA', 'CMYK')
_MIN_SIDE = 16  # Pixels.
_MAX_PIXELS = 1 << 26  # Of a spectrogram, 25 minutes at 1,024 rows and 43 columns a second.


def decode(content: bytes, name: str, mode: str, least: int = 0) -> Image.Image:
  """Returns a picture as it is seen: upright, transparent parts on white paper.

  Args:
    content: of the file.
    name: of the file, for messages.
    mode: `L` (grey) or `RGB`.
    least: pixels of a side that a JPEG file may be decoded down to; 0: its own size.

  Raises:
    DataError: it is not sound, has other than 8 bits a channel or several pictures, or its size is
      out of range.
  """
  try:
    image = Image.open(io.BytesIO(content), formats=_FORMATS)
    width, height = image.size
    # Before memory is asked for.
    if min(width, height) < _MIN_SIDE or width * height > _MAX_PIXELS:
      raise DataError(
        f'{name}: expected an image of at least {_MIN_SIDE} x {_MIN_SIDE} and at most '
        f'{_MAX_PIXELS} pixels, found {width} x {height}'
      )
    if image.mode not in _MODES or getattr(image, 'n_frames', 1) > 1:
      found = f'{image.mode}, {getattr(image, "n_frames", 1)} of them'
      raise DataError(f'{name}: expected one picture, grey, RGB or CMYK of 8 bits, found {found}')
    if least:
      image.draft(mode, (least, least))
    image = ImageOps.exif_transpose(image)
    if image.has_transparency_data:
      image = image.convert('RGBA')
      image = Image.alpha_composite(Image.new('RGBA', image.size, 'white'), image)
    return image.convert(mode)
  except DataError:
    raise
  except (Image.DecompressionBombError, Image.DecompressionBombWarning):
    raise DataError(f'{name}: expected an image of at most {_MAX_PIXELS} pixels') from None
  except Exception as error:  # Damaged files lead Pillow to many.
    told = 'no PNG, JPEG or WebP' if isinstance(error, UnidentifiedImageError) else error
    told = ' '.join(str(told).split()) or type(error).__name__
    raise DataError(f'{name}: expected a sound image, found: {told[:100]}') from None
