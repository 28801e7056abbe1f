import types

import numpy as np
import pytest
import scipy.special

from configs import freesound, pressed_play
from musicjax import averages, evaluate, system
from musicjax.errors import ConfigError


@pytest.fixture
def prepared():
  index = types.SimpleNamespace(
    ids=np.array(['a#0', 'a#1', 'a#2', 'b', 'c']),
    tracks=np.array(['a', 'a', 'a', 'b', 'c']),
    labels=np.array([[1, 0]] * 3 + [[0, 1], [1, 1]], bool),
  )
  return types.SimpleNamespace(index=index)


def test_slices_of_a_track_are_averaged_whatever_order_they_come_in(prepared):
  scores = np.array([[0.1, 0.2], [0.2, 0.3], [0.6, 0.7], [0.5, 0.5], [1.0, 0.0]])
  order = np.array([4, 1, 3, 0, 2])
  found = evaluate.by_track(
    prepared, np.arange(5), order, scores[order], np.arange(5, dtype=float)[order]
  )
  np.testing.assert_array_equal(found.ids, ['a', 'b', 'c'])
  np.testing.assert_allclose(found.scores, [[0.3, 0.4], [0.5, 0.5], [1.0, 0.0]], rtol=1e-12)
  np.testing.assert_array_equal(found.labels, [[1, 0], [0, 1], [1, 1]])
  assert found.loss == 2.0
  np.testing.assert_array_equal(found.losses, [1.0, 3.0, 4.0])


@pytest.mark.parametrize('task', ['single_label', 'multi_label'])
def test_a_geometric_mean_of_probabilities_is_that_of_their_logits(prepared, task):
  logits = np.random.default_rng(0).normal(size=(5, 2))
  activation = scipy.special.expit if task == 'multi_label' else scipy.special.softmax
  axis = {} if task == 'multi_label' else {'axis': 1}
  config = freesound.get_config()
  config.task, config.eval_average = task, 'geometric'
  found = evaluate.by_track(
    prepared, np.arange(5), np.arange(5), activation(logits, **axis), np.zeros(5),
    averages.create(config),
  )  # fmt: skip
  means = np.stack([logits[:3].mean(axis=0), logits[3], logits[4]])
  np.testing.assert_allclose(found.scores, activation(means, **axis), rtol=1e-12)


def test_a_score_of_0_is_no_veto_of_more_than_float32_can_tell(prepared):
  config = freesound.get_config()
  config.eval_average = 'geometric'
  scores = np.array([[0.0, 1.0], [1.0, 0.0], [0.5, 0.5], [1.0, 0.0], [0.0, 1.0]])
  index = np.arange(5)
  found = evaluate.by_track(prepared, index, index, scores, index, averages.create(config))
  np.testing.assert_allclose(found.scores, [[0.5, 0.5], [1, 0], [0, 1]], atol=1e-6)


@pytest.mark.parametrize(
  'index',
  [[0, 1, 2, 3], [0, 1, 2, 3, 3], [0, 1, 2, 3, 4, 4]],
  ids=['missing', 'twice for another', 'twice'],
)
def test_an_example_scored_twice_or_not_at_all_is_an_error(prepared, index):
  with pytest.raises(RuntimeError, match='expected 5 examples once each'):
    evaluate.by_track(
      prepared, np.arange(5), np.array(index), np.zeros((len(index), 2)), np.zeros(len(index))
    )


def test_what_is_cut_into_slices_is_not_scored_by_crops():
  config = freesound.get_config()
  config.eval_crop_frames = 5
  with pytest.raises(ConfigError, match='eval_crop_frames: expected 0 for tracks that are cut'):
    system.create(config, {'parameters': {'slices': {}}}, mesh=None)


@pytest.mark.parametrize('field', ['crop_frames', 'eval_crop_frames'])
def test_pictures_are_not_cropped_as_frames(field):
  config = pressed_play.get_config()
  config[field] = 64
  with pytest.raises(ConfigError, match=rf'config.{field}: expected 0 for pictures, found 64'):
    system.create(config, {'parameters': {'image_size': 128}}, mesh=None)


def test_scores_that_are_no_numbers_are_told_with_their_example(prepared):
  scores = np.full((5, 2), 0.5)
  scores[[1, 4], 0] = np.nan, np.inf
  order = np.array([4, 1, 3, 0, 2])
  with pytest.raises(FloatingPointError, match='for 2 of 5 examples, the first of them a#1'):
    evaluate.by_track(prepared, np.arange(5), order, scores[order], np.zeros(5))
