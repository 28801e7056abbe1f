"""Recovery of drawn features; the full measurement is in experiments/recovery.md."""

import numpy as np

from experiments import recovery


def test_covers_show_their_codes_and_nothing_else_twice():
  codes = {'discs': 0.5, 'size': 0.5, 'distance': 0.5, 'stripes': 0.5}
  first, again, other = (
    np.asarray(recovery.draw(np.random.default_rng(seed), codes, 64)) for seed in (0, 0, 1)
  )
  np.testing.assert_array_equal(first, again)
  assert (first != other).mean() > 0.5  # Colours and places are other ones.
  few, many = (
    np.asarray(recovery.draw(np.random.default_rng(0), {**codes, 'discs': d}, 64))
    for d in (0.0, 1.0)
  )
  ink = [(image.max(axis=2) < 60).mean() for image in (few, many)]
  assert 6 < ink[1] / ink[0] < 10  # 8 discs, not 1.
