"""One job from the timeline to the timeline: render, paint, place. Then it ends, and Resolve's executor is free."""

from __future__ import annotations

import glob
import os
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Mapping

from impasto.hosts.bridge.command import Command
from impasto.hosts.bridge.errors import BridgeError
from impasto.hosts.resolve import timeline_placement
from impasto.hosts.resolve.api_checks import identity, must, setting
from impasto.hosts.resolve.colour import picture_colour
from impasto.hosts.resolve.deliver import deliver
from impasto.hosts.resolve.job_record import Order, Part, Record, new_id, open_jobs
from impasto.hosts.resolve.painting import paint
from impasto.hosts.resolve.render_settings import (
    RenderSettings,
    hide_own_tracks,
    put_render_settings_back,
    render_settings_kept,
    view_kept,
)
from impasto.hosts.resolve.request import Request
from impasto.hosts.resolve.selection import Piece, above, pieces_of
from impasto.hosts.resolve.takes import make_take
from impasto.hosts.resolve.timeline_lookup import anchor_of, current, piece_of, project_of
from impasto.hosts.resolve.ui import Stopped

if TYPE_CHECKING:
    from fusionscript import Project, Resolve, Timeline

    from impasto.hosts.resolve.ui import Front


def begin(resolve: Resolve, request: Request, front: Front) -> Record:
    """Find out what is meant and note it; nothing has been changed yet."""
    project, timeline = current(resolve)
    _must_rest(project)
    colour = picture_colour(lambda key: setting(project, timeline, key), request.input_space)
    front.say(f"colours of the picture: {colour.said} -> {colour.space}")
    pieces = pieces_of(timeline, request)
    for piece in pieces:
        _look_above(timeline, piece, request, front)
    rate = str(
        must(setting(project, timeline, "timelineFrameRate"), "say the frame rate", "set it in the timeline's settings")
    )
    parts = tuple(
        Part(
            each.name, each.frames.first, each.frames.last, each.left, each.right,
            identity(each.item) if each.item is not None else "",
            anchor_of(each.item) if each.item is not None and request.place == "track" else None,
            timecode=timeline_placement.source_timecode(timeline, each, rate),
        )
        for each in pieces
    )  # fmt: skip
    project_id, timeline_id = identity(project), identity(timeline)
    for job in open_jobs(request.root()):
        if job.resume_data.get("kept") and job.resume_data.get("project") == project_id:
            front.say(
                f"the job {job.id} was cut off while your render settings were changed: continue it, or load the "
                "preset '{}' on the Deliver page".format(job.resume_data["kept"].get("preset", ""))
            )
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
        project, timeline = project_of(resolve, record.order)
        if any(not part.pattern for part in record.order.parts) or record.order.kept:
            with view_kept(resolve, project, front.say):
                _render_plates(project, timeline, record, front)
        # Meanwhile Resolve is the editor's, who may open something else; it is their view that is kept afterwards.
        paint(record, front, command)
        project, timeline = project_of(resolve, record.order)
        with view_kept(resolve, project, front.say):
            # On some of the others nothing can be taken off a timeline. Where nothing needs to be, any page will do.
            resolve.OpenPage("edit")
            _place(project, timeline, record, front)
    except Stopped:
        record.note("cancelled", message="stopped")
        raise
    except Exception as error:  # Resolve's own among them: its process lives on, and the job must not seem to
        record.note("failed", message=str(error))
        raise
    record.note("done")


def _look_above(timeline: Timeline, piece: Piece, request: Request, front: Front) -> None:
    """Say what lies over a clip and is painted with it; BridgeError for a take, over which it would lie once more."""
    if piece.item is None or piece.left or piece.right:
        return  # handles are rendered of the clip alone
    names = above(timeline, piece)
    if names and request.place == "take":
        raise BridgeError(
            f"expected nothing over '{piece.name}' for a take, '{names[0]}' would be painted into it; disable its "
            "track for the time, ask for handles, or choose the track"
        )
    if names:
        front.say("over '{}' lies '{}', which is painted with it".format(piece.name, "', '".join(names)))


def _must_rest(project: Project) -> None:
    """BridgeError while Resolve renders: what a user's render is made with must not be touched."""
    if project.IsRenderingInProgress():
        raise BridgeError(
            "expected Resolve to be at rest, it is rendering; wait for it, or stop it on the Deliver page"
        )


def _render_plates(project: Project, timeline: Timeline, record: Record, front: Front) -> None:
    _must_rest(project)
    if record.order.kept:
        # A run before this one did not live to do it.
        put_render_settings_back(project, timeline, RenderSettings(**record.order.kept), front.say)
        record.note("writing", replace(record.order, kept={}))
    if all(part.pattern for part in record.order.parts):
        return
    try:
        with render_settings_kept(project, timeline, f"impasto {record.id}", front.say) as kept:
            record.note("writing", replace(record.order, kept=asdict(kept)))
            hide_own_tracks(timeline, kept)
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
    piece = piece_of(timeline, record.order.parts[index])
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
        piece = piece_of(timeline, part)
        clip = timeline_placement.import_result(pool, part.painted())
        wanted = timeline_placement.clip_facts(clip, part.timecode, record.order.rate)
        timeline_placement.state_facts(clip, dict(wanted, **record.order.clip), front.say)
        if record.order.request.place == "take":
            make_take(clip, piece)
        else:
            timeline_placement.lay_above(project, timeline, clip, piece)
        # Placed is placed: were it noted after the marker, a second run might lay it twice.
        record.note("placing", record.order.with_part(index, placed=True))
        timeline_placement.mark(
            timeline, piece, f"{record.order.request.style} on {part.name}", _facts(record, part), front.say
        )
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
