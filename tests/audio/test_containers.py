import numpy as np
import pytest
import soundfile

from musicjax.audio import containers, io
from musicjax.errors import DataError


def noise(samples=3000, channels=2):
  return np.random.default_rng(0).uniform(-1, 1, (samples, channels))


@pytest.mark.parametrize('form', ['WAV', 'WAVEX'])
def test_all_kinds_of_wav_are_passed(tmp_path, form):
  kinds = soundfile.available_subtypes(form)
  assert len(kinds) > 4
  for kind in kinds:
    channels = 1 if kind in ('GSM610', 'NMS_ADPCM_16', 'NMS_ADPCM_24', 'NMS_ADPCM_32') else 2
    try:
      soundfile.write(tmp_path / 'x.wav', noise(4000, channels), 8000, kind, format=form)
    except soundfile.LibsndfileError:  # Of G721_32 and the like, which it only reads.
      continue
    containers.check(tmp_path / 'x.wav')


# Offset in the header that soundfile writes, what stands there, and what is found.
FIELDS = {
  'channels': (22, 2, 3),
  'bytes of a sample': (32, 4, 6),
  'bits': (34, 16, 24),
}


@pytest.mark.parametrize('field', FIELDS)
def test_a_wav_file_whose_format_contradicts_itself_is_refused(tmp_path, field):
  at, expected, found = FIELDS[field]
  path = tmp_path / 'x.wav'
  soundfile.write(path, noise(), 8000)
  content = bytearray(path.read_bytes())
  assert content[at] == expected
  content[at] = found
  path.write_bytes(content)
  with pytest.raises(DataError, match=r'x\.wav: expected \d bytes for'):
    io.load(path, 8000)


@pytest.mark.parametrize('subtype', ['PCM_S8', 'PCM_16', 'PCM_24'])
@pytest.mark.parametrize('channels', [1, 2, 3])
def test_flac_holds_the_samples_that_its_header_tells_of(tmp_path, subtype, channels):
  path = tmp_path / 'x.flac'
  soundfile.write(path, noise(70_000, channels), 16000, subtype=subtype)
  assert containers.flac_md5(path)
  assert len(io.load(path, 16000)) == 70_000  # In one block, or several.
  content = bytearray(path.read_bytes())
  content[25] -= 7  # The number of samples.
  path.write_bytes(content)
  assert len(io.load(path, 16000, seconds=1)) == 16000
  with pytest.raises(DataError, match='expected the samples that its FLAC header tells of'):
    io.load(path, 16000)
  content[26:42] = bytes(16)  # Not known: so writes who cannot go back.
  path.write_bytes(content)
  assert len(io.load(path, 16000)) == 69_993
