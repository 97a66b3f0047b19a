"""The client's requests that are under way, over however many connections they take.

A connection that is lost is opened again. Where the server is the same and still knows the session, the requests
are asked again under their ids, so that nothing is painted twice. Where it is another one they fail with
ServerUnreachable: whoever asked knows best whether the frame is still wanted. `Client.render_shot`
asks again by itself.
"""

from __future__ import annotations

import os
import queue
import random
import socket
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from impasto.core.errors import ImpastoError, ServerBusy, ServerError, ServerUnreachable, UsageError
from impasto.server.client.address import Place
from impasto.server.client.futures import FrameRequest, Request
from impasto.server.client.link_rate import LinkRate
from impasto.server.client.session import About, Conversation, user_name
from impasto.server.client.transport import OpenTransport
from impasto.server.protocol import limits
from impasto.server.protocol.codec import Part, encode
from impasto.server.protocol.compression import encodings_here
from impasto.server.protocol.messages import Cancel, Done, Hello, Lane, Queued, ShotProgress, ShotStarted
from impasto.server.protocol.text import cleaned

RECOVER_S: Final = 5.0
"""How long requests that were under way wait for the connection to come back."""
BUSY_S: Final = 0.2
SENT_AGAIN: Final = 3
"""Times that a request is carried over to another connection."""
LOOK_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who asks, and how."""

    name: str
    lane: Lane
    start: bool
    """Whether a server that is not there is started."""
    control_only: bool = False
    """Nothing will be rendered, so that the server has room for it where it has none for others."""


class Desk:
    """The requests of one client and the conversation that they are in. Made anew in a forked child."""

    def __init__(self, place: Place, visitor: Visitor, open_transport: OpenTransport) -> None:
        self._place, self._visitor, self._open_transport = place, visitor, open_transport
        self.pid = os.getpid()
        self._gate = threading.Lock()
        """Held while a connection is opened."""
        self._room = threading.Condition()
        """Guards everything below; told whenever a request ends."""
        self._talks: list[Conversation] = []
        """The newest conversation alone, in a list that outlives this object for its finaliser."""
        self._requests: dict[bytes, Request] = {}
        self._promised = self._promised_bytes = 0
        self._given_up: Conversation | None = None
        """Its requests were failed here while its server may still paint them: its session is not gone on with."""
        self._closed = False
        self._bell: queue.SimpleQueue[int] | None = None
        self._finaliser = weakref.finalize(self, _close_all, self._talks, self.pid)
        self.rate = LinkRate(packed_first=place.far)

    @property
    def _talk(self) -> Conversation | None:
        return self._talks[0] if self._talks else None

    def talk(self, timeout_s: float, *, start: bool | None = None) -> Conversation:
        """The conversation with the server; opened, and the server started, where there is none.

        Raises ServerUnreachable, and whatever the server refuses with.
        """
        until = time.monotonic() + timeout_s
        talk = self._talk
        if talk is not None and talk.error is None and not self._closed:
            return talk
        if not self._gate.acquire(timeout=max(0.0, timeout_s)):
            raise ServerUnreachable(f"expected a connection within {timeout_s:g} s, another thread still waits for it")
        try:
            if self._closed:
                raise UsageError("expected an open client, got one that was closed; connect again")
            if self._talk is not None and self._talk.error is None:
                return self._talk
            return self._open(until, self._visitor.start if start is None else start)
        finally:
            self._gate.release()

    def promise(self, talk: Conversation, size: int, until: float) -> None:
        """Wait until the session's credit has room for a frame of this size. Raises ServerBusy after `until`.

        Whoever has room posts the request, or calls `break_promise`.
        """
        welcome = talk.welcome
        with self._room:
            while self._promised >= max(1, welcome.credit_frames) or (
                self._promised and self._promised_bytes + size > welcome.credit_bytes
            ):
                left = until - time.monotonic()
                if left <= 0:
                    raise ServerBusy(
                        f"expected room for a frame request, {self._promised} of {welcome.credit_frames} are under "
                        f"way; wait for one of them, or cancel it"
                    )
                talk.require_other_thread()
                self._room.wait(min(LOOK_S, left))
                if talk.error is not None:
                    raise self._obituary(talk.error)
            self._promised += 1
            self._promised_bytes += size

    def break_promise(self, size: int) -> None:
        """The frame is not posted after all, or has ended."""
        with self._room:
            self._promised -= 1
            self._promised_bytes -= size
            self._room.notify_all()

    def post(self, talk: Conversation, request: Request) -> None:
        """Send a request, and see to it that its future ends.

        Raises ServerUnreachable where the server just left, InvalidRequest for what no message can carry.
        """
        header = encode(request.message)
        with self._room:
            if talk.error is not None:
                raise self._obituary(talk.error)
            if isinstance(request, FrameRequest):
                request.sent_at, request.alone = time.monotonic(), self._promised == 1
            self._requests[request.message.id] = request
        talk.hand_over("data", header, request.parts)

    def take_back(self, id: bytes) -> None:
        """Cancel a request, if it is still under way; its terminal message follows."""
        with self._room:
            request, talk = self._requests.get(id), self._talk
            if request is not None:
                request.taken_back = True
        if request is not None and talk is not None and talk.error is None:
            talk.tell("control", Cancel(id))

    def steer(self, over: Callable[[], bool], until: float) -> None:
        """Read what the server says in this thread, which has to wait; see `Transport.steer`. Raises UsageError."""
        if os.getpid() != self.pid:
            raise UsageError("expected a frame of this process, got one of its parent; submit it again")
        if (talk := self._talk) is not None and talk.error is None:
            talk.steer(over, until)

    def on_styles_changed(self, call: Callable[[int], None]) -> None:
        """Call with the library's revision whenever it changes, in a thread that may wait for the server."""
        if self._bell is not None:
            self._bell.put(-1)  # one callback at a time: the listener of the last one ends
        bell = self._bell = queue.SimpleQueue()

        def listen() -> None:
            while (revision := bell.get()) >= 0:
                call(revision)

        threading.Thread(target=listen, name="impasto-styles", daemon=True).start()

    def close(self) -> None:
        """Leave the server and end every future, within about a second."""
        if os.getpid() != self.pid:
            return  # the sockets are the parent's
        self._closed = True
        if (talk := self._talk) is not None:
            talk.close()
        if self._bell is not None:
            self._bell.put(-1)
        self._fail_all(ServerError("the client was closed before the request ended"))

    # As the ears of a conversation, in its connection's thread.

    def about_request(self, talk: Conversation, message: About, parts: Sequence[Part]) -> None:
        """News of a request, or its end; what belongs to none, or comes a second time, is dropped."""
        if isinstance(message, Queued | ShotStarted | ShotProgress):
            if (heard := self._requests.get(message.id)) is not None:
                heard.hear(message)
            return
        with self._room:
            request = self._requests.get(message.id)
            if request is not None:
                self._drop(request)
        if request is None:
            return
        if isinstance(request, FrameRequest) and isinstance(message, Done) and message.inline and request.alone:
            size = sum(memoryview(part).nbytes for part in (*request.parts, *parts))
            self.rate.note(size, time.monotonic() - request.sent_at - message.seconds.get("server", 0.0))
        try:
            request.end(message, parts)
        except BaseException:  # Ctrl-C: nobody else knows this request any more
            if not request.future.done():
                request.fail(ServerUnreachable("the answer was interrupted; submit it again"))
            raise

    def styles_changed(self, revision: int) -> None:
        """The library changed."""
        if self._bell is not None:
            self._bell.put(revision)

    def lost(self, talk: Conversation, error: ImpastoError) -> None:
        """Try to go on with what was under way, in a thread of its own: this one ends with its connection."""
        talk.close()
        with self._room:
            wanted = talk is self._talk and bool(self._requests) and not self._closed
            self._room.notify_all()
        if wanted:
            threading.Thread(target=self._recover, name="impasto-recovery", daemon=True).start()

    def _recover(self) -> None:
        before = self._talk
        try:
            self.talk(RECOVER_S, start=False)
        except ImpastoError as error:
            # A call of the host may have had more patience, and have opened a connection meanwhile.
            if before is not None and before is self._talk:
                with self._room:
                    if any(isinstance(request, FrameRequest) for request in self._requests.values()):
                        # Its pairs are free again here, while the server may still paint them. Shots share no memory.
                        self._given_up = before
                self._fail_all(self._obituary(before.error or error))

    def _open(self, until: float, start: bool) -> Conversation:
        before = self._talk
        fresh = self._shake_hands(before, until, start)
        if self._closed:
            fresh.close()
            raise UsageError("expected an open client, got one that was closed meanwhile; connect again")
        self._talks[:] = [fresh]
        if before is not None:
            self._carry_over(before, fresh)
        if fresh.error is not None:
            self.lost(fresh, fresh.error)
        return fresh

    def _shake_hands(self, before: Conversation | None, until: float, start: bool) -> Conversation:
        """A conversation with whoever is there, once they have room: many clients may come back at the same time."""
        while True:
            route = self._place.reach(start=start, timeout_s=max(0.0, until - time.monotonic()))
            left = max(0.0, until - time.monotonic())
            try:
                return Conversation(
                    self._open_transport, route, self._hello(before), self, left, self._place.still_there
                )
            except (ServerBusy, ServerUnreachable) as error:
                # A network that cut a connection may cut the next one before it stands.
                hopeless = isinstance(error, ServerUnreachable) and (before is None or not self._place.still_there())
                pause = BUSY_S * (1 + random.random())
                if hopeless or time.monotonic() + pause >= until:
                    raise
                time.sleep(pause)

    def _hello(self, before: Conversation | None) -> Hello:
        return Hello(
            cleaned(self._visitor.name, limits.NAME_BYTES) or "python",
            limits.MAJOR,
            limits.MINOR,
            os.getpid(),
            cleaned(socket.gethostname(), 255),
            cleaned(user_name(), 64),
            self._visitor.lane,
            ("raw",) if self._place.local else encodings_here(),
            None if before is None or before is self._given_up else before.welcome.session,
            self._visitor.control_only,
            None if before is None or before is not self._given_up else before.welcome.session,
        )

    def _carry_over(self, before: Conversation, fresh: Conversation) -> None:
        """Ask again in the same session, under the same ids; in another session everything has failed."""
        if not fresh.welcome.resumed or fresh.welcome.boot != before.welcome.boot:
            self._fail_all(self._obituary(before.error or ServerUnreachable("the server was replaced")))
            return
        error = self._obituary(before.error or ServerUnreachable("the connection was lost"))
        with self._room:
            requests = list(self._requests.values())
            for request in requests:
                request.sent_again += 1
            worn = [request for request in requests if request.sent_again > SENT_AGAIN]
            owing = [request for request in worn if isinstance(request, FrameRequest) and request.ring is not None]
            for request in worn:
                if request not in owing or request.sent_again > SENT_AGAIN + 1:
                    self._drop(request)
        for request in requests:
            if request.message.id in self._requests:
                fresh.tell("data", request.message, request.parts)
                if request.taken_back or request in worn:  # while nobody could be told, or now
                    fresh.tell("control", Cancel(request.message.id))
        for request in worn:
            if request not in owing:
                request.fail(error)
        for frame in owing:
            # Its answer, asked for a last time, says when its pair is free again.
            if not frame.future.done():
                frame.give_up(error)
            else:
                frame.lose_pair()

    def _fail_all(self, error: ImpastoError) -> None:
        with self._room:
            requests = list(self._requests.values())
            for request in requests:
                self._drop(request)
        for request in requests:
            request.fail(error)

    def _drop(self, request: Request) -> None:
        """Forget a request, with the lock held."""
        self._requests.pop(request.message.id, None)
        if isinstance(request, FrameRequest):
            self._promised -= 1
            self._promised_bytes -= request.size
            self._room.notify_all()

    def _obituary(self, error: ImpastoError) -> ImpastoError:
        """What a request that was under way fails with."""
        if isinstance(error, UsageError):
            return error
        talk = self._talk
        who = f" (process {talk.welcome.pid})" if talk is not None and "(process" not in str(error) else ""
        return ServerUnreachable(f"{error}{who}{self._place.last_words()}; the same request may succeed if sent again")


def _close_all(talks: Sequence[Conversation], pid: int) -> None:
    if os.getpid() == pid:  # in a forked child the sockets are the parent's
        for talk in talks:
            talk.close()
