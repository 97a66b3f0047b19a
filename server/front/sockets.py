"""The server's sockets: control and data, for this machine and, where it listens, for others.

Nothing waits here; the loop polls. ROUTER sockets say when a peer is gone or takes no more, instead of dropping what is
sent to it. Identities are ZeroMQ's own, so that no client can take another's answers. Nothing lingers.
"""

from __future__ import annotations

import contextlib
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

import zmq
from zmq.auth.thread import ThreadAuthenticator
from zmq.utils.monitor import recv_monitor_message

from impasto.core.errors import ServerError, UsageError
from impasto.server.auth import KeyPair
from impasto.server.front.accepting import AcceptControl, LocalListener, NetworkListener
from impasto.server.front.access import NetworkAccess
from impasto.server.front.outbox import Channel, PeerAddress, SendResult, SendTracker
from impasto.server.protocol.codec import Part
from impasto.server.protocol.limits import HEADER_BYTES, PARTS
from impasto.server.runtime_dir import control_endpoint, data_endpoint
from impasto.server.zmq_parts import receive_frames, send_parts

LINGER_MS: Final = 500
HANDSHAKE_MS: Final = 5_000
BACKLOG: Final = 64
CONTROL_MESSAGES: Final = 64
DATA_MESSAGES: Final = 16
"""Messages that ZeroMQ keeps for one peer. More wait in the front's own queues, where their bytes are counted."""
LARGEST_CONTROL: Final = 4 * HEADER_BYTES
"""Of one part. Above the limit of a header, so that too long a header can be answered instead of cut off."""
DOMAIN: Final = "impasto"
"""Of ZeroMQ's authentication: sockets without a domain are not checked, and an unknown domain admits nobody."""
HEARTBEAT_MS: Final = 2_000
HEARTBEAT_TIMEOUT_MS: Final = 6_000
HEARTBEAT_TTL_MS: Final = 10_000
ADDRESSES: Final = 4096
"""Peers of one socket whose addresses are kept."""

_NOW: Final = int(zmq.NOBLOCK)
FAILED_HANDSHAKES: Final = (
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_AUTH
)
MONITORED: Final = zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED | FAILED_HANDSHAKES


@dataclass(frozen=True, slots=True)
class IncomingMessage:
    """A message as it came, and its sender."""

    sender: PeerAddress
    key: str
    """The public key of the connection (Z85); empty on this machine."""
    parts: Sequence[Part]


@dataclass(slots=True)
class ConnectionEvents:
    """What happened to connections."""

    accepted: bool = False
    disconnected: bool = False
    failed_handshakes: int = 0
    """Of other machines: a wrong key, none at all, or no ZeroMQ."""


@dataclass(frozen=True, slots=True)
class ListenSettings:
    """The address to listen on for other machines, the server's keys, and the clients that are allowed."""

    endpoint: str
    """'tcp://HOST:PORT'; data is on the next port."""
    keys: KeyPair
    access: NetworkAccess


@dataclass(slots=True, eq=False)
class BoundSocket:
    """One of our sockets, and the peers that are connected to it."""

    socket: zmq.Socket[bytes]
    local: bool
    channel: Channel
    addresses: dict[bytes, PeerAddress] = field(default_factory=dict)

    def address(self, peer: bytes) -> PeerAddress:
        """How this peer is reached; the same object for each of its messages."""
        address = self.addresses.get(peer)
        if address is None:
            if len(self.addresses) >= ADDRESSES:
                self.addresses.clear()
            address = self.addresses[peer] = PeerAddress(self.local, self.channel, peer)
        return address


class ServerSockets:
    """The sockets of a server, from `bind` to `close`. One owner, one thread."""

    def __init__(self, folder: Path, largest_bytes: int, listen: ListenSettings | None = None) -> None:
        """Binds. Raises ServerError where an address is taken or not ours, UsageError where it is none."""
        self._context = zmq.Context(1 if listen is None else 2)
        self._context.linger = 0
        self._bound: dict[tuple[bool, Channel], BoundSocket] = {}
        self._monitors: list[tuple[zmq.Socket[bytes], bool]] = []
        self._authenticator: ThreadAuthenticator | None = None
        self._network_files: set[int] = set()
        """Connections of other machines, with or without a key."""
        self.accepting = AcceptControl()
        self.endpoints: tuple[str, ...] = ()
        try:
            for channel, endpoint in (
                (Channel.CONTROL, control_endpoint(folder)),
                (Channel.DATA, data_endpoint(folder)),
            ):
                self._bind(True, channel, endpoint, largest_bytes)
                path = Path(endpoint.removeprefix("ipc://"))
                path.chmod(0o600)
                self.accepting.add(LocalListener(path))
            if listen is not None:
                self._open_network(listen, largest_bytes)
        except BaseException:
            self.close(linger_ms=0)
            raise

    def register(self, poller: zmq.Poller) -> None:
        """Have the poller report messages and what happens to connections, for `receive` and `connection_events`."""
        for socket in (*(each.socket for each in self._bound.values()), *(each for each, _ in self._monitors)):
            poller.register(socket, zmq.POLLIN)

    def receive(self, ready: Container[object], most: int) -> Iterator[IncomingMessage]:
        """The messages of the sockets that are ready, control before data, at most so many of each."""
        for bound in self._bound.values():
            if bound.socket in ready:
                yield from _received(bound, most)

    def connection_events(self, ready: Container[object]) -> ConnectionEvents:
        """What happened to connections since the last time; of which client, only sending can tell."""
        found = ConnectionEvents()
        for monitor, local in self._monitors:
            if monitor in ready:
                with contextlib.suppress(zmq.Again):
                    while True:
                        event = recv_monitor_message(monitor, zmq.NOBLOCK)
                        self._note(found, event["event"], int(event["value"]), local)
        return found

    def _note(self, found: ConnectionEvents, event: int, value: int, local: bool) -> None:
        if event == zmq.EVENT_DISCONNECTED:
            found.disconnected = True
            self._network_files.discard(value)
        elif event == zmq.EVENT_ACCEPTED:
            found.accepted = True
            if not local:
                self._network_files.add(value)
        elif not local:
            found.failed_handshakes += 1

    @property
    def network_connections(self) -> int:
        """Connections of other machines, those without a proven key too."""
        return len(self._network_files)

    def send(self, to: PeerAddress, parts: Sequence[Part], tracked: bool) -> tuple[SendResult, SendTracker | None]:
        """Send without waiting. With `tracked` the samples are read where they are until the tracker says done."""
        bound = self._bound.get((to.local, to.channel))
        if bound is None:
            return SendResult.GONE, None
        try:
            if tracked:
                tracker = bound.socket.send_multipart((to.peer, *parts), _NOW, copy=False, track=True)
                return SendResult.SENT, tracker
            send_parts(bound.socket, (to.peer, *parts), copy=True)
        except zmq.Again:
            return SendResult.FULL, None
        except zmq.ZMQError as error:
            if error.errno in (zmq.EHOSTUNREACH, zmq.ENOTSUP):
                return SendResult.GONE, None
            raise
        return SendResult.SENT, None

    def close(self, linger_ms: int = LINGER_MS) -> None:
        """Close every socket; messages that ZeroMQ has taken may still leave for a moment."""
        self.accepting.close()
        for bound in self._bound.values():
            with contextlib.suppress(zmq.ZMQError):
                bound.socket.disable_monitor()
            bound.socket.close(linger_ms)
        for monitor, _ in self._monitors:
            monitor.close(0)
        self._bound.clear()
        self._monitors.clear()
        if self._authenticator is not None:
            self._authenticator.stop()
            self._authenticator = None
        self._context.term()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open_network(self, listen: ListenSettings, largest_bytes: int) -> None:
        host, _, port = listen.endpoint.rpartition(":")
        if not host.startswith("tcp://") or not port.isdigit() or not 0 < int(port) < 65535:
            raise UsageError(f"expected tcp://HOST:PORT to listen on, got '{listen.endpoint}'")
        # Before the first connection can be made: without it ZeroMQ admits everybody that knows the server's key.
        self._authenticator = ThreadAuthenticator(self._context)
        self._authenticator.start()
        self._authenticator.configure_curve_callback(domain=DOMAIN, credentials_provider=listen.access)
        self._bind(False, Channel.CONTROL, listen.endpoint, largest_bytes, listen.keys)
        self._bind(False, Channel.DATA, f"{host}:{int(port) + 1}", largest_bytes, listen.keys)

    def _bind(
        self, local: bool, channel: Channel, endpoint: str, largest_bytes: int, keys: KeyPair | None = None
    ) -> None:
        control = channel is Channel.CONTROL
        socket: zmq.Socket[bytes] = self._context.socket(zmq.ROUTER)
        self._bound[local, channel] = BoundSocket(socket, local, channel)
        by_urgency = sorted(self._bound.values(), key=lambda each: (each.channel is Channel.DATA, not each.local))
        self._bound = {(each.local, each.channel): each for each in by_urgency}
        socket.linger = 0
        socket.router_mandatory = True
        socket.sndhwm = socket.rcvhwm = CONTROL_MESSAGES if control else DATA_MESSAGES
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
        self._monitors.append((socket.get_monitor_socket(MONITORED), local))
        try:
            socket.bind(endpoint)
        except zmq.ZMQError as error:
            raise ServerError(
                f"expected to listen on {endpoint}, got: {error.strerror}; end what listens there, or name "
                f"another address"
            ) from error
        if not local:
            self.accepting.add(NetworkListener.at(int(endpoint.rpartition(":")[2])))
        self.endpoints = (*self.endpoints, str(socket.getsockopt_string(zmq.LAST_ENDPOINT)).rstrip("\x00"))


def _received(bound: BoundSocket, most: int) -> Iterator[IncomingMessage]:
    for _ in range(most):
        try:
            frames = receive_frames(bound.socket)
        except zmq.Again:
            return
        key = ""
        if not bound.local:
            try:
                key = str(frames[-1].get("User-Id"))
            except zmq.ZMQError:
                continue  # cannot be: ZeroMQ admits no connection without a key
        # Small parts as bytes, samples where they are. Of thousands of parts only as many as show that it is wrong.
        parts = [
            frame.bytes if index < 2 and len(frame) <= HEADER_BYTES else frame.buffer
            for index, frame in enumerate(frames[1 : PARTS + 2])
        ]
        yield IncomingMessage(bound.address(frames[0].bytes), key, parts)
