"""Entries in a folder: each a file of its own, bounded by bytes, the least recently used evicted first.

    0000…9f.frame    an entry: 8 bytes of magic, 8 of length, 20 of checksum, the content
    limit            how many bytes all of them may take

Several processes of several machines may share a folder. An entry appears whole, by renaming. Nothing is synced to
the disk: what a crash has torn does not have its checksum, and is removed and reported as missing. Files that are no
entries are left alone.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import struct
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
from blake3 import blake3

from impasto.core.errors import OutputError
from impasto.core.media.commit import output_error, remove_abandoned, temporary_beside
from impasto.server.frame_cache.place import LIMIT_FILE, CacheChoice, limit_of, make_folder

Content: TypeAlias = npt.NDArray[np.uint8]
DIGEST_BYTES: Final = 20
_ENDING: Final = ".frame"
_NAME: Final = re.compile(rf"[0-9a-f]{{{2 * DIGEST_BYTES}}}")
_MAGIC: Final = b"impasto1"
_HEAD: Final = struct.Struct(f"<8sQ{DIGEST_BYTES}s")
_LEFT_BYTES: Final = 1 << 30
"""What the file system must have left, so that the cache does not take the room of results."""
_PAUSE_S: Final = 60.0
"""After an entry could not be written, none is for so long."""
_OLD_S: Final = 3600.0
"""After so long, an unfinished file of another machine is nobody's."""


@dataclass(frozen=True, slots=True)
class StoreFacts:
    """What is in a folder."""

    entries: int
    bytes: int
    limit_bytes: int
    foreign: int
    """Files that are no entries of the cache."""


@dataclass(frozen=True, slots=True)
class _Entry:
    path: str
    bytes: int
    used_ns: int


class FrameStore:
    """Entries by name. Any thread may read; writing is for one at a time, and made so here."""

    def __init__(self, choice: CacheChoice, clock: Callable[[], float] = time.monotonic) -> None:
        self.folder, self.read_only = choice.folder, choice.read_only
        self._limit_bytes = choice.limit_bytes
        self._clock = clock
        self._lock = threading.Lock()
        self._bytes: int | None = None
        """In the folder, as far as this process knows; None before it has looked."""
        self._unseen = 0
        """Bytes that were written since it looked: others may have written as many."""
        self._pause_until = 0.0
        self.problem = ""
        """Why entries are not written, while they are not."""
        self.damaged = 0
        """Entries that were found damaged."""

    @property
    def limit_bytes(self) -> int:
        """How many bytes all entries may take."""
        return limit_of(self.folder) if self._limit_bytes is None else self._limit_bytes

    def get(self, name: str) -> Content | None:
        """The content of an entry, in memory of its own; None where there is none, or a damaged one, which is removed.

        The entry becomes the one that was used last.
        """
        path = self._path(name)
        try:
            with open(path, "rb", buffering=0) as file:
                content = _read(file, name)
        except OSError:
            return None
        if content is None:
            self.remove(name)
            return None
        if not self.read_only:
            with contextlib.suppress(OSError):
                os.utime(path)
        return content

    def remove(self, name: str) -> None:
        """Remove an entry that is damaged, where that is permitted."""
        self.damaged += 1
        if not self.read_only:
            with contextlib.suppress(OSError):
                os.unlink(self._path(name))

    def put(self, name: str, pieces: Sequence[Any]) -> bool:
        """Keep an entry of these pieces, contiguous buffers, one behind the other; returns whether it is there now.

        Never raises for a folder that cannot be written or is full: `problem` says so then, and for a minute nothing is
        tried again. An entry of more than half the limit is not kept.
        """
        views = [memoryview(piece).cast("B") for piece in pieces]
        size = _HEAD.size + sum(view.nbytes for view in views)
        with self._lock:
            if self.read_only or self._clock() < self._pause_until or size > self.limit_bytes // 2:
                return False
            try:
                make_folder(self.folder)
                self._make_room(size)
                self._write(name, views)
            except (OSError, OutputError) as error:
                self._pause(error)
                return False
            self.problem = ""
            return True

    def probe(self) -> None:
        """Say in `problem` that the folder cannot be written, before there is anything to write."""
        if self.read_only or self.problem:
            return
        try:
            make_folder(self.folder)
            if not os.access(self.folder, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        except OSError as error:
            self._pause(error)

    def facts(self) -> StoreFacts:
        """What is there now."""
        entries, foreign = self._entries()
        return StoreFacts(len(entries), sum(entry.bytes for entry in entries), self.limit_bytes, foreign)

    def trim(self, most_bytes: int) -> int:
        """Evict what was used longest ago until the rest takes at most so many bytes; how many entries went.

        What killed processes left unfinished goes too. Raises OutputError where an entry cannot be removed.
        """
        self._sweep()
        entries, _ = self._entries()
        left, gone = sum(entry.bytes for entry in entries), 0
        for entry in sorted(entries, key=lambda each: each.used_ns):
            if left <= most_bytes:
                break
            try:
                os.unlink(entry.path)
                gone += 1
            except FileNotFoundError:  # another process was quicker
                pass
            except OSError as error:
                raise output_error(entry.path, error) from error
            left -= entry.bytes
        self._bytes, self._unseen = left, 0
        return gone

    def _pause(self, error: OSError | OutputError) -> None:
        told = error if isinstance(error, OutputError) else output_error(str(self.folder), error)
        self.problem = f"painted frames are not kept: {told}"
        self._pause_until = self._clock() + _PAUSE_S

    def _path(self, name: str) -> str:
        assert _NAME.fullmatch(name), name
        return os.path.join(self.folder, name + _ENDING)

    def _entries(self) -> tuple[list[_Entry], int]:
        """All entries, and how many files are none."""
        found, foreign = [], 0
        try:
            with os.scandir(self.folder) as listed:
                for each in listed:
                    stem, ending = os.path.splitext(each.name)
                    if ending == _ENDING and _NAME.fullmatch(stem) and each.is_file(follow_symlinks=False):
                        with contextlib.suppress(OSError):  # it was evicted meanwhile
                            facts = each.stat(follow_symlinks=False)
                            found.append(_Entry(each.path, facts.st_size, facts.st_mtime_ns))
                    elif each.name != LIMIT_FILE and not each.name.endswith(f".part{_ENDING}"):
                        foreign += 1
        except FileNotFoundError:
            pass
        except OSError as error:
            raise output_error(str(self.folder), error) from error
        return found, foreign

    def _make_room(self, size: int) -> None:
        """Evict until `size` bytes more are within the limit. Raises OSError, OutputError."""
        limit = self.limit_bytes
        known = (self._bytes or 0) + self._unseen
        if self._bytes is None or self._unseen > limit // 16 or known + size > limit:
            # Some more than is needed, so that not every frame looks at all entries.
            self.trim(max(0, limit - limit // 16 - size))
        if shutil.disk_usage(self.folder).free - size < _LEFT_BYTES:
            raise OutputError(
                f"expected {_LEFT_BYTES >> 30} GiB left on the disk of '{self.folder}' beside them, there is less; "
                "free some space, or name another folder in IMPASTO_CACHE"
            )

    def _sweep(self) -> None:
        """Remove what killed processes left behind."""
        remove_abandoned(str(self.folder), lambda final: final.endswith(_ENDING))
        with contextlib.suppress(OSError), os.scandir(self.folder) as listed:
            for each in listed:
                if each.name.startswith(".") and each.name.endswith(f".part{_ENDING}"):
                    with contextlib.suppress(OSError):
                        if time.time() - each.stat(follow_symlinks=False).st_mtime > _OLD_S:
                            os.unlink(each.path)

    def _write(self, name: str, views: Sequence[memoryview]) -> None:
        path = self._path(name)
        temporary = temporary_beside(path)
        digest = blake3(name.encode())
        for view in views:
            digest.update(view)
        length = sum(view.nbytes for view in views)
        head = _HEAD.pack(_MAGIC, length, digest.digest(DIGEST_BYTES))
        try:
            with open(temporary, "xb", buffering=0) as file:
                for view in (memoryview(head), *views):
                    _write_all(file.fileno(), view)
            os.replace(temporary, path)
        finally:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
        self._unseen += _HEAD.size + length


def _write_all(descriptor: int, view: memoryview) -> None:
    while view.nbytes:
        view = view[os.write(descriptor, view) :]


def _read(file: Any, name: str) -> Content | None:
    """The content of an open entry, None where it is damaged, or is that of another name."""
    head = file.read(_HEAD.size)
    if len(head) < _HEAD.size:
        return None
    magic, length, digest = _HEAD.unpack(head)
    if magic != _MAGIC or length != os.fstat(file.fileno()).st_size - _HEAD.size:
        return None
    content = np.empty(length, np.uint8)
    view, done = content.data, 0
    while done < length:
        count = file.readinto(view[done:])
        if not count:
            return None
        done += count
    found = blake3(name.encode()).update(view).digest(DIGEST_BYTES)
    return content if found == digest else None
