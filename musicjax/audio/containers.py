"""What audio files say of themselves and libsndfile does not look at."""

import os
import struct
import zlib
from typing import BinaryIO

from musicjax.errors import DataError

_REVERSED_BITS = bytes(int(f'{byte:08b}'[::-1], 2) for byte in range(256))
_WAV_CHUNKS = 64  # Before the format; a file has a few.
_SAMPLE_BYTES = {1: None, 3: None, 6: 1, 7: 1, 0xFFFE: None}  # By format; None: by the bits.


def check(path: str | os.PathLike) -> None:
  """Checks the pages of an Ogg file, and whether the format of a WAV file agrees with itself.

  libsndfile passes over damaged pages, and gives silence; of a WAV file it believes some fields.

  Raises:
    DataError: something is damaged.
  """
  with open(path, 'rb') as file:
    start = file.read(12)
    if start[:4] == b'OggS':
      _check_ogg(path, file)
    elif start[:4] == b'RIFF' and start[8:] == b'WAVE':
      _check_wav(path, file)


def flac_md5(path: str | os.PathLike) -> tuple[bytes, int] | None:
  """Returns MD5 and bytes of the samples that a FLAC file was made of; None where there is none."""
  with open(path, 'rb') as file:
    head = file.read(42)
  if len(head) < 42 or head[:4] != b'fLaC' or head[4] & 127 or head[26:] == bytes(16):
    return None
  bits = (int.from_bytes(head[20:22], 'big') >> 4 & 31) + 1
  return (head[26:], bits // 8) if bits in (8, 16, 24) else None


def _check_ogg(path: str | os.PathLike, file: BinaryIO) -> None:
  at = 0
  file.seek(0)
  while header := file.read(27):
    sizes = file.read(header[26]) if len(header) == 27 else b''
    body = file.read(sum(sizes))
    whole = len(header) == 27 and len(body) == sum(sizes)
    # Ogg's CRC-32 is that of zlib with the bits of all bytes the other way round, and no inversion.
    page = header[:22] + bytes(4) + header[26:] + sizes + body
    found = zlib.crc32(page.translate(_REVERSED_BITS), 0xFFFFFFFF) ^ 0xFFFFFFFF
    expected = int.from_bytes(header[22:26].translate(_REVERSED_BITS), 'big')
    if header[:4] != b'OggS' or not whole or found != expected:
      raise DataError(f'{path}: expected whole Ogg pages, found damage in the one at byte {at}')
    at += len(page)


def _check_wav(path: str | os.PathLike, file: BinaryIO) -> None:
  for _ in range(_WAV_CHUNKS):
    name, size = struct.unpack('<4sI', file.read(8).ljust(8, b'\0'))
    if name != b'fmt ':
      file.seek(size + size % 2, os.SEEK_CUR)
      continue
    fields = file.read(16)
    if len(fields) < 16:
      return
    code, channels, _, _, block, bits = struct.unpack('<HHIIHH', fields)
    expected = channels * (_SAMPLE_BYTES.get(code) or -(-bits // 8))
    if code in _SAMPLE_BYTES and block != expected:
      raise DataError(
        f'{path}: expected {expected} bytes for {channels} channels of {bits} bits, found {block} '
        'in the header'
      )
    return
