"""Live strips inside the real Blender: which picture shows when, what waits, what never does, what is left behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from impasto.core.engine import Engine
from impasto.core.frame import Frame
from impasto.core.frame_settings import FrameSettings
from impasto.core.media import open_reader
from impasto.core.params import Params
from tests.hosts.blender import clips
from tests.hosts.blender.conftest import RenderServer
from tests.hosts.blender.in_blender import in_blender
from tests.hosts.blender.inside import live_changes, live_scenes

pytestmark = pytest.mark.blender

LIVE = "5.0"
FRAMES = 5
HALF = 2e-3
"""A half has 11 bits, and the sequencer goes from linear light to sRGB and back."""
DISPLAY = 6e-3
"""Of linear light, where the plate has 8 bits."""
STYLE = "wheatfield-draft"
PICTURES = ("exr", "png", "movie", "alpha")

Samples = npt.NDArray[np.float32]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Clips by their kind."""
    folder = tmp_path_factory.mktemp("clips")
    for name, words in (
        ("exr", {}),
        ("png", {"ending": "png", "dtype": np.uint8, "first": 1}),
        ("alpha", {"channels": 4}),
    ):
        clips.sequence(folder / name, frames=FRAMES, **words)
    return {
        "exr": folder / "exr", "png": folder / "png", "alpha": folder / "alpha",
        "movie": clips.movie(folder / "movie.mp4", frames=FRAMES),
    }  # fmt: skip


def plates(clip: Path) -> list[Frame]:
    """The frames of a clip, as the server reads them."""
    path = str(clip)
    if clip.is_dir():
        first = min(clip.iterdir())
        path = str(clip / f"plate.####{first.suffix}")
    with open_reader(path) as reader:
        return list(reader)


def in_light(frame: Frame) -> Samples:
    """Colour and alpha as they are drawn: scene-linear, associated, (H, W, 4)."""
    from impasto.core import colour

    space = colour.plate_space(frame)
    samples = colour.to_linear(colour.to_float(frame.colour), space)
    alpha = np.ones(samples.shape[:2], np.float32) if frame.alpha is None else frame.alpha.astype(np.float32)
    return np.concatenate([samples, alpha[..., None]], axis=2)


def shown(path: Path) -> Samples:
    """A rendered frame, (H, W, 4) float32."""
    with open_reader(str(path)) as reader:
        frame = next(iter(reader))
    return np.concatenate([frame.colour, frame.alpha[..., None]], axis=2).astype(np.float32)


def differs(found: Samples, expected: Samples) -> float:
    """The largest difference in colour."""
    return float(np.abs(found[..., :3] - expected[..., :3]).max())


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(STYLE)


@pytest.fixture(scope="module")
def in_every_order(
    made: dict[str, Path], render_server: RenderServer, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Final renders of all clips, forwards, backwards and in any order."""
    out = tmp_path_factory.mktemp("orders")
    for name in PICTURES:
        (out / name).mkdir()
    asked = {name: str(made[name]) for name in PICTURES}
    in_blender(LIVE, live_scenes.every_order, asked, str(out), FRAMES, environment=render_server.environment)
    return out


@pytest.mark.parametrize("kind", PICTURES)
@pytest.mark.parametrize("order", ["forward", "backward", "random"])
def test_a_final_render_shows_each_frame_as_the_engine_paints_it_in_any_order(
    kind: str, order: str, in_every_order: Path, made: dict[str, Path], engine: Engine
) -> None:
    frames = plates(made[kind])
    rendered = sorted((in_every_order / kind).glob(f"{order}_*.exr"))
    assert len(rendered) == (4 if order == "random" else FRAMES)
    for path in rendered:
        plate = frames[int(path.stem.rpartition("_")[2]) - 1]
        painted = in_light(engine(plate))
        found = shown(path)
        assert differs(painted, in_light(plate)) > 0.05, "a style that changes nothing shows nothing"
        assert differs(found, painted) < (HALF if kind in ("exr", "alpha") else DISPLAY)
        np.testing.assert_allclose(found[..., 3], painted[..., 3], atol=HALF)


@pytest.fixture(scope="module")
def looked(
    made: dict[str, Path], render_server: RenderServer, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("looks")
    return out, in_blender(LIVE, live_scenes.looks, str(made["png"]), str(out), environment=render_server.environment)


def test_until_a_frame_is_painted_the_plate_shows_and_never_another_frame(
    looked: tuple[Path, dict[str, Any]], made: dict[str, Path]
) -> None:
    assert differs(shown(looked[0] / "early_0004.exr"), in_light(plates(made["png"])[3])) < DISPLAY


def test_the_painted_frame_shows_as_soon_as_it_is_there(
    looked: tuple[Path, dict[str, Any]], made: dict[str, Path], engine: Engine
) -> None:
    assert differs(shown(looked[0] / "there_0004.exr"), in_light(engine(plates(made["png"])[3]))) < DISPLAY


def test_a_moving_playhead_never_waits_for_the_server(looked: tuple[Path, dict[str, Any]]) -> None:
    assert looked[1]["scrubbed"] == [False, []], "the playhead moved only when the server answered"


def test_frames_behind_the_playhead_are_painted_ahead(looked: tuple[Path, dict[str, Any]]) -> None:
    assert {"painted.0004.exr", "painted.0005.exr"} <= set(looked[1]["ahead"])


def test_half_the_strength_in_the_node_is_half_the_strength_of_the_engine(
    looked: tuple[Path, dict[str, Any]], made: dict[str, Path], engine: Engine
) -> None:
    painted = engine(plates(made["png"])[3], FrameSettings(Params(strength=0.5)))
    assert differs(shown(looked[0] / "half_0004.exr"), in_light(painted)) < 2 * DISPLAY


def test_a_slider_and_another_style_show_at_once_when_they_are_painted(
    looked: tuple[Path, dict[str, Any]], made: dict[str, Path], engine: Engine
) -> None:
    plate = plates(made["png"])[3]
    assert (
        differs(shown(looked[0] / "colour_0004.exr"), in_light(engine(plate, FrameSettings(Params(colour=1.0)))))
        < DISPLAY
    )
    assert differs(shown(looked[0] / "identity_0004.exr"), in_light(plate)) < DISPLAY


def test_a_look_that_was_painted_before_shows_again_without_the_server(
    looked: tuple[Path, dict[str, Any]], made: dict[str, Path], engine: Engine
) -> None:
    assert differs(shown(looked[0] / "back_0004.exr"), in_light(engine(plates(made["png"])[3]))) < DISPLAY


def test_a_style_that_is_not_there_is_one_sentence(looked: tuple[Path, dict[str, Any]]) -> None:
    assert "no style is called 'no such style'" in looked[1]["problem"]


def test_blender_renders_nothing_ahead_while_a_strip_is_live(looked: tuple[Path, dict[str, Any]]) -> None:
    assert looked[1]["prefetch"] is False


@pytest.fixture(scope="module")
def animated(made: dict[str, Path], render_server: RenderServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("animated")
    in_blender(LIVE, live_scenes.animated_strength, str(made["exr"]), str(out), environment=render_server.environment)
    return out


@pytest.mark.parametrize(("name", "parameter"), [("keyed", "strength"), ("slider", "colour")])
def test_what_an_artist_animates_is_in_each_frame(
    name: str, parameter: str, animated: Path, made: dict[str, Path], engine: Engine
) -> None:
    for place, plate in enumerate(plates(made["exr"])):
        painted = engine(plate, FrameSettings(Params(**{parameter: place / 4})))
        assert differs(shown(animated / f"{name}_{place + 1:04d}.exr"), in_light(painted)) < 2 * HALF


@pytest.fixture(scope="module")
def more(
    made: dict[str, Path], render_server: RenderServer, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("several")
    found = in_blender(
        LIVE, live_scenes.several, str(made["exr"]), str(made["png"]), str(out), environment=render_server.environment
    )
    return out, found


def test_two_live_strips_show_each_its_own_frames(
    more: tuple[Path, dict[str, Any]], made: dict[str, Path], engine: Engine
) -> None:
    found = shown(more[0] / "both_0004.exr")
    below, above = in_light(engine(plates(made["exr"])[3])), in_light(engine(plates(made["png"])[1]))
    assert differs(found[:, 50:], below[:, 50:]) < HALF
    assert differs(found[:, :46], above[:, :46]) < DISPLAY


def test_the_live_modifier_comes_before_those_that_are_there(more: tuple[Path, dict[str, Any]]) -> None:
    assert more[1]["order"] == ["Impasto Live", "contrast"]


def test_a_strip_of_another_scene_keeps_a_look_of_its_own(
    more: tuple[Path, dict[str, Any]], made: dict[str, Path]
) -> None:
    for place, plate in enumerate(plates(made["exr"])[:3]):
        assert differs(shown(more[0] / f"other_{place + 1:04d}.exr"), in_light(plate)) < HALF


@pytest.fixture(scope="module")
def cut(
    made: dict[str, Path], render_server: RenderServer, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("cut")
    return out, in_blender(
        LIVE, live_changes.cut_and_moved, str(made["exr"]), str(out), environment=render_server.environment
    )


@pytest.mark.parametrize(
    ("name", "place"), [("live_0002", 1), ("live_0024", 3), ("cached_0102", 1), ("cached_0029", 3)]
)
def test_the_halves_of_a_cut_show_each_its_own_frames_wherever_they_are_moved(
    name: str, place: int, cut: tuple[Path, dict[str, Any]], made: dict[str, Path], engine: Engine
) -> None:
    assert differs(shown(cut[0] / f"{name}.exr"), in_light(engine(plates(made["exr"])[place]))) < HALF


def test_taking_live_off_leaves_no_nodes_and_no_images(cut: tuple[Path, dict[str, Any]]) -> None:
    assert len(set(cut[1]["groups"])) == 2
    assert (cut[1]["left"], cut[1]["images"]) == ([], [])


def test_the_bake_of_a_meta_strip_never_waits_for_a_live_strip_inside_it(
    made: dict[str, Path], render_server: RenderServer, tmp_path: Path
) -> None:
    asked = (str(made["movie"]), str(tmp_path))
    found = in_blender(LIVE, live_changes.baked_with_its_meta, *asked, environment=render_server.environment)
    assert found == {"waited": [], "phases": ["finished"], "scenes": 1, "live": True}


def test_another_file_is_not_shown_the_frames_that_were_being_cached_for_this_one(
    made: dict[str, Path], render_server: RenderServer, tmp_path: Path
) -> None:
    asked = (str(made["exr"]), str(tmp_path))
    found = in_blender(LIVE, live_changes.other_file_while_caching, *asked, environment=render_server.environment)
    assert not found["cached"]
    assert (found["phase"], "another file was opened" in found["said"]) == ("cancelled", True)


@pytest.fixture(scope="module")
def saved(
    made: dict[str, Path], render_server: RenderServer, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any]]:
    """Files that were saved with live and cached strips, and rendered where there is no extension."""
    out = tmp_path_factory.mktemp("saved")
    found = in_blender(
        LIVE, live_changes.saved_files, str(made["exr"]), str(out), environment=render_server.environment
    )
    in_blender(LIVE, live_changes.opened_without, str(out), FRAMES, extension=False)
    return out, found


def test_undo_brings_a_live_strip_back_that_renders(saved: tuple[Path, dict[str, Any]]) -> None:
    assert saved[1]["undone"]
    assert {1002, 1003} <= set(saved[1]["painted"])


def test_a_reopened_file_shows_what_was_painted(
    saved: tuple[Path, dict[str, Any]], made: dict[str, Path], engine: Engine
) -> None:
    assert differs(shown(saved[0] / "reopened_0003.exr"), in_light(engine(plates(made["exr"])[2]))) < HALF


def test_without_the_extension_painted_frames_show_and_plates_in_between(
    saved: tuple[Path, dict[str, Any]], made: dict[str, Path], engine: Engine
) -> None:
    for place, plate in enumerate(plates(made["exr"])):
        expected = engine(plate) if plate.number in saved[1]["painted"] else plate
        assert differs(shown(saved[0] / f"live_without_{place + 1:04d}.exr"), in_light(expected)) < HALF
    assert len(saved[1]["painted"]) < FRAMES, "no plate was left to be shown"


def test_a_cached_strip_renders_whole_where_there_is_no_server_and_no_extension(
    saved: tuple[Path, dict[str, Any]], made: dict[str, Path], engine: Engine
) -> None:
    assert saved[1]["cached"]
    assert saved[1]["done"] == ["FINISHED"]
    for place, plate in enumerate(plates(made["exr"])):
        assert differs(shown(saved[0] / f"cached_without_{place + 1:04d}.exr"), in_light(engine(plate))) < HALF


def test_live_frames_lie_beside_the_file_and_leave_nothing_to_be_saved(saved: tuple[Path, dict[str, Any]]) -> None:
    assert saved[1]["image"].startswith("//")
    assert not saved[1]["dirty"]


@pytest.fixture(scope="module")
def unserved(made: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("unserved")
    nowhere = {"IMPASTO_COMMAND": str(out / "no-such-impasto"), "IMPASTO_RUNTIME": str(out / "run")}
    return out, in_blender(LIVE, live_changes.no_server, str(made["exr"]), str(out), environment=nowhere)


@pytest.mark.parametrize("kind", ["pictures", "movie"])
def test_without_a_server_an_animation_fails_with_a_sentence_and_writes_no_plate(
    kind: str, unserved: tuple[Path, dict[str, Any]]
) -> None:
    assert "Impasto, frame 1: expected" in unserved[1][kind]
    assert unserved[1][f"{kind}_kept"], "the user's render settings were not put back"
    assert not [name for name in unserved[1]["written"] if name.startswith("pictures")]
    assert "no-such-impasto" in unserved[1]["sentence"]


def test_without_a_server_a_single_frame_is_marked_so_that_nobody_overlooks_it(
    unserved: tuple[Path, dict[str, Any]],
) -> None:
    np.testing.assert_allclose(shown(unserved[0] / "single_0002.exr")[..., :3].mean((0, 1)), (1, 0, 1), atol=0.01)


def test_without_a_server_the_screen_shows_the_plate_before_and_after_a_failed_render(
    unserved: tuple[Path, dict[str, Any]], made: dict[str, Path]
) -> None:
    assert unserved[1]["problem"]
    for name in ("screen", "after"):
        assert differs(shown(unserved[0] / f"{name}_0002.exr"), in_light(plates(made["exr"])[1])) < HALF


def test_a_render_outlives_the_server(server_environment: dict[str, str], tmp_path: Path, engine: Engine) -> None:
    clips.sequence(tmp_path / "plates", frames=12)
    asked = (str(tmp_path / "plates"), str(tmp_path))
    found = in_blender(LIVE, live_changes.server_dies, *asked, environment=server_environment)
    assert found == {"killed": 1, "now": True}
    for place, plate in enumerate(plates(tmp_path / "plates")):
        assert differs(shown(tmp_path / f"killed_{place + 1:04d}.exr"), in_light(engine(plate))) < HALF


@pytest.fixture(scope="module")
def left(made: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Both Blenders, left to end by themselves after the extension was used and switched off."""
    nowhere = {"IMPASTO_RUNTIME": str(tmp_path_factory.mktemp("none") / "run"), "IMPASTO_COMMAND": "no-such-impasto"}
    return {
        version: in_blender(version, live_changes.left_alone, str(made["exr"]), environment=nowhere, leave=True)
        for version in ("4.5", "5.0")
    }


@pytest.mark.parametrize("version", ["4.5", "5.0"])
def test_switched_off_it_leaves_no_handler_no_timer_and_no_drawing_and_blender_ends(
    version: str, left: dict[str, dict[str, Any]]
) -> None:
    found = left[version]
    assert found["before"] == found["after"]
    assert found["timers"] == [True]
    assert found["still"] == [False]
    assert found["hooked"]
    assert not found["hooked_after"]


def test_before_5_0_the_button_says_what_to_use_instead(left: dict[str, dict[str, Any]]) -> None:
    assert "Live needs Blender 5.0" in left["4.5"]["refused"]
    assert left["5.0"]["refused"] == ""
