"""Renders a stretch of the timeline to half-float EXR files, by a render job of Resolve."""

from __future__ import annotations

import os
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Callable, Iterator, Mapping

from impasto.hosts.bridge.errors import BridgeError
from impasto.hosts.bridge.ranges import FrameSpan
from impasto.hosts.resolve.api_checks import frame, is_no, must, setting, try_twice
from impasto.hosts.resolve.colour import KEYS
from impasto.hosts.resolve.rendered_files import ImageSequence, rendered_sequence, renumbered
from impasto.hosts.resolve.selection import Piece
from impasto.hosts.resolve.timeline_placement import ClipPlacement, append_clip
from impasto.hosts.resolve.ui import JobStopped, UserInterface

if TYPE_CHECKING:
    from fusionscript import Project, RenderSettings, Timeline, TimelineItem

FORMAT = "exr"
CODECS = ("RGBHalfZIP", "RGBHalfPIZ", "RGBHalf", "RGBFloatZIP", "RGBFloat")
"""In order of preference: half float keeps everything that a grade has, and zip is lossless."""
WIDTH, HEIGHT, RATE = "timelineResolutionWidth", "timelineResolutionHeight", "timelineFrameRate"
POLL_S = 0.3
START_POLLS, IDLE_POLLS = 100, 10
"""Polls without a render in progress, before a job begins and after it began, until the job counts as ended. The text
of its state is in the language of the interface, and cannot be relied on."""
UNDONE = ("Failed", "Cancelled")


def deliver(
    project: Project, timeline: Timeline, piece: Piece, folder: str, name: str, ui: UserInterface
) -> ImageSequence:
    """Render a piece with its handles into a folder. It changes the render settings; see `render_settings`.

    `name` is the prefix of what the render makes in the project for a while.
    """
    os.makedirs(folder, exist_ok=True)
    with _rendered_timeline(project, timeline, piece, name) as frames:
        _set_up(project, timeline, frames, folder)
        job = must(project.AddRenderJob(), "add a render job", f"look whether the folder '{folder}' can be written")
        started = ended = False
        try:
            must(project.StartRendering([job], False), "start the render job", "look at the Deliver page")
            started = True
            _wait(project, job, ui)
            ended = True
        finally:
            if started and not ended:  # where the start failed, a render of the user may be running
                _stop(project, ui)
            # Also where it never started: the queue is the user's.
            try_twice(lambda: project.DeleteRenderJob(job))
    return renumbered(rendered_sequence(folder, frames.count))


def _stop(project: Project, ui: UserInterface) -> None:
    """Stop rendering and wait for it: a running job cannot be taken off the queue."""
    project.StopRendering()
    for _ in range(IDLE_POLLS):
        if not project.IsRenderingInProgress():
            return
        ui.pause(POLL_S)


def _set_up(project: Project, timeline: Timeline, frames: FrameSpan, folder: str) -> None:
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
    # Resolve takes some of the keys; the stubs call for all of them. The tests check the keys.
    settings: RenderSettings = {  # type: ignore[typeddict-item]
        "SelectAllFrames": False,
        "MarkIn": frames.first,
        "MarkOut": frames.last,
        "TargetDir": folder,
        "CustomName": "plate_",
        "ExportVideo": True,
        "ExportAudio": False,
        "FormatWidth": _size(project, timeline, WIDTH),
        "FormatHeight": _size(project, timeline, HEIGHT),
    }
    must(project.SetRenderSettings(settings), "take the render settings", do)


def _size(project: Project, timeline: Timeline, key: str) -> int:
    return int(str(must(setting(project, timeline, key), f"say the setting {key}", "set the timeline's resolution")))


def _wait(project: Project, job: str, ui: UserInterface) -> None:
    idle, begun = 0, False
    while True:
        running = project.IsRenderingInProgress()
        facts: Mapping[str, Any] = dict(project.GetRenderJobStatus(job) or {})
        if running is None:
            raise BridgeError("expected Resolve to say how its render is, it no longer answers; start it and continue")
        done, error, state = float(facts.get("CompletionPercentage") or 0), facts.get("Error"), facts.get("JobStatus")
        if not running and (done >= 100 or error or state in UNDONE):
            break
        begun, idle = begun or running, 0 if running else idle + 1
        if idle > (IDLE_POLLS if begun else START_POLLS):
            break
        if ui.stop_requested():
            raise JobStopped
        ui.show_progress(done / 100, "Resolve renders the plate")
        ui.pause(POLL_S)
    if error or state in UNDONE:
        raise BridgeError(
            f"expected Resolve to finish its render job, it says {state} ({error or 'no reason'}); look "
            "at the Deliver page, then continue"
        )


@contextmanager
def _rendered_timeline(project: Project, timeline: Timeline, piece: Piece, name: str) -> Iterator[FrameSpan]:
    """Open the timeline to render and yield its frames: the user's own, or for handles a new one with one clip."""
    if not piece.left and not piece.right:
        must(project.SetCurrentTimeline(timeline), "open the timeline", "open it by hand")
        yield piece.frames
        return
    _delete(project, _named(project, name))  # of an earlier run that was killed
    made: list[Timeline] = []
    try:
        yield _timeline_with_handles(project, timeline, piece, name, made)
    finally:
        # Resolve opens a timeline that it makes, and deletes none that is open.
        try_twice(lambda: project.SetCurrentTimeline(timeline))
        _delete(project, made)


def _named(project: Project, name: str) -> list[Timeline]:
    known = [project.GetTimelineByIndex(index) for index in range(1, int(project.GetTimelineCount() or 0) + 1)]
    return [each for each in known if each is not None and str(each.GetName()).startswith(name)]


def _delete(project: Project, timelines: list[Timeline]) -> None:
    for each in timelines:
        try_twice(partial(_delete_one, project, each))


def _delete_one(project: Project, timeline: Timeline) -> bool:
    pool = project.GetMediaPool()
    return not is_no(pool) and pool.DeleteTimelines([timeline])


def _timeline_with_handles(
    project: Project, timeline: Timeline, piece: Piece, name: str, made: list[Timeline]
) -> FrameSpan:
    """Put the clip with its handles and its look on a new timeline, which is added to `made`; the frames there."""
    item, do = piece.item, "ask for 0 handles"
    assert item is not None
    media = must(item.GetMediaPoolItem(), f"know the media of '{piece.name}'", do)
    pool = must(project.GetMediaPool(), "give the media pool", do)
    made.append(must(pool.CreateEmptyTimeline(name), "make a timeline for the handles", do))
    must(project.SetCurrentTimeline(made[-1]), "open the timeline with handles", do)
    for key in (WIDTH, HEIGHT, RATE, *KEYS):
        own, new = setting(project, timeline, key), setting(project, made[-1], key)
        if own != new:
            raise BridgeError(
                f"expected the project's settings on the timeline '{timeline.GetName()}' for handles, its {key} is "
                f"'{own}' and not '{new}'; {do}"
            )
    first = frame(item.GetLeftOffset) + piece.frames.first - frame(item.GetStart) - piece.left
    count = piece.left + piece.frames.count + piece.right
    start = int(must(made[-1].GetStartFrame(), "say where a timeline starts", do))
    placed = append_clip(pool, made[-1], ClipPlacement(media, first, count, 1, start, more=True), do)
    if frame(placed.GetLeftOffset) != first:
        raise BridgeError(f"expected '{piece.name}' from frame {first}, Resolve laid it out otherwise; {do}")
    _copy_look(item, placed, piece.name, do)
    return FrameSpan(start, start + count - 1)


def _copy_look(item: TimelineItem, placed: TimelineItem, name: str, do: str) -> None:
    """Copy the framing and the grade of one clip to another."""
    # Without a name they answer all properties; the stubs call for one.
    own: Callable[..., Any] = item.GetProperty
    new: Callable[..., Any] = placed.GetProperty
    wanted: Mapping[str, Any] = must(own(), f"say how '{name}' is framed", do)
    has: Mapping[str, Any] = must(new(), f"say how '{name}' is framed", do)
    for key, value in wanted.items():
        if has.get(key) != value:
            must(placed.SetProperty(key, value), f"take '{value}' as {key} of '{name}'", do)
    must(item.CopyGrades([placed]), f"copy the grade of '{name}'", do)
