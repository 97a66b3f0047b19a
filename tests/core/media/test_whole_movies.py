"""Every frame of a movie comes out, or the end is an error: cut, damaged and odd files of every container."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from impasto.core.errors import UnreadableMedia
from impasto.core.media import FrameRange, open_reader
from tests.core.media.builders import noise, write_movie

H264 = ("libx264", {"preset": "ultrafast", "crf": "20", "x264-params": "keyint=12:scenecut=0"})
MPEG2 = ("mpeg2video", {"b:v": "5M", "bf": "2"})
ENCODERS = {
    "ts": H264, "m2ts": H264, "mkv": H264, "mp4": H264, "mov": H264, "flv": H264, "mpg": MPEG2, "mxf": MPEG2,
    "webm": ("libvpx-vp9", {"b:v": "3M", "cpu-used": "5"}), "avi": ("mpeg4", {"b:v": "4M"}),
    "wmv": ("wmv2", {"b:v": "4M"}),
}  # fmt: skip
COUNT = 48


def write(path: Path, extension: str) -> Path:
    """48 frames of scrolling noise, which say their number in eight flat bars."""
    encoder, options = ENCODERS[extension]
    base = noise(96, 128, 1, np.uint8, seed=3)[..., 0] // 2 + 64
    planes = []
    for index in range(COUNT):
        plane = np.roll(base, index * 3, 1)
        for bit in range(8):
            plane[:32, bit * 16 : bit * 16 + 16] = 220 if index + 1 >> bit & 1 else 30
        planes.append(plane)
    write_movie(path, planes, encoder=encoder, options=options, gop=12)
    return path


def shown(path: Path, frames: FrameRange | None = None) -> list[tuple[int, int]]:
    """The number that each frame was given, and the one that is in its picture."""
    with open_reader(str(path), frames=frames) as reader:
        return [
            (
                frame.number,
                sum((frame.colour[8:24, bit * 16 + 4 : bit * 16 + 12].mean() > 128) << bit for bit in range(8)),
            )
            for frame in reader
        ]


@pytest.mark.parametrize("extension", ENCODERS)
def test_every_frame_comes_out_in_order(tmp_path: Path, extension: str) -> None:
    path = write(tmp_path / f"a.{extension}", extension)
    assert shown(path) == [(number, number) for number in range(1, COUNT + 1)]


@pytest.mark.parametrize("extension", ENCODERS)
@pytest.mark.parametrize(("first", "last"), [(1, 10), (5, 10), (13, 13), (37, 48)])
def test_a_range_is_exact_in_every_container(tmp_path: Path, extension: str, first: int, last: int) -> None:
    path = write(tmp_path / f"a.{extension}", extension)
    assert shown(path, FrameRange(first, last)) == [(number, number) for number in range(first, last + 1)]


@pytest.mark.parametrize("extension", ["mkv", "webm", "mp4", "avi", "flv", "mpg", "mxf"])
def test_half_a_movie_is_an_error(tmp_path: Path, extension: str) -> None:
    stored = write(tmp_path / f"whole.{extension}", extension).read_bytes()
    (tmp_path / f"a.{extension}").write_bytes(stored[: len(stored) // 2])
    with pytest.raises(UnreadableMedia, match=r"--frames|check or copy"):
        shown(tmp_path / f"a.{extension}")


@pytest.mark.parametrize("extension", ["mkv", "webm", "avi"])
def test_what_there_is_of_half_a_movie_can_be_asked_for(tmp_path: Path, extension: str) -> None:
    stored = write(tmp_path / f"whole.{extension}", extension).read_bytes()
    (tmp_path / f"a.{extension}").write_bytes(stored[: len(stored) // 2])
    assert shown(tmp_path / f"a.{extension}", FrameRange(1, 2)) == [(1, 1), (2, 2)]


@pytest.mark.parametrize("extension", ["mkv", "mp4", "ts", "m2ts", "mpg", "avi", "flv", "mxf"])
def test_a_hole_is_an_error(tmp_path: Path, extension: str) -> None:
    path = write(tmp_path / f"a.{extension}", extension)
    stored = bytearray(path.read_bytes())
    middle = len(stored) // 2
    stored[middle : middle + 3000] = bytes(3000)
    path.write_bytes(stored)
    with pytest.raises(UnreadableMedia, match="--frames"):
        shown(path)


def test_pictures_that_are_missing_from_a_movie_of_constant_rate_are_named(tmp_path: Path) -> None:
    times = [index * 40 for index in range(20)] + [index * 40 for index in range(40, 60)]
    planes = [np.full((32, 48), 100 + index, np.uint8) for index in range(40)]
    write_movie(tmp_path / "a.mkv", planes, times=times)
    with open_reader(str(tmp_path / "a.mkv")) as reader:
        notes = [note for frame in reader for note in frame.notes]
    assert notes == [
        f"there are no pictures for 0.80 s after frame 20: the movie may have lost some ('{tmp_path}/a.mkv')"
    ]


def test_a_recording_that_begins_in_the_middle_counts_from_what_decodes(tmp_path: Path) -> None:
    whole = write(tmp_path / "whole.ts", "ts")
    with av.open(str(whole)) as source, av.open(str(tmp_path / "a.ts"), "w") as output:
        stream = output.add_stream_from_template(source.streams.video[0])
        for index, packet in enumerate(source.demux(video=0)):
            if packet.dts is not None and index >= 5:
                packet.stream = stream
                output.mux(packet)
    found = shown(tmp_path / "a.ts")
    assert found == [(number, number + 12) for number in range(1, COUNT - 11)]
    with open_reader(str(tmp_path / "a.ts")) as reader:
        assert reader.info.frame_count == COUNT - 12
        assert "the first 7 pictures need a keyframe" in next(iter(reader)).notes[0]


def test_pictures_that_are_never_shown_do_not_count(tmp_path: Path) -> None:
    planes = [np.roll(noise(96, 128, 1, np.uint8)[..., 0], index, 1) for index in range(60)]
    options = {"b:v": "200k", "auto-alt-ref": "1", "lag-in-frames": "16", "arnr-maxframes": "5"}
    write_movie(tmp_path / "a.webm", planes, encoder="libvpx", options=options, gop=60)
    with open_reader(str(tmp_path / "a.webm")) as reader:
        assert reader.info.frame_count == 60
        assert len(list(reader)) == 60


@pytest.mark.parametrize(
    ("name", "encoder", "options"),
    [
        ("a.mov", "libx264", {"x264-params": "tff=1:interlaced=1"}),
        ("a.mxf", "mpeg2video", {"flags": "+ildct+ilme", "b:v": "4M"}),
        ("a.mov", "prores_ks", {"flags": "+ildct"}),
    ],
)
def test_interlaced_movies_are_said(tmp_path: Path, name: str, encoder: str, options: dict[str, str]) -> None:
    planes = [np.full((96, 128), 100, np.uint8)] * 4
    deep = "yuv422p10le" if encoder == "prores_ks" else "yuv420p"
    write_movie(tmp_path / name, planes, encoder=encoder, pixel_format=deep, options=options)
    with open_reader(str(tmp_path / name)) as reader:
        notes = [note for frame in reader for note in frame.notes]
    assert len([note for note in notes if "interlaced" in note]) == 1


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv", "a.ts", "a.avi", "a.mxf"])
@pytest.mark.parametrize("text", ["ffconcat version 1.0\nfile sub/b.mp4\n", "#EXTM3U\n#EXTINF:1,\nsub/b.mp4\n"])
def test_a_list_of_files_is_no_movie(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / "sub").mkdir()
    write_movie(tmp_path / "sub/b.mp4", [np.full((32, 48), 100, np.uint8)] * 3)
    (tmp_path / name).write_text(text)
    with pytest.raises(UnreadableMedia, match="expected a sound movie"):
        open_reader(str(tmp_path / name))


def test_a_movie_under_the_extension_of_another_container_is_read(tmp_path: Path) -> None:
    write_movie(tmp_path / "a.mkv", [np.full((32, 48), 100, np.uint8)] * 3, rate=Fraction(25))
    (tmp_path / "a.mkv").rename(tmp_path / "a.mp4")
    with open_reader(str(tmp_path / "a.mp4")) as reader:
        assert len(list(reader)) == 3
