"""Plates that the host rendered anew, put beside those of last time so that what is the same stays untouched.

The server knows a plate by its name, size and time. A frame whose contents did not change keeps the file of last time,
so that only frames are painted whose plate is another one.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from impasto.hosts.bridge.errors import BridgeError
from impasto.hosts.bridge.patterns import frame_path, frames_present
from impasto.hosts.bridge.ranges import FrameRange, ranges_text
from impasto.hosts.nuke.plate_contents import digest_of_plate


def settle(incoming: str, plates: str, frames: FrameRange) -> list[int]:
    """Move the frames of one pattern to another; the numbers of those that are new or differ.

    Raises BridgeError where the host left out a frame: then nothing was moved.
    """
    there = frames_present(incoming)
    missing = frames.missing(there)
    if missing:
        raise BridgeError(
            f"expected a plate for each of the frames {frames.text()}, the host wrote none for {ranges_text(missing)}; "
            f"look whether the input has them and whether the disk of '{os.path.dirname(incoming)}' is full"
        )
    Path(plates).parent.mkdir(parents=True, exist_ok=True)
    before = frames_present(plates)
    changed = []
    for number in frames.numbers():
        if number in before and digest_of_plate(there[number]) == digest_of_plate(before[number]):
            os.unlink(there[number])
            continue
        os.replace(there[number], frame_path(plates, number))
        changed.append(number)
    return changed


def clear(pattern: str) -> None:
    """Remove the folder of a pattern, with what a run left in it."""
    shutil.rmtree(os.path.dirname(pattern), ignore_errors=True)
