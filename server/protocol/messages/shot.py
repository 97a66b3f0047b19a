"""A shot job, its progress and its result."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import field, replace
from typing import Annotated, ClassVar, Final

from impasto.core.frozen_dataclass import frozen_dataclass
from impasto.server.protocol import limits
from impasto.server.protocol.field_types import (
    Blob,
    Count,
    EncoderSpeed,
    Fields,
    Flat,
    Id,
    Lane,
    Many,
    Name,
    Number,
    Real,
    Seconds,
    Text,
    Words,
)
from impasto.server.protocol.messages.render_settings import RenderSettings


@frozen_dataclass
class Stretch:
    """The values of a parameter at frames in a row."""

    first: Number
    """The frame of the first value."""
    values: Annotated[bytes, Blob(limits.BLOB_BYTES // 8, 8)]
    """float64, little endian, one for each frame."""


@frozen_dataclass
class AnimatedParameter:
    """A parameter that changes over a shot. (1.1)

    Between two stretches the value goes in a straight line from the last of the one to the first of the other; before
    the first stretch and behind the last it stays.
    """

    name: Name
    stretches: Annotated[tuple[Stretch, ...], Many(limits.ARRAY_ITEMS)]
    """At least one, by ascending frame, no frame twice."""


@frozen_dataclass
class ShotJob:
    """What a shot job reads, paints and writes: the one description of it, from a host to the worker that runs it.

    Paths are those of the process that opens the files. On the local socket they are absolute (an input may be
    'camera:0' or a stream's address too); elsewhere 'ROOT:relative/path' below a named root.
    """

    look: RenderSettings
    input: Words
    output: Words
    first: Number | None = None
    """First and last frame, both included; both None mean the whole shot."""
    last: Number | None = None
    layer: Annotated[str, Text(limits.NAME_BYTES)] = ""
    """Empty: the default layer."""
    matte: Words = ""
    """A still, or pictures numbered like the shot; empty for none."""
    input_space: Annotated[str, Text(limits.NAME_BYTES)] = ""
    """Empty: the space that the input states, or the usual one of its kind."""
    output_space: Annotated[str, Text(limits.NAME_BYTES)] = ""
    """Empty: the space of the plate, or the usual one of the result where plate and result differ."""
    before_resize: Annotated[str, Text(32)] = ""
    """As the command line takes it: 50%, 1280x720, 1280x or x720."""
    after_resize: Annotated[str, Text(32)] = ""
    overwrite: bool = False
    resume: bool = False
    """Keep the frames that an earlier run made of the same plate with the same settings."""
    lane: Lane = "batch"
    animated: Annotated[tuple[AnimatedParameter, ...], Many(32)] = ()
    """Parameters that change over the shot, in the place of those of `look`; see `protocol.animation`. A server of 1.0
    would skip them, so a client looks at the minor version of the welcome first. (1.1)"""
    guides: Annotated[tuple[Words, ...], Many(4)] = ()
    """Pictures with the guide layers of the style, numbered like the shot. A client asks as for `animated`. (1.1)"""
    motion: Words = ""
    """Pictures with motion vectors, numbered like the shot, or the input again. A client asks as for `animated`.
    (1.1)"""
    motion_layer: Annotated[str, Text(limits.NAME_BYTES)] = ""
    """LAYER, LAYER=CONVENTION or nothing, as `impasto.core.motion.conventions` reads them. (1.1)"""
    rate: Annotated[str, Text(32)] = ""
    """Frames per second of pictures, as the command line takes them: 24, 23.976 or 24000/1001; empty: what they state.
    A client asks as for `animated`. (1.2)"""
    ocio: Words = ""
    """The OpenColorIO configuration: an absolute path, a name that begins with 'ocio://', or 'built-in'. Empty: the one
    of the server's own environment. A client asks as for `animated`, except for 'built-in'. (1.2)"""
    ocio_sha256: Annotated[str, Text(64)] = ""
    """Of the configuration's file, where it is one: the server refuses the job if it has another. (1.2)"""
    encoder_speed: EncoderSpeed = "auto"
    """Of movies in H.264 and H.265. A server that does not know it encodes at its own speed. (1.2)"""
    sound: Words = ""
    """A file whose sound goes into the movie of these pictures; empty for none. A client asks as for `animated`.
    (1.2)"""
    farm_job: Name = ""
    """The farm job that this is a part of, noted in each frame; empty for none. With one, several runs may make the
    same frames at once. (1.2)"""
    attempt: Name = ""
    """Which attempt at that part this is, noted too. (1.2)"""
    fields: Fields = "auto"
    """Of interlaced movies; 'auto' keeps them for the style `identity` alone. A client asks as for `animated`. (1.2)"""
    smoothing: Annotated[float, Real(0, 1)] = 0.0
    """How far each frame takes the paint that the frames around it agree on. A client asks as for `animated`. (1.2)"""
    within: Annotated[tuple[Words, ...], Many(4)] = ()
    """Folders in which every path of the job lies, and is opened without following a link: for a client that names
    files of others. On the local socket alone; elsewhere the server's roots hold. A client asks as for `animated`.
    (1.2)"""

    def paths(self) -> Iterator[tuple[str, str]]:
        """Field and path of every file or pattern that the job names; input and output may be empty."""
        for name in PATHS:
            path = getattr(self, name)
            if path or name in ("input", "output"):
                yield name, path
        for path in self.guides:
            yield "guides", path

    def with_paths(self, change: Callable[[str, str], str]) -> ShotJob:
        """The job with every path as `change` makes it of field and path."""
        plain = {name: change(name, path) for name, path in self.paths() if name in PATHS}
        guides = tuple(change("guides", path) for path in self.guides)
        return replace(self, **plain, guides=guides)  # type: ignore[arg-type]  # all of them are texts


PATHS: Final = ("input", "output", "matte", "motion", "sound")
"""Fields of a `ShotJob` with one path each."""


@frozen_dataclass
class SubmitShot:
    """A shot job (data): the server reads and writes the files itself.

    Answer: `ShotStarted`, then `ShotProgress`, then one of `ShotDone`, `Failed`, `Cancelled`, `Expired`.
    """

    TYPE: ClassVar = "submit_shot"

    id: Id
    job: Annotated[ShotJob, Flat()]


@frozen_dataclass
class ShotStarted:
    """The shot is open and its result is free. Again, with more frames skipped, when a worker was replaced."""

    TYPE: ClassVar = "shot_started"

    id: Id
    output: Words
    first: Number
    frames: Count | None
    """Frames that will be rendered, None where the source does not know its end."""
    skipped: Count
    width: Count
    height: Count
    rate: Annotated[float, Real(0, 1e6)] | None = None
    attempt: Count = 1


@frozen_dataclass
class StoredFrame:
    """A frame of a shot job that is finished and safe."""

    number: Number
    path: Words
    done: Count
    """Frames stored by this job so far, over all attempts."""
    invalid_pixels: Count
    cached: bool = False
    """As in `Done`. (1.2)"""


@frozen_dataclass
class ShotProgress:
    """Frames that became safe since the last progress, at most ten times a second. Every frame is reported once.

    One without frames and notes says that the work goes on.
    """

    TYPE: ClassVar = "shot_progress"

    id: Id
    stored: Annotated[tuple[StoredFrame, ...], Many(limits.ARRAY_ITEMS)] = ()
    notes: Annotated[tuple[Words, ...], Many(16)] = ()


@frozen_dataclass
class ShotDone:
    """The shot job is finished. Terminal."""

    TYPE: ClassVar = "shot_done"

    id: Id
    path: Words
    """The final file or pattern; empty where nothing was written."""
    rendered: Count
    skipped: Count
    invalid_pixels: Count
    seconds: Seconds
    stages: Annotated[dict[Name, Seconds], Many(16)] = field(default_factory=dict)
    precision: Name = ""
    """What the network counted in; empty where no frame was painted."""
