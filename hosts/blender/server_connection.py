# SPDX-License-Identifier: GPL-3.0-or-later
"""The connection to the render server, opened in a thread, so that Blender never waits for it.

No `bpy` in this file: a thread that still waits for a server to start must not hold it, because 4.5 then hangs at its
exit.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from impasto.core.errors import ImpastoError, ServerUnreachable, UsageError
from impasto.server.auth import ClientAuth
from impasto.server.client import Client
from impasto.server.launcher import ARGUMENTS
from impasto.server.protocol.messages import StyleFacts
from impasto.server.runtime_dir import running, runtime_folder

from .failure import remember, sentence_of

State: TypeAlias = Literal["absent", "starting", "ready", "lost"]

CONNECT_S: Final = 30.0
CHECK_S: Final = 1.0
"""Seconds between two checks that the server still runs."""
NONE_YET: Final = "no server is connected"


@dataclass(frozen=True, slots=True)
class ServerTarget:
    """Where the server is, and what starts it."""

    address: str = ""
    """'tcp://HOST:PORT', or '' for the user's own on this machine."""
    command: tuple[str, ...] = ()
    """The `impasto` command; () where it is not known."""
    auth: ClientAuth | None = None


class Connection:
    """A session with the server that survives its loss. Only methods with a time limit wait."""

    def __init__(self, target: Callable[[], ServerTarget]) -> None:
        self._target = target
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._client: Client | None = None
        self._reached = ServerTarget()
        self._state: State = "absent"
        self._sentence = NONE_YET
        self._styles: tuple[StyleFacts, ...] = ()
        self._previews: dict[str, bytes] = {}
        self._revision = 0
        self._closed = threading.Event()
        self._watcher: threading.Thread | None = None

    @property
    def state(self) -> State:
        """The state of the server as last seen."""
        return self._state

    @property
    def sentence(self) -> str:
        """The state in words: which server, or what is wrong and what to do."""
        return self._sentence

    @property
    def revision(self) -> int:
        """Grows with every change of state, styles or previews, so that the panel knows when to draw again."""
        return self._revision

    def connect(self, start: bool) -> None:
        """Connect in a thread; with `start` a server is started on this machine where none runs."""
        with self._lock:
            if self._state in ("starting", "ready") or self._closed.is_set():
                return
            self._change("starting", "starting the server" if start else "looking for the server")
        try:
            target = self._target()  # reads Blender's preferences: only here, in the caller's thread
        except ImpastoError as error:
            with self._lock:
                self._change("absent", remember(error))
            return
        threading.Thread(target=self._open, args=(target, start), name="impasto-connect", daemon=True).start()

    def client(self) -> Client | None:
        """The client, None while there is none. It finds a server that was lost, or starts it, again."""
        return self._client

    def styles(self) -> tuple[StyleFacts, ...]:
        """The server's library, as it was last read."""
        return self._styles

    def preview(self, style: str) -> bytes:
        """The PNG of a style, b'' where there is none, or none yet."""
        return self._previews.get(style, b"")

    def wait_ready(self, timeout_s: float) -> Client:
        """Connect and wait for the client: for background renders and operators that may wait.

        Raises ServerUnreachable with the reason where there is none in time.
        """
        self.connect(start=True)
        return self.wait_connected(timeout_s)

    def wait_connected(self, timeout_s: float) -> Client:
        """As `wait_ready`, after `connect`: for any thread, because it reads no preferences."""
        with self._changed:
            self._changed.wait_for(lambda: self._state != "starting", timeout_s)
            if self._state == "ready" and self._client is not None:
                return self._client
            if self._state == "starting":
                raise ServerUnreachable(f"expected a server within {timeout_s:g} s, it is still starting; try again")
            raise ServerUnreachable(self._sentence)

    def leave(self) -> None:
        """Leave the server, because the preferences name another one; `connect` goes there. Returns at once."""
        with self._lock:
            if self._state not in ("ready", "lost"):
                return
            client, self._client = self._client, None
            self._styles, self._previews = (), {}
            self._change("absent", "the preferences name another server")
        if client is not None:
            threading.Thread(target=client.close, name="impasto-leave", daemon=True).start()

    def close(self) -> None:
        """Leave the server for good, within about a second."""
        self._closed.set()
        with self._lock:
            # The same holds for what reads the preferences.
            self._target = ServerTarget
            client, self._client = self._client, None
            self._change("absent", NONE_YET)
        if client is not None:
            client.close()
        if self._watcher is not None and self._watcher is not threading.current_thread():
            self._watcher.join(2 * CHECK_S)

    def _open(self, target: ServerTarget, start: bool) -> None:
        try:
            client = self._reach(target, start)
            server = client.welcome.server
        except Exception as error:  # noqa: BLE001  # a thread's exception would be lost
            with self._lock:
                self._change("absent", remember(error) if start else sentence_of(error))
            return
        with self._lock:
            former, self._client, self._reached = self._client, client, target
        if former is not None and former is not client:
            former.close()
        if self._closed.is_set():
            client.close()
            return
        self._read_styles()
        with self._lock:
            self._change("ready", server)
            if self._watcher is None:
                self._watcher = threading.Thread(target=self._watch_server, name="impasto-watch", daemon=True)
                self._watcher.start()

    def _reach(self, target: ServerTarget, start: bool) -> Client:
        """The client of before, connected again, or a new one."""
        if self._client is not None and self._reached == target:
            self._client.ping(timeout_s=CONNECT_S)
            return self._client
        command = None
        if not target.address:
            if not start and running(runtime_folder()) is None:
                raise ServerUnreachable("no render server runs yet")
            try:
                command = (*found_command(target.command, "to start a render server"), *ARGUMENTS)
            except UsageError:
                if start:
                    raise  # one that runs is of use without the command, only not to be started again
        client = Client.connect(
            target.address or None,
            start=command is not None,
            timeout_s=CONNECT_S,
            name="blender",
            command=command,
            auth=target.auth,
        )
        client.on_styles_changed(lambda revision: self._read_styles())
        return client

    def _read_styles(self) -> None:
        client = self._client
        if client is None:
            return
        try:
            styles = client.styles()
            known = {each.name: each.sha256 for each in self._styles}
            fresh = [each for each in styles if each.has_preview and known.get(each.name) != each.sha256]
            previews = {each.name: client.preview(each.name) for each in fresh}
        except ImpastoError as error:
            remember(error)
            return
        with self._lock:
            self._styles = styles
            self._previews = {each.name: previews.get(each.name, self._previews.get(each.name, b"")) for each in styles}
            self._revision += 1

    def _watch_server(self) -> None:
        """Notice when the server goes and comes back, until the connection is closed."""
        while not self._closed.wait(CHECK_S):
            runs, back = _runs(self._reached, self._client), False
            with self._lock:
                if self._state == "ready" and not runs:
                    self._change("lost", "the server is gone; the next request starts it again")
                elif self._state == "lost" and runs:
                    self._change("ready", "the server is back")
                    back = True
            if back:
                self._read_styles()

    def _change(self, state: State, sentence: str) -> None:
        """Under the lock: change the state."""
        self._state, self._sentence = state, sentence
        self._revision += 1
        self._changed.notify_all()


def found_command(command: Sequence[str], purpose: str) -> tuple[str, ...]:
    """The `impasto` command, or the one on the PATH where none is known. Raises UsageError where there is none."""
    found = shutil.which(command[0] if command else "impasto")
    if found is None:
        where = f"the command '{command[0]}'" if command else "`impasto` on the PATH"
        raise UsageError(
            f"expected {where} {purpose}, found none; install impasto (`pip install 'impasto[server]'`) and name its"
            " command in the extension's preferences, or run `impasto blender install`"
        )
    return (found, *command[1:])


def _runs(target: ServerTarget, client: Client | None) -> bool:
    if not target.address:
        return running(runtime_folder()) is not None
    try:
        return client is not None and client.ping(timeout_s=5.0) >= 0
    except ImpastoError:
        return False
