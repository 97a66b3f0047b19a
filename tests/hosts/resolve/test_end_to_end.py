"""From the timeline to the timeline, with the real server and real EXR."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest

from impasto.core.engine import Engine
from impasto.core.frame_settings import FrameSettings
from impasto.core.media import open_reader
from impasto.hosts.bridge.command import Command
from impasto.hosts.resolve.job_record import JobRecord
from impasto.hosts.resolve.pipeline import begin, carry_out
from impasto.hosts.resolve.request import Request
from impasto.server.runtime_dir import running
from tests.hosts.resolve.conftest import IMPASTO, RecordingUi, made
from tests.hosts.resolve.fake import World, cut, picture
from tests.hosts.terminal.render.test_served import end

pytestmark = pytest.mark.slow

RequestIn = Callable[..., Request]
STYLE = "wheatfield-draft"


def done(world: World, request: Request, ui: RecordingUi, command: Command) -> JobRecord:
    resolve: Any = world.resolve
    record = begin(resolve, request, ui)
    carry_out(resolve, record, ui, command)
    return record


def painted_by_the_engine(path: str, space: str, strength: float) -> np.ndarray:
    engine = Engine(STYLE, device="cpu")
    params = engine.style.card.defaults
    with open_reader(path) as reader:
        (plate,) = list(reader)
    return engine.render(
        plate, FrameSettings(type(params)(**{**params.as_dict(), "strength": strength}), input_space=space)
    ).frame.colour


def test_a_clip_comes_back_above_itself_as_the_engine_paints_it(
    world: World, ui: RecordingUi, request_in: RequestIn, served: Command
) -> None:
    cut(world, (86422, 3, 100))
    before = world.state()
    record = done(world, request_in(style=STYLE, params={"strength": 0.7}), ui, served)
    timeline = world.project.timelines[0]
    (item,) = timeline.tracks[1]
    assert (item.start, item.length, item.inside) == (86422, 3, 0)
    assert timeline.names[2] == "Impasto"
    for index, path in enumerate(item.media.files):
        plate = path.replace("/painted/painted_", "/plate_")
        with open_reader(path) as reader:
            (result,) = list(reader)
        with open_reader(plate) as reader:
            assert np.array_equal(next(iter(reader)).colour, picture(100 + index))
        assert np.array_equal(result.colour, painted_by_the_engine(plate, "Gamma 2.4 Encoded Rec.709", 0.7))
        assert result.timecode == f"10:00:{(100 + index) // 24:02}:{(100 + index) % 24:02}"
    assert item.media.properties["Start TC"] == "10:00:04:04"
    assert (item.media.properties["Input Color Space"], item.media.properties["Input Gamma"]) == (
        "Rec.709",
        "Gamma 2.4",
    )
    ((at, marker),) = timeline.markers.items()
    facts = json.loads(marker["customData"])
    assert (at, facts["style"], facts["params"], facts["job"]) == (22, STYLE, {"strength": 0.7}, record.id)
    assert world.state() == before
    assert any("Gamma 2.4 Encoded Rec.709" in text for text in ui.said)


def test_an_identity_gives_the_plate_back_bit_for_bit(
    world: World, ui: RecordingUi, request_in: RequestIn, served: Command
) -> None:
    done(world, request_in(), ui, served)
    for path in world.project.timelines[0].tracks[1][0].media.files:
        with open_reader(path) as result, open_reader(path.replace("/painted/painted_", "/plate_")) as plate:
            assert np.array_equal(next(iter(result)).colour, next(iter(plate)).colour)


def test_a_broken_frame_is_named_and_the_others_are_kept(
    world: World, ui: RecordingUi, request_in: RequestIn, served: Command
) -> None:
    resolve: Any = world.resolve
    record = begin(resolve, request_in(), ui)

    def break_one() -> None:
        for path in record.folder.rglob("*086430.exr"):
            path.write_bytes(path.read_bytes()[:200])

    world.looked = break_one
    with pytest.raises(Exception, match=r"plate_00000010\.exr.*10 of 20 frames.* are painted"):
        carry_out(resolve, record, ui, served)
    assert len(list((record.folder / "plate01" / "painted").iterdir())) == 10
    assert len(world.project.timelines[0].tracks) == 1


def test_a_server_that_is_not_there_is_a_sentence_and_the_next_start_goes_on(
    world: World,
    ui: RecordingUi,
    request_in: RequestIn,
    served: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    resolve: Any = world.resolve
    record = begin(resolve, request_in(), ui)
    with monkeypatch.context() as patch:
        blocked = tmp_path / "a-file"
        blocked.write_text("in the way of a runtime folder")
        patch.setenv("IMPASTO_RUNTIME", str(blocked / "run"))
        with pytest.raises(Exception, match="0 of 20 frames"):
            carry_out(resolve, record, ui, served)
    rendered = world.calls.count("Project.StartRendering")
    carry_out(resolve, record, ui, served)
    assert world.calls.count("Project.StartRendering") == rendered == 1
    assert len(world.project.timelines[0].tracks[1]) == 1


def test_a_server_that_is_killed_in_the_middle_costs_nothing(
    world: World, ui: RecordingUi, request_in: RequestIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut(world, (86422, 4, 100))
    with TemporaryDirectory(prefix="impasto-") as made:
        folder = Path(made) / "run"
        monkeypatch.setenv("IMPASTO_RUNTIME", str(folder))
        killed: list[int] = []

        def kill(step: str) -> bool:
            owner = running(folder)
            if step.startswith("painting") and owner is not None and not killed:
                killed.append(owner.pid)
                os.kill(owner.pid, signal.SIGKILL)
            return False

        ui.stops = kill
        try:
            done(world, request_in(style=STYLE), ui, IMPASTO)
        finally:
            end(folder)
    assert len(killed) == 1
    assert world.project.timelines[0].tracks[1][0].media.frames == 4


@pytest.mark.parametrize("habits", [{"name": "{name}{number:04d}.exr", "numbering": "clip"}, {"end_is_behind": False}])
def test_handles_are_painted_and_cut_away(
    habits: dict[str, Any], ui: RecordingUi, request_in: RequestIn, served: Command
) -> None:
    world = made(**habits)
    before = world.state()
    world.project.timelines[0].tracks[0][0].grade = "warm"
    done(world, request_in(handles=5), ui, served)
    (item,) = world.project.timelines[0].tracks[1]
    assert (item.start, item.length, item.inside, item.media.frames) == (86420, 20, 5, 30)
    with open_reader(item.media.files[0]) as reader:
        assert np.array_equal(next(iter(reader)).colour, picture(95))
    assert item.media.properties["Start TC"] == "10:00:03:23"
    assert world.state() == before
