"""Who is connected: sessions with their leases, their two lines, and the answers that are kept for whoever asks again.

A session outlives its connections. A client whose connection broke says `Hello` again and names the session; what was
under way for it goes on, and what was said meanwhile is waiting. A session ends with `Goodbye`, with the death of its
process, or when it was silent for as long as its lease.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from impasto.core.errors import InvalidRequest, NotPermitted, ServerBusy
from impasto.server.front.outbox import Line, Route
from impasto.server.front.segments import Ring
from impasto.server.protocol.limits import Limits
from impasto.server.protocol.messages import Hello, OpenRing, Slot, Terminal
from impasto.server.protocol.version import Agreement

CONTROL_BYTES: Final = 16 << 20
"""Of control messages that may wait for a client: previews and lists, never pixels."""
RECALLED: Final = 64
"""Requests of a session that were taken back before they came and are still awaited."""
HELLOS_PER_S: Final = 200.0
HELLOS_AT_ONCE: Final = 100.0


@dataclass(frozen=True, slots=True)
class Visitor:
    """Whom a connection belongs to, as far as that is proven."""

    key: str = ""
    """The name of the CURVE key; empty on the local socket, where everybody is the same user."""
    admin: bool = True
    """Whether they may end the server."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A terminal answer that may be asked for again."""

    digest: bytes
    answer: Terminal
    at_s: float
    slot: Slot | None = None
    """Where the pixels of a `Done` are."""


class Answers:
    """The last terminal answers of a session, bounded in number and age."""

    def __init__(self, most: int, age_s: float) -> None:
        self._most = most
        self._age_s = age_s
        self._kept: OrderedDict[bytes, Kept] = OrderedDict()

    def keep(self, id: bytes, kept: Kept) -> None:
        """Remember an answer; the oldest ones make room."""
        self._kept[id] = kept
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)

    def find(self, id: bytes, now: float) -> Kept | None:
        """The answer to this request, unless it is too old."""
        while self._kept and now - next(iter(self._kept.values())).at_s > self._age_s:
            self._kept.popitem(last=False)
        return self._kept.get(id)


@dataclass(slots=True, eq=False)
class Session:
    """One client, from its first `Hello` on."""

    token: bytes
    hello: Hello
    visitor: Visitor
    local: bool
    agreed: Agreement
    control: Line
    data: Line
    answers: Answers
    heard_s: float
    live: set[bytes] = field(default_factory=set)
    """Requests and jobs under way."""
    ring: Ring | None = None
    offered: Ring | None = None
    """A ring whose mapping is not proven yet."""
    making: OpenRing | None = None
    """Which ring is being made now; one at a time, so that a client does not keep the others' memory waiting."""
    wanted: OpenRing | None = None
    """Which is to be made next."""
    closed: bool = False
    recalled: dict[bytes, None] = field(default_factory=dict)
    """Requests that were taken back before they came, the oldest first: control does not wait behind pixels."""

    @property
    def user(self) -> str:
        """Who is served fairly and shown in the status."""
        return self.visitor.key or self.hello.user or "local"

    def require_work(self) -> None:
        """Raise InvalidRequest for a client that said it would have nothing rendered."""
        if self.hello.control_only:
            raise InvalidRequest(
                "expected nothing to render of a client that said Hello with control_only; connect without it"
            )

    def recall(self, id: bytes) -> None:
        """Remember that a request which is not here yet was taken back."""
        self.recalled[id] = None
        if len(self.recalled) > RECALLED:
            del self.recalled[next(iter(self.recalled))]

    def lines(self) -> tuple[Line, Line]:
        """Control and data."""
        return self.control, self.data


class Sessions:
    """Every session, by its token and by its routes."""

    def __init__(self, limits: Limits, has_room: Callable[[], bool] = lambda: True) -> None:
        """`has_room` says whether the process can bear another client."""
        self._limits = limits
        self._has_room = has_room
        self._by_token: dict[bytes, Session] = {}
        self._by_route: dict[Route, Session] = {}
        self._tokens = HELLOS_AT_ONCE
        self._counted_s = 0.0

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._by_token.values()))

    def __len__(self) -> int:
        return len(self._by_token)

    def at(self, route: Route) -> Session | None:
        """The session that this connection belongs to."""
        return self._by_route.get(route)

    def of(self, token: bytes) -> Session | None:
        """The session of this token."""
        return self._by_token.get(token)

    def admit(self, hello: Hello, visitor: Visitor, route: Route, agreed: Agreement, now: float) -> Session:
        """A new session for a client that said hello. Raises ServerBusy where there is no room for it."""
        self._check_room(hello, visitor)
        session = Session(
            secrets.token_bytes(16),
            hello,
            visitor,
            route.local,
            agreed,
            Line(CONTROL_BYTES),
            Line(2 * agreed.credit_bytes),
            Answers(self._limits.replay_answers, self._limits.replay_s),
            now,
        )
        self._by_token[session.token] = session
        self._bind(session, session.control, route)
        return session

    def replaced(self, hello: Hello, visitor: Visitor, route: Route) -> Session | None:
        """The session that a hello comes in the place of; None where there is none of theirs."""
        return self._own(hello.replaces, visitor, route)

    def resume(self, hello: Hello, visitor: Visitor, route: Route, agreed: Agreement, now: float) -> Session | None:
        """The session that a hello asks to go on with, on its new connection; None where there is none for them."""
        session = self._own(hello.resume, visitor, route)
        if session is None or session.agreed != agreed or session.hello.control_only != hello.control_only:
            return None  # another program, or a newer one, or one that came in by the door for those who ask
        session.hello = hello
        session.heard_s = now
        self._bind(session, session.control, route)
        # Whoever says hello again has lost both lines; what is said before they join again would go into the old one.
        self.unbind(session, session.data)
        return session

    def join(self, token: bytes, visitor: Visitor, route: Route, now: float) -> Session:
        """Bind a data connection to its session. InvalidRequest for an unknown one, NotPermitted for another's."""
        session = self._by_token.get(token)
        if session is None:
            raise InvalidRequest("expected the session of a welcome, got one that is not there (any more); say Hello")
        if session.local != route.local or session.visitor.key != visitor.key:
            raise NotPermitted("expected the client that was given this session, got another one; say Hello")
        session.heard_s = now
        self._bind(session, session.data, route)
        return session

    def of_line(self, line: Line) -> Session | None:
        """The session that a line belongs to."""
        return next((session for session in self._by_token.values() if line in session.lines()), None)

    def unbind(self, session: Session, line: Line) -> None:
        """The peer of a line is gone; its letters wait for the next."""
        if line.route is not None:
            self._by_route.pop(line.route, None)
            line.route = None

    def remove(self, session: Session) -> None:
        """Forget a session; whoever holds it sees that it is closed."""
        session.closed = True
        for line in session.lines():
            self.unbind(session, line)
        self._by_token.pop(session.token, None)

    def expired(self, now: float) -> list[Session]:
        """Those that were silent for longer than their lease."""
        return [session for session in self if now - session.heard_s > session.agreed.lease_s]

    def forgive(self, seconds: float) -> None:
        """The server itself was stopped or asleep for so long: nobody else was silent."""
        for session in self:
            session.heard_s += seconds

    def check_rate(self, now: float) -> None:
        """Count a hello. Raises ServerBusy beyond `HELLOS_PER_S`, so that a storm of them does not stop the pixels."""
        self._tokens = min(HELLOS_AT_ONCE, self._tokens + (now - self._counted_s) * HELLOS_PER_S)
        self._counted_s = now
        if self._tokens < 1:
            raise ServerBusy(f"expected at most {HELLOS_PER_S:.0f} connections a second, there are more; wait a moment")
        self._tokens -= 1

    def _own(self, token: bytes | None, visitor: Visitor, route: Route) -> Session | None:
        """The session of this token, if it is of the same machine and key as whoever names it."""
        session = self._by_token.get(token or b"")
        if session is None or session.local != route.local or session.visitor.key != visitor.key:
            return None
        return session

    def _bind(self, session: Session, line: Line, route: Route) -> None:
        self.unbind(session, line)
        line.route = route
        self._by_route[route] = session

    def _check_room(self, hello: Hello, visitor: Visitor) -> None:
        kept, few = self._limits.sessions_kept, sum(session.hello.control_only for session in self)
        # A client that only asks or ends the server comes in though others leave no room, but not without bound.
        room = self._limits.sessions + (kept if hello.control_only else min(few, kept))
        if len(self) >= room:
            raise ServerBusy(
                f"expected at most {self._limits.sessions} clients at once, there are as many; close one, or wait"
            )
        if not (hello.control_only or self._has_room()):
            raise ServerBusy("expected a free file number for another client, all are in use; close a client, or wait")
        # On the local socket everybody is the user whose machine this is.
        theirs = sum(session.visitor.key == visitor.key for session in self) if visitor.key else 0
        if theirs >= self._limits.sessions_per_user + hello.control_only:
            raise ServerBusy(
                f"expected at most {self._limits.sessions_per_user} clients of '{visitor.key}' at once, there are as "
                f"many; close one, or wait"
            )
