"""Distorts pictures by OpenCV, one after the other; distortions.py starts it.

  python experiments/benchmarks/distortions_opencv.py COUNT SIZE PASSES

Distortions and their ranges are those of configs/pressed_play.py, on COUNT random pictures of
bytes, SIZE x SIZE pixels. Prints OpenCV's version and threads, then, for every line that it reads,
the seconds of PASSES over the pictures. OpenCV and NumPy only.
"""

import json
import random
import sys
import time

import cv2
import numpy as np

_SHARPEN = np.float32([[0, -1, 0], [-1, 5, -1], [0, -1, 0]])


def distort(x: np.ndarray) -> np.ndarray:
  """Returns [height, width, 3], distorted by nine distortions, each with a probability of 1/2."""
  height, width, _ = x.shape
  angle = random.uniform(-10, 10) if random.random() < 0.5 else 0
  zoom = random.uniform(0.8, 1.2) if random.random() < 0.5 else 1
  if angle or zoom != 1:  # Both in one pass, as ours are.
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, zoom)
    x = cv2.warpAffine(x, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
  if random.random() < 0.5:
    x = cv2.flip(x, 1)
  if random.random() < 0.5:
    x = cv2.flip(x, 0)
  if random.random() < 0.5:
    x = cv2.GaussianBlur(x, (5, 5), 1.0, borderType=cv2.BORDER_REPLICATE)
  if random.random() < 0.5:
    x = cv2.filter2D(x, -1, _SHARPEN, borderType=cv2.BORDER_REPLICATE)
  if random.random() < 0.5:
    x = cv2.convertScaleAbs(x, alpha=random.uniform(0.7, 1.3))
    contrast = random.uniform(0.7, 1.3)
    x = cv2.addWeighted(x, contrast, x, 0, (1 - contrast) * sum(cv2.mean(x)) / 3)
  if random.random() < 0.5:
    hue, saturation, value = cv2.split(cv2.cvtColor(x, cv2.COLOR_RGB2HSV))
    turned = (np.arange(256) + round(random.uniform(-10, 10))) % 180
    hue = cv2.LUT(hue, turned.astype(np.uint8))
    saturation = cv2.convertScaleAbs(saturation, alpha=random.uniform(0.7, 1.3))
    x = cv2.cvtColor(cv2.merge([hue, saturation, value]), cv2.COLOR_HSV2RGB)
  if random.random() < 0.5:
    noise = np.empty(x.shape, np.int16)
    cv2.randn(noise, (0, 0, 0), (15, 15, 15))
    x = cv2.add(x, noise, dtype=cv2.CV_8U)
  return x


def main():
  count, size, passes = map(int, sys.argv[1:])
  pictures = np.random.default_rng(0).integers(0, 256, (count, size, size, 3), np.uint8)
  for x in pictures:
    assert distort(x).shape == x.shape
  print(json.dumps({'version': cv2.__version__, 'threads': cv2.getNumThreads()}), flush=True)
  for _ in sys.stdin:
    start = time.perf_counter()
    for _ in range(passes):
      for x in pictures:
        distort(x)
    print(time.perf_counter() - start, flush=True)


if __name__ == '__main__':
  main()
