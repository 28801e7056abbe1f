"""What an update of the published Yandex network costs on CPU, in time and memory, by its sizes.

  python -m experiments.benchmarks.scaling [--rounds=5]

Batch, length, width and depth grow one at a time, in float32, with augmentation. Writes scaling.md,
scaling.png, and what an epoch of the competition's size would take.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from absl import app, flags

from experiments.benchmarks import machine, yandex_lengths
from musicjax import backends, drawing

FLAGS = flags.FLAGS
flags.DEFINE_integer('rounds', 5, 'Of which medians are taken.')

_BASE = (32, 60, 768, 1)
# Of which one at a time differs from the base.
_SIZES = {
  'batch': (8, 16, 32, 64),
  'frames': (15, 30, 60, 120),
  'width': (192, 384, 768),
  'encoder layers': (1, 2, 4),
}


class Cost(NamedTuple):
  """Of an update.

  Attributes:
    seconds: [rounds].
    state: bytes of the train state.
    batch: bytes of the batch.
    temporaries: bytes of what is held in between.
  """

  seconds: np.ndarray
  state: int
  batch: int
  temporaries: int

  @property
  def milliseconds(self) -> float:
    return 1000 * float(np.median(self.seconds))

  @property
  def gigabytes(self) -> float:
    return (self.state + self.batch + self.temporaries) / 1e9


def measure(batch: int, frames: int, width: int, layers: int) -> Cost:
  import jax

  from experiments.benchmarks import gpu_steps

  sizes = gpu_steps.Sizes(frames, width)
  step = gpu_steps.make('baseline', 'float32', sizes, batch, accumulate=1, layers=layers)
  step.programs[frames] = step.lower(frames).compile()
  step.feed()
  state, fed = (
    sum(leaf.nbytes for leaf in jax.tree.leaves(tree)) for tree in (step.state, step.batch)
  )
  step.run(1)
  seconds = np.array([step.run(1) for _ in range(FLAGS.rounds)])
  return Cost(seconds, state, fed, step.programs[frames].memory_analysis().temp_size_in_bytes)


def draw(costs: dict[tuple[int, ...], Cost], path: Path) -> None:
  """Draws time above memory, a column for each size; both axes grow by factors."""
  figure = drawing.figure(12.0, 5.4)
  charts = drawing.grid(figure, 8, 4)
  for axis, (name, x) in enumerate(_SIZES.items()):
    sizes = [(*_BASE[:axis], value, *_BASE[axis + 1 :]) for value in x]
    time, memory = charts[axis], charts[4 + axis]
    time.plot(x, [costs[s].milliseconds for s in sizes], 'o-', color=drawing.BLUE)
    memory.plot(x, [costs[s].gigabytes for s in sizes], 'o-', color=drawing.BLUE, label='all')
    for part, color in (('state', drawing.ORANGE), ('temporaries', drawing.GREY)):
      values = [getattr(costs[s], part) / 1e9 for s in sizes]
      memory.plot(x, values, 'o--', color=color, label=part)
    for axes in (time, memory):
      axes.set_xscale('log', base=2)
      axes.set_yscale('log')
      axes.set_xticks(x, x)
    memory.set_xlabel(name)
  charts[0].set_ylabel('ms an update')
  charts[4].set_ylabel('GB')
  charts[4].legend(frameon=False, fontsize=8)
  drawing.save(figure, path)


def main(argv):
  del argv
  described = machine.describe()
  backends.set_up()
  header = (*_SIZES, 'ms (quartiles)', 'ms an example', 'state, MB', 'temporaries, MB', 'GB')
  costs, rows = {}, [header]
  for axis, values in enumerate(_SIZES.values()):
    for value in values:
      sizes = (*_BASE[:axis], value, *_BASE[axis + 1 :])
      if sizes in costs:
        continue
      cost = costs[sizes] = measure(*sizes)
      print(sizes, cost, flush=True)
      low, high = 1000 * np.quantile(cost.seconds, (0.25, 0.75))
      rows.append(
        (
          *(f'**{s}**' if i == axis and sizes != _BASE else s for i, s in enumerate(sizes)),
          f'{cost.milliseconds:.0f} ({low:.0f}..{high:.0f})',
          f'{cost.milliseconds / sizes[0]:.1f}',
          f'{cost.state / 1e6:.0f}',
          f'{cost.temporaries / 1e6:.0f}',
          f'{cost.gigabytes:.2f}',
        )
      )
  page = Path(__file__).with_suffix('.md')
  draw(costs, page.with_suffix('.png'))
  steps = yandex_lengths.TRACKS / _BASE[0]
  machine.write_table(
    page,
    'What an update costs by its sizes',
    f'`python -m experiments.benchmarks.scaling --rounds={FLAGS.rounds}`: the published network in '
    'float32 on CPU, all frames real, with augmentation. Width is that of inputs, encoder and '
    'convolutions; feed-forward and head stay 2048 and 768 wide. Memory is what the update '
    'holds: the state, which is donated and so counted once, the batch and temporaries. Medians of '
    f'{FLAGS.rounds}; {described}.\n\n'
    f'An epoch of the competition, {yandex_lengths.TRACKS} tracks, would take '
    f'**{steps * costs[_BASE].milliseconds / 60_000:.0f} min** of updates of {_BASE[0]} tracks of '
    f'{_BASE[1]} frames (extrapolated; real lengths: lengths_published.md).\n\n'
    '![Time and memory by batch, frames, width and layers](scaling.png)',
    rows,
  )


if __name__ == '__main__':
  app.run(main)
