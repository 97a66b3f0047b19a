"""A bad network: a relay of bytes over TCP or unix sockets that delays, throttles, cuts and falls silent.

    with Relay(inner="ipc:///run/data.sock", outer="ipc:///tmp/data.sock") as relay:
        relay.link.silent = True

It knows nothing of messages: what it cuts, it cuts in the middle. `link` may be changed at any time.
"""

from __future__ import annotations

import contextlib
import math
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from impasto.server.auth import ClientAuth
from impasto.server.client import Client
from impasto.server.client.requests import ClientOptions
from impasto.server.client.transport import Endpoints
from impasto.server.runtime_dir import control_endpoint, data_endpoint
from tests.server.running_server import WAIT_S, Sandbox

CHUNK = 1 << 16
POLL_S = 0.002


@dataclass
class LinkConditions:
    """What happens to the bytes, in both directions of every connection."""

    delay_s: float = 0.0
    """Of each chunk; they wait one after another."""
    bytes_per_s: float = math.inf
    """Of each direction of each connection."""
    cut_after: float = math.inf
    """Bytes towards the server after which a connection is closed on both sides."""
    silent: bool = False
    """Half open: connections stay, and nothing passes."""


class Relay:
    """Listens at `outer` and passes what comes to `inner`; 'ipc://PATH' or 'tcp://HOST:PORT', port 0 for any."""

    def __init__(self, inner: str, outer: str) -> None:
        self._inner = inner
        self._listener = socket.socket(_family(outer), socket.SOCK_STREAM)
        self._listener.bind(_address(outer))
        self._listener.listen(128)
        self._listener.settimeout(0.05)
        name = self._listener.getsockname()
        self.endpoint = f"tcp://{name[0]}:{name[1]}" if isinstance(name, tuple) else f"ipc://{name}"
        self.link = LinkConditions()
        self.towards_server = 0
        """Bytes that were passed to the server, over all connections."""
        self.connections = 0
        """That were ever made."""
        self.first_words = bytearray()
        """What the first connection said towards the server."""
        self._ends: list[socket.socket] = []
        self._closing = threading.Event()
        self._threads = [threading.Thread(target=self._accept, name="relay", daemon=True)]

    def cut(self) -> None:
        """Close every connection that there is; new ones are taken."""
        for end in self._ends:
            _shut(end)

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._threads[0].join(5)
        self.cut()
        for thread in self._threads:
            thread.join(5)
            assert not thread.is_alive()
        for end in (self._listener, *self._ends):
            end.close()

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                client, _ = self._listener.accept()
            except TimeoutError:
                continue
            server = socket.socket(_family(self._inner), socket.SOCK_STREAM)
            client.settimeout(None)
            self._ends += (client, server)
            try:
                server.connect(_address(self._inner))
            except OSError:
                _shut(client)
                continue
            self.connections += 1
            for ends in ((client, server, True), (server, client, False)):
                self._threads.append(threading.Thread(target=self._pass, args=ends, name="relay", daemon=True))
                self._threads[-1].start()

    def _pass(self, source: socket.socket, target: socket.socket, towards_server: bool) -> None:
        """Pass one direction of a connection until one side closes it."""
        first, passed = towards_server and self.connections == 1, 0
        with contextlib.suppress(OSError):
            while read := source.recv(int(min(CHUNK, max(1, self.link.bytes_per_s / 20)))):
                if first:
                    self.first_words += read
                self._closing.wait(self.link.delay_s + len(read) / self.link.bytes_per_s)
                while self.link.silent and not self._closing.wait(POLL_S):
                    pass
                room = int(min(len(read), self.link.cut_after - passed)) if towards_server else len(read)
                target.sendall(read[:room])
                passed += room
                self.towards_server += room * towards_server
                if towards_server and passed >= self.link.cut_after:
                    break
        _shut(source)
        _shut(target)


def _shut(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)


def _family(endpoint: str) -> socket.AddressFamily:
    return socket.AF_UNIX if endpoint.startswith("ipc://") else socket.AF_INET


def _address(endpoint: str) -> str | tuple[str, int]:
    if endpoint.startswith("ipc://"):
        return endpoint.removeprefix("ipc://")
    host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
    return host, int(port)


class RelayedAddress:
    """The two sockets of a server behind relays, as a `ServerAddress` of a client."""

    def __init__(self, control: str, data: str, outer: Callable[[str], str], auth: ClientAuth | None = None) -> None:
        self.control, self.data = Relay(control, outer("control")), Relay(data, outer("data"))
        self.auth = auth
        self.local, self.far = auth is None, False

    def reach(self, *, start: bool, timeout_s: float) -> Endpoints:
        return Endpoints(self.control.endpoint, self.data.endpoint, "the server behind the relay", self.auth)

    def may_run(self) -> bool:
        return True

    def log_hint(self) -> str:
        return ""

    def client(self, *, timeout_s: float = WAIT_S) -> Client:
        return Client(self, ClientOptions("relayed", "interactive", start=False), timeout_s=timeout_s)

    def cut(self) -> None:
        self.control.cut()
        self.data.cut()

    def silence(self, silent: bool) -> None:
        self.control.link.silent = self.data.link.silent = silent

    def __enter__(self) -> RelayedAddress:
        self.control.__enter__()
        self.data.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.control.__exit__()
        self.data.__exit__()


def relayed(sandbox: Sandbox, name: str = "relay") -> RelayedAddress:
    """Relays before the local sockets of a sandbox's server; they lie in the folder `root/name`."""
    folder = sandbox.root / name
    folder.mkdir()
    return RelayedAddress(
        control_endpoint(sandbox.run), data_endpoint(sandbox.run),
        lambda channel: control_endpoint(folder) if channel == "control" else data_endpoint(folder),
    )  # fmt: skip
