"""What looks at damaged audio sees what is wrong."""

import numpy as np
import pytest
import soundfile

from experiments.soak import audio, damage
from musicjax.audio import io
from musicjax.errors import DataError

RATE = 16000


@pytest.fixture
def path(tmp_path):
  samples = np.random.default_rng(0).normal(0, 0.1, (4000, 2))
  soundfile.write(tmp_path / 'x.wav', samples, RATE)
  return tmp_path / 'x.wav'


def judge(path, kind='none'):
  return audio._judge(path, kind, audio._decode(path)[0])[0]


def fail(line):
  def load(*args):
    raise DataError(line)

  return load


WRONG = {
  'not finite': (lambda x: np.where(np.arange(len(x)) == 9, np.nan, x), 'garbage'),
  'too loud': (lambda x: 100 * x, 'garbage'),
  'cut': (lambda x: x[:-9], 'garbage'),
  'other': (lambda x: x[::-1], 'not as soundfile'),
}


@pytest.mark.parametrize('case', WRONG)
def test_wrong_samples_are_seen(path, monkeypatch, case):
  change, outcome = WRONG[case]
  load = io.load
  assert judge(path) == 'as before'
  monkeypatch.setattr(io, 'load', lambda *args: change(load(*args)).astype(np.float32))
  assert judge(path) == outcome


def test_another_length_than_the_header_says_is_seen(path, monkeypatch):
  monkeypatch.setattr(audio, '_promised_samples', lambda data: 3999)
  assert judge(path) == 'length'


def test_wrong_lines_are_seen(path, monkeypatch):
  monkeypatch.setattr(io, 'blocks', fail(f'{path}: expected what is there'))
  assert judge(path) == 'lost'
  assert judge(path, 'cut') == 'one line'
  monkeypatch.setattr(io, 'blocks', fail('it does not work'))
  assert judge(path, 'cut') == 'unclear line'


def test_what_was_cut_and_passed_is_seen(path):
  original = audio._decode(path)[0]
  soundfile.write(path, np.zeros((50, 2)), RATE)
  assert audio._judge(path, 'cut', original)[0] == 'garbage'
  assert audio._judge(path, 'zeros', original)[0] == 'as soundfile'  # WAV has no checksum.


def test_headers_promise_what_was_written(tmp_path):
  for name, subtype in (('x.wav', None), ('x.wav', 'FLOAT'), ('x.flac', None), ('x.ogg', None)):
    soundfile.write(tmp_path / name, np.zeros((4321, 2)), RATE, subtype=subtype)
    assert audio._promised_samples((tmp_path / name).read_bytes()) == 4321


def test_the_damage_is_drawn_from_seed_and_number(path, tmp_path):
  path = path.rename(tmp_path / 'clip_float.wav')

  def contents(seed):
    paths = [damage.write([path], seed, number, tmp_path)[0] for number in range(34)]
    return [path.read_bytes() for path in paths]

  assert contents(0) == contents(0) != contents(1)
  assert {damage.write([path], 0, n, tmp_path, only_name=True)[2] for n in range(17)} == set(
    damage.KINDS
  )
