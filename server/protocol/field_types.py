"""The types that fields of messages have, each with its bounds."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from impasto.core.frozen_dataclass import frozen_dataclass
from impasto.server.protocol import limits


@frozen_dataclass
class Bytes:
    """Exactly `size` bytes."""

    size: int


@frozen_dataclass
class Blob:
    """Bytes, at least one and at most `most` units of `unit` bytes each."""

    most: int
    unit: int


@frozen_dataclass
class Text:
    """UTF-8 without control characters, at most `bytes` long; not empty unless `empty`."""

    bytes: int = limits.TEXT_BYTES
    empty: bool = True


@frozen_dataclass
class Whole:
    """An integer of this range, both ends included; never a boolean."""

    least: int
    most: int


@frozen_dataclass
class Real:
    """A finite number of this range, both ends included; integers are taken too."""

    least: float
    most: float


@frozen_dataclass
class Many:
    """At most `most` items or entries."""

    most: int


@frozen_dataclass
class Flat:
    """The fields of the record are keys of the map that it stands in. The last field of its message."""


Id: TypeAlias = Annotated[bytes, Bytes(16)]
"""Chosen by the client at random for every request."""
Name: TypeAlias = Annotated[str, Text(limits.NAME_BYTES, empty=False)]
Words: TypeAlias = Annotated[str, Text()]
Count: TypeAlias = Annotated[int, Whole(0, (1 << 63) - 1)]
Number: TypeAlias = Annotated[int, Whole(-(1 << 31), (1 << 31) - 1)]
"""A frame number."""
Seconds: TypeAlias = Annotated[float, Real(0, 1e9)]
Amount: TypeAlias = Annotated[float, Real(-1e9, 1e9)]
Settings: TypeAlias = Annotated[dict[Name, Amount], Many(limits.MAP_ITEMS)]
"""Control name -> value, as the tables of `Welcome` name and bound them.

A parameter that is missing has the style's own default, another control the one of its table.
"""
Lane: TypeAlias = Literal["interactive", "batch"]
Dtype: TypeAlias = Literal["uint8", "uint16", "float16", "float32"]
"""Little endian."""
Alpha: TypeAlias = Literal["associated", "unassociated"]
Encoding: TypeAlias = Literal["raw", "blosc2"]
Precision: TypeAlias = Literal["auto", "float32", "float16", "bfloat16"]
Projection: TypeAlias = Literal["auto", "flat", "equirectangular"]
Stereo: TypeAlias = Literal["auto", "off", "sbs", "ou", "views"]
KeysQuality: TypeAlias = Literal["draft", "standard", "best"]
Fields: TypeAlias = Literal["auto", "deinterlace", "keep"]
EncoderSpeed: TypeAlias = Literal[
    "auto", "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow"
]
"""The presets of x264 and x265, from the largest files to the smallest; 'auto' is superfast for drafts, else fast."""
Side: TypeAlias = Annotated[int, Whole(1, limits.SIDE)]
Stride: TypeAlias = Annotated[int, Whole(1, limits.RAW_BYTES)]
Tile: TypeAlias = Annotated[int, Whole(-1, limits.SIDE)]
"""Side in pixels; 0 is 'auto', -1 is 'off'."""
