"""What a shot is, and the two protocols that every reader and writer keeps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from types import TracebackType
from typing import Literal, Protocol, Self

from impasto.core.frame import Frame

ShotKind = Literal["still", "sequence", "movie", "stream"]


@dataclass(frozen=True, slots=True)
class FrameRange:
    """Frame numbers from `first` to `last`, both included."""

    first: int
    last: int

    def __contains__(self, number: object) -> bool:
        return isinstance(number, int) and self.first <= number <= self.last


@dataclass(frozen=True, slots=True)
class MovieFacts:
    """What a movie says of itself, so that a result can be written like it."""

    codec: str
    pixel_format: str
    full_range: bool
    matrix: str
    transfer: str
    primaries: str
    rotation: int
    """Degrees counter-clockwise by which players turn the picture."""
    timecode: str | None
    has_audio: bool
    mirrored: bool = False
    """Whether players mirror the picture from left to right, after turning it."""
    mastering: str = ""
    """HDR10 static metadata, as the parameters of x265 that say it; empty where there is none."""
    field_order: Literal["", "top", "bottom"] = ""
    """The field that the frames, as they are handed out, show first; empty where they have none."""
    projection: Literal["", "equirectangular"] = ""
    stereo: Literal["", "sbs", "ou"] = ""
    unlike: str = ""
    """A note on a map of the sphere that is not painted as what it is."""


@dataclass(frozen=True, slots=True)
class ShotInfo:
    """The facts of a shot that are known before a frame is read.

    `frame_count` is None for a camera or network stream, and for a movie that does not say.
    Movies count frames from 1; sequences bear their files' numbers; a still is frame 1, or the
    number in its name. `rate` is frames per second, None for stills and sequences that do not say.
    """

    path: str
    kind: ShotKind
    first: int
    frame_count: int | None
    width: int
    height: int
    rate: Fraction | None = None
    movie: MovieFacts | None = None
    sound: str = ""
    """A file whose sound a movie of these pictures gets, from its beginning on; empty for none."""

    @property
    def range(self) -> FrameRange | None:
        """First and last frame, None where the length is not known."""
        return None if self.frame_count is None else FrameRange(self.first, self.first + self.frame_count - 1)


class Reader(Protocol):
    """An open shot. One thread owns it."""

    @property
    def info(self) -> ShotInfo:
        """The facts of the shot (of the asked range, where one was asked for)."""
        ...

    def __iter__(self) -> Iterator[Frame]:
        """Every frame of the asked range, in order, once."""
        ...

    def close(self) -> None:
        """Release the file or device; twice does no harm."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Writer(Protocol):
    """An open result. One thread owns it.

    Nothing half-written ever bears a final name: a sequence commits each frame (temporary file,
    checked write, fsync, rename), a movie commits when the `with` block ends without an
    exception. With one, finished frames stay: a sequence keeps its files, a movie is closed as
    `NAME.partial.EXT` next to the final name, playable up to the last finished frame.
    """

    @property
    def path(self) -> str:
        """Where the result will be: the final file, or the pattern of a sequence.

        Once a movie has been cut off: where the part of it is, which takes a free name.
        """
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What an artist should know of the result so far: what of the source is not in it, what had to be assumed."""
        ...

    def has(self, number: int) -> bool:
        """Whether this frame was finished by an earlier run that is being resumed."""
        ...

    def write(self, frame: Frame) -> str | None:
        """Store one frame and return the path that it went to; OutputError when that fails.

        None where, resuming, another run has stored the same frame meanwhile.
        """
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
