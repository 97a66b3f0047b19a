"""Messages of clients as they come in: decoded, brought to the session they belong to, and to who takes them.

Whatever arrives is answered, by the answer that the protocol names, by `Failed` where a request could be recognised,
or by `Rejected`; and then the next message is taken.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from impasto.core.errors import ImpastoError, InvalidRequest, NotPermitted, ServerBusy, UnknownName
from impasto.server.front.event_log import Journal
from impasto.server.front.frames import FrameDesk
from impasto.server.front.library import Library
from impasto.server.front.outbox import Channel, Letter, Line, Post, Route, letter
from impasto.server.front.requests import Dispatch
from impasto.server.front.rings import RingDesk
from impasto.server.front.sessions import Kept, Session, Sessions, Visitor
from impasto.server.front.shots import ShotDesk
from impasto.server.protocol import codec
from impasto.server.protocol.codec import Malformed, Part
from impasto.server.protocol.compression import encodings_here
from impasto.server.protocol.errors import facts_of
from impasto.server.protocol.limits import Limits
from impasto.server.protocol.messages import (
    AskStatus,
    AttachRing,
    Cancel,
    Cancelled,
    CloseRing,
    Done,
    ErrorFacts,
    Failed,
    Goodbye,
    Hello,
    Join,
    Joined,
    ListStyles,
    OpenRing,
    ParameterFacts,
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
    Welcome,
)
from impasto.server.protocol.version import Offer, negotiate
from impasto.server.scheduler import events as plan

ON_DATA: Final = (Join, Submit, SubmitShot)
RETRY_S: Final = 0.25
"""What a client is told to wait before it says hello again."""


@dataclass(frozen=True, slots=True)
class House:
    """What a welcome says of the server itself."""

    server: str
    boot: bytes
    pid: int
    parameters: tuple[ParameterFacts, ...]
    before: tuple[ParameterFacts, ...]
    after: tuple[ParameterFacts, ...]
    encodings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Desks:
    """Who takes what."""

    frames: FrameDesk
    shots: ShotDesk
    rings: RingDesk


class Reception:
    """Takes what clients send. One owner, one thread."""

    def __init__(
        self,
        house: House,
        limits: Limits,
        sessions: Sessions,
        dispatch: Dispatch,
        desks: Desks,
        library: Library,
        post: Post,
        journal: Journal,
        status: Callable[[bytes, Session], Status],
        shut_down: Callable[[bool], None],
        clock: Callable[[], float],
    ) -> None:
        self._house = house
        self._limits = limits
        self._sessions = sessions
        self._dispatch = dispatch
        self._desks = desks
        self._library = library
        self._post = post
        self._journal = journal
        self._status = status
        self._shut_down = shut_down
        self._clock = clock
        self.draining = False
        self._control: Mapping[type, Callable[[Session, Any], None]] = {
            OpenRing: desks.rings.open,
            AttachRing: desks.rings.attach,
            CloseRing: desks.rings.close,
            Cancel: self._cancel,
            Ping: self._ping,
            ListStyles: self._list_styles,
            ShowPreview: self._show_preview,
            AskStatus: self._ask_status,
            Shutdown: self._shutdown,
            Goodbye: self._goodbye,
        }

    def take(self, route: Route, visitor: Visitor, parts: Sequence[Part]) -> None:
        """Take one message, whatever it is. Never raises."""
        session = self._sessions.at(route)
        if session is not None:
            session.heard_s = self._clock()
            session.visitor = visitor  # the role of a key may have been changed
        id: bytes | None = None
        try:
            message, payload = codec.decode(parts, codec.FROM_CLIENT)
            id = getattr(message, "id", None)
            self._take(session, route, visitor, message, parts[1], payload)
        except Exception as error:  # noqa: BLE001  # whatever it was, the next message is taken
            if isinstance(error, Malformed):
                id = id or error.id
            self._refuse(session, route, id, error)

    def dismiss(self, session: Session, why: str) -> None:
        """End a session: what it queued is dropped, what runs for it is stopped, its ring goes."""
        if session.closed:
            return
        self._sessions.remove(session)
        for line in session.lines():
            self._post.forget(line)
        self._journal.session("session_over", session, why=why)
        self._dispatch.feed(plan.SessionClosed(session.token))
        self._desks.rings.leave(session)

    def _take(
        self,
        session: Session | None,
        route: Route,
        visitor: Visitor,
        message: object,
        header: Part,
        payload: Sequence[Part],
    ) -> None:
        kind = type(message)
        right = Channel.DATA if kind in ON_DATA else Channel.CONTROL
        if route.channel is not right:
            raise InvalidRequest(f"expected '{message.TYPE}' on the {right.value} socket, got it on the other one")  # type: ignore[attr-defined]
        if payload and kind is not Submit:
            raise Malformed(f"expected no parts behind the header, got {len(payload)}; only Submit bears samples")
        match message:
            case Hello():
                self._hello(session, route, visitor, message)
            case Join():
                self._join(session, route, visitor, message)
            case _ if session is None:
                first = "Join with the session of the welcome" if right is Channel.DATA else "Hello"
                raise InvalidRequest(f"expected {first} as the first message of a connection, got '{message.TYPE}'")  # type: ignore[attr-defined]
            case Submit() | SubmitShot():
                session.require_work()
                self._submit(session, message, header, payload)
            case _:
                self._control[kind](session, message)

    def _hello(self, session: Session | None, route: Route, visitor: Visitor, hello: Hello) -> None:
        if session is not None:
            raise InvalidRequest("expected one Hello on a connection, got a second one; go on, or connect again")
        now = self._clock()
        self._sessions.check_rate(now)
        agreed = negotiate(hello, Offer(route.local, self._house.encodings, self._limits))
        resumed = self._sessions.resume(hello, visitor, route, agreed, now) if hello.resume else None
        replaced = self._sessions.replaced(hello, visitor, route)
        if replaced is not None and replaced is not resumed:
            self.dismiss(replaced, "the client came back without it")
        if resumed is None and self.draining:
            raise ServerBusy("expected a server that stays, this one is shutting down; start another one")
        session = resumed or self._sessions.admit(hello, visitor, route, agreed, now)
        if resumed is None:
            self._dispatch.feed(plan.SessionOpened(session.token, session.user, agreed.lane))
        self._journal.telemetry.count("sessions_opened" if resumed is None else "sessions_resumed")
        self._journal.session("session_resumed" if resumed else "session_opened", session)
        house = self._house
        welcome = Welcome(
            server=house.server,
            major=agreed.major,
            minor=agreed.minor,
            boot=house.boot,
            session=session.token,
            pid=house.pid,
            lease_s=agreed.lease_s,
            heartbeat_s=agreed.heartbeat_s,
            credit_frames=agreed.credit_frames,
            credit_bytes=agreed.credit_bytes,
            transports=agreed.transports,
            encodings=agreed.encodings,
            devices=tuple(facts.device for facts in self._dispatch.crew.facts()),
            parameters=house.parameters,
            before=house.before,
            after=house.after,
            pixels=self._limits.pixels,
            raw_bytes=self._limits.raw_bytes,
            resumed=resumed is not None,
        )
        # Before whatever waited for the client while it was away.
        self._post.put_first(session.control, letter(welcome))

    def _join(self, session: Session | None, route: Route, visitor: Visitor, join: Join) -> None:
        if session is not None and session.token != join.session:
            raise InvalidRequest("expected one session on a connection, got a second one; connect again for it")
        session = self._sessions.join(join.session, visitor, route, self._clock())
        self._post.put_first(session.data, letter(Joined()))

    def _submit(self, session: Session, message: Submit | SubmitShot, header: Part, payload: Sequence[Part]) -> None:
        digest = hashlib.blake2b(header, digest_size=16).digest()
        if self._asked_again(session, message.id, digest):
            return
        if message.id in session.recalled:
            del session.recalled[message.id]
            cancelled = Cancelled(message.id)
            session.answers.keep(message.id, Kept(digest, cancelled, self._clock()))
            counter = "frames_cancelled" if isinstance(message, Submit) else "jobs_cancelled"
            self._journal.telemetry.count(counter)
            self._post.put(session.data, letter(cancelled))
        elif isinstance(message, Submit):
            self._desks.frames.submit(session, message, digest, payload)
        else:
            self._desks.shots.submit(session, message, digest)

    def _asked_again(self, session: Session, id: bytes, digest: bytes) -> bool:
        """Whether this request is under way, or was answered, so that there is nothing to be done but to say so."""
        task = self._dispatch.task(id)
        if task is not None:
            if task.session is not session:
                raise ServerBusy("expected an id of the client's own; a request of this id is being stopped, wait")
            if task.digest != digest:
                raise InvalidRequest("expected the same request under the same id, got another one; use a new id")
            if not task.settled:
                self._journal.telemetry.count("requests_replayed")
                if task.is_job:
                    self._desks.shots.attach(task)
                return True
        kept = session.answers.find(id, self._clock())
        if kept is None:
            return False
        if kept.digest != digest:
            raise InvalidRequest("expected the same request under the same id, got another one; use a new id")
        self._journal.telemetry.count("requests_replayed")
        answer = kept.answer
        if isinstance(answer, Done) and not self._still_there(session, answer, kept.slot):
            gone = InvalidRequest("the answer to this request was given and its pixels are gone; ask with a new id")
            answer = Failed(id, replace(facts_of(gone), retryable=True))
        self._post.put(session.data, letter(answer))
        return True

    def _still_there(self, session: Session, done: Done, slot: Any) -> bool:
        return not done.inline and slot is not None and session.ring is not None and session.ring.holds(slot)

    def _cancel(self, session: Session, asked: Cancel) -> None:
        task = self._dispatch.task(asked.id)
        if task is None and session.answers.find(asked.id, self._clock()) is None:
            session.recall(asked.id)
        elif task is not None and task.session is session:
            self._dispatch.feed(plan.CancelAsked(asked.id, session.token))

    def _ping(self, session: Session, asked: Ping) -> None:
        self._post.put(session.control, letter(Pong(asked.token)))

    def _list_styles(self, session: Session, asked: ListStyles) -> None:
        total = len(self._library.facts())
        page = self._library.page(asked.offset)
        answer = StyleList(asked.id, self._library.revision, total, asked.offset, page)
        self._post.put(session.control, letter(answer))

    def _show_preview(self, session: Session, asked: ShowPreview) -> None:
        preview = self._library.preview(asked.style)
        if preview is None:
            names = [facts.name for facts in self._library.facts() if facts.has_preview]
            raise UnknownName("style with a preview", asked.style, names)
        self._post.put(session.control, letter(PreviewFound(asked.id), preview))

    def _ask_status(self, session: Session, asked: AskStatus) -> None:
        self._post.put(session.control, letter(self._status(asked.id, session)))

    def _shutdown(self, session: Session, asked: Shutdown) -> None:
        if not session.visitor.admin:
            raise NotPermitted(
                f"expected a key with the role admin, '{session.visitor.key}' has render; end the server on its machine"
            )
        self._journal.session("shutdown_asked", session, at_once=asked.at_once)
        seconds = 0.0 if asked.at_once else self._limits.drain_s
        self._post.put(session.control, letter(ShuttingDown(asked.id, seconds)))
        self._shut_down(asked.at_once)

    def _goodbye(self, session: Session, _: Goodbye) -> None:
        self.dismiss(session, "said goodbye")

    def _refuse(self, session: Session | None, route: Route, id: bytes | None, error: Exception) -> None:
        facts = self._facts(error)
        if isinstance(error, ImpastoError):
            self._journal.refused(error, facts, client=session.hello.client if session else "", id=id or b"")
        if isinstance(error, Malformed):
            self._journal.telemetry.count("messages_malformed")
        elif session is None:
            self._journal.telemetry.count("sessions_refused")
        else:
            self._journal.telemetry.count("requests_refused")
        # What is under way under this id has its own end; `Failed` would be a second one.
        fails = id is not None and session is not None and id not in session.live
        answer = letter(Failed(id, facts)) if id is not None and fails else letter(Rejected(facts))
        self._reply(session, route, answer)

    def _facts(self, error: Exception) -> ErrorFacts:
        facts = self._journal.facts_of_any(error)
        return replace(facts, retry_after_s=RETRY_S) if isinstance(error, ServerBusy) else facts

    def _reply(self, session: Session | None, route: Route, answer: Letter) -> None:
        if session is None:
            self._post.toss(route, answer)
            return
        line: Line = session.control if route.channel is Channel.CONTROL else session.data
        self._post.put(line, answer)


def house_of(server: str, boot: bytes) -> House:
    """This installation, as a welcome names it."""
    from impasto.core.grade import AFTER_CONTROLS, BEFORE_CONTROLS
    from impasto.core.params import PARAMETERS

    return House(
        server,
        boot,
        os.getpid(),
        _parameter_facts(PARAMETERS),
        _parameter_facts(BEFORE_CONTROLS),
        _parameter_facts(AFTER_CONTROLS),
        encodings_here(),
    )


def _parameter_facts(controls: Sequence[Any]) -> tuple[ParameterFacts, ...]:
    """Controls as a welcome names them."""
    return tuple(ParameterFacts(each.name, each.minimum, each.maximum, each.default, each.help) for each in controls)
