import numpy as np
import pytest
import soundfile

from configs import freesound
from musicjax.audio import io
from musicjax.data import array_records, input_pipeline, plans
from musicjax.data.builders import waveforms
from musicjax.errors import ConfigError, DataError
from tests.conftest import write_audio_folder, write_freesound_folder

ESC = r'(?P<fold>\d)-(?P<group>\d+)-'


def make_config(folder, prepared='', **fields):
  config = freesound.get_config('test')
  config.data_dir, config.prepared_dir = str(folder), str(prepared)
  config.update_from_flattened_dict(fields)
  return config


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  return write_freesound_folder(tmp_path_factory.mktemp('raw') / 'freesound')


@pytest.fixture(scope='module')
def prepared(folder, tmp_path_factory):
  config = make_config(folder, tmp_path_factory.mktemp('prepared'), **{'dataset.trim_db': 0.0})
  return array_records.prepare(config)


def stored(prepared, row):
  length = prepared.index.lengths[row]
  plan = plans.StepPlan(np.array([row]), np.array([0]), np.array([length]), length)
  return input_pipeline.plain_batch(prepared, plan)['inputs'][0]


def test_a_record_is_the_samples_of_the_file(folder, prepared):
  index = prepared.index
  for row in range(0, len(index.ids), 5):
    samples, rate = soundfile.read(folder / index.ids[row], dtype='int16')
    assert rate == 8000
    np.testing.assert_array_equal(stored(prepared, row), samples)
  assert index.lengths.min() < 0.5 * 8000 < 2 * 8000 < index.lengths.max()


def test_batch_at_equals_the_tf_data_path(folder, prepared):
  config = make_config(folder, prepared.directory.parents[2], **{'dataset.trim_db': 0.0})
  rows = plans.split_rows(prepared.index, config)['train']
  plan = plans.train_plan(prepared.index, rows, config)
  for step, batch in enumerate(input_pipeline.tf_batches(prepared, plan, range(4))):
    expected = input_pipeline.batch_at(config, step)
    assert batch['inputs'].shape == (1, 8, 2000)  # Crops, as no clip is shorter.
    assert set(np.unique(batch['weights'])) == {0.5, 1.0}
    for key, value in expected.items():
      assert batch[key].dtype == value.dtype
      np.testing.assert_array_equal(batch[key], value, err_msg=key)


def test_decoding_resamples_trims_and_ends(tmp_path):
  rng = np.random.default_rng(0)
  audio = np.concatenate([np.zeros(8000), rng.normal(0, 0.1, 16000), np.zeros(4000)])
  soundfile.write(tmp_path / 'a.wav', audio, 16000, subtype='PCM_16')
  parameters = {'sample_rate': 8000, 'channels': 'average', 'max_seconds': 30.0, 'trim_db': 0.0}
  whole = waveforms.decode(tmp_path / 'a.wav', parameters)
  expected = np.round(2**15 * io.load(tmp_path / 'a.wav', 8000))
  assert whole.dtype == np.int16
  np.testing.assert_array_equal(whole, expected)
  trimmed = waveforms.decode(tmp_path / 'a.wav', parameters | {'trim_db': 60.0})
  assert 8000 < len(trimmed) < 8000 + 4 * 1024  # A second, and frames that reach into it.
  cut = waveforms.decode(tmp_path / 'a.wav', parameters | {'max_seconds': 0.6})
  assert len(cut) == 4800
  soundfile.write(tmp_path / 'loud.wav', [3.0, -3.0, 0.5], 8000, subtype='FLOAT')
  loud = waveforms.decode(tmp_path / 'loud.wav', parameters)
  assert loud.tolist() == [2**15 - 1, -(2**15), 2**14]


def test_inputs_without_samples_are_silence_and_damaged_ones_errors(folder, tmp_path):
  (tmp_path / 'bad.wav').write_text('no audio')
  paths = [folder / 'audio_test' / f'{n:08x}.wav' for n in (37, 38, 30)] + [tmp_path / 'bad.wav']
  parameters = waveforms.load(make_config(folder)).parameters
  found = list(waveforms.read_inputs(paths, (None,), parameters))
  assert [path for path, _ in found] == paths
  empty, nothing, sound, bad = (inputs for _, inputs in found)
  assert empty.tolist() == nothing.tolist() == [0]
  np.testing.assert_array_equal(sound, waveforms.decode(paths[2], parameters))
  assert isinstance(bad, DataError)


def test_a_labelled_file_without_samples_is_a_bad_example(tmp_path):
  folder = write_audio_folder(tmp_path / 'raw')
  (folder / 'low' / '0.wav').write_bytes(b'')
  config = make_config(folder, tmp_path / 'prepared')
  with pytest.raises(DataError, match=r'low/0\.wav: expected audio, found an empty file'):
    array_records.prepare(config)
  config.on_bad_example = 'skip'
  assert [name for name, _ in array_records.prepare(config).skipped] == ['low/0.wav']


def test_sub_folders_and_tables_are_read_as_everywhere(tmp_path):
  folder = write_audio_folder(tmp_path / 'raw')
  source = waveforms.load(make_config(folder))
  assert source.label_names == ('high', 'low', 'noise')
  assert len(source.ids) == 24
  assert source.weights is None
  # A table that is named wins over Freesound's label files.
  (folder / 'train.csv').write_text('path,tags,weight\nhigh/0.wav,a,0.5\nlow/0.wav,b,1\n')
  source = waveforms.load(make_config(folder, **{'dataset.table': 'train.csv'}))
  assert source.ids.tolist() == ['high/0.wav', 'low/0.wav']
  assert source.weights.tolist() == [0.5, 1.0]


def test_official_folds_of_real_clips(real_data):
  source = waveforms.load(make_config(real_data / 'esc10', **{'dataset.pattern': ESC}))
  assert np.bincount(source.official_folds).tolist() == [80] * 5
  for group in set(source.groups):
    assert len(set(source.official_folds[source.groups == group])) == 1


def test_clips_without_a_sample_are_no_clips(folder):
  with pytest.raises(ConfigError, match=r'max_seconds: expected at least a sample, found 1e-09'):
    waveforms.load(make_config(folder, **{'dataset.max_seconds': 1e-9}))
