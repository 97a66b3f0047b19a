"""The sessions, their credit, and their work, from its submission to its terminal message."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from impasto.server.protocol.field_types import Lane
from impasto.server.protocol.limits import Limits
from impasto.server.scheduler.events import CancelReason, FrameSubmitted, JobSubmitted
from impasto.server.scheduler.workers import ScheduledFrame

EndReason: TypeAlias = CancelReason | Literal["deadline"]
"""Why something is stopped."""


@dataclass(slots=True, eq=False)
class Work:
    """A frame request or shot job that has no terminal message yet."""

    asked: FrameSubmitted | JobSubmitted
    credit: SessionCredit
    order: int
    since: float
    """When it arrived."""
    worker: int | None = None
    """Where it runs; None while it waits."""
    attempt: int = 0
    """How many times it was started."""
    deaths: int = 0
    """Deaths of workers that it was blamed for; of a job, since its last progress."""
    ending: EndReason | None = None
    """Why its worker was told to stop it."""
    tasks: dict[int, ScheduledFrame] = field(default_factory=dict)
    """Its tasks that wait or run: one of a frame request, any number of a job."""

    @property
    def id(self) -> bytes:
        """The id that the client gave it."""
        return self.asked.id

    @property
    def session(self) -> bytes:
        """The session that gets the terminal message."""
        return self.asked.session

    @property
    def bytes(self) -> int:
        """Size of its samples; 0 for a job."""
        return self.asked.bytes if isinstance(self.asked, FrameSubmitted) else 0

    @property
    def viewer(self) -> str:
        """The viewer for which only the newest request counts; empty if each counts."""
        return self.asked.viewer if isinstance(self.asked, FrameSubmitted) else ""

    @property
    def deadline(self) -> float | None:
        """The time after which the answer is of no use; None if there is no such time."""
        if not isinstance(self.asked, FrameSubmitted) or self.asked.deadline_s is None:
            return None
        return self.since + self.asked.deadline_s


@dataclass(slots=True)
class _Viewer:
    newest: Work
    live: int


@dataclass(slots=True, eq=False)
class SessionCredit:
    """A session: its credit and its work."""

    session: bytes
    user: str
    most_frames: int
    most_bytes: int
    frames: int = 0
    held_bytes: int = 0
    works: dict[bytes, Work] = field(default_factory=dict)
    is_open: bool = True
    _viewers: dict[str, _Viewer] = field(default_factory=dict)

    def has_credit(self, frame: FrameSubmitted, returned: Work | None) -> bool:
        """Whether there is credit for this frame, when the request that it supersedes has given its credit back."""
        frames = self.frames - (returned is not None)
        held = self.held_bytes - (returned.bytes if returned is not None else 0)
        return frames < self.most_frames and held + frame.bytes <= self.most_bytes

    def newest_of(self, viewer: str) -> Work | None:
        """The newest request of this viewer, while any of its requests is under way."""
        found = self._viewers.get(viewer)
        return found.newest if found is not None else None

    def enter(self, work: Work) -> None:
        """Add the work, and take credit for it."""
        self.works[work.id] = work
        if isinstance(work.asked, FrameSubmitted):
            self.frames += 1
            self.held_bytes += work.bytes
        if work.viewer:
            live = self._viewers[work.viewer].live if work.viewer in self._viewers else 0
            self._viewers[work.viewer] = _Viewer(work, live + 1)

    def leave(self, work: Work) -> None:
        """Remove the work, and give its credit back."""
        del self.works[work.id]
        if isinstance(work.asked, FrameSubmitted):
            self.frames -= 1
            self.held_bytes -= work.bytes
        if work.viewer:
            viewer = self._viewers[work.viewer]
            viewer.live -= 1
            if not viewer.live:
                del self._viewers[work.viewer]


def credit_of(session: bytes, user: str, lane: Lane, limits: Limits) -> SessionCredit:
    """The credit of a new session, with the credit of its lane."""
    if lane == "interactive":
        return SessionCredit(session, user, limits.interactive_frames, limits.interactive_bytes)
    return SessionCredit(session, user, limits.batch_frames, limits.batch_bytes)
