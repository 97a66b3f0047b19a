"""Where the project, the timeline and the clips of a job are now: an editor works on while it is painted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Tuple

from impasto.hosts.bridge.errors import BridgeError
from impasto.hosts.bridge.ranges import FrameSpan
from impasto.hosts.resolve.api_checks import frame, identity, items_of, must, tracks_of
from impasto.hosts.resolve.job_record import Order, Part
from impasto.hosts.resolve.selection import Piece, extent

if TYPE_CHECKING:
    from fusionscript import Resolve, Timeline, TimelineItem

Here = Tuple[Any, Any]
"""Project and timeline."""


def current(resolve: Resolve) -> Here:
    """Project and timeline that are open. BridgeError where there are none."""
    manager = must(resolve.GetProjectManager(), "give its project manager", "start Resolve again")
    project = must(manager.GetCurrentProject(), "have a project open", "open one")
    timeline = must(project.GetCurrentTimeline(), "have a timeline open", "open one on the Edit page")
    return project, timeline


def project_of(resolve: Resolve, order: Order) -> Here:
    """Project and timeline of a job, which need not be the ones that are open now."""
    project = current(resolve)[0]
    if identity(project) != order.project:
        raise BridgeError(
            f"expected the project '{order.project_name}' of this job, '{project.GetName()}' is open; "
            "open the other, then continue"
        )
    for index in range(1, int(project.GetTimelineCount() or 0) + 1):
        timeline = project.GetTimelineByIndex(index)
        if timeline is not None and timeline.GetUniqueId() == order.timeline:
            return project, timeline
    raise BridgeError(f"expected the timeline '{order.timeline_name}' of this job, it is gone; start anew")


def piece_of(timeline: Timeline, part: Part) -> Piece:
    """The part where it is now. BridgeError where its clip is gone, or was cut shorter."""
    frames = FrameSpan(part.first, part.last)
    if not part.item:
        return Piece(part.name, frames)
    item = _item(timeline, part)
    if part.anchor is None:
        return Piece(part.name, frames, item, part.left, part.right)
    moved = anchor_of(item) - part.anchor
    frames, lies = FrameSpan(part.first + moved, part.last + moved), extent(item)
    if frames.first < lies.first or frames.last > lies.last:
        raise BridgeError(f"expected all of '{part.name}' on the timeline, it was cut shorter since; start anew")
    return Piece(part.name, frames, item, part.left, part.right)


def anchor_of(item: TimelineItem) -> int:
    """Where on the timeline the first frame of a clip's media would lie; it moves with the clip."""
    return frame(item.GetStart) - frame(item.GetLeftOffset)


def _item(timeline: Timeline, part: Part) -> TimelineItem:
    for track in range(1, tracks_of(timeline) + 1):
        for item in items_of(timeline, track):
            if item.GetUniqueId() == part.item:
                return item
    raise BridgeError(f"expected the clip '{part.name}' on the timeline, it is gone; start anew")
