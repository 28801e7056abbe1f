"""What a model of pictures sees and looks at, drawn for the report and TensorBoard."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from musicjax import sharding
from musicjax.data import input_pipeline, plans
from musicjax.data.plans import StepPlan
from musicjax.data.prepared import Prepared
from musicjax.train_step import Batch

NUM_DISTORTED, NUM_ATTENDED = 6, 12  # Pictures that are drawn.


def has_pictures(parameters: Mapping[str, Any]) -> bool:
  """Whether examples of a dataset with these parameters are RGB pictures in 0..255."""
  return 'image_size' in parameters


def write_distortions(
  workdir: Path,
  prepared: Prepared,
  plan: plans.Plan,
  prepare: Callable[..., tuple[Batch, Batch]],
) -> None:
  """Draws pictures of the first micro-batch, stored and augmented: `report/distortions.png`.

  Args:
    workdir: of the run.
    prepared: the dataset; nothing is drawn for one without pictures.
    plan: of training.
    prepare: of `System`.
  """
  if not has_pictures(prepared.parameters):
    return
  from musicjax import plots_targets  # With matplotlib, which no start should wait for.

  first = plan(0)
  micro = input_pipeline.plain_batch(
    prepared, StepPlan(first.rows[0], first.starts[0], first.lengths[0], first.time)
  )
  # All of the micro-batch: random numbers depend on its size.
  _, after = jax.device_get(prepare(np.int32(0), np.int32(0), micro))
  (workdir / 'report').mkdir(exist_ok=True)
  before, after = (inputs[:NUM_DISTORTED] for inputs in (micro['inputs'], after['inputs']))
  plots_targets.save_distortions(workdir / 'report/distortions.png', before, after)


def write_attention(
  workdir: Path,
  look: Callable[..., dict[str, Any]],
  variables: dict[str, Any],
  prepared: Prepared,
  scored,
) -> None:
  """Draws what the model attends to, from the lowest loss to the highest: `report/attention.png`.

  Args:
    workdir: of the run.
    look: of `System`; nothing is drawn for a model that shows no `attention`.
    variables: of the model.
    prepared: the dataset; nothing is drawn for one without pictures.
    scored: `evaluate.Scores` of the split to draw.
  """
  if not has_pictures(prepared.parameters):
    return
  order = np.argsort(scored.losses, kind='stable')
  chosen = order[np.linspace(0, len(order) - 1, min(NUM_ATTENDED, len(order))).astype(int)]
  row_of = {track: row for row, track in enumerate(prepared.index.tracks.tolist())}
  rows = np.array([row_of[track] for track in scored.ids[chosen].tolist()])
  lengths = prepared.index.lengths[rows]
  plan = StepPlan(rows, np.zeros_like(lengths), lengths, int(lengths.max()))
  batch = input_pipeline.plain_batch(prepared, plan)
  shown = jax.device_get(look(variables, batch)).get('intermediates', {})
  if 'attention' not in shown or not sharding.is_main_process():
    return
  from musicjax import plots_targets

  named = zip(scored.losses[chosen], scored.ids[chosen], strict=True)
  titles = [f'{loss:.2f}  {track}' for loss, track in named]
  (attention,) = shown['attention']
  (workdir / 'report').mkdir(exist_ok=True)
  plots_targets.save_attention(workdir / 'report/attention.png', batch['inputs'], attention, titles)
