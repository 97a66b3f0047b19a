# SPDX-License-Identifier: GPL-3.0-or-later
"""The painted frames of live strips on disk: a folder for each look, its files numbered as the plate's frames.

A file is there whole or not at all, because the server commits it by renaming. So the folder itself says which frames
are painted, in this Blender, in the next, and on a machine without the extension.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import struct
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from ..bake.plan import file_of, pattern_of

CHUNK: Final = 8
"""Frames of one request while rendering: the server opens a movie, and finds a place in it, once for all of them."""
NAME_LETTERS: Final = 20
SLUG: Final = "painted"
LOOKED_AT: Final = 16
"""Files of a sequence that are looked at for a change."""
MISSING: Final = (255, 0, 255)
"""The colour of a frame that could not be painted for a final render."""

_EXR: Final = b"\x76\x2f\x31\x01"
_NUMBER: Final = re.compile(r"^(?P<before>.*?)#+(?P<after>[^#]*)$")


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
    """The colour space of the strip, where it is not the one that the server takes by itself."""

    def number_at(self, frame: int) -> int | None:
        """The media's frame number that shows at a frame of the timeline, None where the strip does not show.

        Before and behind the media the strip holds its first and its last frame.
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
class LiveLook:
    """Everything that decides how the frames of a strip come out; equal looks share their frames."""

    input: str
    stamp: str
    """Changes with the media's files."""
    style: str
    """A name of the library, or the path of a style file."""
    style_state: str
    """Changes with the style: its digest, or the time and size of its file."""
    params: tuple[tuple[tuple[str, float], ...], ...]
    """Names and values, sorted; one setting for all frames, or where they are animated one for each from `first` on."""
    first: int = 0
    space: str = ""
    matte: str = ""
    matte_stamp: str = ""

    @property
    def folder_name(self) -> str:
        """A name that another look does not have."""
        text = json.dumps(asdict(self), sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:NAME_LETTERS]

    @property
    def animated(self) -> bool:
        """Whether a parameter changes from frame to frame."""
        return len(self.params) > 1

    def params_at(self, number: int) -> dict[str, float]:
        """The parameters of a frame of the media."""
        place = min(max(number - self.first, 0), len(self.params) - 1)
        return dict(self.params[place])


def settled(params: Iterable[Mapping[str, float]]) -> tuple[tuple[tuple[str, float], ...], ...]:
    """Settings as a look holds them: sorted, rounded to what a slider can tell apart, a single one where all agree."""
    found = [tuple(sorted((name, round(value, 5)) for name, value in each.items())) for each in params]
    return tuple(found[:1] if len(set(found)) == 1 else found)


@dataclass(frozen=True, slots=True)
class LiveFrames:
    """The frames of one look."""

    folder: Path

    def path_of(self, number: int) -> Path:
        """The file of a frame, there or not."""
        return self.folder / file_of(SLUG, number)

    @property
    def pattern(self) -> str:
        """All files, as the server writes them."""
        return pattern_of(self.folder, SLUG)

    def has(self, number: int) -> bool:
        """Whether the frame is painted; a mark that says it is missing does not count."""
        try:
            with self.path_of(number).open("rb") as file:
                return file.read(len(_EXR)) == _EXR
        except OSError:
            return False

    def missing(self, numbers: Iterable[int]) -> list[int]:
        """Those that are not painted yet."""
        return [number for number in numbers if not self.has(number)]

    def run_from(self, number: int, last: int, longest: int = CHUNK) -> int:
        """The last of the frames in a row that are missing too, up to `last`, at most `longest`."""
        end = number
        while end < min(last, number + longest - 1) and not self.has(end + 1):
            end += 1
        return end

    def mark(self, number: int, width: int, height: int) -> None:
        """Put a picture in the place of a frame that nobody could overlook."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.path_of(number).write_bytes(one_colour_png(width, height, MISSING))

    def unmark(self, number: int) -> None:
        """Take the mark away, if there is one."""
        if not self.has(number):
            with contextlib.suppress(OSError):
                self.path_of(number).unlink()


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


def stamp_of(path: str) -> str:
    """Something that changes with a file, or with the files of a pattern; '' where there is none.

    It is asked for several times a second. So of a sequence a few files, evenly spread, speak for all, besides their
    number and the time of their folder: one frame that was overwritten in its place may go unnoticed, a new render
    does not.
    """
    match = _NUMBER.match(os.path.basename(path))
    try:
        if match is None:
            return _state(path)
        folder = os.path.dirname(path) or "."
        before, after = match["before"], match["after"]
        names = sorted(name for name in os.listdir(folder) if name.startswith(before) and name.endswith(after))
        if not names:
            return ""
        spread = sorted({round(place * (len(names) - 1) / LOOKED_AT) for place in range(LOOKED_AT + 1)})
        states = [_state(os.path.join(folder, names[place])) for place in spread]
        facts = json.dumps([len(names), os.stat(folder).st_mtime_ns, *states])
        return hashlib.sha256(facts.encode()).hexdigest()[:NAME_LETTERS]
    except OSError:
        return ""


def _state(path: str) -> str:
    facts = os.stat(path)
    return f"{facts.st_size}-{facts.st_mtime_ns}"


def trim(root: Path, budget_bytes: int, keep: Iterable[Path]) -> int:
    """Delete the oldest frames until those below `root` fit into the budget; how many that were.

    Folders of `keep` are looks that are on screen: their frames go last. An empty folder goes too.
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
