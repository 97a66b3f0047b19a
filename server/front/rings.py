"""Rings on the front's side: made, offered, proven, and closed when nobody uses them any more."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future

from impasto.core.errors import InvalidRequest, NotPermitted, ServerBusy
from impasto.server.front.event_log import EventLog
from impasto.server.front.outbox import Outbox, outgoing
from impasto.server.front.segments import SessionRing
from impasto.server.front.sessions import Session
from impasto.server.front.wakeups import BackgroundWork
from impasto.server.front.workers import Workers
from impasto.server.protocol.errors import facts_of
from impasto.server.protocol.messages import AttachRing, CloseRing, ErrorFacts, Failed, OpenRing, RingOffered, RingReady
from impasto.server.shared_memory import NoRoom, Segment, create_segment

INLINE = "send the samples in the message instead"


class RingHandlers:
    """Handles `OpenRing`, `AttachRing` and `CloseRing`."""

    def __init__(
        self,
        workers: Workers,
        outbox: Outbox,
        background: BackgroundWork,
        event_log: EventLog,
        number: Callable[[], int],
    ) -> None:
        """`number` gives each ring a number of its own."""
        self._workers = workers
        self._outbox = outbox
        self._background = background
        self._event_log = event_log
        self._number = number

    def open(self, session: Session, asked: OpenRing) -> None:
        """Make a segment, in a thread because its memory is allocated now, and offer it.

        Of a session one is made at a time. Of several that are asked for meanwhile the newest is next, and the others
        are refused as busy.
        """
        session.require_work()
        if "ring" not in session.agreed.transports:
            raise NotPermitted(f"expected a client of the same machine to ask for a ring, got another; {INLINE}")
        if session.making is None:
            self._make(session, asked)
            return
        overtaken, session.next_ring = session.next_ring, asked
        if overtaken is not None:
            self._refuse(session, overtaken, facts_of(ServerBusy(f"a newer request for a ring came; {INLINE}")))

    def attach(self, session: Session, asked: AttachRing) -> None:
        """Take the ring into use once its client has shown what is in it. Raises InvalidRequest for any other."""
        ring = session.offered
        if ring is None or ring.number != asked.ring:
            raise InvalidRequest(f"expected the ring that was offered last, got {asked.ring}; send OpenRing first")
        session.offered = None
        ring.segment.unlink()
        if not ring.proves(asked.nonce):
            self._retire(ring)
            raise InvalidRequest(
                f"expected the nonce of ring {ring.number}, got another; the path that was offered shows this program "
                f"other memory (in a container, for instance): {INLINE}"
            )
        ring.ready = True
        self._retire(session.ring)
        session.ring = ring
        self._outbox.put(session.control, outgoing(RingReady(asked.id, ring.number)))

    def close(self, session: Session, asked: CloseRing) -> None:
        """The client uses its ring no more."""
        if session.ring is not None and session.ring.number == asked.ring:
            self._retire(session.ring)
            session.ring = None
        elif session.offered is not None and session.offered.number == asked.ring:
            self._retire(session.offered)
            session.offered = None

    def close_all(self, session: Session) -> None:
        """The session is over: its rings are closed as soon as no worker uses them."""
        self._retire(session.ring)
        self._retire(session.offered)
        session.ring = session.offered = None

    def _make(self, session: Session, asked: OpenRing) -> None:
        session.making = asked

        def made(future: Future[Segment]) -> None:
            following = session.next_ring
            session.making = session.next_ring = None
            try:
                self._offer(session, asked, future)
            finally:
                if following is not None and not session.closed:
                    self._make(session, following)

        self._background.run(lambda: create_segment(asked.slot_bytes, asked.pairs), made)

    def _refuse(self, session: Session, asked: OpenRing, facts: ErrorFacts) -> None:
        self._event_log.counters.count("rings_refused")
        self._event_log.session("ring_refused", session, message=facts.message)
        if not session.closed:
            self._outbox.put(session.control, outgoing(Failed(asked.id, facts)))

    def _retire(self, ring: SessionRing | None) -> None:
        if ring is not None:
            ring.retired = True
            close_unused(ring, self._workers)

    def _offer(self, session: Session, asked: OpenRing, future: Future[Segment]) -> None:
        try:
            segment = future.result()
        except NoRoom as error:
            self._refuse(session, asked, facts_of(ServerBusy(f"{error}; until then, {INLINE}")))
            return
        except Exception as error:  # noqa: BLE001  # the client is answered, whatever it was
            self._refuse(session, asked, self._event_log.error_facts(error))
            return
        if session.closed:
            segment.close()
            return
        self._event_log.counters.count("rings_opened")
        self._retire(session.offered)
        ring = session.offered = SessionRing(self._number(), segment)
        offer = RingOffered(
            asked.id,
            ring.number,
            segment.path,
            segment.segment_bytes,
            segment.slot_bytes,
            segment.pairs,
            segment.first_slot,
            segment.nonce_offset,
        )
        self._outbox.put(session.control, outgoing(offer))


def close_unused(ring: SessionRing, workers: Workers) -> None:
    """Give the memory back, if the ring is out of use and no request is on it."""
    if ring.retired and not ring.busy:
        workers.unmap_segment(ring)
        ring.segment.close()
