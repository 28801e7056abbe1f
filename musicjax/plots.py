"""The pictures of a report."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import librosa
import numpy as np
from matplotlib.ticker import FuncFormatter, MaxNLocator

from musicjax import drawing
from musicjax.audio.features import LogMel

if TYPE_CHECKING:  # Which draws with this module.
  from musicjax.first_look import Example

_ROW = 0.17  # inches a line of text needs at the size of tick labels
_RATIO = 'True-positive ratio'  # title of a chart
_ROWS = 64  # bars in a column of the chart of all tags


def save_history(path: Path, rows: Sequence[Mapping[str, float]], select: str) -> None:
  """Draws losses, validation metrics and the learning rate by step.

  Args:
    path: of the PNG.
    rows: one evaluation each: `step`, `train_loss`, `validation_<metric>`, `learning_rate`, ...
    select: name of the metric that chose the checkpoint; its best step is marked.
  """
  names = list(dict.fromkeys(name for row in rows for name in row))
  ratios = [f'{split}_true_positive_ratio' for split in ('train', 'validation')]
  shares = [name for name in names if name.startswith('validation_')]
  shares = [name for name in shares if name == select or _is_share(rows, name)]
  shares = [name for name in shares if name not in ratios]
  shares.sort(key=lambda name: name != select)
  charts = {
    'Loss': [name for name in ('train_loss', 'validation_loss') if name in names],
    _RATIO: [name for name in ratios if name in names],
    'Validation metrics': shares[: len(drawing.COLORS)],
    'Learning rate': [name for name in ('learning_rate',) if name in names],
  }
  charts = {title: chosen for title, chosen in charts.items() if chosen}
  columns = min(2, len(charts))
  figure = drawing.figure(4.6 * columns, 3.5 * -(-len(charts) // columns))
  for axes, (title, chosen) in zip(
    drawing.grid(figure, len(charts), columns), charts.items(), strict=True
  ):
    for color, name in zip(drawing.COLORS, chosen, strict=False):
      steps, values = _series(rows, name)
      # A curve of few points shows where they are.
      axes.plot(
        steps,
        values,
        color=color,
        label=_curve_name(name, title),
        marker='.' if len(steps) <= 30 else None,
        linewidth=2 if name == select else 1.3,
      )
      if name == select and len(steps):
        best = steps[int(np.argmax(values))]
        axes.axvline(best, color=drawing.GREY, linestyle=':', linewidth=1)
        axes.plot(best, max(values), 'o', color=color, markersize=7, markerfacecolor='white')
    axes.set_title(title)
    axes.set_xlabel('step')
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(_thousands))
    axes.ticklabel_format(axis='y', scilimits=(-3, 5))
    if title == _RATIO:
      axes.set_ylim(-0.02, 1.02)
    elif title == 'Validation metrics' and axes.get_ylim()[0] < -1 < axes.get_ylim()[1]:
      axes.set_ylim(bottom=-1)  # An R² far below 0 would flatten all that comes after.
    if len(chosen) > 1:
      axes.legend(loc='upper center', bbox_to_anchor=(0.5, -0.2), ncols=2, frameon=False)
  drawing.save(figure, path)


def save_tags(
  path: Path, names: Sequence[str], precision: np.ndarray, prevalence: np.ndarray
) -> None:
  """Draws the average precision of every tag as a bar, with what a random order would reach.

  Args:
    path: of the PNG.
    names: of the tags, best first.
    precision: [tags] average precision.
    prevalence: [tags] share of positives.
  """
  columns = -(-len(names) // _ROWS)
  rows = -(-len(names) // columns)
  figure = drawing.figure(4.0 * columns if columns > 1 else 6.0, _ROW * rows + 1.1)
  for column, axes in enumerate(drawing.grid(figure, columns, columns)):
    part = slice(column * rows, (column + 1) * rows)
    y = np.arange(len(names[part]))
    axes.barh(y, precision[part], color=drawing.BLUE, height=0.7, label='average precision')
    axes.plot(
      prevalence[part],
      y,
      '|',
      color=drawing.ORANGE,
      markersize=7,
      markeredgewidth=2,
      label='random order',
    )
    axes.set_yticks(y, [drawing.short(name) for name in names[part]], fontsize=8)
    axes.set_ylim(rows - 0.4, -0.6)  # best on top; the last column keeps the others' scale
    axes.set_xlim(0, 1)
    axes.grid(axis='y', visible=False)
  figure.legend(
    *figure.axes[0].get_legend_handles_labels(), loc='outside upper center', ncols=2, frameon=False
  )
  drawing.save(figure, path)


def save_support(path: Path, support: np.ndarray, precision: np.ndarray) -> None:
  """Draws average precision against the positives in training, a point a tag ([tags] both)."""
  figure = drawing.figure(5.0, 3.6)
  axes = figure.subplots()
  axes.plot(np.maximum(support, 0.5), precision, 'o', color=drawing.BLUE, alpha=0.5, markersize=5)
  axes.set_xscale('log')
  axes.xaxis.set_major_formatter(FuncFormatter(_thousands))
  axes.set_ylim(-0.02, 1.02)
  axes.set_xlabel('positives in training')
  axes.set_ylabel('average precision')
  drawing.save(figure, path)


def save_pr_curves(
  path: Path, curves: Mapping[str, Sequence[tuple[str, float, np.ndarray, np.ndarray]]]
) -> None:
  """Draws precision-recall curves: a chart a title, each of (name, AP, precision, recall)."""
  figure = drawing.figure(4.0 * len(curves), 4.6)
  for axes, (title, chosen) in zip(
    drawing.grid(figure, len(curves), len(curves)), curves.items(), strict=True
  ):
    for color, (name, area, precision, recall) in zip(drawing.COLORS, chosen, strict=False):
      # Steps, as average precision sums them: a straight line between points cannot be reached.
      # The point (recall 0, precision 1) is a convention, not a result: the line ends level.
      level = np.append(precision[:-1], precision[-2])
      axes.step(
        recall,
        level,
        color=color,
        where='post',
        linewidth=1.5,
        label=f'{area:.2f}  {drawing.short(name, 36)}',
      )
    axes.set_title(title)
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlabel('recall')
    axes.set_ylabel('precision')
    axes.legend(loc='upper center', bbox_to_anchor=(0.5, -0.15), frameon=False, title='AP  tag')
  drawing.save(figure, path)


def save_confusion(
  path: Path, counts: np.ndarray, support: np.ndarray, names: Sequence[str]
) -> None:
  """Draws a confusion matrix, coloured by the share of the true class.

  Args:
    path: of the PNG.
    counts: [classes, classes] examples, true class by predicted class.
    support: [classes] examples of each true class, also those predicted as a class not shown.
    names: one name a class.
  """
  share = counts / np.maximum(support, 1)[:, None]
  large = len(names) <= 20
  size = (0.45 if large else 0.25) * len(names)
  figure = drawing.figure(size + 3.5, size + 2.5)
  axes = figure.subplots()
  image = axes.imshow(share, cmap='Blues', vmin=0, vmax=1)
  ticks = np.arange(len(names))
  axes.set_xticks(ticks, [drawing.short(name) for name in names], rotation=90, fontsize=8)
  axes.set_yticks(ticks, [drawing.short(name) for name in names], fontsize=8)
  axes.set_xlabel('predicted')
  axes.set_ylabel('true')
  for edge in ticks[1:] - 0.5:
    axes.axvline(edge, color='#e6e6e6', linewidth=0.6)
    axes.axhline(edge, color='#e6e6e6', linewidth=0.6)
  for (row, column), count in np.ndenumerate(counts):
    if count:
      text = axes.text(
        column,
        row,
        _count(count),
        ha='center',
        va='center',
        fontsize=8 if large else 6,
        fontweight='bold' if row == column else 'normal',
        color='white' if share[row, column] > 0.5 else 'black',
      )
      text.set_in_layout(False)  # Thousands of them take seconds to lay out.
  axes.set_title(f'{counts.sum():,} tracks', fontsize=10)
  figure.colorbar(image, ax=axes, label='share of the true class', fraction=0.04)
  drawing.save(figure, path)


def draw_example(example: 'Example', front_end: Mapping[str, Any], unit: str, title: str) -> bytes:
  """Draws an example of mel frames in decibels, normalised and augmented; returns a PNG.

  Args:
    example: of the first batch.
    front_end: that made it: fields of `LogMel`.
    unit: of the normalised values.
    title: of the picture.
  """
  charts = [] if example.decibels is None else [('in decibels', example.decibels)]
  before = 'before augmentation' if example.decibels is None else 'normalised, before augmentation'
  charts += [(before, example.before), ('after augmentation', example.after)]
  figure = drawing.figure(4.3 * len(charts), 3.1)
  longest = max(len(frames) for _, frames in charts)
  seconds = front_end['hop_length'] / front_end['sample_rate']
  # Of one scale, so that what augmentation adds is seen; a few outliers would take all of it.
  low, high = np.percentile(example.before, (0.5, 99.5))
  ticks, names = _mel_ticks(front_end)
  for number, (axes, (name, frames)) in enumerate(
    zip(figure.subplots(1, len(charts), sharey=True, squeeze=False)[0], charts, strict=True)
  ):
    in_decibels = name == 'in decibels'
    image = axes.imshow(
      frames.T,
      origin='lower',
      aspect='auto',
      interpolation='nearest',
      cmap='magma',
      vmin=max(frames.min(), frames.max() - 80) if in_decibels else low,
      vmax=frames.max() if in_decibels else high,
      extent=(
        example.seconds,
        example.seconds + len(frames) * seconds,
        -0.5,
        frames.shape[1] - 0.5,
      ),
    )
    axes.set_xlim(example.seconds, example.seconds + longest * seconds)
    axes.set_facecolor('#e6e6e6')  # What is padding in the shorter one.
    label = example.augmented_label if name == 'after augmentation' else example.label
    axes.set_title(f'{name}\n{drawing.short(label, 44)}', fontsize=10)
    axes.set_xlabel('time in the track (s)')
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.set_yticks(ticks, names)
    if not number:
      axes.set_ylabel('frequency (Hz)')
    figure.colorbar(image, ax=axes, label='dB' if in_decibels else unit, pad=0.02)
  figure.suptitle(drawing.short(title, 80), fontsize=11, fontweight='bold')
  file = io.BytesIO()
  drawing.save(figure, file)
  return file.getvalue()


def _mel_ticks(front_end: Mapping[str, Any]) -> tuple[list[float], list[str]]:
  """Bands, counted from 0 and in fractions, where round frequencies lie, and their names."""
  mel = LogMel(**front_end)
  high = mel.fmax or mel.sample_rate / 2
  edges = librosa.mel_frequencies(
    mel.n_mels + 2, fmin=mel.fmin, fmax=high, htk=mel.mel_scale == 'htk'
  )
  places, names = [], []
  for frequency in (
    16000,
    8000,
    4000,
    2000,
    1000,
    500,
    250,
    125,
  ):  # From above, where there is room.
    place = float(np.interp(frequency, edges[1:-1], np.arange(mel.n_mels)))
    if edges[1] <= frequency < high and (not places or places[-1] - place > mel.n_mels / 16):
      places.append(place)
      names.append(f'{frequency // 1000}k' if frequency >= 1000 else str(frequency))
  return places, names


def _curve_name(name: str, title: str) -> str:
  """What a legend says beside a chart's title."""
  if title == 'Validation metrics':
    return name.removeprefix('validation_')
  return name.split('_')[0]


def _series(rows, name: str) -> tuple[list[int], list[float]]:
  """Steps and values of the evaluations that have a finite value of that name."""
  points = [
    (row['step'], row[name]) for row in rows if row.get(name) is not None and np.isfinite(row[name])
  ]
  return [step for step, _ in points], [value for _, value in points]


def _is_share(rows, name: str) -> bool:
  values = _series(rows, name)[1]
  counted = name in ('validation_loss', 'validation_classes_without_positives')
  return not counted and bool(values) and min(values) >= 0 and max(values) <= 1


def _count(value: int) -> str:
  """A number that fits a cell."""
  return str(value) if value < 1000 else f'{value / 1000:.0f}k'


def _thousands(value: float, _) -> str:
  return f'{value:,.0f}' if value >= 1 or value == 0 else f'{value:g}'
