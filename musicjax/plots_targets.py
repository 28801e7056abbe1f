"""The pictures of a regression on pictures: predicted against true, distortions, attention."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from musicjax import drawing

_COLUMNS = 4
_MAX_POINTS = 2000  # More are a blot.


def save_scatter(
  path: Path, names: Sequence[str], predicted: np.ndarray, true: np.ndarray, r2: np.ndarray
) -> None:
  """Draws predicted against true values, a chart a target.

  Args:
    path: of the PNG.
    names: of the targets.
    predicted: [n, targets].
    true: [n, targets].
    r2: [targets] of all n.
  """
  shown = slice(None, None, -(-len(true) // _MAX_POINTS))
  columns = min(_COLUMNS, len(names))
  figure = drawing.figure(2.7 * columns, 2.8 * -(-len(names) // columns))
  for t, axes in enumerate(drawing.grid(figure, len(names), columns)):
    x, y = true[shown, t], predicted[shown, t]
    ends = [x.min(), x.max()]
    axes.plot(ends, ends, color=drawing.GREY, linewidth=1)
    axes.plot(x, y, '.', color=drawing.BLUE, markersize=4, alpha=0.4)
    axes.set_title(f'{drawing.short(names[t])}\nR² {r2[t]:.2f}', fontsize=10)
    axes.set_xlabel('true')
    if t % columns == 0:
      axes.set_ylabel('predicted')
  drawing.save(figure, path)


def save_distortions(path: Path, before: np.ndarray, after: np.ndarray) -> None:
  """Draws pictures [n, height, width, 3] in 0..255 above what augmentation made of them."""
  figure = drawing.figure(1.5 * len(before), 3.2)
  rows = figure.subplots(2, len(before), squeeze=False)
  for row, pictures, name in zip(rows, (before, after), ('stored', 'augmented'), strict=True):
    for axes, picture in zip(row, pictures, strict=True):
      _show(axes, picture)
    row[0].set_ylabel(name)
  drawing.save(figure, path)


def save_attention(
  path: Path, pictures: np.ndarray, attention: np.ndarray, titles: Sequence[str]
) -> None:
  """Draws pictures, and each again under its attention.

  Args:
    path: of the PNG.
    pictures: [n, height, width, 3] in 0..255.
    attention: [n, rows, columns], not negative.
    titles: [n].
  """
  columns = min(6, len(pictures))
  rows = -(-len(pictures) // columns)
  figure = drawing.figure(1.7 * columns, 3.7 * rows)
  charts = figure.subplots(2 * rows, columns, squeeze=False)
  for axes in charts.ravel():
    axes.set_axis_off()
  for i, (picture, weights) in enumerate(zip(pictures, attention, strict=True)):
    row, column = divmod(i, columns)
    plain, covered = charts[2 * row, column], charts[2 * row + 1, column]
    _show(plain, picture)
    plain.set_title(drawing.short(titles[i], 22), fontsize=8)
    _show(covered, 0.5 * picture.mean(axis=2, keepdims=True).repeat(3, axis=2))
    height, width = picture.shape[:2]
    shown = scale_attention(weights)
    covered.imshow(
      shown,
      cmap='inferno',
      vmin=0,
      vmax=1,
      alpha=0.8 * shown,  # What is not looked at stays grey.
      extent=(-0.5, width - 0.5, height - 0.5, -0.5),
    )
  drawing.save(figure, path)


def scale_attention(weights: np.ndarray) -> np.ndarray:
  """Weights, not negative, as shares of the largest, or of 3 times their mean where that is more.

  What is attended evenly is pale: all of it at full strength would hide the picture.
  """
  return weights / max(weights.max(), 3 * weights.mean())


def _show(axes, picture: np.ndarray) -> None:
  axes.imshow(picture.clip(0, 255).astype(np.uint8))
  axes.set_xticks([])
  axes.set_yticks([])
