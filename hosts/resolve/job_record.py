"""What a job has come to, on disk beside its pictures: enough to go on where a closed host left it."""

from __future__ import annotations

import os
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Mapping

from impasto.hosts.bridge import jobs
from impasto.hosts.bridge.digest import digest_of
from impasto.hosts.bridge.errors import BridgeError
from impasto.hosts.bridge.ranges import FrameSpan
from impasto.hosts.resolve.rendered_files import Written
from impasto.hosts.resolve.request import Request, request_from

HOST = "resolve"


@dataclass(frozen=True)
class Part:
    """One piece of the timeline as it is noted: what it was, and how far it has come."""

    name: str
    first: int
    last: int
    left: int = 0
    right: int = 0
    item: str = ""
    """The clip's own id; empty for a stretch of the timeline."""
    anchor: int | None = None
    """Where on the timeline the first frame of the clip's media would lie, so that a clip is followed when it moves.
    None for a take, which is laid nowhere, and whose choice changes that frame."""
    pattern: str = ""
    """The plate's files, empty until they are there."""
    numbers: tuple[int, int] = (0, 0)
    timecode: str = ""
    placed: bool = False

    def plate(self) -> Written:
        """The rendered plate."""
        return Written(self.pattern, FrameSpan(*self.numbers))

    def painted(self) -> Written:
        """Where its painted frames are, number for number."""
        folder, name = os.path.split(self.pattern)
        return Written(os.path.join(folder, "painted", name.replace("plate_", "painted_", 1)), FrameSpan(*self.numbers))


@dataclass(frozen=True)
class Order:
    """Everything that a job needs to be taken up again."""

    request: Request
    project: str
    project_name: str
    timeline: str
    timeline_name: str
    space: str
    said: str
    clip: Mapping[str, str]
    rate: str
    parts: tuple[Part, ...]
    kept: Mapping[str, Any] = field(default_factory=dict)
    """The user's render settings while they are not as they were."""

    def with_part(self, index: int, **changes: Any) -> Order:
        """The order with one of its parts changed."""
        parts = list(self.parts)
        parts[index] = replace(parts[index], **changes)
        return replace(self, parts=tuple(parts))


def new_id(project: str, timeline: str) -> str:
    """A name for a job that sorts by time."""
    return "{}-{}".format(time.strftime("%Y%m%d-%H%M%S"), digest_of([project, timeline, time.time(), os.getpid()])[:6])


class Record:
    """A job's file. Each change is on disk when the call returns; BridgeError where it cannot be written."""

    def __init__(self, folder: Path, id: str, order: Order) -> None:
        self.folder, self.id, self.order = folder, id, order

    def note(self, state: str, order: Order | None = None, message: str = "") -> None:
        """Remember how far the job is."""
        self.order = self.order if order is None else order
        facts = asdict(self.order)
        done = sum(part.placed for part in self.order.parts)
        job = jobs.HostJob(self.id, HOST, state, self.order.timeline_name, facts, done, len(self.order.parts), message)
        try:
            jobs.store(job, self.folder)
        except OSError as error:
            raise BridgeError(
                f"expected to write into '{self.folder}', got: {error}; free some space or choose another folder"
            ) from error


def open_jobs(root: Path) -> list[jobs.HostJob]:
    """Jobs that can be taken up again, newest first: their host went away, they failed, or they were stopped."""
    found = []
    for path in root.glob("*/" + jobs.NAME):  # not below: each holds thousands of frames
        job = jobs.load(path.parent)
        if job is not None and job.host == HOST and _can_go_on(job):
            found.append(job)
    return sorted(found, key=lambda job: job.id, reverse=True)


def _can_go_on(job: jobs.HostJob) -> bool:
    return job.state in ("failed", "cancelled") or (job.state in jobs.OPEN and not jobs.alive(job))


def record_of(job: jobs.HostJob, root: Path) -> Record:
    """The record of a job that is taken up again. BridgeError for one that was written by another version."""
    facts: dict[str, Any] = dict(job.resume_data)
    try:
        parts = tuple(Part(**dict(each, numbers=tuple(each["numbers"]))) for each in facts.pop("parts"))
        order = Order(request=request_from(facts.pop("request")), parts=parts, **facts)
    except (KeyError, TypeError) as error:
        raise BridgeError(
            f"expected the record of job '{job.id}' as this version writes it, {error} is amiss; start the job anew"
        ) from error
    return Record(root / job.id, job.id, order)


def forget_job(job: jobs.HostJob, root: Path) -> None:
    """Offer a job no more. Its pictures stay."""
    (root / job.id / jobs.NAME).unlink()
