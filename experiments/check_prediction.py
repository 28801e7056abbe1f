"""Checks a submission to Yandex Cup 2023 without any of the code that wrote it.

  python experiments/check_prediction.py prediction.csv test.csv --tags=256

Expects the tracks of `test.csv` (or `sample_submission.csv`) in its order, each with a probability
a tag. Ends with status 1 at the first fault, and names it.
"""

import argparse
import sys

import pandas as pd


def fault(prediction: str, expected: str, num_tags: int) -> str | None:
  """Returns what is wrong with the file, None if nothing is."""
  try:
    table = pd.read_csv(prediction, dtype=str, keep_default_na=False)
    tracks = pd.read_csv(expected, dtype=str, keep_default_na=False)['track']
  except (OSError, ValueError, KeyError) as error:
    return f'cannot be read: {error!r}'
  if list(table.columns) != ['track', 'prediction']:
    return f'expected the header track,prediction, found {",".join(table.columns)}'
  if len(table) != len(tracks):
    return f'expected {len(tracks)} rows as in {expected}, found {len(table)}'
  for line, (row, track) in enumerate(zip(table.itertuples(), tracks, strict=True), start=2):
    if row.track != track:
      return f'line {line}: expected track {track}, found {row.track}'
    values = row.prediction.split(',')
    if len(values) != num_tags:
      return f'line {line}: expected {num_tags} probabilities, found {len(values)}'
    for tag, value in enumerate(values):
      try:
        good = 0 <= float(value) <= 1
      except ValueError:
        good = False
      if not good:
        return f'line {line}: tag {tag}: expected a probability, found {value!r}'
  return None


if __name__ == '__main__':
  parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
  parser.add_argument('prediction')
  parser.add_argument('expected')
  parser.add_argument('--tags', dest='num_tags', type=int, default=256)
  found = fault(**vars(parser.parse_args()))
  print(found or 'a valid submission')
  sys.exit(bool(found))
