"""Finds the files that a render job wrote. Names are not predicted: padding and numbering vary by version."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from impasto.hosts.bridge.errors import BridgeError
from impasto.hosts.bridge.patterns import frame_path, frames_present
from impasto.hosts.bridge.ranges import FrameSpan, ranges_text

PATTERN = "plate_########.exr"
_NUMBERED = re.compile(r"(?P<head>.*?)(?P<number>\d+)(?P<tail>\.exr)", re.IGNORECASE)


@dataclass(frozen=True)
class ImageSequence:
    """A sequence on disk, as a pattern with '#' for each digit."""

    pattern: str
    numbers: FrameSpan


def rendered_sequence(folder: str, count: int) -> ImageSequence:
    """The sequence of `count` frames in a folder, numbered by timeline, by clip, or from zero.

    One frame too many at the end is left out: by version the out mark is counted differently. Raises BridgeError, with
    the numbers, where frames are missing or empty.
    """
    groups: dict[str, list[str]] = {}
    for name in sorted(os.listdir(folder)):
        found = _NUMBERED.fullmatch(name)
        if found is not None and not name.startswith("."):
            groups.setdefault("{}\0{}".format(found.group("head"), found.group("tail")), []).append(name)
    if not groups:
        raise BridgeError(
            f"expected {count} EXR frames in '{folder}', the render job wrote none; look at the job on the Deliver page"
        )
    if len(groups) > 1:
        shown = ", ".join(sorted(names[0] for names in groups.values())[:3])
        raise BridgeError(f"expected one sequence in '{folder}', found several ({shown}); render each by itself")
    key, names = groups.popitem()
    head, tail = key.split("\0")
    digits = {int(name[len(head) : len(name) - len(tail)]): name for name in names}
    empty = [number for number, name in digits.items() if os.path.getsize(os.path.join(folder, name)) == 0]
    first = min(digits)
    wanted = FrameSpan(first, first + count - 1)
    missing = wanted.missing(number for number in digits if number not in empty)
    if missing or len(digits) > count + 1:
        raise BridgeError(
            "expected {} frames from {} in '{}', {}; render again".format(
                count,
                first,
                folder,
                f"missing {ranges_text(missing)}" if missing else f"found {len(digits)}",
            )
        )
    width = min(len(name) - len(head) - len(tail) for name in names)
    return ImageSequence(os.path.join(folder, head + "#" * width + tail), wanted)


def renumbered(found: ImageSequence) -> ImageSequence:
    """The same files, renamed and numbered from 0.

    Resolve counts the frames of a sequence from 0 or from the number of its first file; then both are the same.
    """
    pattern = os.path.join(os.path.dirname(found.pattern), PATTERN)
    count, first = found.numbers.count, found.numbers.first
    for number, path in sorted(frames_present(found.pattern).items()):
        if found.numbers.first <= number <= found.numbers.last:
            os.replace(path, frame_path(pattern, number - first))
    return ImageSequence(pattern, FrameSpan(0, count - 1))
