"""The workers as the scheduler keeps them, and the frame tasks that they run."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from impasto.server.protocol.field_types import Lane

Target: TypeAlias = str | int
"""Where a task may run: '' or 'auto' anywhere, a device or family of devices ('cuda:1', 'cuda'), or one worker."""

WARM_STYLES: Final = 4
"""Styles that a worker ran last and that are taken to be warm there."""


@dataclass(slots=True, eq=False)
class ScheduledFrame:
    """One frame that waits for a worker or is on one."""

    owner: bytes
    """The request or job."""
    number: int
    """The job's own count; 0 for a frame request."""
    user: str
    lane: Lane
    style: str
    target: Target
    megapixels: float
    order: int
    """Unique; a lower one came before."""
    since: float
    """When it began to wait."""
    alone: bool = False
    """It may be what killed a worker: no other task runs beside it."""
    worker: int | None = None
    """Where it runs; None while it waits."""
    started: float = 0.0
    moved: float = 0.0
    """When it last made progress."""


@dataclass(slots=True, eq=False)
class Worker:
    """A worker, what it runs and what it ran lately."""

    number: int
    device: str
    depth: int
    tasks: dict[int, ScheduledFrame] = field(default_factory=dict)
    """What runs, by `ScheduledFrame.order`."""
    jobs: set[bytes] = field(default_factory=set)
    reserved: ScheduledFrame | None = None
    """A task that is to run alone and starts once the others have ended."""
    hung: frozenset[bytes] | None = None
    """Owners of the tasks that hung when the worker was to be killed; None: it was not."""
    warm: OrderedDict[str, None] = field(default_factory=OrderedDict)
    targets: tuple[Target, ...] = field(init=False)
    """Every target that means this worker."""

    def __post_init__(self) -> None:
        self.targets = "", "auto", self.number, *names_of(self.device)

    @property
    def is_alone(self) -> bool:
        """Whether a task runs here that none may run beside."""
        return bool(self.tasks) and any(task.alone for task in self.tasks.values())

    @property
    def takes_tasks(self) -> bool:
        """Whether another task may start here now."""
        return len(self.tasks) < self.depth and self.reserved is None and self.hung is None and not self.is_alone

    @property
    def takes_jobs(self) -> bool:
        """Whether a job may come here now, as far as its tasks are concerned."""
        return self.reserved is None and self.hung is None and not self.is_alone

    def used(self, style: str) -> None:
        """Note that a style runs here, and so is warm."""
        self.warm[style] = None
        self.warm.move_to_end(style)
        if len(self.warm) > WARM_STYLES:
            self.warm.popitem(last=False)


def names_of(device: str) -> tuple[str, ...]:
    """The names by which a device may be asked for: its own and its family's ('cuda:1' → 'cuda:1', 'cuda')."""
    return tuple(dict.fromkeys((device, device.partition(":")[0])))
