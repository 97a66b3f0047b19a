"""The front through real sockets, with the fake worker."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest

from impasto.server.front.outbox import outgoing
from impasto.server.protocol import codec
from impasto.server.protocol.messages import (
    CancelClient,
    Cancelled,
    ClientCancelled,
    Done,
    Expired,
    Failed,
    Hello,
    Join,
    ListStyles,
    MattePicture,
    Ping,
    Pong,
    Rejected,
    ShuttingDown,
    StyleList,
    StylesChanged,
    Welcome,
)
from impasto.server.runtime_dir import running
from tests.server.fake_worker import write_style
from tests.server.running_server import ServerThread, served
from tests.server.wire_client import PIXELS, WireClient, request_of
from tests.waiting import until

LARGE = np.zeros((300, 300, 4), np.uint8)
"""Copied by a thread of the front."""


@pytest.fixture(scope="module")
def server() -> Iterator[ServerThread]:
    with served(("echo", "invert", "delay-50ms", "delay-300ms", "fail", "oom", "bug", "notes")) as running:
        yield running


@pytest.fixture
def client(server: ServerThread) -> Iterator[WireClient]:
    with WireClient(server.folder, hello=True) as raw:
        yield raw


def id16() -> bytes:
    return secrets.token_bytes(16)


def test_a_frame_in_the_ring_comes_back_in_the_ring(client: WireClient) -> None:
    client.open_ring()
    client.write(1, PIXELS)
    done = client.frame("invert", slot=client.slot(1))
    assert isinstance(done, Done)
    assert not done.inline
    np.testing.assert_array_equal(client.read(1, PIXELS), 255 - PIXELS)
    assert {"queue", "network", "server"} <= set(done.seconds)


def test_a_frame_in_the_message_comes_back_in_the_message(client: WireClient) -> None:
    pixels = np.linspace(0, 1, 300 * 200 * 4, dtype=np.float32).reshape(200, 300, 4)
    for _ in range(3):
        client.submit("invert", pixels=pixels)
        done, parts = client.answer()
        assert done.inline
        assert done.encoding == "raw"
        np.testing.assert_array_equal(np.frombuffer(parts[0], np.float32).reshape(pixels.shape), 1 - pixels)


def test_a_matte_may_come_as_part_3(client: WireClient) -> None:
    matte = MattePicture("uint8", 8)
    client.submit(payload=(PIXELS.tobytes(), bytes(48)), matte=matte)
    assert isinstance(client.answer()[0], Done)


def test_another_major_version_is_told_what_to_upgrade(server: ServerThread) -> None:
    with WireClient(server.folder) as raw:
        assert raw.ask(Hello("old", 2, 0, 1), Rejected).error.code == "incompatible"


def test_a_new_ring_takes_the_place_of_the_old(client: WireClient) -> None:
    client.open_ring()
    pending = client.submit("delay-50ms", slot=client.slot(0))
    old = client.slot(1)
    client.open_ring(1 << 17)
    assert client.answer()[0].id == pending
    assert client.frame(slot=old).error.field == "slot"
    assert isinstance(client.frame(slot=client.slot(0)), Done)


def test_the_same_request_attaches_to_the_one_that_runs(client: WireClient) -> None:
    client.open_ring()
    request = request_of("delay-50ms", PIXELS, slot=client.slot(0))
    for _ in range(3):
        client.send(client.data, request)
    done, _ = client.answer()
    assert isinstance(done, Done)
    client.send(client.data, request)
    assert client.answer()[0] == done  # said again, not painted again
    client.send(client.data, replace(request, frame=5))
    assert "new id" in client.answer()[0].error.message
    assert isinstance(client.frame(slot=client.slot(0)), Done)
    client.send(client.data, request)
    gone, _ = client.answer()
    assert gone.error.retryable
    assert "gone" in gone.error.message


def test_the_pixels_of_a_message_are_not_kept(client: WireClient) -> None:
    request = request_of("echo", PIXELS)
    client.send(client.data, request, PIXELS.tobytes())
    assert isinstance(client.answer()[0], Done)
    client.send(client.data, request, PIXELS.tobytes())
    assert "gone" in client.answer()[0].error.message


def test_the_status_says_what_is_true(client: WireClient) -> None:
    client.still_served()
    status = client.status()
    assert status.health == "ok"
    assert status.frames > 0
    assert status.fps > 0
    assert [each.device for each in status.devices] == ["cpu"]
    assert any(each.client == "test" for each in status.clients)
    assert status.rss_bytes > 1 << 20
    assert len(status.endpoints) == 2


def test_the_library_is_listed_and_its_changes_are_told(server: ServerThread, client: WireClient) -> None:
    listed = client.ask(ListStyles(id16()), StyleList)
    assert "echo" in [style.name for style in listed.styles]
    assert listed.total >= len(listed.styles)
    write_style(server.settings.styles[0], "fresh")
    assert client.hear(StylesChanged, client.control).revision != listed.revision
    assert isinstance(client.frame("fresh"), Done)


def test_a_session_goes_on_over_a_new_connection(server: ServerThread) -> None:
    with WireClient(server.folder, hello=True) as lost:
        assert lost.welcome is not None
        request = request_of("delay-300ms", PIXELS)
        lost.send(lost.data, request, PIXELS.tobytes())
        until(lambda: lost.status().running)
        with WireClient(server.folder) as back:
            lost.context.destroy(linger=0)
            welcome = back.ask(Hello("test", 1, 0, 1 << 30, resume=lost.welcome.session), Welcome)
            assert welcome.resumed
            assert welcome.session == lost.welcome.session
            back.send(back.data, Join(welcome.session))
            back.hear_parts(back.data)
            back.send(back.data, request, PIXELS.tobytes())
            done, parts = back.answer()
            assert (done.id, bytes(parts[0])) == (request.id, PIXELS.tobytes())
        lost.welcome = None


def test_a_bug_is_answered_by_its_mark_in_the_log(
    server: ServerThread, client: WireClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken_bytes(*_: object) -> int:
        raise ZeroDivisionError("inside")

    monkeypatch.setattr("impasto.server.front.frames.pixels.slot_bytes_needed", broken_bytes)
    failed = client.frame()
    monkeypatch.undo()
    assert failed.error.code == "server"
    assert "inside" not in failed.error.message
    assert failed.error.incident in server.log()
    client.still_served()


def test_a_frame_that_cannot_be_sent_to_its_worker_once_it_is_copied_fails(
    server: ServerThread, client: WireClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("inside")

    monkeypatch.setattr("impasto.server.front.frames.PendingFrame._send_to_worker", broken)
    failed = client.frame(pixels=LARGE)
    monkeypatch.undo()
    assert failed.error.incident in server.log()
    client.still_served()


def test_a_result_that_no_message_can_carry_fails_and_keeps_no_memory(
    client: WireClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def memory() -> int:
        return sum("memfd:impasto" in str(each) for each in map(link_of, Path("/proc/self/fd").iterdir()))

    def link_of(path: Path) -> str:
        return os.readlink(path) if path.is_symlink() else ""

    def too_long(message: object, samples: object = None, *_: object) -> object:
        if samples is not None:
            raise codec.TooLong("too many notes")
        return outgoing(message)  # type: ignore[arg-type]

    assert isinstance(client.frame(pixels=LARGE), Done)
    before = memory()
    monkeypatch.setattr("impasto.server.front.requests.outgoing", too_long)
    for _ in range(8):
        assert isinstance(client.frame(pixels=LARGE), Failed)
    monkeypatch.undo()
    assert isinstance(client.frame(pixels=LARGE), Done)
    # A segment has two files; another one is opened where ZeroMQ has not let go of the last result yet.
    assert memory() <= before + 4


def test_the_sockets_are_the_users_own(server: ServerThread) -> None:
    assert server.folder.stat().st_mode & 0o777 == 0o700
    for name in ("control.sock", "data.sock"):
        assert (server.folder / name).stat().st_mode & 0o777 == 0o600


def test_a_deadline_passes_in_the_queue() -> None:
    with served(("echo", "slow-400ms")) as server, WireClient(server.folder, hello=True) as client:
        client.still_served()
        for _ in range(2):
            client.submit("slow-400ms")
        late = client.submit("echo", deadline_s=0.05)
        first, _ = client.answer()
        assert isinstance(first, Expired)
        assert first.id == late


def test_a_drain_finishes_what_runs_and_leaves_nothing() -> None:
    others = psutil.Process().children()
    with served(("echo", "delay-300ms")) as server, WireClient(server.folder, hello=True) as client:
        client.still_served()
        children = [child for child in psutil.Process().children() if child not in others]
        assert children
        id = client.submit("delay-300ms")
        until(lambda: client.status().running)
        client.shut_down()
        refused = client.frame()
        assert refused.error.code == "busy"
        done, _ = client.answer()
        assert isinstance(done, Done)
        assert done.id == id
        assert server.exit_code() == 0
        client.welcome = None
        assert not (server.folder / "control.sock").exists()
        assert not (server.folder / "data.sock").exists()
        assert running(server.folder) is None
        until(lambda: not any(child.is_running() for child in children))


def test_at_once_cancels_what_runs() -> None:
    with served(("echo", "delay-5000ms")) as server, WireClient(server.folder, hello=True) as client:
        client.still_served()
        client.submit("delay-5000ms")
        until(lambda: client.status().running)
        client.shut_down(at_once=True)
        cancelled, _ = client.answer()
        assert isinstance(cancelled, Cancelled)
        assert cancelled.reason == "shutdown"
        assert server.exit_code() == 1
        client.welcome = None


def test_all_that_a_client_asked_for_is_cancelled_and_nothing_of_others() -> None:
    with (
        served(("echo", "delay-60000ms")) as server,
        WireClient(server.folder, hello=True) as busy,
        WireClient(server.folder, hello=True) as other,
    ):
        first, second = busy.submit("delay-60000ms"), busy.submit("delay-60000ms")
        until(lambda: (found := other.status()).running and found.running + found.queued == 2)
        kept = other.submit("echo")
        (number,) = (each.number for each in other.status().clients if each.running)
        assert other.ask(CancelClient(secrets.token_bytes(16), number), ClientCancelled).requests == 2
        ended = [busy.answer()[0] for _ in range(2)]
        assert {each.id for each in ended} == {first, second}
        assert all(isinstance(each, Cancelled) and each.reason == "asked" for each in ended)
        assert other.answer()[0].id == kept
        busy.still_served()
        assert other.ask(CancelClient(secrets.token_bytes(16), number), ClientCancelled).requests == 0
        gone = other.ask(CancelClient(secrets.token_bytes(16), 10_000), Failed)
        assert "expected the number of a client that is connected, got 10000" in gone.error.message


def test_a_server_that_nobody_uses_leaves() -> None:
    with served(idle_exit_s=0.3) as server:
        assert server.exit_code() == 0


def test_a_server_with_a_client_stays() -> None:
    with served(idle_exit_s=1.5) as server, WireClient(server.folder, hello=True) as client:
        until(lambda: client.status().uptime_s > 2.5)
        client.still_served()


def test_every_client_is_told_that_the_server_leaves() -> None:
    with (
        served() as server,
        WireClient(server.folder, hello=True) as other,
        WireClient(server.folder, hello=True) as client,
    ):
        client.shut_down()
        assert other.hear(ShuttingDown, other.control).id is None
        assert server.exit_code() == 0
        client.welcome = other.welcome = None


def test_a_ping_is_answered_while_frames_are_painted() -> None:
    with served(("echo", "slow-60ms")) as server, WireClient(server.folder, hello=True) as client:
        client.still_served()
        waits = []
        pending = 0
        until_s = time.monotonic() + 1.0
        while time.monotonic() < until_s:
            if pending < 2:
                client.submit("slow-60ms")
                pending += 1
            begun = time.monotonic()
            client.ask(Ping(1), Pong)
            waits.append(time.monotonic() - begun)
            pending -= sum(1 for _ in range(pending) if client.data.poll(0) and client.answer())
        assert sorted(waits)[len(waits) // 2] < 0.01


def test_the_front_never_loads_torch() -> None:
    script = "import sys, impasto.server.front.server, impasto.core.grade; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], timeout=30, check=False).returncode == 0


def test_a_broken_style_is_reported_and_the_others_served() -> None:
    with served() as server, WireClient(server.folder, hello=True) as client:
        client.still_served()
        write_style(server.settings.styles[0], "broken-one")
        status = until(lambda: (found := client.status()).health == "degraded" and found)
        assert any("broken-one" in problem for problem in status.problems)
        client.still_served()
