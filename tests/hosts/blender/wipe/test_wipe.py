"""Before and after: where its halves lie, against Blender's own renders, and what colours they have."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from impasto.core import colour
from impasto.core.media import open_reader
from impasto.hosts.blender.wipe.maths import (
    Corner,
    Placing,
    left_of,
    line_at,
    outline_of,
    position_at,
    right_of,
    screen_light,
    step_for,
)
from tests.hosts.blender import clips
from tests.hosts.blender.in_blender import in_blender
from tests.hosts.blender.inside import live_scenes

SQUARE = (Corner(0, 0, 0, 0), Corner(10, 0, 1, 0), Corner(10, 10, 1, 1), Corner(0, 10, 0, 1))


def area(outline: tuple[Corner, ...]) -> float:
    """Signed: counter-clockwise is positive (the shoelace formula)."""
    pairs = zip(outline, (*outline[1:], *outline[:1]), strict=True)
    return sum(a.x * b.y - b.x * a.y for a, b in pairs) / 2


@pytest.mark.parametrize("x", [-5.0, 0.0, 2.5, 7.0, 10.0, 15.0])
def test_the_two_halves_are_the_whole_picture(x: float) -> None:
    assert area(left_of(SQUARE, x)) + area(right_of(SQUARE, x)) == pytest.approx(area(SQUARE))


def test_a_half_ends_at_the_line_and_shows_the_picture_up_to_there() -> None:
    half = right_of(SQUARE, 2.5)
    assert min(corner.x for corner in half) == 2.5
    assert all(corner.u == pytest.approx(corner.x / 10) and corner.v == pytest.approx(corner.y / 10) for corner in half)


def test_a_turned_picture_is_cut_upright() -> None:
    turned = outline_of(Placing(200, 100, rotation=math.radians(30)))
    half = left_of(turned, 10.0)
    assert max(corner.x for corner in half) == pytest.approx(10.0)
    assert len(half) in (4, 5)


@pytest.mark.parametrize("position", [0.0, 0.25, 1.0])
def test_a_line_is_where_the_mouse_put_it(position: float) -> None:
    assert position_at(SQUARE, line_at(SQUARE, position)) == position


def test_a_mouse_beside_the_picture_moves_the_line_to_its_edge() -> None:
    assert position_at(SQUARE, -100) == 0
    assert position_at(SQUARE, 100) == 1


def test_a_picture_that_is_cropped_away_has_no_outline() -> None:
    assert outline_of(Placing(100, 50, crop=(60, 40, 0, 0))) == ()


def test_colours_stay_linear_because_the_framebuffer_encodes_them() -> None:
    light = np.random.default_rng(0).random((8, 8, 4), dtype=np.float32)
    np.testing.assert_array_equal(screen_light(light)[..., :3], light[..., :3])


def test_a_screen_shows_no_light_above_one_no_nan_and_no_alpha() -> None:
    light = np.array([[[5.0, -1.0, np.nan, 0.2], [np.inf, 0.5, -np.inf, 0.0]]], np.float32)
    assert screen_light(light).tolist() == [[[1.0, 0.0, 0.0, 1.0], [1.0, 0.5, 0.0, 1.0]]]


def test_exposure_is_in_light_and_gamma_in_what_is_displayed() -> None:
    light = np.full((1, 1, 4), 0.1, np.float32)
    np.testing.assert_allclose(screen_light(light, exposure=1.0)[..., :3], 0.2, atol=1e-6)
    displayed = colour.encode(screen_light(light, gamma=2.0)[..., :3])
    np.testing.assert_allclose(displayed, colour.encode(light[..., :3]) ** 0.5, atol=1e-6)
    np.testing.assert_allclose(screen_light(light, gamma=2.0, encoded=True)[..., :3], displayed, atol=1e-6)


def test_a_shader_that_wants_codes_gets_srgb_as_the_engine_encodes_it() -> None:
    light = np.random.default_rng(0).random((8, 8, 4), dtype=np.float32)
    np.testing.assert_allclose(screen_light(light, encoded=True)[..., :3], colour.encode(light[..., :3]), atol=2e-6)


@pytest.mark.parametrize(("size", "step"), [((1920, 1080), 1), ((4096, 2160), 2), ((2048, 100), 1), ((2049, 1), 2)])
def test_a_texture_is_at_most_as_long_as_it_may_be(size: tuple[int, int], step: int) -> None:
    assert step_for(*size, 2048) == step


@pytest.fixture(scope="module", params=["4.5", "5.0"])
def placed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[dict[str, Any]]]:
    """A strip laid out in several ways by a real Blender."""
    out = tmp_path_factory.mktemp("placings")
    clips.sequence(out / "white", frames=2)
    asked = (str(out / "white"), str(out))
    return out, in_blender(request.param, live_scenes.placings, *asked)


@pytest.mark.blender
def test_the_halves_lie_where_blender_draws_the_strip(placed: tuple[Path, list[dict[str, Any]]]) -> None:
    """Every pixel well inside the outline shows the picture's own place, and every one well outside is black."""
    out, found = placed
    with open_reader(str(min((out / "white").iterdir()))) as reader:
        picture = next(iter(reader)).colour.astype(np.float32)
    height, width = picture.shape[:2]
    for each in found:
        with open_reader(str(out / f"{each['name']}0001.exr")) as reader:
            drawn = next(iter(reader)).colour.astype(np.float32)
        corners = np.array(each["corners"])
        y, x = np.mgrid[: drawn.shape[0], : drawn.shape[1]]
        places = np.stack([x + 0.5 - drawn.shape[1] / 2, drawn.shape[0] / 2 - y - 0.5], axis=-1)
        origin, across, up = corners[0], corners[1] - corners[0], corners[3] - corners[0]
        parts = np.linalg.solve(np.stack([across[:2], up[:2]], axis=1), (places - origin[:2]).reshape(-1, 2).T)
        a, b = (part.reshape(drawn.shape[:2]) for part in parts)
        margin = 0.04
        inside = (a > margin) & (a < 1 - margin) & (b > margin) & (b < 1 - margin)
        outside = (a < -margin) | (a > 1 + margin) | (b < -margin) | (b > 1 + margin)
        u = origin[2] + a * across[2] + b * up[2]
        v = origin[3] + a * across[3] + b * up[3]
        columns = np.clip((u * width).astype(int), 0, width - 1)
        rows = np.clip(((1 - v) * height).astype(int), 0, height - 1)
        assert inside.sum() > 1000
        assert np.abs(drawn[inside] - picture[rows, columns][inside]).mean() < 0.01, each["name"]
        assert drawn[outside].max(initial=0) < 1e-4, each["name"]
