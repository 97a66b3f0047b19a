"""Vectors held against the plates: a wrong sign is noticed, and nothing is said where nothing can be."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import pytest

from impasto.core.frame import Samples
from impasto.core.media import FrameRange, open_reader
from impasto.core.motion.conventions import MotionSource
from impasto.core.motion.layers import read_as
from impasto.core.motion.vector_check import CANDIDATES, Signs, check_vectors
from impasto.core.motion.vectors import Field, PlateWindows, vectors_of
from impasto.core.optical_flow import warped
from impasto.core.working_picture import to_working

HEIGHT, WIDTH = 120, 200
LANTERN = str(Path(__file__).parents[2] / "media" / "lantern.####.exr")


def scene() -> Samples:
    coarse = np.random.default_rng(3).random((40, 60, 3), np.float32)
    return np.asarray(np.clip(cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC), 0, 1), np.float32)


def constant(x: float, y: float) -> Field:
    flow = np.empty((HEIGHT, WIDTH, 2), np.float32)
    flow[:] = (x, y)
    return Field(flow, np.ones((HEIGHT, WIDTH), np.bool_))


def moved(x: float, y: float) -> tuple[Samples, Samples]:
    """A picture and its neighbour, in which everything lies this much further."""
    return warped(scene(), constant(x, y).flow), scene()


@pytest.mark.parametrize("signs", CANDIDATES)
def test_every_wrong_sign_is_noticed_and_named(signs: Signs) -> None:
    found = check_vectors(*moved(7, -4), constant(7 * signs[0], -4 * signs[1]))
    assert found.verdict == ("agrees" if signs == (1, 1) else "turned")
    assert found.signs == signs
    if found.verdict == "turned":
        assert found.errors[1] < 2 < found.errors[0]


def test_a_pan_along_x_says_nothing_of_y() -> None:
    assert check_vectors(*moved(6, 0), constant(6, 0)).verdict == "agrees"
    assert check_vectors(*moved(6, 0), constant(-6, 0)).signs == (-1, 1)


def test_what_moves_too_far_for_flow_is_still_judged() -> None:
    assert check_vectors(*moved(60, 20), constant(60, 20)).verdict == "agrees"
    assert check_vectors(*moved(60, 20), constant(-60, 20)).verdict == "turned"


@pytest.mark.parametrize("scale", [1 / WIDTH, 0.0])
def test_vectors_in_another_unit_than_pixels_are_noticed(scale: float) -> None:
    found = check_vectors(*moved(6, 3), constant(6 * scale, 3 * scale))
    assert found.verdict == ("scaled" if scale else "still")
    assert found.errors[1] < found.errors[0] / 2


def test_flat_pictures_and_pictures_that_lie_still_say_nothing() -> None:
    flat = np.full((HEIGHT, WIDTH, 3), 0.5, np.float32)
    assert check_vectors(flat, flat, constant(5, 5)).verdict == "silent"
    assert check_vectors(scene(), scene(), constant(0, 0)).verdict == "silent"


def test_noise_is_no_contradiction() -> None:
    chance = np.random.default_rng(1)
    for seed in range(3):
        plate, other = (each + chance.normal(0, 0.03, each.shape).astype(np.float32) for each in moved(3 + seed, 2))
        assert check_vectors(plate, other, constant(3 + seed, 2)).verdict == "agrees"


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize("number", [1002, 1005])
def test_blenders_vector_pass_is_read_as_cycles_means_it(number: int, side: Literal[1, -1]) -> None:
    """On frames that Blender rendered; with another convention the plates say no."""
    with open_reader(LANTERN, frames=FrameRange(number - 1, number + 1)) as reader:
        frames = {frame.number: frame for frame in reader}
    display = frames[number].part.display_window
    place = PlateWindows(display, display, (display.height, display.width))
    pictures = {}
    for each, frame in frames.items():
        data = frame.part.data_window
        pictures[each] = np.zeros((*place.size, 3), np.float32)
        pictures[each][data.y : data.y + data.height, data.x : data.x + data.width] = to_working(frame).picture
    parts = frames[number].parts
    wrong = {1: "next", -1: "since"}[side]
    for convention, verdict in (("", "agrees"), (wrong, "turned")):
        layer = read_as(parts, MotionSource("", "vector", convention), "lantern")
        field = vectors_of(parts, layer, place, "lantern").towards(side)
        assert field is not None
        assert check_vectors(pictures[number], pictures[number + side], field).verdict == verdict, convention
