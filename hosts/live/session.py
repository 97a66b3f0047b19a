"""A live session: one source, one painter, any number of places where the pictures go."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import field
from fractions import Fraction
from types import TracebackType
from typing import Final, Protocol, Self

import numpy as np

from impasto.core.animation import Animation
from impasto.core.errors import ImpastoError, UsageError
from impasto.core.frozen_dataclass import frozen_dataclass
from impasto.hosts.live.clock import Clock, live_clock
from impasto.hosts.live.display import LARGEST
from impasto.hosts.live.figures import SessionFigures
from impasto.hosts.live.governor import Quality
from impasto.hosts.live.intake import USUAL_FPS, Intake
from impasto.hosts.live.look import LookSetting, OfferedStyle, offered_styles, with_reference
from impasto.hosts.live.pictures import SoundChunk
from impasto.hosts.live.pump import LOADING_S, FramePainter, Outlet, Pump, PumpOptions
from impasto.hosts.live.sinks.open import SinkOptions, open_sink
from impasto.hosts.live.sinks.sink import SinkThread
from impasto.hosts.live.sources import SourceAddress, SourceThread
from impasto.server.protocol.messages import StyleFacts

SMALL: Final = 64
"""Sides of the picture with which a style is loaded."""


class SessionPainter(FramePainter, Protocol):
    """A client of the server: it paints and knows the styles."""

    def styles(self) -> tuple[StyleFacts, ...]: ...


@frozen_dataclass
class SessionPlan:
    """What a session is to be."""

    source: SourceAddress
    style: str
    params: dict[str, float]
    sinks: tuple[str, ...] = ()
    """Addresses of sinks that are fed by threads of their own; the browser is none of them."""
    fps: Fraction | None = None
    latency_s: float = 0.15
    quality: Quality = "auto"
    largest: tuple[int, int] = LARGEST
    overwrite: bool = False
    animation: Animation | None = None
    """Parameters by the frames of a source that is a file."""
    before: dict[str, float] = field(default_factory=dict)
    """The grade of every plate before the style, by control of `impasto.core.grade_settings`."""


class LiveSession:
    """Runs until it is closed, or its source is at its end, or no sink is left.

    A sink that refuses does not end it while another is left; `refused` says which, and why.
    """

    def __init__(
        self,
        plan: SessionPlan,
        painter: SessionPainter,
        outlets: Sequence[Outlet] = (),
        *,
        source: SourceThread | None = None,
        clock: Clock = live_clock,
    ) -> None:
        """Open the sinks, and the source unless it is given, and begin. `outlets` are places of the caller's own.

        A source that is given is closed with the session. Raises UnknownName for the style, what the source raises, and
        what the last sink raises where none opens.
        """
        self.plan = plan
        styles, style = with_reference(styles_of(painter), plan.style)
        self.setting = LookSetting(styles, style, plan.params, plan.quality)
        self.refused: dict[str, ImpastoError] = {}
        """Sink -> why it takes no pictures."""
        self.clock = clock
        """By which ages are measured."""
        self._outlets = tuple(outlets)
        self._source = source or opened_source(plan, clock)
        self.intake = Intake(plan.source.text, clock) if self._source is None else self._source.intake
        with ExitStack() as opened:
            if self._source is not None:
                opened.callback(self._source.close)
            self._sinks = self._opened_sinks(opened)
            if plan.source.kind == "file":
                self._load(painter)
            self.intake.on_sound = self._hear
            self._pump = Pump(
                self.intake,
                painter,
                self.setting,
                (*self._outlets, *self._sinks),
                PumpOptions(plan.latency_s, None if plan.fps is None else float(plan.fps), plan.animation, plan.before),
                clock,
            )
            opened.pop_all()
        if self._source is not None:
            self._source.start()

    @property
    def ended(self) -> bool:
        """Whether everything that the source gave is shown, or no sink takes pictures any more."""
        return self._pump.idle or self._none_left()

    @property
    def error(self) -> ImpastoError | None:
        """Why it ended: the source cannot be read, or no sink is left."""
        if self.intake.error is not None:
            return self.intake.error
        return next(reversed(self.refused_now().values()), None) if self._none_left() else None

    def refused_now(self) -> dict[str, ImpastoError]:
        """Sink -> why it takes no pictures, those that failed meanwhile among them."""
        return self.refused | {sink.name: sink.error for sink in self._sinks if sink.error is not None}

    def written(self) -> dict[str, int]:
        """Sink -> pictures that it took."""
        return {sink.name: sink.written for sink in self._sinks}

    def figures(self) -> SessionFigures:
        """How it goes."""
        return self._pump.figures()

    def close(self) -> None:
        """Release the source, finish what is written, and end the threads."""
        if self._source is not None:
            self._source.close()
        self._pump.close()
        for sink in self._sinks:
            sink.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _opened_sinks(self, opened: ExitStack) -> tuple[SinkThread, ...]:
        fps = self.plan.fps or Fraction(self.intake.claimed_fps or USUAL_FPS).limit_denominator(1001)
        options = SinkOptions(fps, self._source is not None and self._source.has_sound, self.plan.overwrite)
        found = []
        for address in self.plan.sinks:
            try:
                sink = SinkThread(open_sink(address, options), self.clock)
            except UsageError:
                raise  # what is asked for cannot work, here or anywhere
            except ImpastoError as error:
                self.refused[address] = error
                continue
            opened.callback(sink.close)
            found.append(sink)
        if self.refused and not found and not self._outlets:
            raise next(reversed(self.refused.values()))
        return tuple(found)

    def _load(self, painter: SessionPainter) -> None:
        """Have the style loaded, so that the beginning of a file is painted too. What fails here is said later."""
        style = self.setting.network(self.setting.rungs()[0])
        black = np.zeros((SMALL, SMALL, 3), np.uint8)
        with suppress(ImpastoError, TimeoutError):
            painter.submit(
                black,
                style=style,
                params=None,
                before=None,
                viewer="",
                deadline_s=LOADING_S,
                timeout_s=LOADING_S,
                cache=False,
            ).result(LOADING_S).release()

    def _none_left(self) -> bool:
        return not self._outlets and bool(self.plan.sinks) and not any(sink.wanted for sink in self._sinks)

    def _hear(self, chunk: SoundChunk) -> None:
        for sink in self._sinks:
            sink.hear(chunk)


def opened_source(plan: SessionPlan, clock: Clock = live_clock) -> SourceThread | None:
    """The source of a plan, open; None where pages bring the pictures. Raises as `SourceThread` does."""
    if plan.source.kind == "browser":
        return None
    return SourceThread(plan.source, Intake(plan.source.text, clock), plan.largest, rate=plan.fps, clock=clock)


def styles_of(painter: SessionPainter) -> dict[str, OfferedStyle]:
    """The styles that can be painted live: those that see colour alone."""
    return offered_styles(
        [
            (each.name, each.title, each.description, each.defaults, each.has_preview)
            for each in painter.styles()
            if not each.guides
        ]
    )
