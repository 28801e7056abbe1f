"""TensorBoard: curves without doubles after a resume, the run's description, metrics a class.

Everything goes into the event files of the workdir itself, so that a folder of workdirs opens as
one TensorBoard with a run each. clu's metric writers would do, but they import Keras: more than a
second of every start.
"""

import contextlib
import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import ml_collections
import numpy as np
from clu import parameter_overview
from tensorboard.plugins.hparams import api_pb2
from tensorboard.plugins.hparams import summary as hparams_summary
from tensorboard.plugins.pr_curve import summary as pr_curve_summary

from musicjax import metrics, regression
from musicjax.errors import StorageError
from musicjax.fields import flatten
from musicjax.host_tensorflow import tf
from musicjax.sharding import is_main_process

# The PR Curves tab draws a chart a class, all of them at once: more are neither read nor loaded.
NUM_PR_CURVES = 20


class Writer:
  """Writes summaries of one run; `directory` None: writes nothing."""

  def __init__(self, directory: Path | None):
    with _told_of_failure():
      self._writer = (
        tf.summary.create_file_writer(str(directory))
        if directory
        else tf.summary.create_noop_writer()
      )

  def write_scalars(self, step: int, scalars: Mapping[str, float]) -> None:
    with self._at(step):
      for tag, value in scalars.items():
        tf.summary.scalar(tag, value)

  def write_texts(self, step: int, texts: Mapping[str, str]) -> None:
    """Writes texts in Markdown."""
    with self._at(step):
      for tag, text in texts.items():
        tf.summary.text(tag, text)

  def write_images(self, step: int, images: Mapping[str, bytes]) -> None:
    """Writes PNG files."""
    with self._at(step):
      for tag, png in images.items():
        tf.summary.image(tag, tf.io.decode_png(png, channels=3)[None])

  def write_audio(self, step: int, audio: Mapping[str, np.ndarray], sample_rate: int) -> None:
    """Writes [samples] float32 each, of full scale 1; louder is clipped."""
    with self._at(step):
      for tag, samples in audio.items():
        clipped = np.clip(samples, -1, 1)[None, :, None]
        tf.summary.audio(tag, clipped, sample_rate, encoding='wav')

  def write_summary(self, step: int, summary: Any) -> None:
    """Writes what a TensorBoard plugin made, a Summary proto."""
    with self._at(step):
      tf.summary.experimental.write_raw_pb(summary.SerializeToString())

  @contextlib.contextmanager
  def _at(self, step: int) -> Iterator[None]:
    with _told_of_failure(), self._writer.as_default(step):
      yield

  def flush(self) -> None:
    with _told_of_failure():
      self._writer.flush()

  def close(self) -> None:
    with _told_of_failure():
      self._writer.close()


@contextlib.contextmanager
def _told_of_failure() -> Iterator[None]:
  try:
    yield
  except tf.errors.OpError as error:
    # `{{what failed in TensorFlow}} path; reason`, and more lines.
    text = error.message.partition('}} ')[2] or error.message
    raise StorageError(f'events cannot be written: {text.splitlines()[0]}') from error


def create_writer(workdir: Path, restored_step: int) -> Writer:
  """Opens the workdir's event files for values of the steps after `restored_step`.

  A run killed at step 100 and resumed from 50 leaves the values of 51..100 in its event files and
  writes them once more. TensorBoard drops the first ones when it meets a `SessionLog.START`, with
  two rules of its own that shape what is written here: it also drops the START's own step, while
  the evaluation at `restored_step` came before the checkpoint and stays; and it takes the first
  START of a run for its beginning, so a fresh run needs one too.

  Args:
    workdir: of the run; created if missing.
    restored_step: step of the checkpoint that was restored, 0 for a fresh run.

  Returns:
    A writer that writes nothing outside process 0.
  """
  if not is_main_process():
    return Writer(None)
  _write_session_start(workdir, restored_step + 1 if restored_step else 0)
  return Writer(workdir)


def _write_session_start(workdir: Path, step: int):
  """Writes `SessionLog.START` into an event file that is read after all older ones.

  Event files are read in the order of their names, `events.out.tfevents.<seconds>.<host>...`. '-'
  sorts before '.', so this file comes before those opened in the same second, which must therefore
  not be the second of an older file.
  """
  workdir.mkdir(parents=True, exist_ok=True)
  seconds = [re.match(r'events\.out\.tfevents\.(\d+)', f.name) for f in workdir.glob('events.*')]
  newest = max((int(match[1]) for match in seconds if match), default=0)
  # Longer than a second only if the clock went back, and waiting would not mend that.
  time.sleep(min(1.0, max(0.0, newest + 1 - time.time())))
  now = time.time()
  start = tf.compat.v1.SessionLog(status=tf.compat.v1.SessionLog.START)
  path = workdir / f'events.out.tfevents.{int(now):010d}-start'
  with _told_of_failure(), tf.io.TFRecordWriter(str(path)) as file:
    # Without a version readers guess restarts from the order of steps and overlook the START.
    for event in ({'file_version': 'brain.Event:2'}, {'step': step, 'session_log': start}):
      file.write(tf.compat.v1.Event(wall_time=now, **event).SerializeToString())


def write_run_description(writer: Writer, config: ml_collections.ConfigDict, params: Any):
  """Writes the config and the parameters as text, and the config as hyperparameters.

  For fresh runs only: a resumed run has its description already. The HParams tab finds its metrics
  by itself among the scalars. An experiment summary would name them, but TensorBoard takes one such
  summary for all runs of a folder, and with it only the fields of that one run's config; without
  it, fields that differ between runs come first, which is what an ablation is after.

  Args:
    writer: from `create_writer`.
    config: of the run, resolved.
    params: pytree of the model's parameters (nested dicts).
  """
  text = json.dumps(config.to_dict(), indent=2, default=str)
  overview = parameter_overview.get_parameter_overview(params, include_stats=False)
  writer.write_texts(0, {'config': f'```json\n{text}\n```', 'parameters': f'```\n{overview}\n```'})
  write_hyperparameters(writer, flatten(config.to_dict()))


def write_hyperparameters(writer: Writer, fields: Mapping[str, Any]):
  """Writes what the HParams tab compares runs by; it knows no lists and no None."""
  known = {
    name: value if isinstance(value, (bool, int, float, str)) else str(value)
    for name, value in fields.items()
    if value is not None
  }
  writer.write_summary(0, hparams_summary.session_start_pb(known))


def write_class_metrics(
  writer: Writer,
  step: int,
  prefix: str,
  scores: np.ndarray,
  labels: np.ndarray,
  label_names: Sequence[str],
):
  """Writes the average precision of every class, and PR curves of the most frequent ones.

  Scalars are `<prefix>_ap/<class>`, curves `<prefix>_pr/<class>`. A class without positives has
  neither.

  Args:
    writer: from `create_writer`.
    step: optimizer updates behind these scores.
    prefix: split, e.g. `validation`.
    scores: [n, classes] probabilities.
    labels: [n, classes] bool.
    label_names: one name a class.
  """
  support = labels.sum(axis=0)
  present = np.flatnonzero(support)
  precision = metrics.average_precision(scores, labels)
  writer.write_scalars(step, {f'{prefix}_ap/{label_names[c]}': precision[c] for c in present})
  for c in present[np.argsort(-support[present], kind='stable')][:NUM_PR_CURVES]:
    summary = pr_curve_summary.pb(label_names[c], labels[:, c], scores[:, c])
    summary.value[0].tag = f'{prefix}_pr/{label_names[c]}'
    writer.write_summary(step, summary)


def write_target_metrics(
  writer: Writer,
  step: int,
  prefix: str,
  scores: np.ndarray,
  labels: np.ndarray,
  label_names: Sequence[str],
  mean: Sequence[float],
):
  """Writes `<prefix>_r2/<target>` and `<prefix>_mae/<target>` of a regression.

  Args:
    writer: from `create_writer`.
    step: optimizer updates behind these scores.
    prefix: split, e.g. `validation`.
    scores: [n, targets] in natural units, as are
    labels: [n, targets].
    label_names: one name a target.
    mean: [targets] of the training fold.
  """
  targets = regression.per_target(scores, labels, mean)
  for metric in ('r2', 'mae'):
    values = zip(label_names, targets[metric], strict=True)
    writer.write_scalars(step, {f'{prefix}_{metric}/{name}': value for name, value in values})


def write_final_metrics(
  writer: Writer,
  step: int,
  metrics_by_split: Mapping[str, Mapping[str, float]],
):
  """Writes what a run ended with as `final/<split>_<metric>`, and marks it as finished.

  The HParams tab shows its first five metrics in the order of the alphabet: `final/` comes before
  the curves and the classes.

  Args:
    writer: from `create_writer`.
    step: last step of the run.
    metrics_by_split: e.g. `{'test': {'map_macro': 0.4}}`.
  """
  writer.write_scalars(
    step,
    {
      f'final/{split}_{name}': value
      for split, values in metrics_by_split.items()
      for name, value in values.items()
    },
  )
  writer.write_summary(step, hparams_summary.session_end_pb(api_pb2.STATUS_SUCCESS))


def write_report(writer: Writer, step: int, workdir: Path):
  """Writes the text of `report.md` as `report`, and its pictures as `report/<name>`.

  Args:
    writer: from `create_writer`.
    step: last step of the run.
    workdir: that holds the report.
  """
  lines = (workdir / 'report.md').read_text(encoding='utf-8').splitlines()
  # TensorBoard shows no files and no HTML.
  lines = [line for line in lines if not re.match(r'!\[|</?details>|<summary>', line)]
  writer.write_texts(step, {'report': '\n'.join(lines)})
  pictures = [p for p in (workdir / 'report').glob('*.png') if not p.name.startswith('example_')]
  writer.write_images(step, {f'report/{p.stem}': p.read_bytes() for p in sorted(pictures)})
