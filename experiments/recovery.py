"""Does the network find what covers show? Covers drawn from known features, scored on others.

  python experiments/recovery.py --workdir=DIR      # about 15 minutes on two cores

Four of the eight features are drawn: how many discs there are, how large they are, how far from the
centre, and how dense the stripes behind them. They survive what covers are distorted by in
training: place, angle, colours and contrast are random. The other four are random numbers that no
cover shows, of which nothing can be found. Prints R^2 on the test fold, not distorted, of
`configs/pressed_play.py` and of its `:baseline`.
"""

import argparse
import io
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw

from configs import pressed_play
from musicjax import regression, train
from musicjax.data.builders.covers import FEATURES
from musicjax.markdown import number, table

# Feature -> its range, and the code that it is drawn as.
DRAWN = {
  'energy': ((0.0, 1.0), 'discs'),
  'danceability': ((0.0, 1.0), 'size'),
  'valence': ((0.0, 1.0), 'distance'),
  'loudness': ((-40.0, 0.0), 'stripes'),
}


def draw(rng: np.random.Generator, codes: dict[str, float], size: int) -> Image.Image:
  """Draws a cover.

  Args:
    rng: for all that codes do not say.
    codes: `discs`, `size`, `distance` and `stripes` in 0..1.
    size: pixels of a side.
  """
  light = rng.integers(130, 200, 3)
  y, x = np.mgrid[:size, :size] / size - 0.5
  angle = rng.uniform(0, np.pi)
  cycles = 3 + 9 * codes['stripes']
  wave = np.sin(2 * np.pi * (cycles * (np.cos(angle) * x + np.sin(angle) * y) + rng.random()))
  paper = (light + 25 * wave[..., None]).clip(0, 255).astype(np.uint8)
  image = Image.fromarray(paper)
  pen = ImageDraw.Draw(image)
  count = 1 + round(7 * codes['discs'])
  radius = size * (0.03 + 0.05 * codes['size'])
  distance = size * (0.12 + 0.25 * codes['distance'])
  colour = tuple(rng.integers(0, 60, 3).tolist())
  for turn in rng.permutation(8)[:count] / 8 * 2 * np.pi + rng.uniform(0, 2 * np.pi):
    centre = size / 2 + distance * np.array([np.cos(turn), np.sin(turn)])
    pen.ellipse([*(centre - radius), *(centre + radius)], fill=colour)
  return image


def write_covers(path: Path, count: int, size: int, seed: int = 0) -> None:
  """Writes a Parquet file of covers as the builder reads it."""
  rng = np.random.default_rng(seed)
  covers, features = [], []
  for _ in range(count):
    shares = rng.random(len(FEATURES))
    codes = {code: shares[FEATURES.index(name)] for name, (_, code) in DRAWN.items()}
    codes['discs'] = round(7 * codes['discs']) / 7
    shares[FEATURES.index('energy')] = codes['discs']
    ranges = [DRAWN.get(name, ((0.0, 1.0), ''))[0] for name in FEATURES]
    features.append([low + (high - low) * s for s, (low, high) in zip(shares, ranges, strict=True)])
    file = io.BytesIO()
    draw(rng, codes, size).save(file, 'JPEG', quality=90)
    covers.append(file.getvalue())
  path.parent.mkdir(parents=True, exist_ok=True)
  pd.DataFrame({'cover': covers, 'features': features}).to_parquet(path)


def score(variant: str, folder: Path, workdir: Path, epochs: float, size: int) -> dict[str, float]:
  """Trains a variant, and returns R^2 on the test fold, by feature."""
  config = pressed_play.get_config(variant)
  config.data_dir, config.prepared_dir = str(folder), str(folder / 'prepared')
  config.dataset.image_size = size
  config.num_epochs = epochs
  train.train_and_evaluate(config, workdir)
  found = pd.read_csv(workdir / 'predictions/out_of_fold_tracks.csv')
  names = list(FEATURES)
  r2 = regression.r2(found[names], found[[f'{name}_true' for name in names]])
  return dict(zip(names, r2.tolist(), strict=True))


def main():
  parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
  parser.add_argument('--workdir', type=Path, required=True)
  parser.add_argument('--covers', type=int, default=2000)
  parser.add_argument('--epochs', type=float, default=60)
  parser.add_argument('--image_size', type=int, default=64)
  args = parser.parse_args()
  folder = args.workdir / 'covers'
  write_covers(folder / 'covers.parquet', args.covers, 2 * args.image_size)
  scores = {
    variant or 'ours': score(
      variant, folder, args.workdir / (variant or 'ours'), args.epochs, args.image_size
    )
    for variant in ('', 'baseline')
  }
  order = sorted(FEATURES, key=lambda name: name not in DRAWN)
  rows = []
  for name in order:
    drawn_as = DRAWN[name][1] if name in DRAWN else 'not drawn'
    rows.append([name, drawn_as, *(number(found[name], 3) for found in scores.values())])
  print(table(['feature', 'drawn as', *scores], rows, num_texts=2))


if __name__ == '__main__':
  main()
