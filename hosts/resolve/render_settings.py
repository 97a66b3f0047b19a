"""What belongs to the user and is changed on the way: noted before, put back after, whatever happened in between.

Resolve tells nobody the render settings. They are saved as a preset and loaded again; what can be read besides
(format, codec, mode) is set by itself and compared, because Resolve may answer True and do nothing.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Callable, Iterator, Mapping, Optional, Tuple

from impasto.hosts.bridge.errors import BridgeError
from impasto.hosts.resolve.api_checks import is_no, must, named_tracks, offered, shown
from impasto.hosts.resolve.request import TRACK

if TYPE_CHECKING:
    from fusionscript import Project, Resolve, Timeline

ATTEMPTS = 3
Say = Callable[[str], None]
Step = Tuple[str, Callable[[], object], Optional[Callable[[], bool]]]
"""What is put back, how, and whether it is back, where that can be asked."""


@dataclass(frozen=True)
class RenderSettings:
    """How the Deliver page stood, as values that outlive the script."""

    preset: str
    format: str
    codec: str
    mode: int
    marks: Mapping[str, Mapping[str, int]]
    """In and out by kind; empty where none are set."""
    knows_marks: bool
    shown: tuple[int, ...] = ()
    """Our own video tracks that are seen; a second job would paint what the first one painted."""


def note_render_settings(project: Project, timeline: Timeline, preset: str) -> RenderSettings:
    """Note the settings; BridgeError where that fails, and then nothing has been changed."""
    do = "open the Deliver page once, choose a format, and try again"
    now = must(project.GetCurrentRenderFormatAndCodec(), "say the current render format", do)
    mode: int = must(project.GetCurrentRenderMode(), "say the current render mode", do)
    knows_marks = offered(timeline.GetMarkInOut)
    marks: Any = timeline.GetMarkInOut() if knows_marks else {}
    if marks is None:  # a dictionary without keys is no No here: no marks are set
        raise BridgeError(f"expected Resolve to say where in and out marks are, it answered None; {do}")
    noted = {kind: {"in": int(each["in"]), "out": int(each["out"])} for kind, each in marks.items()}
    ours: tuple[int, ...] = ()
    if offered(timeline.SetTrackEnable):
        ours = tuple(track for track in named_tracks(timeline, TRACK) if shown(timeline, track))
    # The first name is taken where a run before this one could not put the settings back.
    names = (preset, f"{preset} again")
    saved = next((each for each in names if not is_no(project.SaveAsNewRenderPreset(each))), None)
    must(saved, f"save your render settings as the preset '{preset}'", do)
    return RenderSettings(str(saved), now["format"], now["codec"], int(mode), noted, knows_marks, ours)


def hide_own_tracks(timeline: Timeline, kept: RenderSettings) -> None:
    """Take our own tracks out of the picture; putting the settings back shows them again."""
    for track in kept.shown:
        hidden = timeline.SetTrackEnable("video", track, False)
        must(hidden, f"disable the video track {track}, '{TRACK}'", "disable it by hand and continue")


def put_render_settings_back(project: Project, timeline: Timeline, kept: RenderSettings, say: Say) -> None:
    """Make the Deliver page what it was; what does not go back is said, and the preset then stays."""
    what = f"your render settings (preset '{kept.preset}')"
    loaded = _put_back([(what, lambda: project.LoadRenderPreset(kept.preset), None)], say)
    steps: list[Step] = [
        (
            f"the render format {kept.format} {kept.codec}",
            lambda: project.SetCurrentRenderFormatAndCodec(kept.format, kept.codec),
            lambda: _format_is(project, kept),
        ),
        (
            "the render mode",
            lambda: project.SetCurrentRenderMode(1 if kept.mode else 0),
            lambda: project.GetCurrentRenderMode() == kept.mode,
        ),
    ]
    if not kept.knows_marks:
        say("this version of Resolve does not tell in and out marks: they may now stand around what was rendered")
    else:
        steps.append(("the in and out marks", lambda: _set_marks(timeline, kept), lambda: _marks_are(timeline, kept)))
    for track in kept.shown:
        # The pairs are made now: a loop's variable would be the last one in all of them.
        show = partial(timeline.SetTrackEnable, "video", track, True)
        steps.append((f"the video track {track}, '{TRACK}', in view", show, partial(shown, timeline, track)))
    _put_back(steps, say)
    if loaded and offered(project.DeleteRenderPreset):
        _put_back([("the list of presets", lambda: project.DeleteRenderPreset(kept.preset), None)], say)


def _format_is(project: Project, kept: RenderSettings) -> bool:
    now: Any = project.GetCurrentRenderFormatAndCodec()
    return dict(now or {}) == {"format": kept.format, "codec": kept.codec}


def _set_marks(timeline: Timeline, kept: RenderSettings) -> bool:
    done = not is_no(timeline.ClearMarkInOut("all"))
    for kind, marks in kept.marks.items():
        done = (
            not is_no(timeline.SetMarkInOut(marks["in"], marks["out"], "audio" if kind == "audio" else "video"))
            and done
        )
    return done


def _marks_are(timeline: Timeline, kept: RenderSettings) -> bool:
    marks: Any = timeline.GetMarkInOut()
    return {kind: dict(each) for kind, each in (marks or {}).items()} == kept.marks


@contextmanager
def render_settings_kept(project: Project, timeline: Timeline, preset: str, say: Say) -> Iterator[RenderSettings]:
    """While it lasts, the Deliver page may be changed."""
    kept = note_render_settings(project, timeline, preset)
    try:
        yield kept
    finally:
        put_render_settings_back(project, timeline, kept, say)


@contextmanager
def view_kept(resolve: Resolve, project: Project, say: Say) -> Iterator[None]:
    """While it lasts, page, timeline, playhead and bin may be changed."""
    do = "open a timeline on the Edit page and try again"
    page = must(resolve.GetCurrentPage(), "say which page is open", do)
    timeline = must(project.GetCurrentTimeline(), "say which timeline is open", do)
    playhead = must(timeline.GetCurrentTimecode(), "say where the playhead is", do)
    pool = must(project.GetMediaPool(), "give the media pool", do)
    folder = must(pool.GetCurrentFolder(), "say which bin is open", do)
    try:
        yield
    finally:
        steps: list[Step] = [
            (
                "the timeline",
                lambda: project.SetCurrentTimeline(timeline),
                lambda: _same(project.GetCurrentTimeline(), timeline),
            ),
            ("the bin", lambda: pool.SetCurrentFolder(folder), lambda: _same(pool.GetCurrentFolder(), folder)),
            ("the page", lambda: resolve.OpenPage(page), lambda: resolve.GetCurrentPage() == page),
            (
                f"the playhead at {playhead}",
                lambda: timeline.SetCurrentTimecode(playhead),
                lambda: timeline.GetCurrentTimecode() == playhead,
            ),
        ]
        _put_back(steps, say)


def _same(now: Any, before: Any) -> bool:
    return now is not None and now.GetUniqueId() == before.GetUniqueId()


def _put_back(steps: list[Step], say: Say) -> bool:
    """Try every step, whatever becomes of the others; whether all went well."""
    all_back = True
    for what, put, is_back in steps:
        back = False
        for _ in range(ATTEMPTS):
            try:
                # What stands as it should is not touched: to set the playhead moves the viewer.
                back = (is_back is not None and is_back()) or (not is_no(put()) and (is_back is None or is_back()))
            except (AttributeError, TypeError, RuntimeError, BridgeError):
                back = False  # an object that is gone; the other steps may still work
            if back:
                break
        if not back:
            all_back = False
            say(f"expected Resolve to put back {what}, it did not; please set it by hand")
    return all_back
