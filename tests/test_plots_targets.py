import numpy as np

from musicjax import plots_targets


def test_even_attention_is_pale_and_what_stands_out_is_not():
  even = plots_targets.scale_attention(np.ones((16, 16)))
  assert even.max() < 0.4
  peak = np.ones((16, 16))
  peak[3, 5] = 50
  shown = plots_targets.scale_attention(peak)
  assert shown[3, 5] == 1
  assert np.median(shown) < 0.1
