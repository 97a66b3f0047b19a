"""The client's two sockets and the one thread that owns them.

Everything above this file is written against `Transport` and `Listener`, so that it is tested without a socket.
A transport is used once: after a loss it is thrown away and another one opened, because a socket that reconnects by
itself would go on talking to a server that no longer knows it.
"""

from __future__ import annotations

import contextlib
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
from impasto.server.curve import ClientKeys
from impasto.server.protocol import limits
from impasto.server.protocol.codec import Part

Channel: TypeAlias = Literal["control", "data"]
CHANNELS: Final[tuple[Channel, ...]] = ("control", "data")

CLOSE_S: Final = 1.0
FAREWELL_MS: Final = 100
"""How long a goodbye may take to leave."""
HANDSHAKE_MS: Final = 5000
AT_ONCE: Final = 64
"""Messages that are taken from one socket before the others are looked at."""
QUEUED_PARTS: Final = {"control": 64, "data": 8}

_READ: Final = int(zmq.POLLIN)
_WRITE: Final = int(zmq.POLLOUT)
_LOST: Final = int(zmq.EVENT_DISCONNECTED)
_REFUSED: Final = int(
    zmq.EVENT_HANDSHAKE_FAILED_AUTH | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
)
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
    """Whoever is told what a transport hears, in the transport's own thread. Must not block."""

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

    def close(self) -> None:
        """Send what was handed over if that goes at once, and let go of everything within a second."""


OpenTransport: TypeAlias = Callable[[Route, Listener], Transport]


class SocketTransport:
    """A transport over ZeroMQ: two DEALER sockets in a context of their own, owned by one daemon thread."""

    def __init__(self, route: Route, listener: Listener) -> None:
        self._route = route
        self._listener = listener
        self._outbox: deque[tuple[Channel, Sequence[Part]]] = deque()
        self._closing = threading.Event()
        self._wake_out, self._wake_in = socket.socketpair()
        self._wake_out.setblocking(False)
        self._wake_in.setblocking(False)
        self._context = zmq.Context(io_threads=1)
        self._sockets: dict[Channel, zmq.Socket[bytes]] = {}
        self._monitors: dict[Channel, zmq.Socket[bytes]] = {}
        self._waiting: dict[Channel, deque[Sequence[Part]]] = {channel: deque() for channel in CHANNELS}
        try:
            for channel, endpoint in zip(CHANNELS, (route.control, route.data), strict=True):
                self._sockets[channel] = opened = self._context.socket(zmq.DEALER)
                _set_up(opened, channel, route.keys)
                self._monitors[channel] = opened.get_monitor_socket(_LOST | _REFUSED)
                opened.connect(endpoint)
        except (zmq.ZMQError, OSError, ValueError) as error:
            self._let_go(0)
            raise ServerUnreachable(f"expected a connection to {route.name}, got: {error}; try again") from error
        self._thread = threading.Thread(target=self._run, name="impasto-connection", daemon=True)
        self._thread.start()

    def send(self, channel: Channel, parts: Sequence[Part]) -> None:
        """Hand a message over, from any thread, without waiting. The parts must not change afterwards."""
        self._outbox.append((channel, parts))
        self._wake()

    def close(self) -> None:
        """Send what was handed over if that goes at once, and let go of everything within a second."""
        self._closing.set()
        self._wake()
        if threading.current_thread() is not self._thread:
            self._thread.join(CLOSE_S)

    def _wake(self) -> None:
        # It fails where it is full, so that the thread is awake anyway, or closed, so that there is none.
        with contextlib.suppress(OSError):
            self._wake_out.send(b"\0")

    def _run(self) -> None:
        error: ImpastoError | None = ServerUnreachable(
            f"the connection to {self._route.name} ended by an error of ours"
        )
        try:
            error = self._serve()
        except (zmq.ZMQError, OSError) as failure:
            error = ServerUnreachable(f"the connection to {self._route.name} failed: {failure}; try again")
        finally:
            farewell = error is None
            if error is not None and not self._closing.is_set():
                self._listener.lost(error)
            self._let_go(FAREWELL_MS if farewell else 0)

    def _serve(self) -> ImpastoError | None:
        """Carry messages until the connection is lost, which is returned, or `close` is called: None."""
        poller = zmq.Poller()
        for each in (*self._sockets.values(), *self._monitors.values(), self._wake_in):
            poller.register(each, _READ)
        stuck: set[Channel] = set()
        while not self._closing.is_set():
            for channel, opened in self._sockets.items():
                if bool(self._waiting[channel]) != (channel in stuck):
                    stuck ^= {channel}
                    poller.modify(opened, _READ | _WRITE if channel in stuck else _READ)
            wait_s = self._listener.tick(time.monotonic())
            ready = dict(poller.poll(max(0, int(wait_s * 1000) + 1)))
            if self._wake_in.fileno() in ready:
                self._drain_wakes()
            for channel, opened in self._sockets.items():
                if opened in ready:
                    self._receive(channel, opened)
            if any(monitor in ready for monitor in self._monitors.values()) and (error := self._loss()) is not None:
                # What came before a loss is heard before the loss is told.
                for channel, opened in self._sockets.items():
                    self._receive(channel, opened)
                return error
            self._send()
        self._send()
        return None

    def _drain_wakes(self) -> None:
        # What is left of very many wakes again, at once.
        with contextlib.suppress(BlockingIOError):
            self._wake_in.recv(4096)

    def _receive(self, channel: Channel, opened: zmq.Socket[bytes]) -> None:
        for _ in range(AT_ONCE):
            try:
                frames = opened.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                break
            # The samples of an inline result stay where ZeroMQ received them.
            parts = [each.bytes if place < 2 else each.buffer for place, each in enumerate(frames)]
            self._listener.heard(channel, parts)

    def _loss(self) -> ImpastoError | None:
        for monitor in self._monitors.values():
            while True:
                try:
                    event, _ = _EVENT.unpack(monitor.recv_multipart(zmq.NOBLOCK)[0])
                except zmq.Again:
                    break
                if event & _REFUSED and self._route.keys is not None:
                    return NotPermitted(
                        f"{self._route.name} did not accept this connection; make sure that its public key is the one "
                        f"given here, and have it run `impasto keys add` for this client's"
                    )
                # Without keys nobody refuses: the connection broke before it stood.
                if event & (_LOST | _REFUSED):
                    return ServerUnreachable(f"{self._route.name} closed the connection")
        return None

    def _send(self) -> None:
        while self._outbox:
            channel, parts = self._outbox.popleft()
            self._waiting[channel].append(parts)
        for channel, waiting in self._waiting.items():
            while waiting:
                try:
                    # ZeroMQ holds large parts until they have left, and copies small ones.
                    self._sockets[channel].send_multipart(waiting[0], zmq.NOBLOCK, copy=False)
                except zmq.Again:
                    break
                waiting.popleft()

    def _let_go(self, linger_ms: int) -> None:
        for opened in self._sockets.values():
            opened.disable_monitor()
        for each in (*self._monitors.values(), *self._sockets.values()):
            each.close(linger_ms)
        self._context.term()
        self._wake_in.close()
        self._wake_out.close()


def _set_up(opened: zmq.Socket[Any], channel: Channel, keys: ClientKeys | None) -> None:
    opened.setsockopt(zmq.LINGER, 0)
    opened.setsockopt(zmq.IMMEDIATE, 1)
    opened.setsockopt(zmq.SNDTIMEO, 0)
    opened.setsockopt(zmq.SNDHWM, QUEUED_PARTS[channel])
    opened.setsockopt(zmq.RCVHWM, QUEUED_PARTS[channel])
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
