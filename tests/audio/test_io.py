import librosa
import numpy as np
import pytest
import soundfile

from musicjax.audio import io
from musicjax.errors import DataError


def tone(sample_rate, seconds=1.0, frequency=440.0):
  return 0.5 * np.sin(2 * np.pi * frequency * np.arange(int(sample_rate * seconds)) / sample_rate)


def test_channels_are_averaged(tmp_path):
  left, right = tone(16000), tone(16000, frequency=700.0)
  path = tmp_path / 'stereo.wav'
  soundfile.write(path, np.stack([left, right], axis=1), 16000, subtype='FLOAT')
  audio = io.load(path, 16000)
  assert audio.dtype == np.float32
  np.testing.assert_allclose(audio, (left + right) / 2, atol=1e-6)  # float32 rounding


@pytest.mark.parametrize('file_rate', [8000, 22050, 44100])
def test_resampled_tone_is_the_tone(tmp_path, file_rate):
  path = tmp_path / 'tone.wav'
  soundfile.write(path, tone(file_rate), file_rate, subtype='FLOAT')
  audio = io.load(path, 16000)
  assert len(audio) == 16000
  # The first and last milliseconds ring from the cut; inside, HQ is good to about 100 dB.
  np.testing.assert_allclose(audio[800:-800], tone(16000)[800:-800], atol=1e-3)


@pytest.mark.parametrize('extension', ['wav', 'flac', 'ogg', 'mp3'])
def test_formats(tmp_path, extension):
  path = tmp_path / f'tone.{extension}'
  soundfile.write(path, tone(16000), 16000)
  audio = io.load(path, 16000)
  assert abs(len(audio) - 16000) < 2500  # lossy encoders pad to whole frames
  assert np.sqrt(np.mean(audio**2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.1)


def test_only_the_first_seconds_are_read(tmp_path):
  path = tmp_path / 'tone.wav'
  soundfile.write(path, tone(16000), 16000, subtype='FLOAT')
  np.testing.assert_array_equal(io.load(path, 16000, seconds=0.25), io.load(path, 16000)[:4000])


def test_errors_name_the_file_and_the_reason(tmp_path):
  (tmp_path / 'text.mp3').write_text('not audio')
  soundfile.write(tmp_path / 'empty.wav', np.zeros(0), 16000)
  soundfile.write(tmp_path / 'nan.wav', np.array([0, np.nan, 0]), 16000, subtype='FLOAT')
  for name, reason in [
    ('missing.wav', 'no such file'),
    ('text.mp3', 'decodable'),
    ('empty.wav', 'no samples'),
    ('nan.wav', 'NaN'),
  ]:
    with pytest.raises(DataError, match=f'{name}: .*{reason}'):
      io.load(tmp_path / name, 16000)


@pytest.mark.parametrize(
  ('name', 'rate', 'subtype'),
  [('x.ogg', 48000, 'OPUS'), ('x.ogg', 44100, None), ('x.mp3', 22050, None)],
)
def test_a_file_in_blocks_is_the_file_in_one(tmp_path, monkeypatch, name, rate, subtype):
  # Blocks end within frames, and one a few samples before the end.
  monkeypatch.setattr(io, '_BLOCK_SAMPLES', 5000)
  audio = np.random.default_rng(0).normal(0, 0.1, 75_227)
  soundfile.write(tmp_path / name, audio, rate, subtype=subtype)
  expected, _ = soundfile.read(tmp_path / name, dtype='float32')
  found = io.load(tmp_path / name, rate)
  # A unit of the last place; with seeking it is 0.1 and more.
  np.testing.assert_allclose(found, expected, rtol=0, atol=1e-7)


def test_coded_samples_far_beyond_full_scale_are_refused(tmp_path):
  loud = 20 * tone(16000)
  soundfile.write(tmp_path / 'loud.wav', loud, 16000, subtype='FLOAT')
  assert io.load(tmp_path / 'loud.wav', 16000).max() == pytest.approx(10, rel=0.01)
  soundfile.write(tmp_path / 'loud.ogg', loud, 16000)
  with pytest.raises(DataError, match=r'loud\.ogg: expected samples of up to 8, found'):
    io.load(tmp_path / 'loud.ogg', 16000)


@pytest.mark.parametrize('samples', [1, 300, 2048, 20000])
def test_silence_is_trimmed_as_by_librosa(samples):
  rng = np.random.default_rng(samples)
  for before, after, level in ((0, 0, 1.0), (5000, 9000, 1.0), (3000, 0, 1e-4), (700, 4321, 0.0)):
    sound = level * rng.normal(size=samples)
    audio = np.concatenate([np.zeros(before), sound, np.zeros(after)]).astype(np.float32)
    audio += 1e-6 * rng.normal(size=len(audio)).astype(np.float32)
    for top_db in (20.0, 60.0):
      expected, _ = librosa.effects.trim(audio, top_db=top_db)
      trimmed = io.trim_silence(audio, top_db)
      assert len(trimmed) >= 1
      np.testing.assert_array_equal(trimmed, expected)


def test_silence_alone_is_kept():
  np.testing.assert_array_equal(io.trim_silence(np.zeros(5000, np.float32), 60.0), np.zeros(5000))


def test_a_file_without_samples_is_told_from_a_damaged_one(tmp_path):
  soundfile.write(tmp_path / 'header.wav', np.zeros(0), 44100, subtype='PCM_16')
  (tmp_path / 'nothing.wav').write_bytes(b'')
  (tmp_path / 'damaged.wav').write_bytes(b'RIFF')
  for name, found in (('header', 'no samples'), ('nothing', 'an empty file')):
    with pytest.raises(io.EmptyError, match=found):
      io.load(tmp_path / f'{name}.wav', 44100)
  with pytest.raises(DataError) as raised:
    io.load(tmp_path / 'damaged.wav', 44100)
  assert not isinstance(raised.value, io.EmptyError)
