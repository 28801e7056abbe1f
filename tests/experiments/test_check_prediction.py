"""The checker of submissions accepts a right one and names each fault of a wrong one."""

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments import check_prediction
from musicjax.data.builders import yandex
from tests.damage import apply, cases, damages

CHECKER = Path(__file__).parents[2] / 'experiments' / 'check_prediction.py'
RIGHT = 'track,prediction\n7,"0,0.5,1"\n03,"1e-07,0.25,0.75"\n'


def check(folder, text, tags=3):
  (folder / 'prediction.csv').write_text(text, encoding='utf-8')
  (folder / 'test.csv').write_text('track\n7\n03\n')
  return subprocess.run(
    [sys.executable, CHECKER, folder / 'prediction.csv', folder / 'test.csv', f'--tags={tags}'],
    capture_output=True,
    text=True,
    check=False,
  )


def test_accepts_a_right_submission(tmp_path):
  result = check(tmp_path, RIGHT)
  assert result.returncode == 0, result.stdout + result.stderr


def test_accepts_what_the_package_writes(tmp_path):
  scores = np.random.default_rng(0).random((2, 256)) ** 20
  _, text = yandex.format_submission(['7', '03'], scores, ['a', 'b'])
  assert check(tmp_path, text, tags=256).returncode == 0


@pytest.mark.parametrize(
  ('old', 'new', 'told'),
  [
    ('track,prediction', 'track,predictions', 'expected the header'),
    ('track,prediction', 'prediction,track', 'expected the header'),
    ('03,"1e-07,0.25,0.75"\n', '', 'expected 2 rows'),
    ('03,"1e-07,0.25,0.75"\n', '03,"1e-07,0.25,0.75"\n8,"0,0,0"\n', 'expected 2 rows'),
    ('03,', '3,', "line 3: expected track '03', found '3'"),
    ('7,"0,0.5,1"', '03,"0,0.5,1"', "line 2: expected track '7', found '03'"),
    ('0,0.5,1', '0,0.5', 'line 2: expected 3 probabilities, found 2'),
    ('0,0.5,1', '0,0.5,1,1', 'line 2: expected 3 probabilities, found 4'),
    ('0,0.5,1', '0,0.5,', 'line 2: tag 2: expected a probability'),
    ('0,0.5,1', '0,0.5,nan', 'line 2: tag 2: expected a probability'),
    ('0,0.5,1', '0,inf,1', 'line 2: tag 1: expected a probability'),
    ('0,0.5,1', '0,0.5,1.01', 'line 2: tag 2: expected a probability'),
    ('0,0.5,1', '-0.1,0.5,1', 'line 2: tag 0: expected a probability'),
    ('0,0.5,1', '0,high,1', "line 2: tag 1: expected a probability, found 'high'"),
    (RIGHT, '', 'cannot be read'),
    ('7,"0,0.5,1"', '7,"0,0.5,1",', 'line 2: expected 2 cells, found 3'),
    ('7,"0,0.5,1"\n', '7,"0,0.5,1"\n\n', 'expected 2 rows'),
    ('track,', '\ufefftrack,', 'expected the header'),
    ('0,0.5,1', '0,0_5,1', "line 2: tag 1: expected a probability, found '0_5'"),
    ('0,0.5,1', '0,0.5,1\n', 'line 2: tag 2: expected a probability'),
    ('0,0.5,1', '0,0.5,\uff11', 'line 2: tag 2: expected a probability'),
    ('0,0.5,1"', '0,0.5,1', 'cannot be read'),
    ('0,0.5,1', '0,0.5,' + 'x' * 9999, 'line 2: tag 2: expected a probability'),
  ],
  ids=lambda value: value.replace('\n', ' ')[:24],
)
def test_names_each_fault_in_one_line(tmp_path, old, new, told):
  result = check(tmp_path, RIGHT.replace(old, new, 1))
  assert result.returncode == 1
  assert told in result.stdout
  assert result.stdout.count('\n') == 1
  assert not result.stderr


def test_a_damaged_submission_is_right_only_if_every_row_is(tmp_path):
  prediction, expected = tmp_path / 'prediction.csv', tmp_path / 'test.csv'
  expected.write_text('track\n7\n03\n')
  counts = Counter()
  digit = st.sampled_from([b'0', b'1', b'5', b'.', b'-'])
  digits = st.lists(
    st.tuples(st.just('overwrite'), st.integers(17, 50), st.just(1), digit), max_size=1
  )

  @cases(400)
  @given(damages([b'1', b'.', b'_', b'e-3', b'"', b',', b'\r\n', b'\0'], 1) | digits)
  def check(places):
    prediction.write_bytes(apply(RIGHT.encode(), places))
    fault = check_prediction.fault(prediction, expected, num_tags=3)
    counts[fault is None] += 1
    if fault:
      assert fault.isprintable()
      assert len(fault) < 400
    assert (fault is None) == valid(prediction.read_bytes().decode('latin-1'))

  check()
  print(dict(counts))
  assert counts.total() >= 400
  assert min(counts[True], counts[False]) > 40


def valid(text):
  """Whether a text is a submission for the tracks 7 and 03 with three tags."""
  number = r'(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?'
  end = r'(?:\r\n|\r|\n)'
  cell = rf'"({number},{number},{number})"'
  header = rf'(?:track|"track"),(?:prediction|"prediction"){end}'
  match = re.fullmatch(rf'{header}(?:7|"7"),{cell}{end}(?:03|"03"),{cell}{end}?', text, re.ASCII)
  return bool(match) and all(
    0 <= float(value) <= 1 for row in match.groups() for value in row.split(',')
  )


def test_expected_tracks_that_are_none_are_no_reason_to_accept(tmp_path):
  (tmp_path / 'prediction.csv').write_text('track,prediction\n')
  for text in ('track\n', '', 'name\n7\n', 'track\n7\n7\n'):
    (tmp_path / 'test.csv').write_text(text)
    assert check_prediction.fault(tmp_path / 'prediction.csv', tmp_path / 'test.csv', 3)


def test_names_a_missing_file(tmp_path):
  result = check(tmp_path, RIGHT)
  (tmp_path / 'prediction.csv').unlink()
  result = subprocess.run(
    [sys.executable, *result.args[1:]], capture_output=True, text=True, check=False
  )
  assert result.returncode == 1
  assert 'cannot be read' in result.stdout
