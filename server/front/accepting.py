"""Stops taking new connections while file numbers run out, without touching those that are there.

ZeroMQ accepts in a thread of its own, and ends the whole process where the system has no file number left for a
connection of this machine. So the front stops accepting before: on the network by a filter that drops what opens a
connection (Linux), on this machine by hiding the socket's name. Both are undone when there is room again.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import stat
import struct
import sys
from pathlib import Path
from typing import Final, Self

NETWORK_FILES: Final = 32
"""File numbers that connections of other machines leave for the server's own work."""
LOCAL_FILES: Final = 8
"""The same for connections of this machine, whose owner is the server's own."""
UNAUTHENTICATED: Final = 256
"""Connections of other machines that have shown no key yet. ZeroMQ ends each after five seconds."""

_ATTACH_FILTER: Final = 26
_DETACH_FILTER: Final = 27


class NetworkListener:
    """A listening TCP socket of ZeroMQ's, by a second file number."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self.paused = False

    @classmethod
    def at(cls, port: int) -> Self | None:
        """The socket of this process that listens on a port; None where it cannot be found or filtered."""
        if sys.platform != "linux":
            return None
        for name in os.listdir("/proc/self/fd"):
            try:
                if not stat.S_ISSOCK(os.fstat(int(name)).st_mode):
                    continue
                found = socket.socket(fileno=os.dup(int(name)))
            except OSError:  # closed meanwhile, or no file number left
                continue
            with contextlib.suppress(OSError, IndexError, TypeError):
                if found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) and found.getsockname()[1] == port:
                    return cls(found)
            found.close()
        return None

    def pause(self, paused: bool) -> None:
        """Drop what opens a connection, or take it again; a client tries again by itself for a while."""
        if paused == self.paused:
            return
        with contextlib.suppress(OSError):
            if paused:
                nothing = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))  # BPF: return 0 bytes
                program = struct.pack("HxxxxxxP", 1, ctypes.addressof(nothing))
                self._listener.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, program)
            else:
                self._listener.setsockopt(socket.SOL_SOCKET, _DETACH_FILTER, 0)
            self.paused = paused

    def close(self) -> None:
        """Let go of it; it listens as long as ZeroMQ holds it."""
        self._listener.close()


class LocalListener:
    """A listening socket of this machine, by its name in the runtime folder."""

    def __init__(self, path: Path) -> None:
        self._path, self._hidden = path, path.with_name(f".{path.name}.full")
        self.paused = False

    def pause(self, paused: bool) -> None:
        """Hide the name, so that nobody connects, or show it again."""
        if paused == self.paused:
            return
        with contextlib.suppress(OSError):
            os.replace(*((self._path, self._hidden) if paused else (self._hidden, self._path)))
            self.paused = paused

    def close(self) -> None:
        """Show the name again, so that ZeroMQ removes it."""
        self.pause(False)


class AcceptControl:
    """Decides when new connections are taken."""

    def __init__(self) -> None:
        self._listeners: list[NetworkListener | LocalListener] = []

    def add(self, listener: NetworkListener | LocalListener | None) -> None:
        """Have this socket paused too; None is none."""
        if listener is not None:
            self._listeners.append(listener)

    def update(self, free_files: int, unauthenticated: int) -> None:
        """Stop accepting where file numbers run out or too many connections showed no key, or go on."""
        for each in self._listeners:
            kept = LOCAL_FILES if isinstance(each, LocalListener) else NETWORK_FILES
            full = free_files < (2 * kept if each.paused else kept)
            if isinstance(each, NetworkListener):
                full = full or unauthenticated > (UNAUTHENTICATED // 2 if each.paused else UNAUTHENTICATED)
            each.pause(full)

    def problems(self) -> tuple[str, ...]:
        """What is wrong, for the status: one sentence or none."""
        if any(each.paused for each in self._listeners):
            return (
                "no new connection is taken: file numbers run out, or too many peers show no key; raise `ulimit -n`",
            )
        return ()

    def close(self) -> None:
        """Take connections again, and let go of the sockets."""
        for each in self._listeners:
            each.close()
        self._listeners.clear()
