"""Ways to damage an audio file, each file's drawn from (seed, number)."""

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np

_NUMBERS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_FIELDS = (b'RIFF', b'fmt ', b'data', b'fact', b'PEAK', b'fLaC', b'OggS', b'Xing', b'Info', b'ID3')
_OTHERS = ('.wav', '.flac', '.ogg', '.mp3', '.WAV', '.aif', '.raw', '.txt', '.mid', '')


def is_harmless(path: Path, kind: str) -> bool:
  """Whether all is there for a reader that goes by the content; `.raw` has no header."""
  return kind == 'none' or (kind == 'other name' and path.suffix != '.raw')


def write(
  bases: Sequence[Path], seed: int, number: int, folder: Path, only_name: bool = False
) -> tuple[Path, Path, str]:
  """Writes file `number` of a soak; returns its path, the file it was made of, and the damage."""
  rng = np.random.default_rng([seed, number])
  kind = KINDS[number % len(KINDS)]
  fitting = [b for b in bases if 'float' in b.name or 'double' in b.name or kind != 'not finite']
  base, other = (fitting[i] for i in rng.integers(len(fitting), size=2))
  path = folder / f'{number}{base.suffix}'
  if kind == 'other name':
    path = folder / f'{number}{rng.choice(_OTHERS)}'
  if not only_name:
    path.write_bytes(_damage(kind, bytearray(base.read_bytes()), other.read_bytes(), rng))
  return path, base, kind


def _damage(kind: str, data: bytearray, other: bytes, rng: np.random.Generator) -> bytes:
  size = len(data)
  at = int(rng.integers(size))
  length = int(min(2 ** rng.uniform(0, 13), size - at))
  match kind:
    case 'cut':
      # At the beginning, anywhere, or the last bytes.
      return data[: int(rng.choice([rng.integers(min(size, 100)), at, size - rng.integers(1, 50)]))]
    case 'bit flips':
      for place in rng.integers(size, size=rng.integers(1, 33)):
        data[place] ^= 1 << rng.integers(8)
    case 'bit flips at the beginning':
      for place in rng.integers(min(size, 80), size=rng.integers(1, 4)):
        data[place] ^= 1 << rng.integers(8)
    case 'field':
      width = int(rng.choice([1, 2, 4, 8]))
      place = int(rng.integers(min(size - 8, 100) // width)) * width
      value = int(rng.choice(_NUMBERS)) % 256**width
      data[place : place + width] = value.to_bytes(width, str(rng.choice(['little', 'big'])))
    case 'size':  # Behind the name of a chunk, header or page.
      places = [p for name in _FIELDS if (p := data.find(name)) >= 0]
      place = int(rng.choice(places)) + int(rng.choice([4, 6, 8, 14, 18, 21]))
      value = int(rng.choice(_NUMBERS))
      data[place : place + 4] = value.to_bytes(4, str(rng.choice(['little', 'big'])))
    case 'zeros':
      for place in rng.integers(size, size=rng.integers(1, 4)):
        end = min(place + length, size)
        data[place:end] = bytes(int(end - place))
    case 'noise':
      data[at : at + length] = rng.bytes(length)
    case 'missing block':
      del data[at : at + length]
    case 'block twice':
      data[at:at] = data[at : at + length]
    case 'end of another file':
      data[at:] = other[int(rng.integers(len(other))) :]
    case 'appended':
      tag = b'TAG' + rng.bytes(125)
      data += [rng.bytes(length), bytes(length), tag, other, b'<html>'][rng.integers(5)]
    case 'prepended':
      tag = b'ID3\x04\0\0' + rng.bytes(4)
      data[:0] = [rng.bytes(length), bytes(length), tag, b'RIFF', b'OggS\0'][rng.integers(5)]
    case 'nothing left':
      return [b'', bytes(length), bytes(data[:4]), bytes(data[:44])][rng.integers(4)]
    case 'no audio':
      text = b'{"track": 1}\n' * length
      return [rng.bytes(size), text, b'\x89PNG\r\n\x1a\n' + rng.bytes(size)][rng.integers(3)]
    case 'not finite':
      width = 8 if b'fmt ' in data and data[data.find(b'fmt ') + 22] == 64 else 4
      value = float(rng.choice([np.nan, np.inf, -np.inf, 3e38, 1e30, -1e12]))
      first = data.find(b'data') + 8
      place = first + int(rng.integers((size - first) // width)) * width
      data[place : place + width] = struct.pack('<d' if width == 8 else '<f', value)
  return bytes(data)


KINDS = (
  'none', 'other name', 'cut', 'bit flips', 'bit flips at the beginning', 'field', 'size', 'zeros',
  'noise', 'missing block', 'block twice', 'end of another file', 'appended', 'prepended',
  'nothing left', 'no audio', 'not finite',
)  # fmt: skip
