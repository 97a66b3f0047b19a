"""How far a job is, on disk beside its pictures: enough to continue it after the host was closed."""

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
from impasto.hosts.resolve.rendered_files import ImageSequence
from impasto.hosts.resolve.request import Request, request_from

HOST = "resolve"


@dataclass(frozen=True)
class SavedPiece:
    """One piece of the timeline as the record holds it: where it was, and how far it is."""

    name: str
    first: int
    last: int
    left: int = 0
    right: int = 0
    item: str = ""
    """The id of the clip; empty for a stretch of the timeline."""
    anchor: int | None = None
    """Where on the timeline the first frame of the clip's media would lie; it moves with the clip, so that the clip is
    found after a move. None for a take, which has no place of its own on the timeline and may change that frame."""
    pattern: str = ""
    """The plate's files, empty until they exist."""
    numbers: tuple[int, int] = (0, 0)
    timecode: str = ""
    placed: bool = False

    def plate(self) -> ImageSequence:
        """The rendered plate."""
        return ImageSequence(self.pattern, FrameSpan(*self.numbers))

    def painted(self) -> ImageSequence:
        """The painted frames, with the numbers of the plate."""
        folder, name = os.path.split(self.pattern)
        painted = os.path.join(folder, "painted", name.replace("plate_", "painted_", 1))
        return ImageSequence(painted, FrameSpan(*self.numbers))


@dataclass(frozen=True)
class TimelineJob:
    """Everything that is needed to continue a job."""

    request: Request
    project: str
    project_name: str
    timeline: str
    timeline_name: str
    space: str
    """The colour space of plate and result."""
    clip_properties: Mapping[str, str]
    """Properties by which Resolve reads a file in that space correctly."""
    rate: str
    pieces: tuple[SavedPiece, ...]
    deliver_settings: Mapping[str, Any] = field(default_factory=dict)
    """The user's render settings, while they are changed."""

    def with_piece(self, index: int, **changes: Any) -> TimelineJob:
        """The job with one of its pieces changed."""
        pieces = list(self.pieces)
        pieces[index] = replace(pieces[index], **changes)
        return replace(self, pieces=tuple(pieces))


def new_id(project: str, timeline: str) -> str:
    """A name for a job that sorts by time."""
    return "{}-{}".format(time.strftime("%Y%m%d-%H%M%S"), digest_of([project, timeline, time.time(), os.getpid()])[:6])


class JobRecord:
    """A job and its file. A change is on disk when the call returns; BridgeError where it cannot be written."""

    def __init__(self, folder: Path, id: str, job: TimelineJob) -> None:
        self.folder, self.id, self.job = folder, id, job

    def store(self, state: str, job: TimelineJob | None = None, message: str = "") -> None:
        """Write the state of the job, and the job itself where it changed."""
        self.job = self.job if job is None else job
        done, count = sum(saved.placed for saved in self.job.pieces), len(self.job.pieces)
        try:
            jobs.store(
                jobs.HostJob(self.id, HOST, state, self.job.timeline_name, asdict(self.job), done, count, message),
                self.folder,
            )
        except OSError as error:
            raise BridgeError(
                f"expected to write into '{self.folder}', got: {error}; free some space or choose another folder"
            ) from error


def open_jobs(root: Path) -> list[jobs.HostJob]:
    """Jobs that can be continued, newest first: they failed, were stopped, or their host was closed."""
    found = []
    for path in root.glob("*/" + jobs.NAME):  # no deeper: each folder holds thousands of frames
        job = jobs.load(path.parent)
        if job is not None and job.host == HOST and (job.state in ("failed", "cancelled") or jobs.cut_off(job)):
            found.append(job)
    return sorted(found, key=lambda job: job.id, reverse=True)


def unusable_jobs(root: Path) -> list[str]:
    """A sentence on each job file that cannot be used, which `open_jobs` leaves out."""
    return [problem for problem in map(jobs.problem_of, sorted(root.iterdir())) if problem] if root.is_dir() else []


def record_of(job: jobs.HostJob, root: Path) -> JobRecord:
    """The record of a job to continue. BridgeError for one that another version wrote."""
    facts: dict[str, Any] = dict(job.resume_data)
    try:
        pieces = tuple(SavedPiece(**dict(each, numbers=tuple(each["numbers"]))) for each in facts.pop("pieces"))
        found = TimelineJob(request=request_from(facts.pop("request")), pieces=pieces, **facts)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise BridgeError(
            f"expected the record of job '{job.id}' as this version writes it, {error} is amiss; start the job anew"
        ) from error
    return JobRecord(root / job.id, job.id, found)


def forget_job(job: jobs.HostJob, root: Path) -> None:
    """Do not offer a job again. Its pictures stay."""
    (root / job.id / jobs.NAME).unlink()
