"""Bakes in the real Blender, against a real server: what is shown afterwards is what was shown before.

Every version is started once and runs many scenarios in one go; each claim about them is a test of its own.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hosts.blender.answers import Answers, answer
from tests.hosts.blender.conftest import RenderServer
from tests.hosts.blender.in_blender import in_blender, python_of
from tests.hosts.blender.inside import bake_changes, bake_scenes

pytestmark = [pytest.mark.blender, pytest.mark.slow]

HALF = 1.5e-3
"""Half precision, in display code values of 0 to 1: twice through a half file and Blender's own tables."""
TIMEOUT_S = 300.0
PLAIN = ("source_movie", "every_rate", "of_other_rate", "pictures", "placed_and_laid", "only_rendered", "effects")


@pytest.fixture(scope="module")
def rated_media(media: Path) -> Path:
    """The clips, and Blender files with movies of another rate than their scene's, which 4.5 makes without a window."""
    python_of("4.5")
    movies = [str(media / "lossless_24.mkv"), str(media / "lossless_2997.mkv")]
    made = in_blender("4.5", bake_changes.rated, movies, str(media), extension=False)
    assert len(made) == 4
    return media


@pytest.fixture(scope="module")
def plain(
    version: str, rated_media: Path, render_server: RenderServer, tmp_path_factory: pytest.TempPathFactory
) -> Answers:
    """What came of the scenarios of `bake_scenes`."""
    folder = tmp_path_factory.mktemp(f"plain {version}")
    return in_blender(
        version, bake_scenes.run_all, str(folder), str(rated_media), PLAIN,
        environment=render_server.environment, timeout_s=TIMEOUT_S,
    )  # fmt: skip


def test_a_movie_is_read_by_the_server_and_the_result_shows_the_very_picture(plain: Answers) -> None:
    found = answer(plain, "source_movie")
    assert "23 frames of 'clip' in identity, read from its own files" in found["said"]
    assert found["unlike"] < HALF
    assert found["muted"]
    assert found["scenes"] == 1


def test_a_result_stands_where_its_strip_stands_with_hidden_frames_behind_both_handles(plain: Answers) -> None:
    result = answer(plain, "source_movie")["result"]
    assert result["shown"] == [13, 32]
    assert (result["start"], result["offsets"]) == (11, [2, 2])
    assert result["channel"] == 2
    assert len(result["elements"]) == 23


def test_a_result_is_named_after_style_and_strip_and_lies_beside_the_blend_file(plain: Answers) -> None:
    result = answer(plain, "source_movie")["result"]
    assert result["name"] == "identity · clip"
    assert result["directory"].startswith("//impasto/")
    assert (result["space"], result["alpha"]) == ("Linear Rec.709", "PREMUL")


@pytest.mark.parametrize("rates", ["24 in 25", "25 in 30", "2997 in 24"])
def test_frame_after_frame_is_the_same_at_every_rate(plain: Answers, rates: str) -> None:
    unlike, said = answer(plain, "every_rate")[rates]
    assert "read from its own files" in said
    assert unlike < HALF


def test_a_movie_that_keeps_its_own_rate_shows_the_same_frames(plain: Answers) -> None:
    found = answer(plain, "of_other_rate")
    assert len(found) == 4
    for name, (unlike, said, frames, files) in found.items():
        assert unlike < HALF, name
        assert "read from its own files" in said, name
        assert files <= frames
    assert any(files < frames for _, _, frames, files in found.values())


@pytest.mark.parametrize("kind", ["exr", "png", "still", "backwards"])
def test_pictures_are_read_by_the_server_and_shown_alike(plain: Answers, kind: str) -> None:
    found = answer(plain, "pictures")[kind]
    assert "read from its own files" in found["said"]
    assert found["unlike"] < HALF * max(1.0, found["peak"])


def test_light_above_white_survives_a_bake(plain: Answers) -> None:
    assert answer(plain, "pictures")["exr"]["peak"] > 12


def test_a_sequence_backwards_in_steps_keeps_its_order(plain: Answers) -> None:
    elements = answer(plain, "pictures")["backwards"]["result"]["elements"]
    assert [int(name.split(".")[-2]) for name in elements] == [7, 7, 5, 5, 3, 3, 1, 1]


def test_a_still_is_painted_once(plain: Answers) -> None:
    result = answer(plain, "pictures")["still"]["result"]
    assert len(result["elements"]) == 1
    assert result["shown"] == [1, 21]


@pytest.mark.parametrize("mode", ["source", "rendered"])
def test_crop_transform_opacity_and_blend_apply_once(plain: Answers, mode: str) -> None:
    found = answer(plain, "placed_and_laid")[mode]
    # Blender mixes and scales movies of 8 bits in 8 bits, and float pictures in float: an edge may be steps apart.
    assert found["unlike"] < 12 / 255
    assert found["unlike_on_average"] < 0.5 / 255
    assert found["blend"] == ("SCREEN" if mode == "source" else "ALPHA_OVER")
    assert found["actions"] == 1


@pytest.mark.parametrize(
    ("kind", "because"),
    [
        ("modifier", "it has modifiers"),
        ("alpha", "its movie has alpha"),
        ("retimed", "it is retimed"),
        ("meta", "it is a meta strip"),
        ("scene", "it is a scene strip"),
        ("nested", "it has modifiers"),
        ("saturated", "its colours are adjusted"),
    ],
)
def test_what_the_server_cannot_read_blender_renders_and_says_why(plain: Answers, kind: str, because: str) -> None:
    found = answer(plain, "only_rendered")[kind]
    assert f"rendered, because {because}" in found["said"]
    assert found["shown"] > 0.2
    # What is scaled by its meta strip is scaled in 8 bits before, and in float after.
    assert found["unlike"] < (1 / 255 if kind == "nested" else HALF)


def test_the_result_of_a_strip_in_a_meta_strip_is_in_it_too(plain: Answers) -> None:
    assert answer(plain, "only_rendered")["nested"]["parent"] == "clip"


def test_a_cross_between_two_strips_goes_on_between_their_results(plain: Answers) -> None:
    found = answer(plain, "effects")
    assert found["inputs"] == ["identity · clip", "identity · right"]
    assert found["channels"][0] > max(found["channels"][1:])
    assert found["unlike"] < 1 / 255
