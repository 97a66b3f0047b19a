"""Flow, warping and the warp error on motion that is known."""

from __future__ import annotations

import numpy as np
import pytest

from impasto.core.errors import UsageError
from impasto.core.flicker import warp_error
from impasto.core.frame import Samples
from impasto.core.optical_flow import optical_flow, visible_in_both, warped
from tests.plates import soft_noise


def pan(count: int, step: int = 3) -> list[Samples]:
    """A textured scene that moves `step` pixels to the left from frame to frame."""
    scene = soft_noise(128, 320, cell=8)
    return [np.ascontiguousarray(scene[:, step * index : step * index + 192]) for index in range(count)]


def test_flow_finds_a_known_pan() -> None:
    first, second = pan(2)
    flow = optical_flow(second, first)
    np.testing.assert_allclose(np.median(flow[16:-16, 16:-16], axis=(0, 1)), (3, 0), atol=0.1)


def test_warping_along_the_flow_brings_the_frame_back() -> None:
    first, second = pan(2)
    flow = np.zeros((128, 192, 2), np.float32)
    flow[..., 0] = 3
    np.testing.assert_allclose(warped(first, flow)[:, :-3], second[:, :-3], atol=1e-6)


def test_what_enters_the_frame_is_not_visible_in_both() -> None:
    first, second = pan(2, step=8)
    intruder = second.copy()
    intruder[40:80, 40:80] = 1 - intruder[40:80, 40:80]
    seen = visible_in_both(intruder, first, optical_flow(second, first))
    assert seen[45:75, 45:75].mean() < 0.3
    assert seen[20:35, 20:150].mean() > 0.9


def test_a_result_that_moves_with_the_plate_does_not_flicker_and_one_that_boils_does() -> None:
    plates = pan(4)
    steady = [1 - plate for plate in plates]
    noise = np.random.default_rng(2)
    boiling = [plate + 0.05 * noise.standard_normal(plate.shape, np.float32) for plate in plates]
    assert warp_error(plates, steady) < 1
    assert warp_error(plates, boiling) > 8


def test_plates_and_results_that_do_not_match_are_refused() -> None:
    with pytest.raises(UsageError, match="got 2 and 1"):
        warp_error(pan(2), pan(1))
