"""What a movie holds beside pictures and sound: subtitles, chapters, covers, attachments, the light of its master."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import cast

import av
from av.sidedata.sidedata import SideData, Type

from impasto.core.media.fields import said_of
from impasto.core.media.left_out import left_out
from impasto.core.media.movie_codec import MovieContainer
from impasto.core.media.movie_container import open_container, stream_of
from impasto.core.media.shot import MovieFacts

LIGHT_OF_THE_MASTER = "the light levels of the HDR10 master"
"""What a result that cannot hold them lacks, in the words of the notes."""
_CHROMATICITY_STEP, _LUMINANCE_STEP = 50000, 10000
"""Units of SMPTE ST 2086 in HEVC: 0.00002 and 0.0001 cd/m² (ITU-T H.265, D.3.28)."""


@dataclass(frozen=True, slots=True)
class MasteringLight:
    """HDR10 static metadata (SMPTE ST 2086, CTA-861.3), as x265 takes it."""

    display: str | None
    """'G(x,y)B(x,y)R(x,y)WP(x,y)L(max,min)'."""
    levels: str | None
    """'MaxCLL,MaxFALL' in cd/m²."""

    def options(self) -> str:
        """The parameters of x265 that say it."""
        parts = [
            f"master-display={self.display}" if self.display else "",
            f"max-cll={self.levels}" if self.levels else "",
        ]
        return ":".join(filter(None, parts))


@dataclass(frozen=True, slots=True)
class Extras:
    """What is beside the pictures and the sound of a movie that is open."""

    subtitles: tuple[av.stream.Stream, ...] = ()
    covers: tuple[av.stream.Stream, ...] = ()
    attachments: tuple[av.stream.Stream, ...] = ()
    others: tuple[str, ...] = ()
    """Further streams, each in words."""
    chapters: tuple[dict[str, object], ...] = field(default=())

    @classmethod
    def of(cls, container: av.container.InputContainer) -> Extras:
        """Those of a movie."""
        pictures = stream_of(container)
        cover = av.stream.Disposition.attached_pic
        chapters = cast("list[dict[str, object]]", container.chapters())
        covers, attachments, subtitles, others = [], [], [], []
        for stream in container.streams:
            if stream.type == "video" and stream.index != pictures.index:
                if stream.disposition & cover:
                    covers.append(stream)
                else:
                    others.append("a further video stream")
            elif stream.type == "subtitle":
                subtitles.append(stream)
            elif stream.type == "attachment":
                attachments.append(stream)
            elif stream.type == "data" and not _is_told_elsewhere(stream, chapters=bool(chapters)):
                others.append("a data stream")
        return cls(tuple(subtitles), tuple(covers), tuple(attachments), tuple(others), tuple(chapters))

    def carried(self, kind: MovieContainer) -> Extras:
        """Those of them that a kind of movie holds."""
        return Extras(
            tuple(each for each in self.subtitles if _codec_of(each) in kind.subtitles),
            self.covers if kind.attachments else (),
            self.attachments if kind.attachments else (),
            (),
            self.chapters if kind.chapters else (),
        )

    def without(self, other: Extras) -> Iterator[str]:
        """In words, what is here and not there."""
        for what, own, theirs in (
            ("subtitle track", self.subtitles, other.subtitles),
            ("cover", self.covers, other.covers),
            ("attachment", self.attachments, other.attachments),
            ("chapter", self.chapters, other.chapters),
        ):
            count = len(own) - len(theirs)
            if count:
                yield f"{count} {what}{'s' if count > 1 else ''}"
        yield from self.others


TAGS_OF_THE_FILE = frozenset(
    {
        "major_brand", "minor_version", "compatible_brands", "encoder", "software", "duration", "timecode",
        "creation_time", "operational_pattern_ul", "uid", "generation_uid", "company_name", "product_name",
        "product_version_num", "product_version", "application_platform", "product_uid", "toolkit_version_num",
        "toolkit_version", "material_package_umid", "material_package_name", "file_package_umid", "modification_date",
    }
)  # fmt: skip
"""Tags that describe the file of a movie itself, or that are set from elsewhere."""


def lost_in_pictures(path: str, facts: MovieFacts) -> tuple[str, ...]:
    """The note that names what of a movie pictures cannot hold."""
    order = facts.field_order
    with open_container(path) as container:
        sound = len(container.streams.audio)
        words = [f"{sound} sound track{'s' if sound > 1 else ''}"] if sound else []
        words += [said_of(order)] if order else []
        words += [LIGHT_OF_THE_MASTER] if facts.mastering else []
        words += [f"tag {key.lower()}" for key in container.metadata if key.lower() not in TAGS_OF_THE_FILE]
        return left_out(path, [*words, *Extras.of(container).without(Extras())])


def attach(output: av.container.OutputContainer, source: av.container.InputContainer, extras: Extras) -> None:
    """Put covers and attachments into a result, before its header is written."""
    for stream in extras.attachments:
        facts = stream.metadata
        data = bytes(getattr(stream, "data", b"") or b"")
        output.add_attachment(
            facts.get("filename", "attachment"), facts.get("mimetype", "application/octet-stream"), data
        )
    for stream in extras.covers:
        packet = next((each for each in source.demux(stream) if each.size), None)
        if packet is not None:
            codec = _codec_of(stream)
            name = stream.metadata.get("filename", f"cover.{'jpg' if codec == 'mjpeg' else codec}")
            mime = stream.metadata.get("mimetype", f"image/{'jpeg' if codec == 'mjpeg' else codec}")
            output.add_attachment(name, mime, bytes(packet))
    if extras.covers:
        source.seek(0)


def chapters_between(
    chapters: Iterable[dict[str, object]], origin: Fraction, start: Fraction | None, end: Fraction | None
) -> list[dict[str, object]]:
    """The chapters that touch a range of the source, on the clock of the result; times in seconds on the source's."""
    found = []
    for chapter in chapters:
        unit = cast("Fraction", chapter["time_base"])
        first, last = (cast("int", chapter[key]) * unit for key in ("start", "end"))
        if (start is not None and last <= start) or (end is not None and first >= end):
            continue
        first, last = max(first, start or first) - origin, (last if end is None else min(last, end)) - origin
        found.append({**chapter, "start": max(0, round(first / unit)), "end": max(0, round(last / unit))})
    return found


def mastering_light(frame: av.VideoFrame) -> MasteringLight | None:
    """The HDR10 static metadata of a decoded picture, None where it has none."""
    display = levels = None
    for each in cast("Iterable[SideData]", frame.side_data):
        block = bytes(each)
        if each.type == Type.MASTERING_DISPLAY_METADATA and len(block) >= 88:
            numbers = struct.unpack_from("=22i", block)
            fractions = [
                Fraction(a, b) if b else Fraction(0) for a, b in zip(numbers[:20:2], numbers[1:20:2], strict=True)
            ]
            red, green, blue, white = (
                "({},{})".format(*(round(number * _CHROMATICITY_STEP) for number in fractions[place : place + 2]))
                for place in (0, 2, 4, 6)
            )
            least, most = (round(number * _LUMINANCE_STEP) for number in fractions[8:10])
            display = f"G{green}B{blue}R{red}WP{white}L({most},{least})"
        elif each.type == Type.CONTENT_LIGHT_LEVEL and len(block) >= 8:
            levels = "{},{}".format(*struct.unpack_from("=2I", block))
    return MasteringLight(display, levels) if display or levels else None


def _is_told_elsewhere(stream: av.stream.Stream, *, chapters: bool) -> bool:
    """Whether a data stream holds the timecode, or the titles of the chapters as QuickTime stores them."""
    timecode = any(key.lower() == "timecode" for key in stream.metadata)
    titles = chapters and any(value == "SubtitleHandler" for value in stream.metadata.values())
    return timecode or titles


def _codec_of(stream: av.stream.Stream) -> str:
    context = stream.codec_context
    return context.codec.canonical_name if context is not None else ""
