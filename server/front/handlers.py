"""Messages of clients as they come in: decoded, brought to their session, and handled by the function for their kind.

Every message is answered: by the answer that the protocol names, by `Failed` where a request could be recognised, or by
`Rejected`. Then the next one is taken.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, TypeAlias

from impasto.core.errors import ImpastoError, InvalidRequest, NotPermitted, ServerBusy, UnknownName
from impasto.server.front.access import Identity
from impasto.server.front.event_log import EventLog
from impasto.server.front.frames import FrameContext, PendingFrame
from impasto.server.front.handshake import SessionHandlers
from impasto.server.front.library import Library
from impasto.server.front.outbox import Channel, Outbox, PeerAddress, outgoing
from impasto.server.front.requests import Requests
from impasto.server.front.sessions import Session, Sessions, StoredAnswer
from impasto.server.front.shots import PendingShot, ShotContext
from impasto.server.front.sockets import IncomingMessage
from impasto.server.protocol import codec
from impasto.server.protocol.codec import Malformed, Part
from impasto.server.protocol.errors import facts_of
from impasto.server.protocol.messages import (
    AskStatus,
    Cancel,
    CancelClient,
    Cancelled,
    ClientCancelled,
    Done,
    Failed,
    Hello,
    Join,
    ListStyles,
    Ping,
    Pong,
    PreviewFound,
    Rejected,
    ShowPreview,
    Shutdown,
    ShuttingDown,
    Status,
    StyleList,
    Submit,
    SubmitShot,
)
from impasto.server.scheduler import events as plan

ON_DATA: Final = (Join, Submit, SubmitShot)
RETRY_S: Final = 0.25
"""After which a client that was refused as busy says hello again."""
ControlHandler: TypeAlias = Callable[[Session, Any], None]


class RequestHandlers:
    """Handles `Submit`, `SubmitShot`, `Cancel` and `CancelClient`."""

    def __init__(
        self,
        sessions: Sessions,
        requests: Requests,
        frames: FrameContext,
        shots: ShotContext,
        outbox: Outbox,
        event_log: EventLog,
        clock: Callable[[], float],
    ) -> None:
        self._sessions = sessions
        self._requests = requests
        self._frames = frames
        self._shots = shots
        self._outbox = outbox
        self._event_log = event_log
        self._clock = clock

    def submit(self, session: Session, message: Submit | SubmitShot, header: Part, payload: Sequence[Part]) -> None:
        """Admit a new request, attach to one that runs, or send a stored answer again."""
        session.require_work()
        counters = self._event_log.counters
        digest = hashlib.blake2b(header, digest_size=16).digest()
        if self._is_known(session, message.id, digest):
            counters.count("requests_replayed")
        elif message.id in session.early_cancels:
            del session.early_cancels[message.id]
            cancelled = Cancelled(message.id)
            session.answers.keep(message.id, StoredAnswer(digest, cancelled, self._clock()))
            counters.count("frames_cancelled" if isinstance(message, Submit) else "jobs_cancelled")
            self._outbox.put(session.data, outgoing(cancelled))
        elif isinstance(message, Submit):
            if payload:
                self._require_room(session, sum(map(len, payload)))
            request = PendingFrame.admit(self._frames, session, message, digest, payload)
            counters.count("bytes_in", sum(map(len, payload)))
            self._requests.add(request)
        else:
            self._requests.add(PendingShot.admit(self._shots, session, message, digest))

    def _require_room(self, session: Session, more_bytes: int) -> None:
        """Raise InvalidRequest where what is under way and what the client has not read fill its credit."""
        own = [each for each in self._requests.of(session) if not each.is_job]
        held = sum(each.staged_bytes for each in own)
        if not session.untaken.has_room(len(own), held, more_bytes, self._clock()):
            frames, megabytes = session.agreed.credit_frames, session.agreed.credit_bytes >> 20
            raise InvalidRequest(
                f"expected at most {frames} frames and {megabytes} MiB under way at once, got more; an answer counts "
                "until it is read: read it before the next request"
            )

    def cancel(self, session: Session, asked: Cancel) -> None:
        """Cancel a request of this session, be it one that has not come yet."""
        request = self._requests.get(asked.id)
        if request is None and session.answers.find(asked.id, self._clock()) is None:
            session.cancel_early(asked.id)
        elif request is not None and request.session is session:
            self._requests.schedule(plan.CancelAsked(asked.id, session.token))

    def cancel_client(self, session: Session, asked: CancelClient) -> None:
        """Cancel all requests of another session, for whoever may end the server too."""
        require_admin(session, "cancel its work")
        other = self._sessions.numbered(asked.client)
        if other is None:
            raise InvalidRequest(
                f"expected the number of a client that is connected, got {asked.client}; ask for the status"
            )
        own = [each for each in self._requests.of(other) if not each.answered]
        self._event_log.session("client_cancelled", other, by=session.user, requests=len(own))
        self._outbox.put(session.control, outgoing(ClientCancelled(asked.id, len(own))))
        for each in own:
            self._requests.schedule(plan.CancelAsked(each.id, other.token))

    def is_under_way(self, session: Session, id: bytes) -> bool:
        """Whether this session has a request of this id that has no answer yet."""
        request = self._requests.get(id)
        return request is not None and request.session is session

    def _is_known(self, session: Session, id: bytes, digest: bytes) -> bool:
        """Attach to the request of this id, or send its answer again; False where it is new."""
        request = self._requests.get(id)
        if request is not None:
            if request.session is not session:
                raise ServerBusy("expected an id of the client's own; a request of this id is being stopped, wait")
            _require_same(digest, request.digest)
            if not request.answered:
                self._requests.attach(request)
                return True
        stored = session.answers.find(id, self._clock())
        if stored is None:
            return False
        _require_same(digest, stored.digest)
        answer = stored.answer
        if isinstance(answer, Done) and not _has_samples(session, answer, stored):
            gone = InvalidRequest("the answer to this request was given and its pixels are gone; ask with a new id")
            answer = Failed(id, replace(facts_of(gone), retryable=True))
        self._outbox.put(session.data, outgoing(answer))
        return True


class ControlHandlers:
    """Handles `Ping`, `ListStyles`, `ShowPreview`, `AskStatus` and `Shutdown`."""

    def __init__(
        self,
        library: Library,
        outbox: Outbox,
        event_log: EventLog,
        drain_s: float,
        status: Callable[[bytes, Session], Status],
        shut_down: Callable[[bool], None],
    ) -> None:
        """`drain_s` is how long a shutdown waits for what runs; `shut_down` begins one, with True at once."""
        self._library = library
        self._outbox = outbox
        self._event_log = event_log
        self._drain_s = drain_s
        self._status = status
        self._shut_down = shut_down

    def table(self) -> Mapping[type, ControlHandler]:
        """Kind of message -> its handler."""
        return {
            Ping: self._ping,
            ListStyles: self._list_styles,
            ShowPreview: self._show_preview,
            AskStatus: self._ask_status,
            Shutdown: self._shutdown,
        }

    def _ping(self, session: Session, asked: Ping) -> None:
        self._outbox.put(session.control, outgoing(Pong(asked.token)))

    def _list_styles(self, session: Session, asked: ListStyles) -> None:
        total = len(self._library.facts())
        page = self._library.page(asked.offset)
        answer = StyleList(asked.id, self._library.revision, total, asked.offset, page)
        self._outbox.put(session.control, outgoing(answer))

    def _show_preview(self, session: Session, asked: ShowPreview) -> None:
        preview = self._library.preview(asked.style)
        if preview is None:
            names = [facts.name for facts in self._library.facts() if facts.has_preview]
            raise UnknownName("style with a preview", asked.style, names)
        self._outbox.put(session.control, outgoing(PreviewFound(asked.id), preview))

    def _ask_status(self, session: Session, asked: AskStatus) -> None:
        self._outbox.put(session.control, outgoing(self._status(asked.id, session)))

    def _shutdown(self, session: Session, asked: Shutdown) -> None:
        require_admin(session, "end the server")
        self._event_log.session("shutdown_asked", session, at_once=asked.at_once)
        self._outbox.put(session.control, outgoing(ShuttingDown(asked.id, 0.0 if asked.at_once else self._drain_s)))
        self._shut_down(asked.at_once)


class MessageHandlers:
    """Takes every message that clients send. One owner, one thread."""

    def __init__(
        self,
        sessions: Sessions,
        handshake: SessionHandlers,
        requests: RequestHandlers,
        control: Mapping[type, ControlHandler],
        outbox: Outbox,
        event_log: EventLog,
    ) -> None:
        """`control` has a handler for each kind of message that the control socket takes in a session."""
        self._sessions = sessions
        self._handshake = handshake
        self._requests = requests
        self._control = control
        self._outbox = outbox
        self._event_log = event_log

    def handle(self, incoming: IncomingMessage, identity: Identity, now: float) -> None:
        """Handle one message, whatever it is. Never raises."""
        session = self._sessions.at(incoming.sender)
        if session is not None:
            session.last_seen_s = now
            session.identity = identity  # the role of a key may have changed
        id: bytes | None = None
        try:
            message, payload = codec.decode(incoming.parts, codec.FROM_CLIENT)
            id = getattr(message, "id", None)
            _require_channel(message, incoming.sender.channel)
            if payload and not isinstance(message, Submit):
                raise Malformed(f"expected no parts behind the header, got {len(payload)}; only Submit bears samples")
            match message:
                case Hello():
                    if session is not None:
                        raise InvalidRequest(
                            "expected one Hello on a connection, got a second one; go on, or connect again"
                        )
                    self._handshake.hello(incoming.sender, identity, message, now)
                case Join():
                    self._handshake.join(session, incoming.sender, identity, message, now)
                case _ if session is None:
                    on_data = incoming.sender.channel is Channel.DATA
                    first = "Join with the session of the welcome" if on_data else "Hello"
                    raise InvalidRequest(f"expected {first} as the first message of a connection, got '{message.TYPE}'")
                case Submit() | SubmitShot():
                    self._requests.submit(session, message, incoming.parts[1], payload)
                case _:
                    self._control[type(message)](session, message)
        except Exception as error:  # noqa: BLE001  # whatever it was, the next message is taken
            if isinstance(error, Malformed):
                id = id or error.id
            self._refuse(session, incoming.sender, id, error)

    def _refuse(self, session: Session | None, sender: PeerAddress, id: bytes | None, error: Exception) -> None:
        facts = self._event_log.error_facts(error)
        if isinstance(error, ServerBusy):
            facts = replace(facts, retry_after_s=RETRY_S)
        if isinstance(error, ImpastoError):
            self._event_log.refused(error, facts, client=session.hello.client if session else "", id=id or b"")
        counters = self._event_log.counters
        if isinstance(error, Malformed):
            counters.count("messages_malformed")
        elif session is None:
            counters.count("sessions_refused")
        else:
            counters.count("requests_refused")
        if session is None:
            self._outbox.put_unbound(sender, outgoing(Rejected(facts)))
            return
        # A request that is under way under this id has its own answer; `Failed` would be a second one.
        fails = id is not None and not self._requests.is_under_way(session, id)
        answer = outgoing(Failed(id, facts) if id is not None and fails else Rejected(facts))
        self._outbox.put(session.control if sender.channel is Channel.CONTROL else session.data, answer)


def require_admin(session: Session, deed: str) -> None:
    """NotPermitted for a key that may only render; clients of this machine are the server's owner."""
    identity = session.identity
    if not identity.admin:
        raise NotPermitted(f"expected a key with the role admin, '{identity.key}' has render; {deed} on its machine")


def _require_channel(message: Any, came_over: Channel) -> None:
    channel = Channel.DATA if isinstance(message, ON_DATA) else Channel.CONTROL
    if came_over is not channel:
        raise InvalidRequest(f"expected '{message.TYPE}' on the {channel.value} socket, got it on the other one")


def _require_same(digest: bytes, first: bytes) -> None:
    if digest != first:
        raise InvalidRequest("expected the same request under the same id, got another one; use a new id")


def _has_samples(session: Session, done: Done, stored: StoredAnswer) -> bool:
    """Whether the samples of this answer are still in the session's ring."""
    return not done.inline and stored.slot is not None and session.ring is not None and session.ring.holds(stored.slot)
