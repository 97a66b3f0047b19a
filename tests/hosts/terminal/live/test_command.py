"""`impasto live` as a person and a program run it, with a server whose workers are scripted."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import av
import pytest

from impasto.core.errors import UsageError
from impasto.hosts.events import LiveFigures
from impasto.hosts.terminal.exit_codes import INPUT, OUTPUT, USAGE
from impasto.hosts.terminal.live.command import seconds_of
from impasto.hosts.terminal.live.reporter import figures_text
from tests.hosts.terminal.conftest import LIMIT_S, Impasto, next_event, started
from tests.server.running_server import served as server_with


@pytest.fixture(autouse=True)
def inverting(monkeypatch: pytest.MonkeyPatch, own_folder: None) -> Iterator[None]:
    """A server of the user's own, which inverts."""
    with server_with(("invert",)) as server:
        monkeypatch.setenv("IMPASTO_RUNTIME", str(server.folder))
        yield


def frames_in(path: Path) -> int:
    with av.open(str(path)) as movie:
        return sum(1 for _ in movie.decode(video=0))


def test_a_movie_is_painted_into_a_movie_in_real_time(served: Impasto, movie: str, tmp_path: Path) -> None:
    run = served("live", movie, "--style", "invert", "--to", "out.mp4", "--json")
    kinds = [event["event"] for event in run.events]
    assert run.code == 0
    assert (kinds[0], kinds[-1]) == ("live", "finished")
    assert "figures" in kinds
    assert run.events[-2]["came"] == 6
    assert frames_in(tmp_path / "out.mp4") == pytest.approx(6, abs=1)


def stopped(process: subprocess.Popen[str]) -> list[dict[str, object]]:
    """Ctrl-C, and what the process says until its end."""
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 0, err
    return [json.loads(line) for line in out.splitlines()]


def test_ctrl_c_finishes_the_recording(movie: str, tmp_path: Path) -> None:
    process = started("live", movie, "--loop", "--style", "invert", "--to", "take.mkv", "--record", "too.mp4")
    while (event := next_event(process))["event"] != "figures" or not event["painted"]:
        pass
    assert not (tmp_path / "take.mkv").exists()
    last = stopped(process)[-1]
    assert last["event"] == "finished"
    assert frames_in(tmp_path / "take.mkv") > 1
    assert frames_in(tmp_path / "too.mp4") > 1
    assert [name for name in os.listdir(tmp_path) if name.startswith(".")] == []


def test_the_page_is_served_to_whoever_has_its_address(movie: str) -> None:
    process = started("live", movie, "--loop", "--style", "invert", "--no-open", "--port", "0")
    page = urlsplit(str(next_event(process)["page"]))
    assert page.path == "/live"

    def status(path: str) -> int:
        connection = http.client.HTTPConnection(str(page.hostname), page.port, timeout=LIMIT_S)
        with closing(connection):
            connection.request("GET", path)
            return connection.getresponse().status

    assert status(f"/live?{page.query}") == 303
    assert status("/live") == 401
    assert stopped(process)[-1]["event"] == "finished"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("camera:97",), INPUT, "camera:97"),
        (("nowhere.mp4", "--to", "out.mp4"), INPUT, "nowhere.mp4"),
        (("browser", "--style", "inverted", "--to", "out.mp4", "--no-open", "--port", "0"), USAGE, "invert"),
        (("browser", "--loop"), USAGE, "--loop"),
        (("browser", "--latency", "fast"), USAGE, "150ms"),
        (("browser", "--quality", "best"), USAGE, "draft"),
        (("browser", "--size", "big"), USAGE, "640x360"),
        (("browser", "--fps", "0"), USAGE, "frames per second"),
        (("browser", "--to", "a.mp4", "--record", "a.mp4"), USAGE, "once"),
        (("MOVIE", "--to", "painting.exr"), USAGE, "udp://"),
        (("MOVIE", "--to", "v4l2:/dev/video97"), OUTPUT, "modprobe"),
        (("MOVIE", "--loop", "--to", "rtmp://127.0.0.1:9/live/x"), OUTPUT, "start the receiver first"),
    ],
)
def test_what_cannot_work_is_said_in_a_sentence(
    served: Impasto, movie: str, arguments: tuple[str, ...], code: int, said: str
) -> None:
    style = () if "--style" in arguments else ("--style", "invert")
    page = () if "--to" in arguments else ("--no-open", "--port", "0")
    run = served("live", *(movie if each == "MOVIE" else each for each in arguments), *style, *page)
    assert (run.code, said in run.err) == (code, True), run.err
    assert "Traceback" not in run.err


def test_a_stream_to_others_is_said_to_be_readable(served: Impasto, movie: str) -> None:
    run = served("live", movie, "--style", "invert", "--to", "udp://192.0.2.7:9", "--to", "out.mp4")
    assert "whoever is on the way can see it" in run.err


@pytest.mark.parametrize(("text", "expected"), [("150ms", 0.15), ("0.2s", 0.2), ("1s", 1.0), ("20ms", 0.02)])
def test_a_latency(text: str, expected: float) -> None:
    assert seconds_of(text) == pytest.approx(expected)


@pytest.mark.parametrize("text", ["150", "0ms", "ms", "s", "-1s", "11s", "nan s", "nans", "infs"])
def test_a_latency_that_is_none(text: str) -> None:
    with pytest.raises(UsageError):
        seconds_of(text)


def test_figures_in_a_line() -> None:
    told = LiveFigures("camera:0", 640, 360, 300, 298, 2, 30.0, 29.8, 18.5, 24.0, 41.0, "draft", "it keeps time", "")
    assert figures_text(told) == (
        "640x360, 30.0 a second in, 29.8 painted, 2 dropped, 24 ms old (41 at p95), draft: it keeps time"
    )
