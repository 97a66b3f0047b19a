"""Layers and windows into one flat picture, and floats into integers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from impasto.core.frame import AlphaKind, Window
from impasto.core.media.flatten import flatten, quantise
from tests.core.media.builders import frame_of, noise, part_of


def test_overscan_is_cut_and_what_is_not_covered_is_black() -> None:
    pixels = noise(4, 4, 3, np.float16)
    part = part_of(pixels, "half", data_window=Window(-1, 2, 4, 4), display_window=Window(0, 0, 5, 4))
    frame = replace(frame_of(pixels, "half"), parts=(part,))
    flat = flatten(frame, "none")
    assert flat.shape == (4, 5, 3)
    np.testing.assert_array_equal(flat[2:, :3], pixels[:2, 1:])
    assert not flat[:2].any()
    assert not flat[:, 3:].any()


def test_straight_alpha_is_multiplied_in_where_premultiplied_is_wanted() -> None:
    pixels = np.array([[[200, 100, 0, 128]]], np.uint8)
    frame = frame_of(pixels, "uint8", alpha_kind=AlphaKind.UNASSOCIATED)
    np.testing.assert_array_equal(flatten(frame, "associated"), [[[100, 50, 0, 128]]])


def test_colour_hidden_under_a_straight_matte_does_not_show_once_alpha_is_dropped() -> None:
    pixels = np.array([[[254, 0, 0, 0], [200, 100, 0, 128], [9, 8, 7, 255]]], np.uint8)
    frame = frame_of(pixels, "uint8", alpha_kind=AlphaKind.UNASSOCIATED)
    np.testing.assert_array_equal(flatten(frame, "none"), [[[0, 0, 0], [100, 50, 0], [9, 8, 7]]])


def test_premultiplied_colour_stays_once_alpha_is_dropped() -> None:
    pixels = noise(3, 5, 4, np.float16)
    np.testing.assert_array_equal(flatten(frame_of(pixels, "half"), "none"), pixels[..., :3])


def test_nothing_is_divided_by_zero_alpha() -> None:
    pixels = np.array([[[0.5, 0.25, 0.0, 0.0], [0.5, 0.25, 0.0, 0.5]]], np.float32)
    flat = flatten(frame_of(pixels, "float"), "unassociated")
    np.testing.assert_array_equal(flat, [[[0.5, 0.25, 0.0, 0.0], [1.0, 0.5, 0.0, 0.5]]])


@pytest.mark.parametrize("kind", [AlphaKind.ASSOCIATED, AlphaKind.UNASSOCIATED])
def test_alpha_of_the_wanted_kind_leaves_colour_alone(kind: AlphaKind) -> None:
    pixels = noise(3, 5, 4, np.uint16)
    frame = frame_of(pixels, "uint16", alpha_kind=kind)
    np.testing.assert_array_equal(flatten(frame, kind.value), pixels)  # type: ignore[arg-type]


def test_floats_are_clipped_and_rounded_to_the_nearest_code() -> None:
    values = np.array([-1.0, 0.0, 0.5 / 255 + 1e-6, 1.0, 7.0, np.nan, np.inf], np.float32)
    np.testing.assert_array_equal(quantise(values, "uint8"), [0, 0, 1, 255, 255, 0, 255])


@pytest.mark.parametrize(("stored", "top"), [("uint10", 1023), ("uint12", 4095), ("uint16", 65535)])
def test_every_code_of_a_depth_is_its_own_16_bit_value(stored: str, top: int) -> None:
    codes = np.arange(top + 1)
    values = quantise((codes / top).astype(np.float32), stored)
    np.testing.assert_array_equal(np.rint(values.astype(np.float64) * top / 65535), codes)
    assert values[-1] == 65535


def test_eight_bits_widen_and_narrow_exactly() -> None:
    codes = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(quantise(quantise(codes, "uint16"), "uint8"), codes)
