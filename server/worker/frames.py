"""A frame request from its in-slot to its out-slot, by whatever paints."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from impasto.core import colour
from impasto.core.card import Card
from impasto.core.controls import after_of, before_of, params_of
from impasto.core.errors import UsageError
from impasto.core.frame import AlphaKind, Frame, Samples
from impasto.core.frame_settings import FrameSettings
from impasto.server.protocol.limits import NAME_BYTES
from impasto.server.protocol.messages import Done
from impasto.server.protocol.pixels import matte_view, view_of
from impasto.server.protocol.text import cleaned
from impasto.server.shots.configuration import configured

if TYPE_CHECKING:
    from impasto.server.frame_cache.painter import CachedPainter
    from impasto.server.worker.painting_device import FrameTask
    from impasto.server.worker.style_painter import StylePainter

ALPHA: Mapping[str, AlphaKind] = {"associated": AlphaKind.ASSOCIATED, "unassociated": AlphaKind.UNASSOCIATED}
_ENTRIES = 32
_NOTES = 16


def paint_frame(task: FrameTask, painter: StylePainter | CachedPainter, check: Callable[[], None]) -> Done:
    """Paint the samples of the in-slot, where they lie, and put the result into the out-slot in the same layout.

    The samples are read in place and never written. `check` is called before anything is read, before each tile, and
    before the result is written: what it raises leaves the out-slot as it was. A device that delivers by itself writes
    the result as it comes down, and counts uploading with 'before' and downloading with 'after'. Raises what
    `Painter.render` does, UnknownName and UsageError for settings that no control takes, UsageError for a style that
    sees guide layers.
    """
    clock = time.perf_counter
    check()
    begun = clock()
    request, memory = task.request, memoryview(task.segment)
    look, picture = request.look, request.picture
    require_no_guides(painter.style.card)
    settings = FrameSettings(
        params_of(look.params, painter.style.card.defaults),
        before_of(look.before),
        after_of(look.after),
        keys_quality=look.keys_quality,
        projection=look.projection,
        stereo=look.stereo,
    )
    frame = Frame.from_pixels(
        view_of(picture, memory.toreadonly(), task.in_offset),
        colour_space=picture.colour_space or None,
        alpha_kind=ALPHA[picture.alpha],
        number=request.frame,
    )
    matte = None
    if request.matte is not None:
        matte = strength_of(matte_view(picture, request.matte, memory, task.in_offset + request.matte.offset))
    uploaded = clock() - begun
    wanted = view_of(picture, memory, task.out_offset)
    into = wanted if painter.delivers else None
    with configured(request):
        rendered = painter.render(frame, settings, matte=matte, cancelled=check, into=into)
    begun = clock()
    if into is None:
        check()
        np.copyto(wanted, rendered.frame.part.pixels, casting="no")
    report = rendered.report
    return Done(
        request.id,
        {"upload": uploaded, **report.seconds, "download": clock() - begun},
        report.invalid_pixels,
        report.tile or 0,
        tuple(cleaned(each) for each in report.notes[:_NOTES]),
        {cleaned(name, NAME_BYTES): cleaned(text) for name, text in list(rendered.frame.provenance.items())[:_ENTRIES]},
        cached=report.cached,
    )


def require_no_guides(card: Card) -> None:
    """Raise UsageError for a style that sees guide layers, which the pixels of a host do not bring along."""
    if card.guides:
        channels = ", ".join(guide.channel for guide in card.guides)
        raise UsageError(
            f"expected a style that sees colour alone for pixels of a host, '{card.name}' sees {channels} too; render "
            "the shot from its files, as `impasto render --guides` does"
        )


def strength_of(matte: Samples) -> Samples:
    """A matte as the engine takes it, (H, W) float32 in [0, 1].

    Integers are divided by their greatest value; floats are clipped, NaN is 0.
    """
    values = colour.to_float(matte)
    return np.clip(np.nan_to_num(values, nan=0.0), 0, 1).astype(np.float32, copy=False)
