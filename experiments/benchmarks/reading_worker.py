"""Reads .npz files in random order through PyTorch's DataLoader; reading.py starts it.

  python experiments/benchmarks/reading_worker.py FOLDER BATCH

Prints how many there are, then the seconds of one pass for every line that it reads.
"""

import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset


class Files(Dataset):
  """A compressed .npz an example: `inputs` and `labels`."""

  def __init__(self, folder):
    self.paths = sorted(map(str, Path(folder).glob('*.npz')))

  def __len__(self):
    return len(self.paths)

  def __getitem__(self, i):
    with np.load(self.paths[i], allow_pickle=False) as example:
      inputs, labels = example['inputs'], example['labels']
    return torch.from_numpy(inputs), torch.from_numpy(labels)


def main():
  loader = DataLoader(
    Files(sys.argv[1]), int(sys.argv[2]), shuffle=True, num_workers=2, persistent_workers=True
  )
  print(sum(len(inputs) for inputs, _ in loader), flush=True)
  for _ in sys.stdin:
    start = time.perf_counter()
    for _ in loader:
      pass
    print(time.perf_counter() - start, flush=True)


if __name__ == '__main__':
  main()
