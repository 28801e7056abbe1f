"""The label files of Freesound 2018, real and made, and its submission."""

import collections
import shutil

import numpy as np
import pandas as pd
import pytest

from configs import freesound as freesound_config
from musicjax import metrics
from musicjax.data import freesound
from musicjax.data.builders import waveforms
from musicjax.errors import DataError
from tests.conftest import write_freesound_folder


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  return write_freesound_folder(tmp_path_factory.mktemp('raw') / 'freesound')


def make_config(folder, **fields):
  config = freesound_config.get_config()
  config.data_dir = str(folder)
  config.update_from_flattened_dict(fields)
  return config


def test_the_real_label_files(real_data, tmp_path):
  labels = real_data / 'fsdkaggle2018_labels'
  tracks = freesound.read(labels, 0.5)
  assert collections.Counter(t.split for t in tracks) == {'train': 9473, 'test': 1600}
  assert len(set().union(*(t.tags for t in tracks))) == 41
  assert collections.Counter(t.weight for t in tracks) == {0.5: 5763, 1.0: 3710 + 1600}
  names = [name for name, _ in freesound.submission_inputs(labels)]
  assert len(names) == 9400
  assert {'0b0427e2.wav', '6ea0099f.wav', 'b39975f5.wav'} < set(names)
  shutil.copy(labels / 'train.csv', tmp_path)
  before = freesound.read(tmp_path, 0.5)
  assert [t._replace(split='train', key=0) for t in before] == [
    t._replace(key=0) for t in tracks[:9473]
  ]


def test_the_test_set_is_what_was_scored(folder):
  source = waveforms.load(make_config(folder))
  in_test = source.official_splits == 'test'
  scored = pd.read_csv(folder / 'test_post_competition.csv').query('usage != "Ignored"')
  assert source.ids[in_test].tolist() == [f'audio_test/{name}' for name in scored['fname']]
  assert source.label_names == ('Bass_drum', 'Flute', 'Tearing')
  assert [source.label_names[row.argmax()] for row in source.labels[in_test]] == list(
    scored['label']
  )
  assert len(source.ids) == 36


def test_without_labels_of_the_test_set_folds_of_training_are_all(tmp_path):
  source = waveforms.load(make_config(write_freesound_folder(tmp_path, after=False)))
  assert source.official_splits is None
  assert len(source.ids) == 30


def test_unverified_labels_have_their_weight(folder):
  source = waveforms.load(make_config(folder, **{'dataset.unverified_weight': 0.25}))
  verified = pd.read_csv(folder / 'train_post_competition.csv')['manually_verified']
  in_training = source.official_splits == 'train'
  np.testing.assert_array_equal(source.weights[in_training], np.where(verified, 1, 0.25))
  assert (source.weights[~in_training] == 1).all()
  assert waveforms.load(make_config(folder, **{'dataset.unverified_weight': 1.0})).weights is None


REFUSED = [
  ('train', 'manually_verified', '2', 'line 3: manually_verified: expected 0 or 1, found .2.'),
  ('train', 'fname', '../b.wav', 'line 3: fname: expected a file name'),
  (
    'train',
    'fname',
    '00000000.wav',
    'line 3: expected every file once, found',
  ),
  ('train', 'label', 'Hi hat', 'line 3: label: expected one without spaces, found .Hi hat.'),
  ('test', 'usage', 'Secret', 'line 3: usage: expected Public, Private or Ignored, found .Secret.'),
  ('test', 'label', 'Oboe', 'line 3: label: expected one of training, found .Oboe.'),
]


@pytest.mark.parametrize(('part', 'column', 'value', 'told'), REFUSED)
def test_a_row_that_is_none_is_told_with_its_line(folder, tmp_path, part, column, value, told):
  for name in ('train_post_competition.csv', 'test_post_competition.csv'):
    table = pd.read_csv(folder / name, dtype=str)
    if name.startswith(part):
      table.loc[1, column] = value
    table.to_csv(tmp_path / name, index=False)
  with pytest.raises(DataError, match=f'{part}_post_competition.csv: {told}'):
    freesound.read(tmp_path, 0.5)


def test_the_release_needs_both_of_its_files(folder, tmp_path):
  shutil.copy(folder / 'train_post_competition.csv', tmp_path)
  with pytest.raises(DataError, match=r'test_post_competition\.csv: not found'):
    freesound.read(tmp_path, 0.5)


def test_a_submission_has_the_rows_of_the_sample_in_its_order(folder, tmp_path):
  sample = list(pd.read_csv(folder / 'sample_submission.csv')['fname'])
  expected = [(name, folder / 'audio_test' / name) for name in sample]
  assert freesound.submission_inputs(folder) == expected
  assert sample != sorted(sample)
  shutil.copy(folder / 'test_post_competition.csv', tmp_path)
  assert [name for name, _ in freesound.submission_inputs(tmp_path)] == sorted(sample)


def test_a_folder_without_a_test_set_is_told_to_give_inputs(tmp_path):
  with pytest.raises(DataError, match='to predict without --inputs, found neither'):
    freesound.submission_inputs(tmp_path)


def test_what_is_submitted_scores_as_the_competition_scores_it(tmp_path):
  rng = np.random.default_rng(0)
  label_names = [f'Label_{n}' for n in range(7)]
  scores = rng.integers(0, 4, (200, 7)) / 4  # Most rows have equal scores.
  truth = rng.integers(0, 7, 200)
  names = [f'{n:08x}.wav' for n in range(200)]
  file, text = freesound.format_submission(names, scores, label_names)
  assert file == 'submission.csv'
  (tmp_path / file).write_text(text)
  table = pd.read_csv(tmp_path / file)
  assert list(table.columns) == ['fname', 'label']
  assert list(table['fname']) == names

  # The rules: the mean over files of the precision at the rank of the true label, of at most three.
  total = 0.0
  for row, label in zip(table['label'], truth, strict=True):
    submitted = row.split(' ')
    assert len(set(submitted)) == 3
    if label_names[label] in submitted:
      total += 1 / (1 + submitted.index(label_names[label]))
  expected = metrics.map_at_k(scores, np.eye(7, dtype=bool)[truth], 3)
  assert total / 200 == pytest.approx(expected, abs=1e-12)
