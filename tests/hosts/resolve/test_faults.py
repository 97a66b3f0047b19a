"""What goes wrong: every single call of a job refused, the host closed at every call, a stop at every step.

The user's render settings, format, presets, queue, marks, page, playhead, bin and timeline are compared before and
after, as values.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from impasto.hosts.bridge import jobs
from impasto.hosts.bridge.command import Command
from impasto.hosts.bridge.errors import BridgeError
from impasto.hosts.resolve.job_record import open_jobs, record_of
from impasto.hosts.resolve.pipeline import begin, carry_out
from impasto.hosts.resolve.request import Request
from impasto.hosts.resolve.ui import JobStopped
from tests.hosts.resolve.conftest import RecordingUi, made
from tests.hosts.resolve.fake import Gone, World, cut

RequestIn = Callable[..., Request]
WAYS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "track": ({}, {}),
    "handles": ({"handles": 1}, {}),
    "handles, other ends": ({"handles": 1}, {"end_is_behind": False}),
    "take": ({"place": "take"}, {}),
    "marks": ({"scope": "marks"}, {}),
    "18.5": ({"scope": "timeline"}, {"version": (18, 5, 0)}),
}


def a_world(way: str) -> World:
    world = made(pictures=False, **WAYS[way][1])
    cut(world, (86422, 3, 100), (86430, 2, 300))
    world.calls.clear()
    world.project.timelines[0].marks = {"video": {"in": 23, "out": 40}}
    return world


def go(world: World, request: Request, ui: RecordingUi, command: Command | None = None) -> None:
    resolve: Any = world.resolve
    carry_out(resolve, begin(resolve, request, ui), ui, command)


def calls_of(way: str, request_in: RequestIn) -> int:
    world = a_world(way)
    go(world, request_in(**WAYS[way][0]), RecordingUi())
    return len(world.calls)


@pytest.mark.usefixtures("copied")
@pytest.mark.parametrize("way", WAYS)
def test_whatever_call_is_refused_all_that_is_the_users_is_put_back(
    way: str, request_in: RequestIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "store", lambda job, folder: folder)  # the record is not what this is about
    count = calls_of(way, request_in)
    assert count > 60
    for refused in range(1, count + 1):
        world, ui = a_world(way), RecordingUi()
        state, laid = world.state(), world.placed()
        world.refuse = lambda number, name, at=refused: number == at
        said = sentence_of(lambda world=world, ui=ui: go(world, request_in(**WAYS[way][0]), ui))
        name = f"{refused}: {world.calls[refused - 1]}"
        assert said is None or "; " in said, f"{name}: {said}"
        if way == "18.5":
            del state["marks"]  # which it does not tell
        assert {key: value for key, value in world.state().items() if key in state} == state, name
        if said is not None and way != "marks":
            assert world.placed() == laid, name


def sentence_of(work: Callable[[], None]) -> str | None:
    """What work says where it fails, None where it does not."""
    try:
        work()
    except BridgeError as error:
        return str(error)
    return None


@pytest.mark.parametrize("way", ["track", "handles"])
def test_settings_that_cannot_be_restored_are_reported_and_the_preset_stays(
    way: str, request_in: RequestIn, quick: Command
) -> None:
    world, ui = a_world(way), RecordingUi()
    world.refuse = lambda number, name: name in ("Project.LoadRenderPreset", "Resolve.OpenPage")
    world.looked = lambda: setattr(world, "page", "deliver")
    go(world, request_in(**WAYS[way][0]), ui, quick)
    assert any("preset 'impasto" in text for text in ui.said)
    assert any("the page" in text for text in ui.said)
    assert [name for name in world.project.presets if name.startswith("impasto")] != []
    assert world.state()["format"] == ("mov", "H264", 0)


def test_a_job_whose_settings_could_not_be_put_back_can_be_continued(request_in: RequestIn) -> None:
    world = a_world("track")
    world.refuse = lambda number, name: name == "Project.LoadRenderPreset"
    world.render_fails_after = 1
    with pytest.raises(BridgeError, match="The disk is full"):
        go(world, request_in(), RecordingUi())
    world.refuse, world.render_fails_after = lambda number, name: False, None
    (job,) = open_jobs(request_in().root())
    resolve: Any = world.resolve
    with pytest.raises(BridgeError, match="0 of 3 frames"):  # what it renders here are no pictures
        carry_out(resolve, record_of(job, request_in().root()), RecordingUi(), Command((sys.executable, "-c", "")))
    assert world.calls.count("Project.StartRendering") == 2


def test_a_new_job_after_a_crash_names_the_preset_with_the_render_settings(request_in: RequestIn) -> None:
    world, ui = a_world("track"), RecordingUi()
    closed_at(world, calls_until("Project.StartRendering", request_in), request_in())
    reopened(world)
    resolve: Any = world.resolve
    record = begin(resolve, request_in(), ui)
    (text,) = [text for text in ui.said if "cut off" in text]
    (preset,) = [name for name in world.project.presets if name.startswith("impasto")]
    assert f"'{preset}'" in text
    assert record.id not in text


def calls_until(name: str, request_in: RequestIn) -> int:
    """The number of the first call of that name."""
    world = a_world("track")
    world.refuse = lambda number, called: called == name
    with pytest.raises(BridgeError):
        go(world, request_in(folder=str(request_in().root() / "counted")), RecordingUi())
    return world.calls.index(name) + 1


def closed_at(world: World, call: int, request: Request) -> None:
    """A job whose host is closed at a call; its process is gone then."""
    world.gone_at = call
    with pytest.raises(Gone):
        go(world, request, RecordingUi())
    world.gone_at = 0
    for path in request.root().rglob(jobs.NAME):
        job = jobs.load(path.parent)
        assert job is not None
        jobs.store(replace(job, owner="elsewhere:1", touched=1.0), path.parent)


@pytest.mark.usefixtures("copied")
@pytest.mark.parametrize("way", ["track", "handles", "take"])
def test_a_host_that_was_closed_finds_the_job_and_ends_it(way: str, tmp_path: Path, request_in: RequestIn) -> None:
    count = calls_of(way, request_in)
    continued = 0
    for call in range(1, count + 1, 2):
        world = a_world(way)
        state, first = world.state(), world.project.timelines[0]
        request = request_in(folder=str(tmp_path / f"{call}"), **WAYS[way][0])
        closed_at(world, call, request)
        offered = open_jobs(request.root())
        if not offered:
            assert world.state() == state  # the plan was not even made
            continue
        continued += 1
        reopened(world)
        resolve: Any = world.resolve
        carry_out(resolve, record_of(offered[0], request.root()), RecordingUi())
        name = f"{call}: {world.calls[call - 1]}"
        now = world.state()
        # What a render job that was cut off left in the queue is Resolve's to show; a preset is ours.
        assert {**now, "queue": state["queue"]} == state, name
        assert open_jobs(request.root()) == [], name
        above = [each for track in first.tracks[1:] for each in track]
        laid = first.tracks[0][0].takes[1:] if way == "take" else above
        assert len(laid) == 1, name
    assert continued > 30


def reopened(world: World) -> None:
    """Resolve started again, with the project as it was saved."""
    world.page, world.project.running = "edit", None
    world.project.timelines[0].playhead = "01:00:01:00"
    world.project.timeline, world.project.pool.current = world.project.timelines[0], world.project.pool.folders[1]


@pytest.mark.parametrize("step", ["Resolve renders the plate", "painting A001.mov", "placing"])
def test_a_stop_at_any_step_is_clean_and_can_be_continued(
    step: str, world: World, ui: RecordingUi, request_in: RequestIn, quick: Command
) -> None:
    state, laid = world.state(), world.placed()
    request = request_in(scope="marks")
    world.project.timelines[0].marks = {"video": {"in": 25, "out": 45}}
    state = world.state()
    ui.stops = lambda now: now.startswith(step)
    with pytest.raises(JobStopped):
        go(world, request, ui, quick)
    assert world.state() == state
    if step != "placing":
        assert world.placed() == laid
    (job,) = open_jobs(request.root())
    assert job.state == "cancelled"
    resolve: Any = world.resolve
    again = RecordingUi()
    carry_out(resolve, record_of(job, request.root()), again, quick)
    assert again.said == []
    assert len(world.project.timelines[0].tracks[1]) == 2
    assert world.state() == state


@pytest.mark.parametrize(
    "said", ["no room now; try again later", "expected room for 'o.exr', but the disk is full; free some"]
)
def test_an_error_of_the_server_is_shown_and_the_job_can_be_continued(
    said: str, world: World, ui: RecordingUi, request_in: RequestIn, quick: Command, tmp_path: Path
) -> None:
    refusing = tmp_path / "refusing.py"
    event = json.dumps({"impasto": 1, "event": "failed", "code": "busy", "message": said, "hint": "", "exit_code": 8})
    refusing.write_text(f"print({event!r})")
    state = world.state()
    with pytest.raises(BridgeError, match=re.escape(said)):
        go(world, request_in(), ui, Command((sys.executable, "-S", str(refusing))))
    assert world.state() == state
    (job,) = open_jobs(request_in().root())
    assert said in job.message
    resolve: Any = world.resolve
    carry_out(resolve, record_of(job, request_in().root()), ui, quick)
    assert len(world.project.timelines[0].tracks[1]) == 1


def test_a_failed_render_job_is_reported_with_its_reason(
    world: World, ui: RecordingUi, request_in: RequestIn, quick: Command
) -> None:
    world.render_fails_after = 7
    state = world.state()
    with pytest.raises(BridgeError, match="The disk is full"):
        go(world, request_in(), ui, quick)
    assert world.state() == state
    world.render_fails_after = None
    (job,) = open_jobs(request_in().root())
    resolve: Any = world.resolve
    carry_out(resolve, record_of(job, request_in().root()), ui, quick)
    assert len(world.project.timelines[0].tracks[1]) == 1


def test_a_full_disk_under_the_record_is_a_sentence(
    world: World, ui: RecordingUi, request_in: RequestIn, quick: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    state = world.state()
    resolve: Any = world.resolve
    record = begin(resolve, request_in(), ui)
    monkeypatch.setattr(jobs, "store", full)
    with pytest.raises(BridgeError, match="free some space"):
        carry_out(resolve, record, ui, quick)
    assert world.state() == state


def test_another_project_is_not_painted_on(
    world: World, ui: RecordingUi, request_in: RequestIn, quick: Command
) -> None:
    resolve: Any = world.resolve
    record = begin(resolve, request_in(), ui)
    other: Any = made().resolve
    with pytest.raises(BridgeError, match="open the other"):
        carry_out(other, record, ui, quick)


def test_a_render_that_the_user_began_meanwhile_goes_on(world: World, ui: RecordingUi, request_in: RequestIn) -> None:
    resolve: Any = world.resolve
    record = begin(resolve, request_in(), ui)
    own = world.project.running = iter([True] * 99)
    with pytest.raises(BridgeError, match="wait for it"):
        carry_out(resolve, record, ui)
    assert world.project.running is own
    assert not [call for call in world.calls if ".Set" in call or ".Stop" in call]


def test_a_render_that_begins_just_before_ours_goes_on(world: World, ui: RecordingUi, request_in: RequestIn) -> None:
    own = iter([True] * 99)

    def begin_to_render(number: int, name: str) -> bool:
        if name == "Project.StartRendering":
            world.project.running = own
        return False

    world.refuse = begin_to_render
    with pytest.raises(BridgeError, match="start the render job"):
        go(world, request_in(), ui)
    assert world.project.running is own


def test_a_render_job_that_failed_in_another_language_is_reported_with_its_reason(
    ui: RecordingUi, request_in: RequestIn
) -> None:
    world = made(words={"Failed": "Non riuscito"})
    world.render_fails_after = 7
    with pytest.raises(BridgeError, match="The disk is full"):
        go(world, request_in(), ui)


def test_a_failure_that_is_no_sentence_leaves_a_job_that_can_be_continued(
    world: World, ui: RecordingUi, request_in: RequestIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise TypeError("'NoneType' object is not callable")

    monkeypatch.setattr("impasto.hosts.resolve.pipeline.paint", broken)
    with pytest.raises(TypeError):
        go(world, request_in(), ui)
    (job,) = open_jobs(request_in().root())
    assert job.state == "failed"


def test_a_resolve_that_renders_is_left_alone(world: World, ui: RecordingUi, request_in: RequestIn) -> None:
    world.project.running = iter([True] * 9)
    resolve: Any = world.resolve
    with pytest.raises(BridgeError, match="wait for it"):
        begin(resolve, request_in(), ui)
    assert not [call for call in world.calls if ".Set" in call]
