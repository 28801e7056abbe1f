"""How far classical features go on Emotify: a support vector machine on statistics of 15 s.

The folds are those of `configs/spectrogram_cnn.py`: each tests once, the next one chooses the
regularisation, the rest trains. Features are cepstral coefficients of the log-mel frames: their
mean and deviation, those of their differences in time, and their energy in bands of modulation.
Takes some 10 s on two cores.

  python experiments/emotify_reference.py DIR
"""

import itertools
import sys

import numpy as np
import scipy.fft
from sklearn import pipeline, preprocessing, svm

from configs import spectrogram_cnn
from musicjax.data import splits
from musicjax.data.builders import audio
from musicjax.data.source import read

_COEFFICIENTS = 20
_MODULATION = (0.3, 0.6, 1.2, 2.4, 3.6, 4.8, 7.0, 10.0, 14.0, 20.0)  # Hz, edges of bands.


def main():
  config = spectrogram_cnn.get_config()
  config.data_dir = sys.argv[1]
  config.dataset.update(seconds=15.0, hop_seconds=15.0, hop_length=512)
  source = audio.load(config)
  rate = config.dataset.sample_rate / config.dataset.hop_length  # Frames a second.
  features = np.stack([
    describe(x[0].astype(np.float32), rate)
    for _, x in read(source.keys, source.decode, source.features)
  ])  # fmt: skip
  genres = np.argmax(source.labels, axis=1)
  folds = splits.assign_folds(source.groups, source.labels, config.num_folds, config.split_seed)

  validation, test = [], []
  for fold in range(config.num_folds):
    rows = splits.split_rows(folds, fold, config.num_folds)
    scores = {}
    for c in (0.1, 1.0, 10.0):
      model = pipeline.make_pipeline(preprocessing.StandardScaler(), svm.SVC(C=c))
      model.fit(features[rows['train']], genres[rows['train']])
      scores[c] = [model.score(features[rows[s]], genres[rows[s]]) for s in ('validation', 'test')]
    chosen = max(scores, key=lambda c: scores[c][0])
    validation.append(scores[chosen][0])
    test.append(scores[chosen][1])
    print(f'fold {fold}: C {chosen}, validation {validation[-1]:.3f}, test {test[-1]:.3f}')
  print(
    f'accuracy of {len(genres)} tracks: validation {np.mean(validation):.4f}, '
    f'test {np.mean(test):.4f} (folds {np.std(test, ddof=1):.4f} apart)'
  )


def describe(frames: np.ndarray, rate: float) -> np.ndarray:
  """Log-mel frames `[time, mel]`, so many a second, to the features of a track."""
  cepstrum = scipy.fft.dct(frames, axis=1, norm='ortho')[:, :_COEFFICIENTS]
  moments = [f(x, axis=0) for x in (cepstrum, np.diff(cepstrum, axis=0)) for f in (np.mean, np.std)]
  power = np.abs(np.fft.rfft(cepstrum - cepstrum.mean(axis=0), axis=0)) ** 2
  frequency = np.fft.rfftfreq(len(cepstrum), 1 / rate)
  modulation = [
    np.log(power[(frequency >= low) & (frequency < high)].mean(axis=0) + 1e-7)
    for low, high in itertools.pairwise(_MODULATION)
  ]
  return np.concatenate([*moments, *modulation])


if __name__ == '__main__':
  main()
