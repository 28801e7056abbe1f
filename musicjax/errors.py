"""Errors a user can mend: the program prints their one line and ends."""


class ConfigError(ValueError):
  """A config field, flag or workdir that cannot be used as given; exit code 2."""


class DataError(ValueError):
  """A raw file, table or checkpoint that does not hold what it should; exit code 2."""


class StorageError(RuntimeError):
  """A write that the disk refused; exit code 1: the same command goes on once there is room."""
