"""Movies as shots: decoded by PyAV into RGB of the depth they have, frame-exact in any range."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from types import TracebackType
from typing import Self

import av
import numpy as np

from impasto.core.errors import UnreadableMedia, UnsupportedMedia, UsageError
from impasto.core.frame import AlphaKind, Attribute, ColourLayer, Frame, Part, Window
from impasto.core.media.field_pixels import FieldDecoder
from impasto.core.media.fields import deinterlaced, field_order_of, note_on_fields
from impasto.core.media.held_folder import open_file, real_path
from impasto.core.media.movie_container import open_container, stream_of
from impasto.core.media.movie_facts import colour_codes, colour_space_of, facts_of
from impasto.core.media.movie_index import FrameTimes, frame_times
from impasto.core.media.movie_pixels import Layout, PixelDecoder, matrix_for
from impasto.core.media.orientation import NAME as ORIENTATION
from impasto.core.media.orientation import orientation_for
from impasto.core.media.shot import FrameRange, MovieFacts, ShotInfo
from impasto.core.media.timecode import advance_timecode


class MovieReader:
    """A movie file. Frames count from 1; pixels stand as they are coded, before any rotation."""

    def __init__(self, path: str, frames: FrameRange | None = None, *, deinterlace: bool = True) -> None:
        """Open the movie, decode one frame and find out when every frame is shown.

        Interlaced pictures are deinterlaced, unless their fields are asked for as they stand (`deinterlace` False).

        Raises UnreadableMedia, UnsupportedMedia, and UsageError for a range outside the movie. A movie that does not
        hold all that it promises is refused, unless a range is asked for that lies within what is there.
        """
        _require_file(path)
        self._path = path
        self._container = open_container(path)
        try:
            first = first_frame(self._container, path)
            self._times = _shown_times(path, first, needed=frames is not None)
            facts = facts_of(self._container, first)
            self._fields, self._deinterlace = facts.field_order, deinterlace
            self._facts = replace(facts, field_order="") if deinterlace else facts
            stream = stream_of(self._container)
            self._rate = _rate_of(stream, self._times)
            self._converter = FrameConverter(path, self._facts, first, StreamFacts.of(stream, self._rate))
            self._range = _clip(frames, self._count(), path)
            if frames is None and self._times is not None and self._times.missing:
                raise UnreadableMedia(
                    f"expected {self._times.missing} in '{path}'; the file is cut short: copy it again,"
                    f" or ask for what is there with --frames 1-{len(self._times.times)}"
                )
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
        """Every asked frame, in order of display.

        Raises UnreadableMedia where the movie is damaged: where a frame does not decode, decodes with errors, or is
        missing. The frames before it have been handed out.
        """
        first = self._range.first if self._range is not None else 1
        last = self._range.last if self._range is not None else None
        number = first - 1
        noted = False
        notes = tuple(f"{note} ('{self._path}')" for note in self._times.notes) if self._times is not None else ()
        notes = (*notes, *filter(None, [self._facts.unlike]))
        try:
            for number, decoded in self._pictures(first):
                frame = self._converter(decoded, number)
                if self._fields and not noted:
                    noted, notes = (
                        True,
                        (*notes, note_on_fields(self._path, self._fields, deinterlaces=self._deinterlace)),
                    )
                yield replace(frame, notes=notes) if notes else frame
                notes = ()
                if number == last:
                    return
        except av.FFmpegError as error:
            raise self._damaged(number, f"'{error.strerror}'") from error
        if (count := self._count()) is not None and number < (last or count):
            raise self._damaged(number, "none")

    def _damaged(self, last: int, got: str) -> UnreadableMedia:
        return UnreadableMedia(
            f"expected sound frames in '{self._path}', got {got} after frame {last};"
            " ask for the frames before it with --frames, or copy the movie again"
        )

    def _pictures(self, first: int) -> Iterator[tuple[int, av.VideoFrame]]:
        """Sound pictures from a number on, deinterlaced where that is asked for.

        That needs the picture before, so that a range begins one earlier where its first has fields.
        """
        pictures = self._sound(first)
        if not self._deinterlace:
            return pictures
        begun = list(itertools.islice(pictures, 1))
        if first > 1 and begun and begun[0][1].interlaced_frame:
            try:
                pictures = self._sound(first - 1)
                begun = list(itertools.islice(pictures, 1))
            except (av.FFmpegError, UnreadableMedia):  # what is before is damaged: as if the movie began here
                pictures, begun = self._sound(first), []
        woven = deinterlaced(itertools.chain(begun, pictures))
        return ((number, picture) for number, picture in woven if number >= first)

    def _sound(self, first: int) -> Iterator[tuple[int, av.VideoFrame]]:
        """Decoded frames from a number on; UnreadableMedia at one that decodes with errors."""
        for number, decoded in self._numbered(first):
            if decoded.is_corrupt:
                raise self._damaged(number - 1, "one that decodes with errors")
            self._fields = self._fields or field_order_of(decoded)
            yield number, decoded

    def _numbered(self, first: int) -> Iterator[tuple[int, av.VideoFrame]]:
        """Decoded frames from a number on, each with its own.

        A number is the rank of the frame's time. Where frames bear no times, or share them, and where a seek does not
        lead to a frame at or before the wanted one, the movie is decoded from its start and counted.
        """
        times = self._times
        begun = 0
        if times is not None and times.distinct and first > 1:
            number, frames = self._sought(first, times)
            for decoded in frames:
                rank = times.number_of(decoded.pts)
                if (rank is not None and rank > number + 1) or (decoded.is_corrupt and number + 1 >= first):
                    break  # what a seek lost may be there from the start
                number += 1
                if number >= first:
                    begun = number
                    yield number, decoded
        for number, decoded in enumerate(self._decoded_from_start(), 1):
            rank = times.number_of(decoded.pts) if times is not None and times.distinct else None
            if rank is not None and rank > number:
                raise self._damaged(number - 1, f"frame {rank}")
            if number >= max(first, begun + 1):
                yield number, decoded

    def _sought(self, first: int, times: FrameTimes) -> tuple[int, Iterator[av.VideoFrame]]:
        """Frames from a keyframe at or before a number, and the number before that; none where no seek leads there."""
        start, step = first, 8
        while start > 1:
            frames = self._decoded_from(int(times.times[start - 1]))
            try:
                landed = next(frames, None)
            except av.FFmpegError:
                break
            rank = times.number_of(landed.pts) if landed is not None else None
            if landed is not None and rank is not None and rank <= first:
                return rank - 1, itertools.chain([landed], frames)
            # An open group of pictures: what is shown before its keyframe needs the group before it.
            start, step = start - step, step * 2
        return 0, iter(())

    def _decoded_from(self, time: int) -> Iterator[av.VideoFrame]:
        """Frames from the keyframe at or before a time; none where the container cannot seek."""
        stream = stream_of(self._container)
        try:
            self._container.seek(time, stream=stream, backward=True)
        except av.FFmpegError:
            return iter(())
        return decoded_pictures(self._container)

    def _decoded_from_start(self) -> Iterator[av.VideoFrame]:
        """Every frame. The file is opened anew: a seek to the start may land behind the first keyframe (MPEG-TS)."""
        self._container.close()
        self._container = open_container(self._path)
        return decoded_pictures(self._container)

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
        self._source = path if "://" in path else real_path(path)
        self._facts = facts
        self._rate = stream.rate
        self._aspect = stream.pixel_aspect
        layout = Layout.of(first.format.name)
        self._formats = (
            "uint8" if layout.bits <= 8 else f"uint{layout.bits}" if layout.bits in (10, 12, 14) else "uint16"
        )
        decode = PixelDecoder(facts.full_range, matrix_for(colour_codes(facts)[0], first.height))
        # Fields that are left as they are do not mix: facts of deinterlaced pictures state none.
        self._decode = FieldDecoder(decode) if facts.field_order and layout.subsampled_y else decode
        # ProRes 4444 is made premultiplied by custom; players lay WebM over a page as straight.
        self._alpha = AlphaKind.UNASSOCIATED if facts.codec in _ALPHA_DECODERS else AlphaKind.ASSOCIATED
        self._size = (first.width, first.height)
        self._attributes: dict[str, Attribute] = {}
        if stream.rate is not None:
            rate = stream.rate
            self._attributes["FramesPerSecond"] = Attribute("rational", (rate.numerator, rate.denominator))
        orientation = orientation_for(facts.rotation, mirrored=facts.mirrored)
        if orientation != 1:
            self._attributes[ORIENTATION] = Attribute("int", orientation)

    def __call__(self, decoded: av.VideoFrame, number: int) -> Frame:
        """One Frame. UnsupportedMedia where the movie changes its size midway."""
        if (decoded.width, decoded.height) != self._size:
            raise UnsupportedMedia(
                f"expected frames of {self._size[0]}x{self._size[1]}, got {decoded.width}x{decoded.height} at frame"
                f" {number} of '{self._source}'; cut the movie where its size changes"
            )
        pixels, excess = self._decode(decoded)
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
            alpha_kind=self._alpha if count == 4 else AlphaKind.NONE,
            number=number,
            timecode=advance_timecode(code, number - 1, self._rate) if code and self._rate else None,
            source=self._source,
            excess=excess,
            projection=self._facts.projection,
            stereo=self._facts.stereo,
        )


def decoded_pictures(container: av.container.InputContainer) -> Iterator[av.VideoFrame]:
    """Every picture from where the container stands.

    Packets before the first keyframe, as in a recording that began in the middle, may fail to decode. What FFmpeg
    raises for later ones is raised. WebM's alpha is decoded along, which FFmpeg's own decoders pass over.
    """
    begun = False
    stream = stream_of(container)
    with_alpha = _alpha_decoder(stream)
    for packet in container.demux(stream):
        begun = begun or packet.is_keyframe
        try:
            decoded = packet.decode() if with_alpha is None else with_alpha.decode(packet if packet.size else None)
        except av.FFmpegError:
            if begun:
                raise
            continue
        yield from decoded


def _alpha_decoder(stream: av.VideoStream) -> av.VideoCodecContext | None:
    """A decoder of VP8 or VP9 that knows the alpha beside the pictures (WebM's AlphaMode), None where there is none."""
    name = _ALPHA_DECODERS.get(stream.codec_context.name)
    stated = next((value for key, value in stream.metadata.items() if key.lower() == "alpha_mode"), "0")
    if name is None or stated != "1":
        return None
    decoder = av.CodecContext.create(name, "r")
    assert isinstance(decoder, av.VideoCodecContext)
    decoder.extradata = stream.codec_context.extradata
    decoder.thread_type = av.codec.context.ThreadType.AUTO
    return decoder


_ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}


def first_frame(container: av.container.InputContainer, path: str) -> av.VideoFrame:
    """The first picture of a movie. UnreadableMedia where none can be decoded."""
    try:
        decoded = next(decoded_pictures(container), None)
    except av.FFmpegError as error:
        raise UnreadableMedia(
            f"expected pictures in '{path}', got '{error.strerror}'; check or copy it again"
        ) from error
    if decoded is None:
        raise UnreadableMedia(f"expected at least one picture in '{path}', found none; check or copy it again")
    return decoded


def shown_times(path: str) -> FrameTimes | None:
    """The times of the frames of a movie as its reader counts them, None where nothing tells."""
    _require_file(path)
    with open_container(path) as container:
        first = first_frame(container, path)
    return _shown_times(path, first, needed=True)


def _shown_times(path: str, first: av.VideoFrame, *, needed: bool) -> FrameTimes | None:
    """The times of the frames that can be decoded.

    Packets of interlaced movies may hold a field each; where they do, the frames are counted by decoding them.
    """
    times = frame_times(path, needed=needed)
    if times is None or first.pts is None:
        return times
    times = times.decodable_from(first.pts)
    if not first.interlaced_frame or not times.distinct:
        return times
    with open_container(path) as container:
        begun = [frame.pts for frame in itertools.islice(decoded_pictures(container), 12)]
        numbers = [times.number_of(time) for time in begun]
        if None in begun or numbers != list(range(1, 2 * len(begun), 2)):
            return times
    with open_container(path) as container:
        shown = np.array([frame.pts for frame in decoded_pictures(container)], np.int64)
    return replace(times, times=shown)


def _require_file(path: str) -> None:
    try:
        with open(path, "rb", opener=open_file) as stream:
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
