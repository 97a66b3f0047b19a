"""A frame: one picture of a shot with all the facts of its file.

A `Frame` has one or more parts (an EXR may hold several), each with its pixels, channel names, windows and
attributes. One layer of one part is the *colour layer*; a style changes nothing else. Every other sample and fact
passes through unchanged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from enum import Enum
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from impasto.core.errors import UnknownName, UnsupportedMedia
from impasto.core.frozen_dataclass import frozen_dataclass

Pixels = npt.NDArray[Any]
Samples = npt.NDArray[np.float32]


class AlphaKind(Enum):
    """The relation of colour and alpha in a frame."""

    NONE = "none"
    ASSOCIATED = "associated"
    """Premultiplied: colour is already scaled by alpha (EXR, TIFF by default, ProRes 4444)."""
    UNASSOCIATED = "unassociated"
    """Straight: colour is independent of alpha (PNG)."""


@frozen_dataclass
class Window:
    """A rectangle of whole pixels; y runs downwards, as in OpenEXR."""

    x: int
    y: int
    width: int
    height: int


@frozen_dataclass
class Attribute:
    """One named fact of a file's header, with its stored type (an OpenImageIO type name)."""

    type: str
    value: Any
    stored: Any = field(default=None, compare=False, repr=False)
    """The library's own record of it, for types that its binding reads and cannot set; None for all others."""


@frozen_dataclass
class Part:
    """One image of a file, unchanged.

    `pixels` is (height, width, channels) and covers the data window. Its dtype is the file's own
    where all channels share one; otherwise the narrowest float that holds every channel exactly.
    `formats` gives the stored type of each channel as an OpenImageIO name ('half', 'float',
    'uint8', 'uint10', 'uint16', 'uint', …), so that a writer can store the same type.
    """

    pixels: Pixels
    channels: tuple[str, ...]
    formats: tuple[str, ...]
    data_window: Window
    display_window: Window
    pixel_aspect: float = 1.0
    attributes: Mapping[str, Attribute] = field(default_factory=dict)

    def __post_init__(self) -> None:
        expected = (self.data_window.height, self.data_window.width, len(self.channels))
        if self.pixels.shape != expected:
            raise ValueError(f"expected pixels of shape {expected}, got {self.pixels.shape}")
        if len(self.formats) != len(self.channels):
            raise ValueError(f"expected {len(self.channels)} formats, got {len(self.formats)}")

    @property
    def name(self) -> str:
        """The part's name in its file, or nothing."""
        return str(self.attributes["name"].value) if "name" in self.attributes else ""


@frozen_dataclass
class ColourLayer:
    """Where the colour is: the part, and the channel indices of R, G, B (three, or one for grey) and alpha."""

    part: int
    colour: tuple[int, ...]
    alpha: int | None = None


@frozen_dataclass
class KeyMotion:
    """The motion of a frame's surfaces into a painted key, by a renderer's motion vectors.

    `flow` is (h, w, 2) float32 offsets x, y downwards, in pixels of a picture of this size. `lost` is (h, w) float32: 1
    where a pixel is not in the key, or may not be. `silent`, also (h, w) float32, is 1 where the frame has no vector.
    """

    flow: Samples
    lost: Samples
    silent: Samples


@frozen_dataclass
class Excess:
    """What was clipped off the colour of some pixels, because integers cannot hold it.

    `places` is (N,) integers, row * width + column, ascending. `amount` is (N, 3) float32 in units of the samples'
    white, to be added to them.
    """

    places: npt.NDArray[np.intp]
    amount: Samples

    def is_seen(self, pixels: int) -> bool:
        """Whether a picture of so many pixels looks different to somebody who grades it, where this is lost."""
        if len(self.places) <= _SEEN_SHARE * pixels:
            return False
        seen = (np.abs(self.amount) > _SEEN_AMOUNT).any(axis=1)
        return int(np.count_nonzero(seen)) > _SEEN_SHARE * pixels


_SEEN_AMOUNT = 0.02
"""Excess up to this, five codes of 255, is the ringing of codecs and of chroma that was scaled."""
_SEEN_SHARE = 0.002


@frozen_dataclass
class Frame:
    """One picture of a shot with every part, window and attribute of its file.

    `colour_space` is the name that the file (or the user) states, or None; then `impasto.core.colour` chooses
    by the kind of samples. `number` is the frame number in the
    shot. Frames are values: nothing writes into `pixels` after construction.
    """

    parts: tuple[Part, ...]
    layer: ColourLayer
    colour_space: str | None = None
    alpha_kind: AlphaKind = AlphaKind.NONE
    number: int = 0
    timecode: str | None = None
    source: str = ""
    provenance: Mapping[str, str] = field(default_factory=dict)
    """What impasto did to this frame (style, hash, parameters, version); writers store it."""
    guides: tuple[Part, ...] = ()
    """Parts of other files of the same frame, for styles with guide layers; no writer stores them."""
    notes: tuple[str, ...] = ()
    """What an artist should know of this reading: what of the file is not in the frame, or had to be assumed."""
    motion: tuple[KeyMotion | None, ...] = ()
    """Motion into each painted key of the style, in their order; None for a key without vectors."""
    around: tuple[Frame, ...] = ()
    """Frames of the shot before and after this one, by ascending number, for a result that is smoothed; no writer
    stores them."""
    excess: Excess | None = None
    """What was clipped off a colour layer of integers; it goes around the network, and into results that hold it."""
    projection: Literal["", "equirectangular"] = ""
    """The map from directions to pixels that the file states, empty where it states none."""
    stereo: Literal["", "sbs", "ou", "views"] = ""
    """Where the file states that its two eyes are: see `impasto.core.immersive`; empty where it states none."""

    @classmethod
    def from_pixels(
        cls,
        pixels: Pixels,
        *,
        colour_space: str | None = None,
        alpha_kind: AlphaKind = AlphaKind.ASSOCIATED,
        number: int = 0,
    ) -> Frame:
        """A frame of one part from an (H, W, C) array: grey, grey+alpha, RGB or RGBA; top row first.

        float16 and float32 samples are scene-linear unless `colour_space` says otherwise; uint8
        and uint16 are sRGB. The array is not copied.
        """
        if pixels.ndim != 3 or pixels.shape[2] not in (1, 2, 3, 4) or 0 in pixels.shape:
            raise UnsupportedMedia(f"expected pixels of shape (height, width, 1 to 4), got {pixels.shape}")
        if pixels.dtype.name not in STORED_AS:
            raise UnsupportedMedia(f"expected samples of {', '.join(STORED_AS)}, got {pixels.dtype}")
        height, width, count = pixels.shape
        channels = {1: ("Y",), 2: ("Y", "A"), 3: ("R", "G", "B"), 4: ("R", "G", "B", "A")}[count]
        window = Window(0, 0, width, height)
        part = Part(pixels, channels, (STORED_AS[pixels.dtype.name],) * count, window, window)
        layer = find_layer((part,))
        kind = AlphaKind.NONE if layer.alpha is None else alpha_kind
        return cls((part,), layer, colour_space=colour_space, alpha_kind=kind, number=number)

    @property
    def part(self) -> Part:
        """The part that holds the colour layer."""
        return self.parts[self.layer.part]

    @property
    def height(self) -> int:
        """Rows of the colour layer's data window."""
        return self.part.data_window.height

    @property
    def width(self) -> int:
        """Columns of the colour layer's data window."""
        return self.part.data_window.width

    @property
    def colour(self) -> Pixels:
        """The stored samples of the colour layer: (H, W, 3), or (H, W, 1) for grey; a view where possible."""
        return channels_of(self.part.pixels, self.layer.colour)

    @property
    def alpha(self) -> Pixels | None:
        """The stored samples of alpha, (H, W), or None."""
        return None if self.layer.alpha is None else self.part.pixels[..., self.layer.alpha]

    def with_colour(self, colour: Pixels) -> Frame:
        """The same frame with another colour layer, of the same shape and dtype; all else is shared."""
        if colour.shape != self.colour.shape or colour.dtype != self.part.pixels.dtype:
            raise ValueError(
                f"expected colour {self.colour.shape} {self.part.pixels.dtype}, got {colour.shape} {colour.dtype}"
            )
        pixels = self.part.pixels.copy()
        pixels[..., list(self.layer.colour)] = colour
        parts = list(self.parts)
        parts[self.layer.part] = replace(self.part, pixels=pixels)
        return replace(self, parts=tuple(parts))


def channels_of(pixels: Pixels, channels: tuple[int, ...]) -> Pixels:
    """These channels of (H, W, C), in this order: the argument where they are all there is, else a copy.

    A view of some of them would cost more: numpy is slow wherever the last axis has gaps.
    """
    return pixels if channels == tuple(range(pixels.shape[2])) else pixels[..., list(channels)]


STORED_AS = {"float16": "half", "float32": "float", "uint8": "uint8", "uint16": "uint16"}
"""numpy dtype name -> the OpenImageIO name of the same type, for pixels that come from memory."""


def layers_of(parts: tuple[Part, ...]) -> dict[str, ColourLayer]:
    """Every layer that could be styled, by name, in the order of the file.

    A layer is a prefix whose channels end in R, G and B, as EXR names them ('diffuse.R'), or in Y
    without them; Y beside RY or BY (chroma) or X (a vector) is none. Channels without a prefix
    bear the name of their part, or 'rgb' and 'Y' where it has none. 'rgb' always names one layer as
    well, the default: R, G, B without a prefix, else the first with R, G, B, else the first of Y.
    """
    found: dict[str, ColourLayer] = {}
    for index, part in enumerate(parts):
        leaves_of: dict[str, dict[str, int]] = {}
        for position, channel in enumerate(part.channels):
            prefix, _, leaf = channel.rpartition(".")
            leaves_of.setdefault(prefix, {})[leaf.upper()] = position
        for prefix, leaves in leaves_of.items():
            if {"R", "G", "B"} <= leaves.keys():
                layer = ColourLayer(index, (leaves["R"], leaves["G"], leaves["B"]), leaves.get("A"))
            elif "Y" in leaves and not {"BY", "RY", "X"} & leaves.keys():
                layer = ColourLayer(index, (leaves["Y"],), leaves.get("A"))
            else:
                continue
            bare = "rgb" if len(layer.colour) == 3 else "Y"
            found.setdefault(".".join(filter(None, (part.name, prefix))) or bare, layer)
            found.setdefault(prefix or bare, layer)
    if found and "rgb" not in found:
        coloured = (layer for layer in found.values() if len(layer.colour) == 3)
        found["rgb"] = next(coloured, next(iter(found.values())))
    return found


def find_layer(parts: tuple[Part, ...], name: str | None = None) -> ColourLayer:
    """The colour layer called `name`, in either case, or by default the one that `layers_of` calls 'rgb'.

    Raises UnknownName with the nearest layer, UnsupportedMedia where no part holds colour.
    """
    layers = layers_of(parts)
    if not layers:
        seen = ", ".join(channel for part in parts for channel in part.channels)
        raise UnsupportedMedia(f"expected a layer with channels R, G, B or Y, got only: {seen}")
    if name is None:
        return layers["rgb"]
    folded = {known.lower(): layer for known, layer in layers.items()}
    if name.lower() not in folded:
        raise UnknownName("layer", name, layers)
    return folded[name.lower()]


def find_channel(parts: Sequence[Part], name: str) -> tuple[Part, int] | None:
    """The first part that has a channel called `name`, or 'PART.CHANNEL', and the channel's index in it."""
    for part in parts:
        for position, channel in enumerate(part.channels):
            if name in (channel, f"{part.name}.{channel}"):
                return part, position
    return None
