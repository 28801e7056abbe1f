"""Damaged audio files: each gives finite samples of the length it holds, or one line."""

import io
import os
import struct
import threading
import tracemalloc
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from musicjax.audio import io as audio_io
from musicjax.data.builders import quickstart
from musicjax.errors import DataError
from tests.damage import apply, cases, damages, outcome

RATE = 16000
FORMATS = {
  'wav': dict(format='WAV', subtype='PCM_16'),
  'float.wav': dict(format='WAV', subtype='FLOAT'),
  'flac': dict(format='FLAC'),
  'ogg': dict(format='OGG'),
  'mp3': dict(format='MP3'),
}
PIECES = [
  *(b'\0', b'\xff' * 4, b'\0\0\xc0\x7f', b'RIFF', b'data', b'fLaC', b'OggS', b'\xff\xfb', b'fact'),
  *(b'\x00\x00\x80\x7f', b'\x01\x00\x00\x00', b'text\n', b'\xff\xff\xff\x7f', b'ID3', b'\x80' * 9),
]


def encode(samples, name, rate=RATE):
  file = io.BytesIO()
  soundfile.write(file, samples, rate, **FORMATS[name])
  return file.getvalue()


def noise(samples=2000, channels=1):
  return 0.1 * np.random.default_rng(0).standard_normal((samples, channels))


def decoded_frames(path):
  """Returns how many frames libsndfile gives block by block, and their rate; None for none."""
  try:
    with soundfile.SoundFile(path) as file:
      frames = 0
      # Only counted: of damaged MP3 the values depend on what else lies in memory.
      while len(block := file.read(997, dtype='float32', always_2d=True)):
        frames += len(block)
      return frames, file.samplerate
  except (soundfile.SoundFileError, TypeError):
    return None


def test_damaged_audio_gives_finite_samples_of_its_length_or_one_line(tmp_path):
  valid = {name: encode(noise(channels=2 if name == 'flac' else 1), name) for name in FORMATS}
  counts = Counter()

  @cases(400)
  @given(st.sampled_from(list(FORMATS)), damages(PIECES))
  def check(name, places):
    path = tmp_path / f'x.{name}'
    path.write_bytes(apply(valid[name], places))
    result, expected = outcome(audio_io.load, path, RATE), decoded_frames(path)
    counts[name, type(result).__name__] += 1
    if isinstance(result, DataError):
      assert places, str(result)
      assert str(result).startswith(f'{path}: expected ')
      return
    assert (result.dtype, result.ndim) == (np.float32, 1)
    assert np.isfinite(result).all()
    assert expected is not None
    frames, rate = expected
    assert abs(len(result) - frames * RATE / rate) <= 1

  check()
  print(dict(counts))
  assert counts.total() >= 400
  for name in FORMATS:
    assert counts[name, 'ndarray'] >= (
      1 if name in ('flac', 'ogg') else 10
    )  # These have checksums.
    assert counts[name, 'DataError'] >= 10


@pytest.mark.parametrize('name', FORMATS)
def test_a_file_that_is_cut_off_is_refused(tmp_path, name):
  content = encode(noise(40_000), name)
  path = tmp_path / f'x.{name}'
  path.write_bytes(content[: len(content) * 6 // 10])
  result = outcome(audio_io.load, path, RATE)
  assert isinstance(result, DataError)


def test_a_cut_file_still_gives_seconds_that_are_whole(tmp_path):
  content = encode(noise(40_000), 'wav')
  (tmp_path / 'x.wav').write_bytes(content[: len(content) * 6 // 10])
  assert len(audio_io.load(tmp_path / 'x.wav', RATE, seconds=1)) == RATE
  assert 'cut off' in str(outcome(audio_io.load, tmp_path / 'x.wav', RATE, 2))


def test_a_stream_whose_writer_did_not_know_its_length_is_read(tmp_path):
  content = bytearray(encode(noise(), 'wav'))
  at = content.index(b'data') + 4
  content[4:8] = content[at : at + 4] = b'\xff' * 4
  (tmp_path / 'x.wav').write_bytes(content)
  assert len(audio_io.load(tmp_path / 'x.wav', RATE)) == 2000


@pytest.mark.parametrize('rate', [0, 1, 999, 768_001, 2**31 - 1, 2**32 - 1])
def test_absurd_sample_rates_are_refused(tmp_path, rate):
  content = bytearray(encode(noise(), 'wav'))
  content[24:28] = struct.pack('<I', rate)
  (tmp_path / 'x.wav').write_bytes(content)
  for seconds in (None, 6.0):
    error = outcome(audio_io.load, tmp_path / 'x.wav', RATE, seconds)
    assert isinstance(error, DataError)


def test_memory_that_a_header_claims_is_not_asked_for(tmp_path):
  content = bytearray(encode(noise(), 'flac'))
  at = content.index(b'fLaC') + 8 + 13  # The low 36 bits of these five bytes count samples.
  content[at : at + 5] = bytes([content[at] | 0x0F]) + b'\xff' * 4
  path = tmp_path / 'x.flac'
  path.write_bytes(content)
  with soundfile.SoundFile(path) as file:
    assert file.frames == 2**36 - 1
  tracemalloc.start()
  try:
    error = outcome(audio_io.load, path, RATE)
    _, peak = tracemalloc.get_traced_memory()
  finally:
    tracemalloc.stop()
  assert isinstance(error, DataError)
  assert peak < 20_000_000


def test_many_channels_are_mixed_down(tmp_path):
  for channels in (8, 255, 1024):
    soundfile.write(tmp_path / 'x.wav', noise(3000, channels), RATE, subtype='FLOAT')
    audio = audio_io.load(tmp_path / 'x.wav', RATE)
    expected = noise(3000, channels).mean(axis=1)
    np.testing.assert_allclose(audio, expected, atol=1e-6)  # float32 sums of 1,024 terms


@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf, 3e38, 1e17])
def test_samples_that_are_no_sound_are_refused(tmp_path, value):
  for where in (0, 1000, 1999):
    samples = noise(channels=2)
    samples[where, 1] = value
    soundfile.write(tmp_path / 'x.wav', samples, RATE, subtype='FLOAT')
    assert isinstance(outcome(audio_io.load, tmp_path / 'x.wav', RATE), DataError)


OTHER = {
  'empty.wav': lambda path: path.touch(),
  'text.wav': lambda path: path.write_text('no audio\n'),
  'no_frames.wav': lambda path: soundfile.write(path, np.zeros(0), RATE),
  'no_frames.flac': lambda path: soundfile.write(path, np.zeros(0), RATE),
  'x.raw': lambda path: path.write_bytes(b'\0' * 100),  # Only its name is that of a format.
  'loop.wav': lambda path: path.symlink_to(path),
  'dangling.wav': lambda path: path.symlink_to(path.with_name('nowhere')),
  'memory.wav': lambda path: path.symlink_to('/proc/self/mem'),
  'folder.wav': lambda path: path.mkdir(),
  'long.wav' + 'x' * 300: lambda path: None,
}


@pytest.mark.parametrize('name', OTHER)
def test_what_is_no_audio_is_refused_in_one_line(tmp_path, name):
  OTHER[name](tmp_path / name)
  error = outcome(audio_io.load, tmp_path / name, RATE)
  assert isinstance(error, DataError)
  parameters = quickstart_parameters()
  ((path, result),) = quickstart.read_inputs([tmp_path / name], (None, 64), parameters)
  assert path == tmp_path / name
  assert isinstance(result, DataError)


def test_a_named_pipe_is_not_waited_for(tmp_path):
  path = tmp_path / 'pipe.wav'
  os.mkfifo(path)
  # A reader that opens it finds an empty file instead of waiting for ever.
  thread = threading.Thread(target=lambda: path.open('wb').close(), daemon=True)
  thread.start()
  assert 'folder or device' in str(outcome(audio_io.load, path, RATE))
  reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
  thread.join()
  os.close(reader)


def quickstart_parameters():
  import ml_collections

  config = ml_collections.ConfigDict({'dataset': {'num_tracks': 6, 'seed': 0}})
  return quickstart.load(config).parameters


def test_inputs_of_all_kinds_give_finite_frames_of_their_length_or_one_line(tmp_path):
  loud = np.full(4000, 2.0**31)
  loud[::2] *= -1
  one = np.ones(1)
  good = {'a.flac': (noise(5000), RATE), 'b.wav': (noise(9000, 2), 44100), 'c.wav': (one, RATE)}
  for name, (samples, rate) in good.items():
    soundfile.write(tmp_path / name, samples, rate)
  soundfile.write(tmp_path / 'd.wav', loud, RATE, subtype='FLOAT')
  (tmp_path / 'e.mp3').write_bytes(encode(noise(), 'mp3')[:50])
  (tmp_path / 'f.ogg').write_bytes(np.random.default_rng(0).bytes(500))
  soundfile.write(tmp_path / 'g.wav', np.full(9, np.nan), RATE, subtype='FLOAT')
  paths = sorted(tmp_path.iterdir())
  results = quickstart.read_inputs(paths, (None, 64), quickstart_parameters())
  results = {path.name: result for path, result in results}
  assert list(results) == ['a.flac', 'b.wav', 'c.wav', 'd.wav', 'e.mp3', 'f.ogg', 'g.wav']
  lengths = {'a.flac': 5000, 'b.wav': -(-9000 * RATE // 44100), 'c.wav': 1, 'd.wav': 4000}
  for name, result in results.items():
    if name in lengths:
      assert result.shape == (quickstart.FRONT_END.num_frames(lengths[name]), 64)
      assert result.dtype == np.float32
      assert np.isfinite(result).all()
    else:
      assert isinstance(result, DataError)


def test_damaged_recordings_are_refused_or_what_they_were(real_data, tmp_path):
  files = sorted(Path(real_data, 'esc10').rglob('*.ogg'))[::40]
  assert files
  path = tmp_path / 'x.ogg'
  counts = Counter()
  for number, file in enumerate(files):
    content = file.read_bytes()
    original = audio_io.load(file, RATE)
    rng = np.random.default_rng(number)
    for flips in (0, 1, 1, 3):
      damaged = bytearray(content)
      for at in rng.integers(0, len(content), flips):
        damaged[at] ^= 1 << rng.integers(8)
      path.write_bytes(damaged)
      result = outcome(audio_io.load, path, RATE)
      counts[type(result).__name__] += 1
      if isinstance(result, np.ndarray):
        np.testing.assert_array_equal(result, original)
    path.write_bytes(content[: rng.integers(len(content))])
    assert isinstance(outcome(audio_io.load, path, RATE), DataError)
    counts['DataError'] += 1
  print(dict(counts))
  assert counts['ndarray'] >= len(files)
  assert counts['DataError'] >= len(files)
