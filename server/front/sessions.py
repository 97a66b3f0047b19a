"""Sessions: every connected client with its lease, its two outgoing queues, and the answers kept for a second question.

A session outlives its connections. A client whose connection broke says `Hello` again and names the session; the work
under way for it goes on, and the messages of the meantime wait. A session ends with `Goodbye`, with the death of its
process, or after a silence as long as its lease.
"""

from __future__ import annotations

import itertools
import secrets
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from impasto.core.errors import InvalidRequest, NotPermitted, ServerBusy
from impasto.server.front.access import Identity
from impasto.server.front.outbox import OutgoingQueue, PeerAddress, SendTracker
from impasto.server.front.segments import SessionRing
from impasto.server.protocol.limits import Limits
from impasto.server.protocol.messages import Hello, OpenRing, Slot, Terminal
from impasto.server.protocol.version import Agreement

CONTROL_BYTES: Final = 16 << 20
"""Of control messages that may wait for a client: previews and lists, never pixels."""
EARLY_CANCELS: Final = 64
"""Requests of a session that were cancelled before they came, and are still expected."""
GRACE_S: Final = 0.25
"""For how long an answer that has left counts as taken although its memory may still be read."""
HELLOS_PER_S: Final = 200.0
HELLOS_AT_ONCE: Final = 100.0


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """A terminal answer that may be asked for again."""

    digest: bytes
    answer: Terminal
    at_s: float
    slot: Slot | None = None
    """Where the pixels of a `Done` are."""


class AnswerCache:
    """The last terminal answers of a session, bounded in number and age."""

    def __init__(self, most: int, age_s: float) -> None:
        self._most = most
        self._age_s = age_s
        self._stored: OrderedDict[bytes, StoredAnswer] = OrderedDict()

    def keep(self, id: bytes, stored: StoredAnswer) -> None:
        """Store an answer; the oldest ones make room."""
        self._stored[id] = stored
        while len(self._stored) > self._most:
            self._stored.popitem(last=False)

    def find(self, id: bytes, now: float) -> StoredAnswer | None:
        """The answer to this request, unless it is too old."""
        while self._stored and now - next(iter(self._stored.values())).at_s > self._age_s:
            self._stored.popitem(last=False)
        return self._stored.get(id)


@dataclass(slots=True, eq=False)
class Untaken:
    """An answer with samples that the client may not have read yet. Its memory is the server's until it is taken."""

    bytes: int
    sent_s: float | None = None
    tracker: SendTracker | None = None

    def sent(self, tracker: SendTracker | None, now: float) -> None:
        """ZeroMQ has the message, and reads its memory until the tracker says done."""
        self.sent_s, self.tracker = now, tracker

    @property
    def taken(self) -> bool:
        """Whether nothing of it waits any more."""
        return self.sent_s is not None and (self.tracker is None or self.tracker.done)


class UntakenAnswers:
    """The answers of a session that its client has not taken: together with what is under way they count as credit."""

    def __init__(self, most_frames: int, most_bytes: int) -> None:
        self._most_frames, self._most_bytes = most_frames, most_bytes
        self._answers: list[Untaken] = []

    def add(self, answer: Untaken) -> None:
        """Count an answer from now on."""
        self._answers.append(answer)

    def has_room(self, frames: int, held_bytes: int, more_bytes: int, now: float) -> bool:
        """Whether one more frame may come beside those under way.

        What left just now counts as taken, because its reader may ask for the next before its memory is known to be
        read. Twice the credit is never exceeded.
        """
        self._answers = [each for each in self._answers if not each.taken]
        late = [each for each in self._answers if each.sent_s is None or now - each.sent_s > GRACE_S]
        return all(
            not waiting  # the scheduler refuses what is too much without them
            or (
                frames + len(waiting) < times * self._most_frames
                and held_bytes + sum(each.bytes for each in waiting) + more_bytes <= times * self._most_bytes
            )
            for times, waiting in ((1, late), (2, self._answers))
        )


@dataclass(slots=True, eq=False)
class Session:
    """One client, from its first `Hello` on."""

    token: bytes
    number: int
    """Counted from 1; others name the session by it, as its token is the client's own secret."""
    hello: Hello
    identity: Identity
    local: bool
    agreed: Agreement
    control: OutgoingQueue
    data: OutgoingQueue
    answers: AnswerCache
    untaken: UntakenAnswers
    last_seen_s: float
    ring: SessionRing | None = None
    offered: SessionRing | None = None
    """A ring whose mapping is not proven yet."""
    making: OpenRing | None = None
    """The ring that is being made; one at a time, so that one client does not delay the rings of others."""
    next_ring: OpenRing | None = None
    """The ring to be made next."""
    closed: bool = False
    early_cancels: dict[bytes, None] = field(default_factory=dict)
    """Requests that were cancelled before they came, the oldest first: control does not wait behind pixels."""

    @property
    def user(self) -> str:
        """The user, for fairness among users and for the status."""
        return self.identity.key or self.hello.user or "local"

    def require_work(self) -> None:
        """Raise InvalidRequest for a client that said it would have nothing rendered."""
        if self.hello.control_only:
            raise InvalidRequest(
                "expected nothing to render of a client that said Hello with control_only; connect without it"
            )

    def cancel_early(self, id: bytes) -> None:
        """Note that a request was cancelled that has not come yet."""
        self.early_cancels[id] = None
        if len(self.early_cancels) > EARLY_CANCELS:
            del self.early_cancels[next(iter(self.early_cancels))]

    def queues(self) -> tuple[OutgoingQueue, OutgoingQueue]:
        """Control and data."""
        return self.control, self.data


class Sessions:
    """Every session, by its token and by the addresses of its connections."""

    def __init__(self, limits: Limits, has_room: Callable[[], bool] = lambda: True) -> None:
        """`has_room` says whether the process has resources for another client."""
        self._limits = limits
        self._has_room = has_room
        self._by_token: dict[bytes, Session] = {}
        self._by_address: dict[PeerAddress, Session] = {}
        self._number = itertools.count(1).__next__
        self._tokens = HELLOS_AT_ONCE
        self._counted_s = 0.0

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._by_token.values()))

    def __len__(self) -> int:
        return len(self._by_token)

    def at(self, address: PeerAddress) -> Session | None:
        """The session that this connection belongs to."""
        return self._by_address.get(address)

    def of(self, token: bytes) -> Session | None:
        """The session of this token."""
        return self._by_token.get(token)

    def numbered(self, number: int) -> Session | None:
        """The session of this number."""
        return next((session for session in self._by_token.values() if session.number == number), None)

    def admit(self, hello: Hello, identity: Identity, address: PeerAddress, agreed: Agreement, now: float) -> Session:
        """A new session for a client that said hello. Raises ServerBusy where there is no room for it."""
        self._check_room(hello, identity)
        session = Session(
            secrets.token_bytes(16),
            self._number(),
            hello,
            identity,
            address.local,
            agreed,
            OutgoingQueue(CONTROL_BYTES),
            OutgoingQueue(2 * agreed.credit_bytes),
            AnswerCache(self._limits.replay_answers, self._limits.replay_s),
            UntakenAnswers(agreed.credit_frames, agreed.credit_bytes),
            now,
        )
        self._by_token[session.token] = session
        self._bind(session, session.control, address)
        return session

    def replaced(self, hello: Hello, identity: Identity, address: PeerAddress) -> Session | None:
        """The session that this hello replaces; None where the client has no such session."""
        return self._own(hello.replaces, identity, address)

    def resume(
        self, hello: Hello, identity: Identity, address: PeerAddress, agreed: Agreement, now: float
    ) -> Session | None:
        """The session that this hello resumes, on its new connection; None where the client has no such session."""
        session = self._own(hello.resume, identity, address)
        if session is None or session.agreed != agreed or session.hello.control_only != hello.control_only:
            return None  # another program, or another version of it, or one that was admitted for control only
        session.hello = hello
        session.last_seen_s = now
        self._bind(session, session.control, address)
        # A client that says hello again has lost both connections; until it joins again, data would go to the old one.
        self.unbind(session, session.data)
        return session

    def join(self, token: bytes, identity: Identity, address: PeerAddress, now: float) -> Session:
        """Bind a data connection to its session. InvalidRequest for an unknown one, NotPermitted for another's."""
        session = self._by_token.get(token)
        if session is None:
            raise InvalidRequest("expected the session of a welcome, got one that is not there (any more); say Hello")
        if session.local != address.local or session.identity.key != identity.key:
            raise NotPermitted("expected the client that was given this session, got another one; say Hello")
        session.last_seen_s = now
        self._bind(session, session.data, address)
        return session

    def of_queue(self, queue: OutgoingQueue) -> Session | None:
        """The session that a queue belongs to."""
        return next((session for session in self._by_token.values() if queue in session.queues()), None)

    def unbind(self, session: Session, queue: OutgoingQueue) -> None:
        """The peer of a queue is gone; its messages wait for the next one."""
        if queue.address is not None:
            self._by_address.pop(queue.address, None)
            queue.address = None

    def remove(self, session: Session) -> None:
        """Forget a session; who still holds it sees that it is closed."""
        session.closed = True
        for queue in session.queues():
            self.unbind(session, queue)
        self._by_token.pop(session.token, None)

    def expired(self, now: float) -> list[Session]:
        """The sessions that were silent for longer than their lease."""
        return [session for session in self if now - session.last_seen_s > session.agreed.lease_s]

    def extend_leases(self, seconds: float) -> None:
        """The server itself was stopped or asleep for so long: that time does not count as silence."""
        for session in self:
            session.last_seen_s += seconds

    def check_rate(self, now: float) -> None:
        """Count a hello. Raises ServerBusy beyond `HELLOS_PER_S`, so that a storm of them does not stop the pixels."""
        self._tokens = min(HELLOS_AT_ONCE, self._tokens + (now - self._counted_s) * HELLOS_PER_S)
        self._counted_s = now
        if self._tokens < 1:
            raise ServerBusy(f"expected at most {HELLOS_PER_S:.0f} connections a second, there are more; wait a moment")
        self._tokens -= 1

    def _own(self, token: bytes | None, identity: Identity, address: PeerAddress) -> Session | None:
        """The session of this token, if it belongs to the same machine and key as the caller."""
        session = self._by_token.get(token or b"")
        if session is None or session.local != address.local or session.identity.key != identity.key:
            return None
        return session

    def _bind(self, session: Session, queue: OutgoingQueue, address: PeerAddress) -> None:
        self.unbind(session, queue)
        queue.address = address
        self._by_address[address] = session

    def _check_room(self, hello: Hello, identity: Identity) -> None:
        kept, few = self._limits.sessions_kept, sum(session.hello.control_only for session in self)
        # A client with control only is admitted beyond the limit, so that a full server can be asked and ended.
        room = self._limits.sessions + (kept if hello.control_only else min(few, kept))
        if len(self) >= room:
            raise ServerBusy(
                f"expected at most {self._limits.sessions} clients at once, there are as many; close one, or wait"
            )
        if not (hello.control_only or self._has_room()):
            raise ServerBusy("expected a free file number for another client, all are in use; close a client, or wait")
        # On the local socket everybody is the user whose machine this is.
        theirs = sum(session.identity.key == identity.key for session in self) if identity.key else 0
        if theirs >= self._limits.sessions_per_user + hello.control_only:
            raise ServerBusy(
                f"expected at most {self._limits.sessions_per_user} clients of '{identity.key}' at once, there are as "
                f"many; close one, or wait"
            )
