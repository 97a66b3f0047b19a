"""Seats in simulated time: nodes of differing pace that start, paint, store every frame by itself, and are lost."""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from impasto.hosts.farm.chunks import OUTSTANDING, Chunk
from impasto.hosts.farm.seats import ChunkDone, ChunkFailed, SeatEvent, SeatJoined, SeatLost


@dataclass(frozen=True)
class Weather:
    """What goes wrong on a farm, in seconds of a node."""

    frame_s: float = 2.0
    """Of an ordinary node, plus or minus a tenth."""
    spread: float = 0.25
    """How far nodes differ in pace, as a share."""
    slow: float = 0.02
    """Share of nodes that take `slow_times` as long."""
    slow_times: float = 6.0
    start_s: float = 0.4
    """Of every chunk."""
    boot_s: tuple[float, float] = (0.0, 20.0)
    """Until a node is there for the first time."""
    lost_every_s: float = 7200.0
    back_after_s: float = 60.0
    preempted: float = 0.0
    """Share of chunks that the farm takes back in the middle."""
    bad_frames: frozenset[int] = frozenset()
    """That no node can paint."""


@dataclass
class _Node:
    name: str
    frame_s: float
    life: int = 0
    """Raised when it is lost: what was to come is void."""
    there: bool = False
    waiting: list[Chunk] = field(default_factory=list)
    chunk: Chunk | None = None
    begun: float = 0.0
    frames_at: list[float] = field(default_factory=list)
    painted: int = 0


class SimulatedSeats:
    """`Seats` over a heap of what is to happen. It checks the rules that hold for every schedule."""

    def __init__(self, nodes: int, seed: int, weather: Weather | None = None) -> None:
        self.weather = weather or Weather()
        self._chance = random.Random(seed)
        self._now = 0.0
        self._heap: list[tuple[float, int, str, str, int]] = []
        self._order = itertools.count()
        self.stored: dict[int, float] = {}
        """Frame -> when it was stored: the folder of results, where the first one stays."""
        self.painted = 0
        """Frames that were painted, those that were there already among them."""
        self.most_outstanding = 0
        self.nodes: dict[str, _Node] = {}
        for number in range(nodes):
            pace = self.weather.frame_s * (1 + self._chance.uniform(-1, 1) * self.weather.spread)
            slow = self.weather.slow_times if self._chance.random() < self.weather.slow else 1.0
            self.nodes[f"n{number}"] = _Node(f"n{number}", pace * slow)
            self._at(self._chance.uniform(*self.weather.boot_s), "join", f"n{number}", 0)

    def ideal_s(self, frames: int) -> float:
        """How long all nodes would take together from the first moment on, never lost, without start or end."""
        return frames / sum(1 / node.frame_s for node in self.nodes.values())

    def now(self) -> float:
        return self._now

    def start(self, seat: str, chunk: Chunk) -> None:
        node = self.nodes[seat]
        assert node.there, f"{seat} is lost and got {chunk}"
        node.waiting.append(chunk)
        outstanding = len(node.waiting) + (node.chunk is not None)
        assert outstanding <= OUTSTANDING, f"{seat} has {outstanding} chunks"
        self.most_outstanding = max(self.most_outstanding, outstanding)
        if node.chunk is None:
            self._begin(node)

    def wait(self) -> Sequence[SeatEvent]:
        while self._heap:
            self._now, _, what, name, life = heapq.heappop(self._heap)
            node = self.nodes[name]
            if life != node.life:
                continue
            if (event := getattr(self, f"_{what}")(node)) is not None:
                return [event]
        return []

    def alive(self) -> bool:
        return bool(self._heap)

    def _at(self, seconds: float, what: str, name: str, life: int) -> None:
        heapq.heappush(self._heap, (self._now + seconds, next(self._order), what, name, life))

    def _join(self, node: _Node) -> SeatEvent:
        node.there = True
        self._at(self._chance.expovariate(1 / self.weather.lost_every_s), "lose", node.name, node.life)
        return SeatJoined(node.name)

    def _lose(self, node: _Node) -> SeatEvent:
        self._store(node)
        node.life += 1
        node.there, node.chunk, node.waiting = False, None, []
        self._at(self.weather.back_after_s, "join", node.name, node.life)
        return SeatLost(node.name, "the node does not answer")

    def _begin(self, node: _Node) -> None:
        node.chunk = chunk = node.waiting.pop(0)
        at = self._now + self.weather.start_s
        node.frames_at, node.painted = [], 0
        for number in range(chunk.first, chunk.last + 1):
            # A frame that is there already is skipped, as --resume does it.
            there = number in self.stored
            node.painted += not there
            at += 0.0 if there else node.frame_s * self._chance.uniform(0.9, 1.1)
            node.frames_at.append(at)
        ends = "fail" if self._chance.random() < self.weather.preempted or self._bad(chunk) else "done"
        left = at - self._now
        self._at(left * (self._chance.random() if ends == "fail" else 1.0), ends, node.name, node.life)

    def _bad(self, chunk: Chunk) -> bool:
        return any(chunk.first <= number <= chunk.last for number in self.weather.bad_frames)

    def _store(self, node: _Node) -> None:
        if node.chunk is not None:
            for number, at in zip(range(node.chunk.first, node.chunk.last + 1), node.frames_at, strict=True):
                if at <= self._now + 1e-6 and number not in self.weather.bad_frames:
                    self.stored.setdefault(number, at)

    def _done(self, node: _Node) -> SeatEvent:
        return self._ended(node, failed=False)

    def _fail(self, node: _Node) -> SeatEvent:
        return self._ended(node, failed=True)

    def _ended(self, node: _Node, *, failed: bool) -> SeatEvent:
        self._store(node)
        chunk, painted, node.chunk = node.chunk, node.painted, None
        self.painted += painted
        assert chunk is not None
        if node.waiting:
            self._begin(node)
        if not failed:
            return ChunkDone(node.name, chunk, painted)
        return ChunkFailed(node.name, chunk, "no such frame" if self._bad(chunk) else "preempted")
