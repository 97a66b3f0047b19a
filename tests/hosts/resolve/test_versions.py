"""Resolve of other versions: other names of files, other ends of ranges, missing methods; and the fake itself."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from impasto.core.media import open_reader
from impasto.hosts.bridge.errors import BridgeError
from impasto.hosts.resolve import pipeline
from impasto.hosts.resolve.connection import PLACES, checked, places
from impasto.hosts.resolve.pipeline import begin, carry_out
from impasto.hosts.resolve.request import Request
from tests.hosts.resolve import fake
from tests.hosts.resolve.conftest import RecordingUi, made
from tests.hosts.resolve.fake import World, cut, picture
from tests.hosts.resolve.stubs import methods

RequestIn = Callable[..., Request]
pytestmark = pytest.mark.usefixtures("copied")


def go(world: World, request: Request, ui: RecordingUi) -> None:
    resolve: Any = world.resolve
    carry_out(resolve, begin(resolve, request, ui), ui)


@pytest.mark.parametrize(
    "habits",
    [
        {"name": "{name}{number:04d}.exr", "numbering": "clip"},
        {"name": "{name}_{number:07d}.exr", "numbering": "source"},
        {"name": "{name}{number}.exr"},
        {"mark_out_and_one": True},
        {"end_is_behind": False},
        {"frames_a_look": 1, "late": 4},
        {"codecs": ("RGBFloatZIP",)},
        {"counts_from_first": True},
        {"import_rate": "30.0"},
        {"words": {"Complete": "Concluso", "Rendering": "In corso"}},
        {"version": (18, 5, 1)},
    ],
    ids=str,
)
def test_the_painted_clip_lies_on_the_frame_it_was_made_of(
    habits: dict[str, Any], ui: RecordingUi, request_in: RequestIn
) -> None:
    world = made(**habits)
    before = world.state()
    go(world, request_in(), ui)
    (item,) = world.project.timelines[0].tracks[1]
    assert (item.start, item.length, item.inside, item.media.frames) == (86420, 20, 0, 20)
    if world.habits.version >= (19, 1):
        assert world.state() == before
    else:
        assert any("in and out marks" in text for text in ui.said)


def test_clips_between_the_marks_are_cut_to_them(world: World, ui: RecordingUi, request_in: RequestIn) -> None:
    world.project.timelines[0].marks = {"video": {"in": 30, "out": 45}}
    before = world.state()
    go(world, request_in(scope="marks"), ui)
    laid = [(item.start, item.length) for item in world.project.timelines[0].tracks[1]]
    assert laid == [(86430, 10), (86440, 6)]
    assert [item.media.properties["Start TC"] for item in world.project.timelines[0].tracks[1]] == [
        "10:00:04:14",
        "10:00:12:12",
    ]
    assert world.state() == before


def test_the_whole_timeline_is_one_clip_with_the_timelines_timecode(
    world: World, ui: RecordingUi, request_in: RequestIn
) -> None:
    go(world, request_in(scope="timeline"), ui)
    (item,) = world.project.timelines[0].tracks[1]
    assert (item.start, item.length, item.media.properties["Start TC"]) == (86420, 32, "01:00:00:20")


def test_a_second_job_uses_the_track_of_the_first_where_there_is_room(
    world: World, ui: RecordingUi, request_in: RequestIn
) -> None:
    go(world, request_in(), ui)
    world.project.timelines[0].playhead = "01:00:01:20"
    go(world, request_in(), ui)
    go(world, request_in(), ui)
    assert [len(track) for track in world.project.timelines[0].tracks] == [2, 2, 1]


def test_a_second_job_paints_the_film_and_not_what_the_first_one_painted(
    world: World, ui: RecordingUi, request_in: RequestIn
) -> None:
    go(world, request_in(), ui)
    before = world.state()
    go(world, request_in(), ui)
    (second,) = world.project.timelines[0].tracks[2]
    with open_reader(second.media.files[0]) as reader:
        assert np.array_equal(next(iter(reader)).colour, picture(100))
    assert world.state() == before


def test_items_over_a_clip_are_reported_and_no_part_of_a_take(
    world: World, ui: RecordingUi, request_in: RequestIn
) -> None:
    timeline = world.project.timelines[0]
    timeline.tracks.append([fake.TimelineItem(world, world.project.pool.film, 86425, 5, 0)])
    with pytest.raises(BridgeError, match="for a take"):
        go(world, request_in(place="take"), ui)
    go(world, request_in(), ui)
    assert any("painted with it" in text for text in ui.said)
    timeline.disabled.add(2)
    go(world, request_in(place="take"), ui)
    assert timeline.tracks[0][0].selected == 2


def test_a_transition_between_the_marks_is_no_clip(world: World, ui: RecordingUi, request_in: RequestIn) -> None:
    timeline = world.project.timelines[0]
    timeline.marks = {"video": {"in": 20, "out": 51}}
    timeline.tracks[0].insert(1, fake.TimelineItem(world, None, 86434, 12, 0))
    go(world, request_in(scope="marks"), ui)
    assert [(item.start, item.length) for item in timeline.tracks[1]] == [(86420, 20), (86440, 12)]


def test_a_clip_that_was_moved_while_it_was_painted_is_followed(
    world: World, ui: RecordingUi, request_in: RequestIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = world.project.timelines[0].tracks[0][0]
    meanwhile(monkeypatch, lambda: setattr(clip, "start", 86400))
    go(world, request_in(), ui)
    (item,) = world.project.timelines[0].tracks[1]
    assert (item.start, item.length) == (86400, 20)


def test_a_clip_that_was_cut_while_it_was_painted_is_an_error(
    world: World, ui: RecordingUi, request_in: RequestIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = world.project.timelines[0].tracks[0][0]
    meanwhile(monkeypatch, lambda: setattr(clip, "length", 12))
    with pytest.raises(BridgeError, match="cut shorter"):
        go(world, request_in(), ui)


def test_the_view_that_the_editor_has_when_it_is_painted_is_kept(
    world: World, ui: RecordingUi, request_in: RequestIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work_on() -> None:
        assert world.page == "edit"
        world.page, world.project.timelines[0].playhead = "color", "01:00:01:22"

    meanwhile(monkeypatch, work_on)
    go(world, request_in(), ui)
    assert (world.page, world.project.timelines[0].playhead) == ("color", "01:00:01:22")


def meanwhile(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], None]) -> None:
    """Let something happen in Resolve while the job paints."""
    copy = pipeline.paint

    def painting(*given: Any) -> None:
        happens()
        copy(*given)

    monkeypatch.setattr(pipeline, "paint", painting)


def test_a_clip_with_handles_keeps_its_framing_and_its_grade(
    world: World, ui: RecordingUi, request_in: RequestIn
) -> None:
    clip = world.project.timelines[0].tracks[0][0]
    clip.properties["ZoomX"], clip.grade = 1.5, "warm"
    seen: list[tuple[float, str]] = []

    def look() -> None:
        (item,) = world.project.timeline.tracks[0]
        seen.append((item.properties["ZoomX"], item.grade))

    world.looked = look
    go(world, request_in(handles=4), ui)
    assert set(seen) == {(1.5, "warm")}


def test_the_choice_among_the_users_takes_comes_back_where_ours_is_refused(
    world: World, ui: RecordingUi, request_in: RequestIn
) -> None:
    clip, film = world.project.timelines[0].tracks[0][0], world.project.pool.film
    clip.AddTake(film, 0, 20)
    clip.AddTake(film, 40, 60)
    clip.SelectTakeByIndex(2)
    before = world.placed()
    world.refuse = lambda number, name: name == "TimelineItem.SelectTakeByIndex" and refused.pop()
    refused = [False, True]
    with pytest.raises(BridgeError, match="choose the new take"):
        go(world, request_in(place="take"), ui)
    assert world.placed() == before


def test_a_take_is_chosen_and_as_long_as_the_clip(world: World, ui: RecordingUi, request_in: RequestIn) -> None:
    go(world, request_in(place="take", handles=4), ui)
    item = world.project.timelines[0].tracks[0][0]
    assert (item.selected, item.GetDuration(), item.takes[1][1]) == (2, 20, 4)
    assert len(world.project.timelines[0].tracks) == 1


def test_a_marker_that_is_in_the_way_stays(world: World, ui: RecordingUi, request_in: RequestIn) -> None:
    timeline = world.project.timelines[0]
    timeline.AddMarker(20, "Red", "mine", "", 1, "")
    go(world, request_in(), ui)
    assert [timeline.markers[at]["name"] for at in (20, 21)] == ["mine", "Impasto"]


def test_a_property_that_cannot_be_set_is_reported(ui: RecordingUi, request_in: RequestIn) -> None:
    world = made(no_property=("Input Color Space",))
    go(world, request_in(), ui)
    assert any("'Rec.709' as Input Color Space" in text for text in ui.said)
    assert len(world.project.timelines[0].tracks[1]) == 1


def test_single_frames_in_the_pool_are_no_clip(ui: RecordingUi, request_in: RequestIn) -> None:
    world = made(individual=True)
    laid = world.placed()
    with pytest.raises(BridgeError, match="Show Individual Frames"):
        go(world, request_in(), ui)
    assert world.placed() == laid


def test_unknown_colours_are_asked_for_before_anything_is_done(
    world: World, ui: RecordingUi, request_in: RequestIn
) -> None:
    world.project.settings["colorSpaceOutput"] = "Studio Special"
    with pytest.raises(BridgeError, match=r"Studio Special.*--input-space"):
        go(world, request_in(), ui)
    assert not [call for call in world.calls if ".Set" in call or ".Save" in call]


@pytest.mark.parametrize(
    ("prepare", "given", "said"),
    [
        (lambda world: cut(world), {}, "move the playhead"),
        (lambda world: cut(world), {"scope": "timeline"}, "found none"),
        (lambda world: None, {"scope": "marks"}, "I and O"),
        (lambda world: setattr(world.project.timelines[0].tracks[0][0], "compositions", 1), {"handles": 3}, "Fusion"),
        (lambda world: setattr(world.project.timelines[0].tracks[0][0], "speed", 2.0), {"handles": 3}, "own speed"),
        (
            lambda world: world.project.timelines[0].settings.update(colorSpaceTimeline="Rec.709"),
            {"handles": 3},
            "project's settings",
        ),
        (lambda world: setattr(world.habits, "codecs", ("Mystery",)), {}, "Mystery"),
        (lambda world: setattr(world.habits, "version", (18, 5)), {"scope": "marks"}, "19.1"),
    ],
)
def test_what_cannot_be_painted_is_one_sentence(
    prepare: Callable[[World], None],
    given: dict[str, Any],
    said: str,
    world: World,
    ui: RecordingUi,
    request_in: RequestIn,
) -> None:
    prepare(world)
    before = world.state()
    with pytest.raises(BridgeError, match=said):
        go(world, request_in(**given), ui)
    assert world.state() == before


@pytest.mark.parametrize(
    ("habits", "said"),
    [({"version": (18, 1, 4)}, "update it"), ({"product": "DaVinci Resolve"}, "impasto watch"), ({}, "")],
)
def test_only_a_studio_that_is_new_enough_is_worked_with(habits: dict[str, Any], said: str) -> None:
    world = made(**habits)
    if not said:
        assert checked(world.resolve) is world.resolve
        return
    with pytest.raises(BridgeError, match=said):
        checked(world.resolve)


def test_no_resolve_is_a_sentence() -> None:
    with pytest.raises(BridgeError, match="Workspace > Scripts"):
        checked(None)


@pytest.mark.parametrize("platform", PLACES)
def test_the_environment_names_the_scripting_module(platform: str) -> None:
    assert all(places({}, platform))
    assert places({"RESOLVE_SCRIPT_API": "a", "RESOLVE_SCRIPT_LIB": "b"}, platform) == ("a", "b")
    assert "%" not in places({}, platform)[0]


def test_the_fake_does_what_the_stubs_know_and_nothing_else(world: World) -> None:
    for name, kind in vars(fake).items():
        if inspect.isclass(kind) and issubclass(kind, fake.Strict) and kind is not fake.Strict:
            own = {method for method in vars(kind) if method[0].isupper()}
            assert own <= methods()[kind.__name__].keys(), name
    project: Any = world.project
    with pytest.raises(AttributeError, match="stubs know no"):
        project.GetRenderSettings()
    with pytest.raises(NotImplementedError):
        project.GetGallery()
    with pytest.raises(TypeError, match="arguments"):
        project.SetCurrentRenderFormatAndCodec("exr")
    with pytest.raises(KeyError, match="MarkIm"):
        project.SetRenderSettings({"MarkIm": 3})


def test_the_fake_refuses_another_thread(world: World) -> None:
    caught: list[BaseException] = []

    def call() -> None:
        try:
            world.resolve.GetVersion()
        except RuntimeError as error:
            caught.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    assert len(caught) == 1


def test_nothing_of_resolve_is_touched_while_it_paints(
    world: World, ui: RecordingUi, request_in: RequestIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    copy = pipeline.paint

    def watched(*given: Any) -> None:
        calls.append(len(world.calls))
        copy(*given)
        calls.append(len(world.calls))

    monkeypatch.setattr(pipeline, "paint", watched)
    go(world, request_in(), ui)
    assert calls[0] == calls[1]
