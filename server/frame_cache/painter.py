"""A painter that looks among the painted frames first, and keeps what it had to paint."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np

from impasto.core.engine import Rendered, check_into, with_pixels
from impasto.core.frame import Frame, Pixels, Samples
from impasto.core.frame_settings import FrameSettings
from impasto.core.style_file import Style
from impasto.server.frame_cache.entry import packed, unpacked
from impasto.server.frame_cache.keeping import Keeping
from impasto.server.frame_cache.name import name_of


class UncachedPainter(Protocol):
    """What paints a frame that is not kept: an engine, or what stands before one."""

    @property
    def style(self) -> Style: ...

    def precision_for(self, *, eight_bit: bool) -> str: ...

    def render(
        self,
        frame: Frame,
        settings: FrameSettings | None = None,
        *,
        matte: Samples | None = None,
        cancelled: Callable[[], None] = ...,
        into: Pixels | None = None,
    ) -> Rendered: ...


class CachedPainter:
    """Paints as another painter does, bit for bit, and paints no frame that is kept. Any thread may render.

    What one such object finds and keeps takes at most half of the cache: a shot that is longer leaves the rest to
    others, and finds its first frames again when it is rendered once more.
    """

    def __init__(
        self, painter: UncachedPainter, keeping: Keeping, machine: Sequence[str], *, delivers: bool = False
    ) -> None:
        """`machine` says what of device and program decides the samples: see `impasto.server.frame_cache.program`.

        `delivers` is that of `impasto.server.worker.style_painter.StylePainter`.
        """
        self._painter, self.keeping, self._machine = painter, keeping, tuple(machine)
        keeping.store.probe()
        self._left_bytes = keeping.store.limit_bytes // 2
        self.style, self.delivers = painter.style, delivers

    def precision_for(self, *, eight_bit: bool) -> str:
        """As the painter behind."""
        return self._painter.precision_for(eight_bit=eight_bit)

    def render(
        self,
        frame: Frame,
        settings: FrameSettings | None = None,
        *,
        matte: Samples | None = None,
        cancelled: Callable[[], None] = lambda: None,
        into: Pixels | None = None,
    ) -> Rendered:
        """As the painter behind; `Report.cached` says that the frame was not painted now."""
        settings = settings or FrameSettings()
        begun = time.perf_counter()
        cancelled()
        # The keys of a style are painted in the precision of deeper results, whatever that of the frame is.
        precisions = (self.precision_for(eight_bit=settings.is_eight_bit(frame)), self.precision_for(eight_bit=False))
        name = name_of(frame, settings, matte, self.style.card, (*self._machine, *precisions))
        found = None if name is None else self._found(name, frame, begun)
        if found is not None:
            cancelled()
            return found if into is None else _delivered(found, into)
        rendered = self._painter.render(frame, settings, matte=matte, cancelled=cancelled, into=into)
        if name is None or not self._has_room(rendered):
            return rendered
        own = rendered
        if into is not None:
            # The memory is its owner's, who may change it as soon as it hears of the result.
            pixels = np.array(rendered.frame.part.pixels, order="C")
            own = replace(rendered, frame=with_pixels(rendered.frame, pixels))
        pieces = packed(frame, own)
        if pieces is not None:
            self.keeping.keep(name, pieces)
        return self._noted(rendered)

    def _found(self, name: str, frame: Frame, begun: float) -> Rendered | None:
        content = self.keeping.store.get(name)
        if content is None:
            return None
        try:
            found = unpacked(frame, content, time.perf_counter() - begun)
        except ValueError:
            self.keeping.store.remove(name)
            return None
        self._left_bytes -= content.nbytes
        return replace(found, report=replace(found.report, cached=True))

    def _has_room(self, rendered: Rendered) -> bool:
        size = sum(part.pixels.nbytes for part in rendered.frame.parts)
        if self.keeping.store.read_only or size > self._left_bytes:
            return False
        self._left_bytes -= size
        return True

    def _noted(self, rendered: Rendered) -> Rendered:
        problem = self.keeping.store.problem
        if not problem:
            return rendered
        return replace(rendered, report=replace(rendered.report, notes=(*rendered.report.notes, problem)))


def _delivered(found: Rendered, into: Pixels) -> Rendered:
    check_into(into, found.frame.part.pixels)
    np.copyto(into, found.frame.part.pixels)
    return replace(found, frame=with_pixels(found.frame, into))
