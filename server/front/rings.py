"""Rings on the front's side: made, offered, proven, and given back when nobody uses them any more."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future

from impasto.core.errors import InvalidRequest, NotPermitted, ServerBusy, ServerError
from impasto.server.front.background_work import Errands
from impasto.server.front.event_log import Journal
from impasto.server.front.outbox import Post, letter
from impasto.server.front.requests import Dispatch
from impasto.server.front.segments import Ring
from impasto.server.front.sessions import Session
from impasto.server.protocol.errors import facts_of
from impasto.server.protocol.messages import AttachRing, CloseRing, ErrorFacts, Failed, OpenRing, RingOffered, RingReady
from impasto.server.shared_memory import NoRoom, Segment, create_segment

INLINE = "send the samples in the message instead"


class RingDesk:
    """Takes `OpenRing`, `AttachRing` and `CloseRing`."""

    def __init__(
        self, dispatch: Dispatch, post: Post, errands: Errands, journal: Journal, number: Callable[[], int]
    ) -> None:
        self._dispatch = dispatch
        self._post = post
        self._errands = errands
        self._journal = journal
        self._number = number

    def open(self, session: Session, asked: OpenRing) -> None:
        """Make a segment, in a thread because its memory is allocated now, and offer it.

        Of a session one is made at a time; of several that are asked for meanwhile the newest is next, and the others
        are refused as busy.
        """
        session.require_work()
        if "ring" not in session.agreed.transports:
            raise NotPermitted(f"expected a client of the same machine to ask for a ring, got another; {INLINE}")
        if session.making is None:
            self._make(session, asked)
            return
        overtaken, session.wanted = session.wanted, asked
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
        if session.ring is not None:
            self._retire(session.ring)
        session.ring = ring
        self._post.put(session.control, letter(RingReady(asked.id, ring.number)))

    def close(self, session: Session, asked: CloseRing) -> None:
        """The client uses its ring no more."""
        if session.ring is not None and session.ring.number == asked.ring:
            self._retire(session.ring)
            session.ring = None
        elif session.offered is not None and session.offered.number == asked.ring:
            self._retire(session.offered)
            session.offered = None

    def leave(self, session: Session) -> None:
        """The session is over: its rings go as soon as no worker uses them."""
        for ring in (session.ring, session.offered):
            if ring is not None:
                self._retire(ring)
        session.ring = session.offered = None

    def let_go(self, ring: Ring) -> None:
        """Give the memory back, if the ring is out of use and no request is on it."""
        if ring.retired and not ring.busy:
            self._dispatch.hide(ring)
            ring.segment.close()

    def _make(self, session: Session, asked: OpenRing) -> None:
        session.making = asked

        def made(future: Future[Segment]) -> None:
            wanted = session.wanted
            session.making = session.wanted = None
            try:
                self._made(session, asked, future)
            finally:
                if wanted is not None and not session.closed:
                    self._make(session, wanted)

        self._errands.run(lambda: create_segment(asked.slot_bytes, asked.pairs), made)

    def _refuse(self, session: Session, asked: OpenRing, facts: ErrorFacts) -> None:
        self._journal.telemetry.count("rings_refused")
        self._journal.session("ring_refused", session, message=facts.message)
        if not session.closed:
            self._post.put(session.control, letter(Failed(asked.id, facts)))

    def _retire(self, ring: Ring) -> None:
        ring.retired = True
        self.let_go(ring)

    def _made(self, session: Session, asked: OpenRing, future: Future[Segment]) -> None:
        error = None if future.cancelled() else future.exception()
        if error is not None or future.cancelled():
            facts = (
                facts_of(ServerBusy(f"{error}; until then, {INLINE}"))
                if isinstance(error, NoRoom)
                else self._journal.facts_of_any(error if isinstance(error, Exception) else ServerError("closing"))
            )
            self._refuse(session, asked, facts)
            return
        segment = future.result()
        if session.closed:
            segment.close()
            return
        self._journal.telemetry.count("rings_opened")
        if session.offered is not None:
            self._retire(session.offered)
        ring = session.offered = Ring(self._number(), segment)
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
        self._post.put(session.control, letter(offer))
