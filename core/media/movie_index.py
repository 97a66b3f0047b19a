"""When every frame of a movie is shown, and whether all of the movie is there: found without decoding it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, BinaryIO

import av
import numpy as np
import numpy.typing as npt

from impasto.core.media.held_folder import open_file
from impasto.core.media.movie_container import open_container, stream_of

_INDEX_LIMIT_BYTES = 2 << 30
"""Movies beyond this size are not read through only to count their frames."""
_STATED_DURATION = ("matroska", "flv", "asf", "mxf")
"""Demuxers whose duration stands in the file; that of others is reckoned from what is there."""
_SLACK_S = 0.5
"""Seconds by which a stated duration may be longer than what is there: writers round, and count silence."""
_GAP = 2.5
"""Frames of silence in a movie of constant rate from which on they are named."""


@dataclass(frozen=True, slots=True)
class FrameTimes:
    """The presentation time of every frame of a movie, ascending, in units of `time_base`."""

    times: npt.NDArray[np.int64]
    time_base: Fraction
    first_keyframe: int = 0
    """When the first picture that needs no other is shown."""
    missing: str | None = None
    """What the file promises and does not hold: "2.0 seconds, found 1.0"; None where it is whole."""
    notes: tuple[str, ...] = field(default=())

    @property
    def distinct(self) -> bool:
        """Whether no two frames share a time, so that a time tells the frame."""
        return bool((np.diff(self.times) > 0).all())

    def number_of(self, time: int | None) -> int | None:
        """The number of the frame that is shown at exactly this time, counted from 1; None where none is."""
        if time is None:
            return None
        index = int(self.times.searchsorted(time))
        return index + 1 if index < len(self.times) and int(self.times[index]) == time else None

    def decodable_from(self, first: int) -> FrameTimes:
        """Without the frames before the first that decodes, where these need a keyframe before the file's beginning."""
        lead = int((self.times < first).sum())
        if not lead or first > self.first_keyframe:
            return self
        note = f"the first {lead} pictures need a keyframe from before the beginning of the file and cannot be decoded"
        return replace(self, times=self.times[lead:], notes=(*self.notes, note))

    def constant_rate(self, candidates: list[Fraction]) -> Fraction | None:
        """The first candidate that every frame keeps to within one unit of time, None for a variable rate."""
        elapsed = self.times - self.times[0]
        for rate in candidates:
            ideal = np.arange(len(elapsed)) / float(rate * self.time_base)
            if np.abs(elapsed - ideal).max() <= 1.0:
                return rate
        return None


def frame_times(path: str, *, needed: bool) -> FrameTimes | None:
    """The time of every frame, found by reading the packets without decoding them.

    None where packets bear no times, and for very large files unless it is `needed`. Packets whose picture is never
    shown do not count. Raises UnreadableMedia where the file does not open.
    """
    if not needed and os.path.getsize(path) > _INDEX_LIMIT_BYTES:
        return None
    times: list[int] = []
    keyframe: int | None = None
    count, end, broken = 0, 0.0, ""
    with open_container(path) as container:
        stream = stream_of(container)
        time_base, stated, codec = stream.time_base, stream.frames, stream.codec_context.name
        in_avi = container.format.name == "avi"
        promised = (container.duration or 0) / av.time_base if _states_duration(container) else 0.0
        try:
            for packet in container.demux():
                if packet.size == 0:
                    continue
                time = packet.pts if packet.pts is not None else packet.dts
                if time is not None and packet.time_base:
                    end = max(end, float((time + (packet.duration or 0)) * packet.time_base))
                if packet.stream_index != stream.index:
                    continue
                # AVI holds a picture that stays for another frame as an empty packet, which FFmpeg passes over.
                count = count + 1 if not in_avi or packet.dts is None else max(count + 1, packet.dts + 1)
                if time is None or time_base is None:
                    return None
                if packet.is_discard or (codec == "vp8" and not _vp8_is_shown(packet)):
                    continue
                times.append(time)
                keyframe = time if keyframe is None and packet.is_keyframe else keyframe
        except av.FFmpegError as error:
            broken = error.strerror or "an error"
    if not times or time_base is None:
        return None
    ordered = np.sort(np.asarray(times, np.int64))
    missing = None
    if count < stated or broken:
        missing = f"{stated or 'more'} frames, found {count}"
    elif end < promised - _SLACK_S:
        missing = f"{promised:.1f} seconds, found {end:.1f}"
    elif lacking := _matroska_bytes_missing(path):
        missing = f"{lacking} bytes more"
    return FrameTimes(ordered, time_base, keyframe if keyframe is not None else 0, missing, _gaps(ordered, time_base))


def variable_times(path: str, rate: Fraction | None) -> FrameTimes | None:
    """The frame times of a movie whose rate varies, None for a constant rate."""
    times = frame_times(path, needed=False)
    if times is None or rate is None or times.constant_rate([rate]) is not None:
        return None
    return times


def _states_duration(container: av.container.InputContainer) -> bool:
    return any(container.format.name.startswith(name) for name in _STATED_DURATION)


def _vp8_is_shown(packet: av.Packet[Any]) -> bool:
    """Bit 4 of a VP8 frame's tag (RFC 6386, section 9.1): 0 for a picture that others refer to and nobody sees."""
    return bool(memoryview(packet)[0] >> 4 & 1)


def _gaps(times: npt.NDArray[np.int64], time_base: Fraction) -> tuple[str, ...]:
    """Where a movie of an otherwise constant rate has no frames for a while."""
    steps = np.diff(times)
    if len(steps) < 8:
        return ()
    step = float(np.median(steps))
    long = np.flatnonzero(steps > _GAP * step)
    # A movie of variable rate has steps of many lengths, and none of them is a loss.
    if not len(long) or (np.abs(np.delete(steps, long) - step) > 1.5).any() or len(long) > len(steps) // 10:
        return ()
    shown = ", ".join(
        f"{float((steps[each] - step) * time_base):.2f} s after frame {each + 1}" for each in long[:4].tolist()
    )
    return (f"there are no pictures for {shown}{', …' if len(long) > 4 else ''}: the movie may have lost some",)


def _matroska_bytes_missing(path: str) -> int:
    """How many bytes of the segment of a Matroska or WebM file are not there (RFC 8794, section 4; RFC 9559)."""
    with open(path, "rb", opener=open_file) as stream:
        if stream.read(4) != b"\x1a\x45\xdf\xa3":
            return 0
        header = _ebml_size(stream)
        if header is None or header > 1 << 16:
            return 0
        stream.seek(header, os.SEEK_CUR)
        if stream.read(4) != b"\x18\x53\x80\x67":
            return 0
        size = _ebml_size(stream)
        if size is None:
            return 0
        return max(0, stream.tell() + size - os.fstat(stream.fileno()).st_size)


def _ebml_size(stream: BinaryIO) -> int | None:
    """A size of variable length; None for one that is not known, as live streams write it."""
    head = stream.read(1)
    if not head or not head[0]:
        return None
    length = 9 - head[0].bit_length()
    value = int.from_bytes(bytes([head[0] & 0xFF >> length]) + stream.read(length - 1), "big")
    return None if value == (1 << 7 * length) - 1 else value
