"""Bakes in the real Blender that are repeated, changed, hindered, broken off and undone; the engine's pixels are true.

Every version is started once and runs many scenarios in one go; each claim about them is a test of its own.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest

from impasto.core.engine import Engine
from impasto.core.errors import ImpastoError
from impasto.core.frame_settings import FrameSettings, Output
from impasto.core.media import FrameRange, open_reader
from impasto.core.params import Params
from impasto.server.client import Client
from impasto.server.runtime_dir import running
from tests.hosts.blender.answers import Answers, answer
from tests.hosts.blender.bake_media import LONG
from tests.hosts.blender.conftest import RenderServer
from tests.hosts.blender.in_blender import impasto_command, in_blender
from tests.hosts.blender.inside import bake_changes

pytestmark = [pytest.mark.blender, pytest.mark.slow]

HALF = 1.5e-3
"""Half precision, in display code values of 0 to 1: twice through a half file and Blender's own tables."""
TIMEOUT_S = 300.0
SCENARIOS = (
    "again", "curve", "painted", "pinned", "cut", "undone", "untouched", "two_at_once", "changed_meanwhile",
    "file_saved_and_opened", "hindered", "mattes", "saved", "cancelled", "server_killed", "no_server",
)  # fmt: skip


@pytest.fixture(scope="module")
def changes(version: str, media: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What came of the scenarios of `bake_changes`, with a server of their own, because one is killed."""
    folder = tmp_path_factory.mktemp(f"changes {version}")
    with TemporaryDirectory(prefix="impasto-") as runtime:
        server = RenderServer(Path(runtime) / "run", impasto_command(Path(runtime)))
        try:
            yield in_blender(
                version, bake_changes.run_all, str(folder), str(media), SCENARIOS,
                environment=server.environment, timeout_s=TIMEOUT_S,
            )  # fmt: skip
        finally:
            end_server(server.runtime)


def end_server(runtime: Path) -> None:
    """End the server that Blender has started, however busy the machine is."""
    owner = running(runtime) if runtime.exists() else None
    if owner is None:
        return
    try:
        with Client.connect(runtime, start=False) as client:
            client.shut_down(at_once=True)
    except ImpastoError:
        with contextlib.suppress(ProcessLookupError):
            os.kill(owner.pid, signal.SIGKILL)


def test_again_paints_nothing_anew(changes: Answers) -> None:
    found = answer(changes, "again")
    assert found["same"]
    assert found["images"] == ["identity · clip"]


def test_a_parameter_has_a_folder_of_its_own_and_back_is_as_before(changes: Answers) -> None:
    found = answer(changes, "again")
    assert found["other"]["directory"] != found["first"]["directory"] == found["back"]["directory"]
    assert found["kept"]


def test_a_longer_strip_is_painted_only_where_it_became_longer(changes: Answers) -> None:
    found = answer(changes, "again")
    assert len(found["longer"]["elements"]) == len(found["first"]["elements"]) + 6
    assert found["kept"]


def test_of_a_changed_curve_only_changed_frames_are_painted(changes: Answers) -> None:
    found = answer(changes, "curve")
    assert found["first"]["directory"] != found["second"]["directory"]
    assert found["shared"] == [True] * 11 + [False] * 13


def test_a_curve_reaches_the_frames_that_it_is_of(changes: Answers, media: Path) -> None:
    files = answer(changes, "curve")["first"]["files"]
    assert "read from its own files" in answer(changes, "curve")["said"]
    engine = Engine("wheatfield-draft", device="cpu")
    with open_reader(str(media / "lossless_24.mkv"), frames=FrameRange(6, 6)) as reader:
        plate = next(iter(reader))
    # Blender's curve eases in and out: half way in time is half way in value.
    wanted = engine.render(
        plate, FrameSettings(Params(strength=0.5), input_space="srgb", output=Output("lin_rec709", "half"))
    )
    with open_reader(files[5]) as reader:
        there = next(iter(reader))
    np.testing.assert_allclose(there.colour.astype(float), wanted.frame.colour.astype(float), atol=2e-3)


@pytest.mark.parametrize("mode", ["source", "rendered"])
def test_the_painted_files_are_the_engines(changes: Answers, media: Path, mode: str) -> None:
    found = answer(changes, "painted")[mode]
    engine = Engine("wheatfield-draft", device="cpu")
    for place in (0, 2):
        if mode == "source":
            plates, number, space = str(media / "wide.mp4"), place + 1, "srgb"
        else:
            plates, number, space = found["plates"][place], place + 1, "lin_rec709"
        with open_reader(plates, frames=FrameRange(number, number)) as reader:
            plate = next(iter(reader))
        wanted = engine.render(
            plate, FrameSettings(Params(strength=0.8), input_space=space, output=Output("lin_rec709", "half"))
        )
        with open_reader(found["result"]["files"][place]) as reader:
            there = next(iter(reader))
        np.testing.assert_array_equal(there.colour, wanted.frame.colour.astype(np.float16))


def test_the_final_picture_is_the_painted_file(changes: Answers) -> None:
    assert answer(changes, "painted")["rendered"]["shown"] < HALF


def test_the_halves_of_a_cut_are_painted_again_each_in_its_own_result(changes: Answers) -> None:
    steps = answer(changes, "cut")
    together, apart = [[2, 1, 9], [2, 9, 25]], [[2, 1, 9], [2, 59, 75]]
    assert [steps[name][1] for name in ("right", "left", "moved", "renamed")] == [together, together, apart, apart]
    folders = [steps[name][2] for name in ("right", "left", "moved", "renamed")]
    for before, after, changed in zip(folders, folders[1:], (0, 1, 0), strict=False):
        assert before[changed] != after[changed]
        assert before[1 - changed] == after[1 - changed]


def test_a_copy_of_a_strip_at_the_same_time_gets_a_result_of_its_own(changes: Answers) -> None:
    assert answer(changes, "cut")["copied"] == [["clip", 7], ["clip.001", 2], ["hero", 2]]


def test_a_strip_is_painted_in_the_style_file_that_is_pinned_to_it_and_its_neighbour_in_the_panels(
    changes: Answers, media: Path
) -> None:
    found = answer(changes, "pinned")
    assert found["said"].count("finished") == 2
    left, right = (found["results"][name] for name in found["names"])
    assert (left["name"], right["name"]) == ("own · clip", "identity · clip.001")
    with open_reader(str(media / "wide.mp4"), frames=FrameRange(2, 2)) as reader:
        plate = next(iter(reader))
    engine = Engine(str(media / "painter.safetensors"), device="cpu")
    wanted = engine.render(
        plate, FrameSettings(Params(strength=0.8), input_space="srgb", output=Output("lin_rec709", "half"))
    )
    with open_reader(left["files"][1]) as reader:
        np.testing.assert_array_equal(next(iter(reader)).colour, wanted.frame.colour.astype(np.float16))


def test_a_style_file_that_changes_is_painted_anew_beside_what_was_there(changes: Answers) -> None:
    found = answer(changes, "pinned")
    left = found["results"][found["names"][0]]
    assert found["retouched"]["name"] == left["name"]
    assert found["retouched"]["directory"] != left["directory"]


def test_a_style_file_that_is_gone_is_a_sentence_and_the_panels_style_is_the_way_out(changes: Answers) -> None:
    found = answer(changes, "pinned")
    assert "expected the style that 'clip' keeps at" in found["gone"]
    assert "have the strip follow the panel" in found["gone"]
    assert "in identity" in found["panel"]


def test_one_step_back_takes_a_bake_back_and_brings_the_one_before(changes: Answers) -> None:
    found = answer(changes, "undone")
    assert found["steps"] == [[found["first"], True], [found["first"], True], [False]]
    assert found["redone"] == found["first"]


def test_the_users_scene_is_as_it_was(changes: Answers) -> None:
    found = answer(changes, "untouched")
    assert "finished" in found["good"]
    assert found["after"] == found["before"]


def test_the_users_scene_is_as_it_was_after_a_render_that_fails(changes: Answers) -> None:
    found = answer(changes, "untouched")
    assert "the render fails" in found["bad"]
    assert found["failed"] == found["before"]


def test_two_strips_are_painted_at_once(changes: Answers) -> None:
    found = answer(changes, "two_at_once")
    assert found["said"].count("finished") == 2
    assert found["unlike"] < HALF
    assert found["channels"] == [2, 2]


def test_cancelling_keeps_frames_and_places_nothing(changes: Answers) -> None:
    found = answer(changes, "cancelled")
    assert found["phase"] == "cancelled"
    assert 2 <= found["kept"] < found["all"] == LONG
    assert found["strips"] == 1


def test_after_cancelling_it_goes_on_behind_the_frames_that_are_there(changes: Answers) -> None:
    found = answer(changes, "cancelled")
    assert "finished" in found["said"]
    assert found["same"]


def test_no_turn_of_the_timer_waits_for_the_server(changes: Answers) -> None:
    assert answer(changes, "cancelled")["turned"] == ["waiting", []], "a turn ended only when the server answered"


def test_a_bake_outlives_the_death_of_the_server(changes: Answers) -> None:
    found = answer(changes, "server_killed")
    assert found["killed"]
    assert found["phase"] == "finished", found["said"]
    assert found["files"] == 12
    assert found["other"]


def test_a_strip_that_moves_meanwhile_gets_its_result_where_it_is(changes: Answers) -> None:
    found = answer(changes, "changed_meanwhile")["moved"]
    assert found["shown"] == [40, 58]
    assert found["channel"] == 5
    assert found["unlike"] < HALF


def test_a_strip_that_is_trimmed_meanwhile_gets_a_trimmed_result(changes: Answers) -> None:
    found = answer(changes, "changed_meanwhile")
    assert found["trimmed"]["shown"] == [12, 28]
    assert found["trimmed"]["unlike"] < HALF
    assert found["longer"]["shown"] == [10, 28]
    assert "stylize it again for the rest" in found["longer"]["said"]


@pytest.mark.parametrize(
    ("name", "why"), [("deleted", "it was deleted"), ("other media", "it shows other pictures now")]
)
def test_a_strip_that_is_gone_meanwhile_is_a_sentence(changes: Answers, name: str, why: str) -> None:
    found = answer(changes, "changed_meanwhile")[name]
    assert found["phase"] == "failed"
    assert why in found["said"]
    assert "frames are kept" in found["said"]


def test_undoing_the_copy_of_the_scene_away_does_no_harm(changes: Answers) -> None:
    found = answer(changes, "changed_meanwhile")["copy undone"]
    assert found["phase"] == "finished", found["said"]
    assert found["scenes"] == 1
    assert found["unlike"] < HALF


def test_a_file_that_is_saved_meanwhile_holds_no_copy_of_the_scene(changes: Answers) -> None:
    found = answer(changes, "file_saved_and_opened")
    assert found["during"] == 2
    assert found["stored"] == ["Scene"]
    assert found["phase"] == "finished"


def test_another_file_ends_what_runs(changes: Answers) -> None:
    found = answer(changes, "file_saved_and_opened")
    assert found["late"] == "cancelled"
    assert "another file was opened" in found["said"]
    assert (found["scenes"], found["running"]) == (1, 0)


def test_missing_media_are_one_sentence(changes: Answers) -> None:
    said, strips = answer(changes, "hindered")["missing"]
    assert "gone.mkv', found none" in said
    assert "Traceback" not in said
    assert strips == 1


def test_a_picture_that_fails_is_named_and_the_others_are_kept(changes: Answers) -> None:
    said, unlike, elements = answer(changes, "hindered")["gap"]
    assert "frame 3 could not be painted" in said
    assert "frame 5 could not be painted" in said
    assert unlike < HALF * 13
    assert [int(name.split(".")[-2]) for name in elements] == [1, 2, 2, 4, 4, 6, 7, 8]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("wrong kind", "selected movie, image, scene or meta strip"),
        ("no style", "did you mean 'wheatfield'?"),
        ("range outside", "expected a range in which 'clip' is shown (1 to 24), got 100 to 120"),
        ("scratch", "name another folder for frames in the extension's preferences"),
        ("full", "the disk is full; free some space and stylize again"),
    ],
)
def test_what_cannot_work_is_one_sentence(changes: Answers, name: str, sentence: str) -> None:
    said = answer(changes, "hindered")[name]
    assert sentence in said
    assert "Traceback" not in said


def test_a_range_paints_a_part_and_leaves_the_strip_to_be_seen(changes: Answers) -> None:
    said, shown, muted = answer(changes, "hindered")["range inside"]
    assert shown == [5, 10]
    assert not muted
    assert "is not muted" in said


def test_frames_of_an_unsaved_file_go_to_a_folder_that_is_told(changes: Answers) -> None:
    said, directory = answer(changes, "hindered")["unsaved"]
    assert "the .blend file is not saved" in said
    assert Path(directory).is_absolute()


def test_frames_go_into_the_folder_of_the_preferences(changes: Answers) -> None:
    said, directory = answer(changes, "hindered")["own scratch"]
    assert "finished" in said
    assert "/frames/" in directory


@pytest.mark.parametrize("kind", ["STRIP", "FILES"])
def test_a_matte_keeps_the_plate_where_it_is_black(changes: Answers, kind: str) -> None:
    found = answer(changes, "mattes")[kind]
    assert ("its matte is another strip" in found["said"]) == (kind == "STRIP")
    assert found["black"] < HALF
    assert found["white"] > 0.05


def test_without_a_server_there_is_one_sentence(changes: Answers) -> None:
    found = answer(changes, "no_server")
    assert "expected the command '/nowhere/impasto'" in found["said"]
    assert found["strips"] == 1


def test_the_file_renders_the_same_elsewhere_and_without_the_extension(
    version: str, changes: Answers, tmp_path: Path
) -> None:
    found = answer(changes, "saved")
    assert found["directory"].startswith("//impasto/")
    here = Path(found["blend"]).parent
    elsewhere = tmp_path / "another machine"
    shutil.copytree(here, elsewhere)
    shutil.move(here, f"{here} gone")
    there = in_blender(
        version, bake_changes.reopened, str(elsewhere / Path(found["blend"]).name), str(elsewhere / "shots.npy"),
        extension=False,
    )  # fmt: skip
    assert not there["extension"]
    assert there["lit"] > 0.2
    assert there["unlike"] == 0
