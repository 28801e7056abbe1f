"""Scores every example of a split exactly once, on any number of hosts."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from musicjax import averages, metrics, processes, sharding, system, tasks
from musicjax import workdir as workdir_lib
from musicjax.checkpoints import Checkpoints
from musicjax.data import array_records, device_batches, plans
from musicjax.data.prepared import Prepared


@dataclasses.dataclass(frozen=True)
class Scores:
  """Scores of tracks, ascending by id.

  Attributes:
    ids: [n] str.
    scores: [n, classes] float64 probabilities, or targets, the average over a track's examples.
    labels: [n, classes] bool, or targets float32.
    losses: [n] float64, of each track the mean over its examples.
    loss: mean loss of the examples.
  """

  ids: np.ndarray
  scores: np.ndarray
  labels: np.ndarray
  losses: np.ndarray
  loss: float

  def metrics(self, task: tasks.Task) -> dict[str, float]:
    """Returns `loss`, of classes `true_positive_ratio`, and the task's metrics."""
    values = {'loss': self.loss}
    if task.decide:
      decisions = task.decide(self.scores)
      values['true_positive_ratio'] = metrics.true_positive_ratio(decisions, self.labels)
    return values | task.metrics(self.scores, self.labels)


def evaluate_checkpoint(workdir: Path, config, which: str) -> dict[str, Any]:
  """Scores a checkpoint of a run on validation and test; returns {step, validation, test}.

  Raises:
    ConfigError: if there is no such checkpoint, or the data is not what the run was trained on.
  """
  system.check(config)
  mesh = sharding.make_mesh()
  prepared = processes.main_first(lambda: array_records.prepare(config))
  dataset = workdir_lib.read_dataset(workdir, prepared)
  parts = system.create(config, dataset, mesh)
  state = Checkpoints(workdir / 'checkpoints', read_only=True).restore(
    which, jax.eval_shape(parts.init), sharding.replicated(mesh)
  )
  variables, result = parts.precompute(state.eval_variables), {'step': int(state.step)}
  rows = plans.split_rows(prepared.index, config)
  sharding.local_rows(mesh, config.eval_batch_size, 'eval_batch_size')
  read = device_batches.make_read(prepared, config, mesh)
  for split in ('validation', 'test'):
    scores = evaluate(parts.eval_step, variables, prepared, rows[split], config, read)
    result[split] = scores.metrics(parts.task)
  return result


def evaluate(
  eval_step: Callable[..., dict[str, jax.Array]],
  variables: dict[str, Any],
  prepared: Prepared,
  rows: np.ndarray,
  config,
  read: device_batches.Read,
  stop: Callable[[], bool] = lambda: False,
) -> Scores | None:
  """Scores the examples `rows` of a dataset.

  Args:
    eval_step: jitted, with replicated results.
    variables: of the model.
    prepared: the dataset.
    rows: of its index.
    config: of the run.
    read: of `device_batches.make_read`.
    stop: asked before every batch; at the same one it must be true in all processes.

  Returns:
    The scores; None where `stop` was true before they were complete.

  Raises:
    FloatingPointError: a score is NaN or infinite.
  """
  plan, steps = plans.eval_plan(prepared.index, rows, config)
  parts = []
  for batch in read(plan, range(steps)):
    if stop():
      return None
    parts.append(jax.device_get(eval_step(variables, batch)))
  index, scores, losses = (
    np.concatenate([part[key] for part in parts]) for key in ('index', 'scores', 'loss')
  )
  real = index >= 0
  planned = np.concatenate([plan(step).rows for step in range(steps)])
  planned = planned[planned >= 0]
  average = averages.create(config)
  return by_track(prepared, planned, index[real], scores[real], losses[real], average)


def by_track(
  prepared: Prepared,
  rows: np.ndarray,
  index: np.ndarray,
  scores: np.ndarray,
  losses: np.ndarray,
  average: averages.Average = averages.ARITHMETIC,
) -> Scores:
  """Puts scored examples in order of id and averages those of one track in float64.

  Args:
    prepared: the dataset.
    rows: [m] that were to be scored, as often as they have spans.
    index: [m] rows that were, in any order.
    scores: [m, classes].
    losses: [m].
    average: of the scores of a track.

  Raises:
    FloatingPointError: if a score is NaN or infinite.
    RuntimeError: if an example was scored twice or not at all.
  """
  order = np.argsort(index, kind='stable')  # Rows of the index ascend by id.
  index, scores = index[order], scores[order].astype(np.float64)
  losses = losses[order].astype(np.float64)
  if not np.array_equal(index, np.sort(rows)):
    raise RuntimeError(
      f'evaluation: expected {len(rows)} examples once each, found '
      f'{len(index)} scores of {len(np.unique(index))} examples'
    )
  if len(bad := np.flatnonzero(~np.isfinite(scores).all(axis=1))):
    raise FloatingPointError(
      f'evaluation: expected finite scores, found NaN or Inf for {len(bad)} of {len(rows)} '
      f'examples, the first of them {prepared.index.ids[index[bad[0]]]}'
    )
  ids, first, track_of = np.unique(
    prepared.index.tracks[index], return_index=True, return_inverse=True
  )
  sums = np.zeros((len(ids), scores.shape[1]))
  np.add.at(sums, track_of, average.terms(scores))
  count = np.bincount(track_of)
  return Scores(
    ids=ids,
    scores=average.scores(sums / count[:, None]),
    labels=prepared.index.labels[index[first]],
    losses=np.bincount(track_of, losses) / count,
    loss=float(losses.mean()),
  )
