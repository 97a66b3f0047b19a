"""Levels of decoded movies: white is white, black is black, and a round trip gives the codes back."""

from __future__ import annotations

import numpy as np
import pytest

from impasto.core.errors import UnsupportedMedia
from impasto.core.media.movie_pixels import Layout, PixelDecoder, PixelEncoder, matrix_for
from tests.core.media.builders import video_frame

LEVELS = [
    ("yuv420p", False, 16, 235),
    ("yuv420p", True, 0, 255),
    ("yuvj420p", True, 0, 255),
    ("yuv444p", False, 16, 235),
    ("yuv422p10le", False, 64, 940),
    ("yuv420p10le", True, 0, 1023),
    ("yuv444p12le", False, 256, 3760),
    ("yuv444p12le", True, 0, 4095),
    ("yuva444p10le", False, 64, 940),
    ("gray", False, 16, 235),
    ("gray10le", False, 64, 940),
    ("gray", True, 0, 255),
    ("gbrp10le", True, 0, 1023),
    ("gbrap12le", True, 0, 4095),
    ("gbrp", True, 0, 255),
]


@pytest.mark.parametrize(("pixel_format", "full", "black", "white"), LEVELS)
def test_white_and_black_are_exact(pixel_format: str, full: bool, black: int, white: int) -> None:
    decode = PixelDecoder(full, 1)
    for code, wanted in ((black, 0.0), (white, 1.0)):
        pixels, _ = decode(video_frame(np.full((16, 16), code), pixel_format))
        assert (pixels[..., :3] == wanted * np.iinfo(pixels.dtype).max).all()


@pytest.mark.parametrize(("pixel_format", "full", "black", "white"), LEVELS)
def test_every_grey_code_survives_decoding_and_encoding(pixel_format: str, full: bool, black: int, white: int) -> None:
    codes = np.linspace(black, white, 256).round().astype(int)
    plane = np.repeat(codes[None, :], 16, axis=0)
    frame = video_frame(plane, pixel_format)
    again = PixelEncoder(pixel_format, full, 1)(*PixelDecoder(full, 1)(frame))
    dtype = np.uint8 if Layout.of(pixel_format).bits <= 8 else np.uint16
    for index in range(len(frame.planes) if pixel_format.startswith("gb") else 1):
        before, after = (
            np.frombuffer(memoryview(each.planes[index]), dtype).reshape(16, -1)[:, :256].astype(int)
            for each in (frame, again)
        )
        assert np.abs(before - after).max() == 0


@pytest.mark.parametrize("pixel_format", ["yuva444p10le", "yuva444p12le", "yuva420p", "gbrap10le"])
def test_alpha_survives(pixel_format: str) -> None:
    frame = video_frame(np.full((16, 64), 300 if "p1" in pixel_format else 100), pixel_format)
    pixels, _ = PixelDecoder(False, 1)(frame)
    assert pixels.shape == (16, 64, 4)
    assert pixels[0, 0, 3] == 0
    assert pixels[0, -1, 3] == np.iinfo(pixels.dtype).max
    again, _ = PixelDecoder(False, 1)(PixelEncoder(pixel_format, False, 1)(pixels))
    np.testing.assert_array_equal(again[..., 3], pixels[..., 3])


def test_ten_bits_are_not_squeezed_through_eight() -> None:
    plane = np.repeat(np.arange(64, 940)[None, :], 16, axis=0)
    pixels, _ = PixelDecoder(False, 1)(video_frame(plane, "yuv420p10le"))
    assert pixels.dtype == np.uint16
    assert len(np.unique(pixels[0, :, 1])) == 876


def test_the_matrix_goes_by_the_tag_and_else_by_the_height() -> None:
    assert [matrix_for(1, 480), matrix_for(6, 1080), matrix_for(9, 480)] == [1, 5, 9]
    assert [matrix_for(2, 480), matrix_for(2, 720)] == [5, 1]


@pytest.mark.parametrize(("matrix", "red"), [(1, 54), (5, 76)])
def test_red_has_the_luma_of_its_matrix(matrix: int, red: int) -> None:
    # ITU-R BT.709 gives red a weight of 0.2126, BT.601 one of 0.299.
    pixels = np.zeros((16, 16, 3), np.uint8)
    pixels[..., 0] = 255
    frame = PixelEncoder("yuv444p", True, matrix)(pixels)
    assert abs(int(np.frombuffer(memoryview(frame.planes[0]), np.uint8)[0]) - red) <= 1
    np.testing.assert_allclose(PixelDecoder(True, matrix)(frame)[0][0, 0], [255, 0, 0], atol=2)


def test_layouts_know_depth_alpha_and_subsampling() -> None:
    assert Layout.of("yuv422p10le") == Layout("yuv422p10le", 10, False, False, True, False)
    assert Layout.of("yuva444p12le") == Layout("yuva444p12le", 12, False, True, False, False)
    assert Layout.of("gbrp12le") == Layout("gbrp12le", 12, True, False, False, False)
    assert Layout.of("nv12") == Layout("nv12", 8, False, False, True, True)


def test_a_bayer_pattern_is_no_picture() -> None:
    with pytest.raises(UnsupportedMedia, match="expected RGB or YUV"):
        Layout.of("bayer_rggb8")
