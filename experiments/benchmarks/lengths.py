"""What lengths like the real ones cost in training, over the same frames without padding.

  python -m experiments.benchmarks.lengths --network=NETWORK [--rounds=9]

Plans an epoch of the competition's size with and without buckets and crops, times updates of a
Yandex config at every padded length that occurs, in turns, and weighs these times by how often it
does. Against them stand as many frames in tracks that are all as long as their mean. What packing
would give is computed from these times. Writes lengths_NETWORK.md.
"""

import collections
import concurrent.futures
import os
import time
import types
from pathlib import Path
from typing import NamedTuple

import numpy as np
from absl import app, flags

from configs import yandex
from experiments.benchmarks import machine, yandex_lengths
from musicjax import backends
from musicjax.data import plans

FLAGS = flags.FLAGS
# Network -> variant of configs/yandex.py.
_VARIANTS = {'published': 'baseline', 'ours': ''}
flags.DEFINE_enum('network', None, list(_VARIANTS), 'What is trained.', required=True)
flags.DEFINE_integer('rounds', 9, 'Of which medians are taken.')
flags.DEFINE_integer('micro', 32, 'Examples of a timed update.')


class Epoch(NamedTuple):
  """Batches of an epoch.

  Attributes:
    told: how they are made.
    padded: padded length -> rows of it.
    frames: that are real, of all tracks.
    mean: of the real frames of a track, rounded.
  """

  told: str
  padded: collections.Counter[int]
  frames: int
  mean: int


def plan_epoch(variant: str, crop: int, buckets: tuple[int, ...], lengths: np.ndarray) -> Epoch:
  """Returns an epoch as a config plans it."""
  config = yandex.get_config(variant)
  told = [f'spans of {crop}'] * bool(crop) + ['buckets'] * bool(buckets)
  told = ' in '.join(told) or 'padded to the longest'
  if (crop, buckets) == (config.crop_frames, config.buckets):
    told = f'**{told}, as configured**'
  config.crop_frames, config.buckets = crop, buckets
  index = types.SimpleNamespace(lengths=lengths)
  plan = plans.train_plan(index, np.arange(len(lengths)), config)
  padded, frames = collections.Counter(), 0
  for step in map(plan, range(len(lengths) // config.batch_size)):
    padded[step.time] += step.rows.size
    frames += int(step.lengths.sum())
  return Epoch(told, padded, frames, round(frames / padded.total()))


def pack(batch: int, lengths: np.ndarray) -> Epoch:
  """Returns an epoch whose batches are packed, first-fit, into rows as long as the longest track.

  All batches have as many rows as the fullest one needs: they share a program.
  """
  size, steps = int(lengths.max()), len(lengths) // batch
  batches = np.random.default_rng(0).permutation(lengths)[: steps * batch].reshape(steps, batch)
  most = 0
  for tracks in batches:
    free = np.full(batch, size)
    for frames in tracks:
      free[np.argmax(free >= frames)] -= frames
    most = max(most, int((free < size).sum()))
  padded = collections.Counter({size: steps * most})
  return Epoch('packed, computed', padded, int(batches.sum()), round(batches.mean()))


def time_updates(variant: str, lengths: list[int]) -> dict[int, np.ndarray]:
  """Returns [rounds] seconds of an update, by padded length."""
  from experiments.benchmarks import gpu_steps

  step = gpu_steps.make(variant, 'float32', gpu_steps.Sizes(), batch=FLAGS.micro, accumulate=1)
  lowered = [step.lower(length) for length in lengths]
  with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
    updates = list(pool.map(lambda program: program.compile(), lowered))
  batches = list(map(step.random_batch, lengths))
  state = step.parts.init()
  seconds = {length: [] for length in lengths}
  for i in range(FLAGS.rounds + 1):
    for k in range(len(lengths))[:: 1 if i % 2 else -1]:
      start = time.perf_counter()
      state, metrics = updates[k](state, batches[k])
      metrics['loss'].block_until_ready()
      seconds[lengths[k]].append(time.perf_counter() - start)
  return {length: np.array(measured[1:]) for length, measured in seconds.items()}


def main(argv):
  del argv
  described = machine.describe()
  backends.set_up()
  variant = _VARIANTS[FLAGS.network]
  config = yandex.get_config(variant)
  lengths = yandex_lengths.draw(np.random.default_rng(2), yandex_lengths.TRACKS)
  epochs = [
    plan_epoch(variant, crop, buckets, lengths)
    for crop in (0, 60)
    for buckets in ((), config.buckets)
  ]
  epochs.append(pack(config.batch_size, lengths))
  seconds = time_updates(
    variant, sorted({length for epoch in epochs for length in (*epoch.padded, epoch.mean)})
  )

  rows = [('batches', 'padded to', 'rows / real frames', 'time over no padding', 'an epoch, min')]
  for epoch in epochs:
    taken = sum(count * seconds[length] for length, count in epoch.padded.items())
    whole = epoch.frames / epoch.mean * seconds[epoch.mean]
    low, middle, high = np.quantile(taken / whole, (0.25, 0.5, 0.75))
    rows.append(
      (
        epoch.told,
        ', '.join(map(str, sorted(epoch.padded))),
        f'{sum(length * count for length, count in epoch.padded.items()) / epoch.frames:.2f}',
        f'**{middle:.2f}** ({low:.2f}..{high:.2f})',
        f'{np.median(taken) / FLAGS.micro / 60:.1f}',
      )
    )
  machine.write_table(
    Path(__file__).with_name(f'lengths_{FLAGS.network}.md'),
    f'Lengths like the real ones, network {FLAGS.network}',
    f'`python -m experiments.benchmarks.lengths --network={FLAGS.network} '
    f'--rounds={FLAGS.rounds}`: an epoch of {len(lengths)} tracks of {lengths.min()} to '
    f'{lengths.max()} frames, mean {lengths.mean():.0f}, planned by plans.py in batches of '
    f'{config.batch_size}; updates at full size in float32, but of {FLAGS.micro} examples, one for '
    'each padded length, weighed by how often it occurs. No padding: as many frames in tracks that '
    'are all as long as their mean. Medians (quartiles) of rounds in turns; the epoch is its '
    f'updates added up; {described}.\n'
    'Spans are compared with the frames that they train on, fewer than all. Packing is not built: '
    "first-fit of a batch's tracks into as many rows as the fullest batch needs, of the longest "
    "track's length, at the measured time of such rows.",
    rows,
  )


if __name__ == '__main__':
  app.run(main)
