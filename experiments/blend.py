"""Blends kept predictions of runs, and says what that gained.

  python -m experiments.blend --workdir=runs/blend --method=geometric \
    --runs='runs/faults/ours/fold_*,runs/audio/*/fold_*'

Workdirs of one folder are a system: its folds and seeds. Runs are joined by the ids they tested:
of one fold in cross-validation, all of them where the data brings its own test set. Within a system
runs count alike, and so do systems, unless `--method=weights` fits what each system weighs: at
least 0, in sum 1, by least squares on the predictions of validation that these same runs have kept.
No label of a test fold has a say in what is reported of it. Of regressions there is the arithmetic
mean alone.

Writes `blend.md`, `weights.json` and, as a run does, `predictions/out_of_fold.csv` with its truth.
`--table=predictions.csv` blends what `--mode=predict --inputs` wrote in each run, too.
"""

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from absl import flags
from ml_collections import ConfigDict

from experiments import predictions
from experiments.predictions import Predictions
from musicjax import command_line
from musicjax.errors import ConfigError, DataError
from musicjax.markdown import escape, number, table
from musicjax.workdir import read_json, write_json, write_predictions, write_text

FLAGS = flags.FLAGS
METHODS = ('arithmetic', 'geometric', 'rank', 'weights')


class Member(NamedTuple):
  """A run to blend.

  Attributes:
    system: that it belongs to.
    folder: its workdir.
    validation: what it kept of validation.
    test: what it kept of its test fold.
  """

  system: str
  folder: Path
  validation: Predictions
  test: Predictions


def combine(scores: Sequence[np.ndarray], weights: Sequence[float], method: str) -> np.ndarray:
  """Returns the weighted mean of scores [n, classes] each, of `method`.

  `geometric` takes the mean of logarithms, of what is at least 1e-12; `rank` that of the shares of
  examples that a class's score is not below, those of ties averaged. Weights have a sum of 1.
  """
  if method == 'geometric':
    logs = (w * np.log(np.maximum(s, 1e-12)) for s, w in zip(scores, weights, strict=True))
    return np.exp(sum(logs))
  if method == 'rank':
    scores = [_rank(s) for s in scores]
  return sum(w * s for s, w in zip(scores, weights, strict=True))


def _rank(scores: np.ndarray) -> np.ndarray:
  from scipy.stats import rankdata

  return rankdata(scores, axis=0) / len(scores)


def fit_weights(scores: Sequence[np.ndarray], labels: np.ndarray) -> np.ndarray:
  """Returns weights [systems], at least 0 and in sum 1, whose mean of scores is nearest to labels.

  Nearest is the least sum of squares, by non-negative least squares with the sum as an equation of
  its own that outweighs all others.

  Args:
    scores: [n, classes] of each system.
    labels: [n, classes] bool.
  """
  from scipy.optimize import nnls

  columns = np.stack([s.ravel() for s in scores], axis=1)
  heavy = 1e3 * np.sqrt(len(columns))
  columns = np.vstack([columns, np.full(len(scores), heavy)])
  weights, _ = nnls(columns, np.append(labels.ravel().astype(float), heavy))
  return weights / weights.sum()


def shares(members: Sequence[Member], weights: Mapping[str, float]) -> list[float]:
  """Returns what each run counts: its system's weight, in equal parts."""
  systems = [member.system for member in members]
  return [weights[system] / systems.count(system) for system in systems]


def system_weights(members: Sequence[Member], systems: Sequence[str], method: str) -> dict:
  """Returns what each system weighs among runs that tested the same ids.

  Raises:
    DataError: to fit them, no id of validation is in all systems.
  """
  if method != 'weights':
    return dict.fromkeys(systems, 1 / len(systems))
  means = {s: _mean_by_id([m.validation for m in members if m.system == s]) for s in systems}
  ids = sorted(functools.reduce(set.intersection, (set(mean) for mean in means.values())))
  if not ids:
    raise DataError('--method=weights: expected ids that validate in all systems, found none')
  truth = {
    name: labels
    for member in members
    for name, labels in zip(member.validation.ids, member.validation.labels, strict=True)
  }
  scores = [np.stack([means[s][i] for i in ids]) for s in systems]
  fitted = fit_weights(scores, np.stack([truth[i] for i in ids]))
  return dict(zip(systems, fitted.tolist(), strict=True))


def _mean_by_id(runs: Sequence[Predictions]) -> dict[str, np.ndarray]:
  """Returns id -> [classes], the mean over the runs that scored it."""
  rows = {}
  for run in runs:
    for name, scores in zip(run.ids, run.scores, strict=True):
      rows.setdefault(name, []).append(scores)
  return {name: np.mean(scores, axis=0) for name, scores in rows.items()}


def read(patterns: Sequence[str]) -> tuple[list[Member], dict]:
  """Returns the complete runs among the workdirs that patterns name, and the config of one.

  Raises:
    ConfigError: there are none, or runs of several tasks or metrics.
    DataError: runs have other labels.
  """
  folders = set()
  for pattern in patterns:  # `Path.glob` takes relative ones alone.
    root, relative = ('/', pattern.lstrip('/')) if pattern.startswith('/') else ('.', pattern)
    folders |= {path.parent for path in Path(root).glob(f'{relative}/metrics.json')}
  folders = sorted(folders)
  if not folders:
    raise ConfigError(f'--runs: expected workdirs of complete runs, found none in {patterns}')
  configs = [read_json(folder / 'config.json') for folder in folders]
  if len(kinds := {(c['task'], c['select_metric']) for c in configs}) > 1:
    raise ConfigError(f'--runs: expected one task and select_metric, found {sorted(kinds)}')
  members = [
    Member(str(f.parent), f, predictions.read(f, 'validation'), predictions.read(f, 'test'))
    for f in folders
  ]
  for member in members:
    if member.test.label_names != members[0].test.label_names:
      raise DataError(f'{member.folder}: expected the labels of {folders[0]}, found others')
  return members, configs[0]


def group(members: Sequence[Member]) -> list[list[Member]]:
  """Returns the runs that tested the same ids together.

  Raises:
    DataError: one group lacks a system that is in another.
  """
  groups = {}
  for member in members:
    groups.setdefault(tuple(member.test.ids), []).append(member)
  systems = {member.system for member in members}
  for of_group in groups.values():
    if lacks := systems - {member.system for member in of_group}:
      raise DataError(
        f'{of_group[0].folder}: expected a run of {min(lacks)} that tested the same ids, found none'
      )
  return list(groups.values())


def blend(groups: Sequence[Sequence[Member]], method: str) -> tuple[list[Predictions], list[dict]]:
  """Returns the blended predictions and the systems' weights of each group."""
  systems = sorted({member.system for member in groups[0]})
  blended, weights = [], []
  for members in groups:
    weights.append(system_weights(members, systems, method))
    first = members[0].test
    scores = combine([m.test.scores for m in members], shares(members, weights[-1]), method)
    blended.append(Predictions(first.ids, scores, first.labels, first.label_names))
  return blended, weights


def compare(groups, blended, measure, resamples: int) -> list[list[str]]:
  """Returns lines of a table: the blend, the mean of single runs and the best system's, and gains.

  The best system is that whose single runs score highest on validation.
  """
  singles = {(g, i): m for g, of_group in enumerate(groups) for i, m in enumerate(of_group)}
  on_validation = {}
  for member in singles.values():
    value = measure(member.validation.scores, member.validation.labels)
    on_validation.setdefault(member.system, []).append(value)
  best = max(on_validation, key=lambda system: np.mean(on_validation[system]))
  runs = {
    'blend': {(g, 0): p for g, p in enumerate(blended)},
    'mean of all single runs': {key: m.test for key, m in singles.items()},
    f'single runs of {escape(best)}': {k: m.test for k, m in singles.items() if m.system == best},
  }
  drawn = predictions.bootstrap(runs, measure, resamples)

  def mean(of_row):  # Groups count alike, whatever the number of their runs.
    of_group = [[v for (g, _), v in of_row.items() if g == group] for group in range(len(groups))]
    return np.mean([np.mean(values, axis=0) for values in of_group], axis=0)

  value = {
    name: mean({k: measure(p.scores, p.labels) for k, p in r.items()}) for name, r in runs.items()
  }
  lines = []
  for name in runs:
    low, high = predictions.interval(mean(drawn['blend']) - mean(drawn[name]))
    gain = [f'{value["blend"] - value[name]:+.4f}', f'{low:+.4f} to {high:+.4f}']
    lines.append([name, number(value[name]), *(gain if name != 'blend' else ['–', '–'])])
  return lines


def write(
  workdir: Path, patterns: Sequence[str], method: str, table_name: str, resamples: int
) -> Path:
  """Blends runs, and returns where it is told what that gained; see the module.

  Args:
    workdir: of what is written.
    patterns: of workdirs of runs.
    method: of `METHODS`.
    table_name: of predictions without labels that every run has; empty: none.
    resamples: of the bootstrap.

  Raises:
    ConfigError, DataError: runs that cannot be blended, or not by this method.
  """
  members, config = read(patterns)
  if config['task'] == 'feature_regression' and method != 'arithmetic':
    raise ConfigError(f'--method: expected arithmetic with feature_regression, found {method}')
  groups = group(members)
  blended, weights = blend(groups, method)
  metric = config['select_metric']
  lines = compare(groups, blended, predictions.measure_of(config['task'], metric), resamples)

  ids, scores, labels = (
    np.concatenate([getattr(part, name) for part in blended])
    for name in ('ids', 'scores', 'labels')
  )
  order, names = np.argsort(ids, kind='stable'), blended[0].label_names
  path = workdir / 'predictions' / 'out_of_fold.csv'
  write_predictions(path, 'id', ids[order], scores[order], names)
  truth = path.with_name('out_of_fold_truth.csv')
  write_predictions(truth, 'id', ids[order], 1.0 * labels[order], names)
  write_json(workdir / 'weights.json', weights)
  if table_name:
    _blend_tables(members, weights, method, path.with_name(table_name))
  cells = [[escape(system), number(w)] for system, w in _mean_weights(weights).items()]
  sections = [
    f'# Blend, {method}',
    f'Test {metric}, mean over {len(groups)} test sets, of {len(members)} runs of {len(cells)} '
    f'systems. Intervals are those of {resamples} resamples of the examples.',
    table(['what', f'test {metric}', 'gain of the blend', '95 % interval'], lines),
    'Mean weights:\n\n' + table(['system', 'weight'], cells),
  ]
  write_text(workdir / 'blend.md', '\n\n'.join(sections) + '\n')
  return workdir / 'blend.md'


def _mean_weights(weights: Sequence[Mapping[str, float]]) -> dict[str, float]:
  return {system: float(np.mean([w[system] for w in weights])) for system in weights[0]}


def _blend_tables(members: Sequence[Member], weights, method: str, path: Path) -> None:
  """Blends a table of predictions without labels, that all runs have, by the mean weights."""
  tables = [predictions.read_table(m.folder / 'predictions' / path.name) for m in members]
  ids, names, _ = tables[0]
  for member, found in zip(members, tables, strict=True):
    if not np.array_equal(found[0], ids) or found[1] != names:
      raise DataError(f'{member.folder}: expected the rows of {members[0].folder} in {path.name}')
  scores = combine([t[2] for t in tables], shares(members, _mean_weights(weights)), method)
  write_predictions(path, 'path', ids, scores, names)


def main(config: ConfigDict | None) -> None:
  if config is not None:
    raise ConfigError('--config: expected none; runs keep theirs')
  path = write(Path(FLAGS.workdir), FLAGS.runs, FLAGS.method, FLAGS.table, FLAGS.resamples)
  print(f'{path.read_text(encoding="utf-8")}\n{path}')


if __name__ == '__main__':
  flags.adopt_module_key_flags(command_line)
  flags.DEFINE_string('workdir', None, 'Folder of what is written.')
  flags.DEFINE_list('runs', None, 'Patterns of workdirs, separated by commas.')
  flags.DEFINE_enum('method', 'arithmetic', METHODS, 'How to blend.')
  flags.DEFINE_string('table', '', 'A table in predictions/ of every run, to blend as well.')
  flags.DEFINE_integer('resamples', 1000, 'Of the bootstrap over examples.', lower_bound=1)
  flags.mark_flags_as_required(['workdir', 'runs'])
  command_line.run(main)
