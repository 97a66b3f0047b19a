"""A shot over several servers: what is asked of the next one, and how its frames are counted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from impasto.core.errors import ServerBusy, ServerUnreachable
from impasto.server.client import shots
from impasto.server.client.futures import ShotFuture, ShotFutureEvent
from impasto.server.client.shots import follow_shot
from impasto.server.protocol.errors import facts_of
from impasto.server.protocol.messages import (
    Failed,
    RenderSettings,
    ShotDone,
    ShotJob,
    ShotProgress,
    ShotStarted,
    StoredFrame,
    SubmitShot,
)

ID = b"i" * 16
LOST = ServerUnreachable("expected the server to live, it died")


def begun(output: str, frames: int, skipped: int = 0) -> ShotStarted:
    return ShotStarted(ID, output, 1, frames, skipped, 48, 32, 24.0)


def stored(*numbers: int) -> ShotProgress:
    return ShotProgress(ID, tuple(StoredFrame(number, "o", done, 0) for done, number in enumerate(numbers, start=1)))


def done(rendered: int, skipped: int = 0) -> ShotDone:
    return ShotDone(ID, "o", rendered, skipped, 0, 1.0)


class Servers:
    """One after the other, each with its events and its end."""

    def __init__(
        self, *lives: tuple[Sequence[ShotFutureEvent], ShotDone | Exception], one_session: bool = False
    ) -> None:
        self.lives = list(lives)
        self.asked: list[SubmitShot] = []
        self.events: list[type] = []
        self.sessions = [0] * 9 if one_session else list(range(9))

    def post(self, request_for: Callable[[Any], SubmitShot]) -> ShotFuture:
        request = request_for(SimpleNamespace(session=self.session_of(len(self.asked))))
        self.asked.append(request)
        events, ending = self.lives.pop(0)
        future = ShotFuture(request.id, lambda id: None)
        for event in events:
            future.add_event(event)
        if isinstance(ending, Exception):
            future.set_exception(ending)
        else:
            future.set_result(ending)
        future.add_event(None)
        return future

    def session_of(self, life: int) -> bytes:
        return bytes([self.sessions[life]]) * 16

    def follow(self, *, overwrite: bool = False, retries: int = 1) -> tuple[ShotDone, list[StoredFrame]]:
        stored_frames: list[StoredFrame] = []

        def on_event(event: ShotFutureEvent) -> None:
            self.events.append(type(event))
            if isinstance(event, ShotProgress):
                stored_frames.extend(event.stored)

        request = SubmitShot(ID, ShotJob(RenderSettings("identity"), "/in/p.####.exr", "/out", overwrite=overwrite))
        return follow_shot(self.post, request, on_event, lambda: False, retries), stored_frames


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_sequence_is_resumed_and_its_frames_counted_over_all_servers(overwrite: bool) -> None:
    servers = Servers(
        ([begun("/out/o.####.exr", 5), stored(1, 2)], LOST),
        ([begun("/out/o.####.exr", 3, 2), stored(3, 4, 5)], done(3, 2)),
    )
    result, stored_frames = servers.follow(overwrite=overwrite)
    assert (servers.asked[1].job.resume, servers.asked[1].job.overwrite) == (True, False)
    assert (result.rendered, result.skipped) == (5, 0)
    assert [frame.done for frame in stored_frames] == [1, 2, 3, 4, 5]


def test_a_movie_begins_again_over_what_the_dead_server_left() -> None:
    servers = Servers(
        ([begun("/out/o.mp4", 3), stored(1, 2)], LOST), ([begun("/out/o.mp4", 3), stored(1, 2, 3)], done(3))
    )
    result, stored_frames = servers.follow()
    assert (servers.asked[1].job.resume, servers.asked[1].job.overwrite) == (False, True)
    assert (result.rendered, [frame.done for frame in stored_frames]) == (3, [1, 2, 1, 2, 3])


def test_a_shot_that_was_never_begun_is_sent_unchanged() -> None:
    servers = Servers(([], LOST), ([begun("/out/o.####.exr", 1), stored(1)], done(1)))
    servers.follow()
    assert servers.asked[1] == servers.asked[0]


def test_frames_in_between_give_a_sequence_another_chance() -> None:
    lives = [([begun("/out/o.####.exr", 9), stored(number)], LOST) for number in range(1, 4)]
    result, _ = Servers(*lives, ([stored(4)], done(1, 3))).follow()
    assert result.rendered == 4


def test_a_movie_that_ends_every_server_is_given_up() -> None:
    lives = [([begun("/out/o.mp4", 9), stored(1, 2)], LOST) for _ in range(3)]
    servers = Servers(*lives)
    with pytest.raises(ServerUnreachable):
        servers.follow()
    assert len(servers.asked) == 2


def test_the_server_that_has_the_shot_gets_the_same_request_and_nothing_is_counted_twice() -> None:
    servers = Servers(([begun("/out/f.####.exr", 4), stored(1, 2)], LOST), ([stored(3, 4)], done(4)), one_session=True)
    ended, stored_frames = servers.follow()
    assert servers.asked[0] == servers.asked[1]
    assert (ended.rendered, ended.skipped, [each.number for each in stored_frames]) == (4, 0, [1, 2, 3, 4])


def busy() -> tuple[list[ShotFutureEvent], ServerBusy]:
    error = ServerBusy("expected an id of the client's own; a request of this id is being stopped, wait")
    return [Failed(ID, facts_of(error))], error


def test_a_shot_that_its_own_last_session_still_holds_is_waited_for() -> None:
    servers = Servers(
        ([begun("/out/o.####.exr", 5), stored(1, 2)], LOST),
        busy(),
        busy(),
        ([begun("/out/o.####.exr", 3, 2), stored(3, 4, 5)], done(3, 2)),
    )
    servers.sessions = [0, 1, 1, 1]
    result, stored_frames = servers.follow()
    assert (result.rendered, result.skipped, [frame.done for frame in stored_frames]) == (5, 0, [1, 2, 3, 4, 5])
    assert servers.asked[1] == servers.asked[2] == servers.asked[3]
    assert servers.events == [ShotStarted, ShotProgress, ShotStarted, ShotProgress]


def test_a_shot_that_its_last_session_never_frees_fails_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shots, "HANDOVER_S", 0.0)
    servers = Servers(([begun("/out/o.####.exr", 5)], LOST), busy())
    with pytest.raises(ServerBusy):
        servers.follow()
    assert servers.events == [ShotStarted, Failed]


def test_a_server_without_room_is_reported_at_once() -> None:
    servers = Servers(busy())
    with pytest.raises(ServerBusy):
        servers.follow()
    assert servers.events == [Failed]
