"""Writes a synthetic set in the layout of Yandex Cup 2023, of its size and shape.

  python -m experiments.benchmarks.make_yandex --out=DIR --tracks=20000 --test_tracks=1000

Lengths have the quartiles of the real ones (43, 53, 68 frames; 10 to 404), a track has 1 to 33 of
256 tags (3.9 on average, with a long tail). Each tag moves a track's embeddings along a direction
of its own, so weakly that ridge regression on their mean over time reaches a macro AP of 0.3.
The same flags give the same bytes. 20,000 tracks take 3.7 GB and half a minute on two cores.
"""

import concurrent.futures
import os
from pathlib import Path

import numpy as np
import pandas as pd
from absl import app, flags

from experiments.benchmarks import yandex_lengths

FLAGS = flags.FLAGS
flags.DEFINE_string('out', None, 'Folder to write.', required=True)
flags.DEFINE_integer('tracks', 20_000, 'Tracks with tags, in train.csv.')
flags.DEFINE_integer('test_tracks', 1000, 'Tracks without, in test.csv.')
flags.DEFINE_integer('width', 768, 'Of the embeddings.')
flags.DEFINE_integer('seed', 0, 'Of everything.')

NUM_TAGS = 256
# Standard deviation of a feature between frames is 1.
_TRACK_STD = 0.25  # Between the means of tracks, tags aside.
_TAG_SHIFT = 0.8  # Length of the vector that a tag adds to its tracks.


def main(argv):
  del argv
  embeddings = Path(FLAGS.out) / 'track_embeddings'
  embeddings.mkdir(parents=True)
  total, width = FLAGS.tracks + FLAGS.test_tracks, FLAGS.width
  rng = np.random.default_rng(FLAGS.seed)
  lengths = yandex_lengths.draw(rng, total)
  tags = _draw_tags(rng, total)
  directions = rng.standard_normal((NUM_TAGS, width), np.float32) * _TAG_SHIFT / width**0.5
  names = [str(name) for name in rng.permutation(total)]

  def write(track):
    noise = np.random.default_rng((FLAGS.seed, track))
    frames = noise.standard_normal((lengths[track], width), np.float32)
    frames += _TRACK_STD * noise.standard_normal(width, np.float32)
    frames += directions[tags[track]].sum(axis=0)
    np.save(embeddings / f'{names[track]}.npy', frames)

  with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
    for _ in pool.map(write, range(total)):
      pass
  train, test = range(FLAGS.tracks), range(FLAGS.tracks, total)
  joined = [','.join(map(str, sorted(tags[track]))) for track in train]
  pd.DataFrame({'track': names[: FLAGS.tracks], 'tags': joined}).to_csv(
    Path(FLAGS.out) / 'train.csv', index=False
  )
  pd.DataFrame({'track': [names[track] for track in test]}).to_csv(
    Path(FLAGS.out) / 'test.csv', index=False
  )

  counts = np.bincount(np.concatenate(tags[: FLAGS.tracks]), minlength=NUM_TAGS)
  quartiles = '/'.join(f'{q:.0f}' for q in np.percentile(lengths, [25, 50, 75]))
  print(
    f'{total} tracks, {4 * width * lengths.sum() / 1e9:.2f} GB; '
    f'frames: {lengths.min()}..{lengths.max()}, mean {lengths.mean():.1f}, quartiles {quartiles}; '
    f'tags a track: {np.mean([len(t) for t in tags]):.2f}; '
    f'tracks a tag: {counts.min()}..{counts.max()}'
  )


def _draw_tags(rng: np.random.Generator, total: int) -> list[np.ndarray]:
  """Returns the tags of each track; the first tracks see to it that every tag occurs."""
  popularity = -np.log(np.arange(NUM_TAGS) + 5.0)
  # The tags of largest log-weight + Gumbel noise: drawn by weight, none twice.
  order = np.argsort(-(popularity + rng.gumbel(size=(total, NUM_TAGS))), axis=1)
  counts = np.minimum(rng.geometric(1 / 3.94, total), 33)
  tags = [row[:count] for row, count in zip(order, counts, strict=True)]
  for tag in range(min(NUM_TAGS, total)):
    tags[tag] = np.union1d(tags[tag][:-1], [tag])
  return tags


if __name__ == '__main__':
  app.run(main)
