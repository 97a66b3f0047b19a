"""The requests of one client that are under way, and the session that carries them.

A session that is lost takes its requests with it: they fail with ServerUnreachable, and the next call opens another
session. A host that shows frames asks for them again where they are still wanted; `Client.render_shot` goes on with its
shot by itself.
"""

from __future__ import annotations

import os
import queue
import random
import socket
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from impasto.core.errors import ImpastoError, ServerBusy, ServerError, ServerUnreachable, UsageError
from impasto.core.frozen_dataclass import frozen_dataclass
from impasto.server.client.address import ServerAddress
from impasto.server.client.futures import FrameRequest, Pending, ShotRequest
from impasto.server.client.link_rate import LinkRate
from impasto.server.client.session import ClientSession, RequestNews, user_name
from impasto.server.client.timed_lock import TimedLock
from impasto.server.client.transport import OpenTransport
from impasto.server.protocol import limits
from impasto.server.protocol.codec import Part, encode
from impasto.server.protocol.compression import encodings_here
from impasto.server.protocol.field_types import Lane
from impasto.server.protocol.messages import Cancel, Done, Hello, Queued, ShotProgress, ShotStarted
from impasto.server.protocol.text import cleaned

BUSY_S: Final = 0.2
EARLY_NEWS: Final = 1024
"""Messages about a shot that are kept until it is posted again."""
POLL_S: Final = 0.1


@frozen_dataclass
class ClientOptions:
    """What a client tells the server of itself, and how it connects."""

    name: str
    lane: Lane
    start: bool
    """Whether a server that does not run is started."""
    control_only: bool = False
    """Nothing will be rendered, so that the server has room for this client where it has none for others."""


class ClientRequests:
    """The session of one client and the requests under way in it. Made anew in a forked child."""

    def __init__(self, address: ServerAddress, options: ClientOptions, open_transport: OpenTransport) -> None:
        self._address, self._options, self._open_transport = address, options, open_transport
        self.pid = os.getpid()
        self._connecting = TimedLock()
        """Held while a session is opened."""
        self._lock = threading.RLock()
        """Guards everything below. Entered by itself: Ctrl-C may come inside the `__enter__` of a condition."""
        self._changed = threading.Condition(self._lock)
        """Notified whenever a request ends."""
        self._sessions: list[ClientSession] = []
        """The newest session alone, in a list that outlives this object for its finaliser."""
        self._under_way: dict[bytes, tuple[ClientSession, Pending]] = {}
        self._reserved: dict[bytes, int] = {}
        """Bytes of samples, for every frame that counts against the session's credit."""
        self._abandoned: ClientSession | None = None
        """Lost with frames under way, which its server may still paint into the ring: it is not resumed."""
        self._early_news: dict[bytes, deque[tuple[RequestNews, Sequence[Part]]]] = {}
        """What a resumed session says of shots that were lost, before they are posted again."""
        self._closed = False
        self._style_changes: queue.SimpleQueue[int] | None = None
        self._finaliser = weakref.finalize(self, _close_all, self._sessions, self.pid)
        self.rate = LinkRate(packed_first=address.far)

    @property
    def _session(self) -> ClientSession | None:
        return self._sessions[0] if self._sessions else None

    def session(self, timeout_s: float, *, start: bool | None = None) -> ClientSession:
        """The session with the server; opened, and the server started, where there is none.

        Raises ServerUnreachable, and whatever the server refuses with.
        """
        until = time.monotonic() + timeout_s
        session = self._session
        if session is not None and session.error is None and not self._closed:
            return session
        return self._connecting.run(
            lambda: self._open(until, self._options.start if start is None else start),
            timeout_s,
            lambda: ServerUnreachable(
                f"expected a connection within {timeout_s:g} s, another thread still waits for it"
            ),
        )

    def reserve_credit(self, session: ClientSession, id: bytes, size: int, until: float) -> None:
        """Wait until the session's credit has room for a frame of this size. Raises ServerBusy after `until`.

        The caller then posts the request of this id, or calls `return_credit`.
        """
        welcome = session.welcome
        with self._lock:
            while len(self._reserved) >= max(1, welcome.credit_frames) or (
                self._reserved and sum(self._reserved.values()) + size > welcome.credit_bytes
            ):
                left = until - time.monotonic()
                if left <= 0:
                    raise ServerBusy(
                        f"expected room for a frame request, {len(self._reserved)} of {welcome.credit_frames} are "
                        f"under way; wait for one of them, or cancel it"
                    )
                session.require_other_thread()
                self._changed.wait(min(POLL_S, left))
                if session.error is not None:
                    raise self._unreachable(session.error)
            self._reserved[id] = size

    def return_credit(self, id: bytes) -> None:
        """The frame is not posted after all, or has ended; nothing happens the second time."""
        with self._lock:
            self._reserved.pop(id, None)
            self._changed.notify_all()

    def post(self, session: ClientSession, request: Pending) -> None:
        """Send a request, and see to it that its future ends.

        Raises ServerUnreachable where the server just left, InvalidRequest for what no message can carry.
        """
        id, header = request.message.id, encode(request.message)
        try:
            while (early := self._register(session, request)) is not None:
                if self._deliver(request, *early):
                    self._early_news.pop(id, None)
                    return
            session.send_encoded("data", header, request.parts)
        except BaseException:
            if self.is_under_way(id):
                # Ctrl-C: the future is lost, and perhaps the message. An id that comes twice is one request.
                session.send_encoded("data", header, request.parts)
                self.cancel(id)
            raise

    def is_under_way(self, id: bytes) -> bool:
        """Whether a request was posted and has not ended."""
        return id in self._under_way

    def cancel(self, id: bytes) -> None:
        """Ask the server to drop a request that is still under way; its terminal message follows."""
        with self._lock:
            session, _ = self._under_way.get(id, (None, None))
        if session is not None and session.error is None:
            session.send("control", Cancel(id))

    def require_may_wait(self) -> None:
        """Raise UsageError where a wait for a frame would not end: in a forked child, and in a callback."""
        if os.getpid() != self.pid:
            raise UsageError("expected a frame of this process, got one of its parent; submit it again")
        if (session := self._session) is not None:
            session.require_other_thread()

    def on_styles_changed(self, call: Callable[[int], None]) -> None:
        """Call with the library's revision whenever it changes, in a thread that may wait for the server."""
        if self._style_changes is not None:
            self._style_changes.put(-1)  # one callback at a time: the thread of the last one ends
        changes = self._style_changes = queue.SimpleQueue()

        def listen() -> None:
            while (revision := changes.get()) >= 0:
                call(revision)

        threading.Thread(target=listen, name="impasto-styles", daemon=True).start()

    def close(self) -> None:
        """Leave the server and end every future, within about a second."""
        if os.getpid() != self.pid:
            return  # the sockets are the parent's
        self._closed = True
        if (session := self._session) is not None:
            session.close()
        if self._style_changes is not None:
            self._style_changes.put(-1)
        self._fail(list(self._under_way), ServerError("the client was closed before the request ended"))

    # As the listener of a session, in the transport's thread.

    def request_news(self, message: RequestNews, parts: Sequence[Part]) -> None:
        """News of a request, or its end; what belongs to none, or comes a second time, is dropped."""
        with self._lock:
            if (early := self._early_news.get(message.id)) is not None:
                early.append((message, parts))
                return
            if isinstance(message, Queued | ShotStarted | ShotProgress):
                _, request = self._under_way.get(message.id, (None, None))
            else:
                request = self._remove(message.id)
        if request is not None:
            self._deliver(request, message, parts)

    def styles_changed(self, revision: int) -> None:
        """The library changed."""
        if self._style_changes is not None:
            self._style_changes.put(revision)

    def session_lost(self, session: ClientSession, error: ImpastoError) -> None:
        """Fail what was under way in the session."""
        session.close()
        self._mark_abandoned(session)
        with self._lock:
            lost = {id: request for id, (carrier, request) in self._under_way.items() if carrier is session}
            for id, request in lost.items():
                if isinstance(request, ShotRequest):
                    self._early_news[id] = deque(maxlen=EARLY_NEWS)
            self._changed.notify_all()
        if lost:
            self._fail(list(lost), self._unreachable(error))

    def _mark_abandoned(self, session: ClientSession) -> None:
        with self._lock:
            if any(
                carrier is session and isinstance(request, FrameRequest)
                for carrier, request in self._under_way.values()
            ):
                self._abandoned = session

    def _open(self, until: float, start: bool) -> ClientSession:
        self._require_open()
        if self._session is not None and self._session.error is None:
            return self._session
        before = self._session
        if before is not None:
            self._mark_abandoned(before)  # its own thread may not have come so far yet
        fresh = self._connect(before, until, start)
        try:
            self._require_open()
        except UsageError:
            fresh.close()
            raise
        self._sessions[:] = [fresh]
        if not fresh.welcome.resumed:
            self._early_news.clear()
        if fresh.error is not None:
            self.session_lost(fresh, fresh.error)
        return fresh

    def _require_open(self) -> None:
        if self._closed:
            raise UsageError("expected an open client, got one that was closed; connect again")

    def _connect(self, before: ClientSession | None, until: float, start: bool) -> ClientSession:
        """A session with the server that is there, once it has room: many clients may come back at the same time."""
        while True:
            endpoints = self._address.reach(start=start, timeout_s=max(0.0, until - time.monotonic()))
            left = max(0.0, until - time.monotonic())
            try:
                return ClientSession(
                    self._open_transport, endpoints, self._hello(before), self, left, self._address.may_run
                )
            except (ServerBusy, ServerUnreachable) as error:
                # A network that cut a connection may cut the next one before it stands.
                hopeless = isinstance(error, ServerUnreachable) and before is None
                pause = BUSY_S * (1 + random.random())
                if hopeless or time.monotonic() + pause >= until:
                    raise
                time.sleep(pause)

    def _hello(self, before: ClientSession | None) -> Hello:
        former = None if before is None else before.welcome.session
        abandoned = before is not None and before is self._abandoned
        return Hello(
            cleaned(self._options.name, limits.NAME_BYTES) or "python",
            limits.MAJOR,
            limits.MINOR,
            os.getpid(),
            cleaned(socket.gethostname(), 255),
            cleaned(user_name(), 64),
            self._options.lane,
            ("raw",) if self._address.local else encodings_here(),
            None if abandoned else former,
            self._options.control_only,
            former if abandoned else None,
        )

    def _register(self, session: ClientSession, request: Pending) -> tuple[RequestNews, Sequence[Part]] | None:
        """Note a request as under way; what is to be delivered to it before that, one message a call."""
        id = request.message.id
        with self._lock:
            if session.error is not None:
                raise self._unreachable(session.error)
            if early := self._early_news.get(id):
                return early.popleft()
            self._early_news.pop(id, None)
            if isinstance(request, FrameRequest):
                request.sent_at, request.alone = time.monotonic(), len(self._reserved) == 1
            self._under_way[id] = session, request
        return None

    def _deliver(self, request: Pending, message: RequestNews, parts: Sequence[Part]) -> bool:
        """Hand a message to its request; whether it was the terminal one."""
        if isinstance(message, Queued | ShotStarted | ShotProgress):
            request.note(message)
            return False
        if isinstance(request, FrameRequest) and isinstance(message, Done) and message.inline and request.alone:
            size = sum(memoryview(part).nbytes for part in (*request.parts, *parts))
            self.rate.note(size, time.monotonic() - request.sent_at - message.seconds.get("server", 0.0))
        request.end(message, parts)
        return True

    def _fail(self, ids: Sequence[bytes], error: ImpastoError) -> None:
        for id in ids:
            if (request := self._remove(id)) is not None:
                request.fail(error)

    def _remove(self, id: bytes) -> Pending | None:
        """Forget a request, and return the credit of a frame."""
        with self._lock:
            _, request = self._under_way.pop(id, (None, None))
        self.return_credit(id)
        return request

    def _unreachable(self, error: ImpastoError) -> ImpastoError:
        """What a request fails with that was under way when its session was lost."""
        if isinstance(error, UsageError):
            return error
        session = self._session
        who = f" (process {session.welcome.pid})" if session is not None and "(process" not in str(error) else ""
        return ServerUnreachable(f"{error}{who}{self._address.log_hint()}; the same request may succeed if sent again")


def _close_all(sessions: Sequence[ClientSession], pid: int) -> None:
    if os.getpid() == pid:  # in a forked child the sockets are the parent's
        for session in sessions:
            session.close()
