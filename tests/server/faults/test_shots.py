"""Shots whose worker or server is killed at any moment: every frame is there once, whole, and with the right pixels."""

from __future__ import annotations

import os
import random
import signal
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import psutil
import pytest

from impasto.core.errors import OutputExists, ServerUnreachable
from impasto.core.media import open_reader
from impasto.core.media.commit import remove_abandoned
from impasto.server.client import Client
from impasto.server.protocol.messages import RenderSettings, ShotDone, ShotJob, ShotProgress
from tests.plates import write_sequence
from tests.server.fake_worker import write_style
from tests.server.running_server import Sandbox, temporary_files
from tests.waiting import until

LIMIT_S = 60.0


class Watched:
    """A shot that is followed in a thread of its own."""

    def __init__(self, client: Client, job: ShotJob, *, retries: int = 8) -> None:
        self.told: list[int] = []
        self.ended: Future[ShotDone] = Future()
        self._client, self._job, self._retries = client, job, retries
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def done(self) -> ShotDone:
        ended = self.ended.result(LIMIT_S)
        self._thread.join(5)
        return ended

    def await_frames(self, count: int) -> None:
        until(lambda: len(self.told) >= count or self.ended.done(), LIMIT_S)

    def _follow(self) -> None:
        def heard(event: object) -> None:
            if isinstance(event, ShotProgress):
                self.told += [each.number for each in event.stored]

        try:
            self.ended.set_result(self._client.render_shot(self._job, heard, retries=self._retries))
        except BaseException as error:  # noqa: BLE001  # goes to the test that asks for the end
            self.ended.set_exception(error)


def shot(plates: str, output: Path, style: str = "echo", **more: Any) -> ShotJob:
    return ShotJob(RenderSettings(style), plates, str(output / "painted.####.exr"), **more)


def frames_in(folder: Path) -> Mapping[str, bytes]:
    """Every file of a folder, hidden ones too, by its pixels; one that is torn cannot be read."""
    return {path.name: next(iter(open_reader(str(path)))).colour.tobytes() for path in sorted(folder.iterdir())}


def undisturbed(sandbox: Sandbox, plates: str, name: str = "undisturbed") -> Mapping[str, bytes]:
    """The frames as a server paints them that nobody disturbs."""
    server = sandbox.serve()
    with sandbox.client() as client:
        client.render_shot(shot(plates, sandbox.root / name))
    server.signal(signal.SIGTERM)
    assert server.code() == 0
    return frames_in(sandbox.root / name)


@pytest.mark.slow
def test_a_shot_of_200_frames_lives_through_kills_of_workers_and_servers(sandbox: Sandbox) -> None:
    count = 200
    plates = write_sequence(sandbox.root / "plates", range(1, count + 1))
    expected = undisturbed(sandbox, plates)
    assert len(expected) == count
    chance = random.Random(7)
    kills = [(chance.randrange(8, count - 8), victim) for victim in ("worker", "server", "server") * 2]
    server = sandbox.serve()
    output = sandbox.root / "disturbed"
    with sandbox.client() as client, sandbox.client(name="killer") as killer:
        watched = Watched(client, shot(plates, output, "delay-2ms"))
        for frames, victim in sorted(kills):
            # Counted on disk: what became safe just before a kill may never be told.
            until(lambda count=frames: len(list(output.glob("painted.*"))) >= count, LIMIT_S)  # type: ignore[misc]
            assert not watched.ended.done(), "the shot was over before the last kill"
            if victim == "worker":
                os.kill(sandbox.worker_pid(killer), signal.SIGKILL)
            else:
                server.kill()
                server = sandbox.serve()
        done = watched.done()
    assert (done.rendered + done.skipped) == count
    assert len(watched.told) == len(set(watched.told)), "a frame was told twice"
    assert frames_in(output) == expected
    assert not temporary_files(sandbox.root)


def test_what_a_server_that_dies_in_a_commit_leaves_is_whole_and_swept_by_the_next(sandbox: Sandbox) -> None:
    plates = write_sequence(sandbox.root / "plates", range(1, 6))
    write_style(sandbox.styles, "crash-synced-3")
    expected = undisturbed(sandbox, plates)
    # Its worker dies in the third commit, and the server with it, before another one takes its place.
    server = sandbox.serve()
    request = shot(plates, sandbox.root / "out", "crash-synced-3")
    with sandbox.client() as client:
        future = client.submit_shot(request)
        until(lambda: "worker_lost" in sandbox.log())
        server.kill()
        assert isinstance(future.exception(LIMIT_S), ServerUnreachable)
    until(lambda: not sandbox.processes(), 3.0)
    left = [path.name for path in (sandbox.root / "out").iterdir()]
    assert sorted(name.startswith(".") for name in left) == [False, False, True]
    sandbox.serve()
    with sandbox.client() as client:
        client.render_shot(shot(plates, sandbox.root / "out", resume=True))
    assert frames_in(sandbox.root / "out") == expected


COMMITTER = """
import os, signal, sys
from impasto.core.media import commit

target, replace = sys.argv[1], sys.argv[2] == "replace"
real = {name: getattr(os, name) for name in ("open", "write", "fsync", "link", "replace", "unlink")}


def dying_at(point):
    seen = 0

    def counted(call):
        def step(*given, **named):
            nonlocal seen
            for moment in (lambda: None, lambda: call(*given, **named)):
                found = moment()
                seen += 1
                if seen > point:
                    os.kill(os.getpid(), signal.SIGKILL)
            return found
        return step

    for name, call in real.items():
        setattr(os, name, counted(call))
    with commit.committed(target, replace=replace) as temporary:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT, 0o600)
        for part in (b"new ", b"pixels"):
            os.write(descriptor, part)
        os.close(descriptor)
    os._exit(0)


commit.temporary_beside(target)
for point in map(int, sys.stdin):
    child = os.fork()
    if child == 0:
        dying_at(point)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.mark.parametrize("mode", ["replace", "create"])
def test_a_kill_between_any_two_steps_of_a_commit_leaves_the_old_file_or_the_new(sandbox: Sandbox, mode: str) -> None:
    folder = sandbox.root / "out"
    folder.mkdir()
    target = folder / "painted.exr"
    old = b"old pixels" if mode == "replace" else None
    committer = sandbox.start(["-c", COMMITTER, str(target), mode], talks=True)
    asked = committer.process.stdin
    assert asked is not None
    seen = []
    for point in range(200):
        target.unlink(missing_ok=True)
        if old is not None:
            target.write_bytes(old)
        asked.write(f"{point}\n")
        asked.flush()
        code = int(committer.line())
        found = target.read_bytes() if target.exists() else None
        assert found in (old, b"new pixels"), f"torn by a kill after step {point}"
        seen.append(found)
        if code == 0:
            break
        assert code == -signal.SIGKILL
        remove_abandoned(str(folder), lambda final: True)
        assert [path.name for path in folder.iterdir()] == ([target.name] if found is not None else [])
    asked.close()
    assert code == 0
    assert len(seen) > 14, "the steps were not counted"
    assert seen == sorted(seen, key=lambda found: found == b"new pixels"), "the new file came and went"


def test_two_jobs_that_resume_the_same_output_store_each_frame_once(sandbox: Sandbox) -> None:
    count = 30
    plates = write_sequence(sandbox.root / "plates", range(1, count + 1))
    expected = undisturbed(sandbox, plates)
    sandbox.serve()
    output = sandbox.root / "both"
    with sandbox.client() as first, sandbox.client(name="other node") as second:
        watched = [Watched(client, shot(plates, output, "delay-2ms", resume=True)) for client in (first, second)]
        ends: list[Any] = [each.ended.exception(LIMIT_S) or each.done() for each in watched]
    finished = [end for end in ends if isinstance(end, ShotDone)]
    assert finished, ends
    assert all(isinstance(end, ShotDone | OutputExists) for end in ends), ends
    assert frames_in(output) == expected


def stand_still(sandbox: Sandbox, seconds: float) -> list[int]:
    """A shot whose server stops for a while, longer than the client bears silence; the frames that it was told of."""
    count = 40
    plates = write_sequence(sandbox.root / "plates", range(1, count + 1))
    expected = undisturbed(sandbox, plates)
    server = sandbox.serve(limits={"heartbeat_s": 0.25, "interactive_lease_s": 5.0})
    output = sandbox.root / "out"
    with sandbox.client() as client:
        watched = Watched(client, shot(plates, output, "delay-50ms"))
        watched.await_frames(3)
        server.signal(signal.SIGSTOP)
        # Not a wait for something: the stop has to last for a while.
        threading.Event().wait(seconds)
        server.signal(signal.SIGCONT)
        done = watched.done()
    assert done.rendered == count
    assert frames_in(output) == expected
    return sorted(watched.told)


@pytest.mark.slow
def test_a_server_that_stood_still_in_a_shot_stores_and_tells_each_frame_once(sandbox: Sandbox) -> None:
    assert stand_still(sandbox, 2.0) == list(range(1, 41))


@pytest.mark.slow
def test_a_shot_whose_client_gave_up_a_server_that_lives_is_found_again(sandbox: Sandbox) -> None:
    told = stand_still(sandbox, 2.5)
    # What the server said into the broken connection is lost; nothing is said twice.
    assert len(set(told)) == len(told)
    assert set(told) <= set(range(1, 41))


def test_what_a_dead_writer_left_is_swept_before_its_parent_has_looked_for_it(sandbox: Sandbox) -> None:
    folder = sandbox.root / "out"
    folder.mkdir()
    write = "import sys; from impasto.core.media import commit; print(commit.temporary_beside(sys.argv[1]), flush=True)"
    writer = sandbox.start(["-c", f"{write}; sys.stdin.read()", str(folder / "painted.exr")], talks=True)
    Path(writer.line()).touch()
    assert remove_abandoned(str(folder), lambda final: True) == []
    os.kill(writer.pid, signal.SIGKILL)
    until(lambda: psutil.Process(writer.pid).status() == psutil.STATUS_ZOMBIE)
    assert len(remove_abandoned(str(folder), lambda final: True)) == 1
