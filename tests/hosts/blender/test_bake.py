"""Bakes in the real Blender, against a real server, with the engine's pixels as the truth.

Every version is started a few times and runs many scenarios in one go; each claim about them is a test of its own.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import av
import numpy as np
import pytest

from impasto.core.engine import Engine
from impasto.core.errors import ImpastoError
from impasto.core.frame import AlphaKind, Frame
from impasto.core.media import FrameRange, ShotInfo, open_reader, open_writer
from impasto.core.params import Params
from impasto.core.passage import Output
from impasto.server.client import Client
from impasto.server.runtime import running
from tests.hosts.blender.conftest import RenderServer
from tests.hosts.blender.in_blender import VERSIONS, impasto_command, in_blender, python_of
from tests.hosts.blender.inside import bakes, bakes_under_strain

pytestmark = [pytest.mark.blender, pytest.mark.slow]

WIDTH, HEIGHT = bakes.SIZE
HALF = 1.5e-3
"""Half precision, in display code values of 0 to 1: twice through a half file and Blender's own tables."""
TIMEOUT_S = 300.0
LONG = 30
"""Frames of the clip whose painting is cancelled."""
PLAIN = ("source_movie", "every_rate", "of_other_rate", "pictures", "placed_and_laid", "only_rendered", "effects")
STRAIN = (
    "again", "curve", "painted", "undone", "untouched", "two_at_once", "changed_meanwhile", "file_saved_and_opened",
    "hindered", "mattes", "saved", "cancelled", "server_killed", "no_server",
)  # fmt: skip

Answers = dict[str, Any]


def picture(number: int, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """Frame `number` of every clip, RGB uint8: ramps, and its number in blocks of black and white."""
    y, x = np.mgrid[:height, :width]
    pixels = np.stack([x * 255 // (width - 1), y * 255 // (height - 1), np.full_like(x, number * 8 % 256)], axis=-1)
    for bit in range(6):
        pixels[height - 8 :, bit * 10 : bit * 10 + 8] = 255 if number >> bit & 1 else 0
    return pixels.astype(np.uint8)


def alpha_of(width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """Opaque above, half transparent in the middle, nothing at the bottom."""
    return np.repeat(np.array([255, 128, 0], np.uint8), height // 3)[:, None] * np.ones(width, np.uint8)


def write_movie(path: Path, codec: str, pixels: str, rate: Fraction, frames: int, size: tuple[int, int]) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = *size, pixels
        for number in range(frames):
            shown = picture(number, *size)
            if pixels == "rgba":
                frame = av.VideoFrame.from_ndarray(np.dstack([shown, alpha_of(*size)]), "rgba")
            else:
                frame = av.VideoFrame.from_ndarray(shown, "rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips of our own: lossless RGB movies of three rates, one with alpha, EXR, PNG, a still, a matte."""
    folder = tmp_path_factory.mktemp("medien ü")
    rates = {"24": Fraction(24), "25": Fraction(25), "2997": Fraction(30000, 1001)}
    for name, rate in rates.items():
        write_movie(folder / f"lossless_{name}.mkv", "ffv1", "bgr0", rate, 24, (WIDTH, HEIGHT))
    write_movie(folder / "straight.mov", "png", "rgba", rates["24"], 24, (WIDTH, HEIGHT))
    write_movie(folder / "wide.mp4", "libx264", "yuv444p", rates["24"], 12, (320, 180))
    write_movie(folder / "wide_long.mp4", "libx264", "yuv444p", rates["25"], LONG, (320, 180))
    linear = [((picture(number) / 255.0) ** 2.2).astype(np.float16) for number in range(8)]
    for each in linear:
        each[4:9, 4:9] = 12.5
    write_pictures(folder / "light" / "plate.####.exr", linear)
    straight = [np.dstack([picture(number), alpha_of()]) for number in range(8)]
    write_pictures(folder / "straight" / "plate.####.png", straight, AlphaKind.UNASSOCIATED)
    write_pictures(folder / "still" / "one.png", [picture(5)[:, ::-1]])
    half = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    half[:, WIDTH // 2 :] = 255
    write_pictures(folder / "matte" / "half.png", [half])
    return folder


def write_pictures(path: Path, pictures: list[np.ndarray], alpha: AlphaKind = AlphaKind.NONE) -> None:
    with open_writer(str(path), ShotInfo("", "sequence", 1, len(pictures), WIDTH, HEIGHT)) as writer:
        for number, pixels in enumerate(pictures, 1):
            writer.write(Frame.from_pixels(pixels, number=number, alpha_kind=alpha))


@pytest.fixture(scope="module")
def rated_media(media: Path) -> Path:
    """The clips, and Blender files with movies of another rate than their scene's, which 4.5 makes without a window."""
    python_of("4.5")
    movies = [str(media / "lossless_24.mkv"), str(media / "lossless_2997.mkv")]
    made = in_blender("4.5", bakes_under_strain.rated, movies, str(media), extension=False)
    assert len(made) == 4
    return media


@pytest.fixture(scope="module", params=VERSIONS, ids=lambda version: f"blender-{version}")
def version(request: pytest.FixtureRequest) -> str:
    """Each Blender; module-wide, because its scenarios run in one go."""
    python_of(request.param)
    return str(request.param)


@pytest.fixture(scope="module")
def plain(
    version: str, rated_media: Path, render_server: RenderServer, tmp_path_factory: pytest.TempPathFactory
) -> Answers:
    """What came of the scenarios of `bakes`."""
    folder = tmp_path_factory.mktemp(f"plain {version}")
    return in_blender(
        version, bakes.run_all, str(folder), str(rated_media), PLAIN,
        environment=render_server.environment, timeout_s=TIMEOUT_S,
    )  # fmt: skip


@pytest.fixture(scope="module")
def strain(version: str, media: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What came of the scenarios of `bakes_under_strain`, with a server of their own, because one is killed."""
    folder = tmp_path_factory.mktemp(f"strain {version}")
    with TemporaryDirectory(prefix="impasto-") as runtime:
        server = RenderServer(Path(runtime) / "run", impasto_command(Path(runtime)))
        try:
            yield in_blender(
                version, bakes_under_strain.run_all, str(folder), str(media), STRAIN,
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


def answer(answers: Answers, name: str) -> Any:
    """What a scenario said; its traceback where it raised."""
    found = answers[name]
    assert not (isinstance(found, dict) and "error" in found), found.get("error")
    return found


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


def test_again_paints_nothing_anew(strain: Answers) -> None:
    found = answer(strain, "again")
    assert found["same"]
    assert found["images"] == ["identity · clip"]


def test_a_parameter_has_a_folder_of_its_own_and_back_is_as_before(strain: Answers) -> None:
    found = answer(strain, "again")
    assert found["other"]["directory"] != found["first"]["directory"] == found["back"]["directory"]
    assert found["kept"]


def test_a_longer_strip_is_painted_only_where_it_became_longer(strain: Answers) -> None:
    found = answer(strain, "again")
    assert len(found["longer"]["elements"]) == len(found["first"]["elements"]) + 6
    assert found["kept"]


def test_of_a_changed_curve_only_changed_frames_are_painted(strain: Answers) -> None:
    found = answer(strain, "curve")
    assert found["first"]["directory"] != found["second"]["directory"]
    assert found["shared"] == [True] * 11 + [False] * 13


def test_a_curve_reaches_the_frames_that_it_is_of(strain: Answers, media: Path) -> None:
    files = answer(strain, "curve")["first"]["files"]
    assert "read from its own files" in answer(strain, "curve")["said"]
    engine = Engine("wheatfield-draft", device="cpu")
    with open_reader(str(media / "lossless_24.mkv"), frames=FrameRange(6, 6)) as reader:
        plate = next(iter(reader))
    # Blender's curve eases in and out: half way in time is half way in value.
    wanted = engine.render(plate, Params(strength=0.5), input_space="srgb", output=Output("lin_rec709", "half"))
    with open_reader(files[5]) as reader:
        there = next(iter(reader))
    np.testing.assert_allclose(there.colour.astype(float), wanted.frame.colour.astype(float), atol=2e-3)


@pytest.mark.parametrize("mode", ["source", "rendered"])
def test_the_painted_files_are_the_engines(strain: Answers, media: Path, mode: str) -> None:
    found = answer(strain, "painted")[mode]
    engine = Engine("wheatfield-draft", device="cpu")
    for place in (0, 2):
        if mode == "source":
            plates, number, space = str(media / "wide.mp4"), place + 1, "srgb"
        else:
            plates, number, space = found["plates"][place], place + 1, "lin_rec709"
        with open_reader(plates, frames=FrameRange(number, number)) as reader:
            plate = next(iter(reader))
        wanted = engine.render(plate, Params(strength=0.8), input_space=space, output=Output("lin_rec709", "half"))
        with open_reader(found["result"]["files"][place]) as reader:
            there = next(iter(reader))
        np.testing.assert_array_equal(there.colour, wanted.frame.colour.astype(np.float16))


def test_the_final_picture_is_the_painted_file(strain: Answers) -> None:
    assert answer(strain, "painted")["rendered"]["shown"] < HALF


def test_one_step_back_takes_a_bake_back_and_brings_the_one_before(strain: Answers) -> None:
    found = answer(strain, "undone")
    assert found["steps"] == [[found["first"], True], [found["first"], True], [False]]
    assert found["redone"] == found["first"]


def test_the_users_scene_is_as_it_was(strain: Answers) -> None:
    found = answer(strain, "untouched")
    assert "finished" in found["good"]
    assert found["after"] == found["before"]


def test_the_users_scene_is_as_it_was_after_a_render_that_fails(strain: Answers) -> None:
    found = answer(strain, "untouched")
    assert "the render fails" in found["bad"]
    assert found["failed"] == found["before"]


def test_two_strips_are_painted_at_once(strain: Answers) -> None:
    found = answer(strain, "two_at_once")
    assert found["said"].count("finished") == 2
    assert found["unlike"] < HALF
    assert found["channels"] == [2, 2]


def test_cancelling_keeps_frames_and_places_nothing(strain: Answers) -> None:
    found = answer(strain, "cancelled")
    assert found["phase"] == "cancelled"
    assert 2 <= found["kept"] < found["all"] == LONG
    assert found["strips"] == 1


def test_after_cancelling_it_goes_on_behind_the_frames_that_are_there(strain: Answers) -> None:
    found = answer(strain, "cancelled")
    assert "finished" in found["said"]
    assert found["same"]


def test_no_turn_of_the_timer_waits_for_the_server(strain: Answers) -> None:
    assert answer(strain, "cancelled")["longest"] < 0.25


def test_a_bake_outlives_the_death_of_the_server(strain: Answers) -> None:
    found = answer(strain, "server_killed")
    assert found["killed"]
    assert found["phase"] == "finished", found["said"]
    assert found["files"] == 12
    assert found["other"]


def test_a_strip_that_moves_meanwhile_gets_its_result_where_it_is(strain: Answers) -> None:
    found = answer(strain, "changed_meanwhile")["moved"]
    assert found["shown"] == [40, 58]
    assert found["channel"] == 5
    assert found["unlike"] < HALF


def test_a_strip_that_is_trimmed_meanwhile_gets_a_trimmed_result(strain: Answers) -> None:
    found = answer(strain, "changed_meanwhile")
    assert found["trimmed"]["shown"] == [12, 28]
    assert found["trimmed"]["unlike"] < HALF
    assert found["longer"]["shown"] == [10, 28]
    assert "stylize it again for the rest" in found["longer"]["said"]


@pytest.mark.parametrize(
    ("name", "why"), [("deleted", "it was deleted"), ("other media", "it shows other pictures now")]
)
def test_a_strip_that_is_gone_meanwhile_is_a_sentence(strain: Answers, name: str, why: str) -> None:
    found = answer(strain, "changed_meanwhile")[name]
    assert found["phase"] == "failed"
    assert why in found["said"]
    assert "frames are kept" in found["said"]


def test_undoing_the_copy_of_the_scene_away_does_no_harm(strain: Answers) -> None:
    found = answer(strain, "changed_meanwhile")["stage undone"]
    assert found["phase"] == "finished", found["said"]
    assert found["scenes"] == 1
    assert found["unlike"] < HALF


def test_a_file_that_is_saved_meanwhile_holds_no_copy_of_the_scene(strain: Answers) -> None:
    found = answer(strain, "file_saved_and_opened")
    assert found["during"] == 2
    assert found["stored"] == ["Scene"]
    assert found["phase"] == "finished"


def test_another_file_ends_what_runs(strain: Answers) -> None:
    found = answer(strain, "file_saved_and_opened")
    assert found["late"] == "cancelled"
    assert "another file was opened" in found["said"]
    assert (found["scenes"], found["running"]) == (1, 0)


def test_missing_media_are_one_sentence(strain: Answers) -> None:
    said, strips = answer(strain, "hindered")["missing"]
    assert "gone.mkv', found none" in said
    assert "Traceback" not in said
    assert strips == 1


def test_a_picture_that_fails_is_named_and_the_others_are_kept(strain: Answers) -> None:
    said, unlike, elements = answer(strain, "hindered")["gap"]
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
def test_what_cannot_work_is_one_sentence(strain: Answers, name: str, sentence: str) -> None:
    said = answer(strain, "hindered")[name]
    assert sentence in said
    assert "Traceback" not in said


def test_a_range_paints_a_part_and_leaves_the_strip_to_be_seen(strain: Answers) -> None:
    said, shown, muted = answer(strain, "hindered")["range inside"]
    assert shown == [5, 10]
    assert not muted
    assert "is not muted" in said


def test_frames_of_an_unsaved_file_go_to_a_folder_that_is_told(strain: Answers) -> None:
    said, directory = answer(strain, "hindered")["unsaved"]
    assert "the .blend file is not saved" in said
    assert Path(directory).is_absolute()


def test_frames_go_into_the_folder_of_the_preferences(strain: Answers) -> None:
    said, directory = answer(strain, "hindered")["own scratch"]
    assert "finished" in said
    assert "/frames/" in directory


@pytest.mark.parametrize("kind", ["STRIP", "FILES"])
def test_a_matte_keeps_the_plate_where_it_is_black(strain: Answers, kind: str) -> None:
    found = answer(strain, "mattes")[kind]
    assert ("its matte is another strip" in found["said"]) == (kind == "STRIP")
    assert found["black"] < HALF
    assert found["white"] > 0.05


def test_without_a_server_there_is_one_sentence(strain: Answers) -> None:
    found = answer(strain, "no_server")
    assert "expected the command '/nowhere/impasto'" in found["said"]
    assert found["strips"] == 1
    assert found["seconds"] < 5


def test_the_file_renders_the_same_elsewhere_and_without_the_extension(
    version: str, strain: Answers, tmp_path: Path
) -> None:
    found = answer(strain, "saved")
    assert found["directory"].startswith("//impasto/")
    here = Path(found["blend"]).parent
    elsewhere = tmp_path / "another machine"
    shutil.copytree(here, elsewhere)
    shutil.move(here, f"{here} gone")
    there = in_blender(
        version, bakes_under_strain.reopened, str(elsewhere / Path(found["blend"]).name), str(elsewhere / "shots.npy"),
        extension=False,
    )  # fmt: skip
    assert not there["extension"]
    assert there["lit"] > 0.2
    assert there["unlike"] == 0
