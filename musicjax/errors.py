"""Errors a user can mend: the program prints their one line and ends."""

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path


class ConfigError(ValueError):
  """A config field, flag or workdir that cannot be used as given; exit code 2."""


class DataError(ValueError):
  """A raw file, table or checkpoint that does not hold what it should; exit code 2.

  The message is one line, whatever was found there.
  """

  def __init__(self, message: str):
    super().__init__(''.join(c if c.isprintable() else repr(c)[1:-1] for c in message))


class StorageError(RuntimeError):
  """A write that the disk refused; exit code 1: the same command goes on once there is room."""


def quoted(found: object, limit: int = 80) -> str:
  """Returns what was found as a message shows it: in quotes, on one line, cut where it is long."""
  text = repr(found)
  return text if len(text) <= limit else f'{text[:limit]}... ({len(text)} characters)'


_MENDABLE = (ConfigError, DataError, PermissionError, FileExistsError, NotADirectoryError)
_STOPPED = (FloatingPointError, StorageError)
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextlib.contextmanager
def told_of_full_disk(path: Path, *others: type[Exception]) -> Iterator[None]:
  """Raises StorageError for what a disk refuses, and for `others`, of what writes to `path`."""
  try:
    yield
  except (OSError, *others) as error:
    if isinstance(error, OSError) and error.errno not in (*_FULL, errno.EIO):
      raise
    told = error.strerror if isinstance(error, OSError) else error
    raise StorageError(f'{path} cannot be written: {told}') from error


def exit_line(error: BaseException) -> tuple[int, str] | None:
  """Returns the exit code and the one line that tells of an error; None for one of the program."""
  number = error.errno if isinstance(error, OSError) else None
  if isinstance(error, _MENDABLE) or number == errno.EROFS:
    code, kind = 2, 'error'
  elif isinstance(error, _STOPPED) or number in _FULL:
    code, kind = 1, 'stopped'
  elif isinstance(error, KeyboardInterrupt):
    return 130, 'interrupted: the same command goes on from the last checkpoint'
  else:
    return None
  text = ' '.join([str(error), *getattr(error, '__notes__', ())])
  return code, f'{kind}: {" ".join(text.splitlines())}'
