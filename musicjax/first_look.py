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
from musicjax.audio import front_ends, io
from musicjax.audio.slices import Slices
from musicjax.data import input_pipeline, plans
from musicjax.data.prepared import Prepared
from musicjax.errors import DataError, told_of_full_disk
from musicjax.train_step import Batch

NUM_EXAMPLES = 4
FILE = 'report/examples.json'


@dataclasses.dataclass(frozen=True)
class Example:
  """An example of log-mel frames, valid frames alone.

  Attributes:
    track: its id.
    seconds: from the beginning of what is stored of the track to the first frame.
    label: of the example.
    augmented_label: what is left of it, or was mixed into it.
    before: [frames, bands] float32, normalised.
    after: [frames, bands] float32, augmented as well.
    decibels: [frames, bands], not normalised; None where that is `before` in another unit.
    audio: [samples] float32 of these frames; None where it is not to be had.
  """

  track: str
  seconds: float
  label: str
  augmented_label: str
  before: np.ndarray
  after: np.ndarray
  decibels: np.ndarray | None
  audio: np.ndarray | None


@dataclasses.dataclass(frozen=True)
class View:
  """What log-mel frames a model sees: `LogMel` of `fields`, as (dB + offset) / scale.

  Attributes:
    hop: samples between what is stored as frames.
  """

  fields: Mapping[str, Any]
  offset: float
  scale: float
  hop: int


def find_view(config, parameters: Mapping[str, Any]) -> View | None:
  """Returns what frames the model of a run sees; None where these are no log-mel.

  Args:
    config: of the run.
    parameters: of its dataset.
  """
  if config.front_end.name == 'log_mel':
    fields = {name: value for name, value in config.front_end.items() if name != 'name'}
    fields['sample_rate'] = parameters['sample_rate']
    return View(fields, front_ends.OFFSET_DB, front_ends.SCALE_DB, hop=1)
  if 'front_end' in parameters:
    fields = parameters['front_end']
    hop = fields['hop_length']
    return View(fields, parameters['offset_db'], parameters['scale_db'], hop)
  return None


def write(
  workdir: Path,
  writer: summaries.Writer,
  config,
  prepared: Prepared,
  plan: plans.Plan,
  prepare: Callable[..., tuple[Batch, Batch]],
) -> None:
  """Draws examples of the first update into `report/` and TensorBoard, with their sound there.

  Args:
    workdir: of the run.
    writer: of its summaries.
    config: resolved.
    prepared: the dataset; nothing is written where the model sees no log-mel frames of it.
    plan: of training.
    prepare: of `System`.
  """
  view = find_view(config, prepared.parameters)
  if view is None:
    return
  from musicjax import plots  # With matplotlib, which no start should wait for.

  front_end = view.fields
  rows = []
  for number, example in enumerate(first_examples(config, prepared, plan, prepare), 1):
    name = f'example_{number}.png'
    picture = plots.draw_example(
      example, front_end, _unit(view, example), title=f'{number}  {example.track}'
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
  config, prepared: Prepared, plan: plans.Plan, prepare: Callable[..., tuple[Batch, Batch]]
) -> list[Example]:
  """Returns the first examples of the first micro-batch of the first update."""
  first = plan(0)
  micro_plan = plans.StepPlan(first.rows[0], first.starts[0], first.lengths[0], first.time)
  micro = input_pipeline.plain_batch(prepared, micro_plan)
  # All of the micro-batch: examples are mixed with others, and random numbers depend on its size.
  before, after = jax.device_get(prepare(np.int32(0), np.int32(0), micro))
  seen = jax.device_get(front_ends.create(config)(micro))
  parameters, view = prepared.parameters, find_view(config, prepared.parameters)
  examples = []
  for i in range(min(NUM_EXAMPLES, len(micro_plan.rows))):
    row, start, length = (int(part[i]) for part in micro_plan[:3])
    track = str(prepared.index.tracks[row])
    slice_number = _slice_number(str(prepared.index.ids[row]), track)
    slice_seconds = slice_number * parameters.get('slices', {}).get('hop_seconds', 0.0)
    frames = seen['inputs'][i, : seen['lengths'][i]]
    decibels = frames * view.scale - view.offset
    normalised = not np.array_equal(before['inputs'][i], seen['inputs'][i])
    if config.front_end.name:
      audio = micro['inputs'][i, :length] / np.float32(front_ends.FULL_SCALE)
    else:
      audio = _audio(config, parameters, track, slice_number, start * view.hop, length * view.hop)
    examples.append(
      Example(
        track=track,
        seconds=slice_seconds + start * view.hop / view.fields['sample_rate'],
        label=describe(micro['labels'][i], prepared.label_names),
        augmented_label=describe(after['labels'][i], prepared.label_names),
        before=before['inputs'][i, : before['lengths'][i]],
        after=after['inputs'][i, : after['lengths'][i]],
        decibels=decibels if normalised else None,
        audio=audio,
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


def _unit(view: View, example: Example) -> str:
  """Returns what the numbers are that enter the model."""
  if example.decibels is not None:
    return 'standard deviations'
  return f'(dB + {view.offset:g}) / {view.scale:g}'
