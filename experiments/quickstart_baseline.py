"""How far timbre alone goes on the quickstart data: logistic regression on pooled log-mel.

Prints the 5-fold cross-validated accuracy on the mean over time of a track's log-mel bands, and on
mean and standard deviation. Takes about 30 s on two cores.

  python experiments/quickstart_baseline.py
"""

import time

import numpy as np
from ml_collections import ConfigDict
from sklearn import linear_model, model_selection, pipeline, preprocessing

from musicjax.data.builders import quickstart
from musicjax.data.source import read


def main():
  start = time.time()
  source = quickstart.load(
    ConfigDict({'dataset': {'name': 'quickstart', 'num_tracks': 1400, 'seed': 0}})
  )
  inputs = [x for _, x in read(source.keys, source.decode, source.features)]
  print(f'{len(inputs)} tracks prepared in {time.time() - start:.1f} s')
  mean = np.stack([x.mean(axis=0) for x in inputs])
  deviation = np.stack([x.std(axis=0) for x in inputs])
  genres = np.argmax(source.labels, axis=1)
  folds = model_selection.StratifiedKFold(5, shuffle=True, random_state=0)
  for name, features in (('mean', mean), ('mean and std', np.hstack([mean, deviation]))):
    model = pipeline.make_pipeline(
      preprocessing.StandardScaler(), linear_model.LogisticRegression(max_iter=2000)
    )
    accuracies = model_selection.cross_val_score(model, features, genres, cv=folds)
    print(f'{name}: accuracy {accuracies.mean():.3f} (folds {accuracies.std():.3f} apart)')


if __name__ == '__main__':
  main()
