"""Requests that may have killed workers, by the digest of what they ask for; one that killed two is banned."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

QUARANTINE_S: Final = 600.0
"""How long a death is remembered, and a digest that killed twice is refused."""
DEATHS: Final = 2


@dataclass(frozen=True, slots=True)
class _Record:
    deaths: int
    until: float


class Quarantine:
    """The deaths of workers that each digest may have caused, the oldest first."""

    def __init__(self) -> None:
        self._records: OrderedDict[bytes, _Record] = OrderedDict()

    def __len__(self) -> int:
        return len(self._records)

    def has_deaths(self, digest: bytes) -> bool:
        """Whether a worker died while it worked on this."""
        return digest in self._records

    def record_death(self, digest: bytes, now: float) -> None:
        """A worker died, and this may be why."""
        record = self._records.pop(digest, None)
        self._records[digest] = _Record((record.deaths if record else 0) + 1, now + QUARANTINE_S)

    def ban(self, digest: bytes, now: float) -> None:
        """Ban it, whatever was recorded."""
        self._records.pop(digest, None)
        self._records[digest] = _Record(DEATHS, now + QUARANTINE_S)

    def clear(self, digest: bytes) -> None:
        """A worker finished it and lives: forget its deaths, unless it is banned."""
        record = self._records.get(digest)
        if record is not None and record.deaths < DEATHS:
            del self._records[digest]

    def banned_s(self, digest: bytes, now: float) -> float:
        """For how long it is still refused; 0 if it is not."""
        record = self._records.get(digest)
        return max(0.0, record.until - now) if record is not None and record.deaths >= DEATHS else 0.0

    def forget(self, now: float) -> None:
        """Drop what is old."""
        while (end := self.next_end()) is not None and end <= now:
            self._records.popitem(last=False)

    def next_end(self) -> float | None:
        """When the oldest record ends."""
        return next(iter(self._records.values())).until if self._records else None
