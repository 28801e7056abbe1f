"""Thresholds a tag: the best F1 on what they are tuned on, and the same again from the file."""

import json

import numpy as np
import pytest
import sklearn.metrics

from musicjax import metrics, thresholds
from musicjax.errors import ConfigError


def make_scores(levels=None, n=150, classes=6, seed=0):
  rng = np.random.default_rng(seed)
  labels = rng.random((n, classes)) < np.linspace(0.02, 0.6, classes)
  labels[0] = True
  scores = 0.7 * rng.random(labels.shape) + 0.3 * labels
  return (scores if levels is None else np.round(scores * levels) / levels), labels


def best_f1(scores, labels):
  """The best F1 that any threshold has, by brute force."""
  candidates = [*np.unique(scores), 2.0]
  return max(sklearn.metrics.f1_score(labels, scores >= t, zero_division=0) for t in candidates)


@pytest.mark.parametrize('levels', [None, 4, 1], ids=['distinct', 'ties', 'two values'])
@pytest.mark.parametrize('masked', [False, True])
def test_no_threshold_has_a_better_f1(levels, masked):
  scores, labels = make_scores(levels)
  labels[:, 4] = True
  mask = np.random.default_rng(1).random(labels.shape) < 0.5 if masked else None
  chosen = thresholds.tune(scores, labels, mask)
  found = metrics.f1_per_class(metrics.above(scores, chosen), labels, mask)
  for c in range(labels.shape[1]):
    known = slice(None) if mask is None else mask[:, c]
    if labels[known, c].any():
      assert found[c] == pytest.approx(best_f1(scores[known, c], labels[known, c]), abs=1e-12)


def test_a_threshold_lies_halfway_and_nearest_to_one_half():
  labels = np.array([[0, 0, 0], [0, 1, 0], [1, 0, 0], [1, 1, 0]], bool)
  scores = np.array([[0.1, 0.2, 0.9], [0.2, 0.8, 0.9], [0.6, 0.6, 0.9], [0.9, 0.1, 0.9]])
  # The second class has its best F1, 2/3, above 0.6 (one of one) and of all (two of four).
  assert thresholds.tune(scores, labels).tolist() == pytest.approx([0.4, 0.7, 0.5])


def test_neighbouring_scores_are_told_apart():
  high = np.nextafter(0.3, 1)
  scores, labels = np.array([[0.3], [high]]), np.array([[False], [True]])
  assert metrics.above(scores, thresholds.tune(scores, labels)).tolist() == labels.tolist()


def test_the_file_gives_back_the_bits_in_the_order_of_the_labels(tmp_path):
  scores, labels = make_scores()
  labels[:, 2] = False
  chosen, names = thresholds.tune(scores, labels), [f'tag {c}' for c in range(6)]
  thresholds.save(tmp_path, names, chosen, scores, labels, step=7)
  assert thresholds.load(tmp_path, names).tolist() == chosen.tolist()
  assert thresholds.load(tmp_path, names[::-1]).tolist() == chosen[::-1].tolist()
  content = json.loads((tmp_path / 'thresholds.json').read_text())
  assert content['step'] == 7
  tags = content['tags']
  assert (tags[2]['threshold'], tags[2]['f1'], tags[2]['positives']) == (0.5, None, 0)
  assert all(tag['f1'] >= tag['f1_at_0.5'] for tag in tags if tag['positives'])


@pytest.mark.parametrize(
  'content', ['', '[]', '{"tags": [{"label": "a"}]}', '{"tags": [{"label": "b", "threshold": 1}]}']
)
def test_a_file_of_other_labels_or_none_is_told(tmp_path, content):
  with pytest.raises(ConfigError, match=r'thresholds\.json: expected a file that a run wrote'):
    thresholds.load(tmp_path, ['a'])
  (tmp_path / 'thresholds.json').write_text(content)
  with pytest.raises(ConfigError, match=r'thresholds\.json: .*expected'):
    thresholds.load(tmp_path, ['a'])
