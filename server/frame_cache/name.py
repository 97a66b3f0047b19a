"""The name of a painted frame: a digest of everything that decides its samples.

They are the plate's samples and how they are to be understood, guides, motion, matte, the card of the style with the
digest of its weights and painted keys, every setting, the precision, the machine's arithmetic and the program. What
passes through a frame unchanged is not among them: number, timecode, path, attributes that state no colour. Nor are
tiles, because a tile with its halo equals the whole frame bit for bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
from blake3 import blake3

from impasto.core.card import Card
from impasto.core.colour.configuration import content_of_sources
from impasto.core.errors import UsageError
from impasto.core.frame import Frame, Part, Pixels, Samples
from impasto.core.frame_settings import FrameSettings
from impasto.core.working_picture import STATING_ATTRIBUTES
from impasto.server.frame_cache.store import DIGEST_BYTES

_TEXTS: Final = 64


def name_of(
    frame: Frame, settings: FrameSettings, matte: Samples | None, card: Card, painter: Sequence[str]
) -> str | None:
    """The name of what a style makes of a frame; None for a frame that is painted every time.

    `painter` says what else decides the samples: precisions, machine, program. Painted every time are two views of one
    file, a frame that looks at those around it, one with an attribute that cannot be put into bytes, and one with an
    OpenColorIO configuration that does not open: painting says so where it matters.
    """
    if "views" in (settings.stereo, frame.stereo if settings.stereo == "auto" else "") or frame.around:
        return None
    resized = settings.before.resize is not None or settings.after.resize is not None
    parts = frame.parts if resized or card.guides or len(frame.parts) == 1 else (frame.part,)
    stating = _stating(frame.part)
    if stating is None:
        return None
    try:
        configurations = content_of_sources()
    except UsageError:
        return None
    digest = blake3()

    def add(*facts: object) -> None:
        # Lengths before texts, so that no two lists of facts run together into the same bytes.
        text = repr(facts).encode(errors="surrogatepass")
        digest.update(len(text).to_bytes(8, "little") + text)

    add("frame 1", *painter, _text_of(card), *configurations)
    add(replace(settings, params=settings.params or card.defaults))
    layer = frame.layer if parts is frame.parts else replace(frame.layer, part=0)
    add(layer, frame.colour_space, frame.alpha_kind.value, frame.projection, frame.stereo, stating)
    arrays: list[Pixels | None] = [matte]
    for group in (parts, frame.guides if card.guides else ()):
        add(len(group))
        for part in group:
            add(part.name, part.channels, part.formats, part.data_window, part.display_window, part.pixel_aspect)
            arrays.append(part.pixels)
    arrays += (frame.excess.places, frame.excess.amount) if frame.excess is not None else (None,)
    for motion in frame.motion:
        arrays += (motion.flow, motion.lost, motion.silent) if motion is not None else (None,)
    for array in arrays:
        add(None if array is None else (array.dtype.str, array.shape))
        if array is not None and array.size:
            digest.update(np.ascontiguousarray(array).data.cast("B"))
    return digest.hexdigest(DIGEST_BYTES)


_texts: dict[int, tuple[Card, str]] = {}
"""By the card's identity: it takes longer to write one than to hash a small frame."""


def _text_of(card: Card) -> str:
    kept, text = _texts.get(id(card), (None, ""))
    if kept is not card:
        text = card.to_json()
        if len(_texts) >= _TEXTS:
            _texts.clear()
        _texts[id(card)] = card, text
    return text


def _stating(part: Part) -> tuple[object, ...] | None:
    """The attributes that state a part's colour space, as values whose text is whole; None where one is not."""
    found: list[object] = []
    for name in STATING_ATTRIBUTES:
        if (attribute := part.attributes.get(name)) is not None:
            values = tuple(_plain(attribute.value))
            if None in values:
                return None
            found.append((name, attribute.type, values))
    return tuple(found)


def _plain(value: Any) -> Iterator[object]:
    """The value, or its items, as texts, bytes and numbers; None for anything else."""
    if isinstance(value, str | bytes | bool | int | float):
        yield value
    elif isinstance(value, bytearray | memoryview):
        yield bytes(value)
    elif isinstance(value, np.ndarray | np.generic):
        yield (value.dtype.str, value.shape, value.tobytes()) if value.dtype.kind in "biuf" else None
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _plain(item)
    else:
        yield None
