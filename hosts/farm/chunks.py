"""Which frames a seat paints next: chunks by guided self-scheduling, tried again where they fail, doubled at the end.

A state machine without clock, threads or files: events go in, chunks come out. Times are those of whoever calls.

Guided self-scheduling (Polychronopoulos and Kuck, IEEE Transactions on Computers C-36, 1987): a seat gets a share of
what is left, so chunks are large at first and small at the end. Here the share goes by the pace of the seat, and the
bounds are seconds of its work, so that a slow seat never holds up the end with a large chunk.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field

OUTSTANDING = 2
"""Chunks that a seat may have: one that it paints, one that waits for it."""
LEAST_S, MOST_S = 4.0, 60.0
"""Seconds that a chunk should take: ten times what starting it costs, and what a lost one may waste."""
MOST_FRAMES = 150
SHARE = 0.5
"""Of a seat's part of what is left that goes into its next chunk."""
FIRST_FRAMES = 2
"""In the first chunk of a seat, whose pace is not known."""
SEATS_FAILED = 3
"""Chunks in a row that may fail on a seat before it gets no more."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Frames in a row, both ends included."""

    first: int
    last: int

    def __len__(self) -> int:
        return self.last - self.first + 1


def chunks_of(numbers: Iterable[int]) -> list[Chunk]:
    """Frame numbers as the fewest chunks, ascending."""
    found: list[Chunk] = []
    for number in sorted(set(numbers)):
        if found and found[-1].last == number - 1:
            found[-1] = Chunk(found[-1].first, number)
        else:
            found.append(Chunk(number, number))
    return found


@dataclass(slots=True)
class _SeatState:
    pace: float = 0.0
    """Frames per second, 0 while unknown."""
    guess: int = FIRST_FRAMES
    """Frames in its next chunk while its pace is unknown; twice as many after a chunk that was there already."""
    held: list[tuple[Chunk, float]] = field(default_factory=list)
    """Chunks that it has, with the time at which each was handed out."""
    idle_since: float = 0.0
    failed_in_a_row: int = 0
    out: bool = False
    """It failed too often, and gets no more."""


class ChunkQueue:
    """The frames of a job that are not done, and who has which. `fixed` sets the size of every chunk."""

    def __init__(self, numbers: Iterable[int], *, attempts: int = 3, fixed: int | None = None) -> None:
        self._open: deque[Chunk] = deque(chunks_of(numbers))
        self._undone = {number for chunk in self._open for number in range(chunk.first, chunk.last + 1)}
        self._frames = len(self._undone)
        self._attempts, self._fixed = attempts, fixed
        self._seats: dict[str, _SeatState] = {}
        self._paced, self._pace_sum = 0, 0.0
        """Of the seats whose pace is known."""
        self._holders: Counter[Chunk] = Counter()
        """How many seats have a chunk."""
        self._failures: dict[Chunk, set[str]] = {}
        self._tries: dict[Chunk, int] = {}
        self.bad: dict[Chunk, str] = {}
        """Chunks that are given up, with what was said last."""
        self.twice = 0
        """Frames that were handed out a second time while another seat had them."""

    @property
    def frames(self) -> int:
        """Of the whole job."""
        return self._frames

    @property
    def done(self) -> int:
        """Frames that are done."""
        return self._frames - len(self._undone)

    @property
    def ended(self) -> bool:
        """Whether every frame is done or given up."""
        return not self._undone or (not self._open and not any(seat.held for seat in self._seats.values()))

    @property
    def stuck(self) -> bool:
        """Whether frames are left and every seat that there is has failed too often."""
        return not self.ended and bool(self._seats) and all(seat.out for seat in self._seats.values())

    def join(self, seat: str, now: float) -> None:
        """A seat is there, or there again."""
        self.leave(seat)
        self._seats[seat] = _SeatState(idle_since=now)

    def leave(self, seat: str) -> list[Chunk]:
        """A seat is lost; what it had is open again, and returned."""
        state = self._seats.pop(seat, _SeatState())
        self._set_pace(state, 0.0)
        lost = [chunk for chunk, _ in state.held]
        self._holders.subtract(lost)
        for chunk in reversed(lost):
            self._reopen(chunk)
        return lost

    def next_for(self, seat: str, now: float) -> Chunk | None:
        """A chunk for a seat, None where it is to wait."""
        state = self._seats.get(seat)
        if state is None or state.out or len(state.held) >= OUTSTANDING:
            return None
        if self._open and (not state.held or self._plenty(state)):
            chunk = self._cut(self._size_for(state), seat)
        elif not state.held and not self._open:
            chunk = self._double(seat, state, now)
        else:
            chunk = None
        if chunk is not None:
            state.held.append((chunk, now))
            self._holders[chunk] += 1
        return chunk

    def end(self, seat: str, chunk: Chunk, now: float, painted: int) -> None:
        """Every frame of a chunk is stored; `painted` of them were not there before the seat came to it."""
        state = self._dropped(seat, chunk, now, painted)
        if state is not None:
            state.failed_in_a_row = 0
            if not painted:
                state.guess = min(2 * state.guess, MOST_FRAMES)
        self._undone.difference_update(range(chunk.first, chunk.last + 1))

    def fail(self, seat: str, chunk: Chunk, now: float, why: str, *, never: bool) -> bool:
        """A seat has failed on a chunk; whether it will be tried again. `never` says that no seat can do it."""
        state = self._dropped(seat, chunk, now, 0)
        if state is not None and not never:
            state.failed_in_a_row += 1
            if state.failed_in_a_row >= SEATS_FAILED:
                state.out = True
                self._set_pace(state, 0.0)
        if not self._is_undone(chunk):
            return False
        self._tries[chunk] = self._tries.get(chunk, 0) + 1
        self._failures.setdefault(chunk, set()).add(seat)
        if never or self._tries[chunk] >= self._attempts:
            self.bad[chunk] = why
            self._undone.difference_update(range(chunk.first, chunk.last + 1))
            self._frames -= len(chunk)
            return False
        self._reopen(chunk)
        return True

    def tries(self, chunk: Chunk) -> int:
        """How often a chunk has failed."""
        return self._tries.get(chunk, 0)

    def _dropped(self, seat: str, chunk: Chunk, now: float, painted: int) -> _SeatState | None:
        """Take a chunk from a seat and learn its pace from it; None for a seat that is not there any more."""
        state = self._seats.get(seat)
        entry = None if state is None else next((each for each in state.held if each[0] == chunk), None)
        if state is None or entry is None:
            return state
        state.held.remove(entry)
        self._holders[chunk] -= 1
        spent = now - max(entry[1], state.idle_since)
        state.idle_since = now
        if painted and spent > 0:
            pace = painted / spent
            self._set_pace(state, pace if not state.pace else (state.pace + pace) / 2)
        return state

    def _set_pace(self, state: _SeatState, pace: float) -> None:
        self._paced += bool(pace) - bool(state.pace)
        self._pace_sum += pace - state.pace
        state.pace = pace

    def _is_undone(self, chunk: Chunk) -> bool:
        return any(number in self._undone for number in range(chunk.first, chunk.last + 1))

    def _reopen(self, chunk: Chunk) -> None:
        """Put a chunk to the front, unless it is done, given up, or another seat has it."""
        if not self._holders[chunk] and self._is_undone(chunk) and chunk not in self._open:
            self._open.appendleft(chunk)

    def _left(self) -> int:
        return sum(map(len, self._open))

    def _share(self, state: _SeatState) -> float:
        """The part of what is left that is a seat's, by its pace."""
        usual = self._pace_sum / self._paced if self._paced else 1.0
        every = self._pace_sum + usual * (len(self._seats) - self._paced)
        return self._left() * (state.pace or usual) / every

    def _plenty(self, state: _SeatState) -> bool:
        """Whether a seat may have a chunk in waiting: not at the end, when others could start it sooner."""
        return state.pace > 0 and self._share(state) / state.pace > 2 * LEAST_S

    def _size_for(self, state: _SeatState) -> int:
        if self._fixed is not None:
            return self._fixed
        if not state.pace:
            return max(1, min(state.guess, math.ceil(self._share(state))))
        share = SHARE * self._share(state)
        bounded = min(max(share, LEAST_S * state.pace), MOST_S * state.pace, MOST_FRAMES)
        return max(1, round(bounded))

    def _cut(self, size: int, seat: str) -> Chunk | None:
        """The first chunk that a seat may try, cut to this size; one that has failed is left as it is."""
        for _ in range(len(self._open)):
            chunk = self._open.popleft()
            failed = self._failures.get(chunk, set())
            others = any(name not in failed and not each.out for name, each in self._seats.items())
            if seat in failed and others:
                self._open.append(chunk)
                continue
            if chunk in self._tries or len(chunk) <= size:
                return chunk
            self._open.appendleft(Chunk(chunk.first + size, chunk.last))
            return Chunk(chunk.first, chunk.first + size - 1)
        return None

    def _double(self, seat: str, state: _SeatState, now: float) -> Chunk | None:
        """The chunk of another seat that would be done soonest by this one too, where that saves time."""
        best: tuple[float, Chunk] | None = None
        if not state.pace:
            return None
        for name, each in self._seats.items():
            before = 0
            for chunk, since in each.held:
                before += len(chunk)
                # A seat of unknown pace, or one that is late, may take as long again as it has taken.
                begun = max(since, each.idle_since)
                left = max(before / each.pace - (now - begun), now - begun) if each.pace else now - begun
                saved = left - len(chunk) / state.pace
                if saved <= (0.0 if best is None else best[0]) or name == seat or self._holders[chunk] > 1:
                    continue
                if seat not in self._failures.get(chunk, ()) and self._is_undone(chunk):
                    best = saved, chunk
        if best is not None:
            self.twice += len(best[1])
        return None if best is None else best[1]
