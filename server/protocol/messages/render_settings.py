"""What a frame, or each frame of a shot, is painted with."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated

from impasto.core.frozen_dataclass import frozen_dataclass
from impasto.server.protocol.field_types import KeysQuality, Precision, Projection, Settings, Stereo, Text, Tile, Words


@frozen_dataclass
class RenderSettings:
    """The settings that a frame, or each frame of a shot, is to be painted with: the style and every control."""

    style: Words
    """A name of the library; on the local socket also the absolute path of a .safetensors file.

    NAME@A=0.7+B=0.3 chooses among the styles of one file, or blends them.
    """
    sha256: Annotated[str, Text(64)] = ""
    """Where given, the style must have this digest, or the request fails."""
    params: Settings | None = None
    """None: the style's own defaults."""
    before: Settings = field(default_factory=dict)
    after: Settings = field(default_factory=dict)
    precision: Precision = "auto"
    tile: Tile = 0
    device: Annotated[str, Text(32)] = ""
    """Empty: any that the server has."""
    keys_quality: KeysQuality = "standard"
    """Of the carried paint of keys by a hand. A server that does not know it carries none. (1.2)"""
    keys_map: bool = False
    """Whether a shot in EXR gets a layer that says where no hand painted; as before. (1.2)"""
    projection: Projection = "auto"
    """Whether the pictures show a sphere; 'auto' is what their files say. Older servers paint flat. (1.2)"""
    stereo: Stereo = "auto"
    """Where the two eyes of the pictures are; as before. (1.2)"""
    cache: bool = True
    """Whether a frame that is kept may be taken instead of painting it, and this one be kept. (1.2)"""
