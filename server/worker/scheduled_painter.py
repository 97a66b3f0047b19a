"""A painter that paints each frame when the scheduler says so, between the interactive requests of others."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from impasto.core.frame import Frame, Samples
from impasto.core.frame_settings import FrameSettings
from impasto.server.protocol.worker_messages import FromWorker, TurnAsked, TurnOver
from impasto.server.shots.painter import HasCard, Painter

if TYPE_CHECKING:
    from impasto.core.engine import Rendered

POLL_S: Final = 0.1
"""How often a frame that waits for its turn asks whether the job still wants it."""


class ScheduledPainter:
    """Paints as another painter does, each frame in a turn that the scheduler grants.

    Several threads may paint at once, each in a turn of its own. Every turn that was asked for is given back, also
    when the frame fails, or is cancelled before its turn came.
    """

    def __init__(
        self, painter: Painter, job: bytes, send: Callable[[FromWorker], None], moved: Callable[[], None]
    ) -> None:
        """`moved` is called whenever a frame makes progress; waiting for a turn is none."""
        self._painter, self._job, self._send, self._moved = painter, job, send, moved
        self._changed = threading.Condition()
        self._asked = 0
        self._granted: set[int] = set()

    @property
    def style(self) -> HasCard:
        """The style of the painter behind."""
        return self._painter.style

    def precision_for(self, *, eight_bit: bool) -> str:
        """What the painter behind counts in."""
        return self._painter.precision_for(eight_bit=eight_bit)

    def grant(self, turn: int) -> None:
        """The frame of this turn may be painted now."""
        with self._changed:
            self._granted.add(turn)
            self._changed.notify_all()

    def wake(self) -> None:
        """Let every frame that waits look at once whether it is still wanted."""
        with self._changed:
            self._changed.notify_all()

    def render(
        self,
        frame: Frame,
        settings: FrameSettings | None = None,
        *,
        matte: Samples | None = None,
        cancelled: Callable[[], None] = lambda: None,
    ) -> Rendered:
        """Wait for a turn and paint in it; `cancelled` is called while waiting too, and may raise."""

        def check() -> None:
            self._moved()
            cancelled()

        turn = self._ask(frame, settings or FrameSettings())
        try:
            self._await(turn, cancelled)
            check()
            return self._painter.render(frame, settings, matte=matte, cancelled=check)
        finally:
            self._moved()
            self._send(TurnOver(self._job, turn))

    def _ask(self, frame: Frame, settings: FrameSettings) -> int:
        width, height = settings.network_size(frame)
        with self._changed:
            turn = self._asked
            self._asked += 1
            # Under the lock, so that turns are asked for in the order of their numbers.
            self._send(TurnAsked(self._job, turn, frame.number, width * height))
        return turn

    def _await(self, turn: int, cancelled: Callable[[], None]) -> None:
        while True:
            with self._changed:
                if turn in self._granted:
                    self._granted.discard(turn)
                    return
                self._changed.wait(POLL_S)
                granted = turn in self._granted
            if not granted:
                cancelled()
