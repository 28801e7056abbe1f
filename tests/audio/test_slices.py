import subprocess
import sys

import numpy as np
import pytest
import soundfile
import soxr

from musicjax.audio import io
from musicjax.audio.slices import Slices, cover
from musicjax.errors import ConfigError, DataError

# 8 samples a slice, 4 a hop.
RULE = {'sample_rate': 2, 'seconds': 4.0, 'hop_seconds': 2.0}


@pytest.mark.parametrize(
  ('track_samples', 'expected'),
  [
    (3, [0]),
    (8, [0]),
    (9, [0, 4]),
    (16, [0, 4, 8]),  # Nothing is behind the last.
    (17, [0, 4, 8, 12]),
  ],
)
def test_starts(track_samples, expected):
  np.testing.assert_array_equal(Slices(**RULE).starts(track_samples), expected)


def test_less_than_half_a_slice_is_not_kept():
  rule = Slices(sample_rate=1, seconds=8, hop_seconds=8)
  np.testing.assert_array_equal(rule.starts(11), [0])
  np.testing.assert_array_equal(rule.starts(12), [0, 8])


def test_slices_repeat_what_they_have():
  ((_, found),) = Slices(**RULE).stream([np.arange(1, 4, dtype=np.float32)])
  np.testing.assert_array_equal(found, [1, 2, 3, 1, 2, 3, 1, 2])


def test_spans_are_where_the_audio_is():
  for track_samples, expected in (9, [(0, 4), (2, 4.5)]), (3, [(0, 1.5)]):
    spans = [span for span, _ in Slices(**RULE).stream([np.zeros(track_samples)])]
    assert spans == expected


def plain_slices(rule, audio):
  """Returns spans in seconds and slices, written once more and plainly."""
  spans, slices = [], []
  for start in rule.starts(len(audio)):
    cut = audio[start : start + rule.samples]
    spans.append((start / rule.sample_rate, (start + len(cut)) / rule.sample_rate))
    slices.append(np.resize(cut, rule.samples))
  return spans, np.stack(slices)


@pytest.mark.parametrize('hop_seconds', [1.5, 2.0, 3.0, 4.0])
@pytest.mark.parametrize('block', [1, 5, 8, 100])
def test_a_stream_has_the_slices_of_the_array(hop_seconds, block):
  rule = Slices(**RULE | {'hop_seconds': hop_seconds})
  for track_samples in range(1, 40):
    audio = np.random.default_rng(track_samples).normal(size=track_samples).astype(np.float32)
    blocks = [audio[i : i + block] for i in range(0, track_samples, block)]
    spans, slices = zip(*rule.stream(blocks), strict=True)
    expected_spans, expected = plain_slices(rule, audio)
    np.testing.assert_array_equal(slices, expected)
    np.testing.assert_array_equal(spans, expected_spans)


def write_track(path, sample_rate, seconds, channels=2):
  """Noise that is another in every channel and second."""
  noise = np.random.default_rng(0).integers(-9999, 9999, (sample_rate, channels), dtype=np.int16)
  with soundfile.SoundFile(path, 'w', sample_rate, channels) as file:
    for second in range(seconds):
      file.write(np.roll(noise, 7 * second))


@pytest.mark.parametrize(
  ('name', 'sample_rate', 'tolerance'),
  [
    ('track.wav', 16000, 0),
    ('track.flac', 16000, 0),
    ('track.ogg', 16000, 1e-6),
    ('track.wav', 22050, 1e-6),
    ('track.wav', 8000, 1e-6),
  ],
)
def test_file_in_blocks_has_the_slices_of_the_whole_file(tmp_path, name, sample_rate, tolerance):
  write_track(tmp_path / name, 16000, 60)
  rule = Slices(sample_rate)
  slices = [cut for _, cut in rule.stream(io.blocks(tmp_path / name, sample_rate))]
  audio, rate = soundfile.read(tmp_path / name, dtype='float32')
  audio = soxr.resample(audio.mean(axis=1), rate, sample_rate, quality='HQ')
  _, expected = plain_slices(rule, audio)
  assert expected.shape == (29, 4 * sample_rate)
  np.testing.assert_allclose(slices, expected, rtol=0, atol=tolerance)


def test_an_hour_takes_the_memory_of_a_minute(tmp_path):
  write_track(tmp_path / 'minute.wav', 8000, 60, channels=1)
  write_track(tmp_path / 'hour.wav', 8000, 3600, channels=1)
  # A process of its own, as the peak that the system counts never falls.
  code = (
    'import re, sys\n'
    'from musicjax.audio import io\n'
    'from musicjax.audio.slices import Slices\n'
    'for path in sys.argv[1:]:\n'
    '  slices = sum(1 for _ in Slices(16000).stream(io.blocks(path, 16000)))\n'
    "  print(slices, re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1])\n"
  )
  paths = [tmp_path / 'minute.wav', tmp_path / 'hour.wav']
  told = subprocess.run(
    [sys.executable, '-c', code, *paths], capture_output=True, text=True, check=True
  ).stdout
  minute, hour = [[int(number) for number in line.split()] for line in told.splitlines()]
  assert (minute[0], hour[0]) == (60 // 2 - 1, 3600 // 2 - 1)
  # KiB. The hour is 230 MB at once.
  assert hour[1] - minute[1] < 5000


def test_stereo_is_averaged_or_left(tmp_path):
  write_track(tmp_path / 'track.wav', 8000, 1)
  stereo, _ = soundfile.read(tmp_path / 'track.wav', dtype='float32')
  np.testing.assert_array_equal(io.to_mono(stereo), (stereo[:, 0] + stereo[:, 1]) / 2)
  np.testing.assert_array_equal(io.to_mono(stereo, 'left'), stereo[:, 0])
  (block,) = io.blocks(tmp_path / 'track.wav', 8000, channels='left')
  np.testing.assert_array_equal(block, stereo[:, 0])
  with pytest.raises(ConfigError, match='average or left'):
    io.to_mono(stereo, 'right')


def test_errors_name_the_file_and_the_reason(tmp_path):
  (tmp_path / 'text.mp3').write_text('not audio')
  soundfile.write(tmp_path / 'nan.wav', np.array([0, np.nan, 0]), 16000, subtype='FLOAT')
  for name, reason in [('missing.wav', 'no such'), ('text.mp3', 'decodable'), ('nan.wav', 'NaN')]:
    with pytest.raises(DataError, match=f'{name}: .*{reason}'):
      list(io.blocks(tmp_path / name, 16000))


def test_empty_tracks_have_no_slices():
  with pytest.raises(DataError, match='found none'):
    list(Slices(**RULE).stream([]))


@pytest.mark.parametrize(
  ('field', 'value'),
  [
    ('sample_rate', 0),
    ('seconds', 0.0),
    ('hop_seconds', 5.0),
    ('hop_seconds', 0.0),
  ],
)
def test_wrong_settings_are_named(field, value):
  with pytest.raises(ConfigError, match=f'Slices.{field}'):
    Slices(**RULE | {field: value})


@pytest.mark.parametrize('size', [1, 2, 7, 1000])
def test_spans_cover_a_length_evenly_and_overlap_by_half(size):
  for length in (1, size, size + 1, 2 * size, 3 * size + 1, 5000):
    starts = cover(length, size)
    if length <= size:
      assert starts.tolist() == [0]
      continue
    assert (starts[0], starts[-1] + size) == (0, length)
    steps = np.diff(starts)
    assert steps.min() >= 1
    assert steps.max() <= max(1, size // 2)
    assert np.ptp(steps) <= 1
  assert cover(5000, 0).tolist() == [0]
