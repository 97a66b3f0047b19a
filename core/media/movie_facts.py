"""What a movie says of itself: colour tags, rotation, timecode, rate, and the time of every frame."""

from __future__ import annotations

import os
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
import numpy.typing as npt

from impasto.core.errors import UnreadableMedia
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
SPACE_CODES = {"srgb": (1, 13, 1), "rec709": (1, 1, 1), "pq2020": (9, 16, 9), "hlg2020": (9, 18, 9)}
"""Our names of colour spaces -> matrix, transfer and primaries as ITU-T H.273 numbers."""
UNKNOWN = "unknown"
_INDEX_LIMIT_BYTES = 2 << 30
"""Movies beyond this size are not read through only to count their frames."""


@dataclass(frozen=True, slots=True)
class FrameTimes:
    """The presentation time of every frame of a movie, ascending, in units of `time_base`."""

    times: npt.NDArray[np.int64]
    time_base: Fraction

    @property
    def distinct(self) -> bool:
        """Whether no two frames share a time, so that a time tells the frame."""
        return bool((np.diff(self.times) > 0).all())

    def number_of(self, time: int) -> int:
        """The number of the frame that is shown at a time, counted from 1."""
        return int(self.times.searchsorted(time)) + 1

    def constant_rate(self, candidates: list[Fraction]) -> Fraction | None:
        """The first candidate that every frame keeps to within one unit of time, None for a variable rate."""
        elapsed = self.times - self.times[0]
        for rate in candidates:
            ideal = np.arange(len(elapsed)) / float(rate * self.time_base)
            if np.abs(elapsed - ideal).max() <= 1.0:
                return rate
        return None


def picture_stream(container: av.container.InputContainer) -> av.VideoStream | None:
    """The first video stream that is no cover picture, None where there is none."""
    cover = av.stream.Disposition.attached_pic
    return next((stream for stream in container.streams.video if not stream.disposition & cover), None)


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
    """'srgb', 'rec709' (also for the untagged), 'pq2020' or 'hlg2020' by the transfer tag, None for any other."""
    wide = facts.primaries in ("bt2020", UNKNOWN)
    if facts.transfer in ("bt709", "smpte170m", UNKNOWN):
        return "rec709"
    if facts.transfer == "iec61966-2-1":
        return "srgb"
    if facts.transfer == "smpte2084" and wide:
        return "pq2020"
    if facts.transfer == "arib-std-b67" and wide:
        return "hlg2020"
    return None


def facts_of(container: av.container.InputContainer, first: av.VideoFrame) -> MovieFacts:
    """The facts of a movie, from its header and its first decoded frame."""
    stream = picture_stream(container)
    assert stream is not None
    pixel_format = first.format.name
    full = first.color_range == 2 or pixel_format.startswith("yuvj") or first.format.is_rgb
    return MovieFacts(
        codec=stream.codec_context.codec.canonical_name,
        pixel_format=pixel_format,
        full_range=full,
        matrix=_MATRICES.get(int(first.colorspace), UNKNOWN),
        transfer=_TRANSFERS.get(int(first.color_trc), UNKNOWN),
        primaries=_PRIMARIES.get(int(first.color_primaries), UNKNOWN),
        rotation=int(first.rotation) % 360,
        timecode=_timecode_of(container),
        has_audio=bool(container.streams.audio),
    )


def frame_times(path: str, *, needed: bool) -> FrameTimes | None:
    """The time of every frame, found by reading the packets without decoding them.

    None where packets bear no times, and for very large files unless it is `needed`. Raises
    UnreadableMedia for a movie that holds fewer frames than its header says.
    """
    if not needed and os.path.getsize(path) > _INDEX_LIMIT_BYTES:
        return None
    times: list[int] = []
    with av.open(path, "r", metadata_errors="replace") as container:
        stream = picture_stream(container)
        assert stream is not None
        time_base = stream.time_base
        stated = stream.frames
        count = 0
        try:
            for packet in container.demux(stream):
                if packet.size == 0:
                    continue
                count += 1
                time = packet.pts if packet.pts is not None else packet.dts
                if time is None or time_base is None:
                    return None
                if not packet.is_discard:
                    times.append(time)
        except av.FFmpegError as error:
            raise _cut_short(path, stated, count) from error
    if count < stated:
        raise _cut_short(path, stated, count)
    if not times or time_base is None:
        return None
    return FrameTimes(np.sort(np.asarray(times, np.int64)), time_base)


def _cut_short(path: str, stated: int, count: int) -> UnreadableMedia:
    return UnreadableMedia(
        f"expected {stated or 'more'} frames in '{path}', found {count}; the file is cut short, copy it again"
    )


def _timecode_of(container: av.container.InputContainer) -> str | None:
    for metadata in (*(stream.metadata for stream in container.streams), container.metadata):
        for key, value in metadata.items():
            if key.lower() == "timecode":
                return value
    return None
