"""The client's two sockets, and the one thread that uses them.

Any thread hands messages over; the transport's own thread sends them, and tells its listener what comes. So no caller
is ever in the middle of a socket when Ctrl-C, a fork or a garbage collection reaches it.

Everything above this file is written against `Transport` and `TransportListener`, so that it is tested without a
socket. A transport is used once: after a loss it is thrown away and another one opened, because a socket that
reconnects by itself would go on talking to a server that no longer knows it.
"""

from __future__ import annotations

import contextlib
import math
import os
import random
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TypeAlias

import zmq

from impasto.core.errors import ImpastoError, NotPermitted, ServerUnreachable
from impasto.core.frozen_dataclass import frozen_dataclass
from impasto.server.protocol import limits
from impasto.server.protocol.codec import Part
from impasto.server.zmq_parts import receive_frames, send_parts

if TYPE_CHECKING:
    from impasto.server.auth import ClientAuth

ChannelName: TypeAlias = Literal["control", "data"]
CHANNELS: Final[tuple[ChannelName, ...]] = ("control", "data")

CLOSE_S: Final = 1.0
GOODBYE_MS: Final = 100
"""How long a goodbye may take to leave."""
HANDSHAKE_MS: Final = 5000
AT_ONCE: Final = 64
"""Messages that are received from one socket before the other is looked at."""
QUEUED: Final = 64
"""Messages that ZeroMQ keeps for one socket."""

_LOST: Final = int(zmq.EVENT_DISCONNECTED)
_REFUSED: Final = int(
    zmq.EVENT_HANDSHAKE_FAILED_AUTH | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
)
_DENIED: Final = int(zmq.EVENT_HANDSHAKE_FAILED_AUTH)
_EVENT = struct.Struct("=hi")


@frozen_dataclass
class Endpoints:
    """Where a server's sockets are."""

    control: str
    data: str
    name: str
    """As a message names the server: "the server in '/run/user/1000/impasto'"."""
    auth: ClientAuth | None = None
    """None for a server of the same user on this machine."""


class TransportListener(Protocol):
    """Hears what a transport receives, in the transport's own thread. Must not block."""

    def heard(self, channel: ChannelName, parts: Sequence[Part]) -> None:
        """A message came."""

    def lost(self, error: ImpastoError) -> None:
        """The connection is gone and nothing comes any more. Called once, and not after `close`."""

    def tick(self, now: float) -> float:
        """Do what is due at this time of the monotonic clock; returns the seconds until the next call."""


class Transport(Protocol):
    """Carries messages to a server."""

    def send(self, channel: ChannelName, parts: Sequence[Part]) -> None:
        """Hand a message over, from any thread, without waiting. The parts must not change afterwards."""

    def close(self) -> None:
        """Send what was handed over if that goes at once, and release everything within a second."""


OpenTransport: TypeAlias = Callable[[Endpoints, TransportListener], Transport]


class SocketTransport:
    """A transport over ZeroMQ: two DEALER sockets in a context of their own, and a daemon thread that owns them."""

    def __init__(self, endpoints: Endpoints, listener: TransportListener) -> None:
        self._endpoints = endpoints
        self._listener = listener
        self._pid = os.getpid()
        self._closing = False
        self._handed_over: deque[tuple[ChannelName, Sequence[Part]]] = deque()
        self._unsent: dict[ChannelName, deque[Sequence[Part]]] = {channel: deque() for channel in CHANNELS}
        self._wake_out, self._wake_in = socket.socketpair()
        self._wake_out.setblocking(False)
        self._wake_in.setblocking(False)
        self._context = zmq.Context(io_threads=1)
        self._sockets: dict[ChannelName, zmq.Socket[bytes]] = {}
        self._monitors: list[zmq.Socket[bytes]] = []
        try:
            for channel, endpoint in zip(CHANNELS, (endpoints.control, endpoints.data), strict=True):
                self._sockets[channel] = opened = self._context.socket(zmq.DEALER)
                _configure(opened, channel, endpoints.auth)
                self._monitors.append(opened.get_monitor_socket(_LOST | _REFUSED))
                opened.connect(endpoint)
        except (zmq.ZMQError, OSError, ValueError) as error:
            self._release(0)
            raise ServerUnreachable(f"expected a connection to {endpoints.name}, got: {error}; try again") from error
        self._thread = threading.Thread(target=self._run, name="impasto-connection", daemon=True)
        self._thread.start()

    def send(self, channel: ChannelName, parts: Sequence[Part]) -> None:
        """Hand a message over, from any thread, without waiting. The parts must not change afterwards."""
        if os.getpid() == self._pid:  # in a forked child the sockets are the parent's
            self._handed_over.append((channel, parts))
            self._wake()

    def close(self) -> None:
        """Send what was handed over if that goes at once, and release everything within a second."""
        if os.getpid() != self._pid:
            return
        self._closing = True
        self._wake()
        if threading.get_ident() != self._thread.ident:  # a garbage collection may close a client anywhere
            self._thread.join(CLOSE_S)

    def _wake(self) -> None:
        # It fails where the pipe is full, so that the thread is awake anyway, or closed, so that there is none.
        with contextlib.suppress(OSError):
            self._wake_out.send(b"\0")

    def _run(self) -> None:
        loss: ImpastoError | None = ServerUnreachable(
            f"the connection to {self._endpoints.name} ended by an error of the client"
        )
        try:
            loss = self._serve()
        except (zmq.ZMQError, OSError) as failure:
            loss = ServerUnreachable(f"the connection to {self._endpoints.name} failed: {failure}; try again")
        finally:
            if loss is not None and not self._closing:
                self._listener.lost(loss)
            self._release(GOODBYE_MS if self._closing else 0)

    def _serve(self) -> ImpastoError | None:
        """Carry messages until the connection is lost, which is returned, or `close` is called: None."""
        poller = zmq.Poller()
        poller.register(self._wake_in, zmq.POLLIN)
        for monitor in self._monitors:
            poller.register(monitor, zmq.POLLIN)
        while not self._closing:
            wait_s = max(0.0, self._listener.tick(time.monotonic()))
            for channel, opened in self._sockets.items():
                poller.register(opened, zmq.POLLIN | zmq.POLLOUT if self._unsent[channel] else zmq.POLLIN)
            ready = dict(poller.poll(math.ceil(1000 * wait_s)))
            if self._wake_in.fileno() in ready:
                self._wake_in.recv(4096)
            self._send_what_fits()
            for channel, opened in self._sockets.items():
                if opened in ready:
                    self._receive(channel, AT_ONCE)
            if not ready.keys().isdisjoint(self._monitors) and (loss := self._loss()) is not None:
                # What came before a loss is heard before the loss.
                for channel in CHANNELS:
                    self._receive(channel, QUEUED)
                return loss
        return None

    def _send_what_fits(self) -> None:
        while self._handed_over:
            channel, parts = self._handed_over.popleft()
            self._unsent[channel].append(parts)
        for channel, unsent in self._unsent.items():
            with contextlib.suppress(zmq.Again):
                while unsent:
                    # ZeroMQ holds samples until they have left, and copies a message without any.
                    send_parts(self._sockets[channel], unsent[0], copy=len(unsent[0]) == 2)
                    unsent.popleft()

    def _receive(self, channel: ChannelName, at_most: int) -> None:
        with contextlib.suppress(zmq.Again):
            for _ in range(at_most):
                frames = receive_frames(self._sockets[channel])
                # The samples of an inline result stay where ZeroMQ received them.
                parts: list[Part] = [frame.buffer if index > 1 else frame.bytes for index, frame in enumerate(frames)]
                self._listener.heard(channel, parts)

    def _loss(self) -> ImpastoError | None:
        """What the monitors say of the connection, None where it stands."""
        with_keys, name = self._endpoints.auth is not None, self._endpoints.name
        for monitor in self._monitors:
            while monitor.poll(0):
                event, _ = _EVENT.unpack(monitor.recv_multipart(zmq.NOBLOCK)[0])
                if event & _DENIED and with_keys:
                    return NotPermitted(
                        f"{name} did not accept this client's key; have its owner run `impasto auth add` for it"
                    )
                # A server of another key than the one given here ends the handshake without a word, as a cable does
                # that was pulled. Without keys nobody refuses.
                if event & _REFUSED and with_keys:
                    return ServerUnreachable(
                        f"{name} ended the connection before it stood; try again, and if it stays so, make sure that "
                        f"its public key is the one given here"
                    )
                if event & (_LOST | _REFUSED):
                    return ServerUnreachable(f"{name} closed the connection")
        return None

    def _release(self, linger_ms: int) -> None:
        """Close the sockets, the context and the wake-up pipe."""
        if linger_ms:
            with contextlib.suppress(zmq.ZMQError):
                self._send_what_fits()
        for opened in self._sockets.values():
            opened.disable_monitor()
        for each in (*self._monitors, *self._sockets.values()):
            each.close(linger_ms)
        self._context.term()
        self._wake_in.close()
        self._wake_out.close()


def _configure(opened: zmq.Socket[Any], channel: ChannelName, auth: ClientAuth | None) -> None:
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
    if auth is not None:
        opened.setsockopt(zmq.IPV6, 1)
        opened.setsockopt(zmq.CONNECT_TIMEOUT, HANDSHAKE_MS)
        opened.setsockopt(zmq.TCP_KEEPALIVE, 1)
        opened.setsockopt(zmq.CURVE_PUBLICKEY, auth.public)
        opened.setsockopt(zmq.CURVE_SECRETKEY, auth.secret)
        opened.setsockopt(zmq.CURVE_SERVERKEY, auth.server)
