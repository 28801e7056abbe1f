import json

import numpy as np
import pytest

from experiments import blend, predictions
from musicjax import metrics, regression, workdir
from musicjax.errors import ConfigError, DataError
from tests.experiments.kept_runs import CLASSES, tracks, write_regression, write_run


@pytest.fixture
def home(tmp_path):
  """Two systems, three folds, two seeds."""
  for system, noise in (('sharp', 0.7), ('dull', 1.4)):
    for fold in range(3):
      for seed in range(2):
        write_run(tmp_path / system / f'fold_{fold}_seed_{seed}', fold, seed, noise)
  return tmp_path


def scores_of(home, system, fold, split='test'):
  """[seeds, n, classes] of a system."""
  folders = [home / system / f'fold_{fold}_seed_{seed}' for seed in range(2)]
  return np.stack([predictions.read(folder, split).scores for folder in folders])


def blended(home, method):
  members, _ = blend.read([f'{home}/*/fold_*'])
  return blend.blend(blend.group(members), method)


def ranks(scores):
  """The share of examples that a score is not below, without ties."""
  return (scores.argsort(axis=0).argsort(axis=0) + 1) / len(scores)


@pytest.mark.parametrize('method', ['arithmetic', 'geometric', 'rank'])
def test_averages_over_seeds_and_systems_are_those_of_numpy(home, method):
  found, _ = blended(home, method)
  for fold in range(3):
    stack = np.concatenate([scores_of(home, system, fold) for system in ('dull', 'sharp')])
    expected = {
      'arithmetic': stack.mean(axis=0),
      'geometric': np.prod(stack, axis=0) ** (1 / 4),
      'rank': np.mean([ranks(scores) for scores in stack], axis=0),
    }[method]
    np.testing.assert_allclose(found[fold].scores, expected, rtol=1e-12)
    np.testing.assert_array_equal(found[fold].ids, tracks(fold)[0])


def test_systems_count_alike_whatever_the_number_of_their_runs(home):
  write_run(home / 'sharp' / 'fold_0_seed_2', 0, 2, 0.7)
  sharp = [*scores_of(home, 'sharp', 0)]
  sharp.append(predictions.read(home / 'sharp' / 'fold_0_seed_2', 'test').scores)
  expected = np.mean(sharp, axis=0) / 2 + scores_of(home, 'dull', 0).mean(axis=0) / 2
  np.testing.assert_allclose(blended(home, 'arithmetic')[0][0].scores, expected, rtol=1e-12)


def test_fitted_weights_are_those_of_least_squares_on_validation(home):
  found, weights = blended(home, 'weights')
  for fold in range(3):
    sharp, dull = (
      scores_of(home, system, fold, 'validation').mean(axis=0) for system in ('sharp', 'dull')
    )
    # Of w a + (1 - w) b, in closed form.
    labels = tracks((fold + 1) % 3)[1]
    w = np.sum((sharp - dull) * (labels - dull)) / np.sum((sharp - dull) ** 2)
    assert weights[fold][str(home / 'sharp')] == pytest.approx(np.clip(w, 0, 1), abs=1e-4)
    assert weights[fold][str(home / 'dull')] == pytest.approx(1 - np.clip(w, 0, 1), abs=1e-4)
    w = weights[fold][str(home / 'sharp')]
    expected = sum(
      share * scores_of(home, system, fold).mean(axis=0)
      for share, system in ((w, 'sharp'), (1 - w, 'dull'))
    )
    np.testing.assert_allclose(found[fold].scores, expected, rtol=1e-12)


def test_a_system_that_only_harms_weighs_nothing():
  labels = np.random.default_rng(0).random((40, 3)) < 0.5
  good = 0.8 * labels + 0.1
  assert blend.fit_weights([1 - good, good], labels) == pytest.approx([0, 1], abs=1e-5)


def test_no_label_of_a_test_fold_has_a_say(home):
  scores, weights = blended(home, 'weights')
  for path in home.glob('*/*/predictions/out_of_fold_truth.csv'):
    ids, names, labels = predictions.read_table(path)
    workdir.write_predictions(path, 'id', ids, 1 - labels, names)
  again, weights_again = blended(home, 'weights')
  assert weights == weights_again
  for one, other in zip(scores, again, strict=True):
    np.testing.assert_array_equal(one.scores, other.scores)


def test_folds_are_blended_where_the_data_brings_its_own_test_set(tmp_path):
  for fold in range(3):
    write_run(tmp_path / 'one' / f'fold_{fold}', fold, 0, 1.0, own_test=True)
  found, weights = blended(tmp_path, 'weights')
  stack = [predictions.read(tmp_path / 'one' / f'fold_{f}', 'test').scores for f in range(3)]
  assert weights == [{str(tmp_path / 'one'): 1.0}]
  np.testing.assert_allclose(found[0].scores, np.mean(stack, axis=0), rtol=1e-12)


def test_runs_that_do_not_fit_together_are_told(home):
  with pytest.raises(ConfigError, match='expected workdirs of complete runs, found none'):
    blend.read([f'{home}/none/*'])
  write_run(home / 'sharp' / 'fold_3_seed_0', 3, 0, 1.0, num_folds=4)
  members, _ = blend.read([f'{home}/*/*'])
  with pytest.raises(DataError, match=r'sharp/fold_3.*: expected a run of .*dull that tested'):
    blend.group(members)
  config = home / 'sharp' / 'fold_3_seed_0' / 'config.json'
  config.write_text(config.read_text().replace('map_macro', 'lwlrap'))
  with pytest.raises(ConfigError, match='expected one task and select_metric'):
    blend.read([f'{home}/*/*'])


def test_the_report_says_what_the_blend_gained_and_keeps_it_like_a_run(home):
  for path in home.glob('*/*/metrics.json'):
    table = path.with_name('predictions') / 'predictions.csv'
    workdir.write_predictions(table, 'path', ['x.wav'], np.array([[0.25, 0.5, 0.75]]), CLASSES)
  path = blend.write(home / 'out', [f'{home}/*/fold_*'], 'arithmetic', 'predictions.csv', 50)

  kept = predictions.read(home / 'out', 'test')
  np.testing.assert_array_equal(kept.ids, np.concatenate([tracks(fold)[0] for fold in range(3)]))
  by_fold = [metrics.map_macro(kept.scores[r], kept.labels[r]) for r in np.split(np.arange(60), 3)]
  singles = [
    metrics.map_macro(scores, tracks(fold)[1])
    for fold in range(3)
    for system in ('sharp', 'dull')
    for scores in scores_of(home, system, fold)
  ]
  text = path.read_text()
  # Kept with six digits, which may break or make a tie.
  shown = {line.split(' | ')[0]: line.split(' | ') for line in text.splitlines() if '|' in line}
  assert float(shown['| blend'][1]) == pytest.approx(np.mean(by_fold), abs=1e-3)
  assert float(shown['| mean of all single runs'][1]) == pytest.approx(np.mean(singles), abs=1e-4)
  gain = float(shown['| mean of all single runs'][2])
  assert gain == pytest.approx(np.mean(by_fold) - np.mean(singles), abs=1e-3)
  assert any(name.endswith('sharp') and 'single runs of' in name for name in shown)
  assert len(json.loads((home / 'out' / 'weights.json').read_text())) == 3
  _, _, scores = predictions.read_table(home / 'out' / 'predictions' / 'predictions.csv')
  np.testing.assert_allclose(scores, [[0.25, 0.5, 0.75]], rtol=1e-6)


def test_regressions_are_blended_in_their_units(tmp_path):
  for fold in range(3):
    for seed in range(3):
      write_regression(tmp_path / 'of' / f'fold_{fold}_seed_{seed}', fold, seed, noise=1.0)
  blend.write(tmp_path / 'out', [f'{tmp_path}/of/*'], 'arithmetic', '', resamples=20)
  found = predictions.read(tmp_path / 'out', 'test')
  single = [predictions.read(tmp_path / 'of' / f'fold_{f}_seed_0', 'test') for f in range(3)]
  np.testing.assert_array_equal(found.labels, np.concatenate([p.labels for p in single]))
  assert found.labels.min() == -6
  blended = regression.r2_macro(found.scores, found.labels)
  # Of three runs a third of the noise's variance is left.
  assert blended > 0.2 + np.mean([regression.r2_macro(p.scores, p.labels) for p in single])


@pytest.mark.parametrize('method', ['geometric', 'rank', 'weights'])
def test_a_regression_is_not_blended_as_probabilities_are(method, tmp_path):
  write_regression(tmp_path / 'of' / 'fold_0', 0, 0, noise=1.0)
  with pytest.raises(ConfigError, match=f'--method: expected arithmetic with .* found {method}'):
    blend.write(tmp_path / 'out', [f'{tmp_path}/of/*'], method, '', resamples=2)
