"""Damage to the bytes of valid files, for tests that let Hypothesis choose it."""

from hypothesis import settings
from hypothesis import strategies as st

from musicjax.errors import DataError


def cases(number: int) -> settings:
  """So many cases, the same ones each time."""
  return settings(max_examples=number, derandomize=True, deadline=None, database=None)


def damages(pieces: list[bytes], max_size: int = 2) -> st.SearchStrategy:
  """Up to `max_size` places to damage, and how; some insert one of the pieces."""
  kinds = st.sampled_from(['flip', 'cut', 'delete', 'repeat', 'insert', 'insert', 'overwrite'])
  positions = st.integers(0, 200) | st.integers(0, 1 << 20)
  return st.lists(
    st.tuples(kinds, positions, st.integers(1, 24), st.sampled_from(pieces)), max_size=max_size
  )


def apply(data: bytes, places: list[tuple[str, int, int, bytes]]) -> bytes:
  for kind, position, length, piece in places:
    at = position % (len(data) + 1)
    before, part, after = data[:at], data[at : at + length], data[at + length :]
    data = {
      'flip': before + bytes(byte ^ (1 << length % 8) for byte in part[:1]) + part[1:] + after,
      'cut': before,
      'delete': before + after,
      'repeat': before + part + part + after,
      'insert': before + piece + part + after,
      'overwrite': before + piece + data[at + len(piece) :],
    }[kind]
  return data


def outcome(read, *args):
  """Returns what `read` does, or its DataError, whose message must be one line for people."""
  try:
    return read(*args)
  except DataError as error:
    message = str(error)
    assert message.isprintable()
    assert len(message) < 600
    assert ': ' in message
    return error
