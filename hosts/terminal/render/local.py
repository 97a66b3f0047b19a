"""A shot rendered in this process: `impasto render --local`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from impasto.core.card import Card
from impasto.hosts.terminal.process_setup import prepare_process
from impasto.hosts.terminal.render.run_events import RunEvents

if TYPE_CHECKING:
    from impasto.core.engine import Engine, Rendered
    from impasto.core.frame import Frame
    from impasto.server.frame_cache.painter import CachedPainter
    from impasto.server.protocol.messages import RenderSettings, ShotEnd, ShotJob


SETTLE_S = 10.0
"""How long frames may take to be kept, before the process may end."""


def render_here(job: ShotJob, painter: LazyEngine, run_events: RunEvents, cancelled: Callable[[], bool]) -> ShotEnd:
    """Render a shot with the engine, which later shots may use too."""
    from impasto.server.shots.render import render_shot

    try:
        return render_shot(job, painter, on_event=run_events.on_event, cancelled=cancelled)
    finally:
        painter.settle(SETTLE_S)


def lazy_engine(look: RenderSettings, path: Path, card: Card) -> LazyEngine:
    """An engine with the style of this file, whose card is `card`, as these settings ask for it."""
    prepare_process()
    from impasto.server.shots.job import tile_of

    device = look.device or "auto"

    def load() -> Engine | CachedPainter:
        from impasto.core.engine import Engine

        engine = Engine(path, device=device, precision=look.precision, tile=tile_of(look.tile))
        return with_cache(engine) if look.cache else engine

    def precision_for(eight_bit: bool) -> str:
        from impasto.core.device.choice import choose_device, choose_precision

        return choose_precision(look.precision, choose_device(device), eight_bit=eight_bit)

    return LazyEngine(card, load, precision_for)


def with_cache(engine: Engine) -> Engine | CachedPainter:
    """The engine behind the cache of painted frames, as a server on this machine has it where nobody said how."""
    from impasto.server.frame_cache.keeping import Keeping
    from impasto.server.frame_cache.painter import CachedPainter
    from impasto.server.frame_cache.place import cache_choice
    from impasto.server.frame_cache.program import machine_of
    from impasto.server.frame_cache.store import FrameStore
    from impasto.server.worker.device import device_name

    choice = cache_choice("", engine.device)
    if choice is None:
        return engine
    return CachedPainter(engine, Keeping(FrameStore(choice)), machine_of(engine.device, device_name(engine.device)))


@dataclass(frozen=True, slots=True)
class UnloadedStyle:
    """A style whose card has been read, and nothing else."""

    card: Card


class LazyEngine:
    """An engine that is built for the first frame: bad input is refused, and read, before torch is loaded."""

    def __init__(
        self, card: Card, load: Callable[[], Engine | CachedPainter], precision_for: Callable[[bool], str]
    ) -> None:
        self.style = UnloadedStyle(card)
        self._load = load
        self._precision_for = precision_for
        self._engine: Engine | CachedPainter | None = None

    def precision_for(self, *, eight_bit: bool) -> str:
        """What the engine will count in, found without building it; see `Engine.precision_for`."""
        return self._precision_for(eight_bit)

    def render(self, frame: Frame, *arguments: Any, **more: Any) -> Rendered:
        """What the engine renders; see `impasto.core.engine.Engine.render`."""
        if self._engine is None:
            self._engine = self._load()
        return self._engine.render(frame, *arguments, **more)

    def settle(self, timeout_s: float) -> None:
        """Wait until the frames that were painted are kept, where they are to be, for so long at most."""
        if self._engine is None:
            return
        from impasto.server.frame_cache.painter import CachedPainter

        if isinstance(self._engine, CachedPainter):
            self._engine.keeping.settle(timeout_s)
