"""A bad network in one thread: a relay of bytes, over TCP or unix sockets: it delays, throttles, cuts, falls silent.

    with Relay(inner="ipc:///run/data.sock", outer="ipc:///tmp/data.sock") as relay:
        relay.link.silent = True

It knows nothing of messages: what it cuts, it cuts in the middle. `link` may be changed at any time.
"""

from __future__ import annotations

import contextlib
import math
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

from impasto.server.auth import ClientAuth
from impasto.server.client import Client
from impasto.server.client.requests import ClientOptions
from impasto.server.client.transport import Endpoints
from impasto.server.runtime_dir import control_endpoint, data_endpoint
from tests.server.running_server import WAIT_S, Sandbox

CHUNK = 1 << 16
HELD = 1 << 20
"""Bytes of one direction that are under way at once."""
LOOK_S = 0.002


@dataclass
class LinkConditions:
    """What happens to the bytes, in both directions of every connection."""

    delay_s: float = 0.0
    bytes_per_s: float = math.inf
    """Of each direction of each connection."""
    cut_after: float = math.inf
    """Bytes towards the server after which a connection is closed on both sides."""
    silent: bool = False
    """Half open: connections stay, and nothing passes."""


@dataclass(eq=False)
class Stream:
    """One direction of a connection."""

    source: socket.socket
    target: socket.socket
    towards_server: bool
    held: deque[tuple[float, bytes]] = field(default_factory=deque)
    bytes_held: int = 0
    passed: int = 0
    allowance: float = CHUNK
    ended: bool = False
    """The source says no more."""


class Relay:
    """Listens at `outer` and passes what comes to `inner`; 'ipc://PATH' or 'tcp://HOST:PORT', port 0 for any."""

    def __init__(self, inner: str, outer: str) -> None:
        self._inner = inner
        self._listener = socket.socket(_family(outer), socket.SOCK_STREAM)
        self._listener.bind(_address(outer))
        self._listener.listen(128)
        self._listener.setblocking(False)
        name = self._listener.getsockname()
        self.endpoint = f"tcp://{name[0]}:{name[1]}" if isinstance(name, tuple) else f"ipc://{name}"
        self.link = LinkConditions()
        self.towards_server = 0
        """Bytes that were passed to the server, over all connections."""
        self.connections = 0
        """That were ever made."""
        self.first_words = bytearray()
        """What the first connection said towards the server, at most `HELD` of it."""
        self._first: Stream | None = None
        self._streams: list[Stream] = []
        self._cut = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="relay", daemon=True)

    def cut(self) -> None:
        """Close every connection that there is; new ones are taken. Returns when it is done."""
        self._cut.set()
        end = time.monotonic() + 5
        while self._cut.is_set() and time.monotonic() < end:
            time.sleep(LOOK_S)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._thread.join(5)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        before = time.monotonic()
        with selectors.DefaultSelector() as selector:
            while not self._closing.is_set():
                now = time.monotonic()
                self._watch(selector)
                for key, _ in selector.select(LOOK_S):
                    if key.fileobj is self._listener:
                        self._take()
                    else:
                        self._read(key.data, now)
                for stream in list(self._streams):
                    self._write(stream, now, now - before)
                before = now
                if self._cut.is_set():
                    self._close(self._streams)
                    self._cut.clear()
            self._close(self._streams)
        self._listener.close()

    def _watch(self, selector: selectors.BaseSelector) -> None:
        wanted = {self._listener: None} | {
            stream.source: stream
            for stream in self._streams
            if not stream.ended and stream.bytes_held < min(HELD, self.link.bytes_per_s) and not self.link.silent
        }
        for key in list(selector.get_map().values()):
            if key.fileobj not in wanted or wanted[key.fileobj] is not key.data:  # type: ignore[index]
                selector.unregister(key.fileobj)
        for source, stream in wanted.items():
            if source.fileno() not in selector.get_map():
                selector.register(source, selectors.EVENT_READ, stream)

    def _take(self) -> None:
        ours, _ = self._listener.accept()
        theirs = socket.socket(_family(self._inner), socket.SOCK_STREAM)
        try:
            theirs.connect(_address(self._inner))
        except OSError:
            ours.close()
            theirs.close()
            return
        self.connections += 1
        for end in (ours, theirs):
            end.setblocking(False)
        fresh = [Stream(ours, theirs, True), Stream(theirs, ours, False)]
        self._first = self._first or fresh[0]
        self._streams += fresh

    def _read(self, stream: Stream, now: float) -> None:
        try:
            read = stream.source.recv(CHUNK)
        except BlockingIOError:
            return
        except OSError:
            read = b""
        if not read:
            stream.ended = True
            return
        if stream is self._first and len(self.first_words) < HELD:
            self.first_words += read
        stream.held.append((now + self.link.delay_s, read))
        stream.bytes_held += len(read)

    def _write(self, stream: Stream, now: float, passed_s: float) -> None:
        if self.link.silent or stream not in self._streams:
            return
        rate = self.link.bytes_per_s
        stream.allowance = CHUNK if math.isinf(rate) else min(CHUNK, stream.allowance + rate * passed_s)
        while stream.held and stream.held[0][0] <= now and stream.allowance >= 1:
            _, chunk = stream.held.popleft()
            room = self.link.cut_after - stream.passed if stream.towards_server else math.inf
            try:
                sent = stream.target.send(chunk[: int(min(stream.allowance, max(1, room), CHUNK))])
            except BlockingIOError:
                sent = 0
            except OSError:
                self._close_with(stream)
                return
            stream.passed += sent
            stream.bytes_held -= sent
            stream.allowance = CHUNK if math.isinf(rate) else stream.allowance - sent
            self.towards_server += sent * stream.towards_server
            if sent < len(chunk):
                stream.held.appendleft((now, chunk[sent:]))
            if stream.towards_server and stream.passed >= self.link.cut_after:
                self._close_with(stream)
                return
            if sent < len(chunk):
                break
        if stream.ended and not stream.held:
            self._close_with(stream)

    def _close_with(self, stream: Stream) -> None:
        self._close([each for each in self._streams if each.source in (stream.source, stream.target)])

    def _close(self, streams: list[Stream]) -> None:
        for stream in list(streams):
            for end in (stream.source, stream.target):
                with contextlib.suppress(OSError):
                    end.close()
        self._streams = [each for each in self._streams if each not in streams]


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
