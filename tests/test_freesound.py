"""Freesound from the folder of the competition to what is handed in."""

import json

import jax
import numpy as np
import pandas as pd
import pytest

from configs import freesound
from musicjax import checkpoints, evaluate, predict, sharding, system, train
from musicjax import workdir as workdir_lib
from musicjax.audio import front_ends, slices
from musicjax.data import array_records, device_batches, input_pipeline, plans
from tests.conftest import write_freesound_folder


@pytest.fixture(scope='module')
def config(tmp_path_factory):
  home = tmp_path_factory.mktemp('home')
  config = freesound.get_config('test')
  config.data_dir = str(write_freesound_folder(home / 'raw'))
  config.prepared_dir = str(home / 'prepared')
  return config


@pytest.fixture(scope='module')
def workdir(config, tmp_path_factory):
  workdir = tmp_path_factory.mktemp('run')
  train.train_and_evaluate(config, workdir)
  return workdir


def test_a_submission_has_three_labels_for_every_test_file(config, workdir):
  path = predict.predict(workdir, config, 'latest', [])
  assert path == workdir / 'predictions' / 'submission.csv'
  table = pd.read_csv(path)
  sample = pd.read_csv(f'{config.data_dir}/sample_submission.csv')
  assert list(table['fname']) == list(sample['fname'])
  for row in table['label']:
    assert sorted(row.split(' ')) == ['Bass_drum', 'Flute', 'Tearing']


def test_prediction_of_whole_clips_is_their_evaluation(config, workdir):
  expected = pd.read_csv(workdir / 'predictions' / 'out_of_fold.csv')
  assert len(expected) == 6
  paths = [f'{config.data_dir}/{name}' for name in expected['id']]
  found = pd.read_csv(predict.predict(workdir, config, 'latest', paths))
  # In batches of other lengths, and six digits of a CSV.
  np.testing.assert_allclose(found.iloc[:, 1:], expected.iloc[:, 1:], rtol=0, atol=1e-5)
  scores = evaluate.evaluate_checkpoint(workdir, config, 'latest')
  final = json.loads((workdir / 'metrics.json').read_text())
  assert scores['test']['map_at_3'] == pytest.approx(final['test']['map_at_3'])


def test_what_is_normalised_is_what_the_front_end_gives(config, workdir):
  """Of training clips alone, a mean and a deviation a band."""
  statistics = json.loads((workdir / 'dataset.json').read_text())['statistics']
  prepared = array_records.prepare(config)
  rows = plans.split_rows(prepared.index, config)['train']
  frames = []
  for row in rows:
    length = prepared.index.lengths[row]
    one = np.array([row]), np.array([0]), np.array([length]), length
    batch = input_pipeline.plain_batch(prepared, plans.StepPlan(*one))
    frames.append(np.asarray(front_ends.create(config)(batch)['inputs'][0], np.float64))
  frames = np.concatenate(frames)
  np.testing.assert_allclose(statistics['mean'], frames.mean(axis=0), atol=1e-5)
  np.testing.assert_allclose(statistics['std'], frames.std(axis=0), atol=1e-5)


@pytest.mark.parametrize('average', ['arithmetic', 'geometric'])
def test_scores_of_crops_are_averaged_in_evaluation_and_in_prediction(config, workdir, average):
  """As from each crop predicted for itself."""
  config = config.copy_and_resolve_references()
  config.eval_crop_frames, config.eval_average = 4000, average
  prepared = array_records.prepare(config)
  mesh = sharding.make_mesh()
  parts = system.create(config, workdir_lib.read_dataset(workdir), mesh)
  saved = checkpoints.Checkpoints(workdir / 'checkpoints', read_only=True)
  variables = saved.restore(
    'latest', jax.eval_shape(parts.init), sharding.replicated(mesh)
  ).eval_variables
  rows = plans.split_rows(prepared.index, config)['test']
  read = device_batches.make_read(prepared, config, mesh)
  found = evaluate.evaluate(parts.eval_step, variables, prepared, rows, config, read)
  assert len(found.ids) == len(rows)

  expected = []
  for row in rows:
    length = prepared.index.lengths[row]
    starts = slices.cover(length, 4000)
    spans = np.full(len(starts), min(length, 4000))
    plan = plans.StepPlan(np.full(len(starts), row), starts, spans, 4000)
    scores = parts.eval_step(variables, input_pipeline.plain_batch(prepared, plan))['scores']
    logits = np.log(np.asarray(scores, np.float64))
    mean = np.exp(logits.mean(axis=0)) if average == 'geometric' else scores.mean(axis=0)
    expected.append(mean / mean.sum())
  # The padded length of a batch orders sums.
  np.testing.assert_allclose(found.scores, expected, rtol=0, atol=1e-5)

  paths = [f'{config.data_dir}/{name}' for name in found.ids]
  predicted = pd.read_csv(predict.predict(workdir, config, 'latest', paths))
  np.testing.assert_allclose(predicted.iloc[:, 1:], found.scores, rtol=0, atol=1e-5)
