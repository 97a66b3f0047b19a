"""A painted frame as the content of an entry, and back.

What the plate has is not stored: an entry is read beside the frame that it was asked for, and holds what painting
changed. A header in JSON is followed by arrays, each at a multiple of 64 bytes:

    {"parts": [{"index": 0, "channels": ["R", "G", "B"], …}], "arrays": [["<f2", [540, 960, 3]], …], …}
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, Final

import numpy as np

from impasto.core.engine import Rendered, Report
from impasto.core.frame import Attribute, Excess, Frame, Part, Pixels, Window
from impasto.server.frame_cache.store import Content

_LENGTH: Final = struct.Struct("<Q")
_STEP: Final = 64
_OF_FRAME: Final = ("colour_space", "provenance", "projection", "stereo")
"""Facts of a painted frame that may differ from those of its plate, beside parts and excess."""
_OF_PLATE: Final = ("layer", "alpha_kind", "number", "timecode", "source", "notes")
"""Facts that painting leaves as they are. `guides` and `motion` are gone from a painted frame."""
assert {*_OF_FRAME, *_OF_PLATE, "parts", "excess", "guides", "motion", "around"} == {
    each.name for each in fields(Frame)
}


def packed(plate: Frame, rendered: Rendered) -> list[Any] | None:
    """What painting made of a plate, as buffers to be stored one behind the other; None for what cannot be stored.

    That is a frame with a note, which is about this one painting, and one with facts that are not known here.
    """
    frame = rendered.frame
    if rendered.report.notes or any(getattr(frame, name) != getattr(plate, name) for name in _OF_PLATE):
        return None
    parts, arrays = [], []
    for index, (given, part) in enumerate(zip(plate.parts, frame.parts, strict=True)):
        if part is given:
            continue
        attributes = _changes(given.attributes, part.attributes)
        if attributes is None or part.pixels.dtype.kind not in "uif":
            return None
        parts.append(
            {
                "index": index,
                "channels": part.channels,
                "formats": part.formats,
                "data_window": sides_of(part.data_window),
                "display_window": sides_of(part.display_window),
                "pixel_aspect": part.pixel_aspect,
                **attributes,
            }
        )
        arrays.append(part.pixels)
    if frame.excess is not None:
        arrays += [frame.excess.places, frame.excess.amount]
    header = {
        "parts": parts,
        "arrays": [(array.dtype.str, array.shape) for array in arrays],
        "excess": frame.excess is not None,
        "invalid_pixels": rendered.report.invalid_pixels,
        "tile": rendered.report.tile,
        **{name: getattr(frame, name) for name in _OF_FRAME},
    }
    text = json.dumps(header, default=dict, separators=(",", ":")).encode()
    pieces: list[Any] = [_padded(_LENGTH.pack(len(text)) + text)]
    for array in arrays:
        whole = np.ascontiguousarray(array)
        pieces += [whole.reshape(-1).data.cast("B"), bytes(-whole.nbytes % _STEP)] if whole.size else []
    return pieces


def unpacked(plate: Frame, content: Content, seconds: float) -> Rendered:
    """The painted frame of an entry. `seconds` is how long it took to find it.

    Its arrays lie in `content`. Raises ValueError for an entry of another layout, as another version may have it.
    """
    try:
        (length,) = _LENGTH.unpack(content[: _LENGTH.size].tobytes())
        header = json.loads(content[_LENGTH.size : _LENGTH.size + length].tobytes())
        arrays = _arrays(header["arrays"], content, _rounded(_LENGTH.size + length))
        parts = list(plate.parts)
        for facts in header["parts"]:
            parts[facts["index"]] = _part(parts[facts["index"]], facts, arrays.pop(0))
        excess = Excess(*arrays) if header["excess"] else None
        known = {name: header[name] for name in _OF_FRAME}
        frame = replace(plate, parts=tuple(parts), excess=excess, guides=(), motion=(), **known)
        report = Report(header["invalid_pixels"], {"before": seconds, "network": 0.0, "after": 0.0}, header["tile"])
    except (struct.error, LookupError, TypeError, ValueError) as error:
        raise ValueError(f"expected an entry of this version: {error!r}") from error
    return Rendered(frame, report)


def sides_of(window: Window) -> tuple[int, ...]:
    """A window as four numbers."""
    return window.x, window.y, window.width, window.height


def _part(given: Part, facts: Mapping[str, Any], pixels: Pixels) -> Part:
    attributes = {name: value for name, value in given.attributes.items() if name not in facts["without"]}
    for name, (kind, value) in facts["with"].items():
        attributes[name] = Attribute(kind, tuple(value) if isinstance(value, list) else value)
    return replace(
        given,
        pixels=pixels,
        channels=tuple(facts["channels"]),
        formats=tuple(facts["formats"]),
        data_window=Window(*facts["data_window"]),
        display_window=Window(*facts["display_window"]),
        pixel_aspect=facts["pixel_aspect"],
        attributes=attributes,
    )


def _changes(before: Mapping[str, Attribute], after: Mapping[str, Attribute]) -> dict[str, Any] | None:
    """What makes the attributes after painting out of those before; None where that is no text and no numbers."""
    added = {}
    for name, attribute in after.items():
        if before.get(name) is attribute:
            continue
        value = attribute.value
        numbers = isinstance(value, tuple) and all(type(each) in (int, float) for each in value)
        if not numbers and type(value) not in (str, int, float):
            return None
        added[name] = (attribute.type, value)
    return {"without": [name for name in before if name not in after], "with": added}


def _arrays(kinds: list[tuple[str, list[int]]], content: Content, begin: int) -> list[Pixels]:
    found = []
    for kind, shape in kinds:
        dtype = np.dtype(kind)
        end = begin + dtype.itemsize * int(np.prod(shape, dtype=np.int64))
        found.append(content[begin:end].view(dtype).reshape(shape))
        begin = _rounded(end)
    return found


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % _STEP)


def _rounded(size: int) -> int:
    return size + -size % _STEP
