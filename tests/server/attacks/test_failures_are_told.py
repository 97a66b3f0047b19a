"""Whatever fails while a failure is reported: the request is answered, and the server goes on and ends when told to."""

from __future__ import annotations

import os
import secrets
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from impasto.core.errors import ImpastoError, UsageError
from impasto.core.frame import Frame
from impasto.core.media import ShotInfo, open_writer
from impasto.core.media.open import open_reader
from impasto.server.front.pending_request import PendingRequest
from impasto.server.front.shots import PendingShot
from impasto.server.protocol import codec
from impasto.server.protocol.errors import LAST_RESORT, facts_of
from impasto.server.protocol.messages import Cancel, Cancelled, Failed, RenderSettings, ShotDone, ShotJob, SubmitShot
from impasto.server.protocol.text import offence
from impasto.server.protocol.worker_messages import Quit, RunShot, WorkFailed
from impasto.server.worker.loop import work
from impasto.server.worker_pipe import link_pair, worker_end
from tests.server.fake_worker import FakeDevice
from tests.server.running_server import served
from tests.server.wire_client import WireClient
from tests.waiting import until

NOT_UTF8 = os.fsdecode(b"th\xe9mb.png")


def picture(path: Path, count: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open_writer(str(path), ShotInfo("", "sequence", 1, count, 16, 8)) as writer:
        for number in range(1, count + 1):
            writer.write(Frame.from_pixels(np.full((8, 16, 3), 99, np.uint8), number=number))


def mixed_folder(folder: Path) -> Path:
    """Three frames of a shot, and a still whose name is not UTF-8."""
    picture(folder / "p.####.png", 3)
    (folder / NOT_UTF8).write_bytes((folder / "p.0001.png").read_bytes())
    return folder


def shot(input: Path | str, output: Path, style: str = "echo") -> SubmitShot:
    return SubmitShot(secrets.token_bytes(16), ShotJob(RenderSettings(style), str(input), str(output)))


def ended(client: WireClient) -> Any:
    while True:
        message, _ = client.answer(20)
        if isinstance(message, Failed | ShotDone | Cancelled):
            return message


@pytest.mark.parametrize("text", [NOT_UTF8, "\ud800 \udfff", "a\x00b\x1b[2J", "x" * 9000, "é" * 9000])
def test_every_error_can_be_sent(text: str) -> None:
    facts = facts_of(UsageError(f"found {text}"), field=text)
    codec.encode(Failed(bytes(16), facts))
    assert offence(facts.message) is None


def test_a_name_that_is_not_utf8_is_told_with_its_bytes() -> None:
    assert "th\\xe9mb.png" in facts_of(UsageError(f"found {NOT_UTF8}")).message


def test_the_last_resort_can_be_sent() -> None:
    codec.encode(Failed(bytes(16), LAST_RESORT))


def test_a_folder_with_a_name_that_is_not_utf8_is_refused_with_the_name(tmp_path: Path) -> None:
    folder = mixed_folder(tmp_path / "mix")
    with served() as server, WireClient(server.folder, hello=True) as client:
        for _ in range(3):  # more than a worker has places for jobs
            client.send(client.data, shot(folder, tmp_path / "out" / "o.####.png"))
            failed = ended(client)
            assert failed.error.code == "usage"
            assert "th\\xe9mb.png" in failed.error.message
        client.send(client.data, shot(folder / "p.####.png", tmp_path / "out" / "o.####.png"))
        assert ended(client).rendered == 3


def test_a_sequence_that_is_not_named_in_utf8_is_refused_with_a_sentence(tmp_path: Path) -> None:
    picture(tmp_path / "in" / "a.0001.png")
    (tmp_path / "in" / "a.0001.png").rename(tmp_path / "in" / os.fsdecode(b"ca\xe9.0001.png"))
    with pytest.raises(UsageError, match=r"UTF-8.*ca\\xe9"):
        open_reader(str(tmp_path / "in"))


class _Untellable(ImpastoError):
    def __str__(self) -> str:
        raise RuntimeError("no text")


class _Panic(BaseException):
    """As a library written in Rust raises it."""


class _FailingDevice(FakeDevice):
    def __init__(self, error: BaseException) -> None:
        super().__init__("cpu", -1)
        self._error = error

    def painter(self, look: RenderSettings, style_path: str) -> Any:
        raise self._error


@pytest.fixture
def worker() -> Iterator[Callable[[BaseException], Any]]:
    """Starts a worker's loop in a thread, whose device fails with this error; the front's end of its link."""
    links = []

    def start(error: BaseException) -> Any:
        link, theirs = link_pair()
        end = worker_end(theirs.detach())
        thread = threading.Thread(target=work, args=(end, _FailingDevice(error)), kwargs={"leave": lambda _: None})
        thread.start()
        links.append((link, end, thread))
        return link

    yield start
    for link, end, thread in links:
        link.send(Quit())
        thread.join(10)
        link.close()
        end.close()


def ending(link: Any, id: bytes) -> Any:
    found: list[Any] = []

    def heard() -> Any:
        found.extend(message for message, _ in link.receive())
        return [each for each in found if isinstance(each, WorkFailed) and each.id == id]

    return until(heard, 10)[0]


@pytest.mark.parametrize("error", [_Untellable(), _Panic("panicked"), SystemExit(3), UsageError(NOT_UTF8)])
def test_a_worker_ends_its_request_whatever_was_raised(
    worker: Callable[[BaseException], Any], error: BaseException, tmp_path: Path
) -> None:
    link = worker(error)
    order = shot(tmp_path, tmp_path / "o.png")
    link.send(RunShot(order, str(tmp_path / "echo.safetensors"), 1, False))
    assert isinstance(ending(link, order.id), WorkFailed)


def raising(*_: Any, **__: Any) -> Any:
    raise TypeError("the front itself goes wrong")


@pytest.mark.parametrize("method", ["reply", "failed", "messages_due", "cancelled"])
def test_the_front_answers_whatever_goes_wrong_in_it(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture(tmp_path / "p.####.png", 2)
    style = {"failed": "fail", "cancelled": "delay-5000ms"}.get(method, "echo")
    with served((style, "echo")) as server, WireClient(server.folder, hello=True) as client:
        client.still_served()
        monkeypatch.setattr(PendingShot, method, raising)
        asked = shot(tmp_path / "p.####.png", tmp_path / "out" / "o.####.png", style)
        client.send(client.data, asked)
        if method == "cancelled":
            until(lambda: client.status().running)
            client.tell(Cancel(asked.id))
        assert ended(client).id == asked.id
        monkeypatch.undo()
        assert client.status().jobs == 0
        client.still_served()


def test_an_answer_that_cannot_be_encoded_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture(tmp_path / "p.####.png", 1)
    with served() as server, WireClient(server.folder, hello=True) as client:
        monkeypatch.setattr(PendingShot, "_below_roots", lambda self, text: "\udce9")
        monkeypatch.setattr(PendingRequest, "failed", lambda self, error: Failed(self.id, error, "\udce9"))
        client.send(client.data, shot(tmp_path / "p.####.png", tmp_path / "out" / "o.####.png"))
        assert isinstance(ended(client), Failed)


@pytest.mark.parametrize("style", ["hang", "echo"])
def test_an_end_at_once_takes_less_than_3_s_whatever_hangs(style: str, tmp_path: Path) -> None:
    picture(tmp_path / "p.####.png", 2)
    with served((style,)) as server, WireClient(server.folder, hello=True) as client:
        until(lambda: client.status().devices[0].state == "ready")
        worker = client.status().devices[0].pid
        if style == "echo":
            os.kill(worker, signal.SIGSTOP)
        client.send(client.data, shot(tmp_path / "p.####.png", tmp_path / "out" / "o.####.png", style))
        until(lambda: client.status().running)
        begun = time.monotonic()
        client.shut_down(at_once=True)
        assert server.exit_code() == 1
        assert time.monotonic() - begun < 3.0
        with pytest.raises(ProcessLookupError):
            os.kill(worker, 0)


def test_stop_now_ends_a_server_that_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from impasto.hosts.terminal.server.stop import stop
    from impasto.server.runtime_dir import running
    from tests.server.running_server import new_sandbox

    with new_sandbox() as sandbox:
        server = sandbox.serve()
        server.signal(signal.SIGSTOP)
        monkeypatch.setenv("IMPASTO_RUNTIME", str(sandbox.run))
        begun = time.monotonic()
        stop(now=True, server=None, server_key=None, json=False)
        assert time.monotonic() - begun < 3.5
        assert running(sandbox.run) is None
        assert server.code() == -signal.SIGKILL
