"""The checker of submissions accepts a right one and names each fault of a wrong one."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from musicjax.data.builders import yandex

CHECKER = Path(__file__).parents[2] / 'experiments' / 'check_prediction.py'
RIGHT = 'track,prediction\n7,"0,0.5,1"\n03,"1e-07,0.25,0.75"\n'


def check(folder, text, tags=3):
  (folder / 'prediction.csv').write_text(text)
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
  _, text = yandex.format_submission(['7', '03'], scores)
  assert check(tmp_path, text, tags=256).returncode == 0


@pytest.mark.parametrize(
  ('old', 'new', 'told'),
  [
    ('track,prediction', 'track,predictions', 'expected the header'),
    ('track,prediction', 'prediction,track', 'expected the header'),
    ('03,"1e-07,0.25,0.75"\n', '', 'expected 2 rows'),
    ('03,"1e-07,0.25,0.75"\n', '03,"1e-07,0.25,0.75"\n8,"0,0,0"\n', 'expected 2 rows'),
    ('03,', '3,', 'line 3: expected track 03, found 3'),
    ('7,"0,0.5,1"', '03,"0,0.5,1"', 'line 2: expected track 7, found 03'),
    ('0,0.5,1', '0,0.5', 'line 2: expected 3 probabilities, found 2'),
    ('0,0.5,1', '0,0.5,1,1', 'line 2: expected 3 probabilities, found 4'),
    ('0,0.5,1', '0,0.5,', 'line 2: tag 2: expected a probability'),
    ('0,0.5,1', '0,0.5,nan', 'line 2: tag 2: expected a probability'),
    ('0,0.5,1', '0,inf,1', 'line 2: tag 1: expected a probability'),
    ('0,0.5,1', '0,0.5,1.01', 'line 2: tag 2: expected a probability'),
    ('0,0.5,1', '-0.1,0.5,1', 'line 2: tag 0: expected a probability'),
    ('0,0.5,1', '0,high,1', "line 2: tag 1: expected a probability, found 'high'"),
    (RIGHT, '', 'cannot be read'),
  ],
  ids=lambda value: value.replace('\n', ' ')[:24],
)
def test_names_each_fault_in_one_line(tmp_path, old, new, told):
  result = check(tmp_path, RIGHT.replace(old, new, 1))
  assert result.returncode == 1
  assert told in result.stdout
  assert result.stdout.count('\n') == 1
  assert not result.stderr


def test_names_a_missing_file(tmp_path):
  result = check(tmp_path, RIGHT)
  (tmp_path / 'prediction.csv').unlink()
  result = subprocess.run(
    [sys.executable, *result.args[1:]], capture_output=True, text=True, check=False
  )
  assert result.returncode == 1
  assert 'cannot be read' in result.stdout
