"""One picture file as a Frame: every part, channel, window and attribute, in the samples it was stored as."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
import OpenImageIO as oiio

from impasto.core.errors import UnreadableMedia, UnsupportedMedia
from impasto.core.frame import AlphaKind, Attribute, Frame, Part, Pixels, Window, find_layer
from impasto.core.icc import PROFILE, icc_parses
from impasto.core.immersive import views_of
from impasto.core.media.formats import PictureFormat, sniff_format
from impasto.core.media.frame_rate import NAME as RATE
from impasto.core.media.frame_rate import NOTE, rate_attribute, stated_rate
from impasto.core.media.held_folder import real_path
from impasto.core.media.immersive_facts import ENVIRONMENT, stated_in_picture
from impasto.core.media.metadata_blocks import metadata_blocks
from impasto.core.media.oiio import MAX_IMAGE_MB, MAX_SIDE, is_settable, open_input, reason
from impasto.core.media.stated_space import stated_colour_space
from impasto.core.media.timecode import words_to_timecode

PROVENANCE = "impasto:"
"""Prefix of the attributes that hold a frame's provenance; where names are not free, the Software field begins so."""

_DTYPES = {"half": np.float16, "float": np.float32, "uint8": np.uint8, "uint16": np.uint16, "uint": np.uint32}
_NOT_OF_THE_FILE = frozenset(
    {
        "oiio:subimages",
        "oiio:subimagename",
        "oiio:miplevels",
        "oiio:ColorSpace",
        "oiio:RowsPerChunk",
        "oiio:BitsPerSample",
        "oiio:UnassociatedAlpha",
        "openexr:chunkCount",
        "openexr:roundingmode",
        "openexr:levelmode",
        "thumbnail_width",
        "thumbnail_height",
        "thumbnail_nchannels",
        "thumbnail_image",
    }
)
"""Facts that OpenImageIO adds, or that the writer sets again from elsewhere."""


@dataclass(frozen=True, slots=True)
class PictureHeader:
    """The facts of the first part that a shot needs before its pixels."""

    window: Window
    rate: Fraction | None
    provenance: Mapping[str, str]


def read_header(path: str) -> PictureHeader:
    """Display window, frame rate and provenance of a picture, without its pixels; errors as `read_picture`."""
    kind = sniff_format(path)
    with open_input(path) as opened:
        spec = opened.spec()
        _check_spec(spec, path, kind)
        attributes = _attributes_of(spec)
    window = Window(spec.full_x, spec.full_y, spec.full_width, spec.full_height)
    notes = _notes_in(attributes)
    return PictureHeader(window, stated_rate(attributes, notes), _without_rate(notes))


def read_picture(path: str, *, number: int = 0, layer: str | None = None) -> Frame:
    """Read a picture whole: pixels as stored, never scaled by alpha, never brought into another type.

    Samples of 10, 12 and 14 bits come as uint16 over the full range of 16 bits (OpenImageIO
    repeats the high bits below) and say so in `formats`. A part that mixes types comes as float32, or as
    float64 if one channel is a 32-bit integer. Of mip levels the base is read alone; a preview
    thumbnail is not kept. `colour_space` is set only where the file states one. Metadata that is damaged never
    refuses pixels that decode: it is left out and named in the frame's `notes`.

    Raises UnreadableMedia (missing, empty, damaged), UnsupportedMedia (deep, subsampled,
    integers beyond 16 bits as colour), UnknownName for a layer that is not there.
    """
    kind = sniff_format(path)
    parts, alpha_kinds = _opened_and_read(path, kind)
    chosen = find_layer(parts, layer)
    part = parts[chosen.part]
    if any(part.formats[position] == "uint" for position in chosen.colour):
        raise UnsupportedMedia(
            f"expected colour as half, float or integers up to 16 bits in '{path}', got 32-bit integers;"
            " convert it to float"
        )
    attributes = part.attributes
    words = attributes.get("smpte:TimeCode")
    blocks = metadata_blocks(path, kind.name)
    stated = stated_colour_space(path, kind.name, attributes, blocks)
    notes = _notes_in(attributes)
    rate = stated_rate(attributes, notes)
    added = {}
    if stated.profile is not None:
        added[PROFILE] = Attribute(f"uint8[{len(stated.profile)}]", stated.profile)
    if rate is not None and kind.name != "openexr":
        added[RATE] = rate_attribute(rate)
    if added:
        attributes = {**attributes, **added}
        parts = (*parts[: chosen.part], replace(part, attributes=attributes), *parts[chosen.part + 1 :])
    damaged = [
        f"the {block} block of '{path}' is damaged and is left out; its pixels are whole" for block in blocks.damaged()
    ]
    projection, unlike = stated_in_picture(attributes)
    frame = Frame(
        parts,
        chosen,
        colour_space=stated.name,
        alpha_kind=AlphaKind.NONE if chosen.alpha is None else alpha_kinds[chosen.part],
        number=number,
        timecode=words_to_timecode(words.value) if words is not None and words.type == "timecode" else None,
        source=real_path(path),
        provenance=_without_rate(notes),
        notes=(*damaged, *filter(None, [stated.note, unlike])),
        projection=projection,
    )
    return frame if layer is not None or views_of(frame) is None else replace(frame, stereo="views")


def read_parts(path: str) -> tuple[Part, ...]:
    """Every part of a picture, which need hold no colour; samples and errors as those of `read_picture`."""
    return _opened_and_read(path, sniff_format(path))[0]


def _opened_and_read(path: str, kind: PictureFormat) -> tuple[tuple[Part, ...], tuple[AlphaKind, ...]]:
    config = oiio.ImageSpec()
    # Straight alpha must stay straight: OpenImageIO would premultiply in the file's own bit depth.
    config.attribute("oiio:UnassociatedAlpha", 1)
    with open_input(path, config) as opened:
        return _read_parts(opened, path, kind)


def _read_parts(
    opened: oiio.ImageInput, path: str, kind: PictureFormat
) -> tuple[tuple[Part, ...], tuple[AlphaKind, ...]]:
    parts: list[Part] = []
    alpha_kinds: list[AlphaKind] = []
    while opened.seek_subimage(len(parts), 0):
        index = len(parts)
        spec = opened.spec()
        _check_spec(spec, path, kind)
        formats = _formats_of(spec, path)
        parts.append(
            Part(
                _read_pixels(opened, index, spec, formats, path),
                tuple(spec.channelnames),
                formats,
                Window(spec.x, spec.y, spec.width, spec.height),
                Window(spec.full_x, spec.full_y, spec.full_width, spec.full_height),
                spec.get_float_attribute("PixelAspectRatio", 1.0),
                _attributes_of(spec, tiles=True),
            )
        )
        straight = kind.alpha == "unassociated" or spec.get_int_attribute("oiio:UnassociatedAlpha") == 1
        alpha_kinds.append(AlphaKind.UNASSOCIATED if straight else AlphaKind.ASSOCIATED)
    said = reason(opened)
    stated = parts and spec.get_int_attribute("oiio:subimages", len(parts))
    if not parts or stated != len(parts):
        raise UnreadableMedia(
            f"expected {stated or 'at least one'} parts in '{path}', read {len(parts)} ({said}); render it again"
        )
    return tuple(parts), tuple(alpha_kinds)


def _check_spec(spec: oiio.ImageSpec, path: str, kind: PictureFormat) -> None:
    """Refuse what is deep, layered in depth, or larger than any picture."""
    if spec.deep:
        raise UnsupportedMedia(f"expected a flat picture, got deep data in '{path}'; flatten it first")
    if spec.depth > 1:
        raise UnsupportedMedia(f"expected a flat picture, got a volume of {spec.depth} slices in '{path}'")
    sides = (spec.width, spec.height, spec.full_width, spec.full_height)
    size_mb = spec.width * spec.height * spec.pixel_bytes(True) >> 20
    if min(sides) < 1 or max(sides) > MAX_SIDE or size_mb > MAX_IMAGE_MB or spec.nchannels < 1:
        raise UnreadableMedia(
            f"expected a picture of 1 to {MAX_SIDE} pixels a side, got {spec.width}x{spec.height}"
            f" with {spec.nchannels} channels in '{path}'; the header is damaged, render it again"
        )
    if max(map(abs, (spec.x, spec.y, spec.full_x, spec.full_y))) > 16 * MAX_SIDE:
        raise UnreadableMedia(f"expected windows near the origin, got one at {spec.x},{spec.y} in '{path}'")


def _formats_of(spec: oiio.ImageSpec, path: str) -> tuple[str, ...]:
    """The stored type of every channel; integer depths between 8 and 16 bits by their bits."""
    stored = [str(each) for each in spec.channelformats] or [str(spec.format)] * spec.nchannels
    unknown = sorted(set(stored) - _DTYPES.keys())
    if unknown:
        raise UnsupportedMedia(
            f"expected samples of {', '.join(_DTYPES)}, got {unknown[0]} in '{path}'; convert it to float"
        )
    bits = spec.get_int_attribute("oiio:BitsPerSample")
    if bits in (10, 12, 14):
        stored = [f"uint{bits}" if each == "uint16" else each for each in stored]
    return tuple(stored)


def _read_pixels(
    opened: oiio.ImageInput, index: int, spec: oiio.ImageSpec, formats: tuple[str, ...], path: str
) -> Pixels:
    """All channels of one part, exactly; runs of equal type are read natively and then joined."""
    native = [_native(each) for each in formats]
    runs: list[tuple[int, int]] = []
    for position, name in enumerate(native):
        if runs and native[runs[-1][0]] == name:
            runs[-1] = (runs[-1][0], position + 1)
        else:
            runs.append((position, position + 1))
    if len(runs) == 1:
        return _read_run(opened, index, spec, runs[0], native[0], path)
    joined = np.empty((spec.height, spec.width, spec.nchannels), np.float64 if "uint" in native else np.float32)
    # A signalling NaN trips the processor's flag when it is widened; that is no reason to warn.
    with np.errstate(invalid="ignore"):
        for begin, end in runs:
            joined[..., begin:end] = _read_run(opened, index, spec, (begin, end), native[begin], path)
    return joined


def _read_run(
    opened: oiio.ImageInput, index: int, spec: oiio.ImageSpec, run: tuple[int, int], native: str, path: str
) -> Pixels:
    try:
        pixels = opened.read_image(index, 0, run[0], run[1], native)
    except (RuntimeError, MemoryError, ValueError) as error:
        raise UnreadableMedia(f"expected sound pixels in '{path}', got '{error}'; render it again") from error
    expected = (spec.height, spec.width, run[1] - run[0])
    if pixels is None or pixels.shape != expected or opened.has_error:
        raise UnreadableMedia(f"expected sound pixels in '{path}', got: {reason(opened)}; render or copy it again")
    return pixels.astype(_DTYPES[native], copy=False)


def _native(stored: str) -> str:
    """The type in which samples of a stored type stand in memory."""
    return "uint16" if stored in ("uint10", "uint12", "uint14") else stored


def _attributes_of(spec: oiio.ImageSpec, *, tiles: bool = False) -> dict[str, Attribute]:
    """Every attribute that is the file's own; tile sizes, where asked for, as 'tile_width' and 'tile_height'."""
    attributes = {
        each.name: Attribute(str(each.type), _readable(each.value), None if is_settable(str(each.type)) else each)
        for each in spec.extra_attribs
        if each.name not in _NOT_OF_THE_FILE and _is_text(each.name)
    }
    if "Environment" not in str(attributes.get(ENVIRONMENT, Attribute("string", "")).value):
        attributes.pop(ENVIRONMENT, None)
    profile = attributes.get("ICCProfile")
    if profile is not None and not icc_parses(bytes(profile.value)):
        del attributes["ICCProfile"]
    if tiles and spec.tile_width:
        attributes["tile_width"] = Attribute("int", spec.tile_width)
        attributes["tile_height"] = Attribute("int", spec.tile_height)
    return attributes


def _is_text(name: str) -> bool:
    """Whether a name is UTF-8: the binding takes no other, and a damaged text chunk has one of any bytes."""
    return not any("\ud800" <= letter <= "\udfff" for letter in name)


def _readable(value: Any) -> Any:
    """An attribute's value; text that is not UTF-8 is taken as Latin-1, as older writers stored it."""
    if not isinstance(value, str) or value.isprintable():
        return value
    stored = value.encode("utf-8", "surrogateescape")
    try:
        return stored.decode("utf-8")
    except UnicodeDecodeError:
        return stored.decode("latin-1")


def _notes_in(attributes: Mapping[str, Attribute]) -> dict[str, str]:
    """What impasto noted in a picture: its provenance, and the frame rate where the format has no place for it."""
    stored = {
        name.removeprefix(PROVENANCE): str(each.value)
        for name, each in attributes.items()
        if name.startswith(PROVENANCE)
    }
    software = attributes.get("Software")
    if stored or software is None or not str(software.value).startswith("impasto {"):
        return stored
    try:
        record = json.loads(str(software.value).removeprefix("impasto "))
    except (ValueError, RecursionError):  # the file's own text, whatever it says
        return {}
    return {str(key): str(value) for key, value in record.items()}


def _without_rate(notes: Mapping[str, str]) -> dict[str, str]:
    return {name: text for name, text in notes.items() if name != NOTE}
