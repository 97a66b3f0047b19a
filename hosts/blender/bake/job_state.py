# SPDX-License-Identifier: GPL-3.0-or-later
"""The state of the jobs of this Blender, one for each strip that is being painted, for the panel to show."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from impasto.core.errors import UsageError

Phase: TypeAlias = Literal["rendering", "waiting", "painting", "finished", "cancelled", "failed"]
"""'rendering' is Blender's own work before the server's; the last three are the end."""
ENDS: tuple[Phase, ...] = ("finished", "cancelled", "failed")


@dataclass(frozen=True, slots=True)
class JobState:
    """How far the painting of one strip is."""

    strip: str
    title: str
    """What the panel calls it: 'wheatfield'."""
    frames: int
    phase: Phase = "waiting"
    done: int = 0
    """Frames that are finished in this phase."""
    fps: float = 0.0
    sentence: str = ""
    """After a failure: what went wrong and what to do."""
    cancel_asked: bool = False

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self.phase not in ENDS

    @property
    def fraction(self) -> float:
        """How far the phase is, 0 to 1."""
        return min(1.0, self.done / self.frames) if self.frames else 0.0

    @property
    def remaining_s(self) -> float | None:
        """Seconds until the end at this rate; None where there is no rate yet."""
        return (self.frames - self.done) / self.fps if self.fps > 0 else None

    @property
    def text(self) -> str:
        """Progress in words: 'painting 12 of 48, 3.1 frames/s, 0:12 left'."""
        if self.phase == "failed":
            return self.sentence
        if self.phase in ENDS:
            return f"{self.phase}: {self.done} of {self.frames}"
        parts = [f"{'cancelling' if self.cancel_asked else self.phase} {self.done} of {self.frames}"]
        if self.fps > 0:
            parts.append(f"{self.fps:.1f} frames/s")
        if (left := self.remaining_s) is not None:
            parts.append(left_text(left))
        return ", ".join(parts)


def left_text(seconds: float) -> str:
    """Seconds until an end, in words: '1:05 left'."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02} left"


class JobStates:
    """The jobs by the names of their strips. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._jobs: dict[str, JobState] = {}

    def begin(self, job: JobState) -> None:
        """Add a job in the place of an ended one of its strip. Raises UsageError where one of this strip runs."""
        with self._lock:
            if (old := self._jobs.get(job.strip)) is not None and old.running:
                raise UsageError(
                    f"expected one job for each strip, '{job.strip}' is being painted; cancel it or wait for its end"
                )
            self._jobs[job.strip] = job

    def change(self, strip: str, **facts: object) -> JobState:
        """Replace facts of a strip's job and return it as it is now. A job that has ended does not change."""
        with self._lock:
            job = self._jobs[strip]
            if job.running:
                job = self._jobs[strip] = replace(job, **facts)  # type: ignore[arg-type]
            return job

    def ask_cancel(self, strip: str | None = None) -> int:
        """Ask one strip's job, or all, to stop; returns how many run."""
        with self._lock:
            asked = [job for job in self._jobs.values() if job.running and strip in (None, job.strip)]
            for job in asked:
                self._jobs[job.strip] = replace(job, cancel_asked=True)
            return len(asked)

    def of(self, strip: str) -> JobState | None:
        """A strip's job."""
        return self._jobs.get(strip)

    def cancelled(self, strip: str) -> bool:
        """Whether a strip's job is asked to stop; the client asks that ten times a second."""
        job = self._jobs.get(strip)
        return job is None or job.cancel_asked

    def all(self) -> tuple[JobState, ...]:
        """Every job, those that run first."""
        with self._lock:
            return tuple(sorted(self._jobs.values(), key=lambda job: not job.running))

    @property
    def running(self) -> tuple[JobState, ...]:
        """The jobs that have not ended."""
        return tuple(job for job in self.all() if job.running)

    def clear(self) -> None:
        """Forget the jobs that have ended."""
        with self._lock:
            self._jobs = {strip: job for strip, job in self._jobs.items() if job.running}


JOBS = JobStates()
