"""Painted spheres: no seam at the wrap, no poles, and a plate that comes back where nothing is painted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from impasto.core.engine import Engine
from impasto.core.errors import UsageError
from impasto.core.frame import Frame, Samples, Window
from impasto.core.frame_settings import FrameSettings
from impasto.core.grade_settings import After, Before
from impasto.core.panorama import _directions, _touched, looked_at, painted_sphere, views_around
from impasto.core.params import Params
from tests.bench.eyes import sphere
from tests.bench.vr import pole_strength

SPHERE = FrameSettings(projection="equirectangular")
HEIGHT, WIDTH = 192, 384


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine("wheatfield-draft", device="cpu", precision="float32")


@pytest.fixture(scope="module")
def plate() -> Samples:
    return sphere(HEIGHT)


def frame_of(picture: Samples) -> Frame:
    return Frame.from_pixels(picture, colour_space="srgb")


BAND = slice(HEIGHT * 42 // 180, HEIGHT * 138 // 180)
"""Rows in which the views around the poles have no share: those lie the other way round once a sphere is turned."""


def blurring(picture: Samples, guides: Samples | None) -> Samples:
    """A painter that looks around: the mean of a pixel and its right neighbour."""
    return np.asarray((picture + np.roll(picture, -1, axis=1)) / 2, np.float32)


def test_every_direction_is_in_a_view_and_every_share_of_a_view_is_visited() -> None:
    directions = _directions(HEIGHT, WIDTH, slice(0, HEIGHT), slice(0, WIDTH))
    total = np.zeros((HEIGHT, WIDTH), np.float32)
    for view in views_around(HEIGHT, WIDTH):
        weight = view.places(directions)[1]
        total += weight
        for rows, columns in _touched(view, HEIGHT, WIDTH):
            weight[rows, columns] = 0
        assert not weight.any()
    assert total.min() > 0.9


def test_a_view_shows_what_lies_in_its_directions_also_beyond_the_wrap_and_the_poles() -> None:
    def colour_of(directions: Samples) -> Samples:
        unit = directions / np.linalg.norm(directions, axis=-1, keepdims=True)
        return np.asarray(0.5 + 0.4 * np.sin(3 * unit), np.float32)

    picture = colour_of(_directions(HEIGHT, WIDTH, slice(0, HEIGHT), slice(0, WIDTH)))
    for view in views_around(HEIGHT, WIDTH):
        assert np.abs(looked_at(picture, view) - colour_of(view.directions())).max() < 2e-3


@pytest.mark.parametrize("dtype", ["uint8", "float16", "float32"])
def test_identity_gives_the_sphere_back_exactly(plate: Samples, dtype: str) -> None:
    pixels = (plate * 255).astype(dtype) if dtype == "uint8" else (plate * 40 - 0.1).astype(dtype)
    frame = Frame.from_pixels(pixels)
    assert np.array_equal(Engine("identity", device="cpu")(frame, SPHERE).colour, pixels)


def test_a_turned_sphere_is_painted_as_the_sphere_turned(engine: Engine, plate: Samples) -> None:
    assert difference_by_a_turn(engine, plate, SPHERE) < 2e-3
    assert difference_by_a_turn(engine, plate, FrameSettings()) > 0.05


def test_detail_and_grades_go_around_the_wrap(engine: Engine, plate: Samples) -> None:
    graded = replace(SPHERE, params=Params(detail=1), after=After(sharpen=1), before=Before(denoise=1))
    assert difference_by_a_turn(engine, plate, graded) < 5e-3


def difference_by_a_turn(engine: Engine, plate: Samples, settings: FrameSettings) -> float:
    """How far the painting of a sphere that was turned by 45 degrees differs from the painting turned afterwards."""
    eighth = WIDTH // 8
    before = engine(frame_of(np.roll(plate, eighth, axis=1)), settings).colour
    after = np.roll(engine(frame_of(plate), settings).colour, eighth, axis=1)
    return float(np.abs(before - after)[BAND].max())


def test_the_poles_get_as_much_paint_as_the_equator(engine: Engine, plate: Samples) -> None:
    assert 0.85 < pole_strength(engine(frame_of(plate), SPHERE).colour - plate) < 1.15


def test_guides_are_seen_in_the_same_views_as_the_plate(plate: Samples) -> None:
    def paint(picture: Samples, guides: Samples | None) -> Samples:
        assert guides is not None
        assert np.array_equal(guides[..., :3], picture)
        return picture + guides[..., 3:]

    guides = np.concatenate((plate, np.full((HEIGHT, WIDTH, 3), 0.25, np.float32)), axis=2)
    assert np.allclose(painted_sphere(plate, guides, paint), plate + 0.25, atol=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (2, 4), (5, 3), (33, 70)])
def test_spheres_of_any_size_are_painted(size: tuple[int, int]) -> None:
    picture = sphere(64)[: size[0], : size[1]]
    assert np.isfinite(painted_sphere(picture, None, blurring, 8)).all()


def test_a_part_of_a_sphere_is_refused_where_a_sphere_is_asked_for_and_flat_where_the_file_says_one(
    engine: Engine, plate: Samples
) -> None:
    frame = frame_of(plate)
    part = replace(frame.part, display_window=Window(0, 0, WIDTH, HEIGHT + 10))
    cropped = replace(frame, parts=(part,), projection="equirectangular")
    with pytest.raises(UsageError, match="expected the whole sphere"):
        engine(cropped, SPHERE)
    rendered = engine.render(cropped)
    assert "painted flat" in rendered.report.notes[0]
    assert np.array_equal(rendered.frame.colour, engine(frame).colour)


def test_a_picture_twice_as_wide_as_high_is_asked_about_and_painted_flat(engine: Engine) -> None:
    frame = replace(frame_of(sphere(256)), source="plate.png")
    notes = engine.render(frame).report.notes
    assert len(notes) == 1
    assert "give --projection equirectangular" in notes[0]
    assert not engine.render(frame, FrameSettings(projection="flat")).report.notes
