"""A picture that lies on its side is looked at the right way up after every pair of formats."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import OpenImageIO as oiio
import pytest

from impasto.core.frame import Attribute, Frame, Part, Window
from impasto.core.media import open_reader, open_writer
from impasto.core.media.orientation import orientation_of, upright, upright_part
from impasto.core.media.picture_reader import read_picture
from impasto.core.media.picture_writer import write_picture
from tests.core.media.builders import frame_of, shot_of, write_with_oiio

STORED = np.zeros((24, 40, 3), np.uint8)
STORED[:12, :20] = (200, 20, 20)
STORED[:12, 20:] = (20, 200, 20)
STORED[12:, :20] = (20, 20, 200)
"""Another colour in each corner."""


def corners(pixels: np.ndarray[Any, Any]) -> list[int]:
    """Which of red, green, blue and black is in each corner, row by row."""
    height, width = pixels.shape[:2]
    values = pixels.astype(np.float64) / (np.iinfo(pixels.dtype).max if pixels.dtype.kind == "u" else 1)
    places = [(0.25, 0.25), (0.25, 0.75), (0.75, 0.25), (0.75, 0.75)]
    found = [values[int(y * height), int(x * width)] for y, x in places]
    return [int(each.argmax()) if each.max() > 0.3 else 3 for each in found]


SEEN = {
    1: [0, 1, 2, 3], 2: [1, 0, 3, 2], 3: [3, 2, 1, 0], 4: [2, 3, 0, 1],
    5: [0, 2, 1, 3], 6: [2, 0, 3, 1], 7: [3, 1, 2, 0], 8: [1, 3, 0, 2],
}  # fmt: skip
"""EXIF orientation -> the corners as they are seen (Exif 3.0, section 4.6.5.1.6)."""


def seen(frame: Frame) -> list[int]:
    return corners(upright(frame.colour, orientation_of(frame.part)))


@pytest.mark.parametrize("orientation", SEEN)
def test_turning_follows_exif(orientation: int) -> None:
    assert corners(upright(STORED, orientation)) == SEEN[orientation]


@pytest.mark.parametrize("result", ["jpg", "png", "tif", "dpx", "exr", "hdr", "ppm"])
@pytest.mark.parametrize(
    ("source", "orientation"),
    # OpenImageIO reads a transposed DPX in another size than it writes it.
    [(kind, each) for kind in ("jpg", "png", "tif", "dpx") for each in SEEN if kind != "dpx" or each <= 4],
)
def test_every_pair_of_formats_is_seen_the_same_way_up(
    tmp_path: Path, source: str, result: str, orientation: int
) -> None:
    # OpenImageIO writes two of the codes of DPX other than it reads them.
    written = {3: 4, 4: 3}.get(orientation, orientation) if source == "dpx" else orientation
    write_with_oiio(tmp_path / f"a.{source}", STORED, "uint8", {"Orientation": written})
    path = tmp_path / f"b.{result}"
    write_picture(str(path), str(path), read_picture(str(tmp_path / f"a.{source}")))
    found = read_picture(str(path))
    assert seen(found) == SEEN[orientation]
    if result in ("exr", "hdr", "ppm") or (result == "dpx" and source != "dpx"):
        assert corners(found.colour) == SEEN[orientation]


@pytest.mark.parametrize("result", ["o.mp4", "o.mov", "o.mkv", "o.avi", "o.webm"])
@pytest.mark.parametrize("orientation", SEEN)
def test_a_turned_sequence_becomes_a_movie_the_right_way_up(tmp_path: Path, result: str, orientation: int) -> None:
    for number in (1, 2):
        write_with_oiio(tmp_path / f"a.000{number}.jpg", STORED, "uint8", {"Orientation": orientation})
    with (
        open_reader(str(tmp_path / "a.####.jpg")) as reader,
        open_writer(str(tmp_path / result), reader.info) as writer,
    ):
        for frame in reader:
            writer.write(frame)
    assert [seen(frame) for frame in open_reader(str(tmp_path / result))] == [SEEN[orientation]] * 2


MATRICES = {
    1: (1, 0, 0, 1), 2: (-1, 0, 0, 1), 3: (-1, 0, 0, -1), 4: (1, 0, 0, -1),
    5: (0, 1, 1, 0), 6: (0, 1, -1, 0), 7: (0, -1, -1, 0), 8: (0, -1, 1, 0),
}  # fmt: skip
"""EXIF orientation -> a, b, c, d of the display matrix: x' = a x + c y, y' = b x + d y."""


def write_turned(path: Path, orientation: int) -> None:
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=25, options={"crf": "4"})
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 40, 24, "yuv444p"
        a, b, c, d = (each << 16 for each in MATRICES[orientation])
        stream.set_display_matrix((a, b, 0, c, d, 0, 0, 0, 1 << 30))
        for _ in range(2):
            output.mux(stream.encode(av.VideoFrame.from_ndarray(STORED, format="rgb24")))
        output.mux(stream.encode(None))


@pytest.mark.parametrize("result", ["b.mp4", "b.mov", "b.mkv", "b.avi", "b.####.exr", "b.####.jpg", "b.####.png"])
@pytest.mark.parametrize("orientation", SEEN)
def test_mirrored_and_transposed_movies_are_seen_the_same_way_up(tmp_path: Path, result: str, orientation: int) -> None:
    write_turned(tmp_path / "a.mov", orientation)
    with open_reader(str(tmp_path / "a.mov")) as reader, open_writer(str(tmp_path / result), reader.info) as writer:
        for frame in reader:
            assert seen(frame) == SEEN[orientation]
            writer.write(frame)
    assert [seen(frame) for frame in open_reader(str(tmp_path / result))] == [SEEN[orientation]] * 2


def test_windows_are_turned_with_the_pixels() -> None:
    pixels = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    part = Part(
        pixels, ("R", "G", "B"), ("uint8",) * 3, Window(11, 22, 3, 2), Window(10, 20, 8, 6), 2.0,
        {"Orientation": Attribute("int", 6)},
    )  # fmt: skip
    turned = upright_part(part)
    assert turned.display_window == Window(10, 20, 6, 8)
    assert turned.data_window == Window(12, 21, 2, 3)
    assert turned.pixel_aspect == 0.5
    np.testing.assert_array_equal(turned.pixels, np.rot90(pixels, -1))


@pytest.mark.parametrize(
    ("kind", "value"),
    [("uint16", 6), ("int16", -6), ("int8", -6), ("half", 0.5), ("double", 0.25), ("int64", 7), ("uint8", 200)],
)
def test_an_attribute_of_any_type_is_written(tmp_path: Path, kind: str, value: float) -> None:
    frame = frame_of(STORED, "uint8")
    part = Part(
        **{**{name: getattr(frame.part, name) for name in Part.__slots__}, "attributes": {"x": Attribute(kind, value)}}
    )
    with open_writer(str(tmp_path / "a.exr"), shot_of()) as writer:
        writer.write(Frame((part,), frame.layer, number=1))
    assert float(read_picture(str(tmp_path / "a.exr")).part.attributes["x"].value) == value


def test_a_double_of_an_exr_stays_a_double(tmp_path: Path) -> None:
    OpenEXR = pytest.importorskip("OpenEXR")  # noqa: N806
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage, "rate": np.array([23.976])}
    OpenEXR.File(header, {"RGB": np.zeros((4, 6, 3), np.float16)}).write(str(tmp_path / "a.exr"))
    write_picture(str(tmp_path / "b.exr"), str(tmp_path / "b.exr"), read_picture(str(tmp_path / "a.exr")))
    spec = oiio.ImageInput.open(str(tmp_path / "b.exr")).spec()
    assert [(str(each.type), each.value) for each in spec.extra_attribs if each.name == "rate"] == [("double", 23.976)]
