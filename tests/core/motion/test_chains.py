"""Chains of vectors from frames to keys, against motion that is known everywhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import numpy.typing as npt
import pytest

from impasto.core.frame import KeyMotion, Samples
from impasto.core.motion.chains import BLOCK, Chains, MotionStep
from impasto.core.motion.vectors import Field

HEIGHT, WIDTH = 72, 120
SIZE = (HEIGHT, WIDTH)
Flow = Callable[[int, int], Samples]
"""Offsets of every pixel of a frame into another frame."""


def field(flow: Samples) -> Field:
    return Field(flow.astype(np.float32), np.ones(flow.shape[:2], np.bool_))


def led(
    flow: Flow, keys: tuple[int, ...], last: int, toward: Literal[1, -1] = 1, *, leads_back: bool = True
) -> dict[int, dict[int, KeyMotion]]:
    """Frame -> key -> motion, from the outermost key to a last frame."""
    chains = Chains(keys, toward)
    begin = max(keys) if toward == 1 else min(keys)
    found = {}
    for number in range(begin - toward, last - toward, -toward):
        inner = number + toward
        back = field(flow(inner, number)) if leads_back else None
        found[number] = chains.lengthened(number, MotionStep(field(flow(number, inner)), back))
    return found


def pan(step: tuple[float, float]) -> Flow:
    return lambda number, other: np.broadcast_to(np.array(step, np.float32) * (other - number), (*SIZE, 2))


def turn(angle: float) -> Flow:
    """Degrees a frame about a point off the middle."""

    def flow(number: int, other: int) -> Samples:
        turned = np.deg2rad(angle) * (other - number)
        y, x = np.mgrid[:HEIGHT, :WIDTH] - np.array([[[30.0]], [[70.0]]])
        return np.stack(
            (np.cos(turned) * x - np.sin(turned) * y - x, np.sin(turned) * x + np.cos(turned) * y - y), axis=2
        )

    return flow


def stays_inside(flow: Flow, number: int, key: int) -> npt.NDArray[np.bool_]:
    """Where every frame on the way has the place, a pixel from its border."""
    inside = np.ones(SIZE, np.bool_)
    for other in range(min(number, key), max(number, key) + 1):
        moved = flow(number, other)
        x, y = moved[..., 0] + np.arange(WIDTH), moved[..., 1] + np.arange(HEIGHT)[:, None]
        inside &= (x >= 1) & (y >= 1) & (x <= WIDTH - 2) & (y <= HEIGHT - 2)
    return inside


@pytest.mark.parametrize(
    ("flow", "frames", "bound"),
    [(pan((0.7, -0.3)), 50, 0.02), (pan((-6.25, 2.5)), 10, 0.02), (turn(0.9), 50, 0.15), (turn(-4), 12, 0.15)],
    ids=["slow pan", "fast pan", "slow turn", "fast turn"],
)
@pytest.mark.parametrize("toward", [1, -1])
def test_a_chain_equals_the_true_displacement(flow: Flow, frames: int, bound: float, toward: Literal[1, -1]) -> None:
    key = 1000 + toward * frames
    found = led(flow, (key,), 1000, toward)[1000][key]
    inside = stays_inside(flow, 1000, key)
    assert inside.mean() > 0.2, "or this shows nothing"
    wrong = np.linalg.norm(found.flow - flow(1000, key), axis=2)
    assert wrong[inside].max() < bound
    assert found.lost[inside].mean() < 0.01


def test_what_leaves_the_picture_is_lost() -> None:
    found = led(pan((-3, 0)), (10,), 0)[0][10]
    assert found.lost[:, :30].all()
    assert not found.lost[1:-1, 31:].any()


def test_a_place_that_left_and_came_back_is_lost() -> None:
    swing: Flow = lambda number, other: np.broadcast_to(  # noqa: E731
        np.array((20 * (np.sin(other * np.pi / 6) - np.sin(number * np.pi / 6)), 0), np.float32), (*SIZE, 2)
    )
    found = led(swing, (6,), 0)[0][6]
    np.testing.assert_allclose(found.flow[:, :98], 0, atol=0.05)
    assert found.lost[:, 101:].all()
    assert not found.lost[1:-1, :98].any()


def disc(number: int, step: tuple[float, float]) -> npt.NDArray[np.bool_]:
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return np.asarray((x - 30 - step[0] * number) ** 2 + (y - 36 - step[1] * number) ** 2 < 16**2)


def actor(step: tuple[float, float]) -> Flow:
    """A disc over ground that lies still."""

    def flow(number: int, other: int) -> Samples:
        moved = np.zeros((*SIZE, 2), np.float32)
        moved[disc(number, step)] = np.array(step) * (other - number)
        return moved

    return flow


@pytest.mark.parametrize(("step", "frames"), [((0.3, 0.1), 100), ((5.0, 0.5), 10)], ids=["slow", "fast"])
def test_an_actor_is_followed_and_what_it_hides_in_the_key_is_lost(step: tuple[float, float], frames: int) -> None:
    found = led(actor(step), (frames,), 0)[0][frames]
    here, there = disc(0, step), disc(frames, step)
    kept = found.lost == 0
    assert kept[here].mean() > 0.9
    assert kept[there & ~here].mean() < 0.1
    ever = np.any([disc(number, step) for number in range(frames + 1)], axis=0)
    assert kept[~ever].mean() > 0.99
    wrong = np.linalg.norm(found.flow - actor(step)(0, frames), axis=2)
    # Along the rim of a slow actor no single frame tells that the ground is picked up.
    assert (wrong[kept] < 0.25).mean() > 0.98


def test_without_the_way_back_nobody_can_tell_what_is_hidden() -> None:
    found = led(actor((5.0, 0.5)), (10,), 0, leads_back=False)[0][10]
    here = disc(0, (5.0, 0.5))
    assert not found.lost.any()
    assert (np.linalg.norm(found.flow[here] - (50, 5), axis=1) < 0.1).mean() > 0.95


def test_a_place_without_a_vector_is_silent_and_where_it_is_led_to_is_lost() -> None:
    chains = Chains((2,), 1)
    hole = np.ones(SIZE, np.bool_)
    hole[20:30, 40:60] = False
    still = field(np.zeros((*SIZE, 2)))
    chains.lengthened(1, MotionStep(Field(still.flow, hole), still))
    found = chains.lengthened(0, MotionStep(still, still))[2]
    assert found.lost[22:28, 42:58].all()
    assert not found.silent.any()
    found = Chains((2,), 1).lengthened(1, MotionStep(Field(still.flow, hole), still))[2]
    np.testing.assert_array_equal(found.silent > 0, ~hole)


@pytest.mark.parametrize("toward", [1, -1])
def test_a_chain_depends_on_frame_and_key_alone(toward: Literal[1, -1]) -> None:
    """Not on further keys, nor on how far the chains are led on; across the frames where they are joined."""
    flow = turn(0.5)
    keys = tuple(toward * each for each in (2 * BLOCK + 3, BLOCK, 5))
    together = led(flow, keys, -toward * 3, toward)
    for key in keys:
        alone = led(flow, (key,), -toward * 20, toward)
        for number in set(together) & set(alone):
            assert (key in together[number]) == ((key - number) * toward > 0)
            if key in together[number]:
                np.testing.assert_array_equal(together[number][key].flow, alone[number][key].flow)
                np.testing.assert_array_equal(together[number][key].lost, alone[number][key].lost)
