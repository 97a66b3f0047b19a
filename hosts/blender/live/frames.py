# SPDX-License-Identifier: GPL-3.0-or-later
"""Live strips, and their painted frames on disk: a folder for each look, its files numbered as the plate's frames.

The server commits a file by renaming, whole or not at all. So the folder itself tells which frames are painted, in this
Blender, in the next, and on a machine without the extension.
"""

from __future__ import annotations

import contextlib
import struct
import zlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from ..fingerprints import file_stamp, fingerprint
from ..frame_files import file_of, pattern_of
from ..look.look import Look

CHUNK: Final = 8
"""Frames of one request while rendering: the server opens a movie and seeks in it once for all of them."""
NAME_LETTERS: Final = 20
SLUG: Final = "painted"
MISSING: Final = (255, 0, 255)
"""The colour of a frame that could not be painted for a final render."""

_EXR: Final = b"\x76\x2f\x31\x01"


@dataclass(frozen=True, slots=True)
class LivePlate:
    """What a strip shows: media that the server reads, and where on the timeline."""

    input: str
    """A movie, or a sequence as its pattern with one '#' for each digit."""
    first: int
    """Number of the first frame of the media: 1 for a movie."""
    count: int
    begins: int
    """The frame of the timeline on which the first frame of the media lies, shown or not."""
    shown_from: int
    shown_to: int
    """The frames of the timeline on which the strip shows, both inclusive."""
    space: str = ""
    """The colour space of the strip, where it is not the server's default."""

    def number_at(self, frame: int) -> int | None:
        """The media's frame number that shows at a frame of the timeline, None where the strip does not show.

        Before and after the media the strip holds its first and its last frame.
        """
        if not self.shown_from <= frame <= self.shown_to:
            return None
        return min(max(frame - self.begins + self.first, self.first), self.first + self.count - 1)

    def frame_of(self, number: int) -> int:
        """The frame of the timeline on which a frame of the media lies."""
        return number - self.first + self.begins

    @property
    def numbers(self) -> range:
        """The media's frame numbers that the strip shows."""
        first, last = self.number_at(self.shown_from), self.number_at(self.shown_to)
        return range(0) if first is None or last is None else range(first, last + 1)


@dataclass(frozen=True, slots=True)
class LiveFrames:
    """The painted frames of one look."""

    folder: Path

    def path_of(self, number: int) -> Path:
        """The file of a frame, whether it exists or not."""
        return self.folder / file_of(SLUG, number)

    @property
    def pattern(self) -> str:
        """The pattern of the files, as the server writes them."""
        return pattern_of(self.folder, SLUG)

    def has(self, number: int) -> bool:
        """Whether the frame is painted; a mark in its place does not count."""
        try:
            with self.path_of(number).open("rb") as file:
                return file.read(len(_EXR)) == _EXR
        except OSError:
            return False

    def missing(self, numbers: Iterable[int]) -> list[int]:
        """The frames that are not painted yet."""
        return [number for number in numbers if not self.has(number)]

    def run_from(self, number: int, last: int, longest: int = CHUNK) -> int:
        """The last of the frames in a row that are missing too, up to `last`, at most `longest`."""
        end = number
        while end < min(last, number + longest - 1) and not self.has(end + 1):
            end += 1
        return end

    def mark(self, number: int, width: int, height: int) -> None:
        """Put a glaring picture in the place of a frame that is missing."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.path_of(number).write_bytes(one_colour_png(width, height, MISSING))

    def unmark(self, number: int) -> None:
        """Remove the mark, if there is one."""
        if not self.has(number):
            with contextlib.suppress(OSError):
                self.path_of(number).unlink()


@dataclass(frozen=True, slots=True)
class LiveStrip:
    """A live strip as it is now."""

    viewer: str
    """Names the strip among all of the file."""
    plate: LivePlate
    look: Look
    frames: LiveFrames

    def number_at(self, frame: int) -> int | None:
        """The media's frame number at a frame of the timeline."""
        return self.plate.number_at(frame)


def live_strip(viewer: str, plate: LivePlate, look: Look, root: Path) -> LiveStrip:
    """A strip with the folder for its frames: another one for other media, another look or another matte."""
    stamps = (file_stamp(plate.input), file_stamp(look.matte) if look.matte else "")
    name = fingerprint([plate.input, plate.space, asdict(look), stamps], NAME_LETTERS)
    return LiveStrip(viewer, plate, look, LiveFrames(root / name))


def one_colour_png(width: int, height: int, colour: tuple[int, int, int]) -> bytes:
    """A picture of one colour as the bytes of a PNG with a palette of one entry."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    rows = zlib.compress(bytes((width + 1) * height))
    return b"".join(
        (b"\x89PNG\r\n\x1a\n", chunk(b"IHDR", header), chunk(b"PLTE", bytes(colour)), chunk(b"IDAT", rows),
         chunk(b"IEND", b""))
    )  # fmt: skip


def trim(root: Path, budget_bytes: int, keep: Iterable[Path]) -> int:
    """Delete the oldest frames until those below `root` fit into the budget; returns how many.

    Frames in folders of `keep`, the looks that are on screen, go last. Empty folders are deleted too.
    """
    kept = set(keep)
    found: list[tuple[bool, int, int, Path]] = []
    for path in root.glob(f"*/{SLUG}.*.exr"):
        with contextlib.suppress(OSError):
            facts = path.stat()
            found.append((path.parent in kept, facts.st_mtime_ns, facts.st_size, path))
    excess = sum(size for _, _, size, _ in found) - budget_bytes
    gone = 0
    for _, _, size, path in sorted(found):
        if excess <= 0:
            break
        with contextlib.suppress(OSError):
            path.unlink()
            excess -= size
            gone += 1
    for folder in {path.parent for _, _, _, path in found} - kept:
        with contextlib.suppress(OSError):
            folder.rmdir()
    return gone
