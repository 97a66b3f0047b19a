"""What paints chunks: local sessions, and in the tests seats in simulated time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from impasto.hosts.farm.chunks import Chunk


@dataclass(frozen=True, slots=True)
class SeatJoined:
    """A seat is ready."""

    seat: str


@dataclass(frozen=True, slots=True)
class SeatLost:
    """A seat is gone, with everything that it had."""

    seat: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class ChunkDone:
    """Every frame of a chunk is stored."""

    seat: str
    chunk: Chunk
    painted: int
    """Frames that were not there before."""


@dataclass(frozen=True, slots=True)
class ChunkFailed:
    """A chunk was not painted, or not to its end."""

    seat: str
    chunk: Chunk
    why: str
    never: bool = False
    """Whether it fails everywhere."""


SeatEvent = SeatJoined | SeatLost | ChunkDone | ChunkFailed


class Seats(Protocol):
    """Every seat of a run, and their clock."""

    def now(self) -> float:
        """Seconds."""
        ...

    def start(self, seat: str, chunk: Chunk) -> None:
        """Hand a chunk to a seat; returns at once."""
        ...

    def wait(self) -> Sequence[SeatEvent]:
        """What happened since the last call; returns after a while without, so that the caller can look around."""
        ...

    def alive(self) -> bool:
        """Whether any seat is there or may come."""
        ...
