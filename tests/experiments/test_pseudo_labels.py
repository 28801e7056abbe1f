import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from configs import freesound, spectrogram_cnn
from experiments import pseudo_labels
from experiments.pseudo_labels import Row
from musicjax import train, workdir
from musicjax.data import array_records, plans
from tests.conftest import make_config, write_audio_folder

KNOWN = {
  row.path: row
  for row in (
    Row('a/1.wav', 'a|', 'album 1', 'train', 1.0),
    Row('a/2.wav', 'a|', 'album 2', 'validation', 1.0),
    Row('b/3.wav', 'b|', 'album 3', 'test', 1.0),
  )
}


def group_of(path):
  return f'album {path.split("-")[1]}' if '-' in path else path


def test_sure_is_a_probability_of_the_threshold_and_one_label_where_there_is_one():
  scores = np.array([[0.9, 0.95], [0.5, 0.89], [0.9, 0.0]])
  several = pseudo_labels.confident(scores, 'multi_label', 0.9)
  np.testing.assert_array_equal(several, [[1, 1], [0, 0], [1, 0]])
  one = pseudo_labels.confident(scores, 'single_label', 0.9)
  np.testing.assert_array_equal(one, [[0, 1], [0, 0], [1, 0]])


def test_what_is_new_is_added_with_its_weight_and_what_was_trained_on_is_relabelled():
  guesses = {'new/x-9-.wav': 'b|', 'new/y-9-.wav': '', 'a/1.wav': 'b|'}
  rows, count = pseudo_labels.second_round(KNOWN, guesses, group_of, 0.25)
  assert rows == [
    Row('a/1.wav', 'b|', 'album 1', 'train', 0.25),
    KNOWN['a/2.wav'],
    KNOWN['b/3.wav'],
    Row('new/x-9-.wav', 'b|', 'album 9', 'train', 0.25),
  ]
  assert count == {'new': 1, 'in place of labels': 1, 'left out: not sure enough': 1}


def test_nothing_that_validates_or_tests_nor_its_group_is_pseudo_labelled():
  guesses = {'a/2.wav': 'b|', 'b/3.wav': 'a|', 'new/x-2-.wav': 'a|', 'new/y-3-.wav': 'a|'}
  rows, count = pseudo_labels.second_round(KNOWN, guesses, group_of, 1.0)
  assert rows == list(KNOWN.values())
  assert count == {'left out: they validate or test, or their group does': 4}


@pytest.mark.parametrize(('system', 'offered'), [(spectrogram_cnn, 3), (freesound, 4)])
def test_one_command_trains_the_second_round_on_the_first_ones_splits(tmp_path, system, offered):
  """A file without samples is offered where it is tagged, as silence, and never trained on."""
  raw = write_audio_folder(tmp_path / 'raw', num_tracks=6)
  rows = [(path.relative_to(raw).as_posix(), path.parent.name) for path in raw.glob('*/*.*')]
  unlabelled = [name for name, _ in rows if name.endswith('/5.flac')]
  table = [('path', 'tags'), *(row for row in rows if row[0] not in unlabelled)]
  workdir.write_csv(tmp_path / 'first.csv', table)
  (raw / 'low' / 'empty.wav').write_bytes(b'')
  config = system.get_config('test')
  config.data_dir, config.prepared_dir = str(raw), str(tmp_path / 'prepared')
  config.dataset.table = str(tmp_path / 'first.csv')
  config.fold = 1
  teacher = tmp_path / 'teacher'
  train.train_and_evaluate(config, teacher)

  # Everything, so that also what must not enter is offered; and all of it is sure enough.
  second = tmp_path / 'second'
  flags = [f'--teacher={teacher}', f'--inputs={raw}', '--threshold=0.2', '--weight=0.5']
  command = [sys.executable, '-m', 'experiments.pseudo_labels', *flags, f'--workdir={second}']
  done = subprocess.run(command, capture_output=True, text=True)
  assert done.returncode == 0, done.stderr
  assert f'{15 + offered} inputs: ' in done.stdout
  assert f'{offered} new' in done.stdout

  def splits(of):
    index = array_records.prepare(of).index
    rows = plans.split_rows(index, of)
    return {split: set(index.tracks[r]) for split, r in rows.items()}

  first, again = splits(config), splits(workdir.read_config(second / 'run', None))
  assert again['test'] == first['test']
  assert again['validation'] == first['validation']
  assert again['train'] == first['train'] | set(unlabelled)
  made = pd.read_csv(second / 'pseudo_labels.csv', index_col='path')
  assert set(made.index[made['weight'] == 0.5]) <= again['train'] | {'low/empty.wav'}
  assert set(unlabelled) <= set(made.index[made['weight'] == 0.5])
  truth = made.loc[sorted(first['test'] | first['validation'])]
  assert [tags.rstrip('|') for tags in truth['tags']] == [p.split('/')[0] for p in truth.index]
  assert json.loads((second / 'run' / 'metrics.json').read_text())['steps'] == 2


def test_a_teacher_that_no_table_can_follow_is_told(tmp_path, yandex_folder, prepared_dir):
  config = make_config(yandex_folder, prepared_dir)
  workdir.write_json(tmp_path / 'config.json', config.to_dict())
  workdir.write_json(tmp_path / 'dataset.json', {'name': 'yandex'})
  flags = [f'--teacher={tmp_path}', '--inputs=x', f'--workdir={tmp_path / "second"}']
  command = [sys.executable, '-m', 'experiments.pseudo_labels', *flags]
  done = subprocess.run(command, capture_output=True, text=True)
  assert done.returncode == 2
  assert done.stderr == (
    'error: --teacher: expected a dataset of files that a table lists, found yandex\n'
  )


@pytest.mark.parametrize('pattern', ['', r'(?P<fold>\d)-'])
def test_without_a_group_in_the_pattern_a_file_is_its_own(pattern):
  assert pseudo_labels._group_of(pattern)('a/1-2-.wav') == 'a/1-2-.wav'
