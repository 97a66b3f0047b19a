"""The client's two sockets, and who carries messages over them.

A thread of the connection's own reads what comes, unless a caller that waits for an answer does so itself
(`impasto.server.helm`). Whoever has a message sends it at once. A lock guards the sockets, because ZeroMQ's own are
used by one thread at a time.

Everything above this file is written against `Transport` and `Listener`, so that it is tested without a socket.
A transport is used once: after a loss it is thrown away and another one opened, because a socket that reconnects by
itself would go on talking to a server that no longer knows it.
"""

from __future__ import annotations

import contextlib
import os
import random
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol, TypeAlias

import zmq

from impasto.core.errors import ImpastoError, NotPermitted, ServerUnreachable
from impasto.server.client_keys import ClientKeys
from impasto.server.helm import Helm
from impasto.server.protocol import limits
from impasto.server.protocol.codec import Part
from impasto.server.zmq_parts import receive_frames, send_parts

Channel: TypeAlias = Literal["control", "data"]
CHANNELS: Final[tuple[Channel, ...]] = ("control", "data")

CLOSE_S: Final = 1.0
FAREWELL_MS: Final = 100
"""How long a goodbye may take to leave."""
HANDSHAKE_MS: Final = 5000
AT_ONCE: Final = 64
"""Messages that are taken from one socket before the others are looked at."""
QUEUED: Final = 64
"""Messages that ZeroMQ keeps for one socket. It wakes who sends for every half of as many that have left."""
LOOK_S: Final = 0.1
"""How often a caller that reads looks whether what it waits for came about in another way."""

_EVENTS: Final = int(zmq.EVENTS)
_READ: Final = int(zmq.POLLIN)
_WRITE: Final = int(zmq.POLLOUT)
_LOST: Final = int(zmq.EVENT_DISCONNECTED)
_REFUSED: Final = int(
    zmq.EVENT_HANDSHAKE_FAILED_AUTH | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
)
_DENIED: Final = int(zmq.EVENT_HANDSHAKE_FAILED_AUTH)
_EVENT = struct.Struct("=hi")


@dataclass(frozen=True, slots=True)
class Route:
    """Where a server is."""

    control: str
    data: str
    name: str
    """As a message names it: "the server in '/run/user/1000/impasto'"."""
    keys: ClientKeys | None = None

    @property
    def local(self) -> bool:
        """Whether it is on this machine, by the same user."""
        return self.keys is None


class Listener(Protocol):
    """Whoever is told what a transport hears, by one thread at a time. Must not block."""

    def heard(self, channel: Channel, parts: Sequence[Part]) -> None:
        """A message came."""

    def lost(self, error: ImpastoError) -> None:
        """The connection is gone, and nothing comes any more; told once, and not after `close`."""

    def tick(self, now: float) -> float:
        """Whatever is due at this time of the monotonic clock; returns the seconds until it is asked again."""


class Transport(Protocol):
    """The way to a server."""

    def send(self, channel: Channel, parts: Sequence[Part]) -> None:
        """Hand a message over, from any thread, without waiting. The parts must not change afterwards."""

    def steer(self, over: Callable[[], bool], until: float) -> None:
        """Tell the listener what comes, in this thread, until it is `over` or that time of the monotonic clock.

        Returns sooner, at once even, where another thread does so already or the connection ends.
        """

    def close(self) -> None:
        """Send what was handed over if that goes at once, and let go of everything within a second."""


OpenTransport: TypeAlias = Callable[[Route, Listener], Transport]


class SocketTransport:
    """A transport over ZeroMQ: two DEALER sockets in a context of their own, and a daemon thread."""

    def __init__(self, route: Route, listener: Listener) -> None:
        self._route = route
        self._listener = listener
        self._pid = os.getpid()
        self._closing = False
        self._error: ImpastoError | None = None
        """Why the connection is at its end; the own thread tells."""
        self._wake_out, self._wake_in = socket.socketpair()
        self._wake_out.setblocking(False)
        self._wake_in.setblocking(False)
        self._context = zmq.Context(io_threads=1)
        self._lock = threading.Lock()
        """Held for every use of a socket."""
        self._sockets: dict[Channel, zmq.Socket[bytes]] = {}
        self._monitors: dict[Channel, zmq.Socket[bytes]] = {}
        self._waiting: dict[Channel, deque[Sequence[Part]]] = {channel: deque() for channel in CHANNELS}
        try:
            for channel, endpoint in zip(CHANNELS, (route.control, route.data), strict=True):
                self._sockets[channel] = opened = self._context.socket(zmq.DEALER)
                _set_up(opened, channel, route.keys)
                self._monitors[channel] = opened.get_monitor_socket(_LOST | _REFUSED)
                opened.connect(endpoint)
            self._files = {channel: int(opened.fd) for channel, opened in self._sockets.items()}
            self._alarms = {int(monitor.fd) for monitor in self._monitors.values()}
            self._helm = Helm((*self._files.values(), *self._alarms, self._wake_in.fileno()))
        except (zmq.ZMQError, OSError, ValueError) as error:
            self._let_go(0)
            raise ServerUnreachable(f"expected a connection to {route.name}, got: {error}; try again") from error
        self._wake()  # the files tell of nothing before each socket was asked once
        self._thread = threading.Thread(target=self._run, name="impasto-connection", daemon=True)
        self._thread.start()

    def send(self, channel: Channel, parts: Sequence[Part]) -> None:
        """Hand a message over, from any thread, without waiting. The parts must not change afterwards."""
        if os.getpid() != self._pid:
            return  # the sockets are the parent's
        self._waiting[channel].append(parts)
        if threading.get_ident() == self._thread.ident:
            # Perhaps in the middle of its use of a socket: a garbage collection has a client say goodbye.
            self._wake()
            return
        with self._lock:
            opened = self._sockets.get(channel)
            try:
                overheard = opened is not None and self._push(channel, opened)
            except (zmq.ZMQError, OSError):
                return  # the own thread tells
        if overheard:
            self._wake()

    def steer(self, over: Callable[[], bool], until: float) -> None:
        """See `Transport`."""
        if os.getpid() != self._pid or self._helm.holder == threading.get_ident():
            return  # the sockets are the parent's; or a handler of signals asks, amid our own steering
        try:
            try:
                if self._helm.take_over():
                    self._steer(over, until)
            finally:
                self._helm.give_back()
        finally:
            self._helm.give_back()  # for the Ctrl-C that came in the middle of it

    def close(self) -> None:
        """Send what was handed over if that goes at once, and let go of everything within a second."""
        self._closing = True
        self._wake()
        if threading.get_ident() not in (self._thread.ident, self._helm.holder):  # which would wait for themselves
            self._thread.join(CLOSE_S)

    def _wake(self) -> None:
        # It fails where it is full, so that the thread is awake anyway, or closed, so that there is none.
        with contextlib.suppress(OSError):
            self._wake_out.send(b"\0")

    def _run(self) -> None:
        ended: ImpastoError | None = ServerUnreachable(
            f"the connection to {self._route.name} ended by an error of ours"
        )
        try:
            ended = self._serve()
        finally:
            if ended is not None and not self._closing:
                self._listener.lost(ended)
            self._helm.close()
            self._let_go(FAREWELL_MS if ended is None else 0)

    def _serve(self) -> ImpastoError | None:
        """Carry messages until the connection is lost, which is returned, or `close` is called: None."""
        while not self._closing and self._error is None:
            ready = self._helm.wait(max(0.0, self._listener.tick(time.monotonic())))
            if ready is not None:
                try:
                    self._attend(ready)
                finally:
                    self._helm.release()
        return None if self._closing else self._error

    def _steer(self, over: Callable[[], bool], until: float) -> None:
        """See `Transport`; for who has taken over."""
        while not (over() or self._error is not None or self._closing):
            left = until - time.monotonic()
            if left <= 0:
                return
            ready = self._helm.poll(min(left, LOOK_S))
            try:
                self._attend(ready)
            except BaseException:
                self._error = self._interrupted()
                raise
            finally:
                if self._error is not None:
                    self._wake()  # its own thread tells, and lets go

    def _attend(self, ready: set[int]) -> None:
        """See to the files that are ready; for who has the helm."""
        try:
            woken = self._wake_in.fileno() in ready
            # Left where it is while the connection ends, so that it wakes its own thread too.
            if woken and not self._closing:
                self._drain_wakes()
            for channel, file in self._files.items():
                if woken or file in ready:
                    self._receive(channel)
            if (woken or not ready.isdisjoint(self._alarms)) and (error := self._loss()) is not None:
                # What came before a loss is heard before the loss is told.
                for channel in CHANNELS:
                    self._receive(channel)
                self._error = error
        except (zmq.ZMQError, OSError) as failure:
            self._error = self._failed(failure)

    def _failed(self, failure: BaseException) -> ImpastoError:
        return ServerUnreachable(f"the connection to {self._route.name} failed: {failure}; try again")

    def _interrupted(self) -> ImpastoError:
        # By Ctrl-C, for instance. What was half said or half heard is asked for again over another connection.
        return ServerUnreachable(f"the connection to {self._route.name} was interrupted")

    def _drain_wakes(self) -> None:
        # What is left of very many wakes again, at once.
        with contextlib.suppress(BlockingIOError):
            self._wake_in.recv(4096)

    def _receive(self, channel: Channel) -> None:
        opened = self._sockets[channel]
        for _ in range(AT_ONCE):
            with self._lock:
                if not self._push(channel, opened):
                    return
                frames = receive_frames(opened)
            # The samples of an inline result stay where ZeroMQ received them.
            parts: list[Part] = [frame.buffer if index > 1 else frame.bytes for index, frame in enumerate(frames)]
            self._listener.heard(channel, parts)
        self._wake()

    def _push(self, channel: Channel, opened: zmq.Socket[bytes]) -> bool:
        """See `push`; with the lock held."""
        if self._error is not None:
            return False
        try:
            return push(opened, self._waiting[channel])
        except BaseException as failure:
            # A message may be half sent; no other may follow it.
            by_zeromq = isinstance(failure, zmq.ZMQError | OSError)
            self._error = self._failed(failure) if by_zeromq else self._interrupted()
            self._wake()
            raise

    def _loss(self) -> ImpastoError | None:
        for monitor in self._monitors.values():
            while True:
                try:
                    event, _ = _EVENT.unpack(monitor.recv_multipart(zmq.NOBLOCK)[0])
                except zmq.Again:
                    break
                if event & _DENIED and self._route.keys is not None:
                    return NotPermitted(
                        f"{self._route.name} did not accept this client's key; have its owner run `impasto auth add` "
                        f"for it"
                    )
                # A server of another key than the one given here ends the handshake without a word, as a cable does
                # that was pulled. Without keys nobody refuses.
                if event & _REFUSED and self._route.keys is not None:
                    return ServerUnreachable(
                        f"{self._route.name} ended the connection before it stood; try again, and if it stays so, make "
                        f"sure that its public key is the one given here"
                    )
                if event & (_LOST | _REFUSED):
                    return ServerUnreachable(f"{self._route.name} closed the connection")
        return None

    def _let_go(self, linger_ms: int) -> None:
        with self._lock:
            for channel, opened in self._sockets.items():
                if linger_ms:
                    with contextlib.suppress(zmq.ZMQError):
                        self._push(channel, opened)
                opened.disable_monitor()
            for each in (*self._monitors.values(), *self._sockets.values()):
                each.close(linger_ms)
            self._sockets.clear()
        self._context.term()
        self._wake_in.close()
        self._wake_out.close()


def push(opened: zmq.Socket[bytes], waiting: deque[Sequence[Part]]) -> bool:
    """Send what can be sent now; whether something is there to be read.

    A socket's file tells of news once, and any use of the socket may take them in. So the last use here asks what they
    were; where they are that there is room, it was not the last.
    """
    while True:
        with contextlib.suppress(zmq.Again):
            while waiting:
                # ZeroMQ holds samples until they have left, and copies the rest.
                send_parts(opened, waiting[0], copy=len(waiting[0]) == 2)
                waiting.popleft()
        events = int(opened.getsockopt(_EVENTS))
        if not (waiting and events & _WRITE):
            return bool(events & _READ)


def _set_up(opened: zmq.Socket[Any], channel: Channel, keys: ClientKeys | None) -> None:
    opened.setsockopt(zmq.LINGER, 0)
    opened.setsockopt(zmq.IMMEDIATE, 1)
    opened.setsockopt(zmq.SNDTIMEO, 0)
    opened.setsockopt(zmq.SNDHWM, QUEUED)
    opened.setsockopt(zmq.RCVHWM, QUEUED)
    # Clients that lost the same server do not come back in step.
    opened.setsockopt(zmq.RECONNECT_IVL, 20 + random.randrange(80))
    opened.setsockopt(zmq.RECONNECT_IVL_MAX, 2000)
    opened.setsockopt(zmq.HANDSHAKE_IVL, HANDSHAKE_MS)
    opened.setsockopt(zmq.MAXMSGSIZE, limits.RAW_BYTES + limits.HEADER_BYTES)
    if channel == "control":
        # Not on data: a heartbeat that waits behind pixels would end a sound connection.
        opened.setsockopt(zmq.HEARTBEAT_IVL, 2000)
        opened.setsockopt(zmq.HEARTBEAT_TIMEOUT, 6000)
        opened.setsockopt(zmq.HEARTBEAT_TTL, 10_000)
    if keys is not None:
        opened.setsockopt(zmq.IPV6, 1)
        opened.setsockopt(zmq.CONNECT_TIMEOUT, HANDSHAKE_MS)
        opened.setsockopt(zmq.TCP_KEEPALIVE, 1)
        opened.setsockopt(zmq.CURVE_PUBLICKEY, keys.public)
        opened.setsockopt(zmq.CURVE_SECRETKEY, keys.secret)
        opened.setsockopt(zmq.CURVE_SERVERKEY, keys.server)
