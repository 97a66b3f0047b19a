"""What `--motion` may say, and how the names of channels are understood."""

from __future__ import annotations

import numpy as np
import pytest

from impasto.core.errors import UnknownName, UsageError
from impasto.core.frame import Attribute, Part, Window
from impasto.core.motion.conventions import CONVENTIONS, ChannelConvention, MotionSource, equivalents
from impasto.core.motion.layers import MotionLayer, VectorChannels, read_as

NEXT, PREVIOUS = ChannelConvention("next", 1, -1), ChannelConvention("previous", 1, -1)


def part(*channels: str, name: str = "") -> Part:
    window = Window(0, 0, 4, 2)
    attributes = {"name": Attribute("string", name)} if name else {}
    pixels = np.zeros((2, 4, len(channels)), np.float32)
    return Part(pixels, channels, ("float",) * len(channels), window, window, attributes=attributes)


def understood(text: str, *parts: Part) -> MotionLayer:
    return read_as(parts, MotionSource.parse(text), "v.0001.exr")


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("v.####.exr:vector", MotionSource("v.####.exr", "vector")),
        ("v.####.exr", MotionSource("v.####.exr")),
        ("/a b/v.%04d.exr:View Layer.Vector=blender", MotionSource("/a b/v.%04d.exr", "View Layer.Vector", "blender")),
        (":vector", MotionSource("", "vector")),
        (":motion=since-down", MotionSource("", "motion", "since-down")),
        ("v.####.exr:=next", MotionSource("v.####.exr", "", "next")),
        ("ROOT:sh/v.####.exr:vector", MotionSource("ROOT:sh/v.####.exr", "vector")),
        ("ROOT:v.####.exr", MotionSource("ROOT:v.####.exr")),
    ],
)
def test_a_source_is_a_path_a_layer_and_a_convention(text: str, source: MotionSource) -> None:
    assert MotionSource.parse(text) == source
    assert MotionSource.of(source.path, source.named) == source, "as it travels"


def test_a_wish_that_cannot_be_meant_is_refused() -> None:
    for text in ("", ":"):
        with pytest.raises(UsageError, match="expected --motion as PATH:LAYER"):
            MotionSource.parse(text)
    with pytest.raises(UnknownName, match="did you mean 'next-down'"):
        MotionSource.parse("v.####.exr:motion=next_down")


def test_x_y_z_w_is_blenders_vector_pass() -> None:
    names = [f"ViewLayer.Vector.{leaf}" for leaf in "WXYZ"]  # EXR sorts them
    found = understood("v.####.exr:Vector", part("R", "G", "B", *names))
    assert found.previous == VectorChannels("ViewLayer.Vector.X", "ViewLayer.Vector.Y", PREVIOUS)
    assert found.next == VectorChannels("ViewLayer.Vector.Z", "ViewLayer.Vector.W", ChannelConvention("next", -1, 1), 1)
    assert not found.said


def test_forward_and_backward_are_nukes() -> None:
    layers = part("R", "G", "B", "backward.u", "backward.v", "forward.u", "forward.v")
    both = understood("v.####.exr", layers)
    assert both.next == VectorChannels("forward.u", "forward.v", NEXT)
    assert both.previous == VectorChannels("backward.u", "backward.v", PREVIOUS, 1)
    assert understood("v.####.exr:forward", layers).previous is None
    assert understood("v.####.exr:backward", layers).next is None


@pytest.mark.parametrize("leaves", [("u", "v"), ("X", "Y")])
def test_two_channels_lead_to_the_next_frame(leaves: tuple[str, str]) -> None:
    found = understood("v.####.exr", part("R", "G", "B", *(f"motion.{leaf}" for leaf in leaves)))
    assert found == MotionLayer(
        "motion", VectorChannels(*(f"motion.{leaf}" for leaf in leaves), NEXT), None, False, "motion"
    )  # type: ignore[misc]  # of two


def test_a_convention_that_is_named_goes_before_the_guess() -> None:
    found = understood(":mv=previous-down", part("mv.R", "mv.G", "mv.B"))
    assert found == MotionLayer(
        "mv", None, VectorChannels("mv.R", "mv.G", ChannelConvention("previous", 1, 1)), True, "mv"
    )
    assert understood(":mv=blender", part("mv.R", "mv.G", "mv.B", "mv.A")).next == VectorChannels(
        "mv.B", "mv.A", ChannelConvention("next", -1, 1), 1
    )


def test_a_file_of_vectors_alone_needs_no_name_for_them() -> None:
    assert understood("v.####.exr", part("u", "v")).next == VectorChannels("u", "v", NEXT)
    assert understood("v.####.exr:=previous", part("R", "G", "B")).previous == VectorChannels("R", "G", PREVIOUS)
    both = ("R", "G", "B", "Combined.R", "Vector.X", "Vector.Y", "Vector.Z", "Vector.W")
    assert understood("v.####.exr:=nuke", part(*both)).name == "Vector"


def test_both_directions_may_run_down() -> None:
    layers = part("backward.u", "backward.v", "forward.u", "forward.v")
    found = understood("v.####.exr:=nuke-down", layers)
    assert found.next == VectorChannels("forward.u", "forward.v", ChannelConvention("next", 1, 1))
    assert found.previous == VectorChannels("backward.u", "backward.v", ChannelConvention("previous", 1, 1), 1)
    assert equivalents(ChannelConvention("next", 1, 1), 0, 2) == ["nuke-down"]
    assert equivalents(ChannelConvention("previous", -1, 1), 0, 2) == ["nuke"], (
        "what Blender's first two would be, turned around"
    )


def test_layers_are_found_in_every_part_by_its_name() -> None:
    parts = (part("R", "G", "B", name="rgba"), part("X", "Y", name="normalish"), part("X", "Y", name="motion"))
    assert understood(":motion", *parts).next == VectorChannels("motion.X", "motion.Y", NEXT)


@pytest.mark.parametrize(
    ("text", "channels", "said"),
    [
        ("v:mv", ("mv.R", "mv.G", "mv.B"), r"got B, G, R in 'mv' of 'v\.0001\.exr'.*say it as --motion.*blender, nuke"),
        ("v:depth", ("depth.Z",), r"got Z in 'depth'"),
        ("v:mv=blender", ("mv.u", "mv.v"), "expected 4 channels for the convention blender"),
        ("v:depth=next", ("depth.Z",), r"expected channels u, v or X, Y in the motion layer 'depth'"),
        ("v:vectr", ("vector.X", "vector.Y"), "did you mean 'vector'"),
        (".", ("a.u", "a.v", "b.u", "b.v"), "found a, b; name it as --motion PATH:LAYER"),
        (".", ("R", "G", "B", "normal.X", "normal.Y", "normal.Z"), "found one without a name, normal"),
        (":mv", ("R", "G", "B"), "no layer is called"),
        (":", ("R", "G", "B"), "expected --motion as"),
        (":=next", ("R", "G", "B", "A"), "found none"),
        ("v.####.exr", ("R", "G"), "without a name: PATH:=CONVENTION"),
    ],
)
def test_what_cannot_be_guessed_is_refused_with_what_to_say(text: str, channels: tuple[str, ...], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        understood(text, part(*channels))


def test_another_convention_is_offered_by_what_it_means() -> None:
    for name, ways in CONVENTIONS.items():
        if len(ways) == 1:
            assert name in equivalents(ways[0])
    assert equivalents(ChannelConvention("next", -1, 1)) == ["previous"], (
        "motion to the next frame turned around is as good as that"
    )
