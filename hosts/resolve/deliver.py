"""A stretch of the timeline as half-float EXR files, by a render job of Resolve's own."""

from __future__ import annotations

import os
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Iterator, Mapping

from impasto.hosts.bridge.errors import BridgeError
from impasto.hosts.bridge.ranges import FrameRange
from impasto.hosts.resolve.answers import frame, insist, is_no, items_of, must
from impasto.hosts.resolve.front import Front, Stopped
from impasto.hosts.resolve.selection import Piece
from impasto.hosts.resolve.written import Written, written

if TYPE_CHECKING:
    from fusionscript import MediaPoolClipInfo, Project, RenderSettings, Timeline, TimelineItem

FORMAT = "exr"
CODECS = ("RGBHalfZIP", "RGBHalfPIZ", "RGBHalf", "RGBFloatZIP", "RGBFloat")
"""In this order, whichever there are: half float keeps all that a grade has, and zip loses nothing."""
LOOK_S = 0.3
QUIET_LOOKS = 10
"""So often nothing may be in progress before a job that never said so is taken for ended: it starts a while after
it was asked to, and the words of its state are in the language of the interface."""
ENDED = ("Complete", "Failed", "Cancelled")


def deliver(project: Project, timeline: Timeline, piece: Piece, folder: str, name: str, front: Front) -> Written:
    """Render a piece with its handles into a folder. The render settings are changed; see `kept`.

    `name` begins the names of whatever is made in the project for a while.
    """
    os.makedirs(folder, exist_ok=True)
    with _rendered_timeline(project, timeline, piece, name) as (shown, frames):
        _set_up(project, shown, frames, folder)
        job = must(project.AddRenderJob(), "add a render job", f"look whether the folder '{folder}' can be written")
        ended = False
        try:
            must(project.StartRendering([job], False), "start the render job", "look at the Deliver page")
            _wait(project, job, front)
            ended = True
        finally:
            if not ended:
                project.StopRendering()
            # Also when it never started: the queue is the user's.
            insist(lambda: project.DeleteRenderJob(job))
    return written(folder, frames.count)


def _set_up(project: Project, timeline: Timeline, frames: FrameRange, folder: str) -> None:
    do = "look at the Deliver page, where the format EXR must be offered"
    codecs = must(project.GetRenderCodecs(FORMAT), "list its EXR codecs", do)
    codec = next((each for each in CODECS if each in codecs.values()), "")
    if not codec:
        raise BridgeError(
            "expected an EXR codec among {}, Resolve offers {}; {}".format(
                ", ".join(CODECS), ", ".join(codecs.values()), do
            )
        )
    must(project.SetCurrentRenderFormatAndCodec(FORMAT, codec), f"render EXR with {codec}", do)
    must(project.SetCurrentRenderMode(1), "render a single clip", do)
    # A part of the keys is enough for Resolve; the stubs know the whole dictionary alone. The tests check the keys.
    settings: RenderSettings = {  # type: ignore[typeddict-item]
        "SelectAllFrames": False,
        "MarkIn": frames.first,
        "MarkOut": frames.last,
        "TargetDir": folder,
        "CustomName": "plate_",
        "ExportVideo": True,
        "ExportAudio": False,
        "FormatWidth": _size(timeline, "timelineResolutionWidth"),
        "FormatHeight": _size(timeline, "timelineResolutionHeight"),
    }
    must(project.SetRenderSettings(settings), "take the render settings", do)


def _size(timeline: Timeline, name: str) -> int:
    return int(must(timeline.GetSetting(name), f"say the setting {name}", "set the timeline's resolution"))


def _wait(project: Project, job: str, front: Front) -> None:
    quiet = 0
    while True:
        running = project.IsRenderingInProgress()
        facts: Mapping[str, Any] = dict(project.GetRenderJobStatus(job) or {})
        if running is None:
            raise BridgeError("expected Resolve to say how its render is, it no longer answers; start it and continue")
        state = str(facts.get("JobStatus", ""))
        if not running and state in ENDED:
            break
        quiet = 0 if running else quiet + 1
        if quiet > QUIET_LOOKS:
            break
        if front.stopped():
            raise Stopped
        front.tell(float(facts.get("CompletionPercentage", 0)) / 100, "Resolve renders the plate")
        front.pause(LOOK_S)
    if state in ("Failed", "Cancelled"):
        raise BridgeError(
            f"expected Resolve to finish its render job, it says {state} ({facts.get('Error', 'no reason')}); look "
            "at the Deliver page, then continue"
        )


@contextmanager
def _rendered_timeline(
    project: Project, timeline: Timeline, piece: Piece, name: str
) -> Iterator[tuple[Timeline, FrameRange]]:
    """The timeline to render and its frames: the user's own, or for handles one with the longer clip alone."""
    if not piece.left and not piece.right:
        must(project.SetCurrentTimeline(timeline), "open the timeline", "open it by hand")
        yield timeline, piece.frames
        return
    _delete(project, _named(project, name))  # of a run that did not live to do it
    made: list[Timeline] = []
    try:
        placed = _longer(project, piece, name, made)
        yield made[-1], FrameRange(frame(placed.GetStart), frame(placed.GetEnd) - 1)
    finally:
        # Resolve opens what it makes, and deletes nothing that is open.
        insist(lambda: project.SetCurrentTimeline(timeline))
        _delete(project, made)


def _named(project: Project, name: str) -> list[Timeline]:
    known = [project.GetTimelineByIndex(index) for index in range(1, int(project.GetTimelineCount() or 0) + 1)]
    return [each for each in known if each is not None and str(each.GetName()).startswith(name)]


def _delete(project: Project, timelines: list[Timeline]) -> None:
    for each in timelines:
        insist(partial(_delete_one, project, each))


def _delete_one(project: Project, timeline: Timeline) -> bool:
    pool = project.GetMediaPool()
    return not is_no(pool) and pool.DeleteTimelines([timeline])


def _longer(project: Project, piece: Piece, name: str, made: list[Timeline]) -> TimelineItem:
    """The clip with its grade and its handles on a timeline of our own; every timeline is added to `made`."""
    item, do = piece.item, "ask for 0 handles"
    assert item is not None
    media = must(item.GetMediaPoolItem(), f"know the media of '{piece.name}'", do)
    pool = must(project.GetMediaPool(), "give the media pool", do)
    first = frame(item.GetLeftOffset) + piece.frames.first - frame(item.GetStart) - piece.left
    count = piece.left + piece.frames.count + piece.right
    # Newer versions count the end as the frame behind the last; older ones as the last.
    for end in (first + count, first + count - 1):
        # Track and place are left out: the clip is the first of its timeline. The tests check the keys.
        clip: MediaPoolClipInfo = {  # type: ignore[typeddict-item]
            "mediaPoolItem": media, "startFrame": first, "endFrame": end, "mediaType": 1
        }  # fmt: skip
        made.append(must(pool.CreateTimelineFromClips(f"{name} {end}", [clip]), "make a timeline for the handles", do))
        items = items_of(made[-1], 1)
        placed = items[0] if items else None
        if placed is not None and frame(placed.GetDuration) == count and frame(placed.GetLeftOffset) == first:
            must(item.CopyGrades([placed]), f"copy the grade of '{piece.name}'", do)
            must(project.SetCurrentTimeline(made[-1]), "open the timeline with handles", do)
            return placed
    raise BridgeError(
        f"expected {count} frames of '{piece.name}' with its handles, Resolve does not lay them out so (is the clip "
        f"retimed?); {do}"
    )
