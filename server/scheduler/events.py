"""What the scheduler is told and what it says: its events and its instructions.

The unit of scheduling is a *turn*: one frame on one worker. A frame request is one turn; a shot job asks for a turn
for each of its frames, and stays on the worker that it was started on until it ends or that worker is lost.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from impasto.server.protocol.messages import Lane

Reason: TypeAlias = Literal["asked", "superseded", "session", "shutdown"]


# Events


@dataclass(frozen=True, slots=True)
class SessionOpened:
    """A client was welcomed. `user` is who is served fairly, however many sessions they have."""

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
    """By which a worker that has it warm is preferred."""
    digest: bytes
    """Of what was asked for: two deaths of workers on one digest quarantine it."""
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
    """The client takes a request or job back; from another session than its own it does nothing."""

    id: bytes
    session: bytes


@dataclass(frozen=True, slots=True)
class WorkerReady:
    """A worker is there and takes turns, `depth` at once."""

    worker: int
    device: str
    depth: int = 2
    devices: tuple[str, ...] | None = None
    """Every device that the server has or is opening; None while others may yet be found."""


@dataclass(frozen=True, slots=True)
class WorkerLost:
    """A worker died, or was killed because it hung. Its number is not used again."""

    worker: int


@dataclass(frozen=True, slots=True)
class TurnWanted:
    """A shot job has its next frame in memory. `turn` is the job's own count, from 0."""

    job: bytes
    turn: int
    megapixels: float


@dataclass(frozen=True, slots=True)
class TurnEnded:
    """The frame of a job's turn is painted, or failed, or was cancelled."""

    job: bytes
    turn: int


@dataclass(frozen=True, slots=True)
class FrameEnded:
    """A worker answered a frame request, with a result or an error, or stopped it as it was told to."""

    id: bytes
    worker: int
    outcome: Literal["done", "failed", "stopped"]


@dataclass(frozen=True, slots=True)
class JobProgressed:
    """A frame of the job is safe: a later death of its worker is not the job's doing."""

    id: bytes


@dataclass(frozen=True, slots=True)
class JobEnded:
    """A worker answered a shot job."""

    id: bytes
    worker: int
    outcome: Literal["done", "failed", "stopped"]


@dataclass(frozen=True, slots=True)
class Draining:
    """No more work is taken. `at_once` stops what runs and drops what waits."""

    at_once: bool


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""


Event: TypeAlias = (
    SessionOpened
    | SessionClosed
    | FrameSubmitted
    | JobSubmitted
    | CancelAsked
    | WorkerReady
    | WorkerLost
    | TurnWanted
    | TurnEnded
    | FrameEnded
    | JobProgressed
    | JobEnded
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
    """The job may paint this frame now."""

    job: bytes
    turn: int
    worker: int


@dataclass(frozen=True, slots=True)
class Stop:
    """Tell the worker to stop this request or job at its next cancel point; its end is still awaited.

    To wait for a turn is a cancel point: a job that was told to stop is granted none any more.
    """

    id: bytes
    worker: int


@dataclass(frozen=True, slots=True)
class KillWorker:
    """The worker made no progress on a turn for too long."""

    worker: int
    silent_s: float


@dataclass(frozen=True, slots=True)
class Wait:
    """Tell the client at which place of the queue its request is."""

    id: bytes
    session: bytes
    position: int


@dataclass(frozen=True, slots=True)
class Answer:
    """The worker's own answer is the terminal message: pass it on."""

    id: bytes
    session: bytes


@dataclass(frozen=True, slots=True)
class Refuse:
    """Terminal: the request is not taken."""

    id: bytes
    session: bytes
    why: Literal["busy", "credit", "draining", "quarantined", "lost", "no_device"]
    retry_after_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Cancelled:
    """Terminal: the request was taken back."""

    id: bytes
    session: bytes
    reason: Reason


@dataclass(frozen=True, slots=True)
class Expired:
    """Terminal: the deadline passed."""

    id: bytes
    session: bytes
    late_s: float


Instruction: TypeAlias = (
    StartFrame | StartJob | GrantTurn | Stop | KillWorker | Wait | Answer | Refuse | Cancelled | Expired
)
