"""Trouble in metadata never refuses pixels that decode."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from impasto.core.errors import UnreadableMedia
from impasto.core.media.picture_reader import read_header, read_picture
from impasto.core.media.picture_writer import write_picture
from tests.core.media.builders import noise, write_with_oiio

JUNK = noise(1, 60, 1, np.uint8).tobytes()


def segment(marker: int, payload: bytes) -> bytes:
    """One segment of a JPEG, before its tables."""
    return bytes([0xFF, marker]) + struct.pack(">H", len(payload) + 2) + payload


def chunk(kind: bytes, payload: bytes) -> bytes:
    """One chunk of a PNG."""
    return struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", zlib.crc32(kind + payload))


JPEG_BLOCKS = {
    "photoshop-without-iptc": (segment(0xED, b"Photoshop 3.0\0" + b"8BIM\x04\x25\0\0\0\0\0\x04abcd"), ""),
    "photoshop-with-empty-iptc": (segment(0xED, b"Photoshop 3.0\0" + b"8BIM\x04\x04\0\0\0\0\0\0"), ""),
    "photoshop-of-nothing": (segment(0xED, b"Photoshop 3.0\0"), ""),
    "photoshop-junk": (segment(0xED, b"Photoshop 3.0\0" + JUNK), ""),
    "iptc-junk": (segment(0xED, b"Photoshop 3.0\0" + b"8BIM\x04\x04\0\0\0\0\0\x06garbag"), "IPTC"),
    "exif-junk": (segment(0xE1, b"Exif\0\0" + JUNK), "EXIF"),
    "exif-cut": (segment(0xE1, b"Exif\0\0II*\0\x08\0\0\0\x05\0\x12\x01\x03\0"), "EXIF"),
    "xmp-junk": (segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta <<<< junk"), ""),
    "icc-junk": (segment(0xE2, b"ICC_PROFILE\0\x01\x01" + JUNK), "ICC"),
    "icc-missing-piece": (segment(0xE2, b"ICC_PROFILE\0\x02\x03" + JUNK * 4), "ICC"),
    "comment-not-utf8": (segment(0xFE, b"\xff\xfe\xfd"), ""),
}
PNG_BLOCKS = {
    "exif-junk": (chunk(b"eXIf", JUNK), "EXIF"),
    "exif-cut": (chunk(b"eXIf", b"II*\0\x08\0\0\0\x05\0\x12\x01"), "EXIF"),
    "icc-junk": (chunk(b"iCCP", b"p\0\0" + zlib.compress(JUNK)), "ICC"),
    "icc-not-compressed": (chunk(b"iCCP", b"p\0\0" + JUNK), "ICC"),
    "text-junk": (chunk(b"tEXt", JUNK), ""),
}


def assert_whole(path: Path, sound: Path, block: str, result: Path) -> None:
    """The pixels are those of the sound picture, the block is named, and the result can be written and read."""
    frame = read_picture(str(path))
    np.testing.assert_array_equal(frame.colour, read_picture(str(sound)).colour)
    assert [note for note in frame.notes if "damaged" in note] == (
        [f"the {block} block of '{path}' is damaged and is left out; its pixels are whole"] if block else []
    )
    read_header(str(path))
    write_picture(str(result), str(result), frame)
    assert not read_picture(str(result)).notes


@pytest.mark.parametrize("name", JPEG_BLOCKS)
@pytest.mark.parametrize("extension", [".jpg", ".png", ".tif", ".exr"])
def test_a_jpeg_with_a_damaged_block_is_read_whole(tmp_path: Path, name: str, extension: str) -> None:
    block, named = JPEG_BLOCKS[name]
    write_with_oiio(tmp_path / "sound.jpg", noise(32, 48, 3, np.uint8), "uint8")
    stored = (tmp_path / "sound.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(stored[:2] + block + stored[2:])
    assert_whole(tmp_path / "a.jpg", tmp_path / "sound.jpg", named, tmp_path / f"b{extension}")


@pytest.mark.parametrize("name", PNG_BLOCKS)
def test_a_png_with_a_damaged_block_is_read_whole(tmp_path: Path, name: str) -> None:
    block, named = PNG_BLOCKS[name]
    write_with_oiio(tmp_path / "sound.png", noise(32, 48, 3, np.uint8), "uint8")
    stored = (tmp_path / "sound.png").read_bytes()
    (tmp_path / "a.png").write_bytes(stored[:33] + block + stored[33:])
    assert_whole(tmp_path / "a.png", tmp_path / "sound.png", named, tmp_path / "b.png")


def test_a_tiff_with_a_damaged_profile_is_read_whole(tmp_path: Path) -> None:
    pixels = noise(32, 48, 3, np.uint8)
    write_with_oiio(tmp_path / "sound.tif", pixels, "uint8")
    stored = (tmp_path / "sound.tif").read_bytes()
    start = struct.unpack_from("<I", stored, 4)[0]
    count = struct.unpack_from("<H", stored, start)[0]
    directory = stored[start + 2 : start + 2 + 12 * count]
    profile = len(stored)
    moved = len(stored) + len(JUNK)
    entry = struct.pack("<HHII", 34675, 7, len(JUNK), profile)
    (tmp_path / "a.tif").write_bytes(
        stored[:4] + struct.pack("<I", moved) + stored[8:] + JUNK
        + struct.pack("<H", count + 1) + directory + entry + b"\0\0\0\0"
    )  # fmt: skip
    np.testing.assert_array_equal(read_picture(str(tmp_path / "a.tif")).colour, pixels)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif", "a.exr", "a.dpx", "a.hdr", "a.ppm"])
def test_pixels_that_are_cut_short_are_still_refused(tmp_path: Path, name: str) -> None:
    write_with_oiio(tmp_path / name, noise(64, 96, 3, np.uint8), "float" if name.endswith("hdr") else "uint8")
    stored = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(stored[: len(stored) * 6 // 10])
    with pytest.raises(UnreadableMedia):
        read_picture(str(tmp_path / name))
