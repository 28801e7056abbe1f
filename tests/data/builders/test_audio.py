import csv
import os
import pickle
import shutil

import numpy as np
import pytest
import soundfile

from configs import spectrogram_cnn
from musicjax.audio import io
from musicjax.audio.features import LogMel
from musicjax.audio.slices import Slices
from musicjax.data import array_records, files, input_pipeline, plans
from musicjax.data.builders import audio
from musicjax.errors import ConfigError, DataError
from tests.conftest import write_audio_folder

ESC = r'(?P<fold>\d)-(?P<group>\d+)-'


def make_config(folder, prepared='', **fields):
  config = spectrogram_cnn.get_config('test')
  config.data_dir, config.prepared_dir = str(folder), str(prepared)
  config.update_from_flattened_dict(fields)
  return config


def write(folder, *names, seconds=0.2):
  for name in names:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(
      folder / name, np.random.default_rng(0).normal(0, 0.1, int(8000 * seconds)), 8000
    )
  return folder


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  return write_audio_folder(tmp_path_factory.mktemp('raw') / 'audio')


@pytest.fixture(scope='module')
def prepared(folder, tmp_path_factory):
  return array_records.prepare(make_config(folder, tmp_path_factory.mktemp('prepared')))


def test_labels_are_the_sub_folders(tmp_path):
  write(tmp_path, 'b/deep/2.wav', 'b/1.flac', 'a/3.ogg')
  (tmp_path / 'a' / 'notes.txt').write_text('no audio')
  source = audio.load(make_config(tmp_path))
  assert source.ids.tolist() == ['a/3.ogg', 'b/1.flac', 'b/deep/2.wav']
  assert source.label_names == ('a', 'b')
  np.testing.assert_array_equal(source.labels, [[1, 0], [0, 1], [0, 1]])
  assert [name for name, size, _ in source.manifest if size > 0] == source.ids.tolist()


def test_slices_are_the_log_mel_frames_of_what_is_cut(folder, prepared):
  rule = Slices(8000, 0.5, 0.25)
  front_end = LogMel(sample_rate=8000, n_fft=512, hop_length=256, n_mels=16)
  index = prepared.index
  for track in ('high/0.wav', 'noise/5.flac'):
    rows = np.flatnonzero(index.tracks == track)
    cut = np.stack([audio for _, audio in rule.stream([io.load(folder / track, 8000)])])
    assert index.ids[rows].tolist() == [f'{track}#{n:04d}' for n in range(len(cut))]
    expected = (np.asarray(front_end(cut)) + 100) / 150
    plan = plans.StepPlan(rows, np.zeros(len(rows), int), index.lengths[rows], 16)
    found = input_pipeline.plain_batch(prepared, plan)
    # Half a unit of the last place of float16 below 1.
    np.testing.assert_allclose(found['inputs'], expected, rtol=0, atol=2.0**-12 + 1e-6)
    np.testing.assert_array_equal(
      found['labels'],
      np.tile(track.split('/')[0] == np.array(prepared.label_names), (len(rows), 1)),
    )


def test_slices_of_a_track_stay_on_one_side_of_every_split(folder, prepared):
  index, config = prepared.index, make_config(folder)
  assert len(index.ids) > 2 * len(set(index.tracks))
  for track in set(index.tracks):
    assert len(set(index.folds[index.tracks == track])) == 1
  rows = plans.split_rows(index, config)
  tracks = [set(index.tracks[r]) for r in rows.values()]
  assert sum(map(len, tracks)) == len(set.union(*tracks)) == 24
  for split, in_split in zip(rows.values(), tracks, strict=True):
    first = index.first_of_tracks(split)
    assert sorted(index.tracks[first]) == sorted(in_split)


def test_batch_at_equals_the_tf_data_path(folder, prepared):
  config = make_config(folder, prepared.directory.parents[2])
  rows = plans.split_rows(prepared.index, config)['train']
  plan = plans.train_plan(prepared.index, rows, config)
  for step, batch in enumerate(input_pipeline.tf_batches(prepared, plan, range(6))):
    expected = input_pipeline.batch_at(config, step)
    assert batch['inputs'].shape == (1, 8, 16, 16)
    for key, value in expected.items():
      assert batch[key].dtype == value.dtype
      np.testing.assert_array_equal(batch[key], value, err_msg=key)


def test_a_track_is_read_alike_alone_among_others_and_for_prediction(folder):
  source = audio.load(make_config(folder))
  decode, features = pickle.loads(pickle.dumps((source.decode, source.features)))
  tracks = [decode(key) for key in source.keys]
  together = features(tracks)
  paths = files.below(folder, audio.EXTENSIONS)
  read = dict(audio.read_inputs(paths, source.input_shape, source.parameters))
  assert list(read) == source.keys
  for key, track, inputs in zip(source.keys, tracks, together, strict=True):
    assert inputs.shape[1:] == source.input_shape
    assert inputs.dtype == source.input_dtype
    np.testing.assert_array_equal(features([track])[0], inputs)
    spans, slices = zip(*read[key], strict=True)
    np.testing.assert_array_equal(slices, inputs)
    assert spans[0] == (0, min(0.5, len(track) / 8000))
    assert [start for start, _ in spans] == [0.25 * n for n in range(len(inputs))]
    assert spans[-1][1] <= len(track) / 8000


def test_a_short_track_is_one_slice_and_repeats(tmp_path):
  write(tmp_path, 'a/short.wav', seconds=0.25)
  source = audio.load(make_config(tmp_path, **{'dataset.hop_length': 250}))
  (inputs,) = source.features([source.decode(source.keys[0])])
  assert inputs.shape == (1, 17, 16)
  # 2,000 samples are 8 hops; the frames at both ends hear the silence beyond.
  np.testing.assert_allclose(inputs[0, 2:6], inputs[0, 10:14], atol=1e-3)


def test_official_folds_and_groups_are_found_in_names(tmp_path):
  names = [
    f'00{c} - x/{fold}-{100 * c + fold}-{take}.wav'
    for c in (1, 2)
    for fold in (1, 3, 10)
    for take in 'AB'
  ]
  write(tmp_path, *names)
  source = audio.load(
    make_config(tmp_path, num_folds=3, **{'dataset.pattern': r'(?P<fold>\d+)-(?P<group>\d+)-'})
  )
  found = dict(zip(source.ids, zip(source.groups, source.official_folds, strict=True), strict=True))
  assert found['001 - x/1-101-A.wav'] == found['001 - x/1-101-B.wav'] == ('101', 0)
  assert found['002 - x/3-203-B.wav'] == ('203', 1)
  assert found['002 - x/10-210-B.wav'] == ('210', 2)


def test_a_table_gives_several_tags_groups_and_folds(tmp_path):
  write(tmp_path, 'x/1.wav', 'x/2.wav', '3.wav')
  (tmp_path / 'tags.csv').write_text(
    'path,more,tags,group,fold\nx/2.wav,,"a, b",A,9\nx/1.wav,,b|c d,A,9\n3.wav,,,,10\n'
    'gone.wav,,a,,\n4.wav,,a,,11\n'
  )
  fields = {'dataset.table': 'tags.csv', 'task': 'multi_label', 'num_folds': 3}
  source = audio.load(make_config(tmp_path, **fields))
  assert source.ids.tolist() == ['3.wav', '4.wav', 'gone.wav', 'x/1.wav', 'x/2.wav']
  assert source.label_names == ('a', 'b', 'c d')
  np.testing.assert_array_equal(
    source.labels, [[0, 0, 0], [1, 0, 0], [1, 0, 0], [0, 1, 1], [1, 1, 0]]
  )
  assert source.groups.tolist() == ['3.wav', '4.wav', 'gone.wav', 'A', 'A']
  assert source.official_folds.tolist() == [1, 2, -1, 0, 0]
  assert len(source.decode(source.keys[3])) == 1600
  with pytest.raises(DataError, match=r'gone\.wav: .*no such file'):
    source.decode(source.keys[2])


def test_a_table_gives_weights_which_its_slices_bring_into_batches(tmp_path):
  write(tmp_path, *(f'{name}.wav' for name in 'abcdef'), seconds=1)
  weights = {'a': 0.5, 'b': 0.0, 'c': 1.0, 'd': 2.5, 'e': 1.0, 'f': 0.25}
  cells = {name: '' if weight == 1 else weight for name, weight in weights.items()}
  rows = [f'{name}.wav,{i % 2},{cells[name]}\n' for i, name in enumerate(cells)]
  (tmp_path / 'tags.csv').write_text('path,tags,weight\n' + ''.join(rows))
  fields = {'dataset.table': 'tags.csv', 'prepared_dir': str(tmp_path / 'p'), 'num_folds': 3}
  config = make_config(tmp_path, **fields)
  source = audio.load(config)
  assert source.weights.tolist() == list(weights.values())
  prepared = array_records.prepare(config)
  plan, steps = plans.eval_plan(prepared.index, np.arange(len(prepared.index.ids)), config)
  seen = set()
  for step, batch in enumerate(input_pipeline.tf_batches(prepared, plan, range(steps))):
    expected = input_pipeline.plain_batch(prepared, plan(step))['weights']
    assert batch['weights'].dtype == expected.dtype == np.float32
    np.testing.assert_array_equal(batch['weights'], expected)
    for row, weight in zip(batch['index'], batch['weights'], strict=True):
      if row >= 0:
        assert weight == weights[prepared.index.tracks[row].removesuffix('.wav')]
        seen.add(prepared.index.ids[row])
  assert len(seen) == len(prepared.index.ids) > len(weights)  # Slices.


def test_weights_that_are_all_one_are_none(tmp_path):
  (tmp_path / 'tags.csv').write_text('path,tags,weight\na.wav,x,1.0\nb.wav,y,\n')
  assert audio.load(make_config(tmp_path, **{'dataset.table': 'tags.csv'})).weights is None


@pytest.mark.parametrize(
  ('text', 'message'),
  [
    ('path\na.wav\n', r"tags.csv: expected columns \['path', 'tags'\]"),
    ('path,tags\n../a.wav,x\n', 'line 2: path: expected a file below the folder'),
    ('path,tags\n/etc/a.wav,x\n', 'line 2: path: expected a file below the folder'),
    ('path,tags\na.wav,x\na.wav,y\n', 'line 3: expected every path once'),
    ('path,tags\na.wav,\n', 'expected at least one tag'),
    ('path,tags,weight\na.wav,x,-1\n', r'line 2: weight: expected .* 0\.\.1e6, found .-1'),
    ('path,tags,weight\na.wav,x,nan\n', 'line 2: weight: expected'),
    ('path,tags,weight\na.wav,x,much\n', 'line 2: weight: expected .* found .much'),
    ('path,tags,weight\na.wav,x,0\n', 'weight: expected at least one above 0'),
    ('path,tags\na.wav,x|y\n', 'a.wav: expected one tag with config.task=single_label, found 2'),
  ],
)
def test_what_is_no_table_of_files_is_refused(tmp_path, text, message):
  (tmp_path / 'tags.csv').write_text(text)
  with pytest.raises(DataError, match=message):
    audio.load(make_config(tmp_path, **{'dataset.table': 'tags.csv'}))


@pytest.mark.parametrize(
  ('fields', 'error', 'message'),
  [
    ({'dataset.pattern': '('}, ConfigError, r'config.dataset.pattern: .*regular expression'),
    ({'dataset.pattern': r'(\d)'}, ConfigError, 'named groups.*found none'),
    ({'dataset.pattern': r'(?P<year>\d)'}, ConfigError, 'named groups.*found year'),
    ({'dataset.pattern': r'(?P<fold>\d)-'}, DataError, r'a/x.wav: expected a path'),
    (
      {'dataset.pattern': '(?P<fold>[ab])/'},
      ConfigError,
      r'config.num_folds: expected the 2 .*found 5',
    ),
    ({'dataset.hop_seconds': 1.0}, ConfigError, r'Slices.hop_seconds'),
    ({'data_dir': 'gone'}, DataError, 'gone: expected a folder'),
  ],
)
def test_what_cannot_be_is_told_in_one_line(tmp_path, fields, error, message):
  write(tmp_path, 'a/x.wav', 'b/y.wav')
  with pytest.raises(error, match=message):
    audio.load(make_config(tmp_path, **fields))


def test_files_beside_the_sub_folders_have_no_label(tmp_path):
  with pytest.raises(DataError, match=r'expected files .*\.wav in it, found none'):
    audio.load(make_config(tmp_path))
  write(tmp_path, 'a/x.wav', 'y.wav')
  with pytest.raises(DataError, match=r'y\.wav: expected files in a sub-folder a label'):
    audio.load(make_config(tmp_path))


def test_what_is_not_sound_of_any_kind_is_left_out_with_its_line(tmp_path):
  folder = write_audio_folder(tmp_path / 'raw')
  (folder / 'high' / 'broken.mp3').write_bytes(os.urandom(5000))
  (folder / 'high' / 'text.mp3').write_text('no audio')
  (folder / 'high' / 'empty.ogg').touch()
  write(folder / 'low', 'short.wav', seconds=0.05)
  write(folder / 'low', 'right.wav').joinpath('right.wav').rename(folder / 'low' / 'wrong.mp3')
  shutil.copy(folder / 'noise' / '0.wav', os.fsencode(folder) + b'/noise/\xe9t\xe9.wav')
  config = make_config(folder, tmp_path / 'prepared', on_bad_example='skip', max_skipped=0.2)
  prepared = array_records.prepare(config)
  with (prepared.directory / 'skipped.csv').open(newline='', encoding='utf-8') as file:
    header, *rows = csv.reader(file)
  assert header == ['id', 'reason']
  expected = {
    'high/broken.mp3': 'expected a decodable audio file, found: ',
    'high/empty.ogg': 'expected audio, found an empty file',
    'high/text.mp3': 'expected a decodable audio file, found: ',
    'low/short.wav': 'expected at least a frame of 512 samples at 8000 Hz, found 400',
    r'noise/\xe9t\xe9.wav': 'expected a file name in UTF-8',
  }
  assert [name for name, _ in rows] == list(expected)
  for name, reason in rows:
    assert reason.startswith(f'{folder}/{name}: {expected[name]}')
    assert reason.isprintable()
  # What a file holds counts, not what it is called.
  assert len(set(prepared.index.tracks)) == 25
  assert 'low/wrong.mp3' in prepared.index.tracks

  config.on_bad_example = 'fail'
  for name in expected:
    (folder / name).unlink(missing_ok=True)
  with pytest.raises(DataError, match=r'/noise/\\xe9t\\xe9.wav: expected a file name in UTF-8'):
    array_records.prepare(config)


def test_a_track_shorter_than_a_frame_is_not_predicted_either(tmp_path):
  source = audio.load(make_config(write(tmp_path, 'a/short.wav', seconds=0.05)))
  with pytest.raises(DataError, match=r'short\.wav: expected at least a frame of 512 samples'):
    source.decode(source.keys[0])
  ((_, slices),) = audio.read_inputs(source.keys, source.input_shape, source.parameters)
  with pytest.raises(DataError, match=r'short\.wav: expected at least a frame of 512 samples'):
    next(slices)


def test_a_group_lies_in_one_fold_with_all_its_slices(tmp_path):
  names = [f'{"ab"[g % 2]}/{g}-{take}.wav' for g in range(8) for take in 'AB']
  write(tmp_path / 'raw', *names, seconds=0.7)
  config = make_config(
    tmp_path / 'raw', tmp_path / 'prepared', num_folds=3,
    **{'dataset.pattern': r'(?P<group>\d)-'},
  )  # fmt: skip
  index = array_records.prepare(config).index
  assert len(index.ids) > len(names)
  assert len(set(zip([track[2] for track in index.tracks], index.folds, strict=True))) == 8


def test_a_long_track_is_predicted_slice_by_slice(tmp_path, monkeypatch):
  write(tmp_path, 'a/long.wav', seconds=300)
  source = audio.load(make_config(tmp_path))
  decoded = []
  blocks = io.blocks

  def counted(*args, **kwargs):
    for block in blocks(*args, **kwargs):
      decoded.append(len(block))
      yield block

  monkeypatch.setattr(io, 'blocks', counted)
  ((_, slices),) = audio.read_inputs(
    [tmp_path / 'a/long.wav'], source.input_shape, source.parameters
  )
  next(slices)
  assert sum(decoded) < 20 * 8000
  assert 1 + sum(1 for _ in slices) == 4 * 300 - 1
  assert sum(decoded) == 300 * 8000


def test_inputs_to_predict_may_be_broken(tmp_path):
  (tmp_path / 'text.wav').write_text('no audio')
  source = audio.load(make_config(write(tmp_path / 'raw', 'a/x.wav')))
  ((_, slices),) = audio.read_inputs([tmp_path / 'text.wav'], (), source.parameters)
  with pytest.raises(DataError, match=r'text\.wav: expected a decodable'):
    next(slices)


def test_real_files_are_read_and_the_folds_of_esc_found(real_data):
  esc = real_data / 'esc10'
  emotify = real_data / 'emotify'
  missing = [str(path) for path in (esc, emotify) if not path.is_dir()]
  if missing:
    pytest.skip(f'real data: no {missing[0]}')
  source = audio.load(make_config(esc, **{'dataset.pattern': ESC}))
  assert len(source.ids) == 400
  assert np.bincount(source.official_folds).tolist() == [80] * 5
  assert [int(name.split('/')[1][0]) - 1 for name in source.ids] == source.official_folds.tolist()
  for key in source.keys[:3]:
    assert len(source.features([source.decode(key)])[0]) >= 2

  source = audio.load(make_config(emotify))
  assert source.label_names == ('classical', 'electronic', 'pop', 'rock')
  assert source.labels.sum(axis=0).tolist() == [80] * 4
  (inputs,) = source.features([source.decode(source.keys[200])])
  assert 55 <= len(inputs) <= 61  # Slices every quarter of 15 seconds.
  assert 0 <= inputs.min() < 0.5 < inputs.max() < 1
