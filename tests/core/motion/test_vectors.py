"""Vectors as offsets over the plate: signs, lengths, windows, and what is not known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from impasto.core.errors import UsageError
from impasto.core.frame import Part, Pixels, Window
from impasto.core.motion.conventions import CONVENTIONS, MotionSource
from impasto.core.motion.layers import read_as
from impasto.core.motion.vectors import PlateWindows, Vectors, vectors_of

HEIGHT, WIDTH = 40, 60
WINDOW = Window(0, 0, WIDTH, HEIGHT)
PLACE = PlateWindows(WINDOW, WINDOW, (HEIGHT, WIDTH))


def layer_of(x: float, y: float, *, data: Window = WINDOW, display: Window = WINDOW) -> Part:
    """u and v, the same everywhere."""
    pixels = np.empty((data.height, data.width, 2), np.float32)
    pixels[:] = (x, y)
    return Part(pixels, ("mv.u", "mv.v"), ("float",) * 2, data, display)


def vectors(part: Part, convention: str = "next", place: PlateWindows = PLACE) -> Vectors:
    layer = read_as((part,), MotionSource("", "mv", convention), "v.exr")
    return vectors_of((part,), layer, place, "v.exr")


@pytest.mark.parametrize(
    ("convention", "to_next", "to_previous"),
    [
        ("next", (3, -2), None),
        ("next-down", (3, 2), None),
        ("previous", None, (3, -2)),
        ("previous-down", None, (3, 2)),
        ("since", None, (-3, 2)),
        ("since-down", None, (-3, -2)),
    ],
)
def test_every_convention_of_two_channels_becomes_offsets_with_y_downwards(
    convention: str, to_next: tuple[int, int] | None, to_previous: tuple[int, int] | None
) -> None:
    found = vectors(layer_of(3, 2), convention)
    for field, wanted in ((found.next, to_next), (found.previous, to_previous)):
        assert (field is None) == (wanted is None)
        if field is not None:
            assert field.known.all()
            np.testing.assert_array_equal(field.flow, np.broadcast_to(np.float32(wanted), field.flow.shape))


def test_the_conventions_of_four_channels_are_a_motion_and_its_return() -> None:
    """A surface that moves by (3, -2) a frame, y downwards, in the words of both."""
    for convention, stored in (("nuke", (3, 2, -3, -2)), ("blender", (-3, -2, -3, -2))):
        pixels = np.empty((HEIGHT, WIDTH, 4), np.float32)
        pixels[:] = stored
        part = Part(pixels, ("mv.X", "mv.Y", "mv.Z", "mv.W"), ("float",) * 4, WINDOW, WINDOW)
        found = vectors(part, convention)
        assert found.next is not None
        assert found.previous is not None
        assert (found.next.flow[0, 0].tolist(), found.previous.flow[0, 0].tolist()) == ([3, -2], [-3, 2]), convention
    assert {len(ways) for ways in CONVENTIONS.values()} == {1, 2}


def test_lengths_become_those_of_the_small_picture() -> None:
    found = vectors(layer_of(8, 4), "next-down", replace(PLACE, size=(HEIGHT // 4, WIDTH // 2))).next
    assert found is not None
    assert found.flow.shape == (HEIGHT // 4, WIDTH // 2, 2)
    assert found.flow[3, 3].tolist() == [4, 1]


def test_no_vector_is_the_mean_of_two_surfaces() -> None:
    part = layer_of(0, 0)
    part.pixels[:, WIDTH // 2 :, 0] = 12
    found = vectors(part, "next", replace(PLACE, size=(HEIGHT // 4, WIDTH // 4))).next
    assert found is not None
    assert set(found.flow[..., 0].ravel().tolist()) == {0, 3}


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e10])
def test_what_is_no_number_is_not_known(value: float) -> None:
    part = layer_of(1, 1)
    part.pixels[5, 7, 1] = value
    found = vectors(part).next
    assert found is not None
    assert np.argwhere(~found.known).tolist() == [[5, 7]]
    assert found.flow[5, 7].tolist() == [0, 0]


def test_half_and_float_files_say_the_same() -> None:
    part = layer_of(1.5, -2.25)
    half = replace(part, pixels=part.pixels.astype(np.float16))
    one, other = vectors(part).next, vectors(half).next
    assert one is not None
    assert other is not None
    np.testing.assert_array_equal(one.flow, other.flow)


def test_windows_of_their_own_are_honoured() -> None:
    """The plate has overscan to its left and above; the vectors cover the display window's right half alone."""
    plate = PlateWindows(Window(-10, -5, WIDTH + 10, HEIGHT + 5), WINDOW, (HEIGHT + 5, WIDTH + 10))
    data = Window(WIDTH // 2, 0, WIDTH // 2, HEIGHT)
    part = layer_of(0, 0, data=data)
    part.pixels[..., 0] = np.arange(WIDTH // 2, WIDTH)
    found = vectors(part, "next", plate).next
    assert found is not None
    rows, columns = np.nonzero(found.known)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (5, HEIGHT + 4, 10 + WIDTH // 2, WIDTH + 9)
    np.testing.assert_array_equal(found.flow[5, 10 + WIDTH // 2 :, 0], np.arange(WIDTH // 2, WIDTH))


@pytest.mark.parametrize(
    ("part", "said"),
    [
        (layer_of(0, 0, display=Window(0, 0, 2 * WIDTH, HEIGHT)), "of the plate's size 60x40, got 120x40 in 'v.exr'"),
        (replace(layer_of(0, 0), pixels=np.zeros((HEIGHT, WIDTH, 2), np.uint8)), "in half or float, got uint8"),
    ],
)
def test_vectors_that_cannot_lie_on_the_plate_are_refused(part: Part, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        vectors(part)


def test_a_channel_that_a_later_file_lacks_is_named() -> None:
    layer = read_as((layer_of(0, 0),), MotionSource("", "mv"), "v.1.exr")
    bare: Pixels = np.zeros((HEIGHT, WIDTH, 1), np.float32)
    with pytest.raises(UsageError, match=r"the motion channel 'mv\.v' in 'v\.2\.exr' too"):
        vectors_of((Part(bare, ("mv.u",), ("float",), WINDOW, WINDOW),), layer, PLACE, "v.2.exr")
