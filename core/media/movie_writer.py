"""Movies being written: pictures encoded, and all that the source had beside its pictures carried over."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
from fractions import Fraction
from types import TracebackType
from typing import Self

import av
import numpy as np

from impasto.core.errors import OutputError, OutputExists, UsageError
from impasto.core.frame import Excess, Frame, Pixels
from impasto.core.media.commit import (
    make_folder,
    publish,
    refuse_if_full,
    remove_abandoned,
    temporary_beside,
)
from impasto.core.media.field_pixels import FieldEncoder
from impasto.core.media.fields import FieldMarker, FieldOrder, said_of
from impasto.core.media.flatten import LEVELS, clipped_away, flatten, flattened_away, quantise, unclipped
from impasto.core.media.held_folder import name_to_open, open_file
from impasto.core.media.immersive_facts import MP4_MUXERS, state_in_mp4, states_in_movie
from impasto.core.media.left_out import left_out
from impasto.core.media.movie_audio import SoundTrack, start_of
from impasto.core.media.movie_codec import Encoding, choose_encoding, container_of, with_fields
from impasto.core.media.movie_container import open_container, open_sound, stream_of, write_failure
from impasto.core.media.movie_extras import LIGHT_OF_THE_MASTER, TAGS_OF_THE_FILE, Extras, attach, chapters_between
from impasto.core.media.movie_facts import colour_tags
from impasto.core.media.movie_index import frame_times, variable_times
from impasto.core.media.movie_pixels import FULL, LIMITED, Layout, PixelEncoder, matrix_for
from impasto.core.media.orientation import is_across, orientation_of, upright
from impasto.core.media.shot import ShotInfo
from impasto.core.media.timecode import advance_timecode

_DEFAULT_RATE = Fraction(24)
_PQ = 16
"""The transfer of SMPTE ST 2084 in ITU-T H.273."""


class MovieWriter:
    """A movie that appears under its name when its last frame is in, and as NAME.partial.EXT after a failure.

    Where that name is taken the next of NAME.partial-2.EXT, … is chosen: no file is lost to a failure.
    Frames are flattened over the display window; float frames are rounded to the depth of the codec, so they must be
    display-encoded by then. What lies outside [0, 1] goes as far as the codec has codes beyond black and white. Rate,
    times of a variable rate, timecode, rotation, tags, colour tags, range and audio come from the source of the shot
    where that is a movie; otherwise the rate is the shot's or 24, limited range. Colour tags are those of
    the frames' colour space where it is not the source's, and BT.709 for pictures that state none.
    Pixels are turned where the container cannot say how they are looked at (.avi), where the movie is mirrored, and
    where pictures are turned by EXIF.
    """

    def __init__(self, path: str, shot: ShotInfo, *, overwrite: bool = False, speed: str = "fast") -> None:
        """Check the name and remove what a killed process left of this movie; nothing is written yet.

        Raises UsageError, OutputExists, OutputError.
        """
        self._kind = container_of(path)
        self._path = path
        self._shot = shot
        self._replace = overwrite
        self._speed = speed
        if os.path.exists(path) and os.path.exists(shot.path) and os.path.samefile(path, shot.path):
            raise OutputExists(f"expected another name than the input '{path}'; the input is never overwritten")
        if os.path.lexists(path) and not overwrite:
            raise OutputExists(f"expected no file at '{path}', but there is one; give --overwrite or another name")
        make_folder(path)
        folder, name = os.path.split(path)
        remove_abandoned(folder, lambda final: final == name)
        self._temporary = temporary_beside(path)
        self._files = contextlib.ExitStack()
        self._open: _OpenMovie | None = None
        self._partial: str | None = None
        self._notes: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        """The final name; after a failure that left a part of the movie, the name of that part."""
        return self._partial or self._path

    @property
    def notes(self) -> tuple[str, ...]:
        """What of the source the movie does not hold, and the rate where none was stated."""
        return self._notes if self._open is None else self._open.notes

    def has(self, number: int) -> bool:
        """Never: a movie is written in one go."""
        return False

    def write(self, frame: Frame) -> str:
        """Encode one frame; frames come in ascending order. Raises OutputError, NoSpace, UsageError."""
        try:
            if self._open is None:
                name = self._files.enter_context(name_to_open(self._temporary, write=True))
                self._open = _OpenMovie(name, self._path, self._shot, frame, self._speed)
            self._open.write(frame)
        except (av.FFmpegError, OSError) as error:
            raise self._failure(error) from error
        return self._path

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Publish the movie; after an exception keep it as NAME.partial.EXT. Raises OutputError, NoSpace."""
        try:
            written = self._open.close() if self._open is not None else 0
            if self._open is None:
                return
            if error is None:
                self._state_layout(self._open)
                self._open.miss(*_read_back(self._temporary, self._path, written))
                publish(self._temporary, self._path, replace=self._replace)
            elif written:
                self._partial = _publish_partial(self._temporary, self._path)
            self._notes = self._open.notes
        except (av.FFmpegError, OSError) as failure:
            if error is None:
                raise self._failure(failure) from failure
        finally:
            self._open = None
            self._files.close()
            with contextlib.suppress(OSError):
                os.unlink(self._temporary)

    def _state_layout(self, movie: _OpenMovie) -> None:
        """Let the finished file state the sphere or the two eyes of its frames, or note that it does not."""
        if not states_in_movie(movie.first):
            return
        with open(self._temporary, "r+b", opener=open_file) as stream:
            if self._kind.muxer not in MP4_MUXERS or not state_in_mp4(stream, movie.first):
                movie.leave_out("that players show it as " + ("a sphere" if movie.first.projection else "stereo"))

    def _failure(self, error: Exception) -> OutputError:
        return write_failure(error, self._temporary, self._path)


class _OpenMovie:
    """An output container with its video stream, from the first frame to the trailer."""

    def __init__(self, temporary: str, final: str, shot: ShotInfo, first: Frame, speed: str) -> None:
        self._shot = shot
        self._facts = shot.movie
        self._kind = container_of(final)
        # Otherwise the container says how they are looked at.
        self._turned = self._facts is None or not self._kind.rotates or self._facts.mirrored
        pixels, _ = self._pixels(first, None)
        height, width, channels = pixels.shape
        self._size = (width, height)
        deep = pixels.dtype != np.uint8 and first.part.formats[first.layer.colour[0]] != "uint8"
        self._encoding = choose_encoding(
            final, shot, width=width, height=height, deep=deep, alpha=channels in (2, 4), speed=speed
        )
        order: FieldOrder = "" if self._facts is None else self._facts.field_order
        unchanged = (width, height) == (shot.width, shot.height)
        unchanged = unchanged and not (self._turned and orientation_of(first.part) != 1)
        stated = bool(order) and unchanged and self._encoding.holds_fields and height % 4 == 0
        self._fields = FieldMarker(order if stated else "")
        if stated:
            self._encoding = with_fields(self._encoding)
        self._source = open_container(shot.path) if shot.kind == "movie" and os.path.isfile(shot.path) else None
        self._beside = open_sound(shot.sound) if shot.sound else None
        self._times = variable_times(shot.path, shot.rate) if self._source is not None else None
        self._rate = shot.rate or _DEFAULT_RATE
        self._left_out = [said_of(order)] if order and not stated else []
        self._left_out += flattened_away(first, "either" if Layout.of(self._encoding.pixel_format).alpha else "none")
        self.first = first
        """The first frame that is written."""
        self._first = first.number
        self._written = 0
        self._delay = 0
        """Units of the time base after which the first picture is shown."""
        self._last = first.number - 1
        self._output = av.open(temporary, "w", format=self._kind.muxer, options=dict(self._kind.options))
        try:
            self._stream = self._add_video(first)
            self._sound = self._add_sound()
            self._open_encoder(final)
        except BaseException:
            self._output.close()
            self._close_sources()
            raise

    @property
    def notes(self) -> tuple[str, ...]:
        """What of the source is not in the movie, and the rate where none was stated."""
        notes = left_out(self._shot.path, [*self._left_out, *([LEVELS] if self._encode.clips else [])])
        if self._shot.rate is not None:
            return notes
        said = f"'{self._shot.path}' states no frame rate: the movie plays at {_DEFAULT_RATE} frames per second"
        return (said, *notes)

    def leave_out(self, what: str) -> None:
        """Name something of the frames that the movie does not hold."""
        self._left_out.append(what)

    def miss(self, held: frozenset[str], aspect: float) -> None:
        """Name what was given to the container and is not held by it: tags, the pixel aspect."""
        self._left_out += [key if key == "timecode" else f"tag {key}" for key in self._tags_given if key not in held]
        self._left_out += ["pixel aspect"] if abs(aspect / self._aspect - 1) > 0.01 else []

    def _open_encoder(self, final: str) -> None:
        """Open it at once, so that a size that it refuses is known before anything is written."""
        try:
            self._stream.codec_context.open(strict=False)
        except av.FFmpegError as error:
            width, height = self._size
            raise OutputError(
                f"expected the {self._encoding.encoder} encoder to take frames of {width}x{height} for '{final}',"
                f" got '{error.strerror}'; choose another extension, or write pictures"
            ) from error

    def write(self, frame: Frame) -> None:
        if frame.number <= self._last:
            raise UsageError(f"expected frames in ascending order, got {frame.number} after {self._last}")
        pixels, excess = self._pixels(frame, self._encoding)
        if (pixels.shape[1], pixels.shape[0]) != self._size:
            raise UsageError(
                f"expected frames of {self._size[0]}x{self._size[1]}, got {pixels.shape[1]}x{pixels.shape[0]};"
                " a movie has one size"
            )
        picture = self._fields(self._encode(pixels, excess))
        picture.time_base = self._time_base
        picture.pts = self._time_of(frame.number) + self._delay
        picture.colorspace, picture.color_trc, picture.color_primaries = self._tags
        picture.color_range = FULL if self._full_range else LIMITED
        for packet in self._stream.encode(picture):
            self._output.mux(packet)
        self._last = frame.number
        self._written += 1
        if self._sound is not None:
            self._sound.advance(picture.pts * self._time_base)

    def close(self) -> int:
        """Flush, write the trailer, and return how many frames went in."""
        try:
            for packet in self._stream.encode(None):
                self._output.mux(packet)
            if self._sound is not None:
                self._sound.advance(None)
        finally:
            self._output.close()
            self._close_sources()
        return self._written

    def _close_sources(self) -> None:
        for source in filter(None, (self._source, self._beside)):
            source.close()

    def _pixels(self, frame: Frame, encoding: Encoding | None) -> tuple[Pixels, Excess | None]:
        """The flat picture as uint8 or uint16, turned where the container cannot say so, and what is clipped off it."""
        turned = self._turned and orientation_of(frame.part) != 1
        if turned or frame.alpha is not None or frame.part.data_window != frame.part.display_window:
            frame = unclipped(frame)
        flat = flatten(frame, self._kind.alpha)
        if turned:
            flat = upright(flat, orientation_of(frame.part))
        if flat.dtype.kind != "f":
            return flat, frame.excess
        own = frame.part.formats[frame.layer.colour[0]]
        return quantise(flat, "uint8" if own == "uint8" and encoding is None else "uint16"), clipped_away(flat)

    def _add_video(self, first: Frame) -> av.VideoStream:
        encoding, facts = self._encoding, self._facts
        matrix, transfer, primaries = colour_tags(facts, first.colour_space)
        options = dict(encoding.options)
        if facts is not None and facts.mastering and transfer == _PQ:
            if "x265-params" in options:
                options["x265-params"] += f":{facts.mastering}"
            else:
                self._left_out.append(LIGHT_OF_THE_MASTER)
        stream = self._output.add_stream(encoding.encoder, rate=self._rate, options=options)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = self._size
        stream.pix_fmt = encoding.pixel_format
        self._time_base = self._times.time_base if self._times is not None else 1 / self._rate
        stream.codec_context.time_base = self._time_base
        self._full_range = (
            facts.full_range if facts is not None and encoding.full_range is None else bool(encoding.full_range)
        )
        self._tags = (matrix if encoding.matrix is None else encoding.matrix, transfer, primaries)
        stream.codec_context.color_range = FULL if self._full_range else LIMITED
        stream.codec_context.colorspace, stream.codec_context.color_trc, stream.codec_context.color_primaries = (
            self._tags
        )
        if encoding.codec_tag is not None:
            stream.codec_context.codec_tag = encoding.codec_tag
        across = self._turned and is_across(first.part)
        self._aspect = 1 / first.part.pixel_aspect if across else first.part.pixel_aspect
        if self._aspect != 1.0:
            stream.sample_aspect_ratio = Fraction(self._aspect).limit_denominator(10000)
        # The matrix goes by the height of the source, as the reader chose it, also where the pixels were turned.
        encode = PixelEncoder(
            encoding.pixel_format, self._full_range, matrix_for(self._tags[0], self._shot.height or self._size[1])
        )
        self._encode = FieldEncoder(encode) if self._fields.order else encode
        if facts is not None and facts.rotation and not self._turned:
            stream.set_display_rotation(facts.rotation if facts.rotation <= 180 else facts.rotation - 360)
        self._note(stream, first)
        return stream

    def _note(self, stream: av.VideoStream, first: Frame) -> None:
        """Tags of the source, timecode of the first frame, provenance."""
        if self._source is not None:
            for key, value in self._source.metadata.items():
                if key.lower() not in TAGS_OF_THE_FILE:
                    self._output.metadata[key] = value
            for key, value in stream_of(self._source).metadata.items():
                if key.lower() in ("language", "title", "handler_name"):
                    stream.metadata[key.lower()] = value
        code = first.timecode
        if code is None and self._facts is not None and self._facts.timecode:
            code = advance_timecode(self._facts.timecode, first.number - 1, self._rate)
        if code:
            stream.metadata["timecode"] = code
        given = [*self._output.metadata, *(["timecode"] if code else [])]
        self._tags_given = [key.lower() for key in given]
        if first.provenance:
            record = "impasto " + json.dumps(dict(first.provenance), ensure_ascii=False, sort_keys=True)
            comment = next((key for key in self._output.metadata if key.lower() == "comment"), "comment")
            before = self._output.metadata.get(comment)
            self._output.metadata[comment] = f"{before}\n{record}" if before else record

    def _add_sound(self) -> SoundTrack | None:
        """The sound of the source, as far from the pictures as it was there, with subtitles, chapters and covers.

        Where it begins more than a frame before the movie's first picture, the pictures of the result begin later.
        """
        if self._beside is not None:
            length = self._shot.frame_count / self._rate if self._shot.frame_count else None
            return SoundTrack(self._beside, self._output, self._kind, Fraction(0), None, length)
        if self._source is None:
            return None
        extras = Extras.of(self._source)
        carried = extras.carried(self._kind)
        self._left_out += extras.without(carried)
        first = start_of(stream_of(self._source)) + self._time_of(self._first, absolute=True) * self._time_base
        whole = self._first == 1
        lead = Fraction(0)
        if whole and self._source.streams.audio:
            lead = first - min(start_of(each) for each in self._source.streams.audio)
            if lead > 1 / self._rate:
                self._delay = round(lead / self._time_base)
        last = self._shot.first + self._shot.frame_count - 1 if self._shot.frame_count else None
        end = None
        if last is not None and not self._reaches_end(last):
            end = first + (last - self._first + 1) / self._rate
        origin = first - self._delay * self._time_base
        if whole and lead > 0 and not self._kind.timed:
            origin = first - lead
        start = None if whole else first
        if carried.chapters:
            self._output.set_chapters(chapters_between(carried.chapters, origin, start, end))  # type: ignore[arg-type]
        attach(self._output, self._source, carried)
        if not self._source.streams.audio and not carried.subtitles:
            return None
        return SoundTrack(self._source, self._output, self._kind, origin, start, end, carried.subtitles)

    def _reaches_end(self, last: int) -> bool:
        stated = stream_of(self._source).frames if self._source is not None else 0
        if not stated:
            times = frame_times(self._shot.path, needed=False)
            stated = len(times.times) if times is not None else 0
        return not stated or last >= stated

    def _time_of(self, number: int, *, absolute: bool = False) -> int:
        """When a frame is shown, in units of the time base, from the first written frame or from the movie's first."""
        origin = 1 if absolute and self._shot.kind == "movie" else self._first
        if self._times is None:
            return number - origin
        times = self._times.times
        index = min(number, len(times)) - 1
        return int(times[index] - times[origin - 1]) + number - (index + 1)


def _publish_partial(temporary: str, path: str) -> str:
    """Publish what there is of a movie under a free name beside its own, and return that name."""
    stem, extension = os.path.splitext(path)
    for count in itertools.count(1):
        partial = f"{stem}.partial{'' if count == 1 else f'-{count}'}{extension}"
        if os.path.lexists(partial):
            continue
        with contextlib.suppress(OutputExists):
            publish(temporary, partial, replace=False)
            return partial
    raise AssertionError("counting never ends")


def _read_back(temporary: str, final: str, written: int) -> tuple[frozenset[str], float]:
    """Tags and pixel aspect of the finished movie, its packets counted: a full disk does not make every muxer fail."""
    found = 0
    try:
        with name_to_open(temporary) as name, av.open(name, "r") as container:
            stream = container.streams.video[0]
            aspect = float(stream.sample_aspect_ratio or 1)
            held = frozenset(key.lower() for each in (container, *container.streams) for key in each.metadata)
            found = sum(1 for packet in container.demux(stream) if packet.size)
    except (av.FFmpegError, IndexError) as error:
        refuse_if_full(temporary, final)
        raise OutputError(
            f"expected '{final}' to open again, but it does not; check the disk, write it again"
        ) from error
    if found < written:
        refuse_if_full(temporary, final)
        raise OutputError(f"expected {written} frames in '{final}', found {found}; check the disk, write it again")
    return held, aspect
