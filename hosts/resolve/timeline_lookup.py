"""Finds the project, the timeline and the clips of a job, which may have moved while it was painted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Tuple

from impasto.hosts.bridge.errors import BridgeError
from impasto.hosts.bridge.ranges import FrameSpan
from impasto.hosts.resolve.api_checks import frame, items_of, must, tracks_of, unique_id
from impasto.hosts.resolve.job_record import SavedPiece, TimelineJob
from impasto.hosts.resolve.selection import Piece, extent

if TYPE_CHECKING:
    from fusionscript import Resolve, Timeline, TimelineItem

ProjectAndTimeline = Tuple[Any, Any]


def current(resolve: Resolve) -> ProjectAndTimeline:
    """The open project and timeline. BridgeError where there are none."""
    manager = must(resolve.GetProjectManager(), "give its project manager", "start Resolve again")
    project = must(manager.GetCurrentProject(), "have a project open", "open one")
    timeline = must(project.GetCurrentTimeline(), "have a timeline open", "open one on the Edit page")
    return project, timeline


def project_of(resolve: Resolve, job: TimelineJob) -> ProjectAndTimeline:
    """Project and timeline of a job. The timeline need not be open; BridgeError where the project is not."""
    project = current(resolve)[0]
    if unique_id(project) != job.project:
        raise BridgeError(
            f"expected the project '{job.project_name}' of this job, '{project.GetName()}' is open; "
            "open the other, then continue"
        )
    for index in range(1, int(project.GetTimelineCount() or 0) + 1):
        timeline = project.GetTimelineByIndex(index)
        if timeline is not None and timeline.GetUniqueId() == job.timeline:
            return project, timeline
    raise BridgeError(f"expected the timeline '{job.timeline_name}' of this job, it is gone; start anew")


def piece_of(timeline: Timeline, saved: SavedPiece) -> Piece:
    """The piece where it is now. BridgeError where its clip is gone, or was cut shorter."""
    frames = FrameSpan(saved.first, saved.last)
    if not saved.item:
        return Piece(saved.name, frames)
    item = _item(timeline, saved)
    if saved.anchor is None:
        return Piece(saved.name, frames, item, saved.left, saved.right)
    moved = anchor_of(item) - saved.anchor
    frames, clip = FrameSpan(saved.first + moved, saved.last + moved), extent(item)
    if frames.first < clip.first or frames.last > clip.last:
        raise BridgeError(f"expected all of '{saved.name}' on the timeline, it was cut shorter since; start anew")
    return Piece(saved.name, frames, item, saved.left, saved.right)


def anchor_of(item: TimelineItem) -> int:
    """Where on the timeline the first frame of a clip's media would lie; it moves with the clip."""
    return frame(item.GetStart) - frame(item.GetLeftOffset)


def _item(timeline: Timeline, saved: SavedPiece) -> TimelineItem:
    for track in range(1, tracks_of(timeline) + 1):
        for item in items_of(timeline, track):
            if item.GetUniqueId() == saved.item:
                return item
    raise BridgeError(f"expected the clip '{saved.name}' on the timeline, it is gone; start anew")
