"""Shared memory through which pixels pass on one machine: a segment of slot pairs, made by the server, mapped by both.

Page 0 of a segment holds the nonce by which a client proves that it mapped the right memory; the slots follow, page
by page. On Linux a segment is a memfd that nobody can shrink, so that no peer can make the other die of SIGBUS;
elsewhere it is a file that loses its name as soon as the mapping is proven. Either way nothing stays behind when a
process is killed. `multiprocessing.shared_memory` is not used: its resource tracker unlinks what others still map,
and starts `sys.executable`, which inside a host is the host.
"""

from __future__ import annotations

import errno
import mmap
import os
import re
import secrets
import stat
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from impasto.core.errors import ServerBusy, ServerError
from impasto.core.frozen_dataclass import frozen_dataclass
from impasto.server.free_memory import free_memory_bytes
from impasto.server.processes import has_ended

NONCE_BYTES: Final = 16
NONCE_OFFSET: Final = 0
PREFIX: Final = "impasto"
NAMED = re.compile(PREFIX + r"-(\d+)-[0-9a-f]{16}")
POPULATE_WRITE: Final = getattr(mmap, "MADV_POPULATE_WRITE", 23)
"""Linux 5.14 and newer; older kernels refuse the number and fault the pages in one by one."""
NO_ROOM = (errno.ENOSPC, errno.ENOMEM, errno.EFBIG, errno.EDQUOT, errno.EMFILE, errno.ENFILE)


class NoRoom(ServerBusy, OSError):
    """There is not enough memory, or space in any folder, for a segment."""


class NoMapping(ServerError, OSError):
    """A segment that cannot be mapped from here: another container, another user, or already gone."""


@frozen_dataclass
class SegmentLayout:
    """Where everything is in a segment. All offsets and sizes but the nonce's are whole pages."""

    slot_bytes: int
    pairs: int
    first_slot: int = mmap.ALLOCATIONGRANULARITY
    nonce_offset: int = NONCE_OFFSET

    @property
    def segment_bytes(self) -> int:
        """Of the whole segment."""
        return self.first_slot + 2 * self.pairs * self.slot_bytes

    def in_offset(self, pair: int) -> int:
        """Where the client writes its samples."""
        self._check(pair)
        return self.first_slot + 2 * pair * self.slot_bytes

    def out_offset(self, pair: int) -> int:
        """Where the server writes the result."""
        return self.in_offset(pair) + self.slot_bytes

    def _check(self, pair: int) -> None:
        if not 0 <= pair < self.pairs:
            raise ValueError(f"expected a pair below {self.pairs}, got {pair}")


def layout_for(slot_bytes: int, pairs: int) -> SegmentLayout:
    """The layout of `pairs` pairs of slots that hold at least `slot_bytes` each."""
    if slot_bytes < 1 or pairs < 1:
        raise ValueError(f"expected at least one byte and one pair, got {slot_bytes} and {pairs}")
    grain = mmap.ALLOCATIONGRANULARITY
    return SegmentLayout(-(-slot_bytes // grain) * grain, pairs)


class Segment:
    """A segment in the process that made it, which owns it.

    `fd` is its open file (-1 on Windows, where the mapping itself keeps it). `path` is what another process of the
    same user opens: it stays valid until `unlink` for a named file, until `close` for a memfd.
    """

    def __init__(self, fd: int, path: str, layout: SegmentLayout, named: bool, kept: mmap.mmap | None = None) -> None:
        self.fd = fd
        self.path = path
        self.layout = layout
        self.nonce = secrets.token_bytes(NONCE_BYTES)
        self._named = named
        self._kept = kept
        if kept is not None:
            kept[layout.nonce_offset : layout.nonce_offset + NONCE_BYTES] = self.nonce
        else:
            os.lseek(fd, layout.nonce_offset, os.SEEK_SET)
            os.write(fd, self.nonce)

    @property
    def segment_bytes(self) -> int:
        """Of the whole segment."""
        return self.layout.segment_bytes

    @property
    def slot_bytes(self) -> int:
        """Of one slot: as asked, in whole pages."""
        return self.layout.slot_bytes

    @property
    def pairs(self) -> int:
        """Pairs of an in-slot and an out-slot."""
        return self.layout.pairs

    @property
    def first_slot(self) -> int:
        """Offset of the first in-slot."""
        return self.layout.first_slot

    @property
    def nonce_offset(self) -> int:
        """Where the nonce is."""
        return self.layout.nonce_offset

    def in_offset(self, pair: int) -> int:
        """Where the client writes its samples."""
        return self.layout.in_offset(pair)

    def out_offset(self, pair: int) -> int:
        """Where the server writes the result."""
        return self.layout.out_offset(pair)

    def unlink(self) -> None:
        """Take the name away, where it has one; mappings and open files stay good."""
        if self._named:
            self._named = False
            Path(self.path).unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of the memory; it is freed when nobody maps it any more."""
        self.unlink()
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
        if self._kept is not None:
            self._kept.close()
            self._kept = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def create_segment(slot_bytes: int, pairs: int, *, folders: Iterable[Path] | None = None) -> Segment:
    """A new segment, with every page allocated now rather than at its first touch.

    `folders` are where a named file may go, for machines without memfd; by default /dev/shm and the temporary
    folder, whichever has more space. Raises NoRoom where the segment would take more than half of what is free.
    """
    layout = layout_for(slot_bytes, pairs)
    if sys.platform == "win32":
        return _tagged(layout)
    if folders is None and sys.platform == "linux":
        try:
            return _sealed(layout)
        except OSError as error:
            if isinstance(error, NoRoom) or error.errno in NO_ROOM:
                raise _no_room(layout, "memory") from error
    return _named(layout, list(folders) if folders is not None else _folders())


def map_segment(where: str | int, segment_bytes: int, *, populate: bool = True) -> mmap.mmap:
    """Map a segment, readable and writable, by its path or by an open file of it, which stays the caller's.

    With `populate` every page is in the page table on return, so that no frame waits for a fault; leave it off until
    the nonce has been compared. The mapping lives until the last view of it dies: drop it, never close it by hand.
    Raises NoMapping.
    """
    if sys.platform == "win32":  # unverified: nobody has run this branch
        return mmap.mmap(-1, segment_bytes, tagname=str(where))
    try:
        mapped = _map_file(where, segment_bytes)
    except OSError as error:
        if isinstance(error, NoMapping):
            raise
        raise NoMapping(f"expected shared memory of {segment_bytes} bytes at {where}, got: {error.strerror}") from error
    if populate:
        populate_pages(mapped)
    return mapped


def populate_pages(mapped: mmap.mmap) -> None:
    """Put every page of a mapping into the page table without changing a byte."""
    if sys.platform == "linux":
        try:
            mapped.madvise(POPULATE_WRITE)
        except OSError:
            mapped.madvise(mmap.MADV_WILLNEED)


def read_nonce(mapped: mmap.mmap, layout: SegmentLayout) -> bytes:
    """The nonce as this mapping shows it."""
    return mapped[layout.nonce_offset : layout.nonce_offset + NONCE_BYTES]


def sweep(folders: Iterable[Path] | None = None) -> list[Path]:
    """Remove the named segments of processes that are dead, and say which they were.

    A segment has a name only between its creation and the proof of its mapping, so there is seldom one.
    """
    swept = []
    if sys.platform == "win32":
        return swept
    for folder in _folders() if folders is None else folders:
        try:
            found = [path for path in folder.iterdir() if NAMED.fullmatch(path.name)]
        except OSError:
            continue
        for path in found:
            match = NAMED.fullmatch(path.name)
            if match is None or not has_ended(int(match[1])):
                continue
            try:
                path.unlink()
            except OSError:
                continue  # another user's, or another sweep was faster
            swept.append(path)
    return swept


def _sealed(layout: SegmentLayout) -> Segment:
    import fcntl

    _check_memory(layout.segment_bytes)
    fd = os.memfd_create(f"{PREFIX}-{os.getpid()}", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.posix_fallocate(fd, 0, layout.segment_bytes)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
        return Segment(fd, f"/proc/{os.getpid()}/fd/{fd}", layout, named=False)
    except BaseException:
        os.close(fd)
        raise


def _named(layout: SegmentLayout, folders: list[Path]) -> Segment:
    roomy = sorted(((_free_bytes(folder), folder) for folder in folders), key=lambda pair: pair[0], reverse=True)
    if not roomy or layout.segment_bytes > roomy[0][0] // 2:
        raise _no_room(layout, " or ".join(str(folder) for folder in folders) or "any folder")
    path = roomy[0][1] / f"{PREFIX}-{os.getpid()}-{secrets.token_hex(8)}"
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        fd = os.open(path, flags, 0o600)
    except OSError as error:
        raise _no_room(layout, str(path.parent)) from error
    try:
        if sys.platform == "linux":
            os.posix_fallocate(fd, 0, layout.segment_bytes)  # ENOSPC now, not SIGBUS later
        else:
            os.ftruncate(fd, layout.segment_bytes)
        return Segment(fd, str(path), layout, named=True)
    except BaseException as error:
        os.close(fd)
        path.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            raise _no_room(layout, str(path.parent)) from error
        raise


def _tagged(layout: SegmentLayout) -> Segment:
    """Windows: memory behind the page file, freed with its last handle. Unverified: nobody has run this branch."""
    if sys.platform == "win32":
        tag = f"Local\\{PREFIX}-{os.getpid()}-{secrets.token_hex(8)}"
        try:
            kept = mmap.mmap(-1, layout.segment_bytes, tagname=tag)
        except OSError as error:
            raise _no_room(layout, "memory") from error
        return Segment(-1, tag, layout, named=False, kept=kept)
    raise NotImplementedError("tags are Windows' own")


def _map_file(where: str | int, segment_bytes: int) -> mmap.mmap:
    if isinstance(where, int):
        _check_file(where, segment_bytes)
        return mmap.mmap(where, segment_bytes)
    # A path below /proc is a link that only the kernel makes, and is followed; any other link is not. In another
    # container the same process number may be somebody else's, so what the link shows is looked at before it is opened.
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK
    if where.startswith("/proc/"):
        if not os.readlink(where).startswith(f"/memfd:{PREFIX}-"):
            raise NoMapping(f"expected shared memory of impasto at {where}, found something else")
    else:
        flags |= os.O_NOFOLLOW
    fd = os.open(where, flags)
    try:
        _check_file(fd, segment_bytes)
        return mmap.mmap(fd, segment_bytes)
    finally:
        os.close(fd)


def _check_file(fd: int, segment_bytes: int) -> None:
    facts = os.fstat(fd)
    if not stat.S_ISREG(facts.st_mode) or facts.st_size != segment_bytes:
        raise NoMapping(f"expected shared memory of {segment_bytes} bytes, got a file of {facts.st_size}")
    if facts.st_uid != os.geteuid():
        raise NoMapping(f"expected shared memory of user {os.geteuid()}, got that of user {facts.st_uid}")


def _folders() -> list[Path]:
    shared = Path("/dev/shm")
    return [*([shared] if shared.is_dir() else []), Path(tempfile.gettempdir())]


def _free_bytes(folder: Path) -> int:
    try:
        facts = os.statvfs(folder)
    except OSError:
        return 0
    return facts.f_bavail * facts.f_frsize


def _check_memory(wanted: int) -> None:
    """Raise NoRoom if the segment would take more than half of the memory that this process may still have."""
    free = free_memory_bytes()
    if free is not None and wanted > free // 2:
        raise NoRoom(f"expected {wanted >> 20} MiB for shared memory within half of the {free >> 20} MiB that are free")


def _no_room(layout: SegmentLayout, where: str) -> NoRoom:
    return NoRoom(
        f"expected room for {layout.segment_bytes >> 20} MiB of shared memory in {where}, there is less than twice "
        f"that; close other programs or send smaller pictures"
    )
