"""Names of genres, of which there are thousands, as the few seed genres that tracks share."""

import functools
import json
import re
import unicodedata
from collections.abc import Callable, Mapping
from pathlib import Path

from musicjax.data import tables
from musicjax.errors import DataError, quoted
from musicjax.playlist.genre_styles import SEED_GENRES, STYLES
from musicjax.playlist.genre_words import AFFIXES, REGIONS, VAGUE

_MAX_STYLES = 2  # Of a name; a region comes on top.
_MIN_PREFIX = 3  # Letters that the beginning of a word needs to say a style.
_MAX_LETTERS = 40  # Of a word whose parts are looked at.
# A seed genre -> the one that goes without saying beside it.
_BROADER = {
  'death-metal': 'metal', 'black-metal': 'metal', 'heavy-metal': 'metal', 'metalcore': 'metal',
  'indie-pop': 'pop', 'synth-pop': 'pop', 'power-pop': 'pop', 'k-pop': 'pop', 'j-pop': 'pop',
  'mandopop': 'pop', 'cantopop': 'pop', 'j-rock': 'rock', 'alt-rock': 'rock', 'punk-rock': 'punk',
}  # fmt: skip
_TABLES = {'style': STYLES, 'region': REGIONS, 'vague': VAGUE}
_MAX_WORDS = max(len(phrase.split()) for table in _TABLES.values() for phrase in table)


def normalise(name: str) -> str:
  """Returns a name in lower case, without accents, as words of letters and digits alone.

  `R&B` and `Rock 'n' Roll` become `r and b` and `rock n roll`. Any text is allowed.
  """
  text = unicodedata.normalize('NFKC', name).casefold()
  text = ''.join(c for c in unicodedata.normalize('NFKD', text) if not unicodedata.combining(c))
  text = re.sub(r"['’`]", '', text.replace('&', ' and '))
  return ' '.join(re.findall(r'[^\W_]+', text))


def map_genre(name: str) -> list[str]:
  """Returns the seed genres of a genre, those of its style before that of its region.

  A name is read from left to right, the longest known phrase first; a word that is none may still
  end or begin with a style (`jazztronica`). What is left, as names of cities, says nothing.

  Args:
    name: any text, as `Deep Indie Singer-Songwriter` or `trap chileno`.

  Returns:
    Up to three of `SEED_GENRES`; none where no word of the name is known.
  """
  words = normalise(name).split()
  if '-'.join(words) in SEED_GENRES:
    return ['-'.join(words)]
  found = {'style': [], 'vague': [], 'region': []}
  start = 0
  while start < len(words):
    count, kind, seeds = _longest(words[start : start + _MAX_WORDS])
    start += count
    if seeds:
      found[kind].append(seeds)
  styles = _styles(found['style'] or found['vague'])
  regions = [seed for seeds in found['region'] for seed in seeds][:1]
  if not found['style'] and {'latin', 'brazil'} & {*regions}:  # `musica mexicana`
    styles = [seed for seed in styles if seed != 'world-music']
  if {'indie', 'indie-pop'} & {*styles}:
    regions = [seed for seed in regions if seed != 'world-music']
  return list(dict.fromkeys(styles + regions))


def _styles(phrases: list[tuple[str, ...]]) -> list[str]:
  """Returns what the phrases of a name say first, then what they say besides, cut to a few."""
  first = [seeds[0] for seeds in phrases]
  seeds = dict.fromkeys(first + [seed for seeds in phrases for seed in seeds[1:]])
  broader = {_BROADER.get(seed) for seed in seeds}
  return [seed for seed in seeds if seed not in broader][:_MAX_STYLES]


def _longest(words: list[str]) -> tuple[int, str, tuple[str, ...]]:
  """Returns (number of words, kind, seed genres) of the longest phrase that words begin with."""
  for count in range(len(words), 0, -1):
    phrase = ' '.join(words[:count])
    for kind, table in _TABLES.items():
      if phrase in table:
        return count, kind, table[phrase]
  return 1, 'style', _affixes(words[0])


def _affixes(word: str) -> tuple[str, ...]:
  """Returns what a word begins with, its longest style, and ends with; none without an end."""
  if len(word) > _MAX_LETTERS:
    return ()
  ends = (AFFIXES.get(word[i:]) for i in range(1, len(word)))
  starts = (STYLES.get(word[:i]) for i in range(len(word), _MIN_PREFIX - 1, -1))
  end = next(filter(None, ends), ())
  start = next(filter(None, starts), ()) if end else ()
  return (*start[:1], *end[:1])


def read_genre_map(path: Path) -> dict[str, list[str]]:
  """Returns {genre: seed genres} of a JSON file, with the names that it has.

  Raises:
    DataError: the file is no object of lists of text.
  """
  with tables.opened(path) as file:
    content = file.read()
  try:
    found = json.loads(content)
  except (ValueError, RecursionError) as error:
    raise DataError(f'{path}: expected JSON, found: {error}') from None
  if not isinstance(found, dict):
    raise DataError(f'{path}: expected an object of genres, found {quoted(found)}')
  for name, seeds in found.items():
    if not isinstance(seeds, list) or not all(map(_is_name, seeds)):
      raise DataError(f'{path}: {quoted(name)}: expected a list of names, found {quoted(seeds)}')
  return found


def _is_name(found: object) -> bool:
  return isinstance(found, str) and found.isprintable()


def make_mapper(genre_map: Mapping[str, list[str]]) -> Callable[[str], list[str]]:
  """Returns `map_genre`, but for genres of a map, which has the word there."""
  known = {normalise(name): seeds for name, seeds in genre_map.items()}

  @functools.cache
  def mapped(name: str) -> list[str]:
    words = normalise(name)
    return known[words] if words in known else map_genre(words)

  return mapped
