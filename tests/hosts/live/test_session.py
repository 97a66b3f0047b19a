"""A session from a source to its sinks through a real server whose workers are scripted."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from impasto.core.errors import OutputError, UnknownName
from impasto.hosts.live.session import LiveSession, SessionPlan
from impasto.hosts.live.sources import parse_source
from impasto.server.client import Client
from tests.hosts.live.kept_pictures import KeptPictures
from tests.server.running_server import served
from tests.waiting import until


def pictures(count: int, size: tuple[int, int] = (64, 36)) -> Iterator[np.ndarray]:
    for number in range(count):
        yield np.full((size[1], size[0], 3), 8 * number % 256, np.uint8)


@pytest.fixture
def movie(tmp_path: Path) -> str:
    """Half a second of greys, 50 a second."""
    path = tmp_path / "greys.mkv"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("ffv1", rate=50)
        stream.width, stream.height, stream.pix_fmt = 64, 36, "bgr0"
        for number, pixels in enumerate(pictures(25)):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts = number
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return str(path)


@contextmanager
def browsing(style: str) -> Iterator[tuple[LiveSession, KeptPictures, Client]]:
    """A session whose source the test itself puts pictures into, 30 a second, by a server with this style."""
    with served((style, "invert")) as server, Client.connect(server.folder, start=False) as client:
        kept = KeptPictures()
        with LiveSession(SessionPlan(parse_source("browser"), style, {}), client, (kept,)) as session:
            ended = threading.Event()

            def feed() -> None:
                for pixels in pictures(10_000):
                    session.intake.put(pixels)
                    if ended.wait(1 / 30):
                        return

            thread = threading.Thread(target=feed)
            thread.start()
            try:
                yield session, kept, client
            finally:
                ended.set()
                thread.join()


def test_a_movie_goes_through_the_server_into_a_movie_and_the_session_ends(movie: str, tmp_path: Path) -> None:
    out = tmp_path / "out.mkv"
    with served(("invert",)) as server, Client.connect(server.folder, start=False) as client:
        plan = SessionPlan(parse_source(movie), "invert", {}, (str(out),))
        with LiveSession(plan, client) as session:
            until(lambda: session.ended)
            figures = session.figures()
        assert session.error is None
    with av.open(str(out)) as made:
        values = [float(frame.to_ndarray(format="rgb24").mean()) for frame in made.decode(video=0)]
    assert figures.came == 25
    assert figures.painted >= 15  # the style was loaded before the first picture came
    assert figures.painted + figures.dropped == 25
    assert len(values) == pytest.approx(25, abs=2)
    assert values[0] > 200 > values[-1]


def test_a_worker_that_dies_is_replaced_while_the_session_goes_on() -> None:
    with browsing("crash-once") as (session, _, _):
        until(lambda: session.figures().painted > 5)
        assert not session.figures().problem


def test_a_worker_that_is_killed_leads_to_no_silent_plate() -> None:
    with browsing("echo") as (session, kept, client):
        until(lambda: session.figures().painted > 3)
        (pid,) = {device.pid for device in client.status().devices}
        os.kill(pid, signal.SIGKILL)
        painted = session.figures().painted
        until(lambda: session.figures().painted > painted + 5)
        silent = [each for each in kept.shown if not each.mark and each.pixels is each.plate.pixels]
        assert silent == []


def test_a_server_that_is_shut_down_leads_to_marked_plates() -> None:
    with browsing("echo") as (session, kept, client):
        until(lambda: session.figures().painted > 3)
        client.shut_down(at_once=True)
        marked = until(lambda: [each for each in kept.shown if each.mark])
        assert (marked[0].pixels[0] != marked[0].plate.pixels[0]).any()
        until(lambda: "render server is gone" in session.figures().problem)


def test_a_style_that_fails_is_said_and_another_one_paints() -> None:
    with browsing("fail") as (session, _, _):
        until(lambda: session.figures().problem and "not painted:" in session.figures().problem)
        session.setting.choose_style("invert")
        until(lambda: session.figures().painted > 2)
        assert not session.figures().problem


def test_a_sink_that_refuses_leaves_the_others(tmp_path: Path) -> None:
    with served(("echo",)) as server, Client.connect(server.folder, start=False) as client:
        plan = SessionPlan(parse_source("browser"), "echo", {}, ("v4l2:/dev/video99", str(tmp_path / "a.mp4")))
        with LiveSession(plan, client) as session:
            assert "modprobe" in str(session.refused_now()["v4l2:/dev/video99"])
            assert not session.ended
        with pytest.raises(OutputError, match="modprobe"):
            LiveSession(SessionPlan(parse_source("browser"), "echo", {}, ("v4l2:/dev/video99",)), client)


def test_when_the_last_sink_fails_the_session_ends_with_its_error() -> None:
    with served(("echo",)) as server, Client.connect(server.folder, start=False) as client:
        plan = SessionPlan(parse_source("browser"), "echo", {}, ("rtmp://127.0.0.1:9/a/b",), fps=Fraction(25))
        with LiveSession(plan, client) as session:
            until(lambda: session.intake.put(next(pictures(1))) or session.ended, pause_s=0.03)
            assert isinstance(session.error, OutputError)


def test_a_style_that_does_not_exist_is_refused_with_the_nearest() -> None:
    with (
        served(("invert",)) as server,
        Client.connect(server.folder, start=False) as client,
        pytest.raises(UnknownName, match="invert"),
    ):
        LiveSession(SessionPlan(parse_source("browser"), "inverted", {}), client, (KeptPictures(),))


def test_a_slow_server_gets_every_newest_picture_and_no_queue() -> None:
    with browsing("delay-50ms") as (session, kept, _):
        begun = time.monotonic()
        until(lambda: session.figures().painted >= 20)
        took = time.monotonic() - begun
        numbers = [each.plate.number for each in kept.shown if not each.mark]
        assert numbers == sorted(set(numbers))
        assert took < 20
        assert session.figures().dropped > 0
