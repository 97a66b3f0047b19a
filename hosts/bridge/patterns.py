"""Names of numbered files, as hosts and `impasto` write them: plate.####.exr, plate.%04d.exr, %V for the view."""

from __future__ import annotations

import os
import re

from impasto.hosts.bridge.errors import BridgeError

_NUMBER = re.compile(r"#+|%0(\d+)d|%d")


def frame_path(pattern: str, number: int) -> str:
    """The file of one frame. BridgeError for a pattern without a place for the number."""
    place = _place(pattern)
    return pattern[: place.start()] + _digits(number, _width(place)) + pattern[place.end() :]


def to_printf(pattern: str) -> str:
    """The pattern with %04d, the form that Nuke and Resolve take."""
    place = _place(pattern)
    width = _width(place)
    return pattern[: place.start()] + (f"%0{width}d" if width > 1 else "%d") + pattern[place.end() :]


def for_view(pattern: str, view: str) -> str:
    """The pattern of one view: %V is its name, %v its first letter."""
    return pattern.replace("%V", view).replace("%v", view[:1])


def frames_present(pattern: str) -> dict[int, str]:
    """Frame number -> path of the files that exist and are not empty."""
    place = _place(pattern)
    folder, head = os.path.split(pattern[: place.start()])
    tail = pattern[place.end() :]
    wanted = re.compile(re.escape(head) + r"(-?\d+)" + re.escape(tail))
    try:
        entries = sorted(os.listdir(folder or "."))
    except OSError:
        return {}
    found: dict[int, str] = {}
    for name in entries:
        match = wanted.fullmatch(name)
        if match is None:
            continue
        number = int(match.group(1))
        path = os.path.join(folder, name)
        if match.group(1) == _digits(number, _width(place)) and _size(path) > 0:
            found[number] = path
    return found


def files_of(pattern: str) -> list[str]:
    """The files of a pattern that exist, by number; for a name without a number the file itself."""
    if _NUMBER.search(os.path.basename(pattern)):
        present = frames_present(pattern)
        return [present[number] for number in sorted(present)]
    return [pattern] if _size(pattern) > 0 else []


def _place(pattern: str) -> re.Match[str]:
    name_at = len(os.path.split(pattern)[0])
    places = [each for each in _NUMBER.finditer(pattern) if each.start() >= name_at]
    if not places:
        raise BridgeError(f"expected a place for the frame number, as in plate.####.exr, got '{pattern}'")
    return places[-1]


def _width(place: re.Match[str]) -> int:
    if place.group().startswith("#"):
        return len(place.group())
    return int(place.group(1) or 1)


def _digits(number: int, width: int) -> str:
    return ("-" if number < 0 else "") + str(abs(number)).zfill(width)


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0
