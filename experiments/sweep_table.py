"""The table of a sweep: what rows score, how far that varies, and whether it is a difference."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ml_collections import ConfigDict

from experiments import predictions
from musicjax.fields import flatten
from musicjax.markdown import escape, folded, number, table
from musicjax.workdir import read_json, write_csv, write_text

if TYPE_CHECKING:
  from experiments.sweep import Run

Key = tuple[int, int]  # fold, seed


def write(
  workdir: Path,
  configs: Mapping[str, ConfigDict],
  runs: Sequence['Run'],
  select: str,
  resamples: int,
) -> Path:
  """Writes the table of a sweep, and returns where.

  Args:
    workdir: of the sweep.
    configs: of the rows, the reference first.
    runs: of all rows.
    select: metric of validation to rank rows by; then nothing of the test folds is read. Empty: the
      rows as they are, by `select_metric` of their test folds.
    resamples: of the bootstrap.

  Raises:
    DataError: a complete run's predictions are missing or damaged.
  """
  reference, config = next(iter(configs.items()))
  metric = select or config.select_metric
  measure = predictions.measure_of(config.task, metric)
  complete = [run for run in runs if not run.error]
  split, *beside = ['validation'] if select else ['test', 'validation']
  values = {}  # split -> row -> (fold, seed) -> metric
  for s in (*beside, split):
    kept = {row: {} for row in configs}  # In the end those of `split`.
    for run in complete:
      kept[run.row][run.fold, run.seed] = predictions.read(run.folder, s)
    values[s] = {
      row: {key: measure(p.scores, p.labels) for key, p in of_row.items()}
      for row, of_row in kept.items()
    }
  drawn = predictions.bootstrap(kept, measure, resamples)

  rows = []
  for row in configs:
    of_row = [run for run in runs if run.row == row]
    rows.append({
      'row': row,
      **_spread(values[split][row]),
      **_difference(values[split], drawn, row, reference),
      **{s: _mean(values[s][row]) for s in beside},
      'runs': sum(not run.error for run in of_row),
      'failed': sum(bool(run.error) for run in of_row),
      'seconds': sum(_seconds(run) for run in of_row if not run.error),
    })  # fmt: skip
  if select:
    rows.sort(key=lambda row: -np.nan_to_num(row['mean'], nan=-np.inf))

  path = workdir / ('selection.md' if select else 'table.md')
  fields = _differing(configs)
  lines = ([*row.values(), json.dumps(fields[row['row']])] for row in rows)
  write_csv(path.with_suffix('.csv'), [[*rows[0], 'fields'], *lines])
  lines = (
    [*run[:3], *(v[run.row][run.fold, run.seed] for v in values.values()), _seconds(run), '']
    if not run.error
    else [*run[:3], *('' for _ in values), '', run.error]
    for run in runs
  )
  header = ['row', 'fold', 'seed', *(f'{s}_{metric}' for s in values), 'seconds', 'error']
  write_csv(path.with_name(f'{path.stem}_runs.csv'), [header, *lines])
  order = 'ranked by validation; test folds were not looked at' if select else 'as in the sweep'
  sections = [
    f'# {metric} of {split}',
    f'Rows {order}. Spreads are standard deviations: over folds of the means over seeds, and over '
    f'seeds, mean of the folds. Differences are paired by run, and their intervals by example: '
    f'{resamples} resamples of the examples of each fold. Seconds are those of training.',
    _tabulate(rows, split, metric, reference),
    'By fold:\n\n' + _tabulate_folds(values[split], sorted({run.fold for run in runs})),
  ]
  if failed := [[escape(r.folder), escape(r.error, 400)] for r in runs if r.error]:
    sections.append('Failed:\n\n' + table(['run', 'error'], failed, num_texts=2))
  if len(configs) > 1:
    cells = [[escape(row), escape(json.dumps(f), 2000)] for row, f in fields.items()]
    sections.append(folded('Fields that differ', table(['row', 'fields'], cells, num_texts=2)))
  write_text(path, '\n\n'.join(sections) + '\n')
  _write_hparams(workdir / 'hparams', rows, fields, split, metric)
  return path


def _seconds(run: 'Run') -> float:
  return read_json(run.folder / 'metrics.json')['seconds']


def _folds(values: Mapping[Key, float]) -> list[list[float]]:
  """The metrics of each fold's seeds."""
  return [
    [v for (f, _), v in values.items() if f == fold] for fold in sorted({f for f, _ in values})
  ]


def _mean(values: Mapping[Key, float]) -> float:
  """The mean over folds of the means over seeds; NaN of nothing."""
  return float(np.mean([np.mean(seeds) for seeds in _folds(values)])) if values else np.nan


def _spread(values: Mapping[Key, float]) -> dict[str, float]:
  """Mean, standard deviation over folds of the means over seeds, and over seeds, mean of folds."""
  means = [np.mean(seeds) for seeds in _folds(values)]
  repeated = [np.std(seeds, ddof=1) for seeds in _folds(values) if len(seeds) > 1]
  return {
    'mean': _mean(values),
    'over_folds': float(np.std(means, ddof=1)) if len(means) > 1 else np.nan,
    'over_seeds': float(np.mean(repeated)) if repeated else np.nan,
  }


def _difference(values, drawn, row: str, reference: str) -> dict[str, float]:
  """Mean difference to the reference over the runs that both completed, with its interval."""
  both = sorted(values[row].keys() & values[reference].keys())
  if row == reference or not both:
    return dict.fromkeys(('difference', 'low', 'high'), np.nan)
  mean = np.mean([values[row][key] - values[reference][key] for key in both])
  resampled = np.mean([drawn[row][key] - drawn[reference][key] for key in both], axis=0)
  low, high = predictions.interval(resampled)
  return {'difference': float(mean), 'low': low, 'high': high}


def _differing(configs: Mapping[str, ConfigDict]) -> dict[str, dict[str, Any]]:
  """Returns of each row the fields that not all rows have alike."""
  flat = {row: flatten(config.to_dict()) for row, config in configs.items()}
  names = sorted(set().union(*flat.values()))
  differ = [n for n in names if len({repr(fields.get(n)) for fields in flat.values()}) > 1]
  return {row: {n: fields[n] for n in differ if n in fields} for row, fields in flat.items()}


def _tabulate(rows: Sequence[Mapping[str, Any]], split: str, metric: str, reference: str) -> str:
  has_validation = 'validation' in rows[0]
  header = ['row', f'{split} {metric}', 'over folds', 'over seeds', f'minus {escape(reference)}']
  header += ['95 % interval', *(['validation'] if has_validation else []), 'runs', 'seconds']
  cells = []
  for row in rows:
    signed = ['–' if np.isnan(row[n]) else f'{row[n]:+.4f}' for n in ('difference', 'low', 'high')]
    runs = f'{row["runs"]}' + (f', {row["failed"]} failed' if row['failed'] else '')
    cells.append([
      escape(row['row']),
      *(number(row[n]) for n in ('mean', 'over_folds', 'over_seeds')),
      signed[0],
      '–' if np.isnan(row['low']) else f'{signed[1]} to {signed[2]}',
      *([number(row['validation'])] if has_validation else []),
      runs,
      f'{row["seconds"]:.0f}',
    ])  # fmt: skip
  return table(header, cells)


def _tabulate_folds(values: Mapping[str, Mapping[Key, float]], folds: Sequence[int]) -> str:
  def mean(of_row, fold):
    return number(_mean({key: value for key, value in of_row.items() if key[0] == fold}))

  cells = [[escape(row), *(mean(of_row, fold) for fold in folds)] for row, of_row in values.items()]
  return table(['row', *map(str, folds)], cells)


def _write_hparams(folder: Path, rows, fields, split: str, metric: str) -> None:
  """Writes a TensorBoard run a row: what differs as hyperparameters, what it scores as metrics."""
  from musicjax import summaries  # With TensorFlow.

  shutil.rmtree(folder, ignore_errors=True)
  for row in rows:
    writer = summaries.Writer(folder / row['row'])
    summaries.write_hyperparameters(writer, {'row': row['row'], **fields[row['row']]})
    scores = {metric: row['mean'], f'{metric}_difference': row['difference']}
    summaries.write_final_metrics(
      writer, 0, {split: scores, 'training': {'seconds': row['seconds']}}
    )
    writer.close()
