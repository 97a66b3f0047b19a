"""Every space that is a curve and a matrix, computed as such, against OpenColorIO."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from impasto.core import colour
from impasto.core.colour.closed_form import LogCurve, PowerCurve, closed_form
from impasto.core.colour.space import CINEON, SCENE_LINEAR, WORKING, PlateSpace
from impasto.core.device import colour as on_device
from impasto.core.frame import Frame, Samples

LIGHTS = ("ACEScg", "ACES2065-1", "Linear Rec.2020", "Linear P3-D65", "CIE XYZ-D65 - Scene-referred")
LOGS = ("ACEScct", "ARRI LogC4", "ARRI LogC3 (EI800)", "S-Log3 S-Gamut3", "V-Log V-Gamut", "Log3G10 REDWideGamutRGB")
POWERS = ("Camera Rec.709", "sRGB Encoded P3-D65", "Gamma 2.4 Encoded Rec.709", "Gamma 2.2 Encoded Rec.709")


@pytest.fixture(autouse=True)
def no_studio_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OCIO", raising=False)


def space_named(name: str) -> PlateSpace:
    return colour.plate_space(Frame.from_pixels(np.zeros((1, 1, 3), np.float32)), name)


def planes(pixels: Samples) -> torch.Tensor:
    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()


def assert_near(ours: torch.Tensor, expected: Samples, tolerance: float) -> None:
    """Within a tolerance of each pixel's largest channel, and of 1."""
    difference = np.abs(ours.permute(1, 2, 0).numpy() - expected)
    assert (difference <= tolerance * np.maximum(np.abs(expected).max(axis=2, keepdims=True), 1)).all()


@pytest.mark.parametrize("name", [*LIGHTS, *LOGS, *POWERS, "sRGB", "scene_linear"])
def test_a_closed_form_agrees_with_opencolorio_both_ways(name: str) -> None:
    space = space_named(name)
    form = closed_form(space)
    assert form is not None
    rng = np.random.default_rng(4)
    codes = (rng.random((50, 60, 3), np.float32) * 1.3 - 0.15).astype(np.float32)
    # Curves magnify a float in the last place: a logarithm upwards, its toe downwards.
    assert_near(on_device.to_linear(planes(codes), form), colour.to_linear(codes, space), 1e-5)
    light = (rng.normal(size=(50, 60, 3)) * 10.0 ** rng.integers(-6, 3, (50, 60, 1))).astype(np.float32)
    assert_near(on_device.from_linear(planes(light), form), colour.from_linear(light, space), 1e-5)


def test_what_is_linear_light_has_no_curve_and_what_is_rec709_no_matrix() -> None:
    assert (form := closed_form(SCENE_LINEAR)) is not None
    assert (form.curve, form.to_rec709) == (None, None)
    assert (form := closed_form(WORKING)) is not None
    assert (form.curve, form.to_rec709) == ("sRGB", None)
    assert (form := closed_form(space_named("ACEScg"))) is not None
    assert form.curve is None
    assert (form := closed_form(space_named("ACEScct"))) is not None
    assert isinstance(form.curve, LogCurve)
    assert (form := closed_form(space_named("Gamma 2.4 Encoded Rec.709"))) is not None
    assert isinstance(form.curve, PowerCurve)


@pytest.mark.parametrize("name", ["hlg2020", "pq2020", "ACEScc", "Apple Log", "CanonLog2 CinemaGamut D55"])
def test_a_space_with_a_table_has_no_closed_form(name: str) -> None:
    assert closed_form(space_named(name)) is None
    assert closed_form(CINEON) is None


def test_known_values_of_acescct() -> None:
    # S-2016-001, table 3: 0.18 is 0.4135884 and 1.0 is 0.5547945.
    form = closed_form(space_named("ACEScct"))
    assert form is not None
    grey = torch.tensor([0.18, 1.0]).view(1, 1, 2).expand(3, 1, 2).contiguous()
    codes = on_device.from_linear(grey, form)[0, 0]
    assert codes.tolist() == pytest.approx([0.4135884, 0.5547945], abs=1e-6)
