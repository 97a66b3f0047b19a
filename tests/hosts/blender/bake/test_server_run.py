"""The server's part of a bake against a client that does as it is told. Without Blender, without a server."""

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
from impasto.hosts.blender.bake.plan import Look
from impasto.hosts.blender.bake.server_run import FAILURES, Account, Order, Painting
from impasto.server.protocol.animation import animated_of
from impasto.server.protocol.messages import ShotDone, ShotJob, ShotProgress, ShotStarted, StoredFrame

SIZE = (64, 48)


ID = b"i" * 16


@dataclass
class ScriptedClient:
    """Stores frames as a server does; raises where it is told, after the frames before."""

    folder: Path
    raises: dict[int, ImpastoError] = field(default_factory=dict)
    at_once: ImpastoError | None = None
    size: tuple[int, int] = SIZE
    jobs: list[ShotJob] = field(default_factory=list)

    def render_shot(self, job: ShotJob, on_event: Callable[[Any], None], cancelled: Callable[[], bool]) -> ShotDone:
        self.jobs.append(job)
        if self.at_once is not None:
            raise self.at_once
        assert job.first is not None
        assert job.last is not None
        count = job.last - job.first + 1
        on_event(ShotStarted(ID, job.output, job.first, count, 0, *self.size))
        stored = skipped = 0
        for number in range(job.first, job.last + 1):
            if cancelled():
                raise RequestCancelled("it was cancelled")
            path = Path(job.output.replace("####", f"{number:04}"))
            if path.exists():
                skipped += 1
                continue
            if number in self.raises:
                raise self.raises[number]
            path.touch()
            stored += 1
            on_event(ShotProgress(ID, (StoredFrame(number, str(path), stored, 0),)))
        return ShotDone(ID, job.output, stored, skipped, 0, 0.1)


@dataclass
class ScriptedConnection:
    there: ScriptedClient | None
    state: str = "ready"
    sentence: str = ""

    def client(self) -> Any:
        return self.there


def order_in(folder: Path, numbers: tuple[int, ...], **facts: Any) -> Order:
    given: dict[str, Any] = {
        "input": "/media/plate.####.exr", "look": Look("s", "", {"strength": 1.0}), "size": SIZE, **facts,
    }  # fmt: skip
    return Order(folder=folder, slug="plate", numbers=numbers, space="srgb", **given)


def painted(order: Order, client: ScriptedClient, cancelled: Callable[[], bool] = lambda: False) -> Account:
    painting = Painting(order, ScriptedConnection(client), cancelled)
    painting.begin()
    assert painting.join(10.0), "it did not end"
    return painting.account


def test_all_pictures_are_painted_in_one_job(tmp_path: Path) -> None:
    client = ScriptedClient(tmp_path)
    account = painted(order_in(tmp_path, (1, 2, 3)), client)
    assert (account.end, account.done, account.painted) == ("finished", 3, frozenset({1, 2, 3}))
    (job,) = client.jobs
    assert (job.first, job.last, job.resume, job.output_space) == (1, 3, True, "lin_rec709")


def test_a_gap_makes_two_jobs_and_what_is_missing_is_told(tmp_path: Path) -> None:
    client = ScriptedClient(tmp_path)
    account = painted(order_in(tmp_path, (1, 2, 3, 4), missing=(3,)), client)
    assert [(each.first, each.last) for each in client.jobs] == [(1, 2), (4, 4)]
    assert account.end == "finished"
    assert account.failed == ((3, "'plate.####.exr' has no picture 3"),)


def test_around_a_picture_that_fails_the_others_are_painted(tmp_path: Path) -> None:
    client = ScriptedClient(tmp_path, {3: UnreadableMedia("damaged"), 5: UnreadableMedia("torn")})
    account = painted(order_in(tmp_path, (1, 2, 3, 4, 5, 6)), client)
    assert account.end == "finished"
    assert account.failed == ((3, "damaged"), (5, "torn"))
    assert account.painted == frozenset({1, 2, 4, 6})


def test_the_first_picture_may_fail_too(tmp_path: Path) -> None:
    account = painted(order_in(tmp_path, (1, 2)), ScriptedClient(tmp_path, {1: UnreadableMedia("damaged")}))
    assert (account.end, account.painted) == ("finished", frozenset({2}))


def test_a_failed_picture_is_found_behind_those_that_were_there(tmp_path: Path) -> None:
    for number in (1, 2, 4):
        (tmp_path / f"plate.{number:04}.exr").touch()
    account = painted(order_in(tmp_path, (1, 2, 3, 4)), ScriptedClient(tmp_path, {3: UnreadableMedia("damaged")}))
    assert account.failed == ((3, "damaged"),)
    assert account.painted == frozenset({1, 2, 4})


def test_material_of_which_everything_fails_ends_the_job(tmp_path: Path) -> None:
    numbers = tuple(range(1, 40))
    client = ScriptedClient(tmp_path, {number: UnreadableMedia(f"damaged {number}") for number in numbers})
    account = painted(order_in(tmp_path, numbers), client)
    assert account.end == "failed"
    assert len(client.jobs) == FAILURES + 1


def test_a_server_that_sees_another_size_is_not_believed(tmp_path: Path) -> None:
    account = painted(order_in(tmp_path, (1, 2)), ScriptedClient(tmp_path, size=(48, 64)))
    assert (account.end, account.sentence) == ("unlike", "the server sees 48x64 where Blender shows 64x48")
    assert not list(tmp_path.glob("*.exr"))


@pytest.mark.parametrize("error", [UnsupportedMedia("no such codec"), UsageError("expected frames within 1-9")])
def test_media_that_the_server_cannot_open_are_left_to_blender(tmp_path: Path, error: ImpastoError) -> None:
    account = painted(order_in(tmp_path, (1,), input="/m/a.mov"), ScriptedClient(tmp_path, at_once=error))
    assert (account.end, account.sentence) == ("unlike", str(error))


@pytest.mark.parametrize(
    "error", [NoSpace("full"), StyleError("broken"), UnknownName("style", "x", ["y"]), ServerUnreachable("gone")]
)
def test_what_is_no_fault_of_the_media_is_a_sentence(tmp_path: Path, error: ImpastoError) -> None:
    account = painted(order_in(tmp_path, (1,), input="/m/a.mov"), ScriptedClient(tmp_path, at_once=error))
    assert (account.end, account.sentence) == ("failed", str(error))


def test_a_fault_of_ours_is_a_sentence_too(tmp_path: Path) -> None:
    client = ScriptedClient(tmp_path)
    client.at_once = ZeroDivisionError("oh")  # type: ignore[assignment]
    account = painted(order_in(tmp_path, (1,)), client)
    assert account.end == "failed"
    assert account.sentence.startswith("impasto itself is at fault (ZeroDivisionError: oh)")


def test_cancelling_ends_it_and_tells_what_is_there(tmp_path: Path) -> None:
    stored = lambda: len(list(tmp_path.glob("*.exr"))) >= 2  # noqa: E731
    account = painted(order_in(tmp_path, (1, 2, 3, 4)), ScriptedClient(tmp_path), stored)
    assert (account.end, account.painted) == ("cancelled", frozenset({1, 2}))


def test_curves_go_along_with_the_frames_they_are_of(tmp_path: Path) -> None:
    look = Look("s", "", {"strength": 0.1}, {"strength": {1: 0.1, 2: 0.2, 4: 0.4}})
    client = ScriptedClient(tmp_path)
    painted(order_in(tmp_path, (1, 2, 4), look=look), client)
    assert [each.animated for each in client.jobs] == [
        animated_of({"strength": {1: 0.1, 2: 0.2}}),
        animated_of({"strength": {4: 0.4}}),
    ]


def test_without_a_server_the_connections_sentence_is_the_end(tmp_path: Path) -> None:
    painting = Painting(order_in(tmp_path, (1,)), ScriptedConnection(None, "absent", "no command"), lambda: False)
    painting.begin()
    assert painting.join(10.0)
    assert (painting.account.end, painting.account.sentence) == ("failed", "no command")


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    account = painted(order_in(tmp_path / "file" / "below", (1,)), ScriptedClient(tmp_path))
    assert account.end == "failed"
    assert "name another folder for frames" in account.sentence
