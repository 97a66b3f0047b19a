"""The server's sockets: control and data, for this machine and, where it listens, for others.

Nothing waits here. Each socket has a file that becomes readable when ZeroMQ has news of it; what the news are, and
whether there are more, is asked of the socket itself. ROUTER sockets say when a peer is gone or takes no more, instead
of dropping what is sent to it; identities are ZeroMQ's own, so that nobody can take another's answers; nothing lingers.
"""

from __future__ import annotations

import contextlib
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import zmq
from zmq.auth.thread import ThreadAuthenticator
from zmq.utils.monitor import recv_monitor_message

from impasto.core.errors import ServerError, UsageError
from impasto.server.auth import KeyPair
from impasto.server.front.access import Gate
from impasto.server.front.outbox import Channel, Delivery, Receipt, Route
from impasto.server.protocol.codec import Part
from impasto.server.protocol.limits import HEADER_BYTES, PARTS
from impasto.server.runtime_dir import control_endpoint, data_endpoint
from impasto.server.zmq_parts import receive_frames, send_parts

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
ROUTES: Final = 4096
"""Peers of one socket whose routes are kept."""

_NOW: Final = int(zmq.NOBLOCK)
_EVENTS: Final = int(zmq.EVENTS)
_READ: Final = int(zmq.POLLIN)


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


@dataclass(slots=True, eq=False)
class _Door:
    """One of our sockets, and who has come through it."""

    socket: zmq.Socket[bytes]
    file: int
    local: bool
    channel: Channel
    routes: dict[bytes, Route] = field(default_factory=dict)

    @property
    def has_news(self) -> bool:
        """Whether a message is there to be read; its file tells of later ones again."""
        return bool(int(self.socket.getsockopt(_EVENTS)) & _READ)

    def route(self, peer: bytes) -> Route:
        """How this peer is reached; the same object for each of its messages."""
        route = self.routes.get(peer)
        if route is None:
            if len(self.routes) >= ROUTES:
                self.routes.clear()
            route = self.routes[peer] = Route(self.local, self.channel, peer)
        return route


class Doors:
    """The sockets of a server, from `bind` to `close`. One owner, one thread."""

    def __init__(self, folder: Path, largest_bytes: int, network: Network | None = None) -> None:
        """Binds. Raises ServerError where an address cannot be had, UsageError where it is none."""
        self._context = zmq.Context(1 if network is None else 2)
        self._context.linger = 0
        self._doors: list[_Door] = []
        self._by_channel: dict[tuple[bool, Channel], _Door] = {}
        self._used: set[_Door] = set()
        """Those that may have taken news in without our asking, while something else was done with them."""
        self._monitors: dict[int, zmq.Socket[bytes]] = {}
        """By the file of each."""
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

    def files(self) -> list[int]:
        """What to poll for reading, before `arrivals` and `disconnected`."""
        return [*(door.file for door in self._doors), *self._monitors]

    def pending(self) -> bool:
        """Whether messages are there that no file tells of; to be asked before every wait."""
        if self._used:
            self._used = {door for door in self._used if door.has_news}
        return bool(self._used)

    def arrivals(self, ready: Container[int], most: int) -> Iterator[Arrival]:
        """What has come over the sockets whose files are ready, control before data, at most so many of each."""
        for door in self._doors:
            if door.file in ready or door in self._used:
                self._used.add(door)
                yield from _arrivals(door, most)

    def disconnected(self, ready: Iterable[int]) -> bool:
        """Whether a connection has ended since the last time; whose, only sending can tell."""
        found = False
        for monitor in [self._monitors[file] for file in ready if file in self._monitors]:
            with contextlib.suppress(zmq.Again):
                while True:
                    recv_monitor_message(monitor, zmq.NOBLOCK)
                    found = True
        return found

    def send(self, route: Route, parts: Sequence[Part], tracked: bool) -> tuple[Delivery, Receipt | None]:
        """Send without waiting. With `tracked` the samples are read where they are until the receipt says done."""
        door = self._by_channel.get((route.local, route.channel))
        if door is None:
            return Delivery.GONE, None
        self._used.add(door)
        try:
            if tracked:
                receipt = door.socket.send_multipart((route.peer, *parts), _NOW, copy=False, track=True)
                return Delivery.SENT, receipt
            send_parts(door.socket, (route.peer, *parts), copy=True)
        except zmq.Again:
            return Delivery.FULL, None
        except zmq.ZMQError as error:
            if error.errno in (zmq.EHOSTUNREACH, zmq.ENOTSUP):
                return Delivery.GONE, None
            raise
        return Delivery.SENT, None

    def close(self, linger_ms: int = LINGER_MS) -> None:
        """Close every socket; what was handed to ZeroMQ may still leave for a moment."""
        for door in self._doors:
            with contextlib.suppress(zmq.ZMQError):
                door.socket.disable_monitor()
            door.socket.close(linger_ms)
        for monitor in self._monitors.values():
            monitor.close(0)
        self._doors.clear()
        self._by_channel.clear()
        self._used.clear()
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
        door = _Door(socket, int(socket.fd), local, channel)
        self._by_channel[local, channel] = door
        self._doors.append(door)
        self._used.add(door)
        self._doors.sort(key=lambda each: (each.channel is Channel.DATA, not each.local))
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
        self._monitors[int(monitor.fd)] = monitor
        monitor.getsockopt(_EVENTS)  # before which its file would tell of nothing
        try:
            socket.bind(endpoint)
        except zmq.ZMQError as error:
            raise ServerError(
                f"expected to listen on {endpoint}, got: {error.strerror}; end what listens there, or name "
                f"another address"
            ) from error
        self.endpoints = (*self.endpoints, str(socket.getsockopt_string(zmq.LAST_ENDPOINT)).rstrip("\x00"))


def _arrivals(door: _Door, most: int) -> Iterator[Arrival]:
    for taken in range(most):
        if taken and not door.has_news:  # the first one is looked for as such
            return
        try:
            frames = receive_frames(door.socket)
        except zmq.Again:
            return
        key = ""
        if not door.local:
            try:
                key = str(frames[-1].get("User-Id"))
            except zmq.ZMQError:
                continue  # cannot be: ZeroMQ lets in nobody without
        # Small parts as bytes; samples where they are. Of thousands of parts only so many as show that it is wrong.
        parts = [
            frame.bytes if index < 2 and len(frame) <= HEADER_BYTES else frame.buffer
            for index, frame in enumerate(frames[1 : PARTS + 2])
        ]
        yield Arrival(door.route(frames[0].bytes), key, parts)
