import numpy as np
import pytest
import sklearn.metrics

from musicjax import losses, regression, tasks
from musicjax.errors import ConfigError
from musicjax.targets import Targets, describe

RNG = np.random.default_rng(0)
LABELS = RNG.normal(size=(200, 3)) * [1, 5, 0.1] + [0, -8, 0.5]
SCORES = LABELS + RNG.normal(size=(200, 3)) * [0.5, 5, 0.01]
MEAN = [0.1, -7, 0.4]


def test_r2_and_mae_equal_sklearns():
  found = regression.per_target(SCORES, LABELS, MEAN)
  constant = np.tile(MEAN, (200, 1))
  for suffix, scores in (('', SCORES), ('_mean_predictor', constant)):
    expected = {
      'r2': sklearn.metrics.r2_score(LABELS, scores, multioutput='raw_values'),
      'mae': sklearn.metrics.mean_absolute_error(LABELS, scores, multioutput='raw_values'),
    }
    for name, values in expected.items():
      np.testing.assert_allclose(found[name + suffix], values, rtol=1e-12)
  measured = regression.measure(SCORES, LABELS, MEAN)
  assert measured['r2_macro'] == pytest.approx(sklearn.metrics.r2_score(LABELS, SCORES))
  assert measured['mae_macro'] == pytest.approx(np.abs(LABELS - SCORES).mean())


def test_no_image_is_the_mean_over_all_ways_to_hand_predictions_out():
  found = regression.per_target(SCORES, LABELS, MEAN)
  differences = SCORES[:, None] - LABELS
  np.testing.assert_allclose(found['mae_no_image'], np.abs(differences).mean((0, 1)), rtol=1e-12)
  r2 = 1 - (differences**2).mean((0, 1)) / LABELS.var(axis=0)
  np.testing.assert_allclose(found['r2_no_image'], r2, rtol=1e-12)


def test_who_learnt_nothing_scores_what_the_baselines_score():
  found = regression.measure(np.tile(MEAN, (200, 1)), LABELS, MEAN)
  for metric in ('r2', 'mae'):
    for baseline in ('mean_predictor', 'no_image'):
      expected = pytest.approx(found[f'{metric}_macro'], rel=1e-9)
      assert found[f'{metric}_{baseline}_macro'] == expected
  assert found['r2_macro'] <= 0


def test_a_target_that_does_not_vary_is_left_out_of_the_mean():
  labels = LABELS.copy()
  labels[:, 1] = 0.1
  found = regression.per_target(SCORES, labels, MEAN)
  assert np.isnan(found['r2']).tolist() == [False, True, False]
  macro = regression.measure(SCORES, labels, MEAN)['r2_macro']
  assert macro == pytest.approx(found['r2'][[0, 2]].mean())


def test_scores_that_are_no_numbers_or_of_another_shape_are_refused():
  with pytest.raises(ValueError, match='finite'):
    regression.measure(np.full((2, 1), np.nan), np.zeros((2, 1)), [0])
  with pytest.raises(ValueError, match=r'expected shape \(2, 2\)'):
    regression.measure(np.zeros((2, 1)), np.zeros((2, 2)), [0])


def make_targets(scale, values=LABELS):
  return Targets(**describe(values, scale, ('a', 'b', 'c'), {'c': (0.0, 1.0)}))


def test_outputs_of_zero_are_the_training_mean_and_one_is_a_deviation_more():
  for scale in ('standard', 'bounded'):
    targets = make_targets(scale)
    np.testing.assert_allclose(targets.decode(np.zeros(3)), LABELS.mean(axis=0), rtol=1e-5)
    step = 1e-2  # The sigmoid bends beyond.
    rise = (targets.decode(np.full(3, step)) - targets.decode(np.zeros(3))) / step
    np.testing.assert_allclose(rise, LABELS.std(axis=0), rtol=1e-2)
  np.testing.assert_array_equal(make_targets('natural').decode(SCORES), np.float32(SCORES))


def test_bounded_targets_never_leave_their_bounds():
  found = make_targets('bounded').decode(np.float32([[-1e4] * 3, [1e4] * 3]))
  assert found[:, 2].tolist() == [0.0, 1.0]
  assert np.isfinite(found).all()
  assert found[0, 0] < -1000  # One without bounds may go anywhere.
  # Also where all labels are the same, or at a bound.
  edge = describe(np.zeros((4, 3)), 'bounded', ('a', 'b', 'c'), {'c': (0.0, 1.0)})
  assert edge['std'] == [1.0] * 3
  assert np.isfinite(Targets(**edge).decode(np.float32([[-50.0] * 3, [50.0] * 3]))).all()


def test_standardised_errors_count_alike_and_natural_ones_do_not():
  labels = np.float32(LABELS)
  mean = np.float32(LABELS.mean(axis=0))
  squared = np.asarray(make_targets('standard').error(np.zeros_like(labels), labels)) ** 2
  np.testing.assert_allclose(squared.mean(axis=0), 1, rtol=1e-4)
  squared = np.asarray(make_targets('natural').error(np.tile(mean, (200, 1)), labels)) ** 2
  np.testing.assert_allclose(squared.mean(axis=0), LABELS.var(axis=0), rtol=1e-4)
  loss = losses.create({'name': 'squared_error'}, targets=make_targets('standard'))
  np.testing.assert_allclose(loss(np.zeros_like(labels), labels).mean(), 3, rtol=1e-4)


def test_the_task_scores_in_natural_units_and_decides_nothing():
  task = tasks.create('feature_regression', make_targets('standard'))
  assert task.decide is None
  assert set(task.selectable) <= task.metrics(SCORES, LABELS).keys()
  assert task.metrics(task.activation(np.zeros((200, 3))), LABELS)['r2_macro'] == pytest.approx(
    0, abs=1e-6
  )


def test_what_there_is_not_is_told():
  with pytest.raises(ConfigError, match=r'config.target_scale: expected one of natural, standard'):
    make_targets('log')
  with pytest.raises(ConfigError, match='squared_error: expected targets of a regression'):
    losses.create({'name': 'squared_error'})(np.zeros((1, 1)), np.zeros((1, 1)))
