"""Shot jobs through the front: paths, progress, workers that die, clients that come back."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from impasto.server.protocol.messages import (
    Cancel,
    Cancelled,
    Failed,
    Hello,
    Join,
    RenderSettings,
    ShotDone,
    ShotJob,
    ShotProgress,
    ShotStarted,
    SubmitShot,
    Welcome,
)
from tests.plates import write_sequence
from tests.server.running_server import ServerThread, served
from tests.server.wire_client import WireClient
from tests.waiting import until

FRAMES = 12


@pytest.fixture(scope="module")
def sequence(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_sequence(tmp_path_factory.mktemp("plate"), range(1, FRAMES + 1))


@pytest.fixture(scope="module")
def server() -> Iterator[ServerThread]:
    with served(("echo", "slow-30ms", "slow-1500ms", "crash-at-7", "crash-always-at-5", "fail")) as running:
        yield running


@pytest.fixture
def client(server: ServerThread) -> Iterator[WireClient]:
    with WireClient(server.folder, hello=True) as raw:
        yield raw


@dataclass
class JobMessages:
    """What the server said of a job."""

    started: list[ShotStarted] = field(default_factory=list)
    progress: list[ShotProgress] = field(default_factory=list)
    terminal: Any = None

    @property
    def numbers(self) -> list[int]:
        return [frame.number for each in self.progress for frame in each.stored]

    @property
    def counts(self) -> list[int]:
        return [frame.done for each in self.progress for frame in each.stored]


def listen(client: WireClient, told: JobMessages | None = None, timeout_s: float = 20) -> JobMessages:
    """Everything up to the terminal message."""
    told = told or JobMessages()
    while told.terminal is None:
        message, _ = client.answer(timeout_s)
        if isinstance(message, ShotStarted):
            told.started.append(message)
        elif isinstance(message, ShotProgress):
            told.progress.append(message)
        else:
            told.terminal = message
    return told


def job(sequence: str, output: Path, style: str = "echo", **more: Any) -> SubmitShot:
    return SubmitShot(
        secrets.token_bytes(16), ShotJob(RenderSettings(style), sequence, str(output / "o.####.exr"), **more)
    )


def with_job(request: SubmitShot, **changed: Any) -> SubmitShot:
    return replace(request, job=replace(request.job, **changed))


def run(client: WireClient, request: SubmitShot) -> JobMessages:
    client.send(client.data, request)
    return listen(client)


def test_a_shot_is_painted_and_every_frame_told_once(client: WireClient, sequence: str, tmp_path: Path) -> None:
    told = run(client, job(sequence, tmp_path))
    assert isinstance(told.terminal, ShotDone)
    assert told.terminal.rendered == FRAMES
    assert sorted(told.numbers) == list(range(1, FRAMES + 1))
    assert told.counts == list(range(1, FRAMES + 1))
    assert [each.attempt for each in told.started] == [1]
    assert len(list(tmp_path.glob("o.*.exr"))) == FRAMES


def test_progress_comes_in_handfuls(client: WireClient, sequence: str, tmp_path: Path) -> None:
    told = run(client, job(sequence, tmp_path))
    assert len(told.progress) < FRAMES


def test_a_worker_that_dies_in_a_shot_costs_no_frame(client: WireClient, sequence: str, tmp_path: Path) -> None:
    told = run(client, job(sequence, tmp_path, "crash-at-7"))
    assert isinstance(told.terminal, ShotDone)
    assert [each.attempt for each in told.started] == [1, 2]
    # A frame that was stored in the instant of the death may have gone untold; it is counted all the same.
    assert len(set(told.numbers)) == len(told.numbers) >= FRAMES - 1
    assert told.counts == sorted(told.counts)
    assert told.counts[-1] == FRAMES
    assert (told.terminal.rendered, told.terminal.skipped) == (FRAMES, 0)
    assert len(list(tmp_path.glob("o.*.exr"))) == FRAMES
    assert not list(tmp_path.glob("*.part"))


def test_a_shot_that_kills_every_worker_fails_and_keeps_its_frames(
    client: WireClient, sequence: str, tmp_path: Path
) -> None:
    told = run(client, job(sequence, tmp_path, "crash-always-at-5"))
    assert isinstance(told.terminal, Failed)
    assert told.terminal.error.code == "worker_lost"
    assert len(told.numbers) <= told.terminal.rendered <= len(list(tmp_path.glob("o.*.exr")))
    assert told.terminal.path == (str(tmp_path / "o.####.exr") if told.terminal.rendered else "")


def test_an_error_says_where_the_finished_frames_are(client: WireClient, sequence: str, tmp_path: Path) -> None:
    told = run(client, job(sequence, tmp_path, "fail"))
    assert isinstance(told.terminal, Failed)
    assert told.terminal.error.code == "style"


def test_a_cancelled_shot_keeps_what_is_stored(client: WireClient, sequence: str, tmp_path: Path) -> None:
    request = job(sequence, tmp_path, "slow-30ms")
    client.send(client.data, request)
    told = JobMessages()
    while not told.progress:
        message, _ = client.answer()
        if isinstance(message, ShotProgress):
            told.progress.append(message)
    client.send(client.control, Cancel(request.id))
    listen(client, told)
    assert isinstance(told.terminal, Cancelled)
    assert told.terminal.rendered == len(told.numbers) == len(list(tmp_path.glob("o.*.exr")))


def test_interactive_frames_are_painted_during_a_shot(client: WireClient, sequence: str, tmp_path: Path) -> None:
    request = job(sequence, tmp_path, "slow-30ms")
    client.send(client.data, request)
    frame = client.submit("echo")
    told = JobMessages()
    seen = []
    while told.terminal is None:
        message, _ = client.answer()
        if getattr(message, "id", b"") == frame:
            seen.append(message)
        elif isinstance(message, ShotDone):
            told.terminal = message
    assert len(seen) == 1


def test_a_client_that_comes_back_hears_what_it_missed(server: ServerThread, sequence: str, tmp_path: Path) -> None:
    with WireClient(server.folder, hello=True, lane="batch") as lost:
        assert lost.welcome is not None
        request = job(sequence, tmp_path, "slow-30ms")
        lost.send(lost.data, request)
        told = JobMessages()
        while not told.started:
            message, _ = lost.answer()
            if isinstance(message, ShotStarted):
                told.started.append(message)
        lost.context.destroy(linger=0)
        with WireClient(server.folder) as back:
            until(lambda: len(list(tmp_path.glob("o.*.exr"))) > 3)
            hello = Hello("test", 1, 0, 1 << 30, lane="batch", resume=lost.welcome.session)
            assert back.ask(hello, Welcome).resumed
            back.send(back.data, Join(lost.welcome.session))
            back.hear_parts(back.data)
            back.send(back.data, request)
            listen(back, told)
        lost.welcome = None
    assert isinstance(told.terminal, ShotDone)
    assert sorted(set(told.numbers)) == list(range(1, FRAMES + 1))
    assert len(told.numbers) == FRAMES


BAD = {
    "a relative input": {"input": "plates/a.####.exr"},
    "a relative output": {"output": "o.####.exr"},
    "no output": {"output": ""},
    "half a range": {"first": 3},
    "a range backwards": {"first": 5, "last": 1},
    "a range without end": {"first": 1, "last": 999_999_999},
    "an unknown style": {"look": RenderSettings("ecko")},
    "no such plate": {"input": "/nowhere/a.####.exr"},
    "a device as input": {"input": "/dev/null"},
    "a size that is a format": {"before_resize": "9999999999x{0}%n"},
}


@pytest.mark.parametrize("fields", BAD.values(), ids=BAD.keys())
def test_a_job_that_cannot_be_meant_fails(
    client: WireClient, sequence: str, tmp_path: Path, fields: dict[str, Any]
) -> None:
    told = run(client, with_job(job(sequence, tmp_path), **fields))
    assert isinstance(told.terminal, Failed)
    assert told.terminal.error.code in ("usage", "unknown_name", "unreadable_media", "unsupported_media", "media")
    client.still_served()


def test_a_session_that_is_replaced_lets_go_of_its_shot_at_once(
    server: ServerThread, sequence: str, tmp_path: Path
) -> None:
    request = job(sequence, tmp_path, "slow-1500ms")  # which takes longer than is waited for here
    with WireClient(server.folder, hello=True, lane="batch") as before, WireClient(server.folder) as after:
        before.send(before.data, request)
        assert isinstance(before.answer()[0], ShotStarted)
        assert before.welcome is not None
        after.greet(lane="batch", replaces=before.welcome.session)
        told = listen_until_free(after, with_job(request, look=RenderSettings("echo"), resume=True))
        assert isinstance(told.terminal, ShotDone)
        assert len(list(tmp_path.glob("o.*.exr"))) == FRAMES
        before.welcome = None


def listen_until_free(client: WireClient, request: SubmitShot) -> JobMessages:
    """What becomes of a job whose id is busy until its last session has let go of it."""
    found: list[JobMessages] = []

    def taken() -> bool:
        found.append(run(client, request))
        terminal = found[-1].terminal
        return not (isinstance(terminal, Failed) and terminal.error.code == "busy")

    until(taken)
    return found[-1]


def test_the_session_of_somebody_else_is_not_replaced(server: ServerThread, client: WireClient) -> None:
    with WireClient(server.folder) as other:
        other.greet(replaces=secrets.token_bytes(16))
        client.still_served()
