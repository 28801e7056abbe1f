"""What the model sees: a few examples of the first batch, before and after augmentation.

Nothing here augments or normalises: that is `System.prepare`, which the update is made of.
"""

import dataclasses
import itertools
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from musicjax import summaries
from musicjax import workdir as workdir_lib
from musicjax.audio import io
from musicjax.audio.slices import Slices
from musicjax.data import input_pipeline
from musicjax.data.prepared import Prepared
from musicjax.errors import DataError, told_of_full_disk
from musicjax.train_step import Batch

NUM_EXAMPLES = 4
FILE = 'report/examples.json'


@dataclasses.dataclass(frozen=True)
class Example:
  """An example of mel frames, valid frames alone.

  Attributes:
    track: its id.
    seconds: from the track's beginning to the first frame.
    label: of the example.
    augmented_label: what is left of it, or was mixed into it.
    before: [frames, bands] float32, normalised.
    after: [frames, bands] float32, augmented as well.
    decibels: [frames, bands] as stored; None where that is `before` in another unit.
    audio: [samples] float32 of these frames; None where its file is not to be had.
  """

  track: str
  seconds: float
  label: str
  augmented_label: str
  before: np.ndarray
  after: np.ndarray
  decibels: np.ndarray | None
  audio: np.ndarray | None


def has_pictures(parameters: Mapping[str, Any]) -> bool:
  """Whether examples of a dataset with these parameters are mel frames in decibels."""
  return {'front_end', 'offset_db', 'scale_db'} <= parameters.keys()


def write(
  workdir: Path,
  writer: summaries.Writer,
  config,
  prepared: Prepared,
  plan: input_pipeline.Plan,
  prepare: Callable[..., tuple[Batch, Batch]],
) -> None:
  """Draws examples of the first update into `report/` and TensorBoard, with their sound there.

  Args:
    workdir: of the run.
    writer: of its summaries.
    config: resolved.
    prepared: the dataset; nothing is written for one that is no mel frames.
    plan: of training.
    prepare: of `System`.
  """
  if not has_pictures(prepared.parameters):
    return
  from musicjax import plots  # With matplotlib, which no start should wait for.

  front_end = prepared.parameters['front_end']
  rows = []
  for number, example in enumerate(first_examples(config, prepared, plan, prepare), 1):
    name = f'example_{number}.png'
    picture = plots.draw_example(
      example, front_end, _unit(prepared.parameters, example), title=f'{number}  {example.track}'
    )
    with told_of_full_disk(workdir / 'report'):
      (workdir / 'report').mkdir(exist_ok=True)
      (workdir / 'report' / name).write_bytes(picture)
    writer.write_images(0, {f'examples/{number}': picture})
    if example.audio is not None:
      writer.write_audio(0, {f'examples/{number}/sound': example.audio}, front_end['sample_rate'])
    samples = len(example.before) * front_end['hop_length']
    if example.audio is not None:
      samples = len(example.audio)  # Frames reach beyond the end.
    end = example.seconds + samples / front_end['sample_rate']
    rows.append({
      'track': example.track, 'start': example.seconds, 'end': end, 'label': example.label,
      'augmented_label': example.augmented_label, 'audio': example.audio is not None, 'file': name,
    })  # fmt: skip
  workdir_lib.write_json(workdir / FILE, rows)


def first_examples(
  config, prepared: Prepared, plan: input_pipeline.Plan, prepare: Callable[..., tuple[Batch, Batch]]
) -> list[Example]:
  """Returns the first examples of the first micro-batch of the first update."""
  first = plan(0)
  micro_plan = input_pipeline.StepPlan(first.rows[0], first.starts[0], first.lengths[0], first.time)
  micro = input_pipeline.plain_batch(prepared, micro_plan)
  # All of the micro-batch: examples are mixed with others, and random numbers depend on its size.
  before, after = jax.device_get(prepare(np.int32(0), np.int32(0), micro))
  parameters, hop = prepared.parameters, prepared.parameters['front_end']['hop_length']
  sample_rate = parameters['front_end']['sample_rate']
  examples = []
  for i in range(min(NUM_EXAMPLES, len(micro_plan.rows))):
    row, start, length = (int(part[i]) for part in micro_plan[:3])
    track = str(prepared.index.tracks[row])
    slice_number = _slice_number(str(prepared.index.ids[row]), track)
    slice_seconds = slice_number * parameters.get('slices', {}).get('hop_seconds', 0.0)
    normalised = not np.array_equal(before['inputs'][i], micro['inputs'][i])
    frames = micro['inputs'][i, :length]
    examples.append(
      Example(
        track=track,
        seconds=slice_seconds + start * hop / sample_rate,
        label=describe(micro['labels'][i], prepared.label_names),
        augmented_label=describe(after['labels'][i], prepared.label_names),
        before=before['inputs'][i, :length],
        after=after['inputs'][i, : after['lengths'][i]],
        decibels=frames * parameters['scale_db'] - parameters['offset_db'] if normalised else None,
        audio=_audio(config, parameters, track, slice_number, start * hop, length * hop),
      )
    )
  return examples


def describe(label: np.ndarray, names) -> str:
  """Returns [classes] weights as text: 'rock', 'rock, sad', '0.63 rock + 0.37 pop'."""
  given = np.flatnonzero(label > 0.005)
  if (label[given] == 1).all():
    return ', '.join(names[c] for c in given) or 'none'
  heaviest = given[np.argsort(-label[given], kind='stable')]
  parts = [f'{label[c]:.2f} {names[c]}' for c in heaviest[:4]]
  return ' + '.join([*parts, '…'] if len(given) > 4 else parts)


def _slice_number(example: str, track: str) -> int:
  """Of an example `track#0012`; 0 where examples are whole tracks."""
  match = re.fullmatch(re.escape(track) + r'#(\d+)', example)
  return int(match[1]) if match else 0


def _audio(
  config, parameters: Mapping[str, Any], track: str, number: int, start: int, samples: int
) -> np.ndarray | None:
  """Returns what a slice's frames were made from, decoded from the file that the track's id names.

  Args:
    config: its `data_dir` holds the files.
    parameters: of the dataset.
    track: id of the track.
    number: of the slice.
    start: first sample in the slice.
    samples: taken; at the end of a slice there are fewer.
  """
  path = Path(config.data_dir, track)
  if 'slices' not in parameters or not path.is_file():
    return None
  rule = Slices(**parameters['slices'])
  blocks = io.blocks(path, rule.sample_rate, channels=parameters['channels'])
  try:
    _, piece = next(itertools.islice(rule.stream(blocks), number, None))
  except (DataError, StopIteration):  # Not the file that was prepared.
    return None
  return piece[start : start + samples]


def _unit(parameters: Mapping[str, Any], example: Example) -> str:
  """Returns what the numbers are that enter the model."""
  if example.decibels is not None:
    return 'standard deviations'
  return f'(dB + {parameters["offset_db"]:g}) / {parameters["scale_db"]:g}'
