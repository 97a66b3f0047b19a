"""A frame request and its result."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated, ClassVar

from impasto.core.frozen_dataclass import frozen_dataclass
from impasto.server.protocol import limits
from impasto.server.protocol.field_types import (
    Alpha,
    Count,
    Dtype,
    Encoding,
    Id,
    Lane,
    Many,
    Name,
    Number,
    Real,
    Seconds,
    Side,
    Stride,
    Text,
    Whole,
    Words,
)
from impasto.server.protocol.messages.render_settings import RenderSettings
from impasto.server.protocol.messages.ring import Slot


@frozen_dataclass
class Picture:
    """How the samples of a plate lie in memory: rows of interleaved channels.

    A row begins `row_stride` bytes after the one before it (at least width x channels x sample size, and a
    multiple of the sample size). `bottom_up` says that the first row is the lowest. The samples take
    `(height - 1) * row_stride + width * channels * sample size` bytes.
    """

    width: Side
    height: Side
    channels: Annotated[int, Whole(1, 4)]
    """1 grey, 2 grey and alpha, 3 RGB, 4 RGBA."""
    dtype: Dtype
    row_stride: Stride
    bottom_up: bool = False
    alpha: Alpha = "associated"
    """How colour and alpha relate, where there is alpha."""
    colour_space: Annotated[str, Text(limits.NAME_BYTES)] = ""
    """Empty: scene-linear Rec.709 for floats, sRGB for integers."""


@frozen_dataclass
class MattePicture:
    """How the samples of a matte lie: one channel, of the plate's size and `bottom_up` as the plate."""

    dtype: Dtype
    """Integers are divided by their greatest value, floats clipped to [0, 1]."""
    row_stride: Stride
    offset: Count = 0
    """Where it begins in the in-slot, a multiple of 64; unused inline."""


@frozen_dataclass
class Submit:
    """A frame request (data). The result has the layout, dtype and channels of the plate.

    Answer: maybe `Queued`, then exactly one of `Done`, `Failed`, `Cancelled`, `Expired`.
    """

    TYPE: ClassVar = "submit"

    id: Id
    look: RenderSettings
    picture: Picture
    slot: Slot | None = None
    """None: the samples are in part 2."""
    encoding: Encoding = "raw"
    crc32: Annotated[int, Whole(0, 0xFFFFFFFF)] | None = None
    """CRC-32 of part 2 as it was sent, checked where given."""
    matte: MattePicture | None = None
    frame: Number = 0
    lane: Lane | None = None
    viewer: Annotated[str, Text(limits.NAME_BYTES)] = ""
    """Where given, a newer request of the same session and viewer supersedes those of it that still wait."""
    deadline_s: Annotated[float, Real(0.001, 86_400)] | None = None
    """Seconds from arrival after which the answer is of no use."""
    ocio: Words = ""
    """As in `ShotJob`; a client says it where the picture names a colour space. (1.2)"""
    ocio_sha256: Annotated[str, Text(64)] = ""


@frozen_dataclass
class Done:
    """The frame is painted. Terminal."""

    TYPE: ClassVar = "done"

    id: Id
    seconds: Annotated[dict[Name, Seconds], Many(16)]
    """Stage -> seconds: 'queue', 'upload', 'before', 'network', 'after', 'download', 'server' (arrival to answer)."""
    invalid_pixels: Count = 0
    tile: Annotated[int, Whole(0, limits.SIDE)] = 0
    """Side of the tiles, 0 for the whole frame at once."""
    notes: Annotated[tuple[Words, ...], Many(16)] = ()
    provenance: Annotated[dict[Name, Words], Many(32)] = field(default_factory=dict)
    inline: bool = False
    """The result is in part 2."""
    encoding: Encoding = "raw"
    cached: bool = False
    """The frame was kept from an earlier time, and not painted now. (1.2)"""
