"""A fingerprint of a plate: pixels and attributes, without the host's notes about how the file was made.

Nuke writes into every EXR a hash of the tree above its Write and, with all metadata, the times of the files that it
read. Both change where no pixel does, and an equal frame must not be painted anew.
The layout of the file: https://openexr.com/en/latest/OpenEXRFileLayout.html
"""

from __future__ import annotations

import hashlib
import struct
from typing import IO

from impasto.hosts.bridge.digest import digest_of_file

MAGIC = b"\x76\x2f\x31\x01"
WRITE_ATTRIBUTES = ("nuke/", "input/ctime", "input/mtime", "input/filename", "input/filesize")
"""Prefixes of the names of such attributes."""

_SINGLE_PART = 0x0200 | 0x0400 | 0xFF
"""Bits of the version that a file of one part may have: tiles, long names, the version number."""
_LONGEST_NAME = 256
_BLOCK = 1 << 20


def digest_of_plate(path: str) -> str:
    """The fingerprint of an EXR of one part; for any other file, of all its bytes. OSError where it cannot be read."""
    with open(path, "rb") as file:
        found = hashlib.sha256()
        try:
            _read_header(file, found)
        except (ValueError, struct.error):
            return digest_of_file(path)
        for block in iter(lambda: file.read(_BLOCK), b""):
            found.update(block)
        return found.hexdigest()


def _read_header(file: IO[bytes], found: hashlib._Hash) -> None:
    """Hash the attributes that count and seek to the first pixels. ValueError for a file of another kind."""
    magic, version = struct.unpack("<4sI", file.read(8))
    if magic != MAGIC or version & ~_SINGLE_PART:
        raise ValueError
    while True:
        name = _text(file)
        if not name:
            break
        kind = _text(file)
        (size,) = struct.unpack("<I", file.read(4))
        value = file.read(size)
        if len(value) != size or (name == b"lineOrder" and value != b"\0"):
            raise ValueError
        if not name.decode("utf-8", "replace").startswith(WRITE_ATTRIBUTES):
            found.update(b"\0".join((name, kind, value)))
    # Offsets count from the start of the file, which moves with the header; the first is that of the first pixels.
    (pixels_at,) = struct.unpack("<Q", file.read(8))
    if pixels_at < file.tell():
        raise ValueError
    file.seek(pixels_at)


def _text(file: IO[bytes]) -> bytes:
    text = bytearray()
    while len(text) < _LONGEST_NAME:
        letter = file.read(1)
        if letter == b"\0":
            return bytes(text)
        if not letter:
            break
        text += letter
    raise ValueError
