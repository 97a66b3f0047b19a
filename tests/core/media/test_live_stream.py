"""Streams that are shown as they come."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from impasto.core.errors import UnsupportedMedia
from impasto.core.media.camera import StreamReader


def segment(path: Path, size: tuple[int, int], first: int) -> bytes:
    """A second of MPEG-TS in a size, with one keyframe."""
    with av.open(str(path), "w", format="mpegts") as output:
        stream = output.add_stream("libx264", rate=25, options={"preset": "ultrafast", "tune": "zerolatency"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for number in range(25):
            frame = av.VideoFrame.from_ndarray(np.full((size[1], size[0], 3), 90, np.uint8), format="rgb24")
            frame.pts = first + number
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path.read_bytes()


@pytest.fixture
def turning(tmp_path: Path) -> Iterator[str]:
    """The address of a stream that changes its size in the middle."""
    data = segment(tmp_path / "a.ts", (320, 180), 0) + segment(tmp_path / "b.ts", (180, 320), 25)

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/stream.ts"
        server.shutdown()


def test_a_live_stream_may_change_its_size(turning: str) -> None:
    with StreamReader(turning, live=True) as reader:
        sizes = [(frame.width, frame.height) for frame in reader]
    assert sizes[0] == (320, 180)
    assert sizes[-1] == (180, 320)
    assert len(sizes) == 50


def test_a_stream_that_is_rendered_has_one_size(turning: str) -> None:
    with StreamReader(turning) as reader, pytest.raises(UnsupportedMedia, match="size changes"):
        list(reader)
