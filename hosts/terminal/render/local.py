"""A shot rendered in this process: `impasto render --local`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from impasto.core.card import Card
from impasto.hosts.terminal.process_setup import prepare_process
from impasto.hosts.terminal.render.order import Order
from impasto.hosts.terminal.render.progress import Outcome, Stored, Told

if TYPE_CHECKING:
    from impasto.core.engine import Engine, Rendered
    from impasto.core.frame import Frame
    from impasto.server.shots.render import ShotEvent


def render_here(order: Order, path: Path, card: Card, told: Told, cancelled: Callable[[], bool]) -> Outcome:
    """Render with the style of this file; `card` is its card."""
    prepare_process()
    from impasto.server.shots.render import FrameStored, ShotJob, ShotNote, ShotStarted, render_shot

    job = ShotJob(
        input=order.input,
        output=order.output,
        frames=order.frames,
        params=order.params(card.defaults),
        animation=order.animation,
        before=order.before,
        after=order.after,
        layer=order.layer,
        matte=order.matte,
        guides=order.guides,
        motion=order.motion,
        input_space=order.input_space,
        output_space=order.output_space,
        overwrite=order.overwrite,
        resume=order.resume,
    )

    def load() -> Engine:
        from impasto.core.engine import Engine

        return Engine(path, device=order.device, precision=order.precision, tile=order.tile)

    def resolve_precision() -> str:
        from impasto.core.engine import choose_device, choose_precision

        return choose_precision(order.precision, choose_device(order.device))

    def on_event(event: ShotEvent) -> None:
        if isinstance(event, ShotStarted):
            info = event.info
            rate = None if info.rate is None else float(info.rate)
            told.started(event.output, info.first, event.to_render, event.skipped, info.width, info.height, rate)
        elif isinstance(event, FrameStored):
            told.stored(Stored(event.number, event.path, event.invalid_pixels))
        elif isinstance(event, ShotNote):
            told.note(event.text)

    result = render_shot(job, LateEngine(card, load, resolve_precision), on_event=on_event, cancelled=cancelled)
    return Outcome(
        result.path,
        result.rendered,
        result.skipped,
        result.invalid_pixels,
        result.seconds,
        result.stages,
        result.cancelled,
    )


@dataclass(frozen=True, slots=True)
class Announced:
    """A style of which the card alone has been read."""

    card: Card


class LateEngine:
    """An engine that is built for the first frame: bad input is refused, and read, before torch is loaded."""

    def __init__(self, card: Card, load: Callable[[], Engine], resolve_precision: Callable[[], str]) -> None:
        self.style = Announced(card)
        self._load = load
        self._resolve_precision = resolve_precision
        self._engine: Engine | None = None

    @cached_property
    def precision(self) -> str:
        """What the engine will count in, found without building it."""
        return self._resolve_precision()

    def render(self, frame: Frame, *arguments: Any, **settings: Any) -> Rendered:
        """What the engine renders; see `impasto.core.engine.Engine.render`."""
        if self._engine is None:
            self._engine = self._load()
        return self._engine.render(frame, *arguments, **settings)
