"""Which network at which size keeps time: a state machine that sees durations and answers with a rung.

It knows no thread and no clock: every call brings the time along. It never slows the source. On its last rung it lets
the painter go on at whatever rate it reaches.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Final, Literal, TypeAlias

from impasto.core.frozen_dataclass import frozen_dataclass

Quality: TypeAlias = Literal["auto", "full", "draft"]

SCALES: Final = (0.75, 0.5, 0.375)
"""Sizes of the plate on the lower rungs, by its sides. A network takes its strokes along into a smaller plate, and they
are broader on the screen: what it costs is the size in strokes, so that none can be had without the other."""
WINDOW: Final = 20
"""Frames over which the cost is judged."""
LEAST: Final = 5
"""Frames without which it is not."""
SETTLING: Final = 2
"""Frames after a change that do not count: a network is loaded, and prepared for a size, with its first."""
TOO_SLOW, ROOMY, FITS = 0.9, 0.6, 0.85
"""Shares of a frame's time: beyond the first it goes down; below the second for a while, and with the rung above
expected below the third, it goes up."""
SLOW_FRAMES, LATE_FRAMES = 5, 3
"""Frames in a row that are too slow, or too old, before it goes down."""
REST_S: Final = 2.0
"""No two changes lie nearer."""
PATIENCE_S, LONGEST_PATIENCE_S = 5.0, 60.0
"""How long it must be roomy before it goes up; twice as long after each attempt that did not hold."""
HELD_S: Final = 30.0
"""An attempt has held when no fall came within this time."""
GAP_S: Final = 2.0
"""A pause after which what was measured before says nothing: the machine slept, or the source was away."""
FULL_TO_DRAFT: Final = 1.4
"""How much longer the full network takes than its draft (`python -m tests.bench`, 1.3 to 1.4)."""


@frozen_dataclass
class Rung:
    """One way to paint."""

    draft: bool
    """Whether by the quick network of the style."""
    scale: float
    """Sides of what is painted, over those of the plate."""

    @property
    def label(self) -> str:
        """'full', 'draft', 'draft at 3/4'."""
        name = "draft" if self.draft else "full"
        return name if self.scale == 1 else f"{name} at {_FRACTIONS[self.scale]}"


_FRACTIONS = {0.75: "3/4", 0.5: "1/2", 0.375: "3/8"}


def ladder(quality: Quality, *, has_draft: bool) -> tuple[Rung, ...]:
    """The rungs from the best to the quickest. A style without a draft goes down with its one network."""
    if quality == "full":
        return (Rung(False, 1.0),)
    smaller = tuple(Rung(has_draft, scale) for scale in SCALES)
    if not has_draft:
        return (Rung(False, 1.0), *smaller)
    best = () if quality == "draft" else (Rung(False, 1.0),)
    return (*best, Rung(True, 1.0), *smaller)


class Governor:
    """Chooses a rung by what the last frames cost and how old they were."""

    def __init__(self, rungs: tuple[Rung, ...], *, fps: float, latency_s: float) -> None:
        self._rungs, self._fps, self._latency_s = rungs, fps, latency_s
        self._at = 0
        self._reason = "as asked" if len(rungs) == 1 else "it keeps time"
        self._costs: deque[float] = deque(maxlen=WINDOW)
        self._settling = SETTLING
        self._slow = self._late = 0
        self._easy_since: float | None = None
        self._changed_at = self._rose_at = -math.inf
        self._heard_at: float | None = None
        self._patience_s = PATIENCE_S

    @property
    def rung(self) -> Rung:
        """How the next frame is to be painted."""
        return self._rungs[self._at]

    @property
    def reason(self) -> str:
        """Why it is this rung."""
        return self._reason

    @property
    def cost_s(self) -> float:
        """The ninth decile of what the last frames cost; 0 before enough of them came."""
        return _ninth_decile(self._costs) if len(self._costs) >= LEAST else 0.0

    def set_rate(self, fps: float) -> None:
        """The frames per second that are to be painted have changed."""
        self._fps = fps

    def use(self, rungs: tuple[Rung, ...]) -> None:
        """Choose among these from now on: at the rung that was held, where it is one of them."""
        if rungs == self._rungs:
            return
        wanted = self.rung
        self._rungs = rungs
        self._at = next((at for at, rung in enumerate(rungs) if rung == wanted), min(self._at, len(rungs) - 1))
        self._reason = "as asked" if len(rungs) == 1 else "it keeps time"
        self._forget()

    def begin_anew(self) -> None:
        """What was measured says nothing any more, because the plates have another size; the rung stays."""
        self._forget()

    def painted(self, now: float, cost_s: float, age_s: float) -> bool:
        """Note a frame: the time that it alone took, and its age when it was there; whether the rung has changed."""
        if self._heard_at is not None and now - self._heard_at > max(GAP_S, 3 * cost_s):
            self._forget()
        self._heard_at = now
        if self._settling > 0:
            self._settling -= 1
            return False
        self._costs.append(cost_s)
        allowed = 1 / self._fps
        cost = self.cost_s
        self._slow = self._slow + 1 if cost > TOO_SLOW * allowed else 0
        self._late = self._late + 1 if age_s > self._latency_s else 0
        if not cost or cost > ROOMY * allowed:
            self._easy_since = None
        elif self._easy_since is None:
            self._easy_since = now
        if self._changed_at == self._rose_at and now - self._rose_at > HELD_S:
            self._patience_s = PATIENCE_S
        return self._step(now, cost, allowed)

    def _step(self, now: float, cost: float, allowed: float) -> bool:
        if now - self._changed_at < REST_S:
            return False
        if self._slow >= SLOW_FRAMES or self._late >= LATE_FRAMES:
            if self._at + 1 == len(self._rungs):
                if cost:
                    what = "as asked" if len(self._rungs) == 1 else "the quickest there is"
                    self._reason = f"{what}, {cost * 1e3:.0f} ms a frame, {allowed * 1e3:.0f} are there"
                return False
            if now - self._rose_at < HELD_S:
                self._patience_s = min(2 * self._patience_s, LONGEST_PATIENCE_S)
            why = (
                f"a frame took {cost * 1e3:.0f} ms, {allowed * 1e3:.0f} are there"
                if self._slow >= SLOW_FRAMES
                else f"frames were older than {self._latency_s * 1e3:.0f} ms"
            )
            self._go(self._at + 1, now, why)
            return True
        if (
            self._at > 0
            and self._easy_since is not None
            and now - self._easy_since >= self._patience_s
            and self._expected(self._at - 1, cost) <= FITS * allowed
        ):
            self._rose_at = now
            self._go(self._at - 1, now, f"a frame took {cost * 1e3:.0f} of {allowed * 1e3:.0f} ms")
            return True
        return False

    def _expected(self, at: int, cost: float) -> float:
        """What a frame of another rung would cost now, by its pixels; an attempt that was wrong costs patience."""
        here, there = self.rung, self._rungs[at]
        return cost * (there.scale / here.scale) ** 2 * (FULL_TO_DRAFT if here.draft and not there.draft else 1.0)

    def _go(self, at: int, now: float, reason: str) -> None:
        self._at, self._changed_at, self._reason = at, now, reason
        self._forget()

    def _forget(self) -> None:
        self._costs.clear()
        self._slow = self._late = 0
        self._easy_since = None
        self._settling = SETTLING


def _ninth_decile(values: deque[float]) -> float:
    ordered = sorted(values)
    return ordered[math.ceil(0.9 * len(ordered)) - 1]
