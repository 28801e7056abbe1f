"""Errors a user can mend: the program prints their one line and exits with code 2."""


class ConfigError(ValueError):
  """A config field, flag or workdir that cannot be used as given."""


class DataError(ValueError):
  """A raw file or table that does not hold what it should."""


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
