"""The blocks of metadata that a JPEG or PNG holds beside its pixels, as they stand in the file."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO

from impasto.core.icc import icc_parses
from impasto.core.media.held_folder import open_file

_LONGEST = 64 << 20
"""Bytes of one block beyond which the file is held to be damaged."""
_EXIF = b"Exif\0\0"
_ICC = b"ICC_PROFILE\0"
_PHOTOSHOP = b"Photoshop 3.0\0"
_IPTC_RESOURCE = 0x0404


@dataclass(frozen=True, slots=True)
class MetadataBlocks:
    """What a picture holds beside its pixels: whole blocks, None where there is none."""

    exif: bytes | None = None
    iptc: bytes | None = None
    icc: bytes | None = None
    chunks: Mapping[bytes, bytes] | None = None
    """PNG chunks that stand before the pixels, by name, without the long ones of text."""

    def damaged(self) -> list[str]:
        """The names of the blocks that no reader can parse, so that nothing of them is in the picture's attributes."""
        checks = (("EXIF", self.exif, _exif_parses), ("IPTC", self.iptc, _iptc_parses), ("ICC", self.icc, icc_parses))
        return [name for name, block, parses in checks if block is not None and not parses(block)]


def metadata_blocks(path: str, format_name: str) -> MetadataBlocks:
    """The blocks of a JPEG or PNG that stand before its pixels; empty for other formats and for damaged ones."""
    with open(path, "rb", opener=open_file) as stream, suppress(struct.error):
        if format_name == "jpeg":
            return _jpeg_blocks(stream)
        if format_name == "png":
            return _png_blocks(stream)
    return MetadataBlocks()


def _jpeg_blocks(stream: BinaryIO) -> MetadataBlocks:
    exif: bytes | None = None
    profile: dict[int, bytes] = {}
    resources = b""
    for marker, payload in _jpeg_segments(stream):
        if marker == 0xE1 and payload.startswith(_EXIF) and exif is None:
            exif = payload.removeprefix(_EXIF)
        elif marker == 0xE2 and payload.startswith(_ICC) and len(payload) > len(_ICC) + 1:
            profile[payload[len(_ICC)]] = payload[len(_ICC) + 2 :]
        elif marker == 0xED and payload.startswith(_PHOTOSHOP):
            resources += payload.removeprefix(_PHOTOSHOP)
    icc = b"".join(profile[number] for number in sorted(profile)) if profile else None
    return MetadataBlocks(exif, _photoshop_resource(resources, _IPTC_RESOURCE) or None, icc)


def _jpeg_segments(stream: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Marker and payload of every segment before the scan (ITU-T T.81, annex B)."""
    stream.seek(2)
    while len(head := stream.read(2)) == 2 and head[0] == 0xFF:
        while head[1] == 0xFF:
            head = head[1:] + stream.read(1)
        if head[1] in (0xD9, 0xDA):
            return
        if head[1] == 0x01 or 0xD0 <= head[1] <= 0xD8:
            continue
        length = struct.unpack(">H", stream.read(2))[0]
        yield head[1], stream.read(max(0, length - 2))


def _photoshop_resource(resources: bytes, wanted: int) -> bytes | None:
    """One image resource block (Adobe Photoshop File Formats Specification, "Image Resource Blocks")."""
    place = 0
    while resources[place : place + 4] == b"8BIM" and place + 12 <= len(resources):
        kind = struct.unpack_from(">H", resources, place + 4)[0]
        name = (resources[place + 6] + 2) & ~1
        start = place + 6 + name + 4
        if start > len(resources):
            return None
        size = struct.unpack_from(">I", resources, start - 4)[0]
        if kind == wanted:
            return resources[start : start + size]
        place = start + (size + 1 & ~1)
    return None


def _png_blocks(stream: BinaryIO) -> MetadataBlocks:
    chunks: dict[bytes, bytes] = {}
    stream.seek(8)
    while len(head := stream.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        if kind in (b"IDAT", b"IEND") or length > _LONGEST:
            break
        chunks.setdefault(kind, stream.read(length))
        stream.seek(4, 1)
    icc: bytes | None = None
    if (stored := chunks.get(b"iCCP")) is not None:
        _, _, compressed = stored.partition(b"\0")
        try:
            icc = zlib.decompressobj().decompress(compressed[1:], _LONGEST)
        except zlib.error:
            icc = b""
    return MetadataBlocks(chunks.get(b"eXIf"), None, icc, chunks)


def _exif_parses(block: bytes) -> bool:
    """Whether the first directory lies within the block (Exif 3.0, section 4.6)."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(block[:4])
    if order is None or len(block) < 8:
        return False
    start = int(struct.unpack_from(f"{order}I", block, 4)[0])
    if start + 2 > len(block):
        return False
    entries = int(struct.unpack_from(f"{order}H", block, start)[0])
    return start + 2 + 12 * entries <= len(block)


def _iptc_parses(block: bytes) -> bool:
    return block[:1] == b"\x1c"
