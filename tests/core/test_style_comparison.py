"""Running means over a clip."""

from __future__ import annotations

import pytest

from impasto.core.errors import UsageError
from impasto.core.flicker import warp_error
from impasto.core.metrics import lap_swd, sharpness_ratio
from impasto.core.style_comparison import Comparison
from tests.core.test_flicker import pan
from tests.core.test_metrics import blurred, grey
from tests.plates import soft_noise


def test_a_comparison_says_what_the_functions_say() -> None:
    plates = pan(3)
    first, second = [1 - plate for plate in plates], [blurred(plate) for plate in plates]
    comparison = Comparison()
    for pictures in zip(plates, first, second, strict=True):
        comparison.add(*pictures)
    found = comparison.findings()
    assert found.frames == 3
    assert found.plate.warp_error == pytest.approx(warp_error(plates, plates), abs=1e-4)
    assert found.second.warp_error == pytest.approx(warp_error(plates, second), abs=1e-4)
    assert found.first.edge_cosine == pytest.approx(-1, abs=1e-4)
    mean = sum(sharpness_ratio(*pair) for pair in zip(second, plates, strict=True)) / 3
    assert found.second.sharpness == pytest.approx(mean, abs=1e-4)
    mean = sum(lap_swd(*pair) for pair in zip(second, first, strict=True)) / 3
    assert found.difference.lap_swd == pytest.approx(mean, abs=1e-4)


def test_one_frame_has_no_warp_error() -> None:
    comparison = Comparison()
    comparison.add(soft_noise(), soft_noise(), blurred(soft_noise()))
    found = comparison.findings()
    assert (found.plate.warp_error, found.first.warp_error, found.second.warp_error) == (None, None, None)
    assert found.first.sharpness == 1


def test_what_cannot_be_told_is_none() -> None:
    comparison = Comparison()
    for _ in range(2):
        comparison.add(*[grey(0.5, 96, 96)] * 3)
    found = comparison.findings()
    assert (found.first.sharpness, found.first.edge_cosine, found.first.lattice) == (None, None, None)
    assert found.difference.psnr is None
    assert found.first.colour_distance == 0
    assert found.first.warp_error == 0


def test_results_of_another_size_are_refused() -> None:
    with pytest.raises(UsageError, match="plate's size"):
        Comparison().add(grey(0.5), grey(0.5), grey(0.5, 30))
