"""`impasto render` on small media, end to end, with the built-in style that changes nothing."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from impasto.core.errors import UsageError
from impasto.core.media import ShotInfo, open_reader, open_writer
from impasto.hosts.terminal.render.job import job_from, tile_number
from impasto.hosts.terminal.style.listing import default_style_of
from impasto.server.protocol.messages import RenderSettings, ShotJob
from impasto.server.shots.job import tile_of
from tests.core.media.interlaced import order_of, write_fields
from tests.hosts.terminal.conftest import HEIGHT, WIDTH, Impasto, names, picture


def frames_of(path: str) -> list[np.ndarray]:
    with open_reader(path) as reader:
        return [frame.colour for frame in reader]


def test_a_sequence_comes_back_as_it_was(sequence: str, impasto: Impasto) -> None:
    done = impasto("render", sequence, "out/o.####.exr", "--style", "identity")
    assert done.code == 0
    assert done.out.startswith("out/o.####.exr: 6 frames in ")
    assert done.err == ""
    for plate, painted in zip(frames_of(sequence), frames_of("out/o.####.exr"), strict=True):
        assert np.array_equal(plate, painted)


def test_a_movie_becomes_a_movie(movie: str, impasto: Impasto) -> None:
    assert impasto("render", movie, "o.mp4", "--style", "identity", "--frames", "2-4").code == 0
    with open_reader("o.mp4") as reader:
        assert (reader.info.frame_count, reader.info.rate) == (3, 24)


def test_a_movie_becomes_linear_pictures(movie: str, impasto: Impasto) -> None:
    assert impasto("render", movie, "out/", "--style", "identity", "--after-resize", "50%").code == 0
    assert names(Path("out")) == [f"plate.{number:04}.png" for number in range(1, 7)]
    assert impasto("render", movie, "exr/o.####.exr", "--style", "identity").code == 0
    encoded, linear = frames_of(movie)[0] / 255, frames_of("exr/o.####.exr")[0].astype(np.float32)
    expected = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    assert np.allclose(linear, expected, atol=1e-3)


def test_pixels_that_are_no_numbers_are_counted(impasto: Impasto, tmp_path: Path) -> None:
    frame = picture(1)
    pixels = frame.colour.copy()
    pixels[3, 4] = np.nan
    pixels[5, 6, 1] = np.inf
    with open_writer("plate.exr", ShotInfo("", "still", 1, 1, WIDTH, HEIGHT)) as writer:
        writer.write(frame.with_colour(pixels))
    done = impasto("render", "plate.exr", "o.exr", "--style", "identity")
    assert "2 pixels with NaN or infinity kept as they were" in done.out
    done = impasto("render", "plate.exr", "p.exr", "--style", "identity", "--json")
    assert [event.get("invalid_pixels") for event in done.events] == [None, 2, 2]


def test_programs_are_told_of_every_frame(sequence: str, impasto: Impasto) -> None:
    done = impasto("render", sequence, "out/o.####.exr", "--style", "identity", "--json")
    assert [event["event"] for event in done.events] == ["started", *["frame"] * 6, "finished"]
    assert {event["impasto"] for event in done.events} == {1}
    started, *frames, finished = done.events
    assert (started["frames"], started["first"], started["width"], started["height"]) == (6, 1001, WIDTH, HEIGHT)
    assert [event["number"] for event in frames] == list(range(1001, 1007))
    assert all(os.path.exists(event["path"]) for event in frames)
    assert frames[-1]["remaining_s"] == 0
    assert (finished["frames"], finished["output"]) == (6, "out/o.####.exr")
    assert {"reading", "before", "network", "after", "writing"} <= finished["stages"].keys()
    assert done.err == ""


def test_what_failed_midway_is_told_at_the_end(sequence: str, impasto: Impasto) -> None:
    Path(sequence.replace("####", "1003")).write_bytes(b"\x76\x2f\x31\x01")
    done = impasto("render", sequence, "out/o.####.exr", "--style", "identity", "--json")
    assert [event["event"] for event in done.events] == ["started", "frame", "frame", "failed"]
    failed = done.events[-1]
    assert (failed["code"], failed["exit_code"], done.code) == ("unreadable_media", 3, 3)
    assert failed["message"].endswith(failed["hint"])


def test_resuming_renders_what_is_missing(sequence: str, impasto: Impasto) -> None:
    arguments = ("render", sequence, "out/o.####.exr", "--style", "identity", "--resume", "--json")
    impasto(*arguments)
    Path("out/o.1002.exr").unlink()
    done = impasto(*arguments)
    assert (done.events[0]["frames"], done.events[0]["skipped"]) == (1, 5)
    assert [event["number"] for event in done.events if event["event"] == "frame"] == [1002]
    assert (done.events[-1]["frames"], done.events[-1]["skipped"]) == (1, 5)
    assert impasto(*arguments).events[-1]["frames"] == 0
    assert "6 finished before" in impasto(*arguments[:-1]).out


def test_a_draft_does_not_survive_a_final_run(sequence: str, impasto: Impasto) -> None:
    arguments = ("render", sequence, "out/o.####.exr", "--style", "identity", "--resume", "--json", "--device", "cpu")
    assert impasto(*arguments, "--precision", "bfloat16").events[-1]["frames"] == 6
    assert impasto(*arguments).events[-1]["frames"] == 6
    assert impasto(*arguments, "--precision", "float32").events[-1]["frames"] == 0


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (("--output-space", "ACEScgg"), "--output-space"),
        (("--input-space", "ACEScgg"), "--input-space"),
        (("--matte", "nope.png"), "nope.png"),
    ],
)
def test_a_run_that_cannot_start_says_failed_alone(
    sequence: str, impasto: Impasto, wrong: tuple[str, str], said: str
) -> None:
    done = impasto("render", sequence, "out/o.####.exr", "--style", "identity", "--json", *wrong)
    assert [event["event"] for event in done.events] == ["failed"]
    assert said in done.events[0]["message"]
    assert names(Path("out")) == []


def test_log_becomes_display_encoded_in_a_movie(impasto: Impasto) -> None:
    plate = replace(picture(1001, np.uint8), colour_space="cineon_log")
    with open_writer("log.1001.dpx", ShotInfo("", "still", 1001, 1, WIDTH, HEIGHT)) as writer:
        writer.write(plate.with_colour(np.full_like(plate.colour, 50)))
    assert impasto("render", "log.1001.dpx", "o.mp4", "--style", "identity").code == 0
    with open_reader("o.mp4") as reader:
        facts, frame = reader.info.movie, next(iter(reader))
    assert facts is not None
    assert facts.transfer == "iec61966-2-1"
    black = 10 ** ((95 - 685) / 300)
    light = (10 ** ((50 / 255 * 1023 - 685) / 300) - black) / (1 - black)
    assert frame.colour.mean() / 255 == pytest.approx(1.055 * light ** (1 / 2.4) - 0.055, abs=1.5 / 255)


def test_strength_0_and_a_black_matte_leave_the_plate(sequence: str, impasto: Impasto) -> None:
    with open_writer("matte.png", ShotInfo("", "still", 1, 1, WIDTH, HEIGHT)) as writer:
        frame = picture(1, np.uint8)
        writer.write(frame.with_colour(np.zeros_like(frame.colour)))
    graded = ("--style", "identity", "--after-gamma", "2")
    impasto("render", sequence, "a.####.exr", *graded)
    impasto("render", sequence, "b.####.exr", *graded, "--matte", "matte.png")
    plates = frames_of(sequence)
    assert not np.array_equal(frames_of("a.####.exr")[0], plates[0])
    assert np.array_equal(frames_of("b.####.exr"), plates)


def test_tiles_make_no_difference(sequence: str, impasto: Impasto) -> None:
    assert impasto("render", sequence, "o.####.exr", "--style", "identity", "--tile", "64").code == 0
    assert np.array_equal(frames_of("o.####.exr"), frames_of(sequence))


def test_the_options_that_were_given_are_those_of_the_job() -> None:
    controls = {"stroke": 0.5, "detail": None, "after_sharpen": 0.5, "before_resize": "50%"}
    job = job_from(
        input="i",
        output="o",
        frames="3-9",
        motion=":vector",
        rate="25",
        encoder_speed="slow",
        fields="keep",
        controls=controls,
    )
    assert job == ShotJob(
        RenderSettings("", params={"stroke": 0.5}, after={"sharpen": 0.5}), "i", "o", first=3, last=9,
        before_resize="50%", motion="i", motion_layer="vector", rate="25", encoder_speed="slow", fields="keep",
    )  # fmt: skip


@pytest.mark.parametrize(
    "controls", [{"stroke": 9.0}, {"before_denoise": 2.0}, {"after_white": 0.0}, {"after_resize": "big"}]
)
def test_a_control_that_cannot_work_is_refused_before_anything_is_opened(controls: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="expected"):
        job_from(input="i", output="o", controls=controls)


@pytest.mark.parametrize("rate", ["fast", "0", "-24", "1/0", "24000000001/1000000001"])
def test_what_is_no_rate_is_refused_before_anything_is_opened(rate: str) -> None:
    with pytest.raises(UsageError, match=rf"expected frames per second as 24, 23\.976 or 24000/1001, got '{rate}'"):
        job_from(input="i", output="o", rate=rate, controls={})


def test_an_encoder_speed_that_does_not_exist_is_refused_before_anything_is_opened() -> None:
    with pytest.raises(UsageError, match=r"expected an encoder speed among auto, ultrafast, .*, got 'quick'"):
        job_from(input="i", output="o", encoder_speed="quick", controls={})


def test_fields_cannot_be_treated_otherwise() -> None:
    with pytest.raises(UsageError, match=r"expected --fields as auto, deinterlace, keep, got 'weave'"):
        job_from(input="i", output="o", fields="weave", controls={})


@pytest.mark.parametrize(
    ("option", "value", "known"),
    [("projection", "cube", "auto, flat, equirectangular"), ("stereo", "left", "auto, off, sbs, ou, views")],
)
def test_a_layout_that_is_not_known_is_refused_before_anything_is_opened(option: str, value: str, known: str) -> None:
    with pytest.raises(UsageError, match=rf"expected --{option} as {known}, got '{value}'"):
        job_from(input="i", output="o", **{option: value}, controls={})


def test_identity_keeps_fields_unless_asked_otherwise_and_says_so(impasto: Impasto) -> None:
    write_fields(Path("a.mkv"), "ffv1.mkv", "bottom")
    for fields, order, said in (("auto", "bottom", "left as they are"), ("deinterlace", "", "deinterlaced by bwdif")):
        done = impasto("render", "a.mkv", f"{fields}.mkv", "--style", "identity", "--fields", fields)
        assert (done.code, said in done.out + done.err) == (0, True)
        assert order_of(Path(f"{fields}.mkv")) == order


@pytest.mark.parametrize(("text", "tile"), [("auto", "auto"), ("off", "off"), ("512", 512)])
def test_tiles_as_they_are_written(text: str, tile: object) -> None:
    assert tile_of(tile_number(text)) == tile


def test_without_a_name_the_first_standard_style_that_paints_is_used() -> None:
    sizes = {"identity": "standard", "ash": "draft", "birch": "standard", "cedar": "standard"}
    assert default_style_of(sizes) == "birch"
    with pytest.raises(UsageError, match="--style"):
        default_style_of({"identity": "standard"})
