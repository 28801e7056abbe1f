"""Errors a user can mend: the program prints their one line and exits with code 2."""


class ConfigError(ValueError):
  """A config field, flag or workdir that cannot be used as given."""


class DataError(ValueError):
  """A raw file or table that does not hold what it should; one line, whatever was found there."""

  def __init__(self, message: str):
    super().__init__(''.join(c if c.isprintable() else repr(c)[1:-1] for c in message))


def quoted(found: object, limit: int = 80) -> str:
  """Returns what was found as a message shows it: in quotes, on one line, cut where it is long."""
  text = repr(found)
  return text if len(text) <= limit else f'{text[:limit]}... ({len(text)} characters)'


_MENDABLE = (ConfigError, DataError, PermissionError, FileExistsError, NotADirectoryError)


def exit_line(error: BaseException) -> tuple[int, str] | None:
  """Returns the exit code and the one line that tells of an error; None for one of the program."""
  if isinstance(error, _MENDABLE):
    code, kind = 2, 'error'
  elif isinstance(error, FloatingPointError):
    code, kind = 1, 'stopped'
  else:
    return None
  text = ' '.join([str(error), *getattr(error, '__notes__', ())])
  return code, f'{kind}: {" ".join(text.splitlines())}'
