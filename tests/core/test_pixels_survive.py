"""From file through the identity network to file: what a style does not touch is bit for bit that of the input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import OpenImageIO as oiio
import pytest

from impasto.core.engine import Engine
from impasto.core.frame import Frame
from impasto.core.media import open_reader, open_writer

OWN = Path(__file__).parent.parent / "media"
STAMPS = {"oiio:ColorSpace", "Software", "DateTime", "dpx:Version"}
"""Attributes that OpenImageIO writes of its own accord."""
DROPPED = ("thumbnail_", "tiff:")
"""A thumbnail of the plate is wrong on the painting; facts of another format are not written by OpenImageIO."""

SHARED = [
    "exr/Beachball/multipart.0001.exr",
    "exr/Beachball/multipart.0002.exr",
    "exr/Beachball/singlepart.0001.exr",
    "exr/DisplayWindow/t01.exr",
    "exr/DisplayWindow/t08.exr",
    "exr/DisplayWindow/t15.exr",
    "exr/TestImages/AllHalfValues.exr",
    "exr/TestImages/WideColorGamut.exr",
    "exr/TestImages/BrightRingsNanInf.exr",
    "exr/Chromaticities/XYZ.exr",
    "exr/Chromaticities/Rec709.exr",
    "exr/ScanLines/Desk.exr",
    "exr/Tiles/GoldenGate.exr",
    "exr/grid-overscan.exr",
    "exr/v2/LowResLeftView/composited.exr",
    "exr/dpx/dpx_nuke_10bits_rgb.dpx",
    "exr/tiff_depth/flower-rgb-contig-16.tif",
    "exr/tiff_depth/flower-rgb-contig-12.tif",
]


@pytest.fixture(scope="module")
def identity() -> Engine:
    return Engine("identity", device="cpu")


def through(engine: Engine, source: Path, folder: Path) -> tuple[Frame, Path]:
    """Read, render and write one picture with its first frame."""
    result = folder / f"result{source.suffix}"
    with open_reader(str(source)) as reader:
        frame = next(iter(reader))
        with open_writer(str(result), reader.info) as writer:
            writer.write(engine(frame))
    return frame, result


def images(path: Path) -> list[tuple[oiio.ImageSpec, np.ndarray]]:
    """Every image of a file as OpenImageIO has it, samples in their stored type."""
    found = []
    source = oiio.ImageInput.open(str(path))
    assert source, oiio.geterror()
    index = 0
    while source.seek_subimage(index, 0):
        spec = source.spec()
        found.append((spec, source.read_image(index, 0, 0, spec.nchannels, spec.format)))
        index += 1
    source.close()
    return found


def assert_same(before: Path, after: Path) -> None:
    """Windows, channels, formats, attributes and every bit of every sample."""
    ours, theirs = images(after), images(before)
    assert len(ours) == len(theirs)
    for (spec, pixels), (original, expected) in zip(ours, theirs, strict=True):
        for fact in ("x", "y", "width", "height", "full_x", "full_y", "full_width", "full_height", "channelnames"):
            assert getattr(spec, fact) == getattr(original, fact), fact
        assert [str(kind) for kind in spec.channelformats] == [str(kind) for kind in original.channelformats]
        assert str(spec.format) == str(original.format)
        kept = {attribute.name: attribute.value for attribute in spec.extra_attribs}
        for attribute in original.extra_attribs:
            foreign = attribute.name.startswith(DROPPED) and before.suffix == ".exr"
            if attribute.name not in STAMPS and not foreign:
                assert attribute.name in kept, attribute.name
                assert str(kept[attribute.name]) == str(attribute.value), attribute.name
        np.testing.assert_array_equal(pixels.view(np.uint8), expected.view(np.uint8))


@pytest.mark.shared
@pytest.mark.parametrize("name", SHARED)
def test_the_identity_style_returns_the_file_it_was_given(
    identity: Engine, shared_media: Path, tmp_path: Path, name: str
) -> None:
    _, result = through(identity, shared_media / name, tmp_path)
    assert_same(shared_media / name, result)


@pytest.mark.parametrize("number", [1001, 1008])
def test_our_own_sequence_comes_back_with_layers_window_and_timecode(
    identity: Engine, tmp_path: Path, number: int
) -> None:
    source = OWN / f"lantern.{number}.exr"
    _, result = through(identity, source, tmp_path)
    assert_same(source, result)


def test_a_real_style_touches_the_colour_layer_and_nothing_else(tmp_path: Path) -> None:
    source = OWN / "lantern.1003.exr"
    frame, result = through(Engine("wheatfield-draft", device="cpu"), source, tmp_path)
    with open_reader(str(result)) as reader:
        painted = next(iter(reader))
    colour = list(frame.layer.colour)
    others = [index for index in range(len(frame.part.channels)) if index not in colour]
    np.testing.assert_array_equal(painted.part.pixels[..., others], frame.part.pixels[..., others])
    assert not np.array_equal(painted.colour, frame.colour)
    assert painted.part.data_window == frame.part.data_window
    assert painted.timecode == frame.timecode
    assert painted.provenance["style"] == "wheatfield-draft"


def test_highlights_keep_their_light_under_a_real_style() -> None:
    """A painted highlight of 50 stays about as bright as it was: nothing is clipped to white."""
    pixels = np.full((64, 64, 3), 0.4, np.float32)
    pixels[24:40, 24:40] = 50.0
    result = Engine("wheatfield-draft", device="cpu")(Frame.from_pixels(pixels))
    assert result.colour[28:36, 28:36].max() > 20
