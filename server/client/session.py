"""One session with a server, from hello to goodbye or loss: who answers what, and whether anybody is still there."""

from __future__ import annotations

import itertools
import os
import secrets
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Final, Protocol, TypeAlias, TypeVar

from impasto.core.errors import ImpastoError, ServerError, ServerUnreachable, UsageError
from impasto.server.client.transport import Channel, OpenTransport, Route
from impasto.server.protocol.codec import FROM_SERVER, Part, decode, encode
from impasto.server.protocol.errors import error_of
from impasto.server.protocol.messages import (
    Cancelled,
    Done,
    Expired,
    Failed,
    FromClient,
    FromServer,
    Goodbye,
    Hello,
    Join,
    Joined,
    Ping,
    Pong,
    PreviewFound,
    Queued,
    Rejected,
    RingOffered,
    RingReady,
    ShotDone,
    ShotProgress,
    ShotStarted,
    ShuttingDown,
    Status,
    StyleList,
    StylesChanged,
    Welcome,
)

MISSED_PONGS: Final = 4
"""Pings in a row that nothing was heard after: the server hangs, or the network is cut. Eight seconds by default."""
LOOK_S: Final = 0.1
"""How often a handshake looks whether the server is still there."""

About: TypeAlias = Queued | Done | ShotStarted | ShotProgress | ShotDone | Failed | Cancelled | Expired
"""What is said about a request."""
Answer: TypeAlias = tuple[FromServer, Sequence[Part]]
Asked = TypeVar("Asked", Welcome, Joined, RingOffered, RingReady, StyleList, PreviewFound, Status, ShuttingDown, Pong)


class Ears(Protocol):
    """Whoever is told what concerns no question, in the connection's thread. Held weakly."""

    def about_request(self, talk: Conversation, message: About, parts: Sequence[Part]) -> None:
        """A message about a frame request or a shot job."""

    def styles_changed(self, revision: int) -> None:
        """The library changed."""

    def lost(self, talk: Conversation, error: ImpastoError) -> None:
        """The conversation is over, not by our own wish."""


def new_id() -> bytes:
    """A request's name, chosen at random."""
    return secrets.token_bytes(16)


class Conversation:
    """A session with one server over one transport. When it is lost it stays lost: `error` says why.

    Construction shakes hands: it returns once the server takes requests. Raises ServerUnreachable where it does not
    answer in time, and whatever the server refuses with.
    """

    def __init__(
        self,
        open_transport: OpenTransport,
        route: Route,
        hello: Hello,
        ears: Ears,
        timeout_s: float,
        still_there: Callable[[], bool] = lambda: True,
    ) -> None:
        self.route = route
        self.error: ImpastoError | None = None
        self._ears = weakref.ref(ears)
        self._lock = threading.RLock()
        """Again by the thread that has it, where a garbage collection closes a client that nobody holds."""
        self._questions: dict[object, Future[Answer]] = {}
        self._tokens = itertools.count(1)
        self._unheard = 0
        self._ping_at = float("inf")
        self._heartbeat_s = 2.0
        self._hearing: set[int] = set()
        """The threads in which we are told something."""
        self._closed = False
        self._joined = False
        until = time.monotonic() + timeout_s
        self._transport = open_transport(route, self)
        try:
            self.welcome = self._shake(hello, Welcome, until, still_there)
            self._shake(Join(self.welcome.session), Joined, until, still_there)
        except BaseException:
            self._closed = True
            self._transport.close()
            raise
        self._joined = True
        self._heartbeat_s = self.welcome.heartbeat_s or self._heartbeat_s
        self._ping_at = time.monotonic() + self._heartbeat_s

    def ask(
        self, message: FromClient, kind: type[Asked], key: object, timeout_s: float
    ) -> tuple[Asked, Sequence[Part]]:
        """Ask on control and wait for the answer of this kind, which bears `key`: the id, or the token of a ping.

        Raises what the server answers instead, ServerUnreachable where nothing comes in time.
        """
        self.require_other_thread()
        question = self._expect(key)
        try:
            until = time.monotonic() + timeout_s
            self.tell("control", message)
            self.steer(question.done, until)
            answer, parts = question.result(max(0.0, until - time.monotonic()))
        except FutureTimeout:
            raise ServerUnreachable(
                f"{self.route.name} did not answer '{message.TYPE}' within {timeout_s:g} s; try again, or look at "
                f"`impasto status`"
            ) from None
        finally:
            with self._lock:
                self._questions.pop(key, None)
        if isinstance(answer, Failed):
            raise error_of(answer.error)
        if not isinstance(answer, kind):
            raise ServerError(f"expected '{kind.TYPE}' from {self.route.name}, got '{answer.TYPE}'; upgrade the older")
        return answer, parts

    def ping(self, timeout_s: float) -> float:
        """Seconds that the server takes to answer."""
        token = next(self._tokens) + (1 << 32)
        begun = time.perf_counter()
        self.ask(Ping(token), Pong, token, timeout_s)
        return time.perf_counter() - begun

    def tell(self, channel: Channel, message: FromClient, parts: Sequence[Part] = ()) -> None:
        """Send a message, with samples behind it, that must not change any more. Does not wait."""
        self.hand_over(channel, encode(message), parts)

    def hand_over(self, channel: Channel, header: Sequence[bytes], parts: Sequence[Part]) -> None:
        """Send a message that is encoded already."""
        self._transport.send(channel, [*header, *parts])

    def steer(self, over: Callable[[], bool], until: float) -> None:
        """Carry messages in this thread, which has to wait anyway; see `Transport.steer`."""
        self.require_other_thread()
        self._transport.steer(over, until)

    def close(self) -> None:
        """Say goodbye and let go, within a second."""
        if not self._closed:
            self._closed = True
            if self.error is None:
                self.tell("control", Goodbye())
                self._end(ServerError("the client was closed"))
            self._transport.close()

    def require_other_thread(self) -> None:
        """Raise UsageError in a callback, which would wait for itself."""
        if threading.get_ident() in self._hearing:
            raise UsageError(
                "expected a call that waits for the server to come from a thread of the host, got one from the "
                "callback of a future; hand it over to another thread"
            )

    # As a listener of the transport, in a thread of its own or in one that waits.

    def heard(self, channel: Channel, parts: Sequence[Part]) -> None:
        """Give a message to whom it concerns. What breaks the rules of the wire ends the conversation."""
        self._unheard = 0
        thread = threading.get_ident()
        self._hearing.add(thread)
        try:
            self._hear(*decode(parts, FROM_SERVER))
        except ImpastoError as error:
            self._give_up(error)
        finally:
            self._hearing.discard(thread)

    def lost(self, error: ImpastoError) -> None:
        """The transport is gone."""
        thread = threading.get_ident()
        self._hearing.add(thread)
        try:
            self._give_up(error)
        finally:
            self._hearing.discard(thread)

    def tick(self, now: float) -> float:
        """Ping when it is time, and notice a server that has gone silent."""
        if self.error is not None or self._closed:
            return LOOK_S
        if now >= self._ping_at:
            if self._unheard >= MISSED_PONGS:
                self.lost(
                    ServerUnreachable(
                        f"{self.route.name} (process {self.welcome.pid}) has not answered for "
                        f"{self._unheard * self._heartbeat_s:g} s"
                    )
                )
                return LOOK_S
            # One ping for all that were missed while this process slept: only silence of the server counts.
            self._unheard += 1
            self._ping_at = now + self._heartbeat_s
            self.tell("control", Ping(next(self._tokens)))
        return min(1.0, max(0.0, self._ping_at - now))

    def _hear(self, message: FromServer, rest: Sequence[Part]) -> None:
        if isinstance(message, Rejected):
            self._give_up(error_of(message.error))
        elif isinstance(message, StylesChanged):
            if (ears := self._ears()) is not None:
                ears.styles_changed(message.revision)
        elif self._answer(message, rest) or not isinstance(message, About):
            pass
        elif (ears := self._ears()) is not None:
            ears.about_request(self, message, rest)

    def _answer(self, message: FromServer, parts: Sequence[Part]) -> bool:
        """Give an answer to its question; whether there was one."""
        key: object
        if isinstance(message, Welcome | Joined):
            key = type(message)
        elif isinstance(message, Pong):
            key = message.token
        else:
            key = getattr(message, "id", None)
        with self._lock:
            question = self._questions.pop(key, None)
        if question is not None:
            question.set_result((message, parts))
        return question is not None

    def _expect(self, key: object) -> Future[Answer]:
        question: Future[Answer] = Future()
        with self._lock:
            if self.error is not None:
                raise _again(self.error)
            self._questions[key] = question
        return question

    def _give_up(self, error: ImpastoError) -> None:
        # Before it has joined, whoever constructs it is told, by what its questions raise.
        if self._end(error) and self._joined and not self._closed and (ears := self._ears()) is not None:
            ears.lost(self, error)

    def _end(self, error: ImpastoError) -> bool:
        """Fail every question that is open; whether this was the first to end the conversation."""
        with self._lock:
            first = self.error is None
            self.error = self.error or error
            questions = list(self._questions.values())
            self._questions.clear()
        for question in questions:
            question.set_exception(error)
        return first

    def _shake(self, message: Hello | Join, kind: type[Asked], until: float, still_there: Callable[[], bool]) -> Asked:
        """One step of the handshake, given up as soon as the server is known to be gone."""
        question = self._expect(kind)
        self.tell("control" if isinstance(message, Hello) else "data", message)
        while True:
            left = until - time.monotonic()
            try:
                answer, _ = question.result(max(0.0, min(LOOK_S, left)))
            except FutureTimeout:
                if not still_there():
                    raise ServerUnreachable(f"{self.route.name} ended before it answered") from None
                if left <= 0:
                    raise ServerUnreachable(
                        f"{self.route.name} did not answer in time; make sure that it runs and can be reached"
                    ) from None
                continue
            assert isinstance(answer, kind)
            return answer


def user_name() -> str:
    """Who this process belongs to, for the server's status."""
    for variable in ("USER", "LOGNAME", "USERNAME"):
        if name := os.environ.get(variable):
            return name[:64]
    return str(os.getuid()) if hasattr(os, "getuid") else "user"


def _again(error: ImpastoError) -> ImpastoError:
    """The same error as an object of its own, so that tracebacks of several threads do not grow into each other."""
    fresh = type(error).__new__(type(error))
    Exception.__init__(fresh, *error.args)
    return fresh
