"""Cameras, by a capture that is injected; streams, from a web server on this machine."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from fractions import Fraction
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from impasto.core.errors import UnreadableMedia
from impasto.core.media.camera import CameraReader, StreamReader
from tests.core.media.builders import ramp, write_movie


class FakeCapture:
    """Gives the pictures it was made with, then nothing; asked for anything unknown it fails."""

    def __init__(self, pictures: list[np.ndarray[Any, Any]], *, opened: bool = True) -> None:
        self.pictures = list(pictures)
        self.opened = opened
        self.released = 0

    def isOpened(self) -> bool:
        return self.opened

    def read(self) -> tuple[bool, np.ndarray[Any, Any] | None]:
        return (True, self.pictures.pop(0)) if self.pictures else (False, None)

    def get(self, prop: int) -> float:
        return {5: 29.97}[prop]

    def release(self) -> None:
        self.released += 1


BLUE = np.full((4, 6, 3), (255, 0, 0), np.uint8)
"""As OpenCV orders channels: blue first."""


def test_pictures_come_as_rgb_with_numbers_from_one() -> None:
    with CameraReader(0, lambda _: FakeCapture([BLUE, BLUE])) as reader:
        frames = list(reader)
    assert [frame.number for frame in frames] == [1, 2]
    assert frames[0].part.pixels[0, 0].tolist() == [0, 0, 255]
    assert frames[0].source == "camera:0"


def test_a_camera_has_no_frame_count_and_a_simple_rate() -> None:
    info = CameraReader(0, lambda _: FakeCapture([BLUE])).info
    assert (info.kind, info.frame_count, info.width, info.height) == ("stream", None, 6, 4)
    assert info.rate == Fraction(2997, 100)


def test_closing_ends_the_frames_and_releases_the_camera() -> None:
    capture = FakeCapture([BLUE] * 9)
    reader = CameraReader(0, lambda _: capture)
    frames = iter(reader)
    next(frames)
    reader.close()
    reader.close()
    assert list(frames) == []
    assert capture.released == 1


@pytest.mark.parametrize("capture", [FakeCapture([], opened=False), FakeCapture([])])
def test_a_missing_camera_is_one_sentence(capture: FakeCapture) -> None:
    with pytest.raises(UnreadableMedia, match=r"expected a camera at 'camera:3', found none"):
        CameraReader(3, lambda _: capture)
    assert capture.released == 1


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """A web server of the test's folder on this machine."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path))) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_stream_is_read_to_its_end(tmp_path: Path, address: str) -> None:
    write_movie(tmp_path / "a.mkv", [ramp(32, 48, 1)[..., 0]] * 5)
    with StreamReader(f"{address}/a.mkv") as reader:
        assert (reader.info.kind, reader.info.frame_count) == ("stream", None)
        assert [frame.number for frame in reader] == [1, 2, 3, 4, 5]


def test_a_playlist_is_followed_only_where_the_address_is_one(tmp_path: Path, address: str) -> None:
    write_movie(tmp_path / "a.ts", [ramp(32, 48, 1)[..., 0]] * 5)
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:0.2,\n{address}/a.ts\n#EXT-X-ENDLIST\n"
    (tmp_path / "a.m3u8").write_text(playlist)
    (tmp_path / "a.mp4").write_text(playlist)
    with StreamReader(f"{address}/a.m3u8") as reader:
        assert len(list(reader)) == 5
    with pytest.raises(UnreadableMedia):
        StreamReader(f"{address}/a.mp4")


def test_an_address_never_leads_to_a_file_of_this_machine(tmp_path: Path, address: str) -> None:
    write_movie(tmp_path / "a.ts", [ramp(32, 48, 1)[..., 0]] * 5)
    (tmp_path / "a.m3u8").write_text(
        f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:0.2,\nfile://{tmp_path}/a.ts\n#EXT-X-ENDLIST\n"
    )
    with pytest.raises(UnreadableMedia):
        StreamReader(f"{address}/a.m3u8")
    with pytest.raises(UnreadableMedia):
        StreamReader(f"file://{tmp_path}/a.ts")


def test_a_stream_that_is_not_there_is_one_sentence() -> None:
    with pytest.raises(UnreadableMedia, match="check"):
        StreamReader("tcp://127.0.0.1:9")
