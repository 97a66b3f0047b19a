"""Which channels of a file are its colour, and what a frame promises about them."""

from __future__ import annotations

import numpy as np
import pytest

from impasto.core.errors import UnknownName, UnsupportedMedia
from impasto.core.frame import AlphaKind, Attribute, ColourLayer, Frame, Part, Window, find_layer, layers_of


def part(*channels: str, name: str = "") -> Part:
    window = Window(0, 0, 3, 2)
    attributes = {"name": Attribute("string", name)} if name else {}
    pixels = np.zeros((2, 3, len(channels)), np.float32)
    return Part(pixels, channels, ("float",) * len(channels), window, window, 1.0, attributes)


class TestLayersOf:
    def test_bare_channels_are_rgb_whatever_their_order(self) -> None:
        assert layers_of((part("A", "B", "G", "R"),)) == {"rgb": ColourLayer(0, (3, 2, 1), 0)}

    def test_a_prefix_is_a_layer_with_its_own_alpha(self) -> None:
        layers = layers_of((part("R", "G", "B", "A", "light.key.R", "light.key.G", "light.key.B", "light.key.A"),))
        assert layers == {"rgb": ColourLayer(0, (0, 1, 2), 3), "light.key": ColourLayer(0, (4, 5, 6), 7)}

    def test_a_part_gives_its_name_to_its_layers(self) -> None:
        layers = layers_of((part("R", "G", "B", name="beauty"), part("R", "G", "B", "a.R", "a.G", "a.B", name="spec")))
        first, second, prefixed = (ColourLayer(*each) for each in ((0, (0, 1, 2)), (1, (0, 1, 2)), (1, (3, 4, 5))))
        assert layers == {"beauty": first, "rgb": first, "spec": second, "spec.a": prefixed, "a": prefixed}

    def test_names_of_channels_in_small_letters_count_too(self) -> None:
        assert layers_of((part("r", "g", "b", "a"),)) == {"rgb": ColourLayer(0, (0, 1, 2), 3)}

    def test_luminance_beside_depth_is_a_layer(self) -> None:
        assert layers_of((part("Y", "Z"),))["rgb"] == ColourLayer(0, (0,))

    @pytest.mark.parametrize(
        "channels",
        [("Y", "RY", "BY"), ("N.X", "N.Y", "N.Z"), ("motion.X", "motion.Y"), ("Z",), ("R", "G"), ("id",)],
    )
    def test_chroma_vectors_depths_and_ids_are_no_layer(self, channels: tuple[str, ...]) -> None:
        assert layers_of((part(*channels),)) == {}

    def test_rgb_is_always_among_the_names(self) -> None:
        assert layers_of((part("beauty.R", "beauty.G", "beauty.B"),))["rgb"] == ColourLayer(0, (0, 1, 2))


class TestFindLayer:
    @pytest.mark.parametrize(
        ("parts", "expected"),
        [
            pytest.param((part("Y", "beauty.R", "beauty.G", "beauty.B"),), (0, (1, 2, 3)), id="a mask beside colour"),
            pytest.param((part("Y", name="mask"), part("R", "G", "B")), (1, (0, 1, 2)), id="a mask in a part before"),
            pytest.param((part("spec.R", "spec.G", "spec.B", "R", "G", "B"),), (0, (3, 4, 5)), id="bare colour first"),
            pytest.param((part("Z", name="depth"), part("Y", name="grey")), (1, (0,)), id="grey where nothing else"),
            pytest.param((part("Y", "A"),), (0, (0,), 1), id="grey and alpha"),
        ],
    )
    def test_the_default_is_colour_before_grey(self, parts: tuple[Part, ...], expected: tuple) -> None:
        assert find_layer(parts) == ColourLayer(*expected)

    def test_a_mask_beside_colour_can_still_be_named(self) -> None:
        assert find_layer((part("Y", "beauty.R", "beauty.G", "beauty.B"),), "Y") == ColourLayer(0, (0,))

    def test_names_are_found_in_either_case(self) -> None:
        parts = (part("R", "G", "B", "Key.R", "Key.G", "Key.B"),)
        assert find_layer(parts, "kEY") == ColourLayer(0, (3, 4, 5))

    def test_an_unknown_name_is_met_with_the_nearest(self) -> None:
        with pytest.raises(UnknownName, match="did you mean 'diffuse'"):
            find_layer((part("R", "G", "B", "diffuse.R", "diffuse.G", "diffuse.B"),), "difuse")

    def test_a_file_without_colour_is_refused_with_what_it_has(self) -> None:
        with pytest.raises(UnsupportedMedia, match="got only: Z, id"):
            find_layer((part("Z", "id"),))


class TestFromPixels:
    @pytest.mark.parametrize(
        ("count", "channels", "kind"),
        [
            (1, ("Y",), AlphaKind.NONE),
            (2, ("Y", "A"), AlphaKind.ASSOCIATED),
            (3, ("R", "G", "B"), AlphaKind.NONE),
            (4, ("R", "G", "B", "A"), AlphaKind.ASSOCIATED),
        ],
    )
    def test_channels_and_alpha_follow_from_the_count(
        self, count: int, channels: tuple[str, ...], kind: AlphaKind
    ) -> None:
        pixels = np.zeros((2, 3, count), np.float16)
        frame = Frame.from_pixels(pixels)
        assert (frame.part.channels, frame.alpha_kind) == (channels, kind)
        assert (frame.width, frame.height, frame.colour.shape) == (3, 2, (2, 3, 1 if count < 3 else 3))
        assert (frame.alpha is None) == (count % 2 == 1)
        assert frame.part.pixels is pixels

    @pytest.mark.parametrize(
        "pixels", [np.zeros((2, 3), np.uint8), np.zeros((2, 3, 5), np.uint8), np.zeros((0, 3, 3), np.uint8)]
    )
    def test_another_shape_is_refused(self, pixels: np.ndarray) -> None:
        with pytest.raises(UnsupportedMedia, match="height, width"):
            Frame.from_pixels(pixels)

    @pytest.mark.parametrize("dtype", [np.float64, np.int16, np.uint32, np.bool_])
    def test_another_type_is_refused(self, dtype: type) -> None:
        with pytest.raises(UnsupportedMedia, match="uint16"):
            Frame.from_pixels(np.zeros((2, 3, 3), dtype))


class TestWithColour:
    def test_only_the_colour_layer_is_another(self) -> None:
        frame = Frame((part("A", "B", "G", "R", "Z"), part("id")), ColourLayer(0, (3, 2, 1), 0), number=7)
        painted = frame.with_colour(np.broadcast_to(np.float32([1, 2, 3]), (2, 3, 3)))
        np.testing.assert_array_equal(painted.part.pixels, np.broadcast_to([0, 3, 2, 1, 0], (2, 3, 5)))
        assert painted.parts[1] is frame.parts[1]
        assert painted.number == 7

    def test_the_frame_it_came_from_stays_as_it_was(self) -> None:
        frame = Frame.from_pixels(np.zeros((2, 3, 3), np.float32))
        frame.with_colour(np.ones((2, 3, 3), np.float32))
        assert not frame.colour.any()

    @pytest.mark.parametrize("colour", [np.zeros((2, 3, 1), np.float32), np.zeros((2, 3, 3), np.float16)])
    def test_another_shape_or_type_is_refused(self, colour: np.ndarray) -> None:
        with pytest.raises(ValueError, match="expected colour"):
            Frame.from_pixels(np.zeros((2, 3, 3), np.float32)).with_colour(colour)
