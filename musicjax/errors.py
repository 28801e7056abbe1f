"""Errors a user can mend: the program prints their one line and exits with code 2."""


class ConfigError(ValueError):
  """A config field, flag or workdir that cannot be used as given."""


class DataError(ValueError):
  """A raw file or table that does not hold what it should."""
