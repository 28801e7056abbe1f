"""What each distortion of covers promises, on pictures where it can be computed otherwise."""

import colorsys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage
import scipy.stats

from musicjax.audio import augment, augment_images

SIZE, HEIGHT, WIDTH = 16, 12, 20
PICTURES = np.random.default_rng(0).uniform(0, 255, (SIZE, HEIGHT, WIDTH, 3)).astype(np.float32)


def distort(name, pictures=PICTURES, seed=0, **fields):
  batch = {'inputs': jnp.asarray(pictures), 'lengths': jnp.full(len(pictures), pictures.shape[1])}
  after = jax.jit(augment.create({name: fields}))(jax.random.key(seed), batch)
  assert after.keys() == batch.keys()
  return np.asarray(after['inputs'])


@pytest.mark.parametrize('name', augment_images.AUGMENTS)
def test_half_of_the_pictures_are_changed_the_others_not_and_all_stay_in_range(name):
  pictures = np.tile(PICTURES, (25, 1, 1, 1))
  after = distort(name, pictures)
  assert after.min() >= 0
  assert after.max() <= 255 + 1e-4  # Rounding of a product.
  np.testing.assert_array_equal(after, distort(name, pictures))
  changed = (np.abs(after - pictures).max(axis=(1, 2, 3)) > 1e-3).mean()
  # Turned or magnified: 3 of 4. Three deviations of the share of 400.
  assert abs(changed - (0.75 if name == 'rotate_zoom' else 0.5)) < 0.075
  np.testing.assert_allclose(distort(name, PICTURES, probability=0.0), PICTURES, atol=1e-3)


def test_many_devices_distort_as_one_does(monkeypatch):
  one = [distort(name) for name in augment_images.AUGMENTS]
  monkeypatch.setattr(jax, 'device_count', lambda: 2)
  for name, expected in zip(augment_images.AUGMENTS, one, strict=True):
    np.testing.assert_allclose(distort(name), expected, atol=1e-2)  # Of 255.


def test_flips_swap_sides():
  flipped = distort('flip_horizontal', probability=1.0)
  np.testing.assert_array_equal(flipped, PICTURES[:, :, ::-1])
  flipped = distort('flip_vertical', probability=1.0)
  np.testing.assert_array_equal(flipped, PICTURES[:, ::-1])


def test_pictures_turn_about_their_centre_by_up_to_the_angle_both_ways():
  x = np.broadcast_to(np.arange(WIDTH) - (WIDTH - 1) / 2, (200, HEIGHT, WIDTH)) * 5
  pictures = np.repeat(127.5 + x[..., None], 3, axis=3).astype(np.float32)
  turned = distort('rotate_zoom', pictures, min_zoom=1.0, max_zoom=1.0, probability=1.0)
  inner = turned[:, 4:-4, 6:-6, 0]
  down = np.diff(inner, axis=1).mean(axis=(1, 2)) / 5  # -sin of the angle.
  right = np.diff(inner, axis=2).mean(axis=(1, 2)) / 5  # cos
  np.testing.assert_allclose(down**2 + right**2, 1, atol=1e-3)
  degrees = np.degrees(np.arctan2(-down, right))
  assert degrees.min() < -9
  assert degrees.max() > 9
  assert np.abs(degrees).max() <= 10.01
  np.testing.assert_allclose(inner.mean(axis=(1, 2)), 127.5, atol=0.01)


def test_zoom_keeps_the_size_and_scales_about_the_centre():
  x = np.broadcast_to(np.arange(WIDTH) - (WIDTH - 1) / 2, (200, HEIGHT, WIDTH)) * 5
  pictures = np.repeat(127.5 + x[..., None], 3, axis=3).astype(np.float32)
  zoomed = distort('rotate_zoom', pictures, max_degrees=0.0, probability=1.0)
  assert zoomed.shape == pictures.shape
  slope = np.diff(zoomed[:, :, 6:-6, 0], axis=2).mean(axis=(1, 2)) / 5
  factors = 1 / slope
  assert 0.8 - 1e-4 <= factors.min() < 0.83
  assert 1.17 < factors.max() <= 1.2 + 1e-4
  # What comes in from outside repeats the edge: nothing leaves the range of what was there.
  assert zoomed.min() >= pictures.min()
  assert zoomed.max() <= pictures.max()


def test_sampling_equals_scipys_of_rounded_pictures():
  rng = np.random.default_rng(0)
  y, x = rng.uniform(-3, HEIGHT + 3, (2, 5, 6)), rng.uniform(-3, WIDTH + 3, (2, 5, 6))
  pictures = np.moveaxis(PICTURES[:2], 3, 1)
  found = jax.vmap(augment_images._sample)(pictures, y, x)
  for i, channel in np.ndindex(2, 3):
    expected = scipy.ndimage.map_coordinates(
      pictures[i, channel].round(), [y[i], x[i]], order=1, mode='nearest'
    )
    np.testing.assert_allclose(found[i, channel], expected, rtol=1e-4, atol=1e-2)


def test_contrast_keeps_the_mean_and_brightness_moves_it():
  pictures = 100 + PICTURES / 10  # Far from both ends.
  after = distort('exposure', np.tile(pictures, (20, 1, 1, 1)), probability=1.0)
  means = after.mean(axis=(1, 2, 3)) / np.tile(pictures.mean(axis=(1, 2, 3)), 20)
  spread = after.std(axis=(1, 2, 3)) / np.tile(pictures.std(axis=(1, 2, 3)), 20)
  for factor in (means, spread / means):  # Brightness; contrast, which is no second brightness.
    assert 0.7 - 1e-3 <= factor.min() < 0.75
    assert 1.25 < factor.max() <= 1.3 + 1e-3
  assert abs(np.corrcoef(means, spread / means)[0, 1]) < 0.2


def test_saturation_and_hue_change_as_hsv_has_them():
  rows = np.tile(PICTURES[:, :2, :2], (6, 1, 1, 1))
  after = distort('saturation_hue', rows, probability=1.0)
  hsv = np.vectorize(colorsys.rgb_to_hsv)
  (hue, saturation, value), (new_hue, new_saturation, new_value) = (
    hsv(*np.moveaxis(x.astype(float) / 255, 3, 0)) for x in (rows, after)
  )
  np.testing.assert_allclose(new_value, value, atol=1e-5)
  turn = (new_hue - hue + 0.5) % 1 - 0.5
  np.testing.assert_allclose(turn, np.broadcast_to(turn[:, :1, :1], turn.shape), atol=1e-4)
  assert -20 / 360 - 1e-4 <= turn.min() < -15 / 360
  assert 15 / 360 < turn.max() <= 20 / 360 + 1e-4
  factor = np.where(new_saturation < 0.999, new_saturation / saturation, 1.0)
  assert 0.7 - 1e-4 <= factor.min() < 0.75
  assert 1.25 < factor.max() <= 1.3 + 1e-4
  grey = np.repeat(PICTURES[..., :1], 3, axis=3)
  np.testing.assert_allclose(distort('saturation_hue', grey, probability=1.0), grey, atol=1e-3)


def test_noise_has_both_signs_its_sigma_and_does_not_wrap_round():
  grey = np.full((8, 64, 64, 3), 127.0, np.float32)
  noise = distort('pixel_noise', grey, probability=1.0) - 127
  assert abs(noise.mean()) < 0.2  # 98,304 numbers: a deviation is 0.05.
  assert abs(noise.std() - 15) < 0.2
  assert scipy.stats.kstest(noise.ravel()[::10] / 15, 'norm').pvalue > 0.001
  # Neither beside nor below each other, nor between channels or pictures: four deviations.
  unit = (noise - noise.mean()) / noise.std()
  for axis in range(4):
    first, second = (np.delete(unit, end, axis) for end in (-1, 0))
    assert abs((first * second).mean()) < 4 / np.sqrt(first.size)
  for level in (0.0, 255.0):
    noisy = distort('pixel_noise', np.full_like(grey, level), probability=1.0)
    assert np.abs(noisy - level).max() < 90  # Six sigma.


def test_blur_is_a_gaussian_and_sharpening_its_opposite():
  blurred = distort('blur', probability=1.0)
  expected = scipy.ndimage.gaussian_filter(
    PICTURES, (0, 1, 1, 0), mode='nearest', radius=2
  )  # Cut at two pixels.
  np.testing.assert_allclose(blurred, expected, rtol=1e-4, atol=1e-2)
  sharp = distort('sharpen', probability=1.0, amount=0.5)
  kernel = np.array([[0, -1, 0], [-1, 4, -1], [0, -1, 0]])[None, ..., None] * 0.5
  expected = PICTURES + scipy.ndimage.convolve(PICTURES, kernel, mode='nearest')
  np.testing.assert_allclose(sharp, expected.clip(0, 255), rtol=1e-4, atol=1e-2)


def test_a_config_names_them_beside_the_others():
  batch = {'inputs': jnp.asarray(PICTURES), 'lengths': jnp.full(SIZE, HEIGHT)}
  apply = augment.create({'blur': {'probability': 1.0}, 'flip_vertical': {'probability': 1.0}})
  after = jax.jit(apply)(jax.random.key(0), batch)['inputs']
  np.testing.assert_allclose(after, distort('blur', PICTURES[:, ::-1], probability=1.0), atol=1e-3)
