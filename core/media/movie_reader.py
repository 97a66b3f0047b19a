"""Movies as shots: decoded by PyAV into RGB of the depth they have, frame-exact in any range."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from types import TracebackType
from typing import Self

import av

from impasto.core.errors import UnreadableMedia, UnsupportedMedia, UsageError
from impasto.core.frame import AlphaKind, Attribute, ColourLayer, Frame, Part, Window
from impasto.core.media.movie_facts import (
    FrameTimes,
    colour_codes,
    colour_space_of,
    facts_of,
    frame_times,
    picture_stream,
)
from impasto.core.media.movie_pixels import Layout, PixelDecoder, matrix_for
from impasto.core.media.shot import FrameRange, MovieFacts, ShotInfo
from impasto.core.media.timecode import advance_timecode

_ORIENTATIONS = {90: 8, 180: 3, 270: 6}
"""Degrees counter-clockwise by which players turn a movie -> EXIF orientation, for pictures made of it."""


class MovieReader:
    """A movie file. Frames count from 1; pixels stand as they are coded, before any rotation."""

    def __init__(self, path: str, frames: FrameRange | None = None) -> None:
        """Open the movie, decode one frame and find out when every frame is shown.

        Raises UnreadableMedia, UnsupportedMedia, and UsageError for a range outside the movie.
        """
        _require_file(path)
        self._path = path
        self._container = open_container(path)
        try:
            self._times = frame_times(path, needed=frames is not None)
            first = first_frame(self._container, path)
            self._facts = facts_of(self._container, first)
            stream = stream_of(self._container)
            self._rate = _rate_of(stream, self._times)
            self._converter = FrameConverter(path, self._facts, first, StreamFacts.of(stream, self._rate))
            self._range = _clip(frames, self._count(), path)
        except BaseException:
            self._container.close()
            raise
        count = self._count()
        if self._range is not None:
            count = self._range.last - self._range.first + 1
        self._info = ShotInfo(
            path=path,
            kind="movie",
            first=self._range.first if self._range is not None else 1,
            frame_count=count,
            width=first.width,
            height=first.height,
            rate=self._rate,
            movie=self._facts,
        )

    @property
    def info(self) -> ShotInfo:
        """The facts of the asked range; width and height are those of the coded picture, before any rotation."""
        return self._info

    def _count(self) -> int | None:
        if self._times is not None:
            return len(self._times.times)
        return stream_of(self._container).frames or None

    def __iter__(self) -> Iterator[Frame]:
        """Every asked frame, in order of display. Raises UnreadableMedia where the movie is damaged."""
        wanted = self._range
        number = 0
        try:
            for number, decoded in self._numbered(wanted.first if wanted is not None else 1):
                if wanted is not None and number > wanted.last:
                    break
                yield self._converter(decoded, number)
        except av.FFmpegError as error:
            raise UnreadableMedia(
                f"expected sound frames in '{self._path}', got '{error.strerror}' after frame {number};"
                " ask for the frames before it with --frames, or copy the movie again"
            ) from error

    def _numbered(self, first: int) -> Iterator[tuple[int, av.VideoFrame]]:
        """Decoded frames from a number on, each with its own.

        A number is the rank of the frame's time. Where frames bear no times, or share them, the
        movie is decoded from its start and counted.
        """
        times = self._times
        if times is None or not times.distinct:
            counted = enumerate(self._decoded_from(None), 1)
            yield from itertools.dropwhile(lambda pair: pair[0] < first, counted)
            return
        start, step = first, 8
        frames = self._decoded_from(int(times.times[start - 1]))
        landed = next(frames, None)
        while landed is not None and landed.pts is not None and start > 1 and times.number_of(landed.pts) > first:
            # An open group of pictures: what is shown before its keyframe needs the group before it.
            start, step = max(1, start - step), step * 2
            frames = self._decoded_from(int(times.times[start - 1]))
            landed = next(frames, None)
        number = 0
        for decoded in itertools.chain([landed] if landed is not None else [], frames):
            number = times.number_of(decoded.pts) if decoded.pts is not None else number + 1
            if number >= first:
                yield number, decoded

    def _decoded_from(self, time: int | None) -> Iterator[av.VideoFrame]:
        """Frames from the keyframe at or before a time, None for the very first."""
        stream = stream_of(self._container)
        try:
            self._container.seek(time if time is not None else stream.start_time or 0, stream=stream, backward=True)
        except av.FFmpegError:
            # Some containers cannot seek; a fresh start can.
            self._container.close()
            self._container = open_container(self._path)
            stream = stream_of(self._container)
        return self._container.decode(stream)

    def close(self) -> None:
        """Release the file."""
        self._container.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@dataclass(frozen=True, slots=True)
class StreamFacts:
    """What the container says of every picture: frames per second, and the width of a pixel by its height."""

    rate: Fraction | None
    pixel_aspect: float

    @classmethod
    def of(cls, stream: av.VideoStream, rate: Fraction | None) -> StreamFacts:
        """The facts of a stream; an aspect that is not stated is square."""
        return cls(rate, float(stream.sample_aspect_ratio or 1))


class FrameConverter:
    """Decoded frames -> Frames, with the colour, aspect and timecode that the movie states."""

    def __init__(self, path: str, facts: MovieFacts, first: av.VideoFrame, stream: StreamFacts) -> None:
        self._source = path if "://" in path else os.path.abspath(path)
        self._facts = facts
        self._rate = stream.rate
        self._aspect = stream.pixel_aspect
        layout = Layout.of(first.format.name)
        self._formats = (
            "uint8" if layout.bits <= 8 else f"uint{layout.bits}" if layout.bits in (10, 12, 14) else "uint16"
        )
        self._decode = PixelDecoder(facts.full_range, matrix_for(colour_codes(facts)[0], first.height))
        self._size = (first.width, first.height)
        self._attributes: dict[str, Attribute] = {}
        if stream.rate is not None:
            rate = stream.rate
            self._attributes["FramesPerSecond"] = Attribute("rational", (rate.numerator, rate.denominator))
        if facts.rotation in _ORIENTATIONS:
            self._attributes["Orientation"] = Attribute("int", _ORIENTATIONS[facts.rotation])

    def __call__(self, decoded: av.VideoFrame, number: int) -> Frame:
        """One Frame. UnsupportedMedia where the movie changes its size midway."""
        if (decoded.width, decoded.height) != self._size:
            raise UnsupportedMedia(
                f"expected frames of {self._size[0]}x{self._size[1]}, got {decoded.width}x{decoded.height} at frame"
                f" {number} of '{self._source}'; cut the movie where its size changes"
            )
        pixels = self._decode(decoded)
        height, width, count = pixels.shape
        window = Window(0, 0, width, height)
        part = Part(
            pixels,
            ("R", "G", "B", "A")[:count],
            (self._formats,) * count,
            window,
            window,
            self._aspect,
            self._attributes,
        )
        code = self._facts.timecode
        return Frame(
            (part,),
            ColourLayer(0, (0, 1, 2), 3 if count == 4 else None),
            colour_space=colour_space_of(self._facts),
            alpha_kind=AlphaKind.ASSOCIATED if count == 4 else AlphaKind.NONE,
            number=number,
            timecode=advance_timecode(code, number - 1, self._rate) if code and self._rate else None,
            source=self._source,
        )


def open_container(path: str, **options: object) -> av.container.InputContainer:
    """An opened movie with a video stream. UnreadableMedia or UnsupportedMedia where there is none."""
    try:
        container = av.open(path, "r", metadata_errors="replace", **options)  # type: ignore[call-overload]
    except (av.FFmpegError, OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or str(error)
        raise UnreadableMedia(f"expected a sound movie at '{path}', got '{said}'; check or copy it again") from error
    stream = picture_stream(container)
    if stream is None:
        container.close()
        raise UnsupportedMedia(f"expected a movie with pictures, got only sound or data in '{path}'")
    stream.thread_type = av.codec.context.ThreadType.AUTO
    return container  # type: ignore[no-any-return]


def stream_of(container: av.container.InputContainer) -> av.VideoStream:
    """The pictures of a container that `open_container` has opened."""
    stream = picture_stream(container)
    assert stream is not None
    return stream


def first_frame(container: av.container.InputContainer, path: str) -> av.VideoFrame:
    """The first picture of a movie. UnreadableMedia where none can be decoded."""
    try:
        decoded = next(container.decode(stream_of(container)), None)
    except av.FFmpegError as error:
        raise UnreadableMedia(
            f"expected pictures in '{path}', got '{error.strerror}'; check or copy it again"
        ) from error
    if decoded is None:
        raise UnreadableMedia(f"expected at least one picture in '{path}', found none; check or copy it again")
    return decoded


def _require_file(path: str) -> None:
    try:
        with open(path, "rb") as stream:
            empty = not stream.read(1)
    except FileNotFoundError:
        raise UnreadableMedia(f"expected a movie at '{path}', found no such file; check the path") from None
    except OSError as error:
        raise UnreadableMedia(f"expected to read '{path}', got '{error.strerror}'; check its permissions") from error
    if empty:
        raise UnreadableMedia(f"expected a movie in '{path}', got an empty file; copy it again")


def _rate_of(stream: av.VideoStream, times: FrameTimes | None) -> Fraction | None:
    """Frames per second: the stated rate that every frame keeps to, else the average."""
    stated = [rate for rate in (stream.average_rate, stream.guessed_rate, stream.base_rate) if rate]
    if times is not None and len(times.times) > 1:
        constant = times.constant_rate(stated)
        if constant is not None:
            return constant
    return stated[0] if stated else None


def _clip(frames: FrameRange | None, count: int | None, path: str) -> FrameRange | None:
    if frames is None:
        return None
    if frames.first < 1 or (count is not None and frames.last > count):
        raise UsageError(
            f"expected frames within 1-{count or '…'} of '{path}', got {frames.first}-{frames.last};"
            " movies count from 1"
        )
    return frames
