"""The beginning and the end of a session: `Hello`, `Join`, `Goodbye`, and sessions that the server closes itself."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from impasto.core.errors import InvalidRequest, ServerBusy
from impasto.server.front.access import Identity
from impasto.server.front.event_log import EventLog
from impasto.server.front.outbox import Outbox, PeerAddress, outgoing
from impasto.server.front.requests import Requests
from impasto.server.front.rings import RingHandlers
from impasto.server.front.sessions import Session, Sessions
from impasto.server.processes import has_ended
from impasto.server.protocol.compression import encodings_here
from impasto.server.protocol.limits import Limits
from impasto.server.protocol.messages import Goodbye, Hello, Join, Joined, ParameterFacts, Welcome
from impasto.server.protocol.version import Offer, negotiate
from impasto.server.scheduler import events as plan


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """What clients are told of the server itself."""

    server: str
    boot: bytes
    pid: int
    endpoints: tuple[str, ...]
    limits: Limits
    parameters: tuple[ParameterFacts, ...]
    before: tuple[ParameterFacts, ...]
    after: tuple[ParameterFacts, ...]
    encodings: tuple[str, ...]


def server_info(server: str, boot: bytes, endpoints: tuple[str, ...], limits: Limits) -> ServerInfo:
    """This installation, as a welcome describes it."""
    from impasto.core.grade_settings import AFTER_CONTROLS, BEFORE_CONTROLS
    from impasto.core.params import PARAMETERS

    def facts(controls: Sequence[Any]) -> tuple[ParameterFacts, ...]:
        return tuple(
            ParameterFacts(each.name, each.minimum, each.maximum, each.default, each.help) for each in controls
        )

    parameters, before, after = facts(PARAMETERS), facts(BEFORE_CONTROLS), facts(AFTER_CONTROLS)
    return ServerInfo(server, boot, os.getpid(), endpoints, limits, parameters, before, after, encodings_here())


class SessionHandlers:
    """Opens, resumes and closes sessions."""

    def __init__(
        self,
        info: ServerInfo,
        sessions: Sessions,
        requests: Requests,
        rings: RingHandlers,
        outbox: Outbox,
        event_log: EventLog,
    ) -> None:
        self._info = info
        self._sessions = sessions
        self._requests = requests
        self._rings = rings
        self._outbox = outbox
        self._event_log = event_log
        self.draining = False
        """No new sessions are opened."""

    def hello(self, sender: PeerAddress, identity: Identity, hello: Hello, now: float) -> None:
        """Open a session, or resume one, and welcome the client."""
        self._sessions.check_rate(now)
        agreed = negotiate(hello, Offer(sender.local, self._info.encodings, self._info.limits))
        resumed = self._sessions.resume(hello, identity, sender, agreed, now) if hello.resume else None
        replaced = self._sessions.replaced(hello, identity, sender)
        if replaced is not None and replaced is not resumed:
            self.close(replaced, "the client came back without it")
        if resumed is None and self.draining:
            raise ServerBusy("expected a server that stays, this one is shutting down; start another one")
        session = resumed or self._sessions.admit(hello, identity, sender, agreed, now)
        if resumed is None:
            self._requests.schedule(plan.SessionOpened(session.token, session.user, agreed.lane))
        self._event_log.counters.count("sessions_opened" if resumed is None else "sessions_resumed")
        self._event_log.session("session_resumed" if resumed else "session_opened", session)
        # Before everything that waited for the client while it was away.
        self._outbox.put_first(session.control, outgoing(self._welcome(session, resumed=resumed is not None)))

    def join(self, session: Session | None, sender: PeerAddress, identity: Identity, join: Join, now: float) -> None:
        """Bind a data connection to its session."""
        if session is not None and session.token != join.session:
            raise InvalidRequest("expected one session on a connection, got a second one; connect again for it")
        session = self._sessions.join(join.session, identity, sender, now)
        self._outbox.put_first(session.data, outgoing(Joined()))

    def goodbye(self, session: Session, _: Goodbye) -> None:
        """The client leaves."""
        self.close(session, "said goodbye")

    def close(self, session: Session, why: str, *, lost: bool = False) -> None:
        """End a session: what it queued is dropped, what runs for it is stopped, its ring is closed.

        `lost` counts it as a session that ended without the client's will.
        """
        if session.closed:
            return
        if lost:
            self._event_log.counters.count("sessions_lost")
        self._sessions.remove(session)
        for queue in session.queues():
            self._outbox.forget(queue)
        self._event_log.session("session_over", session, why=why)
        self._requests.schedule(plan.SessionClosed(session.token))
        self._rings.close_all(session)

    def close_if_dead(self, session: Session) -> None:
        """Close the session of a client of this machine whose process has ended: it cannot come back."""
        if session.local and has_ended(session.hello.pid):
            self.close(session, "its process ended", lost=True)

    def _welcome(self, session: Session, *, resumed: bool) -> Welcome:
        info, agreed = self._info, session.agreed
        return Welcome(
            server=info.server,
            major=agreed.major,
            minor=agreed.minor,
            boot=info.boot,
            session=session.token,
            pid=info.pid,
            lease_s=agreed.lease_s,
            heartbeat_s=agreed.heartbeat_s,
            credit_frames=agreed.credit_frames,
            credit_bytes=agreed.credit_bytes,
            transports=agreed.transports,
            encodings=agreed.encodings,
            devices=tuple(facts.device for facts in self._requests.workers.facts()),
            parameters=info.parameters,
            before=info.before,
            after=info.after,
            pixels=info.limits.pixels,
            raw_bytes=info.limits.raw_bytes,
            resumed=resumed,
        )
