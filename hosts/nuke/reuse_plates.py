"""Keeps the file of an earlier plate where a newly rendered one has the same contents.

The server knows a plate by name, size and time. So a frame whose contents did not change keeps its old file, and only
frames with a new plate are painted.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from impasto.hosts.bridge.errors import BridgeError
from impasto.hosts.bridge.patterns import frame_path, frames_present
from impasto.hosts.bridge.ranges import FrameList, ranges_text
from impasto.hosts.nuke.plate_contents import digest_of_plate


def replace_changed(incoming: str, plates: str, frames: FrameList) -> list[int]:
    """Move the changed frames of one pattern to another and delete the others; the numbers of the changed ones.

    Raises BridgeError where the host left out a frame; then nothing is moved.
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


def remove_between(painted: str, frames: FrameList) -> None:
    """Delete what lies in the gaps of a list: it was painted with other settings, and would show between the new."""
    asked = set(frames.numbers())
    for number, path in frames_present(painted).items():
        if frames.first < number < frames.last and number not in asked:
            os.unlink(path)


def remove_folder(pattern: str) -> None:
    """Remove the folder of a pattern with everything in it."""
    shutil.rmtree(os.path.dirname(pattern), ignore_errors=True)
