"""A client that asks for rings in a loop has one made at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from impasto.server.front.event_log import Journal
from impasto.server.front.outbox import Channel, Post, Route
from impasto.server.front.rings import RingDesk
from impasto.server.front.sessions import Session, Sessions, Visitor
from impasto.server.front.telemetry import Log, Telemetry
from impasto.server.protocol.codec import FROM_SERVER, decode
from impasto.server.protocol.limits import Limits
from impasto.server.protocol.messages import Failed, Hello, OpenRing, RingOffered
from impasto.server.protocol.version import Offer, negotiate


class HeldErrands:
    """Errands that are run when the test says so."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Callable[[], Any], Callable[[Future[Any]], None]]] = []

    def run(self, errand: Callable[[], Any], then: Callable[[Future[Any]], None]) -> None:
        self.waiting.append((errand, then))

    def finish(self) -> None:
        errand, then = self.waiting.pop(0)
        future: Future[Any] = Future()
        future.set_result(errand())
        then(future)


class Desk:
    """A ring desk with one session, and what it answers."""

    def __init__(self, folder: Path) -> None:
        self.errands = HeldErrands()
        log = Log(folder / "events.log")
        post = Post(lambda route, parts, tracked: pytest.fail("nothing is sent here"))
        numbers = iter(range(1, 100))
        self.desk = RingDesk(
            None,  # type: ignore[arg-type]  # asked only for rings that a worker has seen
            post,
            self.errands,  # type: ignore[arg-type]  # stands for it
            Journal(log, Telemetry(), lambda: 0.0),
            lambda: next(numbers),
        )
        hello = Hello("test", 1, 1, 42)
        self.session: Session = Sessions(Limits()).admit(
            hello, Visitor(), Route(True, Channel.CONTROL, b"1"), negotiate(hello, Offer(local=True)), 0.0
        )

    def ask(self, name: str) -> None:
        self.desk.open(self.session, OpenRing(name.encode() * 16, 4096, 1))

    def answers(self) -> list[tuple[type, str]]:
        heard = [decode(letter.parts, FROM_SERVER)[0] for letter in self.session.control.waiting]
        self.session.control.waiting.clear()
        return [(type(each), each.id[:1].decode()) for each in heard]  # type: ignore[union-attr]  # both have ids


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    if made.session.offered is not None:
        made.session.offered.segment.close()


def test_of_many_rings_that_are_asked_for_one_is_made_at_a_time_and_the_newest_is_next(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk.desk, "let_go", lambda ring: ring.segment.close())
    for name in "abcde":
        desk.ask(name)
        assert len(desk.errands.waiting) == 1
    assert desk.answers() == [(Failed, "b"), (Failed, "c"), (Failed, "d")]
    desk.errands.finish()
    assert desk.answers() == [(RingOffered, "a")]
    desk.errands.finish()
    assert desk.answers() == [(RingOffered, "e")]
    assert desk.errands.waiting == []


def test_a_client_that_left_has_no_more_rings_made(desk: Desk) -> None:
    desk.ask("a")
    desk.ask("b")
    desk.session.closed = True
    desk.errands.finish()
    assert (desk.errands.waiting, desk.answers()) == ([], [])
