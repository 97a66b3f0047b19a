"""Saves the user's render settings and view before a job changes them, and restores them afterwards in every case.

Resolve has no call that reads the render settings. They are saved as a preset and loaded again. Format, codec and mode
can be read; they are set one by one and compared, because Resolve may answer True and do nothing.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Callable, Iterator, Mapping, Optional, Tuple

from impasto.hosts.bridge.errors import BridgeError
from impasto.hosts.resolve.api_checks import has_method, is_no, must, named_tracks, track_enabled
from impasto.hosts.resolve.request import TRACK

if TYPE_CHECKING:
    from fusionscript import Project, Resolve, Timeline

ATTEMPTS = 3
Say = Callable[[str], None]
Step = Tuple[str, Callable[[], object], Optional[Callable[[], bool]]]
"""What is restored, how, and how to check it where that is possible."""


@dataclass(frozen=True)
class DeliverSettings:
    """The state of the Deliver page, as values that outlive the script."""

    preset: str
    format: str
    codec: str
    mode: int
    marks: Mapping[str, Mapping[str, int]]
    """In and out by kind; empty where none are set."""
    knows_marks: bool
    """Whether this version of Resolve has marks in its API."""
    shown: tuple[int, ...] = ()
    """Our own video tracks that are enabled. They are hidden, or a second job would paint the result of the first."""


def read_deliver_settings(project: Project, timeline: Timeline, preset: str) -> DeliverSettings:
    """Read the settings and save them as a preset. BridgeError where that fails; then nothing has changed."""
    do = "open the Deliver page once, choose a format, and try again"
    now = must(project.GetCurrentRenderFormatAndCodec(), "say the current render format", do)
    mode: int = must(project.GetCurrentRenderMode(), "say the current render mode", do)
    knows_marks = has_method(timeline.GetMarkInOut)
    marks: Any = timeline.GetMarkInOut() if knows_marks else {}
    if marks is None:  # an empty dictionary is no refusal here: no marks are set
        raise BridgeError(f"expected Resolve to say where in and out marks are, it answered None; {do}")
    noted = {kind: {"in": int(each["in"]), "out": int(each["out"])} for kind, each in marks.items()}
    ours: tuple[int, ...] = ()
    if has_method(timeline.SetTrackEnable):
        ours = tuple(track for track in named_tracks(timeline, TRACK) if track_enabled(timeline, track))
    # The first name exists already where an earlier run could not restore the settings.
    names = (preset, f"{preset} again")
    saved = next((each for each in names if not is_no(project.SaveAsNewRenderPreset(each))), None)
    must(saved, f"save your render settings as the preset '{preset}'", do)
    return DeliverSettings(str(saved), now["format"], now["codec"], int(mode), noted, knows_marks, ours)


def hide_own_tracks(timeline: Timeline, settings: DeliverSettings) -> None:
    """Disable our own tracks; `restore_deliver_settings` enables them again."""
    for track in settings.shown:
        hidden = timeline.SetTrackEnable("video", track, False)
        must(hidden, f"disable the video track {track}, '{TRACK}'", "disable it by hand and continue")


def restore_deliver_settings(project: Project, timeline: Timeline, settings: DeliverSettings, say: Say) -> None:
    """Restore the Deliver page. A failed step is reported; the preset is deleted only where it was loaded."""
    what = f"your render settings (preset '{settings.preset}')"
    loaded = _restore([(what, lambda: project.LoadRenderPreset(settings.preset), None)], say)
    steps: list[Step] = [
        (
            f"the render format {settings.format} {settings.codec}",
            lambda: project.SetCurrentRenderFormatAndCodec(settings.format, settings.codec),
            lambda: _format_is(project, settings),
        ),
        (
            "the render mode",
            lambda: project.SetCurrentRenderMode(1 if settings.mode else 0),
            lambda: project.GetCurrentRenderMode() == settings.mode,
        ),
    ]
    if not settings.knows_marks:
        say("this version of Resolve does not tell in and out marks: they may now stand around what was rendered")
    else:
        steps.append(
            ("the in and out marks", lambda: _set_marks(timeline, settings), lambda: _marks_are(timeline, settings))
        )
    for track in settings.shown:
        # `partial` binds the track now; a lambda would see the last one.
        show = partial(timeline.SetTrackEnable, "video", track, True)
        steps.append((f"the video track {track}, '{TRACK}', in view", show, partial(track_enabled, timeline, track)))
    _restore(steps, say)
    if loaded and has_method(project.DeleteRenderPreset):
        _restore([("the list of presets", lambda: project.DeleteRenderPreset(settings.preset), None)], say)


def _format_is(project: Project, settings: DeliverSettings) -> bool:
    now: Any = project.GetCurrentRenderFormatAndCodec()
    return dict(now or {}) == {"format": settings.format, "codec": settings.codec}


def _set_marks(timeline: Timeline, settings: DeliverSettings) -> bool:
    done = not is_no(timeline.ClearMarkInOut("all"))
    for kind, marks in settings.marks.items():
        done = (
            not is_no(timeline.SetMarkInOut(marks["in"], marks["out"], "audio" if kind == "audio" else "video"))
            and done
        )
    return done


def _marks_are(timeline: Timeline, settings: DeliverSettings) -> bool:
    marks: Any = timeline.GetMarkInOut()
    return {kind: dict(each) for kind, each in (marks or {}).items()} == settings.marks


@contextmanager
def deliver_settings_restored(project: Project, timeline: Timeline, preset: str, say: Say) -> Iterator[DeliverSettings]:
    """Inside the block the Deliver page may be changed; afterwards it is restored."""
    settings = read_deliver_settings(project, timeline, preset)
    try:
        yield settings
    finally:
        restore_deliver_settings(project, timeline, settings, say)


@contextmanager
def view_restored(resolve: Resolve, project: Project, say: Say) -> Iterator[None]:
    """Inside the block page, timeline, playhead and bin may be changed; afterwards they are restored."""
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
        _restore(steps, say)


def _same(now: Any, before: Any) -> bool:
    return now is not None and now.GetUniqueId() == before.GetUniqueId()


def _restore(steps: list[Step], say: Say) -> bool:
    """Try every step, also after one failed; whether all succeeded."""
    all_done = True
    for what, restore, is_restored in steps:
        done = False
        for _ in range(ATTEMPTS):
            try:
                # Nothing is set that is right already: setting the playhead moves the viewer.
                done = (is_restored is not None and is_restored()) or (
                    not is_no(restore()) and (is_restored is None or is_restored())
                )
            except (AttributeError, TypeError, RuntimeError, BridgeError):
                done = False  # an object that is gone; the other steps may still work
            if done:
                break
        if not done:
            all_done = False
            say(f"expected Resolve to put back {what}, it did not; please set it by hand")
    return all_done
