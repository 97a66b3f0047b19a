"""Sizes changed by taps against OpenCV, and holes filled against `impasto.core.colour.fill`."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from impasto.core.colour import fill
from impasto.core.device.resample import Interpolation, filled, resized
from impasto.core.frame import Samples
from tests.plates import noise

OPENCV = {"area": cv2.INTER_AREA, "linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC}


def by_taps(picture: Samples, size: tuple[int, int], method: Interpolation) -> Samples:
    planes = torch.from_numpy(picture).permute(2, 0, 1).contiguous()
    return np.asarray(resized(planes, size, method).permute(1, 2, 0).numpy())


@pytest.mark.parametrize(
    ("method", "old", "new"),
    [
        ("area", (61, 93), (31, 47)),
        ("area", (64, 96), (32, 48)),
        ("area", (64, 81), (19, 25)),
        ("area", (7, 1), (4, 1)),
        ("area", (200, 301), (50, 75)),
        ("linear", (31, 47), (61, 93)),
        ("linear", (1, 1), (1, 2)),
        ("cubic", (40, 50), (57, 71)),
        ("cubic", (40, 50), (160, 200)),
        ("cubic", (2, 3), (4, 6)),
    ],
)
def test_a_change_of_size_is_that_of_opencv(method: Interpolation, old: tuple[int, int], new: tuple[int, int]) -> None:
    picture = noise(*old)
    expected = cv2.resize(picture, new[::-1], interpolation=OPENCV[method])
    np.testing.assert_allclose(by_taps(picture, new, method), expected.reshape(*new, 3), atol=1e-6)


@given(st.integers(1, 70), st.integers(1, 70), st.floats(0, 0.999), st.integers(0, 9))
def test_holes_are_filled_as_numpy_fills_them(height: int, width: int, share: float, seed: int) -> None:
    colour = noise(height, width) * 40 - 1
    weight = np.random.default_rng(seed).random((height, width), np.float32)
    weight[weight < share] = 0
    if not 0 < (weight > 0).sum() < weight.size:
        return
    planes = torch.from_numpy(colour).permute(2, 0, 1)
    ours = filled(planes, torch.from_numpy(weight)[None]).permute(1, 2, 0).numpy()
    np.testing.assert_allclose(ours, fill(colour, weight), rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(ours[weight > 0], colour[weight > 0])


def test_a_nan_spreads_no_further_than_by_opencv() -> None:
    picture = noise(61, 93)
    picture[30, 40] = np.nan
    for size, method in (((31, 47), "area"), ((122, 186), "linear")):
        expected = cv2.resize(picture, size[::-1], interpolation=OPENCV[method])
        ours = by_taps(picture, size, method)  # type: ignore[arg-type]
        np.testing.assert_array_equal(np.isnan(ours), np.isnan(expected))
