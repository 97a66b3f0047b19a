"""Shot jobs: check their paths, ask for their turns, send their progress in batches.

A job survives its workers. After a lost worker, the next attempt continues behind the stored frames, and the client
sees one job. Over all attempts, every frame is reported once and counted once.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar, Final, Self

from impasto.core.errors import NotPermitted, UsageError
from impasto.core.media.frame_numbers import FrameNumbers
from impasto.server.file_roots import resolve
from impasto.server.front.library import Library, StyleFile, error_in_client_words, style_of
from impasto.server.front.pending_request import PendingRequest, Reply, ShotReport
from impasto.server.front.sessions import Session
from impasto.server.front.workers import Workers
from impasto.server.protocol import worker_messages
from impasto.server.protocol.animation import animation_from
from impasto.server.protocol.colour_configuration import on_this_machine
from impasto.server.protocol.limits import ARRAY_ITEMS, Limits
from impasto.server.protocol.messages import (
    Cancelled,
    ErrorFacts,
    Failed,
    FromServer,
    ShotJob,
    ShotProgress,
    ShotStarted,
    StoredFrame,
    SubmitShot,
)
from impasto.server.scheduler import events as plan
from impasto.server.settings import Root

PROGRESS_S: Final = 0.1
FRAMES_AT_ONCE: Final = 128
"""Frames in one progress message, at most. With paths of 300 bytes they fit into a header."""
PATH_BYTES: Final = 32 << 10
"""Size of all paths in one progress message, at most."""
NOTES_AT_ONCE: Final = 8
NOTES_KEPT: Final = 64
MESSAGES_WAITING: Final = 8
"""A client that has not read so many messages yet gets progress later, in larger batches."""
_LIVE = re.compile(r"camera:|[a-z]+://", re.IGNORECASE)
"""A camera or a stream. The worker finds out whether it exists."""


@dataclass(frozen=True, slots=True)
class ShotContext:
    """What shot jobs need of the server."""

    library: Library
    roots: Mapping[str, Root]
    limits: Limits
    workers: Workers
    clock: Callable[[], float]


@dataclass(slots=True, eq=False, kw_only=True)
class PendingShot(PendingRequest):
    """A shot job under way."""

    is_job: ClassVar[bool] = True

    context: ShotContext
    request: SubmitShot
    style: StyleFile
    opened: bool = False
    """Whether an attempt has opened the shot. Then the files at the output are the job's own."""
    started: ShotStarted | None = None
    """The message of the first attempt that opened the shot."""
    reported: FrameNumbers = field(default_factory=FrameNumbers)
    """Numbers of the stored frames that workers reported."""
    unreported: int = 0
    """Number of frames that a worker stored but did not report before it died. The next worker found them."""
    invalid_pixels: int = 0
    messages: list[FromServer] = field(default_factory=list)
    """To be sent at once."""
    stored: list[StoredFrame] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """Both wait for the next progress message."""
    progress_sent_s: float = 0.0

    @classmethod
    def admit(cls, context: ShotContext, session: Session, asked: SubmitShot, digest: bytes) -> Self:
        """Check a job. Raises NotPermitted for its paths, UsageError, and the errors of its style."""
        job = _with_paths(session, asked.job, context.roots)
        _check_range(job, context.limits.job_frames)
        animation_from(job.animated)  # refused now, not when a worker is free
        style = style_of(context.library, job.look, local=session.local)
        return cls(
            id=asked.id,
            session=session,
            digest=digest,
            arrived_s=context.clock(),
            label=f"{style.name} {asked.job.input} -> {asked.job.output}",
            workers=context.workers,
            device=job.look.device,
            context=context,
            request=replace(asked, job=job),
            style=style,
        )

    @property
    def stored_frames(self) -> int:
        """Frames that this job has stored, over all attempts."""
        return len(self.reported) + self.unreported

    def submission(self) -> plan.SchedulerEvent:
        """`JobSubmitted`."""
        job = self.request.job
        what = hashlib.blake2b(repr(job).encode(), digest_size=16).digest()
        return plan.JobSubmitted(self.id, self.session.token, job.lane, self.style.name, what, self.device)

    def start(self) -> None:
        """Send the job to its worker. From the second attempt on, it resumes."""
        assert self.worker is not None
        self.sent = True
        named = tuple(str(root.folder) for root in self.context.roots.values())
        roots = self.request.job.within if self.session.local else named
        message = worker_messages.RunShot(
            self.request, str(self.style.path), self.attempt, self.opened, self.context.limits.pixels, roots
        )
        self.workers.send(self.worker, message)

    def reply(self) -> Reply:
        """The worker's answer, counted over all attempts."""
        ending = self.ending
        if isinstance(ending, worker_messages.ShotEnded):
            done = ending.done
            if self.attempt > 1 and self.started is not None:
                done = replace(
                    done,
                    rendered=self.stored_frames,
                    skipped=self.started.skipped,
                    invalid_pixels=self.invalid_pixels,
                    seconds=self._seconds(),
                )
            return Reply(replace(done, path=self._below_roots(done.path)))
        if isinstance(ending, worker_messages.WorkFailed):
            error = error_in_client_words(ending.error, self.request.job.look, self.style)
            failed = self.failed(replace(error, message=self._below_roots(error.message)))
            return Reply(replace(failed, path=self._below_roots(ending.path) or failed.path))
        return Reply(self.cancelled("asked"))

    def cancelled(self, reason: plan.CancelReason) -> Cancelled:
        """The terminal message of a cancelled job: where its finished frames are, and how many."""
        ending = self.ending
        stopped = ending if isinstance(ending, worker_messages.WorkStopped) else worker_messages.WorkStopped(self.id)
        path = self._below_roots(stopped.path) or self._output()
        return Cancelled(self.id, reason, path, max(stopped.rendered, self.stored_frames), self._seconds())

    def failed(self, error: ErrorFacts) -> Failed:
        """The terminal message of a job that ends with an error: where its finished frames are, and how many."""
        return Failed(self.id, error, self._output(), self.stored_frames)

    def release(self) -> None:
        """Nothing: a job holds no memory of the front's."""

    def report(self, message: ShotReport, now: float) -> plan.SchedulerEvent | None:
        """Take a report of the worker: a frame that wants its turn or had it, stored frames, the opened shot."""
        match message:
            case worker_messages.TurnAsked(turn=number, pixels=pixels):
                return plan.TurnWanted(self.id, number, pixels / 1e6)
            case worker_messages.TurnOver(turn=number):
                return plan.TurnEnded(self.id, number)
            case worker_messages.FramesSafe(stored=stored, notes=notes):
                self._note_stored(stored, notes)
                return plan.JobProgressed(self.id) if stored else None
            case worker_messages.ShotOpened(started=started):
                self._note_opened(started, now)
        return None

    def messages_due(self, now: float, *, everything: bool = False) -> Iterable[FromServer]:
        """Take out the progress that is due: at most ten messages a second, fewer if the client reads slowly."""
        due, self.messages = self.messages, []
        waiting = len(self.session.data.waiting)
        while (self.stored or self.notes) and (
            everything or (now - self.progress_sent_s >= PROGRESS_S and waiting < MESSAGES_WAITING)
        ):
            due.append(self._progress(now))
        return due

    def next_message_s(self, now: float) -> float:
        """When the next progress message is due."""
        if not (self.stored or self.notes):
            return math.inf
        return max(now + PROGRESS_S / 4, self.progress_sent_s + PROGRESS_S)

    def messages_for_return(self) -> Iterable[FromServer]:
        """The message that the shot is open, for a client that asks for it again."""
        return () if self.started is None else (replace(self.started, attempt=max(1, self.attempt)),)

    def _note_opened(self, started: ShotStarted, now: float) -> None:
        self.opened = True
        if self.started is not None:
            self.unreported = max(0, started.skipped - self.started.skipped - len(self.reported))
        started = replace(started, output=self._below_roots(started.output), attempt=max(1, self.attempt))
        self.started = self.started or started
        self.messages = [*self.messages_due(now, everything=True), started]

    def _note_stored(self, stored: tuple[StoredFrame, ...], notes: tuple[str, ...]) -> None:
        for frame in stored:
            if not self.reported.add(frame.number):
                continue  # a movie is rendered again from its start
            self.invalid_pixels += frame.invalid_pixels
            self.stored.append(replace(frame, path=self._below_roots(frame.path), done=self.stored_frames))
        self.notes = [*self.notes, *(self._below_roots(note) for note in notes)][-NOTES_KEPT:]

    def _progress(self, now: float) -> ShotProgress:
        """Take out one message of progress, with as much as fits."""
        room = PATH_BYTES
        count = 0
        for frame in self.stored[: min(FRAMES_AT_ONCE, ARRAY_ITEMS)]:
            room -= len(frame.path.encode()) + 32
            if count and room < 0:
                break
            count += 1
        stored, self.stored = tuple(self.stored[:count]), self.stored[count:]
        notes: tuple[str, ...] = ()
        if room > 0:
            notes, self.notes = tuple(self.notes[:NOTES_AT_ONCE]), self.notes[NOTES_AT_ONCE:]
            notes = tuple(note.encode()[: PATH_BYTES // (2 * NOTES_AT_ONCE)].decode(errors="ignore") for note in notes)
        self.progress_sent_s = now
        return ShotProgress(self.id, stored, notes)

    def _output(self) -> str:
        """The path of the stored frames; empty if there are none."""
        return self.started.output if self.started is not None and self.stored_frames else ""

    def _seconds(self) -> float:
        return max(0.0, self.context.clock() - self.arrived_s)

    def _below_roots(self, text: str) -> str:
        """The text with every path below a root as the client wrote it, if the client is on another machine."""
        if not self.session.local:
            for name, root in self.context.roots.items():
                text = text.replace(f"{root.folder}/", f"{name}:")
        return text


def _with_paths(session: Session, job: ShotJob, roots: Mapping[str, Root]) -> ShotJob:
    """The job with paths of this machine. Raises NotPermitted for paths that the client may not name."""
    job = on_this_machine(job, local=session.local)
    if session.local:
        for name, path in job.paths():
            if path and not Path(path).is_absolute() and not (name in ("input", "motion") and _LIVE.match(path)):
                raise UsageError(
                    f"expected an absolute path as {name}, got '{path}'; the server runs in another folder than you"
                )
        if not job.input or not job.output:
            raise UsageError("expected an input and an output, got an empty path; name both")
        return job
    if not roots:
        raise NotPermitted(
            "expected a server with named roots for shot jobs of other machines, this one has none; start it with "
            "`impasto serve --root NAME=DIR`, or send pixels"
        )
    return job.with_paths(lambda name, path: str(resolve(path, roots, write=name == "output")))


def _check_range(job: ShotJob, most_frames: int) -> None:
    first, last = job.first, job.last
    if (first is None) != (last is None):
        raise UsageError("expected both ends of a range of frames, or neither, got one; name the other too")
    if first is None or last is None:
        return
    if last < first:
        raise UsageError(f"expected a range that ends after it begins, got {first} to {last}")
    if last - first >= most_frames:
        raise UsageError(f"expected at most {most_frames} frames in a job, got {first} to {last}; cut the shot")
