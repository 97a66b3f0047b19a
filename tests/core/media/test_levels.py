"""Levels of movies above white, below black and outside the gamut: into light and back into movies, code for code."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from impasto.core.engine import Engine
from impasto.core.excess import excess_of
from impasto.core.frame import Frame
from impasto.core.frame_settings import FrameSettings
from impasto.core.grade_settings import Resize
from impasto.core.media import open_reader, open_writer
from impasto.core.media.movie_pixels import PixelDecoder, PixelEncoder
from impasto.core.media.picture_writer import write_picture
from impasto.core.resize import resize_frame
from impasto.core.working_picture import Output
from tests.core.media.builders import frame_of, luma_planes, noise, shot_of, write_movie

BLUE = (40, 240, 110)
"""Y, Cb and Cr of a sky at dusk: a blue above 1 with less than no red."""


@pytest.fixture(scope="module")
def identity() -> Engine:
    return Engine("identity", device="cpu")


def all_codes(bits: int = 8) -> np.ndarray:
    """A picture of 32x256 that holds every code of 8 bits, or as many of more."""
    codes = np.linspace(1 << (bits - 8), (255 << (bits - 8)) - 1, 256).round()
    return np.repeat(codes[None], 32, axis=0).astype(np.uint8 if bits == 8 else np.uint16)


def painted(source: Path, result: str, engine: Engine, output: Output | None = None) -> str:
    """Every frame through the identity; the notes of the writer as one text."""
    with open_reader(str(source)) as reader, open_writer(result, reader.info) as writer:
        for frame in reader:
            assert frame.notes == ()
            writer.write(engine(frame, FrameSettings(output=output)))
    return "\n".join(writer.notes)


MOVIES = [
    ("ffv1", "yuv420p", ".mkv", 8),
    ("ffv1", "yuv422p", ".avi", 8),
    ("ffv1", "yuv444p", ".mkv", 8),
    ("ffv1", "yuv420p10le", ".mkv", 10),
    ("ffv1", "yuv422p12le", ".mkv", 12),
    ("ffv1", "yuv411p", ".mkv", 8),
    ("ffv1", "gray", ".mkv", 8),
]


@pytest.mark.parametrize(("encoder", "pixel_format", "ending", "bits"), MOVIES)
def test_identity_returns_every_code_of_a_limited_range(
    tmp_path: Path, identity: Engine, encoder: str, pixel_format: str, ending: str, bits: int
) -> None:
    codes = all_codes(bits)
    write_movie(tmp_path / f"a{ending}", [codes], encoder=encoder, pixel_format=pixel_format, options={})
    assert painted(tmp_path / f"a{ending}", str(tmp_path / f"b{ending}"), identity) == ""
    np.testing.assert_array_equal(luma_planes(tmp_path / f"b{ending}")[0], codes)


@pytest.mark.parametrize(("name", "slack"), [("b.mp4", 2), ("b.mov", 2), ("b.webm", 3)])
def test_lossy_movies_keep_what_is_above_white(tmp_path: Path, identity: Engine, name: str, slack: int) -> None:
    write_movie(tmp_path / "a.mp4", [np.full((64, 64), 250, np.uint8), np.full((64, 64), 4, np.uint8)])
    assert painted(tmp_path / "a.mp4", str(tmp_path / name), identity) == ""
    for plane, code in zip(luma_planes(tmp_path / name), (250, 4), strict=True):
        assert np.abs(plane.astype(int) - code).max() <= slack


def test_levels_reach_exr_above_one_and_below_zero_and_come_back(tmp_path: Path, identity: Engine) -> None:
    codes = all_codes()
    write_movie(tmp_path / "a.mkv", [codes], encoder="ffv1", options={})
    linear = Output("scene_linear", "float")
    assert painted(tmp_path / "a.mkv", str(tmp_path / "b.####.exr"), identity, linear) == ""
    with open_reader(str(tmp_path / "b.####.exr")) as reader:
        light = next(iter(reader)).colour
    # (254 - 16) / 219 through the curve of sRGB, on both sides of zero.
    assert light.max() == pytest.approx(((238 / 219 + 0.055) / 1.055) ** 2.4, rel=2e-3)
    assert light.min() == pytest.approx(-15 / 219 / 12.92, rel=0.1)
    assert painted(tmp_path / "b.0001.exr", str(tmp_path / "c.mkv"), identity, Output("srgb")) == ""
    again = luma_planes(tmp_path / "c.mkv")[0]
    assert np.abs(again.astype(int) - codes).max() <= 2  # H.264


def test_a_blue_outside_the_gamut_survives() -> None:
    frame = av.VideoFrame(32, 32, "yuv420p")
    for plane, code in zip(frame.planes, BLUE, strict=True):
        plane.update(bytes([code]) * plane.buffer_size)
    pixels, excess = PixelDecoder(False, 1)(frame)
    assert excess is not None
    seen = pixels[0, 0] / 255 + excess.amount[0]
    np.testing.assert_allclose(seen, [-0.0170, 0.0535, 1.0374], atol=1e-3)
    again = PixelEncoder("yuv420p", False, 1)(pixels, excess)
    for plane, code in zip(again.planes, BLUE, strict=True):
        assert set(bytes(plane)[:16]) == {code}


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv422p10le", "yuv444p", "yuvj420p"])
def test_random_codes_come_back(pixel_format: str) -> None:
    frame = av.VideoFrame(64, 32, pixel_format)
    deep = "10" in pixel_format
    random = np.random.default_rng(3)
    for plane in frame.planes:
        coarse = random.integers(256, 768, (8, 16)) // (1 if deep else 4)
        each = np.repeat(np.repeat(coarse, plane.height // 8, 0), plane.width // 16, 1)
        rows = np.zeros((plane.height, plane.line_size // (2 if deep else 1)), np.uint16 if deep else np.uint8)
        rows[:, : plane.width] = each
        plane.update(rows.tobytes())
    full = pixel_format == "yuvj420p"
    again = PixelEncoder(pixel_format, full, 1)(*PixelDecoder(full, 1)(frame))
    for index, (before, after) in enumerate(zip(frame.planes, again.planes, strict=True)):
        dtype = np.uint16 if deep else np.uint8
        off = np.frombuffer(before, dtype).astype(int) - np.frombuffer(after, dtype)
        off = off.reshape(before.height, -1)[:, : before.width]
        if index == 0 or "444" in pixel_format:  # other chroma is interpolated, which no scaling undoes
            assert np.abs(off).max() <= 1


def test_what_has_no_code_looks_like_the_clipped_colour_to_a_player() -> None:
    plate = noise(16, 16, 3, np.float32)
    plate[:8] = (9.0, 1.2, -0.4)
    frame = frame_of(plate, "float", colour_space="srgb")
    clipped = (plate.clip(0, 1) * 65535).round().astype(np.uint16)
    encode = PixelEncoder("yuv444p10le", False, 1)
    pixels, _ = PixelDecoder(False, 1)(encode(clipped, excess_of(frame.colour)))
    assert encode.clips
    np.testing.assert_allclose(pixels[:8] / 65535, plate[:8].clip(0, 1), atol=0.004)


@pytest.mark.parametrize("result", ["b.####.png", "b.####.tif", "b.####.dpx", "b.####.jpg"])
def test_levels_that_a_result_cannot_hold_are_named(tmp_path: Path, identity: Engine, result: str) -> None:
    write_movie(tmp_path / "a.mkv", [all_codes()], encoder="ffv1", options={})
    assert "levels above white or below black" in painted(tmp_path / "a.mkv", str(tmp_path / result), identity)


@pytest.mark.parametrize(("full", "codes"), [(False, (16, 235)), (True, (0, 255))])
def test_a_legal_movie_loses_no_levels(tmp_path: Path, identity: Engine, full: bool, codes: tuple[int, int]) -> None:
    plane = np.full((32, 64), codes[0], np.uint8)
    plane[16:] = codes[1]
    write_movie(tmp_path / "a.mkv", [plane], encoder="ffv1", full_range=full, options={})
    assert painted(tmp_path / "a.mkv", str(tmp_path / "b.####.png"), identity) == ""


def test_levels_that_a_movie_cannot_hold_are_named(tmp_path: Path, identity: Engine) -> None:
    write_movie(tmp_path / "a.mkv", [all_codes()], encoder="ffv1", options={})
    assert (
        "levels above white" in painted(tmp_path / "a.mkv", str(tmp_path / "b.avi"), identity)
        or luma_planes(tmp_path / "b.avi")[0].max() == 254
    )
    plate = frame_of(np.full((32, 64, 3), 30.0, np.float32), "float", colour_space="srgb")
    for name in ("c.mp4", "c.avi"):
        with open_writer(str(tmp_path / name), shot_of()) as writer:
            writer.write(plate)
        assert "levels above white" in "\n".join(writer.notes)


@pytest.mark.parametrize(("name", "lost"), [("a.png", True), ("a.tif", False), ("a.exr", False), ("a.dpx", True)])
def test_light_above_white_is_named_where_a_picture_cannot_hold_it(tmp_path: Path, name: str, lost: bool) -> None:
    frame = frame_of(np.full((32, 64, 3), 3.0, np.float32), "float", colour_space="srgb")
    words = write_picture(str(tmp_path / name), str(tmp_path / name), frame)
    assert ("levels above white or below black" in words) == lost


def test_a_resize_keeps_levels(tmp_path: Path) -> None:
    write_movie(tmp_path / "a.mkv", [np.full((32, 64), 250, np.uint8)], encoder="ffv1", options={})
    with open_reader(str(tmp_path / "a.mkv")) as reader:
        frame: Frame = resize_frame(next(iter(reader)), Resize.parse("32x16"))
    assert frame.excess is not None
    assert len(frame.excess.places) == 32 * 16
    np.testing.assert_allclose(frame.excess.amount, 234 / 219 - 1, atol=2e-3)


@pytest.mark.parametrize("name", ["b.mp4", "b.exr", "b.avi"])
def test_levels_turn_with_their_picture(tmp_path: Path, identity: Engine, name: str) -> None:
    codes = np.full((32, 64), 120, np.uint8)
    codes[:8, :8] = 250
    write_movie(tmp_path / "a.mp4", [codes], rotation=90)
    output = Output("scene_linear", "float") if name.endswith("exr") else None
    painted(tmp_path / "a.mp4", str(tmp_path / name), identity, output)
    with open_reader(str(tmp_path / name)) as reader:
        frame = next(iter(reader))
    if name.endswith("exr"):
        bright = np.argwhere(frame.colour[..., 1] > 1.05)
        assert bright[:, 0].min() >= 56
        assert bright[:, 1].max() < 8
        assert len(bright) == pytest.approx(64, abs=20)
    elif name.endswith("mp4"):
        assert frame.excess is not None
        assert (frame.excess.places // 64).max() < 9
