"""Trains a second round on what a first one is sure of.

  python -m experiments.pseudo_labels --teacher=runs/audio/ours/fold_0_seed_0 \
    --inputs=DIR/unlabelled/ --threshold=0.9 --weight=0.5 --workdir=runs/second/fold_0_seed_0

The teacher tags the inputs, files below its `config.data_dir`. Of those that it is sure of, the
tags of at least the threshold's probability become the labels of training examples, which count
`--weight` in the loss. A file of the teacher's own training fold, say with a label that nobody has
verified, gets them in place of its own; the teacher has learnt such files, and is surer of them
than it should be. All else is the first round's: its config, its training examples, and its splits.
No file that validates or tests, and none of such a file's group, is ever among the pseudo-labels.
One that cannot be trained on, as without a sample, is in skipped.csv of the second round.

Writes `pseudo_labels.csv`, a table as `config.dataset.table` takes it, and `config.json` into the
workdir, and trains there in `run`. Killed, the same command goes on. For datasets of files that
such a table can list, as `config.dataset.name=audio`; not for images or covers.
"""

import collections
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from absl import flags
from ml_collections import ConfigDict

from experiments import predictions
from musicjax import backends, command_line
from musicjax import workdir as workdir_lib
from musicjax.errors import ConfigError

FLAGS = flags.FLAGS
_RESOLVED = Path(__file__).with_name('resolved.py')


class Row(NamedTuple):
  """A file of the second round; its fields are the table's columns.

  Attributes:
    path: below the data's folder.
    tags: its labels, each followed by a bar: a single one may hold commas.
    group: what must not be split.
    split: of the first round.
    weight: in the training loss.
  """

  path: str
  tags: str
  group: str
  split: str
  weight: float


def confident(scores: np.ndarray, task: str, threshold: float) -> np.ndarray:
  """Returns the labels [n, classes] bool that are sure; a row may have none.

  Args:
    scores: [n, classes] probabilities.
    task: of the run; `single_label` has at most one a row.
    threshold: of a probability, reached or not.
  """
  sure = scores >= threshold
  if task == 'single_label':
    sure &= np.arange(scores.shape[1]) == scores.argmax(axis=1)[:, None]
  return sure


def second_round(
  known: Mapping[str, Row],
  guesses: Mapping[str, str],
  group_of: Callable[[str], str],
  weight: float,
) -> tuple[list[Row], collections.Counter]:
  """Returns the rows of the second round, and how many guesses became what.

  Args:
    known: path -> row of the first round.
    guesses: path -> tags, as of `Row`; empty where the teacher is not sure.
    group_of: path -> group of a file that the first round has not.
    weight: of what is pseudo-labelled.
  """
  rows, count = dict(known), collections.Counter()
  held_out = {row.group for row in known.values() if row.split != 'train'}
  for path, tags in guesses.items():
    group = known[path].group if path in known else group_of(path)
    if group in held_out:
      count['left out: they validate or test, or their group does'] += 1
    elif not tags:
      count['left out: not sure enough'] += 1
    else:
      count['in place of labels' if path in known else 'new'] += 1
      rows[path] = Row(path, tags, group, 'train', weight)
  return [rows[path] for path in sorted(rows)], count


def first_round(config: ConfigDict, teacher: Path) -> dict[str, Row]:
  """Returns path -> row of all files of a run, in its splits.

  Raises:
    ConfigError: the data is no longer that of the run.
  """
  from musicjax.data import array_records, builders, plans  # With TensorFlow.

  prepared = array_records.prepare(config)
  workdir_lib.read_dataset(teacher, prepared)
  splits = plans.split_rows(prepared.index, config)
  split_of = {track: s for s, rows in splits.items() for track in prepared.index.tracks[rows]}
  source = builders.module(config.dataset.name).load(config)
  weights = np.ones(len(source.ids)) if source.weights is None else source.weights
  return {
    path: Row(path, _join(source.label_names, labels), group, split_of[path], float(weight))
    for path, group, labels, weight in zip(
      source.ids.tolist(), source.groups.tolist(), source.labels, weights, strict=True
    )
    if path in split_of  # Else it could not be read.
  }


def _join(names, chosen: np.ndarray) -> str:
  return ''.join(f'{names[c]}|' for c in np.flatnonzero(chosen))


def _group_of(pattern: str) -> Callable[[str], str]:
  """Returns path -> its group by `config.dataset.pattern`; without one a file is its own."""
  if 'group' not in re.compile(pattern).groupindex:
    return lambda path: path

  def group_of(path):
    if (match := re.search(pattern, path)) and match['group']:
      return match['group']
    raise ConfigError(f'--inputs: expected paths that config.dataset.pattern fits, found {path}')

  return group_of


def _predict(teacher: Path, folder: Path, config: ConfigDict) -> dict[str, str]:
  """Returns path below the folder -> tags that the teacher is sure of."""
  _run('--mode=predict', f'--workdir={teacher}', f'--inputs={",".join(FLAGS.inputs)}')
  paths, names, scores = predictions.read_table(teacher / 'predictions' / 'predictions.csv')
  sure = confident(scores, config.task, FLAGS.threshold)
  guesses = {}
  for path, row in zip(paths.tolist(), sure, strict=True):
    if not Path(path).absolute().is_relative_to(folder.absolute()):
      raise ConfigError(f'--inputs: expected files below config.data_dir={folder}, found {path}')
    name = Path(path).absolute().relative_to(folder.absolute()).as_posix()
    guesses[name] = _join(names, row)
  return guesses


def _run(*arguments: str) -> None:
  """Runs `musicjax.main`; where it fails, this program ends as it did."""
  command = [sys.executable, '-m', 'musicjax.main', *arguments]
  if code := subprocess.run(command).returncode:
    sys.exit(code)


def main(config: ConfigDict | None) -> None:
  if config is not None:
    raise ConfigError("--config: expected none; the second round has the teacher's")
  workdir, teacher = Path(FLAGS.workdir), Path(FLAGS.teacher)
  config = workdir_lib.read_config(teacher, None)
  name = config.dataset.name
  if 'table' not in config.dataset or name in ('images', 'covers'):
    raise ConfigError(f'--teacher: expected a dataset of files that a table lists, found {name}')
  backends.set_up()
  guesses = _predict(teacher, Path(config.data_dir), config)
  known = first_round(config, teacher)
  rows, count = second_round(known, guesses, _group_of(config.dataset.pattern), FLAGS.weight)
  print(f'{len(guesses)} inputs: ' + ', '.join(f'{n} {what}' for what, n in count.items()))
  if not count['new'] + count['in place of labels']:
    raise ConfigError('--threshold: expected inputs that the teacher is sure of, found none')

  table = workdir.absolute() / 'pseudo_labels.csv'
  workdir_lib.write_csv(table, [Row._fields, *rows])
  # The table says what the pattern and the label map said.
  config.dataset.update(table=str(table), pattern='', label_map='')
  config.fold = 0  # Where the table's validation rows validate.
  config.on_bad_example = 'skip'  # What has no samples may be tagged, as silence, but not learnt.
  workdir_lib.write_json(workdir / 'config.json', config.to_dict())
  _run(f'--config={_RESOLVED}:{workdir / "config.json"}', f'--workdir={workdir / "run"}')


if __name__ == '__main__':
  flags.adopt_module_key_flags(command_line)
  flags.DEFINE_string('teacher', None, 'Workdir of a complete run.')
  flags.DEFINE_string('workdir', None, 'Folder of the table, and of the second round.')
  flags.DEFINE_list('inputs', None, 'Files, folders, patterns and lists to pseudo-label.')
  flags.DEFINE_float('threshold', 0.9, 'Least probability of a tag.', 0.0, 1.0)
  flags.DEFINE_float('weight', 0.5, 'Of a pseudo-labelled example in the loss.', 0.0, 1e6)
  flags.mark_flags_as_required(['teacher', 'workdir', 'inputs'])
  command_line.run(main)
