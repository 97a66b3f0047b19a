"""The figures on pictures whose answer is known."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from impasto.core import metrics
from impasto.core.errors import UsageError
from impasto.core.frame import Samples
from tests.plates import soft_noise


def blurred(picture: Samples, side: int = 7) -> Samples:
    return np.asarray(cv2.blur(picture, (side, side)), np.float32)


def grey(level: float, height: int = 32, width: int = 48) -> Samples:
    return np.full((height, width, 3), level, np.float32)


def test_sharpness_of_a_ramp_is_its_slope() -> None:
    ramp = np.repeat(np.linspace(0, 1, 101, dtype=np.float32)[None, :, None], 20, axis=0).repeat(3, axis=2)
    assert metrics.sharpness(ramp) == pytest.approx(0.01, abs=1e-6)


def test_blur_lowers_the_sharpness_and_contrast_raises_it() -> None:
    plate = soft_noise()
    assert metrics.sharpness_ratio(plate, plate) == 1
    assert metrics.sharpness_ratio(blurred(plate), plate) < 0.6
    assert metrics.sharpness_ratio(2 * plate, plate) == pytest.approx(2)
    assert math.isnan(metrics.sharpness_ratio(plate[:32, :48], grey(0.5)))


def test_edge_cosine_ignores_contrast_and_knows_the_negative_and_another_picture() -> None:
    plate = soft_noise(cell=16)
    assert metrics.edge_cosine(0.3 * plate + 0.2, plate) == pytest.approx(1, abs=1e-5)
    assert metrics.edge_cosine(1 - plate, plate) == pytest.approx(-1, abs=1e-5)
    assert abs(metrics.edge_cosine(soft_noise(seed=2, cell=16), plate)) < 0.2
    assert math.isnan(metrics.edge_cosine(grey(0.5), grey(0.5)))


def test_fine_strokes_over_the_same_forms_keep_the_edge_cosine() -> None:
    plate = soft_noise(cell=32)
    strokes = plate + 0.2 * (soft_noise(seed=3, cell=1) - 0.5)
    assert metrics.sharpness_ratio(strokes, plate) > 3
    assert metrics.edge_cosine(strokes, plate) > 0.8


def test_texture_distance_is_small_for_other_places_of_one_texture_and_large_for_a_blur_or_another_grain() -> None:
    plate = soft_noise(height=192, width=192)
    same = metrics.lap_swd(soft_noise(seed=5, height=192, width=192), plate)
    assert metrics.lap_swd(plate, plate) == 0
    assert same < 0.15
    assert metrics.lap_swd(blurred(plate), plate) > 3 * same
    assert metrics.lap_swd(soft_noise(cell=8, height=192, width=192), plate) > 3 * same


def test_texture_distance_needs_no_equal_sizes_and_repeats() -> None:
    one, other = soft_noise(height=96, width=128), soft_noise(seed=2, height=130, width=70)
    assert metrics.lap_swd(one, other) == metrics.lap_swd(one, other)
    assert metrics.lap_swd(grey(0.5, 5, 3), grey(0.5, 5, 3)) == 0


def test_laplacian_bands_hold_the_whole_picture() -> None:
    picture = soft_noise(height=64, width=96)
    *bands, rest = metrics.laplacian(picture)
    for band in reversed(bands):
        rest = cv2.resize(rest, band.shape[1::-1], interpolation=cv2.INTER_LINEAR) + band
    np.testing.assert_allclose(rest, picture, atol=1e-6)


def test_colour_distance_from_black_to_white_is_the_whole_lightness() -> None:
    assert metrics.colour_distance(grey(0), grey(1)) == pytest.approx(100, abs=0.01)
    assert metrics.colour_distance(grey(0.5), grey(0.5)) == 0


def test_colour_distance_of_known_colours() -> None:
    """Red and green of sRGB: L*a*b* (53.24, 80.09, 67.20) and (87.73, -86.18, 83.18), Lindbloom's calculator, D65."""
    red, green = grey(0), grey(0)
    red[..., 0] = green[..., 1] = 1
    assert metrics.colour_distance(red, green) == pytest.approx(170.57, abs=0.3)


def test_strokes_that_average_out_are_no_colour() -> None:
    stripes = grey(0.5, 64, 64)
    stripes[::2] += 0.02
    stripes[1::2] -= 0.02
    assert metrics.colour_distance(stripes, grey(0.5, 64, 64)) < 0.1


def test_psnr_of_a_known_error() -> None:
    assert metrics.psnr(grey(0.6), grey(0.5)) == pytest.approx(20, abs=1e-4)
    assert metrics.psnr(grey(0.5), grey(0.5)) == math.inf


def test_a_faint_lattice_shows_wherever_the_picture_has_detail_and_a_picture_has_none() -> None:
    plate = soft_noise(cell=3, height=192, width=256)
    cell = np.random.default_rng(4).standard_normal((4, 4)).astype(np.float32) * 0.004
    shuffled = plate + np.tile(cell, (48, 64))[..., None]
    assert metrics.lattice(plate) < 1.5
    assert metrics.lattice(shuffled) > 2 * metrics.lattice(plate)


def test_a_lattice_cannot_be_told_of_a_flat_or_small_picture() -> None:
    assert math.isnan(metrics.lattice(grey(0.5, 96, 96)))
    assert math.isnan(metrics.lattice(soft_noise(height=60, width=128)))


def test_a_picture_of_one_pixel_has_no_neighbours() -> None:
    assert metrics.sharpness(grey(0.5, 1, 1)) == 0


@pytest.mark.parametrize(
    "measure", [metrics.sharpness_ratio, metrics.edge_cosine, metrics.colour_distance, metrics.psnr]
)
def test_pictures_of_two_sizes_are_refused(measure: object) -> None:
    with pytest.raises(UsageError, match="got 48x32 and 48x30"):
        measure(grey(0.5), grey(0.5, 30))  # type: ignore[operator]
