"""What a movie says of itself: colour tags, rotation, timecode."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable
from typing import cast

import av
from av.sidedata.sidedata import SideData, Type

from impasto.core.media.fields import field_order_of
from impasto.core.media.immersive_facts import stated_in_movie
from impasto.core.media.movie_container import stream_of
from impasto.core.media.movie_extras import mastering_light
from impasto.core.media.shot import MovieFacts

_MATRICES = {
    0: "rgb", 1: "bt709", 4: "fcc", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "ycgco", 9: "bt2020nc",
    10: "bt2020c",
}  # fmt: skip
_TRANSFERS = {
    1: "bt709", 4: "gamma22", 5: "gamma28", 6: "smpte170m", 7: "smpte240m", 8: "linear", 9: "log100", 10: "log316",
    11: "iec61966-2-4", 12: "bt1361e", 13: "iec61966-2-1", 14: "bt2020-10", 15: "bt2020-12", 16: "smpte2084",
    17: "smpte428", 18: "arib-std-b67",
}  # fmt: skip
_PRIMARIES = {
    1: "bt709", 4: "bt470m", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "film", 9: "bt2020", 10: "smpte428",
    11: "smpte431", 12: "smpte432", 22: "ebu3213",
}  # fmt: skip
SPACE_CODES = {
    "srgb": (1, 13, 1),
    "srgb_p3d65_scene": (1, 13, 12),
    "rec709": (1, 1, 1),
    "pq2020": (9, 16, 9),
    "hlg2020": (9, 18, 9),
}
"""Our names of colour spaces -> matrix, transfer and primaries as ITU-T H.273 numbers."""
UNKNOWN = "unknown"


def code_of(names: dict[int, str], name: str) -> int:
    """FFmpeg's number for a tag's name; 2 (unspecified) for one that it does not know."""
    return next((code for code, known in names.items() if known == name), 2)


def colour_codes(facts: MovieFacts) -> tuple[int, int, int]:
    """Matrix, transfer and primaries as ITU-T H.273 numbers, 2 where untagged."""
    return (
        code_of(_MATRICES, facts.matrix),
        code_of(_TRANSFERS, facts.transfer),
        code_of(_PRIMARIES, facts.primaries),
    )


def colour_space_of(facts: MovieFacts) -> str | None:
    """'srgb', 'rec709' (also for the untagged), 'pq2020', 'hlg2020' or Display P3 by the tags, None for any other.

    The curve of BT.709 behind P3 primaries is taken as that of sRGB, as that of a Rec.709 movie is.
    """
    wide = facts.primaries in ("bt2020", UNKNOWN)
    if facts.primaries == "smpte432" and facts.transfer in ("bt709", "smpte170m", "iec61966-2-1"):
        return "srgb_p3d65_scene"
    if facts.transfer in ("bt709", "smpte170m", UNKNOWN):
        return "rec709"
    if facts.transfer == "iec61966-2-1":
        return "srgb"
    if facts.transfer == "smpte2084" and wide:
        return "pq2020"
    if facts.transfer == "arib-std-b67" and wide:
        return "hlg2020"
    return None


def colour_tags(facts: MovieFacts | None, space: str | None) -> tuple[int, int, int]:
    """Matrix, transfer, primaries: the source's where the frames are still in its space, else those of `space`.

    A space without codes is unspecified; pictures that state no space are BT.709. RGB sources lose 'rgb'.
    """
    stated = None if space is None else space.lower()
    if stated is not None and (facts is None or stated != colour_space_of(facts)):
        return SPACE_CODES.get(stated, (2, 2, 2))
    if facts is None:
        return (1, 1, 1)
    matrix, transfer, primaries = colour_codes(facts)
    return (2 if matrix == 0 else matrix, transfer, primaries)


def facts_of(container: av.container.InputContainer, first: av.VideoFrame) -> MovieFacts:
    """The facts of a movie, from its header and its first decoded frame."""
    stream = stream_of(container)
    pixel_format = first.format.name
    rotation, mirrored = _display_turn(first)
    projection, stereo, unlike = stated_in_movie(first)
    full = first.color_range == 2 or pixel_format.startswith("yuvj") or first.format.is_rgb
    return MovieFacts(
        codec=stream.codec_context.codec.canonical_name,
        pixel_format=pixel_format,
        full_range=full,
        matrix=_MATRICES.get(int(first.colorspace), UNKNOWN),
        transfer=_TRANSFERS.get(int(first.color_trc), UNKNOWN),
        primaries=_PRIMARIES.get(int(first.color_primaries), UNKNOWN),
        rotation=rotation,
        mirrored=mirrored,
        mastering=light.options() if (light := mastering_light(first)) is not None else "",
        timecode=_timecode_of(container),
        has_audio=bool(container.streams.audio),
        field_order=field_order_of(first),
        projection=projection,
        stereo=stereo,
        unlike=unlike,
    )


def _display_turn(first: av.VideoFrame) -> tuple[int, bool]:
    """Degrees counter-clockwise, then whether mirrored from left to right: the display matrix (ISO 14496-12, 6.2.2)."""
    found = cast("Iterable[SideData]", first.side_data)  # PyAV declares a mapping and iterates over the values
    matrix = next((bytes(each) for each in found if each.type == Type.DISPLAYMATRIX), None)
    if matrix is None:
        return 0, False
    a, b, _, c, d = struct.unpack_from("=5i", matrix)
    mirrored = a * d - b * c < 0
    if mirrored:  # without the mirror, which comes last
        a, c = -a, -c
    return round(math.degrees(math.atan2(-b, a))) % 360, mirrored


def _timecode_of(container: av.container.InputContainer) -> str | None:
    for metadata in (*(stream.metadata for stream in container.streams), container.metadata):
        for key, value in metadata.items():
            if key.lower() == "timecode":
                return value
    return None
