"""The files that `--inputs` names: paths, folders, patterns and lists.

Imports neither NumPy nor JAX: what names nothing is refused before they are.
"""

import functools
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from musicjax.data import tables
from musicjax.errors import ConfigError, DataError

_LISTS = ('.m3u', '.m3u8')


def check(inputs: Sequence[str]) -> None:
  """Refuses what names nothing, before any of it is read.

  Raises:
    ConfigError: a path does not exist, or no file fits a pattern.
  """
  for text in inputs:
    if not _is_pattern(text):
      if not os.path.lexists(text):
        raise ConfigError(f'--inputs: {text} does not exist')
    elif next(_matches(text), None) is None:
      raise ConfigError(f'--inputs: expected files that fit {text}, found none')


def find(inputs: Sequence[str], extensions: Sequence[str]) -> list[tuple[Path, DataError | None]]:
  """Returns the files that inputs name, with what is wrong of those that cannot be files.

  They are in the order of `inputs`; those of a folder or a pattern are sorted, those of a list as
  it has them. A file that is named twice, also by another way to its folder, is where it was first.

  Args:
    inputs: any of
      a file;
      a folder: the files below it with one of the extensions, at any depth;
      a pattern with `*`, `?`, `[...]`, and `**` for folders of any depth: the files that fit and
        have one of the extensions, and folders that fit; a path that exists is no pattern;
      a list, .m3u8 or .m3u: a file or folder a line, below the list's folder where it is relative;
        empty lines, and those that begin with #, are passed over.
    extensions: lower case, with the dot.
  """
  found = {}
  folder_of = functools.cache(os.path.realpath)
  for text in inputs:
    for path, error in _named(text, extensions):
      key = os.path.join(folder_of(path.parent), path.name)
      found.setdefault(key, (path, error))
  return list(found.values())


def below(
  folder: Path, extensions: Sequence[str], refuse: Callable[[OSError], Any] | None = None
) -> list[Path]:
  """Returns the files below a folder with these extensions, sorted.

  Args:
    folder: to walk; links to folders in it are not followed.
    extensions: lower case, with the dot.
    refuse: is told of a folder that cannot be read; None raises a DataError.
  """
  walk = os.walk(folder, onerror=refuse or _refuse)
  found = [Path(parent, name) for parent, _, names in walk for name in names]
  return sorted(path for path in found if path.suffix.lower() in extensions)


def _refuse(error: OSError) -> NoReturn:
  raise _unreadable(error)


def _unreadable(error: OSError) -> DataError:
  return DataError(f'{error.filename}: cannot be read: {error.strerror}')


def _named(text: str, extensions: Sequence[str]) -> Iterator[tuple[Path, DataError | None]]:
  path = Path(text)
  if _is_pattern(text):
    paths = sorted(p for p in _matches(text) if p.is_dir() or p.suffix.lower() in extensions)
    yield from _walked(path, paths, extensions)
  elif path.suffix.lower() in _LISTS and not path.is_dir():
    yield from _listed(path, extensions)
  else:
    yield from _walked(path, [path], extensions)


def _walked(
  name: Path, paths: Sequence[Path], extensions: Sequence[str]
) -> Iterator[tuple[Path, DataError | None]]:
  """Yields files, and those below folders; at least one, with an error, for what was named."""
  empty = True
  for path in paths:
    unreadable = []
    files = below(path, extensions, unreadable.append) if path.is_dir() else [path]
    yield from ((file, None) for file in files)
    yield from ((Path(error.filename), _unreadable(error)) for error in unreadable)
    empty = empty and not files and not unreadable
  if empty:
    yield name, DataError(f'{name}: expected files {", ".join(extensions)}, found none')


def _listed(path: Path, extensions: Sequence[str]) -> Iterator[tuple[Path, DataError | None]]:
  try:
    with tables.opened(path) as file:
      lines = file.read().removeprefix(b'\xef\xbb\xbf').splitlines()
  except DataError as error:
    yield path, error
    return
  entries = [line.strip() for line in lines if line.strip() and not line.startswith(b'#')]
  if not entries:
    yield path, DataError(f'{path}: expected a file a line, found none')
  for entry in entries:
    if b'\0' in entry:
      yield path / repr(entry), DataError(f'{path}: expected a path, found {entry[:80]!r}')
    else:
      # As the system has names: also those that are no UTF-8.
      named = path.parent / os.fsdecode(entry)
      yield from _walked(named, [named], extensions)


def _is_pattern(text: str) -> bool:
  return not os.path.lexists(text) and bool(re.search(r'[*?[]', text))


def _matches(pattern: str) -> Iterator[Path]:
  path = Path(pattern)
  try:
    # Of pathlib: the one of `glob` follows links to folders, round in circles.
    yield from Path(path.anchor).glob(str(path.relative_to(path.anchor)))
  except ValueError as error:
    raise ConfigError(f'--inputs: {pattern}: {error}') from None
