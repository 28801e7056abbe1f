"""The eight audio features of a track, as the PRESSED/PLAY system has them."""

import math
from typing import Any

from musicjax.errors import quoted

# In the order of their vectors; what lies outside is a mistake.
RANGES = {
  'acousticness': (0, 1),
  'danceability': (0, 1),
  'energy': (0, 1),
  'instrumentalness': (0, 1),
  'liveness': (0, 1),
  'loudness': (-60, 10),  # dB: silence is -60 by convention; loud masters come out above 0.
  'speechiness': (0, 1),
  'valence': (0, 1),
}
FEATURES = tuple(RANGES)


def number(cell: Any) -> float:
  """Returns what a cell says, NaN where that is no number."""
  try:
    return float(cell)
  except (TypeError, ValueError):
    return math.nan


def fault(name: str, value: float, found: Any) -> str | None:
  """Returns what is wrong with a feature that was `found` so, None where nothing is."""
  low, high = RANGES[name]
  if low <= value <= high:  # NaN is not.
    return None
  return f'{name}: expected a number from {low} to {high}, found {quoted(found)}'
