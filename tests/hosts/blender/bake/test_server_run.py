"""The server's part of a bake against a client that does as it is asked. Without Blender, without a server."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from impasto.core.errors import (
    ImpastoError,
    NoSpace,
    RequestCancelled,
    ServerUnreachable,
    StyleError,
    UnknownName,
    UnreadableMedia,
    UnsupportedMedia,
    UsageError,
)
from impasto.hosts.blender.bake.server_run import FAILURES, BakeRequest, RunProgress, ServerRun
from impasto.hosts.blender.look.look import Look
from impasto.server.protocol.animation import animated_of
from impasto.server.protocol.messages import ShotDone, ShotJob, ShotProgress, ShotStarted, StoredFrame

SIZE = (64, 48)
ID = b"i" * 16


@dataclass
class ScriptedClient:
    """Stores frames as a server does; raises where it is asked to, after the frames before."""

    folder: Path
    raises: dict[int, ImpastoError] = field(default_factory=dict)
    at_once: ImpastoError | None = None
    size: tuple[int, int] = SIZE
    requests: list[ShotJob] = field(default_factory=list)

    def render_shot(self, request: ShotJob, on_event: Callable[[Any], None], cancelled: Callable[[], bool]) -> ShotDone:
        self.requests.append(request)
        if self.at_once is not None:
            raise self.at_once
        assert request.first is not None
        assert request.last is not None
        count = request.last - request.first + 1
        on_event(ShotStarted(ID, request.output, request.first, count, 0, *self.size))
        stored = skipped = 0
        for number in range(request.first, request.last + 1):
            if cancelled():
                raise RequestCancelled("it was cancelled")
            path = Path(request.output.replace("####", f"{number:04}"))
            if path.exists():
                skipped += 1
                continue
            if number in self.raises:
                raise self.raises[number]
            path.touch()
            stored += 1
            on_event(ShotProgress(ID, (StoredFrame(number, str(path), stored, 0),)))
        return ShotDone(ID, request.output, stored, skipped, 0, 0.1)


@dataclass
class ScriptedConnection:
    there: ScriptedClient | None
    state: str = "ready"
    sentence: str = ""

    def client(self) -> Any:
        return self.there


def request_in(folder: Path, numbers: tuple[int, ...], **facts: Any) -> BakeRequest:
    given: dict[str, Any] = {
        "input": "/media/plate.####.exr", "look": Look("s", {"strength": 1.0}), "size": SIZE, **facts,
    }  # fmt: skip
    return BakeRequest(folder=folder, slug="plate", numbers=numbers, space="srgb", **given)


def painted(request: BakeRequest, client: ScriptedClient, cancelled: Callable[[], bool] = lambda: False) -> RunProgress:
    run = ServerRun(request, ScriptedConnection(client), cancelled)
    run.start()
    assert run.join(10.0), "it did not end"
    return run.progress


def test_all_pictures_are_painted_in_one_job(tmp_path: Path) -> None:
    client = ScriptedClient(tmp_path)
    progress = painted(request_in(tmp_path, (1, 2, 3)), client)
    assert (progress.end, progress.done, progress.painted) == ("finished", 3, frozenset({1, 2, 3}))
    (request,) = client.requests
    assert (request.first, request.last, request.resume, request.output_space) == (1, 3, True, "lin_rec709")


def test_a_gap_makes_two_jobs_and_what_is_missing_is_named(tmp_path: Path) -> None:
    client = ScriptedClient(tmp_path)
    progress = painted(request_in(tmp_path, (1, 2, 3, 4), missing=(3,)), client)
    assert [(each.first, each.last) for each in client.requests] == [(1, 2), (4, 4)]
    assert progress.end == "finished"
    assert progress.failed == ((3, "'plate.####.exr' has no picture 3"),)


def test_around_a_picture_that_fails_the_others_are_painted(tmp_path: Path) -> None:
    client = ScriptedClient(tmp_path, {3: UnreadableMedia("damaged"), 5: UnreadableMedia("torn")})
    progress = painted(request_in(tmp_path, (1, 2, 3, 4, 5, 6)), client)
    assert progress.end == "finished"
    assert progress.failed == ((3, "damaged"), (5, "torn"))
    assert progress.painted == frozenset({1, 2, 4, 6})


def test_the_first_picture_may_fail_too(tmp_path: Path) -> None:
    progress = painted(request_in(tmp_path, (1, 2)), ScriptedClient(tmp_path, {1: UnreadableMedia("damaged")}))
    assert (progress.end, progress.painted) == ("finished", frozenset({2}))


def test_a_failed_picture_is_found_behind_those_that_were_there(tmp_path: Path) -> None:
    for number in (1, 2, 4):
        (tmp_path / f"plate.{number:04}.exr").touch()
    progress = painted(request_in(tmp_path, (1, 2, 3, 4)), ScriptedClient(tmp_path, {3: UnreadableMedia("damaged")}))
    assert progress.failed == ((3, "damaged"),)
    assert progress.painted == frozenset({1, 2, 4})


def test_material_of_which_everything_fails_ends_the_job(tmp_path: Path) -> None:
    numbers = tuple(range(1, 40))
    client = ScriptedClient(tmp_path, {number: UnreadableMedia(f"damaged {number}") for number in numbers})
    progress = painted(request_in(tmp_path, numbers), client)
    assert progress.end == "failed"
    assert len(client.requests) == FAILURES + 1


def test_a_server_that_sees_another_size_is_not_believed(tmp_path: Path) -> None:
    progress = painted(request_in(tmp_path, (1, 2)), ScriptedClient(tmp_path, size=(48, 64)))
    assert (progress.end, progress.sentence) == ("mismatch", "the server sees 48x64 where Blender shows 64x48")
    assert not list(tmp_path.glob("*.exr"))


@pytest.mark.parametrize("error", [UnsupportedMedia("no such codec"), UsageError("expected frames within 1-9")])
def test_media_that_the_server_cannot_open_are_left_to_blender(tmp_path: Path, error: ImpastoError) -> None:
    progress = painted(request_in(tmp_path, (1,), input="/m/a.mov"), ScriptedClient(tmp_path, at_once=error))
    assert (progress.end, progress.sentence) == ("mismatch", str(error))


@pytest.mark.parametrize(
    "error", [NoSpace("full"), StyleError("broken"), UnknownName("style", "x", ["y"]), ServerUnreachable("gone")]
)
def test_what_is_no_fault_of_the_media_is_a_sentence(tmp_path: Path, error: ImpastoError) -> None:
    progress = painted(request_in(tmp_path, (1,), input="/m/a.mov"), ScriptedClient(tmp_path, at_once=error))
    assert (progress.end, progress.sentence) == ("failed", str(error))


def test_a_fault_of_ours_is_a_sentence_too(tmp_path: Path) -> None:
    client = ScriptedClient(tmp_path)
    client.at_once = ZeroDivisionError("oh")  # type: ignore[assignment]
    progress = painted(request_in(tmp_path, (1,)), client)
    assert progress.end == "failed"
    assert progress.sentence.startswith("impasto itself is at fault (ZeroDivisionError: oh)")


def test_cancelling_ends_it_and_reports_what_is_there(tmp_path: Path) -> None:
    stored = lambda: len(list(tmp_path.glob("*.exr"))) >= 2  # noqa: E731
    progress = painted(request_in(tmp_path, (1, 2, 3, 4)), ScriptedClient(tmp_path), stored)
    assert (progress.end, progress.painted) == ("cancelled", frozenset({1, 2}))


def test_curves_go_along_with_the_frames_they_are_of(tmp_path: Path) -> None:
    look = Look("s", {"strength": 0.1}, animated={"strength": {1: 0.1, 2: 0.2, 4: 0.4}})
    client = ScriptedClient(tmp_path)
    painted(request_in(tmp_path, (1, 2, 4), look=look), client)
    assert [each.animated for each in client.requests] == [
        animated_of({"strength": {1: 0.1, 2: 0.2}}), animated_of({"strength": {4: 0.4}})
    ]  # fmt: skip


def test_without_a_server_the_connections_sentence_is_the_end(tmp_path: Path) -> None:
    run = ServerRun(request_in(tmp_path, (1,)), ScriptedConnection(None, "absent", "no command"), lambda: False)
    run.start()
    assert run.join(10.0)
    assert (run.progress.end, run.progress.sentence) == ("failed", "no command")


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    progress = painted(request_in(tmp_path / "file" / "below", (1,)), ScriptedClient(tmp_path))
    assert progress.end == "failed"
    assert "name another folder for frames" in progress.sentence
