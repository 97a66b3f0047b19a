"""One job from the timeline to the timeline: render, paint, place. Then the script ends, and Resolve can run others."""

from __future__ import annotations

import glob
import os
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Mapping

from impasto.hosts.bridge.command import Command
from impasto.hosts.bridge.errors import BridgeError
from impasto.hosts.resolve import timeline_placement
from impasto.hosts.resolve.api_checks import must, setting, unique_id
from impasto.hosts.resolve.colour import picture_colour
from impasto.hosts.resolve.deliver import deliver
from impasto.hosts.resolve.job_record import JobRecord, SavedPiece, TimelineJob, new_id, open_jobs
from impasto.hosts.resolve.painting import paint
from impasto.hosts.resolve.render_settings import (
    DeliverSettings,
    deliver_settings_restored,
    hide_own_tracks,
    restore_deliver_settings,
    view_restored,
)
from impasto.hosts.resolve.request import Request
from impasto.hosts.resolve.selection import Piece, above, pieces_of
from impasto.hosts.resolve.takes import make_take
from impasto.hosts.resolve.timeline_lookup import anchor_of, current, piece_of, project_of
from impasto.hosts.resolve.ui import JobStopped

if TYPE_CHECKING:
    from fusionscript import Project, Resolve, Timeline

    from impasto.hosts.resolve.ui import UserInterface


def begin(resolve: Resolve, request: Request, ui: UserInterface) -> JobRecord:
    """Find out what the request means on the open timeline, and store it. Changes nothing in Resolve."""
    project, timeline = current(resolve)
    _require_idle(project)
    colour = picture_colour(lambda key: setting(project, timeline, key), request.input_space)
    ui.say(f"colours of the picture: {colour.text} -> {colour.space}")
    pieces = pieces_of(timeline, request)
    for piece in pieces:
        _check_above(timeline, piece, request, ui)
    rate = str(
        must(setting(project, timeline, "timelineFrameRate"), "say the frame rate", "set it in the timeline's settings")
    )
    saved = tuple(
        SavedPiece(
            each.name, each.frames.first, each.frames.last, each.left, each.right,
            unique_id(each.item) if each.item is not None else "",
            anchor_of(each.item) if each.item is not None and request.place == "track" else None,
            timecode=timeline_placement.source_timecode(timeline, each, rate),
        )
        for each in pieces
    )  # fmt: skip
    project_id, timeline_id = unique_id(project), unique_id(timeline)
    for earlier in open_jobs(request.root()):
        changed = earlier.resume_data.get("deliver_settings")
        if changed and earlier.resume_data.get("project") == project_id:
            ui.say(
                f"the job {earlier.id} was cut off while your render settings were changed: continue it, or load the "
                "preset '{}' on the Deliver page".format(changed.get("preset", ""))
            )
    job = TimelineJob(
        request, project_id, project.GetName(), timeline_id, timeline.GetName(), colour.space,
        dict(colour.clip_properties), rate, saved,
    )  # fmt: skip
    id = new_id(project_id, timeline_id)
    record = JobRecord(request.root() / id, id, job)
    record.store("writing")
    return record


def carry_out(resolve: Resolve, record: JobRecord, ui: UserInterface, command: Command | None = None) -> None:
    """Do what is left of a job. After BridgeError or JobStopped it can be continued."""
    try:
        project, timeline = project_of(resolve, record.job)
        if any(not saved.pattern for saved in record.job.pieces) or record.job.deliver_settings:
            with view_restored(resolve, project, ui.say):
                _render_plates(project, timeline, record, ui)
        # While painting runs, the editor may open something else; that view is restored afterwards.
        paint(record, ui, command)
        project, timeline = project_of(resolve, record.job)
        with view_restored(resolve, project, ui.say):
            # On some other pages nothing can be deleted from a timeline. Where nothing has to be, any page works.
            resolve.OpenPage("edit")
            _place(project, timeline, record, ui)
    except JobStopped:
        record.store("cancelled", message="stopped")
        raise
    except Exception as error:  # also Resolve's own: its process goes on, and the job must not seem to
        record.store("failed", message=str(error))
        raise
    record.store("done")


def _check_above(timeline: Timeline, piece: Piece, request: Request, ui: UserInterface) -> None:
    """Say what lies over a clip and is painted with it; BridgeError for a take, where it would be there twice."""
    if piece.item is None or piece.left or piece.right:
        return  # with handles, the clip is rendered alone
    names = above(timeline, piece)
    if names and request.place == "take":
        raise BridgeError(
            f"expected nothing over '{piece.name}' for a take, '{names[0]}' would be painted into it; disable its "
            "track for the time, ask for handles, or choose the track"
        )
    if names:
        ui.say("over '{}' lies '{}', which is painted with it".format(piece.name, "', '".join(names)))


def _require_idle(project: Project) -> None:
    """BridgeError while Resolve renders, because the settings of that render must not change."""
    if project.IsRenderingInProgress():
        raise BridgeError(
            "expected Resolve to be at rest, it is rendering; wait for it, or stop it on the Deliver page"
        )


def _render_plates(project: Project, timeline: Timeline, record: JobRecord, ui: UserInterface) -> None:
    _require_idle(project)
    if record.job.deliver_settings:
        # An earlier run was killed before it could restore them.
        restore_deliver_settings(project, timeline, DeliverSettings(**record.job.deliver_settings), ui.say)
        record.store("writing", replace(record.job, deliver_settings={}))
    if all(saved.pattern for saved in record.job.pieces):
        return
    try:
        with deliver_settings_restored(project, timeline, f"impasto {record.id}", ui.say) as settings:
            record.store("writing", replace(record.job, deliver_settings=asdict(settings)))
            hide_own_tracks(timeline, settings)
            for index, saved in enumerate(record.job.pieces):
                if not saved.pattern:
                    _render_plate(project, timeline, record, index, ui)
    finally:
        # They are restored. Only a run that is killed before this line leaves them to the next one.
        record.job = replace(record.job, deliver_settings={})


def _render_plate(project: Project, timeline: Timeline, record: JobRecord, index: int, ui: UserInterface) -> None:
    folder = str(record.folder / f"plate{index + 1:02d}")
    for stale in glob.glob(os.path.join(glob.escape(folder), "*.exr")):
        os.unlink(stale)  # of a render that was cut off; the folder is ours
    piece = piece_of(timeline, record.job.pieces[index])
    plate = deliver(project, timeline, piece, folder, f"impasto {record.id}", ui)
    numbers = (plate.numbers.first, plate.numbers.last)
    record.store("writing", record.job.with_piece(index, pattern=plate.pattern, numbers=numbers))


def _place(project: Project, timeline: Timeline, record: JobRecord, ui: UserInterface) -> None:
    record.store("placing")
    pool = must(project.GetMediaPool(), "give the media pool", "open the project again")
    for index, saved in enumerate(record.job.pieces):
        if saved.placed:
            continue
        if ui.stop_requested():
            raise JobStopped
        ui.show_progress(index / len(record.job.pieces), f"placing {saved.name}")
        piece = piece_of(timeline, saved)
        clip = timeline_placement.import_result(pool, saved.painted())
        wanted = timeline_placement.clip_properties(clip, saved.timecode, record.job.rate)
        timeline_placement.set_properties(clip, dict(wanted, **record.job.clip_properties), ui.say)
        if record.job.request.place == "take":
            make_take(clip, piece)
        else:
            timeline_placement.place_above(project, timeline, clip, piece)
        # Stored before the marker is set, so that a second run never places it twice.
        record.store("placing", record.job.with_piece(index, placed=True))
        note = f"{record.job.request.style} on {saved.name}"
        timeline_placement.add_marker(timeline, piece, note, _facts(record, saved), ui.say)
    ui.show_progress(1.0, "done")


def _facts(record: JobRecord, saved: SavedPiece) -> Mapping[str, Any]:
    """The data of a marker, for programs."""
    request = record.job.request
    return {
        "job": record.id,
        "style": request.style,
        "params": dict(request.params),
        "space": record.job.space,
        "files": saved.painted().pattern,
        "handles": [saved.left, saved.right],
    }
