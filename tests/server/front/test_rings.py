"""A client that asks for rings in a loop has one made at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from impasto.server.front.access import Identity
from impasto.server.front.counters import Counters
from impasto.server.front.event_log import EventLog, LogFile
from impasto.server.front.outbox import Channel, Outbox, PeerAddress
from impasto.server.front.rings import RingHandlers
from impasto.server.front.sessions import Session, Sessions
from impasto.server.protocol.codec import FROM_SERVER, decode
from impasto.server.protocol.limits import Limits
from impasto.server.protocol.messages import Failed, Hello, OpenRing, RingOffered
from impasto.server.protocol.version import Offer, negotiate


class HeldWork:
    """Background work that is run when the test says so."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Callable[[], Any], Callable[[Future[Any]], None]]] = []

    def run(self, work: Callable[[], Any], then: Callable[[Future[Any]], None]) -> None:
        self.waiting.append((work, then))

    def finish(self) -> None:
        work, then = self.waiting.pop(0)
        future: Future[Any] = Future()
        future.set_result(work())
        then(future)


class Rings:
    """The handlers of rings with one session, and their answers."""

    def __init__(self, folder: Path) -> None:
        self.background = HeldWork()
        self.log = LogFile(folder / "events.log")
        outbox = Outbox(lambda to, parts, tracked: pytest.fail("nothing is sent here"))
        numbers = iter(range(1, 100))
        self.handlers = RingHandlers(
            None,  # type: ignore[arg-type]  # asked only for rings that a worker has seen
            outbox,
            self.background,  # type: ignore[arg-type]  # stands for it
            EventLog(self.log, Counters(), lambda: 0.0),
            lambda: next(numbers),
        )
        hello = Hello("test", 1, 1, 42)
        self.session: Session = Sessions(Limits()).admit(
            hello, Identity(), PeerAddress(True, Channel.CONTROL, b"1"), negotiate(hello, Offer(local=True)), 0.0
        )

    def ask(self, name: str) -> None:
        self.handlers.open(self.session, OpenRing(name.encode() * 16, 4096, 1))

    def answers(self) -> list[tuple[type, str]]:
        heard = [decode(message.parts, FROM_SERVER)[0] for message in self.session.control.waiting]
        self.session.control.waiting.clear()
        return [(type(each), each.id[:1].decode()) for each in heard]  # type: ignore[union-attr]  # both have ids


@pytest.fixture
def rings(tmp_path: Path) -> Iterator[Rings]:
    made = Rings(tmp_path)
    yield made
    made.log.close()
    if made.session.offered is not None:
        made.session.offered.segment.close()


def test_of_many_rings_that_are_asked_for_one_is_made_at_a_time_and_the_newest_is_next(
    rings: Rings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("impasto.server.front.rings.close_unused", lambda ring, workers: ring.segment.close())
    for name in "abcde":
        rings.ask(name)
        assert len(rings.background.waiting) == 1
    assert rings.answers() == [(Failed, "b"), (Failed, "c"), (Failed, "d")]
    rings.background.finish()
    assert rings.answers() == [(RingOffered, "a")]
    rings.background.finish()
    assert rings.answers() == [(RingOffered, "e")]
    assert rings.background.waiting == []


def test_a_client_that_left_has_no_more_rings_made(rings: Rings) -> None:
    rings.ask("a")
    rings.ask("b")
    rings.session.closed = True
    rings.background.finish()
    assert (rings.background.waiting, rings.answers()) == ([], [])
