"""One session with a server, from hello to goodbye or loss: questions with their answers, pings, and the handshake."""

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
from impasto.server.client.transport import ChannelName, Endpoints, OpenTransport
from impasto.server.protocol.codec import FROM_SERVER, Part, decode, encode
from impasto.server.protocol.errors import error_of
from impasto.server.protocol.messages import (
    Cancelled,
    ClientCancelled,
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
POLL_S: Final = 0.1
"""How often a handshake looks whether the server is still there."""

RequestNews: TypeAlias = Queued | Done | ShotStarted | ShotProgress | ShotDone | Failed | Cancelled | Expired
"""What a server says about a request."""
Answer: TypeAlias = tuple[FromServer, Sequence[Part]]
Asked = TypeVar(
    "Asked", Welcome, Joined, RingOffered, RingReady, StyleList, PreviewFound, Status, ClientCancelled,
    ShuttingDown, Pong,
)  # fmt: skip


class SessionListener(Protocol):
    """Hears what answers no question, in the transport's thread. A session holds it weakly."""

    def request_news(self, message: RequestNews, parts: Sequence[Part]) -> None:
        """A message about a frame request or a shot job."""

    def styles_changed(self, revision: int) -> None:
        """The library changed."""

    def session_lost(self, session: ClientSession, error: ImpastoError) -> None:
        """The session ended, and not by `close`."""


def new_id() -> bytes:
    """A request's name, chosen at random."""
    return secrets.token_bytes(16)


class ClientSession:
    """A session with one server over one transport. When it is lost it stays lost: `error` says why.

    Construction shakes hands: it returns once the server takes requests. Raises ServerUnreachable where it does not
    answer in time, and whatever the server refuses with.
    """

    def __init__(
        self,
        open_transport: OpenTransport,
        endpoints: Endpoints,
        hello: Hello,
        listener: SessionListener,
        timeout_s: float,
        may_answer: Callable[[], bool] = lambda: True,
    ) -> None:
        """`may_answer` is asked while the server is silent: False ends the wait."""
        self.endpoints = endpoints
        self.error: ImpastoError | None = None
        self._listener = weakref.ref(listener)
        self._lock = threading.RLock()
        """Reentrant: a garbage collection may close a client in the thread that holds it."""
        self._questions: dict[object, Future[Answer]] = {}
        self._tokens = itertools.count(1)
        self._pings_unanswered = 0
        self._ping_at = float("inf")
        self._heartbeat_s = 2.0
        self._hearing_thread = 0
        """The transport's thread, once it has told us something."""
        self._closed = False
        self._joined = False
        until = time.monotonic() + timeout_s
        self._transport = open_transport(endpoints, self)
        try:
            self.welcome = self._shake_hands(hello, Welcome, until, may_answer)
            self._shake_hands(Join(self.welcome.session), Joined, until, may_answer)
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
            self.send("control", message)
            answer, parts = question.result(max(0.0, timeout_s))
        except FutureTimeout:
            raise ServerUnreachable(
                f"{self.endpoints.name} did not answer '{message.TYPE}' within {timeout_s:g} s; try again, or look at "
                f"`impasto status`"
            ) from None
        finally:
            with self._lock:
                self._questions.pop(key, None)
        if isinstance(answer, Failed):
            raise error_of(answer.error)
        if not isinstance(answer, kind):
            raise ServerError(
                f"expected '{kind.TYPE}' from {self.endpoints.name}, got '{answer.TYPE}'; upgrade the older"
            )
        return answer, parts

    def ping(self, timeout_s: float) -> float:
        """Seconds that the server takes to answer."""
        token = next(self._tokens) + (1 << 32)
        begun = time.perf_counter()
        self.ask(Ping(token), Pong, token, timeout_s)
        return time.perf_counter() - begun

    def send(self, channel: ChannelName, message: FromClient) -> None:
        """Send a message without samples. Does not wait."""
        self.send_encoded(channel, encode(message), ())

    def send_encoded(self, channel: ChannelName, header: Sequence[bytes], parts: Sequence[Part]) -> None:
        """Send an encoded message, with samples behind it that must not change any more. Does not wait."""
        self._transport.send(channel, [*header, *parts])

    def close(self) -> None:
        """Say goodbye and release the sockets, within a second."""
        if not self._closed:
            self._closed = True
            if self.error is None:
                self.send("control", Goodbye())
                self._end(ServerError("the client was closed"))
            self._transport.close()

    def require_other_thread(self) -> None:
        """Raise UsageError in the callback of a future, which would wait for its own thread."""
        if threading.get_ident() == self._hearing_thread:
            raise UsageError(
                "expected a call that waits for the server to come from a thread of the host, got one from the "
                "callback of a future; hand it over to another thread"
            )

    # As a listener of the transport, in its thread.

    def heard(self, channel: ChannelName, parts: Sequence[Part]) -> None:
        """Pass a message on to whatever it concerns. What breaks the rules of the wire ends the session."""
        self._pings_unanswered = 0
        self._hearing_thread = threading.get_ident()
        try:
            message, rest = decode(parts, FROM_SERVER)
            if isinstance(message, Rejected):
                self._lose(error_of(message.error))
            elif self._answer(message, rest) or (listener := self._listener()) is None:
                pass
            elif isinstance(message, StylesChanged):
                listener.styles_changed(message.revision)
            elif isinstance(message, RequestNews):
                listener.request_news(message, rest)
        except ImpastoError as error:
            self._lose(error)

    def lost(self, error: ImpastoError) -> None:
        """The transport is gone."""
        self._hearing_thread = threading.get_ident()
        self._lose(error)

    def tick(self, now: float) -> float:
        """Ping when it is time, and notice a server that has gone silent."""
        if self.error is not None or self._closed:
            return POLL_S
        if now >= self._ping_at:
            if self._pings_unanswered >= MISSED_PONGS:
                self.lost(
                    ServerUnreachable(
                        f"{self.endpoints.name} (process {self.welcome.pid}) has not answered for "
                        f"{self._pings_unanswered * self._heartbeat_s:g} s"
                    )
                )
                return POLL_S
            # One ping for all that were missed while this process slept: only silence of the server counts.
            self._pings_unanswered += 1
            self._ping_at = now + self._heartbeat_s
            self.send("control", Ping(next(self._tokens)))
        return min(1.0, max(0.0, self._ping_at - now))

    def _answer(self, message: FromServer, parts: Sequence[Part]) -> bool:
        """Hand an answer to its question; whether there was one."""
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

    def _lose(self, error: ImpastoError) -> None:
        # Before it has joined, the constructor raises the error.
        if self._end(error) and self._joined and not self._closed and (listener := self._listener()) is not None:
            listener.session_lost(self, error)

    def _end(self, error: ImpastoError) -> bool:
        """Fail every question that is open; whether this was the first to end the session."""
        with self._lock:
            first = self.error is None
            self.error = self.error or error
            questions = list(self._questions.values())
            self._questions.clear()
        for question in questions:
            question.set_exception(error)
        return first

    def _shake_hands(
        self, message: Hello | Join, kind: type[Asked], until: float, may_answer: Callable[[], bool]
    ) -> Asked:
        """One step of the handshake, given up as soon as the server is known to be gone."""
        question = self._expect(kind)
        self.send("control" if isinstance(message, Hello) else "data", message)
        while True:
            left = until - time.monotonic()
            try:
                answer, _ = question.result(max(0.0, min(POLL_S, left)))
            except FutureTimeout:
                if not may_answer():
                    raise ServerUnreachable(f"{self.endpoints.name} ended before it answered") from None
                if left <= 0:
                    raise ServerUnreachable(
                        f"{self.endpoints.name} did not answer in time; make sure that it runs and can be reached"
                    ) from None
                continue
            assert isinstance(answer, kind)
            return answer


def user_name() -> str:
    """The user of this process, for the server's status."""
    for variable in ("USER", "LOGNAME", "USERNAME"):
        if name := os.environ.get(variable):
            return name[:64]
    return str(os.getuid()) if hasattr(os, "getuid") else "user"


def _again(error: ImpastoError) -> ImpastoError:
    """The same error as an object of its own, so that tracebacks of several threads do not grow into each other."""
    fresh = type(error).__new__(type(error))
    Exception.__init__(fresh, *error.args)
    return fresh
