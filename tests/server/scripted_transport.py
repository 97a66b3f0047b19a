"""A client before the scripted server without a socket: the transport is a thread that asks the script."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from impasto.core.errors import ImpastoError, ServerUnreachable
from impasto.server.client import Client
from impasto.server.client.requests import ClientOptions
from impasto.server.client.transport import ChannelName, Endpoints, TransportListener
from impasto.server.protocol.codec import Part, encode
from tests.server.scripted_server import LIMIT_S, Script


class ScriptedTransport:
    """A transport without a socket: one thread that asks the script. `lose` cuts it."""

    def __init__(self, script: Script, listener: TransportListener) -> None:
        self._script, self._listener = script, listener
        self._inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="scripted", daemon=True)
        script.say = self._say
        self._thread.start()

    def send(self, channel: ChannelName, parts: Sequence[Part]) -> None:
        self._inbox.put((channel, [bytes(part) for part in parts]))

    def push(self, act: Callable[[], None]) -> None:
        """Run something of the script in the thread."""
        self._inbox.put(act)

    def lose(self, error: ImpastoError | None = None) -> None:
        self._inbox.put(error or ServerUnreachable("the scripted server closed the connection"))

    def close(self) -> None:
        self.closed.set()
        self._inbox.put(None)
        if threading.current_thread() is not self._thread:
            self._thread.join(LIMIT_S)

    def _say(self, channel: ChannelName, message: Any, parts: Sequence[Part]) -> None:
        self._listener.heard(channel, [*encode(message), *parts])

    def _run(self) -> None:
        while True:
            wait = self._listener.tick(time.monotonic())
            try:
                found = self._inbox.get(timeout=max(0.001, min(wait, 0.05)))
            except queue.Empty:
                continue
            if found is None:
                return
            if isinstance(found, ImpastoError):
                self._listener.lost(found)
                return
            if callable(found):
                found()
            else:
                self._script.take(*found)


class ScriptedAddress:
    """Where the scripted server is, without a folder or an address."""

    def __init__(self, *, local: bool = True, far: bool = False) -> None:
        self.local, self.far = local, far
        self.gone = False
        self.started = 0

    def reach(self, *, start: bool, timeout_s: float) -> Endpoints:
        if self.gone and not start:
            raise ServerUnreachable("no server runs there")
        self.started += self.gone
        self.gone = False
        return Endpoints("control", "data", "the scripted server")

    def may_run(self) -> bool:
        return not self.gone

    def log_hint(self) -> str:
        return "; the last line of its log"


class Stage:
    """A client before a script, without a socket."""

    def __init__(self, *, far: bool = False, local: bool = True, timeout_s: float = 5.0, **script: Any) -> None:
        self.script = Script(**script)
        self.address = ScriptedAddress(local=local, far=far)
        self.transports: list[ScriptedTransport] = []
        self.client = Client(
            self.address,
            ClientOptions("test", "interactive", start=False),
            timeout_s=timeout_s,
            open_transport=self._open,
        )

    def _open(self, endpoints: Endpoints, listener: TransportListener) -> ScriptedTransport:
        self.transports.append(ScriptedTransport(self.script, listener))
        return self.transports[-1]

    def release(self) -> None:
        self.transports[-1].push(self.script.release)

    def close(self) -> None:
        self.client.close()
        for transport in self.transports:
            transport.close()
        self.script.close()
