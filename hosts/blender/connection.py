# SPDX-License-Identifier: GPL-3.0-or-later
"""The one connection to the render server: opened in a thread, so that Blender never waits for it."""

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
LOOK_S: Final = 1.0
"""How often it is looked whether the server is still there."""
NONE_YET: Final = "no server is connected"


@dataclass(frozen=True, slots=True)
class Target:
    """Where the server is, and what starts it."""

    address: str = ""
    """'tcp://HOST:PORT', or '' for the user's own on this machine."""
    command: tuple[str, ...] = ()
    """The `impasto` command; () where nobody has said."""
    auth: ClientAuth | None = None


class Connection:
    """A session with the server that survives its loss. Its methods return at once, but for those with a time limit."""

    def __init__(self, target: Callable[[], Target]) -> None:
        self._target = target
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._client: Client | None = None
        self._reached = Target()
        self._state: State = "absent"
        self._sentence = NONE_YET
        self._styles: tuple[StyleFacts, ...] = ()
        self._previews: dict[str, bytes] = {}
        self._revision = 0
        self._closed = threading.Event()
        self._watch: threading.Thread | None = None

    @property
    def state(self) -> State:
        """How it is with the server, as far as is known."""
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
        """Connect in a thread; with `start` a server of this machine is started where none runs."""
        with self._lock:
            if self._state in ("starting", "ready") or self._closed.is_set():
                return
            self._tell("starting", "starting the server" if start else "looking for the server")
        try:
            target = self._target()  # reads Blender's preferences: only here, in the caller's thread
        except ImpastoError as error:
            with self._lock:
                self._tell("absent", remember(error))
            return
        threading.Thread(target=self._open, args=(target, start), name="impasto-connect", daemon=True).start()

    def client(self) -> Client | None:
        """The way to the server, None while there is none. It finds a server that was lost, or starts it, again."""
        return self._client

    def styles(self) -> tuple[StyleFacts, ...]:
        """The server's library, as last heard of."""
        return self._styles

    def preview(self, style: str) -> bytes:
        """The PNG of a style, b'' where there is none, or none yet."""
        return self._previews.get(style, b"")

    def wait_ready(self, timeout_s: float) -> Client:
        """The client, once it is there: for background renders and operators that may wait.

        Raises ServerUnreachable with the reason where it is not there in time.
        """
        self.connect(start=True)
        return self.awaited(timeout_s)

    def awaited(self, timeout_s: float) -> Client:
        """As `wait_ready`, once `connect` was called: for any thread, because no preferences are read."""
        with self._changed:
            self._changed.wait_for(lambda: self._state != "starting", timeout_s)
            if self._state == "ready" and self._client is not None:
                return self._client
            if self._state == "starting":
                raise ServerUnreachable(f"expected a server within {timeout_s:g} s, it is still starting; try again")
            raise ServerUnreachable(self._sentence)

    def leave(self) -> None:
        """Leave the server for another that the preferences name now; `connect` goes there. Returns at once."""
        with self._lock:
            if self._state not in ("ready", "lost"):
                return
            client, self._client = self._client, None
            self._styles, self._previews = (), {}
            self._tell("absent", "the preferences name another server")
        if client is not None:
            threading.Thread(target=client.close, name="impasto-leave", daemon=True).start()

    def close(self) -> None:
        """Leave the server, within about a second. The connection is of no use afterwards."""
        self._closed.set()
        with self._lock:
            # A thread that still waits for a server to start must not hold what holds `bpy`: 4.5 hangs at its exit.
            self._target = Target
            client, self._client = self._client, None
            self._tell("absent", NONE_YET)
        if client is not None:
            client.close()
        if self._watch is not None and self._watch is not threading.current_thread():
            self._watch.join(2 * LOOK_S)

    def _open(self, target: Target, start: bool) -> None:
        try:
            client = self._reach(target, start)
            server = client.welcome.server
        except Exception as error:  # noqa: BLE001  # a thread's exception would be lost
            with self._lock:
                self._tell("absent", remember(error) if start else sentence_of(error))
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
            self._tell("ready", server)
            if self._watch is None:
                self._watch = threading.Thread(target=self._look, name="impasto-watch", daemon=True)
                self._watch.start()

    def _reach(self, target: Target, start: bool) -> Client:
        """The client that there is, connected again, or a new one."""
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

    def _look(self) -> None:
        """Look whether the server is still there, until the end."""
        while not self._closed.wait(LOOK_S):
            there, back = _there(self._reached, self._client), False
            with self._lock:
                if self._state == "ready" and not there:
                    self._tell("lost", "the server is gone; the next request starts it again")
                elif self._state == "lost" and there:
                    self._tell("ready", "the server is back")
                    back = True
            if back:
                self._read_styles()

    def _tell(self, state: State, sentence: str) -> None:
        """Under the lock: change the state."""
        self._state, self._sentence = state, sentence
        self._revision += 1
        self._changed.notify_all()


def found_command(command: Sequence[str], purpose: str) -> tuple[str, ...]:
    """The `impasto` command, or the one on the PATH where none is known. UsageError where it is not there."""
    found = shutil.which(command[0] if command else "impasto")
    if found is None:
        where = f"the command '{command[0]}'" if command else "`impasto` on the PATH"
        raise UsageError(
            f"expected {where} {purpose}, found none; install impasto (`pip install 'impasto[server]'`) and name its"
            " command in the extension's preferences, or run `impasto blender install`"
        )
    return (found, *command[1:])


def _there(target: Target, client: Client | None) -> bool:
    if not target.address:
        return running(runtime_folder()) is not None
    try:
        return client is not None and client.ping(timeout_s=5.0) >= 0
    except ImpastoError:
        return False


_current: Connection | None = None


def current() -> Connection:
    """The connection of this Blender. Opens nothing."""
    global _current
    if _current is None:
        from .preferences import target

        _current = Connection(target)
    return _current


def register() -> None:
    """Look for a server that runs, without starting one."""
    import bpy

    if not bpy.app.background:
        current().connect(start=False)


def unregister() -> None:
    """Leave the server."""
    global _current
    if _current is not None:
        _current.close()
        _current = None
