"""Motion vectors in shot jobs: the keys' paint goes where the renderer says, whatever else is rendered."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np
import pytest

from impasto.core.card import KeyFacts
from impasto.core.engine import Engine
from impasto.core.errors import (
    ImpastoError,
    InconsistentShot,
    OutputError,
    OutputExists,
    UnknownName,
    UsageError,
)
from impasto.core.frame import Frame, KeyMotion, Pixels, Window
from impasto.core.keyframe_paint.stored_keys import Keys
from impasto.core.media import open_reader
from impasto.core.motion.vectors import PlateWindows
from impasto.core.style_file import Style
from impasto.server.protocol.messages import Cancelled, ShotEvent, ShotJob, ShotProgress, ShotStarted
from impasto.server.shots import motion, motion_to_keys
from impasto.server.shots.render import render_shot
from tests.core.keyframe_paint.test_painted_frames import CARD, HEIGHT, NET, WIDTH, apart, ground, keys_of
from tests.core.media.builders import write_layers
from tests.plates import write_sequence
from tests.server.shots.test_shots import STYLE, with_params

FIRST, LAST = 10, 17
KEYS = (12, 15)
STEP = 5
"""Pixels by which everything moves to the right from frame to frame."""
SHARED = np.s_[12:-12, 45:-45]
"""Where every frame shows what the keys show, off the border."""
PAINT = 255 - ground(2, HEIGHT, 3 * WIDTH)
FLAT = np.full((HEIGHT, WIDTH, 3), 140, np.uint8)


def painted(number: int) -> Pixels:
    """The paint of a frame: one wide picture that moves along."""
    left = WIDTH - STEP * (number - FIRST)
    return np.ascontiguousarray(PAINT[:, left : left + WIDTH])


def engine(
    *, follow: bool = False, keys: tuple[int, ...] = KEYS, plates: Callable[[int], Pixels] | None = None
) -> Engine:
    """A style with painted keys; without `plates`, of a wall on which nothing can be seen to move."""
    made = keys_of(*((FLAT if plates is None else plates(key), painted(key)) for key in keys), follow=follow)
    facts: KeyFacts = replace(made.facts, frames=keys)
    style = Style(replace(CARD, keys=facts), NET, keys=Keys(facts, made.plates, made.paints, made.painted))
    return Engine(style, device="cpu")


def write_plates(folder: Path, numbers: range, plates: Callable[[int], Pixels] = lambda number: FLAT) -> str:
    return write_sequence(folder, numbers, ending="png", size=(WIDTH, HEIGHT), pixels=plates)


def write_vectors(folder: Path, numbers: range, names: str = "forward backward", step: float = STEP) -> str:
    for number in numbers:
        layers = {}
        for name in names.split():
            x = -step if name == "backward" else step
            layers |= {f"{name}.u": np.full((HEIGHT, WIDTH), x, np.float32)}
            layers |= {f"{name}.v": np.zeros((HEIGHT, WIDTH), np.float32)}
        write_layers(folder / "v" / f"v.{number:04}.exr", layers)
    return str(folder / "v" / "v.####.exr")


@pytest.fixture
def job(tmp_path: Path) -> ShotJob:
    """Eight frames of a wall that moves, two keys among them, and vectors for all of them."""
    plate = write_plates(tmp_path, range(FIRST, LAST + 1))
    vectors = write_vectors(tmp_path, range(FIRST, LAST + 1))
    return ShotJob(STYLE, plate, str(tmp_path / "out" / "o.####.png"), motion=vectors)


def rendered(job: ShotJob, style: Engine) -> tuple[list[int], list[ShotEvent]]:
    """The frames that were painted, and what was told."""
    events: list[ShotEvent] = []
    asked: list[int] = []
    render = style.render

    def noting(frame: Frame, *arguments: object, **settings: object) -> object:
        asked.append(frame.number)
        return render(frame, *arguments, **settings)  # type: ignore[arg-type]

    style.render = noting  # type: ignore[method-assign,assignment]
    try:
        render_shot(job, style, on_event=events.append)
    finally:
        style.render = render  # type: ignore[method-assign]
    return sorted(asked), events


def results(job: ShotJob) -> dict[int, Pixels]:
    with open_reader(job.output) as reader:
        return {frame.number: frame.colour for frame in reader}


def notes(events: list[ShotEvent]) -> list[str]:
    return [text for event in events if isinstance(event, ShotProgress) for text in event.notes]


def test_the_paint_of_keys_moves_with_a_wall_on_which_nothing_is_seen(job: ShotJob) -> None:
    assert rendered(job, engine())[0] == list(range(FIRST, LAST + 1))
    by_vectors = results(job)
    rendered(replace(job, motion="", overwrite=True), engine(follow=True))
    by_flow = results(job)
    for number in by_vectors:
        assert np.median(apart(by_vectors[number], painted(number))[SHARED]) <= 1
        if number not in KEYS:
            assert np.median(apart(by_flow[number], painted(number))[SHARED]) > 5, "or this shows nothing"


def test_a_frame_is_the_same_whatever_else_is_rendered(job: ShotJob, tmp_path: Path) -> None:
    style = engine()
    rendered(job, style)
    whole = results(job)
    for number in (FIRST, 13, LAST):
        alone = replace(job, first=number, last=number, output=str(tmp_path / f"{number}" / "o.####.png"))
        rendered(alone, style)
        np.testing.assert_array_equal(results(alone)[number], whole[number])
    part = replace(job, first=13, last=16, output=str(tmp_path / "part" / "o.####.png"))
    rendered(part, style)
    for number, picture in results(part).items():
        np.testing.assert_array_equal(picture, whole[number])


def test_a_key_outside_the_frames_that_are_rendered_is_reached_over_the_files_between(tmp_path: Path) -> None:
    plate = write_plates(tmp_path, range(FIRST, LAST + 1))
    vectors = write_vectors(tmp_path, range(FIRST - 2, LAST + 1))
    job = ShotJob(STYLE, plate, str(tmp_path / "o.####.png"), motion=vectors, first=12, last=13)
    rendered(job, engine(keys=(FIRST - 2,)))
    for number, picture in results(job).items():
        assert np.median(apart(picture, painted(number))[12:-12, 50:-25]) <= 1


def test_a_frame_is_painted_again_where_a_file_on_its_way_changed(job: ShotJob, tmp_path: Path) -> None:
    job = replace(job, resume=True)
    assert len(rendered(job, engine())[0]) == 8
    asked, events = rendered(job, engine())
    assert asked == []
    assert [type(event) for event in events] == [ShotStarted], "nothing is read for nothing"
    path = tmp_path / "v" / "v.0016.exr"
    write_layers(path, {name: np.zeros((HEIGHT, WIDTH), np.float16) for name in
                        ("forward.u", "forward.v", "backward.u", "backward.v", "more.Z")})  # fmt: skip
    # The keys are at 12 and 15, so that only the ways from 16 and 17 go over the file of 16.
    assert rendered(job, engine())[0] == [16, 17]
    write_vectors(tmp_path, range(14, 15), "forward backward extra")
    assert rendered(job, engine())[0] == [10, 11, 12, 13, 14, 15, 16, 17]
    assert rendered(replace(job, motion=""), engine())[0] == list(range(10, 18))
    assert rendered(replace(job, motion=""), engine())[0] == []


def test_the_layer_and_its_convention_are_settings(job: ShotJob) -> None:
    job = replace(job, resume=True)
    rendered(job, engine())
    named = replace(job, motion_layer="=nuke")
    assert len(rendered(named, engine())[0]) == 8
    with open_reader(job.output) as reader:
        noted = json.loads(next(iter(reader)).provenance["settings"])["motion"]
    assert noted == [job.motion, "=nuke"]


@pytest.mark.parametrize(
    ("layer", "follow", "said"),
    [
        ("forward", False, "to the next frame alone: keys before a frame are not followed"),
        ("backward", True, "to the previous frame alone: keys after a frame are followed by optical flow"),
    ],
)
def test_where_one_direction_is_given_a_note_says_what_becomes_of_the_other(
    job: ShotJob, layer: str, follow: bool, said: str
) -> None:
    _, events = rendered(replace(job, motion_layer=layer), engine(keys=(13,), follow=follow))
    assert [said in note for note in notes(events)] == [True]
    for number, picture in results(job).items():
        off = np.median(apart(picture, painted(number))[SHARED])
        is_led = number == 13 or (number < 13) == (layer == "forward")
        assert off <= 1 if is_led else off > 5


def test_the_layer_may_be_in_the_plates(tmp_path: Path) -> None:
    pattern = str(tmp_path / "beauty.####.exr")
    for number in range(FIRST, LAST + 1):
        grey = np.full((HEIGHT, WIDTH), 0.2, np.float32)
        vector = {
            f"vector.{leaf}": np.full((HEIGHT, WIDTH), -STEP if leaf in "XZ" else 0, np.float32) for leaf in "XYZW"
        }
        write_layers(pattern.replace("####", f"{number:04}"), {"R": grey, "G": grey, "B": grey, **vector})
    job = ShotJob(
        STYLE, pattern, str(tmp_path / "out" / "o.####.exr"), motion=pattern, motion_layer="vector", output_space="srgb"
    )
    with open_reader(pattern) as reader:
        level = round(255 * (1.055 * 0.2 ** (1 / 2.4) - 0.055))
        assert next(iter(reader)).colour.shape == (HEIGHT, WIDTH, 3)
    rendered(job, engine(plates=lambda number: np.full_like(FLAT, level)))
    for number, picture in results(job).items():
        assert np.median(apart(255 * picture, painted(number))[SHARED]) <= 2


def test_a_missing_file_is_named_before_the_first_frame(job: ShotJob, tmp_path: Path) -> None:
    for number in (11, 14):
        (tmp_path / "v" / f"v.{number:04}.exr").unlink()
    events: list[ShotEvent] = []
    with pytest.raises(
        InconsistentShot, match=r"10-17 and the painted keys at 12, 15 in '.*v\.####\.exr', missing 11, 14"
    ):
        render_shot(job, engine(), on_event=events.append)
    assert events == []
    assert not list((tmp_path / "out").glob("*"))
    # Frames and keys on one side of the gaps need none of them.
    assert rendered(replace(job, first=16, last=17), engine(keys=(15,)))[0] == [16, 17]


def test_files_between_the_shot_and_a_key_far_off_are_asked_for(job: ShotJob) -> None:
    with pytest.raises(InconsistentShot, match=r"keys at 21 in .*, missing 18-21; render them, or leave out --motion"):
        rendered(job, engine(keys=(21,)))


def textured(number: int) -> Pixels:
    wide = ground(1, HEIGHT, 3 * WIDTH)
    left = WIDTH - STEP * (number - FIRST)
    return np.ascontiguousarray(wide[:, left : left + WIDTH])


def test_vectors_that_contradict_the_plates_are_refused_with_what_to_say(tmp_path: Path) -> None:
    plate = write_plates(tmp_path, range(FIRST, LAST + 1), textured)
    wrong = write_vectors(tmp_path, range(FIRST, LAST + 1), "motion", -STEP)
    job = ShotJob(STYLE, plate, str(tmp_path / "out" / "o.####.png"), motion=wrong)
    style = engine(plates=textured)
    said = r"'motion' of '.*v\.0010\.exr' .* with x turned around.*say it as --motion PATH:motion=previous"
    with pytest.raises(UsageError, match=said):
        rendered(job, style)
    assert not list((tmp_path / "out").glob("*"))
    # Whoever names the convention is told, and served.
    asked, events = rendered(replace(job, motion_layer="=next"), style)
    assert len(asked) == 8
    assert any("than was said" in note for note in notes(events))
    # What the sentence offers is right.
    _, events = rendered(replace(job, motion_layer="=previous", overwrite=True), style)
    assert not any("turned around" in note for note in notes(events))


def test_vectors_in_widths_of_the_picture_are_refused(tmp_path: Path) -> None:
    plate = write_plates(tmp_path, range(FIRST, LAST + 1), textured)
    small = write_vectors(tmp_path, range(FIRST, LAST + 1), step=STEP / WIDTH)
    with pytest.raises(UsageError, match=r"expected motion vectors in pixels, .* says that next to nothing moves"):
        rendered(ShotJob(STYLE, plate, str(tmp_path / "o.####.png"), motion=small), engine(plates=textured))


def test_what_moves_and_has_no_vectors_is_a_note_and_renders(tmp_path: Path) -> None:
    plate = write_plates(tmp_path, range(FIRST, LAST + 1), textured)
    still = write_vectors(tmp_path, range(FIRST, LAST + 1), step=0)
    _, events = rendered(ShotJob(STYLE, plate, str(tmp_path / "o.####.png"), motion=still), engine(plates=textured))
    assert any("right for water, smoke" in note for note in notes(events))


def test_a_single_frame_is_held_against_its_neighbours(tmp_path: Path) -> None:
    plate = write_plates(tmp_path, range(FIRST, LAST + 1), textured)
    wrong = write_vectors(tmp_path, range(FIRST, LAST + 1), step=-STEP)
    job = ShotJob(STYLE, plate, str(tmp_path / "o.####.png"), first=FIRST, last=FIRST, motion=wrong)
    with pytest.raises(UsageError, match="with x turned around"):
        rendered(job, engine(plates=textured))
    alone = ShotJob(STYLE, plate.replace("####", f"{FIRST:04}"), str(tmp_path / "one.png"), motion=wrong)
    _, events = rendered(alone, engine(plates=textured))
    assert any("no two neighbouring plates" in note for note in notes(events))


def test_another_stroke_than_the_keys_needs_no_vectors(job: ShotJob) -> None:
    _, events = rendered(replace(job, look=with_params(stroke=2.0)), engine())
    assert "the painted keys are turned off, or not of this stroke: the motion vectors are not looked at" in notes(
        events
    )


def test_right_vectors_agree_and_lead_textured_plates_too(tmp_path: Path) -> None:
    plate = write_plates(tmp_path, range(FIRST, LAST + 1), textured)
    job = ShotJob(STYLE, plate, str(tmp_path / "o.####.png"), motion=write_vectors(tmp_path, range(FIRST, LAST + 1)))
    _, events = rendered(job, engine(plates=textured))
    assert notes(events) == []
    for number, picture in results(job).items():
        assert np.median(apart(picture, painted(number))[SHARED]) <= 1


def test_a_style_without_keys_refuses_vectors(job: ShotJob) -> None:
    with pytest.raises(UsageError, match="'hero' has none; leave out --motion"):
        rendered(job, Engine(Style(CARD, NET), device="cpu"))


def test_keys_that_are_turned_off_need_no_vectors(job: ShotJob, tmp_path: Path) -> None:
    (tmp_path / "v" / "v.0011.exr").unlink()
    asked, events = rendered(replace(job, look=with_params(keys=0)), engine())
    assert len(asked) == 8
    assert notes(events) == [
        "the painted keys are turned off, or not of this stroke: the motion vectors are not looked at"
    ]


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"motion": "v.mov"}, UsageError, r"expected motion vectors in pictures, EXR for example, got 'v\.mov'"),
        ({"motion": "v/none.####.exr"}, ImpastoError, "expected pictures with motion vectors at .* found none"),
        ({"motion": "v/v.0010.exr"}, UsageError, "numbered like the shot, got the still"),
        ({"motion_layer": "forwrad"}, UnknownName, "did you mean 'forward'"),
        (
            {"input": "plate.####.png", "motion": "plate.####.png"},
            UsageError,
            "expected one layer of motion vectors in '.*plate.0010.png', found none",
        ),
    ],
)
def test_what_cannot_be_meant_is_one_sentence_before_the_start(
    change: dict[str, str],
    error: type[ImpastoError],
    said: str,
    job: ShotJob,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=said):
        rendered(replace(job, **change), engine())
    assert not list((tmp_path / "out").glob("*"))


def test_vectors_of_another_size_are_named(job: ShotJob, tmp_path: Path) -> None:
    names = ("forward.u", "forward.v", "backward.u", "backward.v")
    layers = {name: np.zeros((HEIGHT, WIDTH), np.float32) for name in names}
    window = Window(0, 0, WIDTH, HEIGHT)
    write_layers(tmp_path / "v" / "v.0013.exr", layers, display=(2 * WIDTH, HEIGHT), window=window)
    with pytest.raises(UsageError, match=r"of the plate's size 160x96, got 320x96 in '.*v\.0013\.exr'"):
        rendered(job, engine())


def test_vectors_are_never_the_output(job: ShotJob, tmp_path: Path) -> None:
    kept = (tmp_path / "v" / "v.0010.exr").read_bytes()
    with pytest.raises(OutputExists, match="a file of motion vectors is never overwritten"):
        rendered(replace(job, output=str(tmp_path / "v" / "v.####.exr"), overwrite=True), engine())
    assert (tmp_path / "v" / "v.0010.exr").read_bytes() == kept


def test_a_job_that_is_taken_back_while_the_vectors_are_read_stores_nothing(job: ShotJob, tmp_path: Path) -> None:
    events: list[ShotEvent] = []

    def is_under_way() -> bool:
        return len(events) > 4

    result = render_shot(job, engine(), on_event=events.append, cancelled=is_under_way)
    assert isinstance(result, Cancelled)
    assert result.rendered == 0
    assert isinstance(events[0], ShotStarted)
    assert not list((tmp_path / "out").glob("*"))


def test_a_proxy_is_led_by_the_same_vectors(job: ShotJob) -> None:
    rendered(replace(job, before_resize="50%"), engine())
    for number, picture in results(job).items():
        assert picture.shape == (HEIGHT // 2, WIDTH // 2, 3)
        wanted = painted(number).reshape(HEIGHT // 2, 2, WIDTH // 2, 2, 3).mean((1, 3))
        assert np.median(apart(picture, wanted)[8:-8, 24:-24]) <= 4


def test_a_long_way_to_the_keys_is_announced(job: ShotJob, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(motion, "MANY", 8)
    assert "over 8 files of motion vectors, which are read first" in notes(rendered(job, engine())[1])[0]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has such a device")
def test_a_full_disk_is_said_before_the_first_frame(
    job: ShotJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(motion_to_keys, "_temporary", lambda: io.FileIO("/dev/full", "r+"))
    with pytest.raises(OutputError, match="got 'No space left on device'; free some, or name another folder in TMPDIR"):
        rendered(job, engine())
    assert not list((tmp_path / "out").glob("*"))


def test_what_is_kept_comes_back_to_a_64th_of_a_pixel() -> None:
    chance = np.random.default_rng(1)
    window = Window(0, 0, WIDTH, HEIGHT)
    flow = chance.uniform(-900, 900, (HEIGHT, WIDTH, 2)).astype(np.float32)
    lost, silent = (chance.integers(0, 2, (HEIGHT, WIDTH)).astype(np.float32) for _ in range(2))
    with TemporaryFile(buffering=0) as kept:
        store = motion_to_keys.MotionStore(kept, PlateWindows(window, window, (HEIGHT, WIDTH)), (3, 9))
        store.add(5, 9, KeyMotion(flow, lost, silent))
        store.add(6, 9, KeyMotion(-flow, silent, lost))
        nothing, found = store.of(Frame.from_pixels(FLAT, number=5))
        assert nothing is None
        assert found is not None
        assert np.abs(found.flow - flow).max() <= 1 / 64 + 1e-4
        np.testing.assert_array_equal(found.lost, lost)
        np.testing.assert_array_equal(found.silent, silent)
        at_key = store.of(Frame.from_pixels(FLAT, number=9))[1]
        assert at_key is not None
        assert not at_key.flow.any()
        elsewhere = Frame.from_pixels(FLAT[1:], number=5)
        assert store.of(elsewhere) == (), "another data window"
