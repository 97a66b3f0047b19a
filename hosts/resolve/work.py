"""One job from the timeline to the timeline: render, paint, place. Then it ends, and Resolve's executor is free."""

from __future__ import annotations

import glob
import os
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Mapping, Tuple

from impasto.hosts.bridge.command import Command
from impasto.hosts.bridge.errors import BridgeError
from impasto.hosts.bridge.ranges import FrameRange
from impasto.hosts.resolve import placing
from impasto.hosts.resolve.answers import identity, items_of, must, tracks_of
from impasto.hosts.resolve.colour import picture_colour
from impasto.hosts.resolve.deliver import deliver
from impasto.hosts.resolve.front import Stopped
from impasto.hosts.resolve.kept import RenderSettings, put_render_settings_back, render_settings_kept, view_kept
from impasto.hosts.resolve.painting import paint
from impasto.hosts.resolve.record import Order, Part, Record, new_id
from impasto.hosts.resolve.request import Request
from impasto.hosts.resolve.selection import Piece, pieces_of
from impasto.hosts.resolve.takes import make_take

if TYPE_CHECKING:
    from fusionscript import Project, Resolve, Timeline, TimelineItem

    from impasto.hosts.resolve.front import Front

Here = Tuple[Any, Any]
"""Project and timeline."""


def begin(resolve: Resolve, request: Request, front: Front) -> Record:
    """Find out what is meant and note it; nothing has been changed yet."""
    project, timeline = current(resolve)
    if project.IsRenderingInProgress():
        raise BridgeError(
            "expected Resolve to be at rest, it is rendering; wait for it, or stop it on the Deliver page"
        )
    colour = picture_colour(lambda key: _setting(project, timeline, key), request.input_space)
    front.say(f"colours of the picture: {colour.said} -> {colour.space}")
    pieces = pieces_of(timeline, request)
    rate = str(
        must(timeline.GetSetting("timelineFrameRate"), "say the frame rate", "set it in the timeline's settings")
    )
    parts = tuple(
        Part(
            each.name, each.frames.first, each.frames.last, each.left, each.right,
            identity(each.item) if each.item is not None else "",
            timecode=placing.source_timecode(timeline, each, rate),
        )
        for each in pieces
    )  # fmt: skip
    project_id, timeline_id = identity(project), identity(timeline)
    order = Order(
        request, project_id, project.GetName(), timeline_id, timeline.GetName(), colour.space, colour.said,
        dict(colour.clip), rate, parts,
    )  # fmt: skip
    id = new_id(project_id, timeline_id)
    record = Record(request.root() / id, id, order)
    record.note("writing")
    return record


def carry_out(resolve: Resolve, record: Record, front: Front, command: Command | None = None) -> None:
    """Do what is left of a job. BridgeError or Stopped where it does not come to its end; then it can be continued."""
    try:
        project, timeline = _theirs(resolve, record.order)
        with view_kept(resolve, project, front.say):
            _render_plates(project, timeline, record, front)
            paint(record, front, command)
            _place(project, timeline, record, front)
    except Stopped:
        record.note("cancelled", message="stopped")
        raise
    except BridgeError as error:
        record.note("failed", message=str(error))
        raise
    record.note("done")


def current(resolve: Resolve) -> Here:
    """Project and timeline that are open. BridgeError where there are none."""
    manager = must(resolve.GetProjectManager(), "give its project manager", "start Resolve again")
    project = must(manager.GetCurrentProject(), "have a project open", "open one")
    timeline = must(project.GetCurrentTimeline(), "have a timeline open", "open one on the Edit page")
    return project, timeline


def _theirs(resolve: Resolve, order: Order) -> Here:
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


def _setting(project: Project, timeline: Timeline, key: str) -> object:
    """A setting where it is made: timelines may have their own, and others answer nothing."""
    return timeline.GetSetting(key) or project.GetSetting(key)


def _render_plates(project: Project, timeline: Timeline, record: Record, front: Front) -> None:
    if record.order.kept:
        # A run before this one did not live to do it.
        put_render_settings_back(project, timeline, RenderSettings(**record.order.kept), front.say)
        record.note("writing", replace(record.order, kept={}))
    if all(part.pattern for part in record.order.parts):
        return
    try:
        with render_settings_kept(project, timeline, f"impasto {record.id}", front.say) as kept:
            record.note("writing", replace(record.order, kept=asdict(kept)))
            for index, part in enumerate(record.order.parts):
                if not part.pattern:
                    _render_plate(project, timeline, record, index, front)
    finally:
        # They are back; only a run that ends here and now leaves them to the next.
        record.order = replace(record.order, kept={})


def _render_plate(project: Project, timeline: Timeline, record: Record, index: int, front: Front) -> None:
    folder = str(record.folder / f"plate{index + 1:02d}")
    for stale in glob.glob(os.path.join(glob.escape(folder), "*.exr")):
        os.unlink(stale)  # of a render that was cut off; the folder is ours
    piece = _piece(timeline, record.order.parts[index])
    plate = deliver(project, timeline, piece, folder, f"impasto {record.id}", front)
    numbers = (plate.numbers.first, plate.numbers.last)
    record.note("writing", record.order.with_part(index, pattern=plate.pattern, numbers=numbers))


def _place(project: Project, timeline: Timeline, record: Record, front: Front) -> None:
    record.note("placing")
    pool = must(project.GetMediaPool(), "give the media pool", "open the project again")
    for index, part in enumerate(record.order.parts):
        if part.placed:
            continue
        if front.stopped():
            raise Stopped
        front.tell(index / len(record.order.parts), f"placing {part.name}")
        piece = _piece(timeline, part)
        clip = placing.import_result(pool, part.painted())
        try:
            timecode = {"Start TC": part.timecode} if part.timecode else {}
            wanted = {name: value for name, value in timecode.items() if clip.GetClipProperty(name) != value}
            placing.state_facts(clip, dict(wanted, **record.order.clip), front.say)
            if record.order.request.place == "take":
                make_take(clip, piece)
            else:
                placing.lay_above(project, timeline, clip, piece)
        except BridgeError:
            placing.forget(pool, clip)
            raise
        # Placed is placed: were it noted after the marker, a second run might lay it twice.
        record.note("placing", record.order.with_part(index, placed=True))
        placing.mark(timeline, piece, f"{record.order.request.style} on {part.name}", _facts(record, part), front.say)
    front.tell(1.0, "done")


def _facts(record: Record, part: Part) -> Mapping[str, Any]:
    """What the marker says of a painted part, for programs."""
    request = record.order.request
    return {
        "job": record.id,
        "style": request.style,
        "params": dict(request.params),
        "space": record.order.space,
        "files": part.painted().pattern,
        "handles": [part.left, part.right],
    }


def _piece(timeline: Timeline, part: Part) -> Piece:
    frames = FrameRange(part.first, part.last)
    return Piece(part.name, frames, _item(timeline, part) if part.item else None, part.left, part.right)


def _item(timeline: Timeline, part: Part) -> TimelineItem:
    for track in range(1, tracks_of(timeline) + 1):
        for item in items_of(timeline, track):
            if item.GetUniqueId() == part.item:
                return item
    raise BridgeError(f"expected the clip '{part.name}' on the timeline, it is gone; start anew")
