"""Errors a user can mend: the program prints their one line and ends."""


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
