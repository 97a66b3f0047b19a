"""Plates below named roots: what a folder holds, and how a frame of it is named."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

from impasto.core.errors import UsageError
from impasto.core.frozen_dataclass import frozen_dataclass
from impasto.core.media import FrameRange
from impasto.core.media.formats import PICTURE_EXTENSIONS
from impasto.core.media.numbering import named_like
from impasto.core.media.open import MOVIE_EXTENSIONS
from impasto.server.file_roots import is_plain_name, resolve, resolve_folder
from impasto.server.settings import Root

MOST_ENTRIES: Final = 2000


@frozen_dataclass
class Entry:
    """Something in a folder that can be opened. `path` is 'ROOT:relative/path', a sequence as its pattern."""

    name: str
    path: str
    kind: Literal["folder", "movie", "sequence", "still"]
    first: int = 1
    frames: int = 0
    """Files of a sequence."""


@frozen_dataclass
class Folder:
    """What a folder holds, folders first."""

    path: str
    """Empty: the list of roots."""
    entries: tuple[Entry, ...]
    left_out: int = 0
    """Pictures and folders whose names cannot be named below a root, and what is beyond `MOST_ENTRIES`."""


def folder_at(path: str, roots: Mapping[str, Root]) -> Folder:
    """What 'ROOT:relative/folder' holds; '' lists the roots. Raises NotPermitted, UnreadableMedia."""
    if not path:
        return Folder("", tuple(Entry(name, name, "folder") for name in roots))
    base = path if ":" in path else f"{path}:"
    folders: list[Entry] = []
    files: list[str] = []
    left_out = 0
    with os.scandir(resolve_folder(path, roots)) as found:
        for each in sorted(found, key=lambda item: item.name.lower()):
            is_folder = each.is_dir(follow_symlinks=False)
            is_file = not is_folder and each.is_file(follow_symlinks=False)
            ending = os.path.splitext(each.name)[1].lower()
            if each.name.startswith(".") or not (is_folder or (is_file and ending in OPENED)):
                continue
            if not is_plain_name(each.name):
                left_out += 1
            elif is_folder:
                folders.append(Entry(each.name, _joined(base, each.name), "folder"))
            else:
                files.append(each.name)
    entries = [*folders, *_shots(base, files)]
    return Folder(path, tuple(entries[:MOST_ENTRIES]), left_out + max(0, len(entries) - MOST_ENTRIES))


def frame_range(path: Path, kind: str, number: int | None) -> FrameRange | None:
    """The range with one frame of a shot; None for a still."""
    return None if kind == "still" or number is None else FrameRange(number, number)


def plate_path(path: str, roots: Mapping[str, Root]) -> Path:
    """The file or pattern that 'ROOT:relative/path' means. Raises NotPermitted, UnreadableMedia, UsageError."""
    if not path:
        raise UsageError("expected a plate, got no name; choose one from a folder, or drop a picture in")
    return resolve(path, roots, write=False)


OPENED: Final = PICTURE_EXTENSIONS | MOVIE_EXTENSIONS


def _joined(base: str, name: str) -> str:
    return f"{base}{name}" if base.endswith(":") else f"{base}/{name}"


def _shots(base: str, names: list[str]) -> list[Entry]:
    """Files as shots: numbered pictures of one name together, all else by itself."""
    entries: list[Entry] = []
    sequences: dict[str, list[int]] = {}
    for name in names:
        ending = os.path.splitext(name)[1].lower()
        numbered = named_like(name) if ending in PICTURE_EXTENSIONS else None
        number = None if numbered is None else numbered.number_of(name)
        if ending in MOVIE_EXTENSIONS:
            entries.append(Entry(name, _joined(base, name), "movie"))
        elif numbered is None or number is None:
            entries.append(Entry(name, _joined(base, name), "still"))
        else:
            sequences.setdefault(str(numbered), []).append(number)
    for pattern, numbers in sequences.items():
        entries.append(Entry(pattern, _joined(base, pattern), "sequence", min(numbers), len(numbers)))
    return sorted(entries, key=lambda entry: entry.name.lower())
