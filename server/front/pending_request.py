"""A request under way, a frame request or a shot job: what the front knows of it, and what each kind must do.

`frames` and `shots` are the two kinds. A request never calls the table that holds it (`requests`). Its methods return
what the table must send, schedule or run in a thread.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

from impasto.core.errors import DeviceError, ImpastoError, InvalidRequest, ServerBusy, WorkerLost
from impasto.server.front.outbox import OnSent
from impasto.server.front.sessions import Session
from impasto.server.front.workers import Workers
from impasto.server.protocol import worker_messages
from impasto.server.protocol.codec import Part
from impasto.server.protocol.messages import Cancelled, ErrorFacts, Failed, FromServer, Slot, Terminal
from impasto.server.scheduler import events as plan

WorkerEnding: TypeAlias = (
    worker_messages.FramePainted | worker_messages.WorkFailed | worker_messages.WorkStopped | worker_messages.ShotEnded
)
ShotReport: TypeAlias = (
    worker_messages.ShotOpened | worker_messages.FramesSafe | worker_messages.TurnAsked | worker_messages.TurnOver
)


@dataclass(frozen=True, slots=True)
class Reply:
    """A terminal message, and the samples that go with it."""

    message: Terminal
    samples: Part | None = None
    sample_bytes: int = 0
    """Size of the samples before compression, for the counters."""
    detach: Callable[[], OnSent] | None = None
    """Gives the memory of the samples to the message, which frees it once it is sent."""


@dataclass(slots=True, eq=False, kw_only=True)
class PendingRequest(ABC):
    """A request or job under way, and all that the front knows of it."""

    is_job: ClassVar[bool] = False

    id: bytes
    session: Session
    digest: bytes
    """Hash of the header as it came. It tells another request under the same id from the same one again."""
    arrived_s: float
    label: str
    """Style and size, for the log."""
    workers: Workers
    device: str = ""
    """The device that was asked for; empty for any."""
    slot: Slot | None = None
    """The pair of the ring that it uses."""
    worker: int | None = None
    """The worker that it runs on."""
    attempt: int = 0
    queued_s: float = 0.0
    sent: bool = False
    """Whether it was sent to a worker."""
    stopping: bool = False
    ending: WorkerEnding | None = None
    """The message with which its worker ended it."""
    answered: bool = False
    """Whether the terminal message is in the outbox."""

    @property
    def staged_bytes(self) -> int:
        """Bytes of samples that came in the message, which the front holds until the client has the answer."""
        return 0

    @abstractmethod
    def submission(self) -> plan.SchedulerEvent:
        """The event by which the scheduler learns of it."""

    @abstractmethod
    def start(self) -> Callable[[], Any] | None:
        """Send it to its worker, or return a function that a thread must run before; `loaded` takes its result."""

    def loaded(self, result: Any) -> None:
        """Send it to its worker, with the result of the function that `start` returned."""
        raise NotImplementedError

    def discard(self, result: Any) -> None:
        """Give back the result of the function that `start` returned, which came too late."""
        raise NotImplementedError

    def stop(self) -> None:
        """Tell the worker to stop it. The worker still has to say that it ended."""
        self.stopping = True
        if self.worker is not None and self.sent:
            self.workers.send(self.worker, worker_messages.StopWork(self.id))

    @abstractmethod
    def reply(self) -> Reply | Callable[[], Reply]:
        """The answer to the client, or a function that makes it in a thread."""

    def cancelled(self, reason: plan.CancelReason) -> Cancelled:
        """The terminal message of a request that was cancelled."""
        return Cancelled(self.id, reason)

    def failed(self, error: ErrorFacts) -> Failed:
        """The terminal message of a request that ends with an error of the front's."""
        return Failed(self.id, error)

    @abstractmethod
    def release(self) -> None:
        """Give back its memory. It is called when nothing uses it any more."""

    def report(self, message: ShotReport, now: float) -> plan.SchedulerEvent | None:
        """Take a report of its worker. Returns the event for the scheduler, if there is one."""
        return None

    def messages_due(self, now: float, *, everything: bool = False) -> Iterable[FromServer]:
        """Take out the messages about its progress that are due."""
        return ()

    def next_message_s(self, now: float) -> float:
        """When `messages_due` has something to return; infinite for never."""
        return math.inf

    def messages_for_return(self) -> Iterable[FromServer]:
        """The messages for a client that asks for it again while it runs."""
        return ()


def refusal_of(why: plan.RefusalReason, request: PendingRequest) -> ImpastoError:
    """Why a request is refused, as the error that the client raises."""
    agreed = request.session.agreed
    refusals: dict[plan.RefusalReason, ImpastoError] = {
        "busy": ServerBusy("expected room in the server's queue, it is full; try again later"),
        "draining": ServerBusy("expected a server that stays, this one is shutting down; start another one"),
        "credit": InvalidRequest(
            f"expected at most {agreed.credit_frames} frames and {agreed.credit_bytes >> 20} MiB under way at once, "
            f"got more; wait for an answer before the next request"
        ),
        "quarantined": WorkerLost(
            "expected a worker to live through this request, but more than one died of it; it is not tried again for a "
            "while: try other settings, a smaller tile or a smaller picture"
        ),
        "lost": WorkerLost(
            "expected a worker to live through this request, but two died of it; try other settings, a smaller tile or "
            "a smaller picture, and see `impasto status` for how they died"
        ),
        "no_device": DeviceError(
            f"expected a device that the server works on, got '{request.device}'; see `impasto status` for those it "
            f"has, or name none"
        ),
    }
    return refusals[why]
