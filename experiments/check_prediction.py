"""Checks a submission to Yandex Cup 2023 without any of the code that wrote it.

  python experiments/check_prediction.py prediction.csv test.csv --tags=256

Expects the tracks of `test.csv` (or `sample_submission.csv`) in its order, each with a probability
a tag. Ends with status 1 at the first fault, and names it.
"""

import argparse
import csv
import re
import sys

_PROBABILITY = re.compile(r'[0-9]*\.?[0-9]+(e[+-]?[0-9]+)?|[0-9]+\.', re.IGNORECASE)


def fault(prediction: str, expected: str, num_tags: int) -> str | None:
  """Returns what is wrong with the file, None if nothing is."""
  try:
    header, *rows = _read(prediction)
    names, *expected_rows = _read(expected)
    position = names.index('track')
    tracks = [row[position] for row in expected_rows]
  except (OSError, ValueError, IndexError, csv.Error) as error:
    return f'cannot be read: {error!r}'
  if not tracks or len(set(tracks)) < len(tracks):
    return f'expected different tracks in {expected}, found {len(tracks)} rows'
  if header != ['track', 'prediction']:
    return f'expected the header track,prediction, found {_short(",".join(header))}'
  if len(rows) != len(tracks):
    return f'expected {len(tracks)} rows as in {expected}, found {len(rows)}'
  for line, (row, track) in enumerate(zip(rows, tracks, strict=True), start=2):
    if len(row) != 2:
      return f'line {line}: expected 2 cells, found {len(row)}'
    if row[0] != track:
      return f'line {line}: expected track {_short(track)}, found {_short(row[0])}'
    values = row[1].split(',')
    if len(values) != num_tags:
      return f'line {line}: expected {num_tags} probabilities, found {len(values)}'
    for tag, value in enumerate(values):
      if not _PROBABILITY.fullmatch(value) or not 0 <= float(value) <= 1:
        return f'line {line}: tag {tag}: expected a probability, found {_short(value)}'
  return None


def _read(path: str) -> list[list[str]]:
  """Returns all rows, strictly: blank lines are rows too, and a byte order mark is no name."""
  with open(path, encoding='utf-8', newline='') as file:
    return list(csv.reader(file, strict=True))


def _short(text: str) -> str:
  return repr(text[:80])


if __name__ == '__main__':
  parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
  parser.add_argument('prediction')
  parser.add_argument('expected')
  parser.add_argument('--tags', dest='num_tags', type=int, default=256)
  found = fault(**vars(parser.parse_args()))
  print(found or 'a valid submission')
  sys.exit(bool(found))
