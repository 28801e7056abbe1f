"""Pictures that look alike: one cover in other sizes, formats and qualities.

Worker processes may import this module, so it imports neither JAX nor TensorFlow.
"""

import numpy as np
import scipy.sparse
import scipy.sparse.csgraph
from PIL import Image

VERSION = 1  # Raised when other pictures are taken to be alike.
_SIDE = 16  # Bits along a side of a fingerprint.
_STEP = 2  # Grey levels that noise alone does not make.
_DISTANCE = 0.15  # Share of the bits set in either that may differ; of unlike covers half do.
_BLOCK_ROWS = 1024


def fingerprint(image: Image.Image) -> np.ndarray:
  """Returns the difference hash of a picture, [4] uint64.

  A bit tells whether a cell of the picture is darker than its right neighbour (Krawetz, 2013), by
  more than noise: a plain picture has none.
  """
  cells = image.convert('L').resize((_SIDE + 1, _SIDE), Image.Resampling.BOX)
  cells = np.asarray(cells, np.int16)
  return np.packbits(cells[:, 1:] > cells[:, :-1] + _STEP).view(np.uint64)


def group(fingerprints: np.ndarray) -> np.ndarray:
  """Returns the group of each picture, [n] int; what is alike through others shares one, too.

  Args:
    fingerprints: [n, 4] uint64.
  """
  unique, which = np.unique(fingerprints, axis=0, return_inverse=True)
  pairs = [np.zeros((0, 2), np.int64)]
  for start in range(0, len(unique), _BLOCK_ROWS):
    rest, block = unique[start:], unique[start : start + _BLOCK_ROWS]
    differ = np.zeros((len(block), len(rest)), np.uint16)
    for word in range(unique.shape[1]):
      differ += np.bitwise_count(block[:, word, None] ^ rest[:, word])
    bits = np.bitwise_count(rest).sum(axis=1, dtype=np.uint16)
    either = (bits[: len(block), None] + bits + differ) / np.float32(2)
    pairs.append(np.argwhere(differ <= _DISTANCE * either) + start)
  return _connected(*np.concatenate(pairs).T, len(unique))[which.ravel()]


def join(groups: np.ndarray, others: np.ndarray) -> np.ndarray:
  """Returns names of groups [n], of what shares a group of one kind or of the other.

  Args:
    groups: [n] str; a joined group has the first of its names.
    others: [n] int.
  """
  names, rows = np.unique(groups, return_inverse=True)
  _, columns = np.unique(others, return_inverse=True)
  joined = _connected(rows, len(names) + columns, len(names) + columns.max() + 1)[: len(names)]
  first = np.unique(joined, return_index=True)[1]
  return names[first[joined[rows]]]


def _connected(rows: np.ndarray, columns: np.ndarray, size: int) -> np.ndarray:
  """Returns the components [size], numbered from 0, of a graph with these edges."""
  graph = scipy.sparse.coo_array((np.ones(len(rows), bool), (rows, columns)), (size, size))
  return scipy.sparse.csgraph.connected_components(graph, directed=False)[1]
