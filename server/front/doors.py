"""The server's sockets: control and data, for this machine and, where it listens, for others.

Nothing waits here. ROUTER sockets say when a peer is gone or takes no more, instead of dropping what is sent to it;
identities are ZeroMQ's own, so that nobody can take another's answers; nothing lingers.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import zmq
from zmq.auth.thread import ThreadAuthenticator
from zmq.utils.monitor import recv_monitor_message

from impasto.core.errors import ServerError, UsageError
from impasto.server.front.gate import Gate
from impasto.server.front.post import Channel, Delivery, Receipt, Route
from impasto.server.keys import KeyPair
from impasto.server.protocol.codec import Part
from impasto.server.protocol.limits import HEADER_BYTES, PARTS
from impasto.server.runtime import control_endpoint, data_endpoint

LINGER_MS: Final = 500
HANDSHAKE_MS: Final = 5_000
BACKLOG: Final = 64
CONTROL_LETTERS: Final = 64
DATA_LETTERS: Final = 16
"""What ZeroMQ keeps for one peer; what is more waits in the front's own outboxes, where its bytes are counted."""
LARGEST_CONTROL: Final = 4 * HEADER_BYTES
"""Of one part. Above a header's limit, so that a header that is too long can be answered instead of cut off."""
DOMAIN: Final = "impasto"
"""Of ZeroMQ's authentication: sockets without one are not asked about, and nobody is let into one that is unknown."""
HEARTBEAT_MS: Final = 2_000
HEARTBEAT_TIMEOUT_MS: Final = 6_000
HEARTBEAT_TTL_MS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message as it came, by whom."""

    route: Route
    key: str
    """The public key of the connection (Z85); empty on this machine."""
    parts: Sequence[Part]


@dataclass(frozen=True, slots=True)
class Network:
    """Where to listen for other machines, and by which keys."""

    listen: str
    """'tcp://HOST:PORT'; data is on the next port."""
    keys: KeyPair
    gate: Gate


class Doors:
    """The sockets of a server, from `bind` to `close`. One owner, one thread."""

    def __init__(self, folder: Path, largest_bytes: int, network: Network | None = None) -> None:
        """Binds. Raises ServerError where an address cannot be had, UsageError where it is none."""
        self._context = zmq.Context(1 if network is None else 2)
        self._context.linger = 0
        self._sockets: dict[tuple[bool, Channel], zmq.Socket[bytes]] = {}
        self._monitors: list[zmq.Socket[bytes]] = []
        self._authenticator: ThreadAuthenticator | None = None
        self.endpoints: tuple[str, ...] = ()
        try:
            for channel, endpoint in (
                (Channel.CONTROL, control_endpoint(folder)),
                (Channel.DATA, data_endpoint(folder)),
            ):
                self._bind(True, channel, endpoint, largest_bytes)
                Path(endpoint.removeprefix("ipc://")).chmod(0o600)
            if network is not None:
                self._open_network(network, largest_bytes)
        except BaseException:
            self.close(linger_ms=0)
            raise

    def register(self, poller: zmq.Poller) -> None:
        """Have everything polled that `arrivals` and `disconnected` want to know of."""
        for socket in (*self._sockets.values(), *self._monitors):
            poller.register(socket, zmq.POLLIN)

    def arrivals(self, ready: dict[object, int], most: int) -> Iterator[Arrival]:
        """What has come over the sockets that are ready, control before data, at most so many of each."""
        for channel in Channel:
            for local in (True, False):
                socket = self._sockets.get((local, channel))
                if socket is not None and socket in ready:
                    yield from self._receive(socket, local, channel, most)

    def disconnected(self, ready: dict[object, int]) -> bool:
        """Whether a connection has ended since the last time; whose, only sending can tell."""
        found = False
        for monitor in self._monitors:
            if monitor in ready:
                with contextlib.suppress(zmq.Again):
                    while True:
                        recv_monitor_message(monitor, zmq.NOBLOCK)
                        found = True
        return found

    def send(self, route: Route, parts: Sequence[Part], tracked: bool) -> tuple[Delivery, Receipt | None]:
        """Send without waiting. With `tracked` the samples are read where they are until the receipt says done."""
        socket = self._sockets.get((route.local, route.channel))
        if socket is None:
            return Delivery.GONE, None
        try:
            if tracked:
                receipt = socket.send_multipart((route.peer, *parts), zmq.NOBLOCK, copy=False, track=True)
                return Delivery.SENT, receipt
            socket.send_multipart((route.peer, *parts), zmq.NOBLOCK)
        except zmq.Again:
            return Delivery.FULL, None
        except zmq.ZMQError as error:
            if error.errno in (zmq.EHOSTUNREACH, zmq.ENOTSUP):
                return Delivery.GONE, None
            raise
        return Delivery.SENT, None

    def close(self, linger_ms: int = LINGER_MS) -> None:
        """Close every socket; what was handed to ZeroMQ may still leave for a moment."""
        for socket in self._sockets.values():
            with contextlib.suppress(zmq.ZMQError):
                socket.disable_monitor()
            socket.close(linger_ms)
        for monitor in self._monitors:
            monitor.close(0)
        self._sockets.clear()
        self._monitors.clear()
        if self._authenticator is not None:
            self._authenticator.stop()
            self._authenticator = None
        self._context.term()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open_network(self, network: Network, largest_bytes: int) -> None:
        host, _, port = network.listen.rpartition(":")
        if not host.startswith("tcp://") or not port.isdigit() or not 0 < int(port) < 65535:
            raise UsageError(f"expected tcp://HOST:PORT to listen on, got '{network.listen}'")
        # Before the first connection can be made, or ZeroMQ would let everybody in who knows the server's key.
        self._authenticator = ThreadAuthenticator(self._context)
        self._authenticator.start()
        self._authenticator.configure_curve_callback(domain=DOMAIN, credentials_provider=network.gate)
        self._bind(False, Channel.CONTROL, network.listen, largest_bytes, network.keys)
        self._bind(False, Channel.DATA, f"{host}:{int(port) + 1}", largest_bytes, network.keys)

    def _bind(
        self, local: bool, channel: Channel, endpoint: str, largest_bytes: int, keys: KeyPair | None = None
    ) -> None:
        control = channel is Channel.CONTROL
        socket: zmq.Socket[bytes] = self._context.socket(zmq.ROUTER)
        self._sockets[local, channel] = socket
        socket.linger = 0
        socket.router_mandatory = True
        socket.sndhwm = socket.rcvhwm = CONTROL_LETTERS if control else DATA_LETTERS
        socket.maxmsgsize = LARGEST_CONTROL if control else largest_bytes + HEADER_BYTES
        socket.handshake_ivl = HANDSHAKE_MS
        socket.backlog = BACKLOG
        if keys is not None:
            socket.curve_server = True
            socket.curve_publickey, socket.curve_secretkey = keys.public, keys.secret
            socket.zap_domain = DOMAIN.encode()
            if control:  # on data a heartbeat would wait behind a picture and end the connection
                socket.heartbeat_ivl = HEARTBEAT_MS
                socket.heartbeat_timeout = HEARTBEAT_TIMEOUT_MS
                socket.heartbeat_ttl = HEARTBEAT_TTL_MS
        monitor = socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        self._monitors.append(monitor)
        try:
            socket.bind(endpoint)
        except zmq.ZMQError as error:
            raise ServerError(
                f"expected to listen on {endpoint}, got: {error.strerror}; end what listens there, or name "
                f"another address"
            ) from error
        self.endpoints = (*self.endpoints, str(socket.getsockopt_string(zmq.LAST_ENDPOINT)).rstrip("\x00"))

    def _receive(self, socket: zmq.Socket[bytes], local: bool, channel: Channel, most: int) -> Iterator[Arrival]:
        for _ in range(most):
            try:
                frames = socket.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return
            key = ""
            if not local:
                try:
                    key = str(frames[-1].get("User-Id"))
                except zmq.ZMQError:
                    continue  # cannot be: ZeroMQ lets in nobody without
            route = Route(local, channel, frames[0].bytes)
            # Small parts as bytes; samples where they are. Of thousands of parts only so many as show that it is wrong.
            parts = [
                frame.bytes if index < 2 and len(frame) <= HEADER_BYTES else frame.buffer
                for index, frame in enumerate(frames[1 : PARTS + 2])
            ]
            yield Arrival(route, key, parts)
