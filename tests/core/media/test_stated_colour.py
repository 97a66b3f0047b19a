"""A picture in another colour space than sRGB keeps its look in every pair of formats."""

from __future__ import annotations

import struct
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from impasto.core import colour
from impasto.core.frame import Frame
from impasto.core.icc import SPACES, DisplaySpace, make_profile, profile_for, space_of_profile
from impasto.core.media import open_reader
from impasto.core.media.picture_reader import read_picture
from impasto.core.media.picture_writer import write_picture
from impasto.server.protocol.messages import RenderSettings, ShotJob
from impasto.server.shots.output_space import output_of
from tests.core.media.builders import noise, shot_of, write_movie, write_with_oiio
from tests.core.media.test_damaged_metadata import chunk

PIXELS = noise(32, 48, 3, np.uint8)
PIXELS[:8, :8] = (255, 0, 0)
RED_IN_REC709 = {
    "srgb_p3d65_scene": (1.2249, -0.0420, -0.0197),
    "g22_adobergb_scene": (1.3984, 0.0, 0.0),
    "srgb": (1.0, 0.0, 0.0),
}
"""The red primary in linear Rec.709: the inverse of the matrix of BT.709 times that of the space (SMPTE RP 177)."""
CAMERA = make_profile(DisplaySpace((0.7, 0.3, 0.2, 0.75, 0.14, 0.04, 0.34, 0.36), 1.8), "a camera")


def write(path: Path, profile: bytes) -> Frame:
    write_with_oiio(path, PIXELS, "uint8", {"ICCProfile": (f"uint8[{len(profile)}]", profile)})
    return read_picture(str(path))


def light(frame: Frame) -> np.ndarray:
    """The frame in linear Rec.709, as the engine sees it."""
    return colour.to_linear(colour.to_float(frame.colour), colour.plate_space(frame))


@pytest.mark.parametrize("name", SPACES)
def test_a_profile_made_for_a_space_says_that_space(name: str) -> None:
    profile = profile_for(name)
    assert profile is not None
    assert space_of_profile(profile) == name


def test_the_colorants_are_those_that_vendors_publish() -> None:
    """Display P3.icc of Apple and AdobeRGB1998.icc, in s15Fixed16."""
    wanted = {
        "srgb_p3d65_scene": [(0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407)],
        "g22_adobergb_scene": [(0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457)],
    }
    for name, colorants in wanted.items():
        profile = profile_for(name)
        assert profile is not None
        found = [
            [number / 65536 for number in struct.unpack_from(">3i", profile, profile.index(b"XYZ \0\0\0\0", place) + 8)]
            for place in _places(profile)
        ]
        np.testing.assert_allclose(found, colorants, atol=2e-4)


def _places(profile: bytes) -> list[int]:
    count = struct.unpack_from(">I", profile, 128)[0]
    entries = [struct.unpack_from(">4sII", profile, 132 + 12 * index) for index in range(count)]
    starts = {name: start for name, start, _ in entries}
    return [starts[name] for name in (b"rXYZ", b"gXYZ", b"bXYZ")]


@pytest.mark.parametrize("source", ["a.jpg", "a.png", "a.tif"])
@pytest.mark.parametrize("name", RED_IN_REC709)
def test_a_picture_with_a_profile_is_seen_in_its_colours(tmp_path: Path, source: str, name: str) -> None:
    frame = write(tmp_path / source, profile_for(name) or b"")
    assert frame.colour_space == name
    np.testing.assert_allclose(light(frame)[3, 3], RED_IN_REC709[name], atol=0.02)


@pytest.mark.parametrize("result", ["b.jpg", "b.png", "b.tif"])
@pytest.mark.parametrize("source", ["a.jpg", "a.png", "a.tif"])
@pytest.mark.parametrize("profile", [*RED_IN_REC709, "camera"])
def test_the_profile_goes_along(tmp_path: Path, source: str, result: str, profile: str) -> None:
    stored = CAMERA if profile == "camera" else profile_for(profile) or b""
    frame = write(tmp_path / source, stored)
    write_picture(str(tmp_path / result), str(tmp_path / result), frame)
    found = read_picture(str(tmp_path / result))
    assert bytes(found.part.attributes["ICCProfile"].value) == stored
    assert found.colour_space == frame.colour_space
    if not result.endswith("jpg"):
        np.testing.assert_array_equal(found.colour, frame.colour)


def test_a_profile_that_is_not_understood_is_named_in_a_note(tmp_path: Path) -> None:
    (note,) = write(tmp_path / "a.png", CAMERA.replace(b"rTRC", b"none")).notes
    assert "the profile 'a camera'" in note
    assert "taken as sRGB" in note


@pytest.mark.parametrize("result", ["b.jpg", "b.png", "b.tif"])
def test_a_profile_does_not_go_along_with_samples_of_another_space(tmp_path: Path, result: str) -> None:
    frame = write(tmp_path / "a.tif", profile_for("srgb_p3d65_scene") or b"")
    write_picture(str(tmp_path / result), str(tmp_path / result), replace(frame, colour_space="srgb"))
    found = read_picture(str(tmp_path / result))
    assert "ICCProfile" not in found.part.attributes
    assert found.colour_space == "srgb"


@pytest.mark.parametrize("result", ["b.jpg", "b.tif", "b.png"])
@pytest.mark.parametrize("name", ["srgb_p3d65_scene", "g22_adobergb_scene"])
def test_a_space_without_a_profile_gets_one(tmp_path: Path, name: str, result: str) -> None:
    write_with_oiio(tmp_path / "a.png", PIXELS, "uint8")
    frame = replace(read_picture(str(tmp_path / "a.png")), colour_space=name)
    write_picture(str(tmp_path / result), str(tmp_path / result), frame)
    assert read_picture(str(tmp_path / result)).colour_space == name


def png_with(path: Path, *chunks: bytes) -> Frame:
    """A PNG that says of its colour what these chunks say, and nothing else."""
    write_with_oiio(path, PIXELS, "uint8", {"oiio:ColorSpace": "unknown"})
    stored = path.read_bytes()
    path.write_bytes(stored[:33] + b"".join(chunks) + stored[33:])
    return read_picture(str(path))


def chromaticities(*numbers: float) -> bytes:
    return chunk(b"cHRM", struct.pack(">8I", *(round(number * 100000) for number in numbers)))


WHITE = (0.3127, 0.3290)
PNG_COLOURS = {
    "cicp-p3": ([chunk(b"cICP", bytes([12, 13, 0, 1]))], "srgb_p3d65_scene"),
    "cicp-srgb": ([chunk(b"cICP", bytes([1, 13, 0, 1]))], "srgb"),
    "cicp-pq": ([chunk(b"cICP", bytes([9, 16, 0, 1]))], "pq2020"),
    "adobe": (
        [chunk(b"gAMA", struct.pack(">I", 45470)), chromaticities(*WHITE, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06)],
        "g22_adobergb_scene",
    ),
    "p3": (
        [chunk(b"gAMA", struct.pack(">I", 45455)), chromaticities(*WHITE, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06)],
        "srgb_p3d65_scene",
    ),
    "srgb": (
        [chunk(b"gAMA", struct.pack(">I", 45455)), chromaticities(*WHITE, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)],
        "srgb",
    ),
    "linear": ([chunk(b"gAMA", struct.pack(">I", 100000))], "lin_rec709"),
    "nothing": ([], None),
}


@pytest.mark.parametrize("kind", PNG_COLOURS)
def test_the_chunks_of_a_png_say_its_colour(tmp_path: Path, kind: str) -> None:
    chunks, name = PNG_COLOURS[kind]
    assert png_with(tmp_path / "a.png", *chunks).colour_space == name


def test_colour_that_has_no_name_goes_along_as_a_profile(tmp_path: Path) -> None:
    stated = chromaticities(0.34, 0.36, 0.7, 0.3, 0.2, 0.75, 0.14, 0.04)
    frame = png_with(tmp_path / "a.png", chunk(b"gAMA", struct.pack(">I", 55556)), stated)
    assert frame.colour_space == "icc"
    assert frame.notes == ()
    expected = colour.to_linear(colour.to_float(frame.colour), colour.PlateSpace("camera", profile=CAMERA))
    np.testing.assert_allclose(light(frame), expected, atol=2e-3)
    write_picture(str(tmp_path / "b.tif"), str(tmp_path / "b.tif"), frame)
    assert "ICCProfile" in read_picture(str(tmp_path / "b.tif")).part.attributes


@pytest.mark.parametrize(("exif", "name"), [(1, "srgb"), (2, "g22_adobergb_scene"), (65535, None)])
def test_exif_says_the_colour_of_a_jpeg(tmp_path: Path, exif: int, name: str | None) -> None:
    write_with_oiio(
        tmp_path / "a.jpg", PIXELS, "uint8", {"Exif:ColorSpace": ("int", exif), "oiio:ColorSpace": "unknown"}
    )
    assert read_picture(str(tmp_path / "a.jpg")).colour_space == name


@pytest.mark.parametrize(
    ("output", "space"), [("b.png", None), ("b.jpg", None), ("b.tif", None), ("b.mp4", None), ("b.dpx", "srgb")]
)
def test_display_p3_stays_where_the_result_can_say_it(tmp_path: Path, output: str, space: str | None) -> None:
    frame = write(tmp_path / "a.jpg", profile_for("srgb_p3d65_scene") or b"")
    job = ShotJob(RenderSettings("identity"), str(tmp_path / "a.jpg"), str(tmp_path / output))
    wanted = output_of(job, shot_of(str(tmp_path / "a.jpg"), kind="still"), frame)
    assert (wanted and wanted.space) == space


def test_a_movie_in_display_p3_is_read_as_that(tmp_path: Path) -> None:
    write_movie(tmp_path / "a.mov", [np.full((32, 48), 100, np.uint8)] * 2, tags=(1, 13, 12), rate=Fraction(25))
    assert next(iter(open_reader(str(tmp_path / "a.mov")))).colour_space == "srgb_p3d65_scene"
