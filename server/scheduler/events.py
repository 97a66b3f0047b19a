"""The events that the scheduler takes and the instructions that it returns.

The unit of scheduling is a *frame task*: one frame that one worker paints. A frame request is one task. A shot job
stays on the worker that it was started on, until it ends or that worker is lost. It asks for a *turn* for each of its
frames: the leave to paint this frame now. Each turn is one task.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from impasto.server.protocol.field_types import Lane

CancelReason: TypeAlias = Literal["asked", "superseded", "session", "shutdown"]

WorkOutcome: TypeAlias = Literal["done", "failed", "stopped"]
RefusalReason: TypeAlias = Literal["busy", "credit", "draining", "quarantined", "lost", "no_device"]


# Events


@dataclass(frozen=True, slots=True)
class SessionOpened:
    """A client connected. Fairness is among users: `user` counts once, however many sessions it has."""

    session: bytes
    user: str
    lane: Lane


@dataclass(frozen=True, slots=True)
class SessionClosed:
    """A client left, died or was silent for too long: what it queued is dropped, what runs is stopped."""

    session: bytes


@dataclass(frozen=True, slots=True)
class FrameSubmitted:
    """A frame request that has been checked."""

    id: bytes
    session: bytes
    lane: Lane
    style: str
    """A worker that has it loaded is preferred."""
    digest: bytes
    """Of everything that was asked for. Two workers lost over one digest quarantine it."""
    megapixels: float
    bytes: int
    viewer: str = ""
    deadline_s: float | None = None
    device: str = ""


@dataclass(frozen=True, slots=True)
class JobSubmitted:
    """A shot job that has been checked."""

    id: bytes
    session: bytes
    lane: Lane
    style: str
    digest: bytes
    device: str = ""


@dataclass(frozen=True, slots=True)
class CancelAsked:
    """The client cancels a request or job. From another session than its own this does nothing."""

    id: bytes
    session: bytes


@dataclass(frozen=True, slots=True)
class WorkerReady:
    """A worker is ready for frames, `depth` of them at once."""

    worker: int
    device: str
    depth: int = 2
    devices: tuple[str, ...] | None = None
    """Every device that the server has or is opening; None while others may yet be found."""


@dataclass(frozen=True, slots=True)
class WorkerExited:
    """A worker died, or was killed because it hung. Its number is not used again."""

    worker: int


@dataclass(frozen=True, slots=True)
class TurnWanted:
    """A shot job has its next frame in memory and wants a turn for it. `number` is the job's own count, from 0."""

    job: bytes
    number: int
    megapixels: float


@dataclass(frozen=True, slots=True)
class TurnEnded:
    """The frame of a job is painted, or failed, or was cancelled: its turn is over."""

    job: bytes
    number: int


@dataclass(frozen=True, slots=True)
class WorkEnded:
    """A worker answered a frame request or job, with a result or an error, or stopped it as it was told to."""

    id: bytes
    worker: int
    outcome: WorkOutcome


@dataclass(frozen=True, slots=True)
class JobProgressed:
    """A frame of the job is stored: a later loss of its worker is not blamed on the frames before."""

    id: bytes


@dataclass(frozen=True, slots=True)
class Draining:
    """No more work is taken. `at_once` stops what runs and drops what waits."""

    at_once: bool


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""


SchedulerEvent: TypeAlias = (
    SessionOpened
    | SessionClosed
    | FrameSubmitted
    | JobSubmitted
    | CancelAsked
    | WorkerReady
    | WorkerExited
    | TurnWanted
    | TurnEnded
    | WorkEnded
    | JobProgressed
    | Draining
    | Tick
)


# Instructions


@dataclass(frozen=True, slots=True)
class StartFrame:
    """Send this frame request to this worker."""

    id: bytes
    worker: int
    queued_s: float
    attempt: int


@dataclass(frozen=True, slots=True)
class StartJob:
    """Send this shot job to this worker; from the second attempt on it resumes."""

    id: bytes
    worker: int
    attempt: int


@dataclass(frozen=True, slots=True)
class GrantTurn:
    """The job may paint this frame now; until its turn ends it counts as one of the tasks that the worker runs."""

    job: bytes
    number: int
    worker: int


@dataclass(frozen=True, slots=True)
class Stop:
    """Tell the worker to stop this request or job at its next cancel point; its end is still awaited.

    A job that was told to stop is granted no more turns, so that waiting for one is a cancel point.
    """

    id: bytes
    worker: int


@dataclass(frozen=True, slots=True)
class KillWorker:
    """The worker made no progress on a task for too long."""

    worker: int
    silent_s: float


@dataclass(frozen=True, slots=True)
class Wait:
    """Tell the client at which place of the queue its request is."""

    id: bytes
    session: bytes
    position: int


@dataclass(frozen=True, slots=True)
class ForwardAnswer:
    """Terminal: pass the worker's own answer on."""

    id: bytes
    session: bytes


@dataclass(frozen=True, slots=True)
class Refuse:
    """Terminal: the request is not taken."""

    id: bytes
    session: bytes
    why: RefusalReason
    retry_after_s: float = 0.0


@dataclass(frozen=True, slots=True)
class AnswerCancelled:
    """Terminal: the request was cancelled."""

    id: bytes
    session: bytes
    reason: CancelReason


@dataclass(frozen=True, slots=True)
class AnswerExpired:
    """Terminal: the deadline passed."""

    id: bytes
    session: bytes
    late_s: float


Instruction: TypeAlias = (
    StartFrame
    | StartJob
    | GrantTurn
    | Stop
    | KillWorker
    | Wait
    | ForwardAnswer
    | Refuse
    | AnswerCancelled
    | AnswerExpired
)
