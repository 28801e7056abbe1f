"""Pieces of Markdown, readable as text too: tables, numbers, names that may hold anything."""

import re
from collections.abc import Sequence

import numpy as np

# What starts or ends markup anywhere; an underscore does so only at the edge of a word.
_MARKUP = re.compile(r'[\\`*\[\]|]|(?<![^\W_])_|_(?![^\W_])')
# What only some programs take for markup, and only some let a backslash stand before.
_ENTITIES = str.maketrans({c: f'&#{ord(c)};' for c in '$~<>&'})
_NOT_SHOWN = re.compile(r'[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]+')


def escape(text: object, limit: int = 120) -> str:
  """Text that neither ends a table's cell nor is taken for markup; long text loses its middle."""
  text = ' '.join(_NOT_SHOWN.sub(' ', str(text)).split())
  if len(text) > limit:
    text = f'{text[: limit // 2 - 1]}…{text[-limit // 2 :]}'
  return _MARKUP.sub(r'\\\g<0>', text).translate(_ENTITIES)


def table(header: Sequence[str], rows: Sequence[Sequence[str]], num_texts: int = 1) -> str:
  """A table whose first `num_texts` columns are text; the rest are numbers, set flush right."""
  rule = ['---'] * num_texts + ['---:'] * (len(header) - num_texts)
  return '\n'.join(f'| {" | ".join(row)} |' for row in (header, rule, *rows))


def folded(summary: str, text: str) -> str:
  """Text that opens on a click, where the reader's program knows how to."""
  return f'<details>\n<summary>{summary}</summary>\n\n{text}\n\n</details>'


def number(value: float | None, digits: int = 4) -> str:
  """A number, or a dash for none and NaN."""
  return '–' if value is None or np.isnan(value) else f'{value:.{digits}f}'
