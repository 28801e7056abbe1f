"""Trains one config in one workdir, from wherever an earlier start got to."""

import collections
import concurrent.futures
import contextlib
import functools
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from jax.sharding import Mesh
from ml_collections import ConfigDict

from musicjax import (
  backends,
  evaluate,
  processes,
  sharding,
  system,
  tasks,
  thresholds,
  train_state,
)
from musicjax import workdir as workdir_lib
from musicjax.checkpoints import Checkpoints, topology
from musicjax.clock import Clock
from musicjax.data import array_records, device_batches, plans, statistics
from musicjax.errors import ConfigError, DataError
from musicjax.models import pretrained
from musicjax.train_step import Batch

if TYPE_CHECKING:
  from musicjax import summaries

_AHEAD = 8  # Steps the host may run ahead of the losses it has looked at.


def train_and_evaluate(config: ConfigDict, workdir: Path) -> dict[str, Any]:
  """Trains, evaluates, checkpoints and reports; returns what `metrics.json` holds.

  Raises:
    ConfigError: for a config that cannot run, or a workdir of another run.
    DataError: for raw data that cannot be prepared.
    FloatingPointError: naming the first step whose loss is not finite, and its batch.
    StorageError: for a checkpoint or a file that the disk refused.
  """
  with contextlib.ExitStack() as until_the_end:
    processes.on_sigterm_exit()
    until_the_end.callback(processes.on_sigterm_die)
    return _train_and_evaluate(config, workdir, until_the_end)


def _train_and_evaluate(
  config: ConfigDict, workdir: Path, until_the_end: contextlib.ExitStack
) -> dict[str, Any]:
  # Data.
  system.check(config)
  weights = None if workdir_lib.is_trained(workdir) else pretrained.read(config)
  mesh = sharding.make_mesh()
  prepared = processes.main_first(lambda: array_records.prepare(config))
  processes.check_same({'dataset': prepared.fingerprint, **workdir_lib.same_everywhere(config)})
  rows = plans.split_rows(prepared.index, config)
  steps, steps_per_epoch = plans.num_steps(len(rows['train']), config)
  eval_every = config.eval_every_steps or max(1, round(steps_per_epoch))
  starts_from = pretrained.describe(weights)

  def of_training():
    return statistics.describe(prepared, rows['train'], config) | starts_from

  dataset = processes.from_main(
    lambda: workdir_lib.describe(workdir, config, prepared, of_training)
  )
  pretrained.check_same(starts_from, dataset)
  if complete := processes.from_main(lambda: workdir_lib.final_metrics(workdir, steps)):
    say(f'{workdir} is complete at step {complete["steps"]}: nothing to do')
    return complete
  tracks = {split: prepared.index.first_of_tracks(r) for split, r in rows.items()}
  say(
    f'{prepared.fingerprint}: {len(tracks["train"])} training, {len(tracks["validation"])} '
    f'validation and {len(tracks["test"])} test tracks of {len(prepared.index.ids)} examples, '
    f'{len(prepared.label_names)} labels, {len(prepared.skipped)} skipped'
  )

  # Model and state, new or restored.
  parts = system.create(config, dataset, mesh, steps, steps_per_epoch)
  abstract_state = jax.eval_shape(parts.init, weights)
  plan = plans.train_plan(prepared.index, rows['train'], config)
  sharding.local_rows(mesh, config.batch_size // config.accumulate, 'batch_size / accumulate')
  sharding.local_rows(mesh, config.eval_batch_size, 'eval_batch_size')
  read = device_batches.make_read(prepared, config, mesh)
  until_the_end.enter_context(workdir_lib.held(workdir))
  saved = until_the_end.enter_context(
    contextlib.closing(Checkpoints(workdir / 'checkpoints', read_only=False))
  )
  if saved.latest_step is None:
    processes.from_main(lambda: workdir_lib.check_untrained(workdir))
  workdir_lib.claim(workdir, config, dataset, prepared.skipped)  # All that can be refused was.
  processes.check_shared(workdir / 'dataset.json')
  first_step = saved.latest_step or 0
  if first_step > steps:
    raise ConfigError(
      f'num_train_steps: expected at least the {first_step} done in {workdir}, found {steps}'
    )
  # Left to the interpreter's end, a reader in the middle of a batch would never end.
  batches = until_the_end.enter_context(
    contextlib.closing(_one_ahead(read(plan, range(first_step + 1, steps))))
  )
  abstract_batch = first_step < steps and device_batches.abstract(prepared, plan(first_step), mesh)
  with _compiling(parts.update, abstract_state, abstract_batch, mesh):  # Beside what follows.
    with backends.importing():  # TensorFlow, for a second.
      from musicjax import first_look, picture_look, summaries
    # Alone: those after it would take the compiler's time and memory. None where all are done.
    first_batches = list(read(plan, range(first_step, min(first_step + 1, steps))))
    if first_step:
      state = saved.restore('latest', abstract_state, sharding.replicated(mesh))
      metadata = _check_topology(saved.metadata('latest'))
      say(f'resuming from step {first_step} of {steps}')
    else:
      state, metadata = parts.init(weights), {'seconds': 0.0}
    workdir_lib.cut_evaluations(workdir, int(state.progress.evaluated_step))
    writer = summaries.create_writer(workdir, first_step)
    if not first_step:
      summaries.write_run_description(writer, config, state.params)
      if sharding.is_main_process():
        first_look.write(workdir, writer, config, prepared, plan, parts.prepare)
        picture_look.write_distortions(workdir, prepared, plan, parts.prepare)
  score = functools.partial(
    evaluate.evaluate, parts.eval_step, prepared=prepared, config=config, read=read
  )

  write_each = summaries.write_class_metrics
  if not parts.task.decide:
    write_each = functools.partial(summaries.write_target_metrics, mean=dataset['targets']['mean'])

  # The loop: evaluate where that is due, take in what the evaluation says, save; then update.
  batches = itertools.chain(first_batches, batches)
  clock = Clock(first_step, steps, config.batch_size, metadata['seconds'])
  trace = contextlib.ExitStack()
  unchecked = collections.deque()
  preempted = processes.on_sigterm_stop()
  stopped = _stopped_early(state, config)
  step = first_step  # Updates done.
  learning_rate = metadata.get('learning_rate', np.nan)  # Of the last one.

  def is_evaluated(step):
    return step % eval_every == 0 or step == steps

  def device_is_idle():
    return all(metrics['loss'].is_ready() for _, metrics in unchecked)

  def check_finite(leave):
    if fault := _first_not_finite(unchecked, leave):
      step, told = fault
      saved.wait()  # What is being written is from before, and good.
      batch = workdir_lib.write_batch(workdir, step, prepared.index, plan(step - 1))
      raise FloatingPointError(f'step {step}: {told}; {batch}')

  def save_and_exit():
    check_finite(leave=0)
    trace.close()
    writer.close()
    if step not in (first_step, int(state.progress.evaluated_step)):  # Those are saved.
      saved.save(state, clock.seconds, float(learning_rate))
    saved.wait()
    say(f'terminated: saved step {step} of {steps}; the same command goes on from there')
    raise SystemExit(0)

  while True:
    # A restored step is due, too, where it was saved in the middle of its evaluation.
    if is_evaluated(step) and int(state.progress.evaluated_step) < step:
      with clock.paused():
        validation = score(
          parts.precompute(state.eval_variables), rows=rows['validation'], stop=preempted
        )
        if validation is None:
          save_and_exit()
        values = validation.metrics(parts.task)
        row = {
          'step': step,
          'epoch': step / steps_per_epoch,
          'train_loss': float(state.loss_sum) / (step - int(state.progress.evaluated_step)),
          'learning_rate': float(learning_rate),
          **{f'validation_{name}': value for name, value in values.items()},
        }
        if parts.task.decide:
          ratio = _ratio(state.found_sum, state.positive_sum)
          row['train_true_positive_ratio'] = ratio
          writer.write_scalars(step, {'train/true_positive_ratio': ratio})
        workdir_lib.append_evaluation(workdir, row)
        writer.write_scalars(step, {f'validation/{name}': v for name, v in values.items()})
        write_each(
          writer, step, 'validation', validation.scores, validation.labels, dataset['label_names']
        )
        say(f'step {step}/{steps}  validation ' + format_metrics(values))
        state = _take_in(state, values, step, config, mesh)
        stopped = _stopped_early(state, config)
        writer.flush()  # Before the save: what a resumed run does not repeat must be on disk.
        saved.save(state, clock.seconds, float(learning_rate))
    if step and preempted():
      save_and_exit()
    if stopped or step == steps:
      break

    with clock.waiting_for_input(device_is_idle):
      batch = next(batches)
    step += 1
    if step == config.profile_steps[0] and sharding.is_main_process():
      trace.enter_context(jax.profiler.trace(str(workdir)))
    state, metrics = parts.update(state, batch)
    learning_rate = metrics['learning_rate']
    saved.check()
    if step == config.profile_steps[1]:
      jax.block_until_ready(state)
      trace.close()
    unchecked.append((step, metrics))
    check_finite(leave=_AHEAD)

    if is_evaluated(step) or step % config.log_every_steps == 0 or step == first_step + 1:
      check_finite(leave=0)
      scalars = {name: float(value) for name, value in metrics.items()} | clock.report(step)
      writer.write_scalars(step, {f'train/{name}': value for name, value in scalars.items()})
      say(
        f'step {step}/{steps}  loss {scalars["loss"]:.4f}  lr {scalars["learning_rate"]:.2e}  '
        f'{scalars["examples_per_second"]:.0f} examples/s  '
        f'waiting for input {scalars["input_wait"]:.1%}  eta {clock.remaining(step)}'
      )

  # The report, on the checkpoint that validation chose.
  trace.close()
  saved.wait()
  processes.on_sigterm_exit()
  chosen = saved.restore(config.report_checkpoint, abstract_state, sharding.replicated(mesh))
  variables = parts.precompute(chosen.eval_variables)
  scores = {
    split: score(variables, rows=rows[split], stop=preempted) for split in ('validation', 'test')
  }
  if None in scores.values():  # Of several processes; a single one ends at once.
    say(processes.NOTHING_TO_SAVE)
    raise SystemExit(0)
  picture_look.write_attention(workdir, parts.look, chosen.eval_variables, prepared, scores['test'])
  facts = {
    'steps': int(state.step),
    'num_train_steps': steps,
    'reported_step': int(chosen.step),
    'seconds': clock.seconds,
    'examples_per_second': int(state.step) * config.batch_size / clock.seconds,
    'state_fingerprint': train_state.fingerprint(state),
  }
  train_support = prepared.index.labels[tracks['train']].sum(axis=0)
  return _report(workdir, writer, parts.task, dataset, scores, facts, train_support)


def _report(
  workdir: Path,
  writer: 'summaries.Writer',
  task: tasks.Task,
  dataset: dict[str, Any],
  scores: dict[str, evaluate.Scores],
  facts: dict[str, Any],
  train_support: np.ndarray,
) -> dict[str, Any]:
  """Judges the scores, tells, and writes: `metrics.json` last, which says the run is complete.

  Args:
    workdir: of the run.
    writer: of its summaries; closed in the end.
    task: of the run.
    dataset: as `dataset.json` holds it.
    scores: of `validation` and `test`, from the checkpoint to report.
    facts: what else `metrics.json` holds.
    train_support: [classes] training tracks with each label.

  Returns:
    What `metrics.json` holds.
  """
  from musicjax import reports, summaries  # With matplotlib, which no start should wait for.

  validation, test, label_names = scores['validation'], scores['test'], dataset['label_names']
  by_split = {split: s.metrics(task) for split, s in scores.items()}
  final, tuned = dict(by_split), None
  if task.decide:
    tuned = thresholds.tune(validation.scores, validation.labels)
    final['test_tuned'] = thresholds.f1_with(tuned, test.scores, test.labels)
  summaries.write_final_metrics(writer, facts['steps'], final)
  final |= facts
  if sharding.is_main_process():
    for name, kept in (('validation', validation), ('out_of_fold', test)):
      path = workdir / 'predictions' / f'{name}.csv'
      workdir_lib.write_predictions(path, 'id', kept.ids, kept.scores, label_names)
      truth = path.with_name(f'{name}_truth.csv')
      workdir_lib.write_predictions(truth, 'id', kept.ids, 1.0 * kept.labels, label_names)
    if task.decide:
      thresholds.save(
        workdir, label_names, tuned, validation.scores, validation.labels, facts['reported_step']
      )
      reports.write(workdir, label_names, scores, by_split, train_support, tuned)
    else:
      reports.write_regression(workdir, label_names, scores, by_split, dataset['targets']['mean'])
    summaries.write_report(writer, facts['steps'], workdir)
    writer.flush()
    workdir_lib.write_json(workdir / 'metrics.json', final)
  writer.close()
  for split, values in by_split.items():
    say(f'{split} at step {facts["reported_step"]}: {format_metrics(values)}')
  say(f'report: {workdir / "report.md"}\ncurves: tensorboard --logdir {workdir}')
  return final


def say(line: str) -> None:
  """Prints a line of progress, once for all processes."""
  if sharding.is_main_process():
    print(line, flush=True)


def format_metrics(values: dict[str, float]) -> str:
  return '  '.join(f'{name} {value:.4f}' for name, value in values.items())


def _one_ahead(batches: Iterator[Batch]) -> Iterator[Batch]:
  """Yields batches, the next of which a thread already brings to the devices."""
  with concurrent.futures.ThreadPoolExecutor(1) as pool:
    ahead = pool.submit(next, batches, None)
    while (batch := ahead.result()) is not None:
      ahead = pool.submit(next, batches, None)
      yield batch


@contextlib.contextmanager
def _compiling(
  update: Callable[..., Any], abstract_state: Any, batch: Any, mesh: Mesh
) -> Iterator[None]:
  """Compiles the update for a batch in a thread, and waits for it at the end of the block.

  It is traced before: that is Python, as most of the block is, and one of them would wait for the
  other, where XLA compiles on all cores.
  """
  replicated = sharding.replicated(mesh)
  state = jax.tree.map(
    lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=replicated), abstract_state
  )
  lowered = batch and update.lower(state, batch)
  with concurrent.futures.ThreadPoolExecutor(1) as pool:
    # A call of the jitted update later finds the program that this has compiled.
    compiled = pool.submit(lambda: lowered and lowered.compile())
    yield
    compiled.result()


def _first_not_finite(unchecked: collections.deque, leave: int) -> tuple[int, str] | None:
  """Looks at the oldest steps' numbers until `leave` remain; looking waits for the device."""
  while len(unchecked) > leave:
    step, metrics = unchecked.popleft()
    for name, value in metrics.items():
      if not np.isfinite(value):
        return step, f'{name} is {float(value)}'
  return None


def _check_topology(metadata: dict[str, Any]) -> dict[str, Any]:
  """Says where this start's machine differs from the checkpoint's: the bits may, too."""
  there, here = metadata['topology'], topology()
  for name in sorted(there.keys() | here.keys()):
    if there.get(name) != here.get(name):
      say(f'{name}: {there.get(name)} before, {here.get(name)} now; results agree, bits may not')
  return metadata


def _take_in(state, values: dict[str, float], step: int, config: ConfigDict, mesh: Mesh):
  """Returns the state with the evaluation's result in its progress."""
  if np.isnan(values[config.select_metric]):
    raise DataError(
      f'{config.select_metric} of validation: expected a number, found NaN: no label '
      'has examples with and without it, or no target varies'
    )
  progress = train_state.after_evaluation(
    jax.device_get(state.progress), values[config.select_metric], step, config
  )
  replicated = sharding.replicated(mesh)
  sums = {name: np.float32(0) for name in ('loss_sum', 'found_sum', 'positive_sum')}
  return state.replace(**jax.device_put({'progress': progress, **sums}, replicated))


def _ratio(part: jax.Array, whole: jax.Array) -> float:
  return float(part) / float(whole) if whole else float('nan')


def _stopped_early(state, config: ConfigDict) -> bool:
  return 0 < config.early_stopping <= int(state.progress.evals_since_best)
