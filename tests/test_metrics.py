import time

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from musicjax import metrics

# Both sides sum the same float64 terms in another order.
EXACT = {'rtol': 0, 'atol': 1e-12}


def _random(seed, n=200, classes=7, levels=None, density=0.3):
  """Scores (rounded to `levels` values: heavy ties) that know a little of the labels."""
  rng = np.random.default_rng(seed)
  labels = rng.random((n, classes)) < density
  scores = np.clip(0.6 * rng.random((n, classes)) + 0.4 * labels * rng.random((n, classes)), 0, 1)
  if levels:
    scores = np.round(scores * levels) / levels
  return scores, labels


def _random_single(seed, n=300, classes=6, levels=None):
  scores, _ = _random(seed, n, classes, levels)
  truth = np.random.default_rng(seed + 1).integers(0, classes, n)
  return scores, np.eye(classes, dtype=bool)[truth], truth


CASES = [
  pytest.param(_random(0), id='distinct'),
  pytest.param(_random(1, levels=4), id='heavy-ties'),
  pytest.param(_random(2, levels=1), id='two-values'),
  pytest.param((np.full((50, 3), 0.5), _random(3, 50, 3)[1]), id='all-tied'),
  pytest.param(_random(4, n=30, classes=40, levels=10, density=0.5), id='wide'),
  pytest.param((_random(5)[0].astype(np.float32), _random(5)[1]), id='float32'),
]


@pytest.mark.parametrize('data', CASES)
def test_ranking_metrics_equal_scikit_learn(data):
  scores, labels = data
  ap, auc = sklearn.metrics.average_precision_score, sklearn.metrics.roc_auc_score
  close = np.testing.assert_allclose
  close(metrics.average_precision(scores, labels), ap(labels, scores, average=None), **EXACT)
  close(metrics.roc_auc(scores, labels), auc(labels, scores, average=None), **EXACT)
  close(metrics.map_macro(scores, labels), ap(labels, scores, average='macro'), **EXACT)
  close(metrics.map_micro(scores, labels), ap(labels, scores, average='micro'), **EXACT)
  close(metrics.roc_auc_macro(scores, labels), auc(labels, scores, average='macro'), **EXACT)
  close(metrics.roc_auc_micro(scores, labels), auc(labels, scores, average='micro'), **EXACT)


@pytest.mark.parametrize('data', CASES)
def test_ranking_precision_of_an_example_equals_scikit_learn(data):
  scores, labels = data[0], data[1].copy()
  labels[:3] = [[False], [True], [False]]
  found = metrics.ranking_precision(scores, labels)
  lrap = sklearn.metrics.label_ranking_average_precision_score
  assert np.isnan(found).tolist() == (~labels.any(axis=1)).tolist()
  for row in np.flatnonzero(labels.any(axis=1)):
    np.testing.assert_allclose(found[row], lrap(labels[row, None], scores[row, None]), **EXACT)


@pytest.mark.parametrize('data', CASES)
def test_lwlrap_equals_scikit_learn_weighted_by_labels(data):
  scores, labels = data
  expected = sklearn.metrics.label_ranking_average_precision_score(
    labels, scores, sample_weight=labels.sum(1)
  )
  np.testing.assert_allclose(metrics.lwlrap(scores, labels), expected, **EXACT)


@pytest.mark.parametrize('threshold', [0.25, 0.5])
@pytest.mark.parametrize('data', CASES)
def test_multi_label_f1_equals_scikit_learn(data, threshold):
  scores, labels = data
  decisions = metrics.above(scores, threshold)
  f1 = sklearn.metrics.f1_score
  for average, ours in (('macro', metrics.f1_macro), ('micro', metrics.f1_micro)):
    expected = f1(labels, scores >= threshold, average=average, zero_division=0)
    np.testing.assert_allclose(ours(decisions, labels), expected, **EXACT)


@pytest.mark.parametrize('levels', [None, 3])
def test_single_label_metrics_equal_scikit_learn(levels):
  scores, labels, truth = _random_single(0, levels=levels)
  found = metrics.single_label(scores, labels)
  predicted = scores.argmax(1)
  expected = {
    'accuracy': sklearn.metrics.accuracy_score(truth, predicted),
    'balanced_accuracy': sklearn.metrics.balanced_accuracy_score(truth, predicted),
    'f1_macro': sklearn.metrics.f1_score(truth, predicted, average='macro'),
    'map_at_3': _map_at_k_by_definition(scores, truth, 3),
    'roc_auc_macro': sklearn.metrics.roc_auc_score(labels, scores, average='macro'),
    'map_macro': sklearn.metrics.average_precision_score(labels, scores, average='macro'),
  }
  assert found.keys() == expected.keys()
  assert all(type(value) is float for value in found.values())
  np.testing.assert_allclose(list(found.values()), [expected[k] for k in found], **EXACT)


def test_balanced_accuracy_and_f1_leave_out_classes_without_examples():
  scores, _, truth = _random_single(3, classes=5)
  truth = truth % 3
  labels = np.eye(5, dtype=bool)[truth]
  predicted = scores.argmax(1)
  assert set(predicted) == set(range(5))
  recalls = [np.mean(predicted[truth == c] == c) for c in range(3)]
  f1 = sklearn.metrics.f1_score(truth, predicted, labels=[0, 1, 2], average='macro')
  found = metrics.single_label(scores, labels)
  np.testing.assert_allclose(found['balanced_accuracy'], np.mean(recalls), **EXACT)
  np.testing.assert_allclose(found['f1_macro'], f1, **EXACT)


def _map_at_k_by_definition(scores, truth, k):
  """Mean over files of the sum over cutoffs 1..k of precision at the cutoff, where the label is
  relevant once: at the cutoff at which it is found."""
  total = 0.0
  for row, label in zip(scores, truth, strict=True):
    submitted = sorted(range(len(row)), key=lambda c: (-row[c], c))[:k]
    for cutoff in range(1, len(submitted) + 1):
      if submitted[cutoff - 1] == label:
        total += sum(s == label for s in submitted[:cutoff]) / cutoff
  return total / len(truth)


@pytest.mark.parametrize('k', [1, 3, 5, 9])
@pytest.mark.parametrize('levels', [None, 2])
def test_map_at_k_is_the_competitions_definition(k, levels):
  scores, labels, truth = _random_single(4, classes=6, levels=levels)
  expected = _map_at_k_by_definition(scores, truth, k)
  np.testing.assert_allclose(metrics.map_at_k(scores, labels, k), expected, **EXACT)


def test_tied_scores_rank_by_class_index():
  labels = np.eye(4, dtype=bool)
  assert metrics.map_at_k(np.zeros((4, 4)), labels, 3) == pytest.approx((1 + 1 / 2 + 1 / 3) / 4)
  assert metrics.accuracy(np.zeros((4, 4)), labels) == 0.25
  assert metrics.top_1(np.zeros((1, 4))).tolist() == [[True, False, False, False]]


def test_multi_label_set_has_the_fields_names_and_equals_scikit_learn():
  scores, labels = _random(6, levels=20)
  found = metrics.multi_label(scores, labels)
  assert all(type(value) is float for value in found.values())
  auc = sklearn.metrics.roc_auc_score(labels, scores)
  expected = {
    'map_macro': sklearn.metrics.average_precision_score(labels, scores),
    'map_micro': sklearn.metrics.average_precision_score(labels, scores, average='micro'),
    'roc_auc_macro': auc,
    'lwlrap': sklearn.metrics.label_ranking_average_precision_score(
      labels, scores, sample_weight=labels.sum(1)
    ),
    'f1_macro': sklearn.metrics.f1_score(labels, scores >= 0.5, average='macro'),
    'f1_micro': sklearn.metrics.f1_score(labels, scores >= 0.5, average='micro'),
    'd_prime_macro': metrics.d_prime(auc),
    'classes_without_positives': 0.0,
  }
  assert found.keys() == expected.keys()
  np.testing.assert_allclose(list(found.values()), [expected[k] for k in found], **EXACT)


def test_class_without_positives_is_nan_left_out_and_counted():
  scores, labels = _random(7)
  labels[:, [1, 4]] = False
  rest = [0, 2, 3, 5, 6]
  classes = metrics.per_class(scores, labels)
  for name in ('average_precision', 'roc_auc', 'd_prime'):
    assert np.flatnonzero(np.isnan(classes[name])).tolist() == [1, 4]
  found = metrics.multi_label(scores, labels)
  alone = metrics.multi_label(scores[:, rest], labels[:, rest])
  assert found['classes_without_positives'] == 2
  for name in ('map_macro', 'roc_auc_macro', 'f1_macro', 'd_prime_macro'):
    assert found[name] == alone[name]


def test_class_without_negatives_has_precision_one_and_no_auc():
  scores, labels = _random(8)
  labels[:, 2] = True
  classes = metrics.per_class(scores, labels)
  assert classes['average_precision'][2] == 1
  assert np.flatnonzero(np.isnan(classes['roc_auc'])).tolist() == [2]
  assert classes['negatives'][2] == 0
  assert classes['support'][2] == len(labels)
  rest = np.delete(np.arange(7), 2)
  assert metrics.roc_auc_macro(scores, labels) == metrics.roc_auc_macro(
    scores[:, rest], labels[:, rest]
  )


@pytest.mark.parametrize('value', [False, True])
def test_labels_all_alike_never_warn(value):
  scores, _ = _random(9)
  found = metrics.multi_label(scores, np.full(scores.shape, value))
  assert np.isnan(found['roc_auc_macro'])
  assert np.isnan(found['d_prime_macro'])
  for name in ('map_macro', 'map_micro', 'lwlrap'):
    assert np.isnan(found[name]) if not value else found[name] == 1
  assert np.isnan(found['f1_micro']) == (not value)


def test_single_example_is_measured():
  scores, labels = np.array([[0.9, 0.2, 0.9]]), np.array([[False, False, True]])
  found = metrics.multi_label(scores, labels)
  assert found['map_macro'] == 1
  assert np.isnan(found['roc_auc_macro'])
  assert found['lwlrap'] == found['map_micro'] == 0.5
  assert metrics.single_label(scores, labels)['map_at_3'] == 0.5


@pytest.mark.parametrize('levels', [None, 5])
def test_masked_labels_count_as_if_they_were_not_there(levels):
  scores, labels = _random(10, levels=levels)
  mask = np.random.default_rng(0).random(scores.shape) < 0.4
  classes = metrics.per_class(scores, labels, mask)
  decisions = metrics.above(scores)
  f1 = metrics.f1_per_class(decisions, labels, mask)
  for c in range(scores.shape[1]):
    known, truth = scores[mask[:, c], c], labels[mask[:, c], c]
    ap = sklearn.metrics.average_precision_score(truth, known)
    auc = sklearn.metrics.roc_auc_score(truth, known)
    np.testing.assert_allclose(classes['average_precision'][c], ap, **EXACT)
    np.testing.assert_allclose(classes['roc_auc'][c], auc, **EXACT)
    np.testing.assert_allclose(f1[c], sklearn.metrics.f1_score(truth, known >= 0.5), **EXACT)
    assert classes['support'][c] == truth.sum()
    assert classes['negatives'][c] == (~truth).sum()
  precision_sum = sum(
    sklearn.metrics.label_ranking_average_precision_score([t[m]], [s[m]]) * t[m].sum()
    for s, t, m in zip(scores, labels, mask, strict=True)
    if t[m].any()
  )
  expected = {
    'map_micro': sklearn.metrics.average_precision_score(labels[mask], scores[mask]),
    'f1_micro': sklearn.metrics.f1_score(labels[mask], scores[mask] >= 0.5),
    'lwlrap': precision_sum / (labels & mask).sum(),
  }
  found = metrics.multi_label(scores, labels, mask)
  for name, value in expected.items():
    np.testing.assert_allclose(found[name], value, **EXACT)
  auc = sklearn.metrics.roc_auc_score(labels[mask], scores[mask])
  np.testing.assert_allclose(metrics.roc_auc_micro(scores, labels, mask), auc, **EXACT)


def test_what_a_masked_label_says_changes_nothing():
  scores, labels = _random(11, levels=6)
  mask = np.random.default_rng(1).random(scores.shape) < 0.5
  mask[:, 3] = False
  found = metrics.multi_label(scores, labels, mask)
  assert found == metrics.multi_label(scores, labels ^ ~mask, mask)
  assert found == metrics.multi_label(np.where(mask, scores, 0.7), labels, mask)
  assert found['classes_without_positives'] == 1


@pytest.mark.parametrize('levels', [None, 4])
def test_pr_curve_equals_scikit_learn(levels):
  scores, labels = (a[:, 0] for a in _random(12, levels=levels))
  expected = sklearn.metrics.precision_recall_curve(labels, scores)
  for ours, theirs in zip(metrics.pr_curve(scores, labels), expected, strict=True):
    np.testing.assert_allclose(ours, theirs, **EXACT)


def test_pr_curve_without_positives_has_no_recall():
  precision, recall, thresholds = metrics.pr_curve(np.array([0.1, 0.2]), np.zeros(2, bool))
  assert precision.tolist() == [0, 0, 1]
  assert thresholds.tolist() == [0.1, 0.2]
  assert np.isnan(recall[:2]).all()
  assert recall[2] == 0


def test_d_prime_is_the_distance_of_the_two_normals():
  rng = np.random.default_rng(0)
  labels = rng.random((200_000, 1)) < 0.5
  scores = rng.normal(size=labels.shape) + 1.3 * labels
  # The standard error of d' is 0.005 at this size: four of them.
  assert metrics.d_prime(metrics.roc_auc(scores, labels)[0]) == pytest.approx(1.3, abs=0.02)
  assert metrics.d_prime(0.5) == 0
  assert metrics.d_prime(1.0) == np.inf


@pytest.mark.parametrize('bad', [np.nan, np.inf, -np.inf])
def test_scores_that_are_not_finite_are_an_error_that_counts_them(bad):
  scores, labels, _ = _random_single(13)
  scores[[3, 5], [0, 1]] = bad
  for measure in (metrics.multi_label, metrics.single_label, metrics.lwlrap, metrics.map_micro):
    with pytest.raises(ValueError, match='found 2 of 1800 NaN or Inf'):
      measure(scores, labels)


def test_wrong_shapes_and_types_are_errors_that_name_the_field():
  scores, labels, _ = _random_single(14)
  with pytest.raises(ValueError, match=r'labels: expected bool .* found float32'):
    metrics.multi_label(scores, labels.astype(np.float32))
  with pytest.raises(ValueError, match=r'decisions: expected bool .* found float64'):
    metrics.f1_macro(scores, labels)
  with pytest.raises(ValueError, match='mask: expected bool'):
    metrics.map_macro(scores, labels, np.ones(len(labels), bool))
  with pytest.raises(ValueError, match='none empty'):
    metrics.multi_label(scores[:0], labels[:0])
  labels[0], labels[7] = False, True
  with pytest.raises(ValueError, match='found 2 rows'):
    metrics.single_label(scores, labels)


# A few levels out of a small range: most draws hold ties, absent and full classes.
_tables = st.integers(1, 12).flatmap(
  lambda n: st.integers(1, 4).flatmap(
    lambda c: st.tuples(
      st.lists(st.integers(0, 4), min_size=n * c, max_size=n * c),
      st.lists(st.booleans(), min_size=n * c, max_size=n * c),
    ).map(lambda x: (np.reshape(x[0], (n, c)) / 4, np.reshape(x[1], (n, c))))
  )
)


def _same(a, b):
  np.testing.assert_allclose(list(a.values()), list(b.values()), rtol=0, atol=1e-12)


@settings(max_examples=150, deadline=None)
@given(_tables, st.randoms(use_true_random=False))
def test_order_of_examples_does_not_matter(data, random):
  scores, labels = data
  order = list(range(len(scores)))
  random.shuffle(order)
  _same(metrics.multi_label(scores, labels), metrics.multi_label(scores[order], labels[order]))


@settings(max_examples=150, deadline=None)
@given(_tables)
def test_auc_and_precision_follow_from_pairs_of_examples(data):
  scores, labels = data
  found = metrics.per_class(scores, labels)
  areas = zip(found['average_precision'], found['roc_auc'], strict=True)
  for s, y, (ap, auc) in zip(scores.T, labels.T, areas, strict=True):
    wins = (s[y][:, None] > s[~y]) + 0.5 * (s[y][:, None] == s[~y])
    precision = [np.mean(y[s >= threshold]) for threshold in s[y]]
    expected_auc = wins.mean() if wins.size else np.nan
    expected_ap = np.mean(precision) if y.any() else np.nan
    np.testing.assert_allclose([ap, auc], [expected_ap, expected_auc], **EXACT)


@settings(max_examples=100, deadline=None)
@given(_tables)
def test_every_metric_lies_in_its_range_or_is_nan(data):
  found = metrics.multi_label(*data)
  found.pop('d_prime_macro')
  absent = found.pop('classes_without_positives')
  assert absent == np.sum(~data[1].any(0))
  assert all(np.isnan(value) or 0 <= value <= 1 for value in found.values())


def test_ten_thousand_examples_of_256_classes_take_under_two_seconds():
  # Measured 0.07 s on one core; the best of three, for a busy machine.
  scores, labels = _random(15, 10_000, 256, density=0.02)
  seconds = []
  for _ in range(3):
    start = time.perf_counter()
    metrics.average_precision(scores, labels)
    seconds.append(time.perf_counter() - start)
  assert min(seconds) < 2


@pytest.mark.parametrize('masked', [False, True])
def test_classification_report_equals_scikit_learn_over_classes_with_positives(masked):
  scores, labels = _random(11, classes=9)
  mask = np.random.default_rng(12).random(labels.shape) < 0.6 if masked else None
  labels[:, 2] = False  # absent, and decided for
  labels[:, 3], scores[:, 3] = False, 0  # absent, and not
  scores[:, 4] = 0  # never decided for
  decisions = metrics.above(scores)
  found = metrics.classification(decisions, labels, mask)
  for c in range(9):
    known = slice(None) if mask is None else mask[:, c]
    expected = sklearn.metrics.precision_recall_fscore_support(
      labels[known, c], decisions[known, c], average='binary', zero_division=0
    )[:3]
    absent = c in (2, 3)
    values = [found[name][c] for name in ('precision', 'recall', 'f1')]
    np.testing.assert_allclose(values, [np.nan] * 3 if absent else expected, **EXACT)
    assert found['support'][c] == labels[known, c].sum()


def test_true_positive_ratio_is_the_micro_recall():
  scores, labels = _random(13)
  mask = np.random.default_rng(14).random(labels.shape) < 0.6
  decisions = metrics.above(scores)
  recall = sklearn.metrics.recall_score
  found = metrics.true_positive_ratio(decisions, labels)
  assert found == pytest.approx(recall(labels, decisions, average='micro'), abs=1e-12)
  found = metrics.true_positive_ratio(decisions, labels, mask)
  assert found == pytest.approx(recall(labels[mask], decisions[mask]), abs=1e-12)
  assert np.isnan(metrics.true_positive_ratio(decisions, labels & False))
