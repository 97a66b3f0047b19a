"""Every contact sheet that a run drew, out of its TensorBoard log, without reading the log whole.

A log is a row of records: length (u64, little endian), its checksum (u32), the payload, its checksum (u32). A payload
is a `tensorflow.Event`: wall time (field 1, double), step (field 2, varint), and a summary with the sheet's PNG.
TensorBoard's own reader would load the pictures, tens of megabytes, to find their steps; here only heads are read.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Final

from impasto.core.frozen_dataclass import frozen_dataclass

FOLDER: Final = "tensorboard"
TAG: Final = b"preview"
HEAD_BYTES: Final = 128
"""Holds wall time, step, and the tag."""
MOST_BYTES: Final = 64 << 20
PNG_BEGIN: Final = b"\x89PNG\r\n\x1a\n"
PNG_END: Final = b"IEND\xaeB`\x82"


@frozen_dataclass
class Sheet:
    """Where a contact sheet lies."""

    step: int
    file: Path
    offset: int
    size: int


def sheets_in(run: Path) -> list[Sheet]:
    """The contact sheets of a run by ascending step; of one step that was drawn twice, the later."""
    found: dict[int, Sheet] = {}
    folder = run / FOLDER
    files = sorted(folder.glob("events.out.tfevents.*")) if folder.is_dir() else []
    for file in files:
        for sheet in _sheets_of(file):
            found[sheet.step] = sheet
    return [found[step] for step in sorted(found)]


def sheet_png(sheet: Sheet) -> bytes | None:
    """The picture of a sheet, None where the log is damaged there."""
    with sheet.file.open("rb") as log:
        log.seek(sheet.offset)
        payload = log.read(sheet.size)
    begin = payload.find(PNG_BEGIN)
    end = payload.rfind(PNG_END)
    return payload[begin : end + len(PNG_END)] if 0 <= begin < end else None


def _sheets_of(file: Path) -> list[Sheet]:
    """The sheets of one log; what is being written at its end is left for the next look."""
    found: list[Sheet] = []
    size = file.stat().st_size
    with file.open("rb") as log:
        offset = 0
        while offset + 12 <= size:
            log.seek(offset)
            (length,) = struct.unpack("<Q", log.read(12)[:8])
            begin, offset = offset + 12, offset + 12 + length + 4
            if length > MOST_BYTES or offset > size:
                break
            head = log.read(min(length, HEAD_BYTES))
            step = _step_of(head)
            if step is not None and TAG in head and PNG_BEGIN in head + log.read(HEAD_BYTES):
                found.append(Sheet(step, file, begin, length))
    return found


def _step_of(head: bytes) -> int | None:
    """The step of an event, None for a head that does not begin as one."""
    if len(head) < 10 or head[0] != 0x09:
        return None
    if head[9] != 0x10:
        return 0  # a step of 0 is left out
    step = shift = 0
    for byte in head[10:20]:
        step |= (byte & 0x7F) << shift
        if byte < 0x80:
            return step
        shift += 7
    return None
