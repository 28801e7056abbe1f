"""What all pictures of a report share: colours, figures without display or global state, PNG."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Okabe and Ito's colours, told apart by colour-blind readers, without the yellow that white drowns.
COLORS = ('#0072B2', '#D55E00', '#009E73', '#CC79A7', '#56B4E9', '#E69F00', '#000000')
BLUE, ORANGE = COLORS[:2]
GREY = '#8a8a8a'


def figure(width: float, height: float) -> Figure:
  """Returns an empty figure; sizes in inches."""
  return Figure((width, height), dpi=110, layout='constrained')


def grid(of: Figure, number: int, columns: int) -> Sequence[Axes]:
  """Returns `number` charts of a figure, row by row."""
  charts = of.subplots(-(-number // columns), columns, squeeze=False).ravel()
  for axes in charts[number:]:
    axes.remove()
  charts = charts[:number]
  for axes in charts:
    axes.grid(color='#e6e6e6', linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[['top', 'right']].set_visible(False)
  return charts


def save(of: Figure, file: Path | BinaryIO) -> None:
  """Writes a figure as PNG."""
  with warnings.catch_warnings():
    # A name in a script that the font does not have is told by its boxes.
    warnings.filterwarnings('ignore', 'Glyph .* missing from font')
    # Tight: labels beside a chart of equal axes would be cut.
    of.savefig(file, format='png', bbox_inches='tight')


def short(name: str, width: int = 26) -> str:
  """Returns a name that fits beside a chart, and whose dollar signs do not start a formula."""
  if len(name) > width:
    # Long names of one family differ at the end.
    name = f'{name[: width // 2 - 1]}…{name[-width // 2 :]}'
  return name.replace('$', r'\$')
