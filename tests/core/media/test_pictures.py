"""A picture file comes out as it went in: samples, types, windows, attributes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from impasto.core.errors import UnknownName, UnreadableMedia, UnsupportedMedia
from impasto.core.frame import AlphaKind, Attribute, Frame
from impasto.core.media.picture_reader import read_header, read_picture
from impasto.core.media.picture_writer import write_picture
from tests.core.media.builders import (
    HALF_PATTERNS,
    frame_of,
    header_of,
    layered_frame,
    native_parts,
    noise,
    write_with_oiio,
)

AP0 = (0.7347, 0.2653, 0.0, 1.0, 0.0001, -0.077, 0.32168, 0.33767)
"""SMPTE ST 2065-1: primaries and white of ACES2065-1."""


def write(path: Path, frame: Frame) -> Frame:
    write_picture(str(path), str(path), frame)
    return read_picture(str(path), number=frame.number)


def assert_same_samples(left: Path, right: Path) -> None:
    before, after = native_parts(left), native_parts(right)
    assert [list(samples) for _, samples in before] == [list(samples) for _, samples in after]
    for (_, wanted), (_, found) in zip(before, after, strict=True):
        for name in wanted:
            assert wanted[name].dtype == found[name].dtype
            assert wanted[name].tobytes() == found[name].tobytes(), name


def test_a_multi_part_exr_of_half_float_and_uint_survives_whole(tmp_path: Path) -> None:
    frame = layered_frame()
    found = write(tmp_path / "a.exr", frame)
    assert len(found.parts) == 2
    for wanted, part in zip(frame.parts, found.parts, strict=True):
        assert part.channels == wanted.channels
        assert part.formats == wanted.formats
        assert (part.data_window, part.display_window) == (wanted.data_window, wanted.display_window)
        assert part.pixel_aspect == wanted.pixel_aspect
        np.testing.assert_array_equal(part.pixels, wanted.pixels)
    assert found.timecode == "01:02:03:04"


def test_large_integers_beside_floats_are_exact_in_the_file(tmp_path: Path) -> None:
    frame = layered_frame()
    write(tmp_path / "a.exr", frame)
    stored = native_parts(tmp_path / "a.exr")[0][1]
    assert stored["id"].dtype == np.uint32
    np.testing.assert_array_equal(stored["id"], frame.parts[0].pixels[..., 5].astype(np.uint32))
    assert stored["R"].dtype == np.float16
    assert stored["Z"].dtype == np.float32


def test_attributes_of_a_mixed_part_survive_with_their_types(tmp_path: Path) -> None:
    write(tmp_path / "a.exr", layered_frame())
    write(tmp_path / "b.exr", read_picture(str(tmp_path / "a.exr")))
    for (before, _), (after, _) in zip(native_parts(tmp_path / "a.exr"), native_parts(tmp_path / "b.exr"), strict=True):
        assert header_of(before) == header_of(after)
    header = header_of(native_parts(tmp_path / "b.exr")[0][0])
    assert header["compression"] == ("string", "'piz'")
    assert header["take"] == ("int", "7")
    assert header["FramesPerSecond"] == ("rational", "(24000, 1001)")
    assert header["worldToCamera"][0] == "matrix"


def test_every_half_there_is_survives_with_its_bits(tmp_path: Path) -> None:
    pixels = np.repeat(HALF_PATTERNS.reshape(256, 256, 1), 3, axis=2)
    write_with_oiio(tmp_path / "a.exr", pixels, "half")
    write(tmp_path / "b.exr", read_picture(str(tmp_path / "a.exr")))
    assert_same_samples(tmp_path / "a.exr", tmp_path / "b.exr")


def test_halves_and_floats_in_one_part_survive_with_their_bits(tmp_path: Path) -> None:
    frame = layered_frame()
    part = replace(
        frame.parts[0],
        pixels=frame.parts[0].pixels[..., :5].astype(np.float32),
        channels=frame.parts[0].channels[:5],
        formats=frame.parts[0].formats[:5],
    )
    part.pixels[0, 0, 4], part.pixels[0, 1, 0] = np.nan, np.inf
    write(tmp_path / "a.exr", replace(frame, parts=(part,)))
    write(tmp_path / "b.exr", read_picture(str(tmp_path / "a.exr")))
    assert_same_samples(tmp_path / "a.exr", tmp_path / "b.exr")
    assert native_parts(tmp_path / "b.exr")[0][1]["Z"].dtype == np.float32


@pytest.mark.parametrize(
    ("name", "dtype", "stored", "attributes"),
    [
        ("a.dpx", np.uint16, "uint16", {"oiio:BitsPerSample": 10}),
        ("a.dpx", np.uint16, "uint16", {}),
        ("a.tif", np.uint16, "uint16", {}),
        ("a.tif", np.uint16, "uint16", {"oiio:BitsPerSample": 12}),
        ("a.tif", np.float32, "float", {}),
        ("a.tif", np.uint8, "uint8", {"compression": "lzw"}),
        ("a.png", np.uint16, "uint16", {}),
        ("a.png", np.uint8, "uint8", {}),
        ("a.ppm", np.uint8, "uint8", {}),
        ("a.exr", np.float32, "float", {"compression": "zips"}),
    ],
)
def test_depth_and_samples_of_a_still_survive(
    tmp_path: Path, name: str, dtype: Any, stored: str, attributes: dict[str, Any]
) -> None:
    write_with_oiio(tmp_path / name, noise(9, 13, 3, dtype), stored, attributes)
    (tmp_path / "out").mkdir()
    write(tmp_path / "out" / name, read_picture(str(tmp_path / name)))
    assert_same_samples(tmp_path / name, tmp_path / "out" / name)
    before, after = (native_parts(folder / name)[0][0] for folder in (tmp_path, tmp_path / "out"))
    bits = [spec.get_int_attribute("oiio:BitsPerSample") for spec in (before, after)]
    assert bits[0] == bits[1]
    assert header_of(before).get("compression") == header_of(after).get("compression")


def test_ten_bits_are_told_apart_from_sixteen(tmp_path: Path) -> None:
    write_with_oiio(tmp_path / "a.dpx", noise(4, 4, 3, np.uint16), "uint16", {"oiio:BitsPerSample": 10})
    assert read_picture(str(tmp_path / "a.dpx")).part.formats == ("uint10",) * 3


def test_straight_alpha_of_a_png_is_not_multiplied(tmp_path: Path) -> None:
    pixels = noise(8, 8, 4, np.uint8)
    write_with_oiio(tmp_path / "a.png", pixels, "uint8", {"oiio:UnassociatedAlpha": 1})
    frame = read_picture(str(tmp_path / "a.png"))
    assert frame.alpha_kind is AlphaKind.UNASSOCIATED
    np.testing.assert_array_equal(frame.part.pixels, pixels)
    write(tmp_path / "b.png", frame)
    assert (tmp_path / "b.png").exists()
    np.testing.assert_array_equal(read_picture(str(tmp_path / "b.png")).part.pixels, pixels)


@pytest.mark.parametrize("straight", [True, False])
def test_tiff_keeps_the_kind_of_its_alpha(tmp_path: Path, straight: bool) -> None:
    pixels = noise(8, 8, 4, np.uint16)
    write_with_oiio(tmp_path / "a.tif", pixels, "uint16", {"oiio:UnassociatedAlpha": 1} if straight else {})
    frame = read_picture(str(tmp_path / "a.tif"))
    assert frame.alpha_kind is (AlphaKind.UNASSOCIATED if straight else AlphaKind.ASSOCIATED)
    found = write(tmp_path / "b.tif", frame)
    assert found.alpha_kind is frame.alpha_kind
    np.testing.assert_array_equal(found.part.pixels, pixels)


def test_premultiplied_colour_is_divided_on_its_way_into_a_png(tmp_path: Path) -> None:
    pixels = np.full((4, 4, 4), 0.5, np.float32)
    found = write(tmp_path / "a.png", frame_of(pixels, "float"))
    assert found.part.pixels[0, 0].tolist() == [65535, 65535, 65535, 32768]


def test_straight_colour_is_multiplied_on_its_way_into_an_exr(tmp_path: Path) -> None:
    pixels = np.full((4, 4, 4), 0.5, np.float32)
    found = write(tmp_path / "a.exr", frame_of(pixels, "float", alpha_kind=AlphaKind.UNASSOCIATED))
    assert found.part.pixels[0, 0].tolist() == [0.25, 0.25, 0.25, 0.5]


@pytest.mark.parametrize(("dtype", "stored", "half"), [(np.uint8, "uint8", True), (np.uint16, "uint16", False)])
def test_integers_become_half_or_float_in_an_exr(tmp_path: Path, dtype: Any, stored: str, half: bool) -> None:
    pixels = np.full((2, 2, 3), np.iinfo(dtype).max, dtype)
    found = write(tmp_path / "a.exr", frame_of(pixels, stored))
    assert found.part.formats == ("half" if half else "float",) * 3
    assert (found.part.pixels == 1.0).all()


def test_a_format_without_layers_takes_the_colour_layer(tmp_path: Path) -> None:
    found = write(tmp_path / "a.png", layered_frame())
    assert found.part.channels == ("R", "G", "B", "A")
    assert found.part.pixels.shape == (30, 60, 4)
    assert found.part.pixel_aspect == pytest.approx(1.5, rel=1e-3)


@pytest.mark.parametrize("name", ["a.exr", "a.png", "a.tif", "a.jpg"])
def test_provenance_is_read_back(tmp_path: Path, name: str) -> None:
    stored = "half" if name.endswith("exr") else "uint8"
    pixels = noise(8, 8, 3, np.float16 if stored == "half" else np.uint8)
    note = {"style": 'van "gogh" ä', "hash": "0f" * 32}
    found = write(tmp_path / name, frame_of(pixels, stored, provenance=note))
    assert found.provenance == note
    assert read_header(str(tmp_path / name)).provenance == note


def test_provenance_of_an_earlier_style_does_not_linger(tmp_path: Path) -> None:
    pixels = noise(4, 4, 3, np.float16)
    first = write(tmp_path / "a.exr", frame_of(pixels, "half", provenance={"style": "a", "matte": "m"}))
    second = write(tmp_path / "b.exr", replace(first, provenance={"style": "b"}))
    assert second.provenance == {"style": "b"}


def test_a_layer_is_chosen_by_name(tmp_path: Path) -> None:
    path = str(tmp_path / "a.exr")
    write_picture(path, path, layered_frame())
    assert read_picture(path, layer="specular").layer.part == 1
    with pytest.raises(UnknownName, match="did you mean 'specular'"):
        read_picture(path, layer="speculr")


@pytest.mark.parametrize(
    ("attributes", "space"),
    [
        ({"oiio:ColorSpace": "unknown"}, None),
        ({"oiio:ColorSpace": "srgb_rec709_scene"}, "srgb"),
        ({"oiio:ColorSpace": "lin_rec709_scene"}, "lin_rec709"),
    ],
)
def test_a_png_states_its_space_or_is_silent(tmp_path: Path, attributes: dict[str, Any], space: str | None) -> None:
    write_with_oiio(tmp_path / "a.png", noise(4, 4, 3, np.uint8), "uint8", attributes)
    frame = read_picture(str(tmp_path / "a.png"))
    assert frame.colour_space == space
    assert write(tmp_path / "b.png", frame).colour_space == space


def test_an_aces_container_states_its_space(tmp_path: Path) -> None:
    flags = {"acesImageContainerFlag": 1, "compression": "none", "chromaticities": ("float[8]", AP0)}
    write_with_oiio(tmp_path / "a.exr", noise(4, 4, 3, np.float16), "half", flags)
    frame = read_picture(str(tmp_path / "a.exr"))
    assert frame.colour_space == "aces2065_1"
    assert write(tmp_path / "b.exr", frame).colour_space == "aces2065_1"


def test_a_false_promise_of_an_aces_container_is_dropped(tmp_path: Path) -> None:
    frame = frame_of(noise(4, 4, 3, np.float16), "half", source=str(tmp_path / "x.exr"))
    flagged = replace(
        frame.part,
        attributes={"acesImageContainerFlag": Attribute("int", 1), "compression": Attribute("string", "zip")},
    )
    found = write(tmp_path / "a.exr", replace(frame, parts=(flagged,)))
    assert "acesImageContainerFlag" not in found.part.attributes


def test_tiles_stay_tiles(tmp_path: Path) -> None:
    frame = frame_of(noise(70, 90, 3, np.float16), "half")
    tiled = replace(frame.part, attributes={"tile_width": Attribute("int", 32), "tile_height": Attribute("int", 16)})
    write(tmp_path / "a.exr", replace(frame, parts=(tiled,), source=str(tmp_path / "x.exr")))
    spec = native_parts(tmp_path / "a.exr")[0][0]
    assert (spec.tile_width, spec.tile_height) == (32, 16)


@pytest.mark.parametrize("size", [(1, 1), (1, 32768), (32768, 1)])
def test_extreme_sizes_are_pictures_too(tmp_path: Path, size: tuple[int, int]) -> None:
    pixels = noise(*size, 3, np.float16)
    np.testing.assert_array_equal(write(tmp_path / "a.exr", frame_of(pixels, "half")).part.pixels, pixels)


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UnreadableMedia, match="found no such file; check the path"):
        read_picture(str(tmp_path / "nothing.exr"))


def test_an_empty_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "a.exr").touch()
    with pytest.raises(UnreadableMedia, match="empty file"):
        read_picture(str(tmp_path / "a.exr"))


def test_a_wrong_extension_says_what_the_file_is(tmp_path: Path) -> None:
    write_with_oiio(tmp_path / "a.png", noise(4, 4, 3, np.uint8), "uint8")
    (tmp_path / "a.png").rename(tmp_path / "a.exr")
    with pytest.raises(UnreadableMedia, match=r"expected openexr content .* got png; rename the file to end in \.png"):
        read_picture(str(tmp_path / "a.exr"))


def test_an_extension_outside_the_list_is_unsupported(tmp_path: Path) -> None:
    (tmp_path / "a.tga").write_bytes(b"anything")
    with pytest.raises(UnsupportedMedia, match=r"\.exr"):
        read_picture(str(tmp_path / "a.tga"))


@pytest.mark.parametrize(("space", "stated"), [("cineon_log", True), ("srgb", False), ("rec709", False)])
@pytest.mark.parametrize("source", ["Printing density", "Logarithmic", "ITU-R 709-4"])
def test_dpx_says_film_log_of_film_log_alone(tmp_path: Path, source: str, space: str, stated: bool) -> None:
    write_with_oiio(
        tmp_path / "a.dpx", noise(4, 4, 3, np.uint16), "uint16", {"oiio:BitsPerSample": 10, "dpx:Transfer": source}
    )
    frame = replace(read_picture(str(tmp_path / "a.dpx")), colour_space=space)
    write_picture(str(tmp_path / "b.dpx"), "b.dpx", frame)
    assert (read_picture(str(tmp_path / "b.dpx")).colour_space == "cineon_log") == stated


@pytest.mark.parametrize("name", ["a.exr", "a.png", "a.tif", "a.dpx", "a.jpg", "a.hdr", "a.ppm"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
def test_a_truncated_file_is_refused(tmp_path: Path, name: str, share: float) -> None:
    exr = name.endswith("exr")
    pixels = noise(40, 50, 3, np.float16 if exr else np.uint16)
    write_with_oiio(tmp_path / name, pixels, "half" if exr else "uint16")
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(UnreadableMedia, match="again"):
        read_picture(str(tmp_path / name))


@pytest.mark.parametrize("header", [b"P6\n0 0\n255\n", b"P6\n0 7\n255\n", b"P6\n99999999 99999999\n255\n"])
def test_an_absurd_size_is_refused(tmp_path: Path, header: bytes) -> None:
    (tmp_path / "a.ppm").write_bytes(header + b"\0" * 64)
    with pytest.raises(UnreadableMedia, match="again"):
        read_picture(str(tmp_path / "a.ppm"))


def test_text_that_is_not_utf8_is_taken_as_latin_1(tmp_path: Path) -> None:
    write_with_oiio(tmp_path / "a.exr", noise(4, 4, 3, np.float16), "half", {"operator": "J.Muller"})
    stored = (tmp_path / "a.exr").read_bytes().replace(b"Muller", b"M\xfcller")
    (tmp_path / "a.exr").write_bytes(stored)
    frame = read_picture(str(tmp_path / "a.exr"))
    assert frame.part.attributes["operator"].value == "J.Müller"
    assert write(tmp_path / "b.exr", frame).part.attributes["operator"].value == "J.Müller"
