"""How near the genre mapper comes to a reference: mean Jaccard index of the seed genres of a name.

  python -m experiments.genre_mapper --reference=genremappings_sample.json [--heldout] [--show=20]

The reference is split by the SHA-1 of the name in UTF-8. Rules are written on the even half alone:
of the odd half, which `--heldout` scores, no name is ever shown.
"""

import hashlib
from pathlib import Path

import numpy as np
from absl import flags

from musicjax import command_line
from musicjax.errors import ConfigError
from musicjax.playlist import genres

FLAGS = flags.FLAGS
flags.DEFINE_string('reference', None, 'JSON: {genre: [seed genre, ...]}.')
flags.DEFINE_bool('heldout', False, 'Score the odd half instead of the even one.')
flags.DEFINE_integer('show', 0, 'List so many names of the even half, worst first.')


def is_held_out(name: str) -> bool:
  return hashlib.sha1(name.encode()).digest()[-1] % 2 == 1


def jaccard(found: list[str], expected: list[str]) -> float:
  both = {*found} | {*expected}
  return len({*found} & {*expected}) / len(both) if both else 1.0


def main(_):
  command_line.require('reference')
  if FLAGS.heldout and FLAGS.show:
    raise ConfigError('--show: expected 0 with --heldout, whose names stay unseen')
  reference = genres.read_genre_map(Path(FLAGS.reference))
  half = {name: seeds for name, seeds in reference.items() if is_held_out(name) == FLAGS.heldout}
  found = {name: genres.map_genre(name) for name in half}
  scores = {name: jaccard(found[name], half[name]) for name in half}
  for name in sorted(scores, key=scores.get)[: FLAGS.show]:
    print(f'{scores[name]:.2f} {name}: found {found[name]}, expected {half[name]}')
  values = np.array([*scores.values()])
  error = values.std() / np.sqrt(len(values))
  print(
    f'{"odd" if FLAGS.heldout else "even"} half, {len(values)} names: mean Jaccard '
    f'{values.mean():.3f} ± {error:.3f}, equal sets {np.mean(values == 1):.3f}, '
    f'without a seed genre {np.mean([not seeds for seeds in found.values()]):.3f}'
  )


if __name__ == '__main__':
  command_line.run(main)
