"""Whose turn is next: fair among users by megapixels, first come first served within one, and a share for batch.

Fairness is start-time fair queueing (Goyal, Vin and Cheng 1996), which is deficit round robin without a quantum: each
user has a tag that grows by the megapixels they are served, and the lowest tag among those who wait is next. Two users
who always wait differ by at most one frame of each, however many sessions they have.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from impasto.server.scheduler.workers import Place, Turn, Worker

LEAST_MEGAPIXELS: Final = 0.05
"""What a turn costs at least: a small frame takes a worker's time too."""
CATCH_UP: Final = 64.0
"""Megapixels by which a user may lag behind for want of their device; beyond, the lag is forgiven to the others."""
STREAK_TURNS: Final = 16
STREAK_S: Final = 2.0
"""So long may turns of the style that a worker runs overtake an older turn of another style of the same user."""
SWEEP: Final = 64
"""Tags of users who do not wait that are kept before the worn ones are swept."""

WINDOW_S: Final = 10.0
"""Over which batch keeps its share."""
GRACE_S: Final = 1.0
"""How long batch waits at most for what it ran while nobody interactive wanted the workers."""


@dataclass(slots=True)
class _Streak:
    style: str
    since: float
    overtaken: int = 0


class _Backlog:
    """What one user waits for in one lane, oldest first, by place, and by place and style."""

    def __init__(self) -> None:
        self._lines: dict[tuple[Place, str | None], OrderedDict[int, Turn]] = {}
        self._streaks: dict[int, _Streak] = {}
        self.length = 0

    def add(self, turn: Turn, *, first: bool) -> None:
        for key in ((turn.place, None), (turn.place, turn.style)):
            line = self._lines.setdefault(key, OrderedDict())
            line[turn.order] = turn
            if first:
                line.move_to_end(turn.order, last=False)
        self.length += 1

    def remove(self, turn: Turn) -> None:
        for key in ((turn.place, None), (turn.place, turn.style)):
            line = self._lines[key]
            del line[turn.order]
            if not line:
                del self._lines[key]
        self.length -= 1

    def replace(self, old: Turn, new: Turn) -> None:
        new.order = old.order
        self._lines[old.place, None][new.order] = new
        if old.style == new.style:
            self._lines[old.place, old.style][new.order] = new
            return
        line = self._lines[old.place, old.style]
        del line[old.order]
        if not line:
            del self._lines[old.place, old.style]
        self._lines.setdefault((new.place, new.style), OrderedDict())[new.order] = new

    def choose(self, free: Sequence[Worker], now: float) -> tuple[Turn, Worker] | None:
        """The turn that is next on one of these workers, and which of them; it stays in its line."""
        places = free[0].places if len(free) == 1 else {place for worker in free for place in worker.places}
        oldest = self._oldest(places)
        if oldest is None:
            return None
        for worker in free:
            streak = self._streaks.get(worker.number)
            if streak is None or streak.style == oldest.style:
                continue
            if streak.overtaken < STREAK_TURNS and now - streak.since < STREAK_S:
                same = self._oldest(worker.places, streak.style)
                if same is not None:
                    streak.overtaken += 1
                    return same, worker
        worker = min(
            (worker for worker in free if oldest.place in worker.places),
            key=lambda worker: (
                oldest.alone and bool(worker.turns),
                oldest.style not in worker.warm,
                len(worker.turns),
                worker.number,
            ),
        )
        self._streaks[worker.number] = _Streak(oldest.style, now)
        return oldest, worker

    def _oldest(self, places: Iterable[Place], style: str | None = None) -> Turn | None:
        oldest: Turn | None = None
        for place in places:
            line = self._lines.get((place, style))
            if line and ((head := next(iter(line.values()))) is not oldest):
                oldest = head if oldest is None or head.order < oldest.order else oldest
        return oldest


class FairQueue:
    """The turns that wait in one lane."""

    def __init__(self) -> None:
        self._backlogs: OrderedDict[str, _Backlog] = OrderedDict()
        self._tags: dict[str, float] = {}
        self._clock = 0.0
        """The tag of whoever was served last: where newcomers begin."""
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def add(self, turn: Turn, *, first: bool = False) -> None:
        """Let a turn wait, behind everything of its user or, with `first`, before it.

        One that goes first was taken before and is not charged again.
        """
        backlog = self._backlogs.get(turn.user)
        if backlog is None:
            backlog = self._backlogs[turn.user] = _Backlog()
            self._tags[turn.user] = max(self._tags.get(turn.user, 0.0), self._clock)
        if first:
            self._tags[turn.user] -= _cost(turn)
            self._backlogs.move_to_end(turn.user, last=False)
        backlog.add(turn, first=first)
        self._length += 1

    def remove(self, turn: Turn) -> None:
        """Take a turn out that waits here; KeyError if it does not."""
        backlog = self._backlogs[turn.user]
        backlog.remove(turn)
        self._length -= 1
        if not backlog.length:
            del self._backlogs[turn.user]

    def replace(self, old: Turn, new: Turn) -> None:
        """Let a turn of the same user take the place in the line of one that waits.

        So a viewer that scrubs faster than frames are painted is served nevertheless. Where the two may not run at the
        same places, the new one waits behind.
        """
        if old.place == new.place:
            self._backlogs[old.user].replace(old, new)
        else:
            self.remove(old)
            self.add(new)

    def place_of(self, user: str) -> int:
        """About how many turns start before and with the newest of this user."""
        backlog = self._backlogs.get(user)
        return min(self._length, backlog.length * len(self._backlogs)) if backlog else 0

    def take(self, free: Sequence[Worker], now: float) -> tuple[Turn, Worker] | None:
        """Take out the turn that is next on one of these workers; None if nothing that waits may run there."""
        for user in sorted(self._backlogs, key=self._tags.__getitem__):
            chosen = self._backlogs[user].choose(free, now)
            if chosen is None:
                continue
            turn = chosen[0]
            tag = max(self._tags[user], self._clock - CATCH_UP)
            self._clock = max(self._clock, tag)
            self._tags[user] = tag + _cost(turn)
            self.remove(turn)
            self._sweep()
            return chosen
        return None

    def rest(self) -> None:
        """Forget who was served how much. Called when nothing waits or runs any more."""
        self._tags.clear()
        self._clock = 0.0

    def _sweep(self) -> None:
        if len(self._tags) > len(self._backlogs) + SWEEP:
            self._tags = {user: tag for user, tag in self._tags.items() if user in self._backlogs or tag > self._clock}


class BatchShare:
    """Whether batch has had less than its share of the workers' time.

    An account in seconds of turns. It earns the share of all turns that the workers can run, from the moment batch
    waits; what batch runs is charged. What ran while nobody interactive waited leaves a debt of at most `GRACE_S`, so
    that hours of batch alone do not keep it from its share afterwards; the rate is higher by as much as that costs.
    The share is kept over any `WINDOW_S`, to within one turn.
    """

    def __init__(self, share: float) -> None:
        self._rate = min(1.0, share / (1.0 - GRACE_S / WINDOW_S))
        self._balance = 0.0
        self._now = 0.0

    def pass_time(self, now: float, *, slots: int, running: int, contested: bool, waits: bool) -> None:
        """Account for the time since the last call, during which all of this held.

        `slots` turns can run at once, of which `running` were batch's; interactive turns waited (`contested`), and
        batch turns too (`waits`).
        """
        span, self._now = now - self._now, now
        earning = self._rate * slots
        balance = self._balance + (earning - running) * span
        if running:
            floor = -earning * (WINDOW_S if contested else GRACE_S)
            balance = max(balance, min(floor, self._balance))
        self._balance = min(balance, earning * WINDOW_S if waits else 0.0)

    def is_owed(self, ahead_s: float) -> bool:
        """Whether batch goes first, when `ahead_s` seconds of turns of its own are still ahead of those that run."""
        return self._balance > ahead_s


def _cost(turn: Turn) -> float:
    return max(turn.megapixels, LEAST_MEGAPIXELS)
