import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from musicjax.audio import augment_frames
from musicjax.errors import ConfigError

LENGTHS = np.array([12, 3, 7, 12, 1, 9, 5, 10], np.int32)
SIZE, TIME = len(LENGTHS), 12

mixup, cutmix_time = (
  jax.jit(function, static_argnames=('alpha', 'probability'))
  for function in (augment_frames.mixup, augment_frames.cutmix_time)
)


def make_batch(*features):
  """Example i holds i + 1 on its valid frames and has label i: an output frame tells its sources.

  Padding holds NaN, which whatever reads it would spread.
  """
  frames = np.arange(TIME) < LENGTHS[:, None]
  inputs = np.where(frames, np.arange(1.0, SIZE + 1)[:, None], np.nan).astype(np.float32)
  inputs = np.tile(inputs.reshape(SIZE, TIME, *(1 for _ in features)), (1, 1, *features))
  return {
    'inputs': jnp.asarray(inputs),
    'lengths': jnp.asarray(LENGTHS),
    'labels': jnp.eye(SIZE),
    'index': jnp.arange(SIZE),
  }


def sources(row, labels):
  """The share of the example itself, and its partner where one shows in the labels."""
  others = [i for i in np.flatnonzero(labels) if i != row]
  assert len(others) <= 1
  return labels[row], (others or [row])[0]


@pytest.mark.parametrize('alpha', [0.4, 1.0, 5.0])
def test_shares_of_a_mixture_have_the_beta_distribution(alpha):
  size = 2000
  batch = {
    'inputs': jnp.zeros((size, 1)),
    'lengths': jnp.ones(size, int),
    'labels': jnp.eye(size),
  }
  shares = jnp.diag(mixup(jax.random.key(0), batch, alpha=alpha)['labels'])
  # The distance that one sample in a thousand of the true distribution exceeds.
  assert stats.kstest(shares, stats.beta(alpha, alpha).cdf).statistic < 1.95 / size**0.5


@pytest.mark.parametrize('seed', range(3))
def test_mixup_mixes_labels_with_the_weights_of_the_inputs(seed):
  batch = make_batch(2)
  mixed = mixup(jax.random.key(seed), batch, alpha=1.0)
  frame = np.arange(TIME)
  partners = set()
  for row, (inputs, labels) in enumerate(zip(mixed['inputs'], mixed['labels'], strict=True)):
    own, partner = sources(row, np.asarray(labels))
    partners.add(partner)
    expected = own * (row + 1) * (frame < LENGTHS[row])
    expected += (1 - own) * (partner + 1) * (frame < LENGTHS[partner])
    np.testing.assert_allclose(inputs[:, 0], expected, rtol=1e-5)
    np.testing.assert_array_equal(inputs[:, 0], inputs[:, 1])
    assert mixed['lengths'][row] == max(LENGTHS[row], LENGTHS[partner])
  np.testing.assert_allclose(mixed['labels'].sum(axis=1), 1, rtol=1e-6)
  assert len(partners) == SIZE  # A permutation: nobody is mixed in twice.


@pytest.mark.parametrize('function', [mixup, cutmix_time])
def test_each_label_of_a_mixture_counts_by_its_own_share_and_weight(function):
  weights = np.array([1, 0, 3, 0.5, 2, 0, 4, 1], np.float32)
  # Labels are one-hot: without weights they are the shares.
  shares = np.asarray(function(jax.random.key(0), make_batch(), alpha=1.0)['labels'])
  mixed = function(jax.random.key(0), make_batch() | {'weights': weights}, alpha=1.0)
  np.testing.assert_allclose(mixed['weights'], shares @ weights, rtol=1e-6)
  costs = mixed['labels'] * mixed['weights'][:, None]
  np.testing.assert_allclose(costs, shares * weights, rtol=1e-5)  # Small ones are differences.
  np.testing.assert_allclose(mixed['labels'].sum(axis=1), 1, rtol=1e-6)
  assert not np.allclose(mixed['labels'], shares)


@pytest.mark.parametrize('function', [mixup, cutmix_time])
def test_mixing_with_weights_of_one_gives_the_bits_of_mixing_without(function):
  for seed in range(20):
    key, weights = jax.random.key(seed), jnp.ones(SIZE)
    plain = function(key, make_batch(), alpha=1.0)
    mixed = function(key, make_batch() | {'weights': weights}, alpha=1.0)
    np.testing.assert_array_equal(mixed['labels'], plain['labels'])
    np.testing.assert_array_equal(mixed['weights'], weights)


@pytest.mark.parametrize('seed', range(3))
def test_cutmix_mixes_labels_by_the_share_of_frames(seed):
  batch = make_batch(2)
  cut = cutmix_time(jax.random.key(seed), batch, alpha=1.0)
  replaced = 0
  for row, length in enumerate(LENGTHS):
    inputs, labels = np.asarray(cut['inputs'][row]), np.asarray(cut['labels'][row])
    own, partner = sources(row, labels)
    values = inputs[:length, 0]
    assert set(values) <= {row + 1, partner + 1}
    foreign = np.flatnonzero(values != row + 1)
    assert own == pytest.approx(1 - len(foreign) / length, abs=1e-6)
    assert (np.diff(foreign) == 1).all()  # One span.
    assert np.isnan(inputs[length:]).all()  # Padding is left alone.
    replaced += len(foreign)
  np.testing.assert_array_equal(cut['lengths'], LENGTHS)
  assert replaced > 0


@pytest.mark.parametrize('features', [(), (16,), (4, 3)])
def test_noise_has_its_sigma_and_leaves_padding(features):
  batch = make_batch(*features)
  noisy = augment_frames.gaussian_noise(jax.random.key(0), batch, sigma=0.5)['inputs']
  noise = np.asarray(noisy) - batch['inputs']
  valid = np.arange(TIME) < LENGTHS[:, None]
  assert np.isnan(noisy[~valid]).all()
  noise = noise[valid]
  count = noise.size
  # Four standard errors of the mean and of the deviation.
  assert abs(noise.mean()) < 4 * 0.5 / count**0.5
  assert abs(noise.std() - 0.5) < 4 * 0.5 / (2 * count) ** 0.5


@pytest.mark.parametrize('function', [mixup, cutmix_time])
def test_probability_is_the_share_of_examples_that_change(function):
  batch = make_batch()
  never = function(jax.random.key(0), batch, alpha=1.0, probability=0.0)
  np.testing.assert_array_equal(np.nan_to_num(never['inputs']), np.nan_to_num(batch['inputs']))
  np.testing.assert_array_equal(never['labels'], batch['labels'])
  np.testing.assert_array_equal(never['lengths'], batch['lengths'])

  share = np.mean(
    [
      (
        function(jax.random.key(seed), batch, alpha=1.0, probability=0.3)['labels']
        != batch['labels']
      ).any(axis=1)
      for seed in range(60)
    ]
  )
  # At most 0.3; less by partners that are the example itself (1/8) and by spans of no frame.
  assert 0.1 < share < 0.36


def make_spectrograms(mel=10, seed=0):
  """Images in 0..1, NaN beyond their lengths, with labels that nothing should touch."""
  values = np.random.default_rng(seed).uniform(0.2, 0.8, (SIZE, TIME, mel)).astype(np.float32)
  values[np.arange(TIME) >= LENGTHS[:, None]] = np.nan
  return make_batch() | {'inputs': jnp.asarray(values)}


def jitted(name, **fields):
  return jax.jit(lambda key, batch: getattr(augment_frames, name)(key, batch, **fields))


def rectangle(changed):
  """Frames and bands of a rectangle that fills its bounding box."""
  frames, bands = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
  assert changed[np.ix_(frames, bands)].all()
  assert (np.diff(frames) == 1).all()
  assert (np.diff(bands) == 1).all()
  return frames, bands


@pytest.mark.parametrize(
  ('name', 'fields'),
  [
    ('brightness_contrast', {'brightness': 0.5, 'contrast': 0.5, 'probability': 1.0}),
    ('spec_augment', {'time_width': 5, 'mel_width': 4}),
    ('random_erasing', {'probability': 1.0}),
  ],
)
def test_masks_and_jitter_leave_padding_labels_and_lengths(name, fields):
  batch = make_spectrograms()
  after = jitted(name, **fields)(jax.random.key(0), batch)
  valid = np.arange(TIME) < LENGTHS[:, None]
  assert np.isnan(after['inputs'][~valid]).all()
  assert np.isfinite(after['inputs'][valid]).all()
  assert not np.array_equal(after['inputs'][valid], batch['inputs'][valid])
  for key in ('labels', 'lengths', 'index'):
    np.testing.assert_array_equal(after[key], batch[key])


def test_spec_augment_masks_spans_no_wider_than_asked_that_differ_by_example():
  batch = make_spectrograms()
  fields = {'time_width': 4, 'mel_width': 3, 'fill': 'zero'}
  in_time = jitted('spec_augment', **fields, time_masks=1, mel_masks=0)
  in_mel = jitted('spec_augment', **fields, time_masks=0, mel_masks=1)
  frames, bands = set(), set()
  for seed in range(20):
    after = in_time(jax.random.key(seed), batch)['inputs']
    for row in np.flatnonzero((np.asarray(after) == 0).any(axis=(1, 2))):
      masked = rectangle(np.asarray(after[row]) == 0)
      assert len(masked[0]) <= 4
      assert len(masked[1]) == 10
      frames |= {(row, frame) for frame in masked[0]}
    after = in_mel(jax.random.key(seed), batch)['inputs']
    for row in np.flatnonzero((np.asarray(after) == 0).any(axis=(1, 2))):
      masked = rectangle(np.asarray(after[row]) == 0)
      assert len(masked[0]) == LENGTHS[row]
      assert len(masked[1]) <= 3
      bands |= {(row, band) for band in masked[1]}
  # Over twenty draws nearly every valid place is masked once, and none beyond the lengths.
  assert 0.9 * LENGTHS.sum() < len(frames) <= LENGTHS.sum()
  assert len(bands) > 0.9 * 10 * SIZE


def test_spec_augment_masks_no_more_of_an_example_than_its_share_of_time():
  function = jitted('spec_augment', time_width=99, mel_width=0, time_masks=1, time_share=0.4)
  batch = make_spectrograms()
  for seed in range(20):
    after = np.asarray(function(jax.random.key(seed), batch)['inputs'])
    changed = (after != np.asarray(batch['inputs'])).any(axis=2) & ~np.isnan(after[..., 0])
    assert (changed.sum(axis=1) <= 0.4 * LENGTHS).all()


@pytest.mark.parametrize('fill', ['mean', 'zero'])
@pytest.mark.parametrize(
  ('name', 'fields'),
  [
    ('spec_augment', {'time_width': 6, 'mel_width': 4}),
    ('random_erasing', {'probability': 1.0}),
  ],
)
def test_masks_hold_zero_or_the_mean_of_valid_frames(name, fields, fill):
  batch = make_spectrograms()
  after = np.asarray(jitted(name, **fields, fill=fill)(jax.random.key(0), batch)['inputs'])
  masked = (after != np.asarray(batch['inputs'])) & ~np.isnan(after)
  assert masked.any()
  for row in np.flatnonzero(masked.any(axis=(1, 2))):
    expected = np.nanmean(batch['inputs'][row]) if fill == 'mean' else 0
    np.testing.assert_allclose(after[row][masked[row]], expected, rtol=1e-5)


def test_random_erasing_takes_its_share_of_the_area_in_one_rectangle():
  batch = make_spectrograms(mel=40) | {'lengths': jnp.full(SIZE, TIME)}
  batch['inputs'] = jnp.nan_to_num(batch['inputs'], nan=0.5)
  function = jitted('random_erasing', probability=0.5, min_area=0.2, max_area=0.4)
  shares, tall, erased = [], 0, 0
  for seed in range(20):
    changed = np.asarray(function(jax.random.key(seed), batch)['inputs']) == 0
    for row in changed[changed.any(axis=(1, 2))]:
      frames, bands = rectangle(row)
      shares.append(len(frames) * len(bands) / (TIME * 40))
      tall += len(frames) > len(bands)
      erased += 1
  assert abs(erased / (20 * SIZE) - 0.5) < 0.16  # Four standard errors of 160 draws.
  assert 0.15 < min(shares) < 0.23  # Whole frames: at least 4 of 12, so an eighth off at most.
  assert 0.37 < max(shares) < 0.46
  assert 0 < tall < erased


def test_noise_is_on_padding_too_where_the_published_fault_is_put_back():
  batch = {'inputs': jnp.zeros((3, 400, 5)), 'lengths': jnp.array([400, 200, 1])}
  key = jax.random.key(0)
  clean = augment_frames.gaussian_noise(key, batch, sigma=0.5)['inputs']
  faulty = augment_frames.gaussian_noise(key, batch, sigma=0.5, on_padding=True)['inputs']
  valid = np.arange(400) < np.array([[400], [200], [1]])
  np.testing.assert_array_equal(clean[valid], faulty[valid])
  assert np.std(faulty[~valid]) == pytest.approx(0.5, rel=0.05)  # Of 2,995 numbers.


def test_brightness_and_contrast_scale_and_spread_within_the_image():
  batch, key = make_spectrograms(), jax.random.key(0)
  valid = np.arange(TIME) < LENGTHS[:, None]
  bright = jitted('brightness_contrast', brightness=0.2, contrast=0.0, probability=1.0)
  ratio = np.asarray(bright(key, batch)['inputs'] / batch['inputs'])
  for row in range(SIZE):
    np.testing.assert_allclose(ratio[row][valid[row]], ratio[row, 0, 0], rtol=1e-5)
    assert 0.8 <= ratio[row, 0, 0] <= 1.2
  assert np.unique(ratio[:, 0, 0].round(4)).size == SIZE

  contrast = jitted('brightness_contrast', brightness=0.0, contrast=0.2, probability=1.0)
  after = np.asarray(contrast(key, batch)['inputs'])
  for row in range(SIZE):
    old, new = np.asarray(batch['inputs'][row])[valid[row]], after[row][valid[row]]
    assert new.mean() == pytest.approx(old.mean(), rel=1e-5)
    factor = new.std() / old.std()
    assert 0.8 <= factor <= 1.2
    np.testing.assert_allclose(new - new.mean(), factor * (old - old.mean()), atol=1e-5)

  wild = jitted('brightness_contrast', brightness=3.0, contrast=3.0, probability=1.0)
  after = np.asarray(wild(key, batch)['inputs'])[valid]
  assert after.min() == 0
  assert after.max() == 1


@pytest.mark.parametrize('name', ['brightness_contrast', 'random_erasing'])
def test_probability_is_the_share_of_spectrograms_that_change(name):
  jitter = {'brightness': 0.5, 'contrast': 0.5} if name == 'brightness_contrast' else {}
  batch = make_spectrograms()
  never = jitted(name, probability=0.0, **jitter)(jax.random.key(0), batch)
  np.testing.assert_array_equal(never['inputs'], batch['inputs'])
  function = jitted(name, probability=0.3, **jitter)
  changed = [
    ((after != batch['inputs']) & ~jnp.isnan(after)).any(axis=(1, 2))
    for after in (function(jax.random.key(seed), batch)['inputs'] for seed in range(40))
  ]
  assert abs(np.mean(changed) - 0.3) < 0.11  # Four standard errors of 320 draws.


def make_clocks(*features):
  """Inputs that tell whose frame they are, and which: 100 (example + 1) + frame; NaN as padding."""
  batch = make_batch(*features)
  frame = jnp.arange(TIME, dtype=jnp.float32).reshape(TIME, *(1 for _ in features))
  return batch | {'inputs': 100 * batch['inputs'] + frame}


# Waveforms, spectrograms.
either = pytest.mark.parametrize('features', [(), (3,)])


@either
def test_a_random_crop_is_a_span_of_valid_frames_from_all_over(features):
  batch, frames = make_clocks(*features), 4
  function = jitted('random_crop', frames=frames)
  starts = [set() for _ in LENGTHS]
  for seed in range(60):
    after = function(jax.random.key(seed), batch)
    assert after['inputs'].shape == (SIZE, frames, *features)
    np.testing.assert_array_equal(after['lengths'], np.minimum(LENGTHS, frames))
    np.testing.assert_array_equal(after['labels'], batch['labels'])
    for row, inputs in enumerate(np.asarray(after['inputs'])):
      kept = min(frames, LENGTHS[row])
      start = int(inputs[0].ravel()[0]) % 100
      np.testing.assert_array_equal(inputs[:kept], batch['inputs'][row, start : start + kept])
      assert np.isnan(inputs[kept:]).all()
      starts[row].add(start)
  # Sixty draws leave out one of 9 places about once in 120 examples: all but one are asked for.
  for row, seen in enumerate(starts):
    places = max(LENGTHS[row] - frames, 0) + 1
    assert seen <= set(range(places))
    assert len(seen) >= max(places - 1, 1)


@either
def test_a_random_length_is_a_span_of_valid_frames_and_zeros_behind_it(features):
  batch = make_clocks(*features)
  function = jitted('random_length', min_share=0.5)
  found = [set() for _ in LENGTHS]
  for seed in range(100):
    after = function(jax.random.key(seed), batch)
    assert after['inputs'].shape == batch['inputs'].shape
    np.testing.assert_array_equal(after['labels'], batch['labels'])
    for row, inputs in enumerate(np.asarray(after['inputs'])):
      kept = int(after['lengths'][row])
      start = int(inputs[0].ravel()[0]) % 100
      np.testing.assert_array_equal(inputs[:kept], batch['inputs'][row, start : start + kept])
      assert not inputs[kept:].any()
      found[row].add((start, kept))
  for row, seen in enumerate(found):
    lengths = {kept for _, kept in seen}
    half = -(-LENGTHS[row] // 2)  # Less than half a frame is rounded up.
    # Of a hundred draws, the rarest of 7 lengths is left out once in 3,000 examples.
    assert lengths == set(range(half, LENGTHS[row] + 1))
    assert {start for start, kept in seen if kept == half} <= set(range(LENGTHS[row] - half + 1))


def test_a_crop_longer_than_the_inputs_changes_nothing():
  batch = make_clocks(3)
  after = jitted('random_crop', frames=TIME + 5)(jax.random.key(0), batch)
  jax.tree.map(np.testing.assert_array_equal, after, batch)


@either
@pytest.mark.parametrize('wrap', [True, False])
def test_a_time_shift_moves_valid_frames_by_at_most_its_share(features, wrap):
  batch, share = make_clocks(*features), 0.5
  function = jitted('time_shift', max_share=share, wrap=wrap)
  shifts = [set() for _ in LENGTHS]
  for seed in range(60):
    after = function(jax.random.key(seed), batch)
    for key in ('labels', 'lengths', 'index'):
      np.testing.assert_array_equal(after[key], batch[key])
    for row, length in enumerate(LENGTHS):
      before, found = (np.asarray(b['inputs'][row]) for b in (batch, after))
      assert np.isnan(found[length:]).all()  # Padding is left alone.
      frames = found[:length].reshape(length, -1)
      at = int(np.flatnonzero(frames[:, 0])[0])  # The first that is not filled with zero.
      shift = at - int(frames[at, 0]) % 100
      expected = np.roll(before[:length], shift, axis=0)
      if not wrap:
        expected[: max(shift, 0)] = 0
        expected[length + min(shift, 0) :] = 0
      np.testing.assert_array_equal(found[:length], expected)
      shifts[row].add(shift % length)
  for length, seen in zip(LENGTHS, shifts, strict=True):
    most = int(share * length)
    possible = {shift % length for shift in range(-most, most + 1)}
    assert seen <= possible
    assert len(seen) >= 0.8 * len(possible)


@either
def test_gain_is_one_factor_an_example_within_its_decibels(features):
  batch = make_clocks(*features)
  function = jitted('gain', max_db=6.0)
  decibels = []
  for seed in range(30):
    after = function(jax.random.key(seed), batch)
    for key in ('labels', 'lengths', 'index'):
      np.testing.assert_array_equal(after[key], batch[key])
    ratio = np.asarray(after['inputs'] / batch['inputs']).reshape(SIZE, TIME, -1)
    for row, length in enumerate(LENGTHS):
      np.testing.assert_allclose(ratio[row, :length], ratio[row, 0, 0], rtol=1e-6)
      assert np.isnan(ratio[row, length:]).all()
      decibels.append(20 * np.log10(ratio[row, 0, 0]))
  # Uniform in +-6: the extremes of 240 draws, and four standard errors of their mean.
  assert -6 <= min(decibels) < -5.5 < 5.5 < max(decibels) <= 6
  assert abs(np.mean(decibels)) < 4 * 6 / 3**0.5 / 240**0.5


@pytest.mark.parametrize(
  ('name', 'fields'), [('gain', {'max_db': 6.0}), ('time_shift', {'max_share': 0.9})]
)
def test_probability_is_the_share_of_waveforms_that_change(name, fields):
  batch = make_clocks() | {'lengths': jnp.full(SIZE, TIME)}
  batch['inputs'] = 1 + jnp.arange(SIZE * TIME, dtype=jnp.float32).reshape(SIZE, TIME)
  never = jitted(name, probability=0.0, **fields)(jax.random.key(0), batch)
  np.testing.assert_array_equal(never['inputs'], batch['inputs'])
  function = jitted(name, probability=0.3, **fields)
  changed = [
    (function(jax.random.key(seed), batch)['inputs'] != batch['inputs']).any(axis=1)
    for seed in range(40)
  ]
  # Four standard errors of 320 draws; one shift of 21 is by 0.
  assert abs(np.mean(changed) - 0.3) < 0.11


def test_what_masks_cannot_hold_is_refused():
  with pytest.raises(ConfigError, match=r"spec_augment.fill: .*mean, zero; found 'noise'"):
    augment_frames.spec_augment(
      jax.random.key(0), make_spectrograms(), time_width=2, mel_width=2, fill='noise'
    )
