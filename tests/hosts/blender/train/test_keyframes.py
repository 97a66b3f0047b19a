"""Train from here inside the real Blender: marks that last, frames to paint, a training that belongs to nobody."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from impasto.core import colour
from impasto.core.engine import Engine
from impasto.core.frame_settings import FrameSettings, Output
from impasto.core.media import open_reader
from impasto.core.style_file import read_card
from impasto.hosts.blender.train.run import TrainingRun
from tests.hosts.blender import clips
from tests.hosts.blender.conftest import RenderServer
from tests.hosts.blender.in_blender import in_blender
from tests.hosts.blender.inside import train_scenes

pytestmark = pytest.mark.blender

VERSIONS = ("4.5", "5.0")
FIRST = 1001


@pytest.fixture(scope="module")
def plates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plates") / "hero"
    clips.sequence(folder, frames=6, first=FIRST)
    return folder


@pytest.fixture(scope="module")
def shot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A movie that is large enough to be learned from."""
    return clips.movie(tmp_path_factory.mktemp("shot") / "hero.mp4", frames=6, size=(256, 160))


@pytest.fixture(scope="module")
def exported(
    plates: Path, render_server: RenderServer, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, Any]]:
    """What marking and exporting came to in each Blender."""
    return {
        version: in_blender(
            version, train_scenes.marked_and_exported, str(plates), str(tmp_path_factory.mktemp("marked")),
            environment=render_server.environment,
        )
        for version in VERSIONS
    }  # fmt: skip


@pytest.mark.parametrize("version", VERSIONS)
def test_marks_are_of_the_media_and_survive_saving(version: str, exported: dict[str, dict[str, Any]]) -> None:
    assert exported[version]["marks"] == [FIRST + 1, FIRST + 3, FIRST + 4]
    assert "expected the playhead over 'hero'" in exported[version]["refused"]


@pytest.mark.parametrize("version", VERSIONS)
def test_exported_plates_bear_the_numbers_that_the_trainer_expects_and_look_like_the_plates(
    version: str, exported: dict[str, dict[str, Any]], plates: Path
) -> None:
    found = exported[version]
    assert [name for name in found["written"] if name.endswith(".png")] == [f"hero.{n}.png" for n in (1002, 1004, 1005)]
    with open_reader(str(plates / "plate.1005.exr")) as plate:
        expected = colour.encode(next(iter(plate)).colour.astype(np.float32))
    with open_reader(str(Path(found["folder"]) / "hero.1005.png")) as reader:
        written = colour.to_float(next(iter(reader)).colour)
    np.testing.assert_allclose(written, expected, atol=1 / 255)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_picture_is_a_key_once_it_is_painted_and_an_export_never_overwrites_paint(
    version: str, exported: dict[str, dict[str, Any]]
) -> None:
    found = exported[version]
    assert found["nothing"] == []
    assert "expected painted frames" in found["unpainted"]
    assert found["one"] == [[FIRST + 1, ""]]
    assert found["kept"]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_key_of_another_size_is_refused_by_name_before_any_training(
    version: str, exported: dict[str, dict[str, Any]]
) -> None:
    found = exported[version]
    assert len(found["wrong"]) == 1
    assert "expected a key of the plate's size 96x64, got 40x20 in 'hero.1004.png'" in found["wrong"][0]
    assert found["wrong"][0] in found["order"]


@pytest.fixture(scope="module")
def learned(
    shot: Path, render_server: RenderServer, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any]]:
    """A training to its end, and the strip in its style."""
    out = tmp_path_factory.mktemp("train")
    asked = (str(shot), str(out))
    return out, in_blender("5.0", train_scenes.trained, *asked, environment=render_server.environment, timeout_s=110)


@pytest.mark.slow
def test_a_training_ends_with_a_style_in_which_the_strip_is_shown(
    learned: tuple[Path, dict[str, Any]], shot: Path
) -> None:
    out, found = learned
    assert (found["state"], found["sentence"]) == ("finished", "")
    assert found["step"] > 0
    assert json.loads(found["pinned"])["style"] == found["style"]
    with open_reader(str(shot)) as reader:
        plate = next(iter(reader))
    asked = FrameSettings(output=Output("lin_rec709"))  # with the levels beyond black and white that integers lack
    painted = Engine(found["style"], precision="float32")(plate, asked).colour
    with open_reader(str(out / "trained_0001.exr")) as reader:
        shown = next(iter(reader)).colour.astype(np.float32)
    np.testing.assert_allclose(shown, painted, atol=6e-3)
    assert np.abs(shown - colour.decode(colour.to_float(plate.colour))).mean() > 0.01, "the strip shows its plate"


@pytest.mark.slow
def test_stylize_paints_a_strip_in_the_style_that_it_was_trained_on(
    learned: tuple[Path, dict[str, Any]], shot: Path
) -> None:
    found = learned[1]
    assert found["result"] == "hero · hero"
    with open_reader(str(shot)) as reader:
        plate = next(iter(reader))
    engine = Engine(found["style"], device="cpu")
    wanted = engine.render(plate, FrameSettings(input_space="srgb", output=Output("lin_rec709", "half")))
    with open_reader(found["painted"]) as reader:
        np.testing.assert_array_equal(next(iter(reader)).colour, wanted.frame.colour.astype(np.float16))


@pytest.mark.slow
def test_a_strip_that_follows_the_panel_again_is_left_alone_until_it_is_asked_back(
    learned: tuple[Path, dict[str, Any]],
) -> None:
    assert learned[1]["unpinned"]
    assert learned[1]["shown_again"]


@pytest.mark.slow
def test_the_panel_knows_which_frame_to_paint_next(learned: tuple[Path, dict[str, Any]]) -> None:
    assert 1 < learned[1]["wanted"] <= 6


@pytest.mark.slow
def test_a_second_training_of_the_same_strip_is_refused(learned: tuple[Path, dict[str, Any]]) -> None:
    assert "expected no training of" in learned[1]["again"]


@pytest.fixture
def left_behind(shot: Path, render_server: RenderServer, tmp_path: Path) -> Iterator[TrainingRun]:
    """A training whose Blender is gone, as the next one finds it."""
    style = in_blender("4.5", train_scenes.left_behind, str(shot), str(tmp_path), environment=render_server.environment)
    run = TrainingRun.found(Path(style))
    assert run is not None
    yield run
    run.stop()
    train_scenes.wait_for(lambda: not run.is_alive())


@pytest.mark.slow
def test_a_training_goes_on_when_blender_quits_and_stopping_it_keeps_the_best(left_behind: TrainingRun) -> None:
    train_scenes.wait_for(lambda: left_behind.poll().step > 0)
    assert left_behind.is_alive()
    left_behind.stop()
    train_scenes.wait_for(lambda: left_behind.poll().state == "stopped")
    assert read_card(left_behind.folder.with_suffix(".safetensors")).name == "hero"
