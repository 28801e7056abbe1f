"""Workdirs as complete runs leave them, as far as `experiments/` reads them, without training."""

import json

import numpy as np

from musicjax import workdir

CLASSES = ('a', 'b', 'c')


def tracks(fold, count=20):
  """Ids of a fold, and their labels [count, 3] bool, the same ones whenever they are asked for."""
  rng = np.random.default_rng((7, fold))
  labels = rng.random((count, 3)) < 0.4
  labels[:3] |= np.eye(3, dtype=bool)
  return np.array([f'{fold}-{i:02d}' for i in range(count)]), labels


def write_regression(folder, fold, seed, noise):
  """Writes a run whose targets are labels, from -6 up, under noise."""
  write_run(folder, fold, seed, noise)
  config = {'task': 'feature_regression', 'select_metric': 'r2_macro', 'fold': fold, 'seed': seed}
  workdir.write_json(folder / 'config.json', config)
  rng = np.random.default_rng((fold, seed))
  for name, of in (('validation', (fold + 1) % 3), ('out_of_fold', fold)):
    ids, labels = tracks(of)
    targets = 3.0 * labels - 6 + np.arange(20)[:, None] / 100
    path = folder / 'predictions' / f'{name}.csv'
    scores = targets + noise * rng.normal(size=targets.shape)
    workdir.write_predictions(path, 'id', ids, scores, CLASSES)
    workdir.write_predictions(path.with_name(f'{name}_truth.csv'), 'id', ids, targets, CLASSES)
  return folder


def write_run(folder, fold, seed, noise, num_folds=3, own_test=False):
  """Writes a run whose scores are labels under noise; `own_test`: all runs test fold 9."""
  rng = np.random.default_rng((fold, seed, int(1000 * noise)))
  (folder / 'predictions').mkdir(parents=True)
  config = {'task': 'multi_label', 'select_metric': 'map_macro', 'fold': fold, 'seed': seed}
  workdir.write_json(folder / 'config.json', config)
  for name, of in (
    ('validation', fold if own_test else (fold + 1) % num_folds),
    ('out_of_fold', 9 if own_test else fold),
  ):
    ids, labels = tracks(of)
    scores = 1 / (1 + np.exp(-2 * labels + 1 - noise * rng.normal(size=labels.shape)))
    path = folder / 'predictions' / f'{name}.csv'
    workdir.write_predictions(path, 'id', ids, scores, CLASSES)
    truth = path.with_name(f'{name}_truth.csv')
    workdir.write_predictions(truth, 'id', ids, 1.0 * labels, CLASSES)
  final = {'seconds': 2.5, 'test': {'map_macro': 0.0}, 'validation': {'map_macro': 0.0}}
  (folder / 'metrics.json').write_text(json.dumps(final))
  return folder
