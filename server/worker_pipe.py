"""The socket pair between front and worker. It carries whole messages in both directions, and open files with them.

A message is a length of four bytes, little endian, and as many bytes of msgpack. If the highest bit of the length is
set, an open file comes with the message (SCM_RIGHTS). `send` never waits: bytes that the other side does not take yet
are kept and sent later, up to a limit.
"""

from __future__ import annotations

import array
import contextlib
import os
import select
import socket
import struct
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from impasto.core.errors import ServerError
from impasto.server.protocol import codec, worker_messages

Heard = TypeVar("Heard")
MESSAGE_BYTES: Final = codec.LINK_BYTES
OUTBOX_BYTES: Final = 16 << 20
"""Bytes that are kept for a side that does not read. With more, it counts as gone."""

_LENGTH: Final = struct.Struct("<I")
_WITH_FILE: Final = 1 << 31
_CHUNK: Final = 1 << 16
_FILES_AT_ONCE: Final = 16
_FILES_BYTES: Final = _FILES_AT_ONCE * array.array("i").itemsize


class LinkClosed(ServerError):
    """The other end is gone, or sent bytes that are no message. The link cannot be used any more."""


@dataclass(slots=True)
class _Waiting:
    """Bytes that wait to be sent, and the file that goes with the first of them."""

    data: memoryview
    file: int | None


class Link(Generic[Heard]):
    """One end of the pair. Any thread may send; one thread receives.

    `table` holds the messages that the other end may send: `codec.FROM_WORKER` for the front, `codec.FROM_FRONT` for a
    worker.
    """

    def __init__(self, end: socket.socket, table: codec.Table[Heard]) -> None:
        """Take over the socket."""
        end.setblocking(False)
        self._socket = end
        self._table = table
        self._sending = threading.Lock()
        self._outbox: deque[_Waiting] = deque()
        self._unsent = 0
        self._read = bytearray()
        self._chunk = memoryview(bytearray(_CHUNK))
        """The buffer for reading. It is kept, because a new one of 64 KiB takes longer than a message."""
        self._files: deque[int] = deque()
        self._ended = ""

    def fileno(self) -> int:
        """The number to poll. It is readable when `receive` has a message, or will say that the link is closed."""
        return self._socket.fileno()

    @property
    def unsent(self) -> int:
        """Number of bytes that wait to be sent. Call `flush` when the link is writable again."""
        return self._unsent

    def send(self, message: worker_messages.FromFront | worker_messages.FromWorker, file: int | None = None) -> None:
        """Send a message, and a duplicate of an open file with it; never waits.

        Raises LinkClosed if the other end is gone or `OUTBOX_BYTES` wait for it, and what `encode_link` raises.
        """
        body = codec.encode_link(message)
        data = memoryview(_LENGTH.pack(len(body) | (0 if file is None else _WITH_FILE)) + body)
        with self._sending:
            if self._unsent + len(data) > OUTBOX_BYTES:
                raise LinkClosed(f"expected the other process to read, {self._unsent} bytes wait for it; it is stuck")
            if file is None and not self._outbox:
                data = data[self._sent(data) :]
                if not data:
                    return
            # A duplicate, because the caller may close its file before this one has been sent.
            self._outbox.append(_Waiting(data, None if file is None else os.dup(file)))
            self._unsent += len(data)
            self._push()

    def flush(self, timeout_s: float = 0.0) -> bool:
        """Send the bytes that wait, for at most this long. Returns whether all are sent. Raises LinkClosed."""
        until = time.monotonic() + timeout_s
        while True:
            with self._sending:
                self._push()
            left = until - time.monotonic()
            if not self._unsent or left <= 0:
                return not self._unsent
            self._await(read=False, timeout_s=left)

    def wait(self, timeout_s: float) -> None:
        """Wait until there is a message to receive, or waiting bytes can be sent, or this time has passed."""
        self._await(read=True, timeout_s=timeout_s)

    def receive(self) -> list[tuple[Heard, int | None]]:
        """The messages that have come, each with its open file, which the caller closes; never waits.

        Raises LinkClosed after the end of the link, once all messages before it have been returned.
        """
        if not self._ended:
            self._ended = self._fill()
        found: list[tuple[Heard, int | None]] = []
        try:
            while (next_one := self._take()) is not None:
                found.append(next_one)
        except LinkClosed as error:
            self._ended = str(error)
        if self._ended and not found:
            raise LinkClosed(self._ended)
        return found

    def close(self) -> None:
        """Close this end, and every file that was not taken. A second call does nothing."""
        self._socket.close()
        with self._sending:
            left = [*self._files, *(each.file for each in self._outbox if each.file is not None)]
            self._files.clear()
            self._outbox.clear()
            self._unsent = 0
        for file in left:
            os.close(file)

    def _await(self, *, read: bool, timeout_s: float) -> None:
        write = self._unsent > 0
        if hasattr(select, "poll"):  # `select` cannot take file numbers above 1023
            poll = select.poll()
            poll.register(self._socket, read * select.POLLIN | write * select.POLLOUT)
            poll.poll(1000 * timeout_s)
        else:
            select.select((self._socket,) * read, (self._socket,) * write, (), timeout_s)

    def _push(self) -> None:
        while self._outbox:
            first = self._outbox[0]
            sent = self._sent(first.data, first.file)
            if not sent:
                return
            if first.file is not None:
                os.close(first.file)
                first.file = None
            first.data = first.data[sent:]
            self._unsent -= sent
            if not first.data:
                self._outbox.popleft()

    def _sent(self, data: memoryview, file: int | None = None) -> int:
        """Send as much as the system takes now. Returns how many bytes that was. Raises LinkClosed."""
        try:
            if file is None:
                return self._socket.send(data, _NO_SIGNAL)
            return socket.send_fds(self._socket, [data], [file], _NO_SIGNAL)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise LinkClosed(f"expected the other process to be there, got '{error.strerror or error}'") from error

    def _fill(self) -> str:
        """Read the bytes that have come. Returns why no more will come; '' while more may come."""
        while True:
            try:
                size, files = _receive(self._socket, self._chunk)
            except (BlockingIOError, InterruptedError):
                return ""
            except OSError as error:
                return f"expected the other process to be there, got '{error.strerror or error}'"
            self._files.extend(files)
            if not size:
                return "the other process closed the link"
            self._read += self._chunk[:size]
            if size < _CHUNK or len(self._read) > 4 * MESSAGE_BYTES:
                return ""

    def _take(self) -> tuple[Heard, int | None] | None:
        """Take the next whole message out of the bytes that were read; None if there is none."""
        if len(self._read) < _LENGTH.size:
            return None
        (word,) = _LENGTH.unpack_from(self._read)
        length = word & ~_WITH_FILE
        if length > MESSAGE_BYTES:
            self._read.clear()
            raise LinkClosed(f"expected a message of at most {MESSAGE_BYTES} bytes, got one of {length}")
        end = _LENGTH.size + length
        if len(self._read) < end:
            return None
        body = self._read[_LENGTH.size : end]
        del self._read[:end]
        if word & _WITH_FILE and not self._files:
            self._read.clear()
            raise LinkClosed("expected an open file beside a message, none came; too many files are open")
        file = self._files.popleft() if word & _WITH_FILE else None
        try:
            return codec.decode_link(body, self._table), file
        except ServerError as error:
            self._read.clear()
            if file is not None:
                os.close(file)
            raise LinkClosed(f"expected a message of the other process, got none: {error}") from error


def link_pair() -> tuple[Link[worker_messages.FromWorker], socket.socket]:
    """The front's end, and the socket whose number the worker gets (`pass_fds`); close that one after the start."""
    ours, theirs = socket.socketpair()
    theirs.set_inheritable(True)
    return Link(ours, codec.FROM_WORKER), theirs


def worker_end(file: int) -> Link[worker_messages.FromFront]:
    """The worker's end, from the file number that the worker was started with."""
    return Link(socket.socket(fileno=file), codec.FROM_FRONT)


_NO_SIGNAL: Final = getattr(socket, "MSG_NOSIGNAL", 0)
_CLOSED_ON_EXEC: Final = getattr(socket, "MSG_CMSG_CLOEXEC", 0)
_ROOM_FOR_FILES: Final = socket.CMSG_SPACE(_FILES_BYTES) if hasattr(socket, "CMSG_SPACE") else 0
"""0 on Windows, where no files can be sent; segments are opened by name there."""


def _receive(end: socket.socket, into: memoryview) -> tuple[int, list[int]]:
    """Read once. Returns how many bytes came, and the files with them, which are closed on exec. Raises OSError."""
    if not _ROOM_FOR_FILES:
        return end.recv_into(into), []
    size, extra, _, _ = end.recvmsg_into([into], _ROOM_FOR_FILES, _CLOSED_ON_EXEC)
    if not extra:
        return size, []
    files = array.array("i")
    for level, kind, content in extra:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            files.frombytes(content[: len(content) - len(content) % files.itemsize])
    with contextlib.suppress(OSError):
        for file in files:
            os.set_inheritable(file, False)
    return size, list(files)
