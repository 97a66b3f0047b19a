"""Shot jobs on the front's side: their paths checked, their turns passed on, their progress told in handfuls.

A job survives its workers: an attempt that follows a lost worker goes on where the frames are that were stored, and the
client sees one job. Every frame is told once and counted once, over all attempts.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Literal

from impasto.core.errors import NotPermitted, UsageError
from impasto.core.media.frame_numbers import FrameNumbers
from impasto.server.file_roots import resolve
from impasto.server.front.frames import found_style, named
from impasto.server.front.library import Found, Library
from impasto.server.front.requests import Dispatch, Task
from impasto.server.front.sessions import Session
from impasto.server.protocol import worker_messages
from impasto.server.protocol.animation import animation_from
from impasto.server.protocol.limits import ARRAY_ITEMS, Limits
from impasto.server.protocol.messages import (
    Cancelled,
    ErrorFacts,
    Failed,
    ShotJob,
    ShotProgress,
    ShotStarted,
    StoredFrame,
    SubmitShot,
)
from impasto.server.scheduler import events as plan
from impasto.server.settings import Root

TELL_S: Final = 0.1
FRAMES_AT_ONCE: Final = 128
"""Of one progress message: with paths of 300 bytes they fit into a header."""
PATH_BYTES: Final = 32 << 10
"""Of the paths in one progress message, whatever their number."""
NOTES_AT_ONCE: Final = 8
NOTES_KEPT: Final = 64
LETTERS_WAITING: Final = 8
"""A client that has so many messages to read is told later, in larger handfuls."""
_LIVE = re.compile(r"camera:|[a-z]+://", re.IGNORECASE)
"""A camera or a stream, of which the worker says whether there is such a one."""


@dataclass(slots=True, eq=False, kw_only=True)
class PendingShot(Task):
    """A shot job under way."""

    request: SubmitShot
    found: Found
    opened: bool = False
    """An attempt has opened the shot, so that what is at the output is the job's own."""
    started: ShotStarted | None = None
    """As the first attempt had it."""
    told: FrameNumbers = field(default_factory=FrameNumbers)
    """Numbers of the frames that are stored, as far as workers lived to tell."""
    untold: int = 0
    """Frames that a worker stored and did not live to tell: the next one found them."""
    invalid_pixels: int = 0
    stored: list[StoredFrame] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    told_s: float = 0.0

    @property
    def stored_frames(self) -> int:
        """Frames that this job has stored, over all attempts."""
        return len(self.told) + self.untold


class ShotDesk:
    """Takes `SubmitShot`."""

    def __init__(
        self,
        dispatch: Dispatch,
        library: Library,
        roots: Mapping[str, Root],
        limits: Limits,
        clock: Callable[[], float],
    ) -> None:
        self._dispatch = dispatch
        self._library = library
        self._roots = roots
        self._limits = limits
        self._clock = clock
        self._shots: dict[bytes, PendingShot] = {}

    def __len__(self) -> int:
        return len(self._shots)

    def submit(self, session: Session, asked: SubmitShot, digest: bytes) -> None:
        """Check a job and hand it to the scheduler. Raises NotPermitted for its paths, UsageError and others."""
        request = self._with_paths(session, asked)
        self._check_range(request.job)
        animation_from(request.job.animated)  # refused now, not once its turn has come
        found = found_style(self._library, request.job.look, local=session.local)
        shot = PendingShot(
            id=asked.id,
            session=session,
            digest=digest,
            arrived_s=self._clock(),
            label=f"{found.name} {asked.job.input} -> {asked.job.output}",
            device=request.job.look.device,
            is_job=True,
            request=request,
            found=found,
        )
        self._shots[asked.id] = shot
        self._dispatch.journal.telemetry.count("jobs_started")
        self._dispatch.add(shot, self)
        what = hashlib.blake2b(repr(request.job).encode(), digest_size=16).digest()
        self._dispatch.feed(
            plan.JobSubmitted(asked.id, session.token, asked.job.lane, found.name, what, asked.job.look.device)
        )

    def attach(self, task: Task) -> None:
        """The client asks again for a job that runs: tell it how the job began."""
        shot = _shot(task)
        if shot.started is not None:
            self._dispatch.tell(shot.session, replace(shot.started, attempt=max(1, shot.attempt)))

    def heard(
        self,
        worker: int,
        message: worker_messages.ShotOpened
        | worker_messages.FramesSafe
        | worker_messages.TurnAsked
        | worker_messages.TurnOver,
    ) -> None:
        """A worker reports on a job."""
        id = message.started.id if isinstance(message, worker_messages.ShotOpened) else message.job
        shot = self._shots.get(id)
        if shot is None or shot.worker != worker:
            return
        match message:
            case worker_messages.TurnAsked(turn=turn, pixels=pixels):
                self._dispatch.feed(plan.TurnWanted(id, turn, pixels / 1e6))
            case worker_messages.TurnOver(turn=turn):
                self._dispatch.feed(plan.TurnEnded(id, turn))
            case worker_messages.FramesSafe(stored=stored, notes=notes):
                self._keep(shot, stored, notes)
            case worker_messages.ShotOpened(started=started):
                self._tell(shot)
                shot.opened = True
                if shot.started is not None:
                    shot.untold = max(0, started.skipped - shot.started.skipped - len(shot.told))
                started = replace(started, output=self._named(shot, started.output), attempt=max(1, shot.attempt))
                if shot.started is None:
                    shot.started = started
                self._dispatch.tell(shot.session, started)

    def tick(self, now: float) -> float | None:
        """Tell what is due; when the next is."""
        due: float | None = None
        for shot in self._shots.values():
            if not (shot.stored or shot.notes) or shot.settled:
                continue
            if now - shot.told_s >= TELL_S and len(shot.session.data.waiting) < LETTERS_WAITING:
                self._tell_one(shot, now)
            if shot.stored or shot.notes:
                due = min(due or now + TELL_S, max(now + TELL_S / 4, shot.told_s + TELL_S))
        return due

    def start(self, task: Task) -> None:
        """Send the job to its worker, to be resumed from the second attempt on."""
        shot = _shot(task)
        assert shot.worker is not None
        if shot.attempt > 1:
            self._dispatch.journal.telemetry.count("requests_retried")
        message = worker_messages.RunShot(shot.request, str(shot.found.path), shot.attempt, shot.opened)
        self._dispatch.crew.send(shot.worker, message)

    def stop(self, task: Task) -> None:
        """Tell the worker to stop the job; what is stored stays."""
        if task.worker is not None:
            self._dispatch.crew.send(task.worker, worker_messages.StopWork(task.id))

    def answer(self, task: Task) -> None:
        """Pass the worker's ending on, counted over all attempts."""
        shot = _shot(task)
        self._tell(shot)
        ending = task.ending
        if isinstance(ending, worker_messages.ShotEnded):
            done = ending.done
            if shot.attempt > 1 and shot.started is not None:
                done = replace(
                    done,
                    rendered=shot.stored_frames,
                    skipped=shot.started.skipped,
                    invalid_pixels=shot.invalid_pixels,
                    seconds=max(0.0, self._clock() - shot.arrived_s),
                )
            self._dispatch.settle(task, replace(done, path=self._named(shot, done.path)))
        elif isinstance(ending, worker_messages.WorkFailed):
            error = named(ending.error, shot.request.job.look, shot.found)
            error = replace(error, message=self._named(shot, error.message))
            failed = self.failed(task, error)
            self._dispatch.settle(task, replace(failed, path=self._named(shot, ending.path) or failed.path))
        else:
            self._dispatch.settle(task, self.taken_back(task, "asked"))

    def taken_back(self, task: Task, reason: plan.Reason) -> Cancelled:
        """The terminal message of a cancelled job: where its finished frames are, and how many."""
        shot = _shot(task)
        self._tell(shot)
        ending = task.ending
        stopped = ending if isinstance(ending, worker_messages.WorkStopped) else worker_messages.WorkStopped(task.id)
        path = self._named(shot, stopped.path) or (self._output(shot) if shot.stored_frames else "")
        rendered = max(stopped.rendered, shot.stored_frames)
        return Cancelled(task.id, reason, path, rendered, max(0.0, self._clock() - shot.arrived_s))

    def failed(self, task: Task, error: ErrorFacts) -> Failed:
        """The terminal message of a job that ends with an error: where its finished frames are, and how many."""
        shot = _shot(task)
        self._tell(shot)
        return Failed(task.id, error, self._output(shot) if shot.stored_frames else "", shot.stored_frames)

    def ended(self, task: Task, worker: int, outcome: Literal["done", "failed", "stopped"]) -> plan.Event:
        """What the scheduler is told."""
        return plan.JobEnded(task.id, worker, outcome)

    def release(self, task: Task) -> None:
        """Forget the job."""
        self._shots.pop(task.id, None)

    def _output(self, shot: PendingShot) -> str:
        return shot.started.output if shot.started is not None else ""

    def _named(self, shot: PendingShot, text: str) -> str:
        """A text with every path below a root as the client knows it, where the client is on another machine."""
        if shot.session.local:
            return text
        for name, root in self._roots.items():
            text = text.replace(f"{root.folder}/", f"{name}:")
        return text

    def _keep(self, shot: PendingShot, stored: tuple[StoredFrame, ...], notes: tuple[str, ...]) -> None:
        for frame in stored:
            if not shot.told.add(frame.number):
                continue  # a movie is rendered again from its start
            shot.invalid_pixels += frame.invalid_pixels
            shot.stored.append(replace(frame, path=self._named(shot, frame.path), done=shot.stored_frames))
        shot.notes = [*shot.notes, *(self._named(shot, note) for note in notes)][-NOTES_KEPT:]
        if stored:
            self._dispatch.journal.telemetry.painted(self._clock(), frames=len(stored))
            self._dispatch.feed(plan.JobProgressed(shot.id))

    def _tell(self, shot: PendingShot) -> None:
        """Tell everything now, because something follows that comes after it."""
        while shot.stored or shot.notes:
            self._tell_one(shot, self._clock())

    def _tell_one(self, shot: PendingShot, now: float) -> None:
        room = PATH_BYTES
        count = 0
        for frame in shot.stored[: min(FRAMES_AT_ONCE, ARRAY_ITEMS)]:
            room -= len(frame.path.encode()) + 32
            if count and room < 0:
                break
            count += 1
        stored, shot.stored = tuple(shot.stored[:count]), shot.stored[count:]
        notes: tuple[str, ...] = ()
        if room > 0:
            notes, shot.notes = tuple(shot.notes[:NOTES_AT_ONCE]), shot.notes[NOTES_AT_ONCE:]
            notes = tuple(note.encode()[: PATH_BYTES // (2 * NOTES_AT_ONCE)].decode(errors="ignore") for note in notes)
        shot.told_s = now
        if shot.session.closed:
            return
        self._dispatch.tell(shot.session, ShotProgress(shot.id, stored, notes))

    def _with_paths(self, session: Session, asked: SubmitShot) -> SubmitShot:
        job = asked.job
        if session.local:
            for name, path in job.paths():
                if path and not Path(path).is_absolute() and not (name in ("input", "motion") and _LIVE.match(path)):
                    raise UsageError(
                        f"expected an absolute path as {name}, got '{path}'; the server runs in another folder than you"
                    )
            if not job.input or not job.output:
                raise UsageError("expected an input and an output, got an empty path; name both")
            return asked
        if not self._roots:
            raise NotPermitted(
                "expected a server with named roots for shot jobs of other machines, this one has none; start it with "
                "`impasto serve --root NAME=DIR`, or send pixels"
            )
        return replace(
            asked,
            job=job.with_paths(lambda name, path: str(resolve(path, self._roots, write=name == "output"))),
        )

    def _check_range(self, job: ShotJob) -> None:
        if (job.first is None) != (job.last is None):
            raise UsageError("expected both ends of a range of frames, or neither, got one; name the other too")
        if job.first is None or job.last is None:
            return
        if job.last < job.first:
            raise UsageError(f"expected a range that ends after it begins, got {job.first} to {job.last}")
        if job.last - job.first >= self._limits.job_frames:
            raise UsageError(
                f"expected at most {self._limits.job_frames} frames in a job, got {job.first} to {job.last}; "
                f"cut the shot"
            )


def _shot(task: Task) -> PendingShot:
    assert isinstance(task, PendingShot)
    return task
