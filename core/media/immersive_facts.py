"""What a file says of the sphere around its camera and of its two eyes, read and written.

Sources: OpenEXR's envmap and multi-view attributes; Google's Photo Sphere XMP (GPano); Google's Spherical Video V2 RFC
for MP4 and WebM, as FFmpeg reads it (libavutil/spherical.h, libavutil/stereo3d.h).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from typing import BinaryIO, Literal, cast

import av
from av.sidedata.sidedata import SideData, Type

from impasto.core.frame import Attribute, Frame

StatedProjection = Literal["", "equirectangular"]
StatedStereo = Literal["", "sbs", "ou"]

ENVIRONMENT = "textureformat"
"""OpenImageIO's name of OpenEXR's envmap attribute; other files have other words in it."""
LAT_LONG = "LatLong Environment"
SPHERES = ("openexr", "jpeg")
"""Picture formats that can state a sphere."""
MP4_MUXERS = ("mp4", "ipod", "mov")
"""FFmpeg's muxers whose files take the boxes."""
_GPANO = "GPano:"
_OTHER_MAPS = ("a cube map", "a cube map", "a tile of a sphere", "half a sphere", "an unknown map", "a fisheye")
"""FFmpeg's projections from 1 on."""
_PACKINGS: Mapping[int, StatedStereo] = {1: "sbs", 2: "ou"}
_ST3D_MODES = {"": 0, "ou": 1, "sbs": 2}
_PIECE = 16 << 20


def stated_in_picture(attributes: Mapping[str, Attribute]) -> tuple[StatedProjection, str]:
    """The projection that a picture's attributes state, and a note on a map that is not painted as what it is."""
    environment = _text(attributes, ENVIRONMENT)
    if environment == LAT_LONG:
        return "equirectangular", ""
    if environment:
        return "", f"the picture is a '{environment}': painted flat; a lat-long picture is painted without a seam"
    stated = _text(attributes, f"{_GPANO}ProjectionType").lower()
    if not stated:
        return "", ""
    if stated != "equirectangular":
        return "", f"the picture states the projection '{stated}': painted flat"
    for side in ("Width", "Height"):
        whole = _text(attributes, f"{_GPANO}FullPano{side}Pixels")
        shown = _text(attributes, f"{_GPANO}CroppedAreaImage{side}Pixels")
        if whole and shown and whole != shown:
            return "", f"the picture shows {shown} of the {whole} pixels of a sphere's {side.lower()}: painted flat"
    return "equirectangular", ""


def stated_in_movie(first: av.VideoFrame) -> tuple[StatedProjection, StatedStereo, str]:
    """Projection and packing of the eyes that a movie's first picture states, and a note on what is not known."""
    projection: StatedProjection = ""
    stereo: StatedStereo = ""
    note = ""
    for each in cast("Iterable[SideData]", first.side_data):
        block = bytes(each)
        if len(block) < 4 or each.type not in (Type.SPHERICAL, Type.STEREO3D):
            continue
        (kind,) = struct.unpack_from("=i", block)
        if each.type == Type.STEREO3D:
            stereo = _PACKINGS.get(kind, "")
        elif kind == 0:
            projection = "equirectangular"
        else:
            note = f"the movie is {_OTHER_MAPS[min(kind, len(_OTHER_MAPS)) - 1]}: painted flat"
    return projection, stereo, note


def picture_attributes(frame: Frame, format_name: str, width: int, height: int) -> dict[str, str | int]:
    """The attributes by which a picture of this size states the sphere that the frame is; none where it is flat."""
    if not frame.projection:
        return {}
    if format_name == "openexr":
        return {ENVIRONMENT: LAT_LONG}
    if format_name not in SPHERES:
        return {}
    return {
        f"{_GPANO}ProjectionType": "equirectangular",
        f"{_GPANO}UsePanoramaViewer": "True",
        f"{_GPANO}FullPanoWidthPixels": width,
        f"{_GPANO}FullPanoHeightPixels": height,
        f"{_GPANO}CroppedAreaImageWidthPixels": width,
        f"{_GPANO}CroppedAreaImageHeightPixels": height,
        f"{_GPANO}CroppedAreaLeftPixels": 0,
        f"{_GPANO}CroppedAreaTopPixels": 0,
    }


def states_in_movie(frame: Frame) -> bool:
    """Whether a movie of such frames has something to state here."""
    return bool(frame.projection) or frame.stereo in ("sbs", "ou")


def state_in_mp4(stream: BinaryIO, frame: Frame) -> bool:
    """Put the boxes st3d and sv3d into the video track of a finished MP4 or MOV; False for a file that has no place.

    FFmpeg writes them only for a stream that it copies. What is behind the place moves; on False nothing was written.
    """
    stream.seek(0, 2)
    end = stream.tell()
    moov = next((box for box in _boxes(stream, 0, end) if box[0] == b"moov"), None)
    if moov is None:
        return False
    entry, parents = _video_entry(stream, moov)
    if entry is None:
        return False
    added = _st3d(frame.stereo) + (_sv3d() if frame.projection else b"")
    place = entry[1] + entry[2]
    tables = (
        _chunk_tables(stream, moov)
        if any(box[1] > place for box in _boxes(stream, 0, end) if box[0] == b"mdat")
        else []
    )
    try:
        moved = [
            (start + header, _shifted(stream, start + header, size - header, len(added), wide=name == b"co64"))
            for name, start, size, header in tables
        ]
    except struct.error:  # an offset that no longer fits, or a damaged table
        return False
    for start, table in moved:
        stream.seek(start)
        stream.write(table)
    for _, start, size, _ in (*parents, entry):
        stream.seek(start)
        stream.write(struct.pack(">I", size + len(added)))
    _make_room(stream, place, end, len(added))
    stream.seek(place)
    stream.write(added)
    return True


_Box = tuple[bytes, int, int, int]
"""Name, first byte, size and size of the header."""


def _boxes(stream: BinaryIO, start: int, end: int) -> list[_Box]:
    """The boxes between two places (ISO 14496-12, 4.2)."""
    found: list[_Box] = []
    while start + 8 <= end:
        stream.seek(start)
        size, name = struct.unpack(">I4s", stream.read(8))
        header = 8
        if size == 1:
            size, header = struct.unpack(">Q", stream.read(8))[0], 16
        size = size or end - start
        if size < header or start + size > end:
            break
        found.append((name, start, size, header))
        start += size
    return found


def _within(stream: BinaryIO, box: _Box, skipped: int = 0) -> list[_Box]:
    return _boxes(stream, box[1] + box[3] + skipped, box[1] + box[2])


def _child(stream: BinaryIO, box: _Box, name: bytes) -> _Box | None:
    return next((each for each in _within(stream, box) if each[0] == name), None)


def _video_entry(stream: BinaryIO, moov: _Box) -> tuple[_Box | None, list[_Box]]:
    """The first sample entry of the first video track, and the boxes around it."""
    for trak in (each for each in _within(stream, moov) if each[0] == b"trak"):
        parents = [moov, trak]
        for name in (b"mdia", b"minf", b"stbl", b"stsd"):
            box = _child(stream, parents[-1], name)
            if box is None:
                break
            parents.append(box)
        if len(parents) < 6 or _child(stream, parents[3], b"vmhd") is None:
            continue
        entries = _within(stream, parents[-1], 8)
        if entries and all(box[3] == 8 for box in (*parents, entries[0])):
            return entries[0], parents
    return None, []


def _chunk_tables(stream: BinaryIO, moov: _Box) -> list[_Box]:
    found = []
    for trak in (each for each in _within(stream, moov) if each[0] == b"trak"):
        box: _Box | None = trak
        for name in (b"mdia", b"minf", b"stbl"):
            box = None if box is None else _child(stream, box, name)
        found += [] if box is None else [each for each in _within(stream, box) if each[0] in (b"stco", b"co64")]
    return found


def _shifted(stream: BinaryIO, start: int, size: int, by: int, *, wide: bool) -> bytes:
    """A chunk table with every offset, all behind the place where a box is put in, so much greater."""
    stream.seek(start)
    table = stream.read(size)
    count = struct.unpack_from(">I", table, 4)[0]
    form = f">{count}{'Q' if wide else 'I'}"
    return (
        table[:8]
        + struct.pack(form, *(each + by for each in struct.unpack_from(form, table, 8)))
        + table[8 + struct.calcsize(form) :]
    )


def _make_room(stream: BinaryIO, place: int, end: int, size: int) -> None:
    """Move what is between two places, from its end on."""
    while end > place:
        begin = max(place, end - _PIECE)
        stream.seek(begin)
        piece = stream.read(end - begin)
        stream.seek(begin + size)
        stream.write(piece)
        end = begin


def _box(name: bytes, *contents: bytes) -> bytes:
    content = b"".join(contents)
    return struct.pack(">I4s", 8 + len(content), name) + content


def _st3d(stereo: str) -> bytes:
    return _box(b"st3d", bytes(4), bytes([_ST3D_MODES.get(stereo, 0)]))


def _sv3d() -> bytes:
    pose = _box(b"prhd", bytes(4), bytes(12))
    whole = _box(b"equi", bytes(4), bytes(16))
    return _box(b"sv3d", _box(b"svhd", bytes(4), b"impasto\0"), _box(b"proj", pose, whole))


def _text(attributes: Mapping[str, Attribute], name: str) -> str:
    found = attributes.get(name)
    return "" if found is None else str(found.value)
