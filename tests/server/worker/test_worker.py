"""The real worker: the same pixels as the engine, whatever the samples look like, and a style that can be trusted."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from impasto.core.engine import Engine
from impasto.core.frame import AlphaKind, Frame
from impasto.core.frame_settings import FrameSettings
from impasto.core.generators.unet import UNetConfig
from impasto.core.grade_settings import After, Before
from impasto.core.guides import Guide
from impasto.core.media import open_reader
from impasto.core.params import Params
from impasto.core.style_file import BUILT_IN, save_style
from impasto.server.protocol.messages import Done, RenderSettings, ShotJob, SubmitShot
from impasto.server.protocol.pixels import matte_of, picture_of
from impasto.server.protocol.worker_messages import (
    CheckStyle,
    FramePainted,
    FramesSafe,
    RunShot,
    ShotEnded,
    ShotOpened,
    StopWork,
    StyleChecked,
    TurnAsked,
    TurnGranted,
    TurnOver,
    WorkFailed,
    WorkStopped,
)
from impasto.server.worker.frames import strength_of
from tests.core.generators.test_unet import lively
from tests.core.test_engine import CARD
from tests.plates import write_sequence
from tests.server.worker_process import REAL, WorkerProcess, new_id, worker_process

SIZE = (40, 24)
DTYPES = ("uint8", "uint16", "float16", "float32")
STYLES = {name: str(BUILT_IN / f"{name}.safetensors") for name in ("identity", "wheatfield-draft")}


@pytest.fixture(scope="module")
def worker() -> Iterator[WorkerProcess]:
    with worker_process(REAL) as one:
        yield one


@pytest.fixture(scope="module")
def engines() -> dict[str, Engine]:
    return {name: Engine(name, device="cpu") for name in STYLES}


def samples(dtype: str, channels: int, seed: int = 1) -> np.ndarray[Any, Any]:
    """Noise over the whole range of an integer; light between -0.2 and 4 in a float, alpha between 0 and 1."""
    random = np.random.default_rng(seed)
    shape = (SIZE[1], SIZE[0], channels)
    if np.dtype(dtype).kind == "u":
        return random.integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)
    values = random.random(shape) * 4.2 - 0.2
    if channels in (2, 4):
        values[..., -1] = np.clip(values[..., -1], 0, 1)
    return values.astype(dtype)


def light(number: int) -> np.ndarray[Any, Any]:
    return samples("float16", 3, seed=number)


def painted(worker: WorkerProcess, id: bytes) -> Done:
    found = worker.until(
        lambda each: (
            (isinstance(each, FramePainted) and each.done.id == id) or (isinstance(each, WorkFailed) and each.id == id)
        )
    )
    assert isinstance(found, FramePainted), found
    return found.done


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_frame_equals_the_engines_bit_for_bit(
    worker: WorkerProcess, engines: dict[str, Engine], style: str, dtype: str
) -> None:
    """Every number of channels, order of rows, padding of rows, alpha and matte, for each dtype."""
    for channels, bottom_up, padded, matte_dtype in itertools.product(
        (1, 2, 3, 4), (False, True), (False, True), (None, "uint8", "float32")
    ):
        plate = samples(dtype, channels)
        alpha = "unassociated" if padded else "associated"
        picture = picture_of(plate, bottom_up=bottom_up, alpha=alpha)
        if padded:
            picture = replace(picture, row_stride=picture.row_stride + 5 * plate.itemsize)
        matte_samples = None if matte_dtype is None else samples(matte_dtype, 1, seed=2)[..., 0]
        matte = None if matte_samples is None else matte_of(matte_samples, picture)
        id = worker.frame(
            picture,
            plate,
            RenderSettings(style),
            style_path=STYLES[style],
            matte=matte,
            matte_samples=matte_samples,
            number=7,
        )
        done = painted(worker, id)
        frame = Frame.from_pixels(plate, alpha_kind=AlphaKind(alpha), number=7)
        strength = None if matte_samples is None else strength_of(matte_samples)
        wanted = engines[style].render(frame, matte=strength)
        assert np.array_equal(worker.result(picture).view(np.uint8), wanted.frame.part.pixels.view(np.uint8))
        assert done.provenance["style"] == wanted.frame.provenance["style"]
        assert {"upload", "before", "network", "after", "download"} <= done.seconds.keys()


def test_every_control_reaches_the_engine(worker: WorkerProcess, engines: dict[str, Engine]) -> None:
    plate = samples("float16", 3)
    params = Params(strength=0.7, stroke=1.5, colour=0.3, detail=0.4, exposure=-1.0)
    before, after = Before(denoise=0.2, gamma=1.2), After(sharpen=0.5, saturation=0.5)
    look = RenderSettings(
        "wheatfield-draft",
        params=params.as_dict(),
        before={"denoise": 0.2, "gamma": 1.2},
        after={"sharpen": 0.5, "saturation": 0.5},
        tile=64,
    )
    picture = picture_of(plate, colour_space="lin_rec709")
    id = worker.frame(picture, plate, look, style_path=STYLES["wheatfield-draft"])
    assert painted(worker, id).tile == 64
    frame = Frame.from_pixels(plate, colour_space="lin_rec709")
    engine = Engine(engines["wheatfield-draft"].style, device="cpu", tile=64)
    wanted = engine.render(frame, FrameSettings(params, before, after))
    assert np.array_equal(worker.result(picture), wanted.frame.part.pixels)


@pytest.mark.parametrize(
    ("look", "code", "said"),
    [
        (RenderSettings("identity", params={"strenght": 1.0}), "unknown_name", "strength"),
        (RenderSettings("identity", params={"stroke": 100.0}), "usage", "stroke"),
        (RenderSettings("identity", before={"resize": 2.0}), "unknown_name", "resize"),
        (RenderSettings("identity", after={"__class__": 2.0}), "unknown_name", "control"),
        (RenderSettings("identity", precision="float16"), "usage", "float32"),
        (RenderSettings("identity", sha256="0" * 64), "style", "SHA-256"),
        (RenderSettings("identity", tile=3), "usage", "tile"),
    ],
)
def test_what_cannot_be_asked_for_is_said(worker: WorkerProcess, look: RenderSettings, code: str, said: str) -> None:
    plate = samples("uint8", 3)
    id = worker.frame(picture_of(plate), plate, look, style_path=STYLES["identity"])
    failed = worker.answer(WorkFailed, id=id)
    assert failed.error.code == code
    assert said in failed.error.message


def test_pixels_of_a_host_cannot_feed_a_style_that_sees_guides(worker: WorkerProcess, tmp_path: Path) -> None:
    net = lively(UNetConfig(widths=(8, 16), blocks=(1, 1), guides=1))
    path = tmp_path / "guided.safetensors"
    save_style(path, replace(CARD, name="guided", guides=(Guide("depth.Z", "depth"),)), net)
    plate = samples("uint8", 3)
    id = worker.frame(picture_of(plate), plate, RenderSettings("guided"), style_path=str(path))
    failed = worker.answer(WorkFailed, id=id)
    assert failed.error.code == "usage"
    assert "'guided' sees depth.Z too; render the shot from its files" in failed.error.message


def test_an_unknown_colour_space_names_the_nearest(worker: WorkerProcess) -> None:
    plate = samples("uint8", 3)
    id = worker.frame(
        picture_of(plate, colour_space="lin_rec70"), plate, RenderSettings("identity"), style_path=STYLES["identity"]
    )
    assert worker.answer(WorkFailed, id=id).error.code == "unknown_name"


BAD = {
    "all NaN": np.nan,
    "all infinite": np.inf,
    "all minus infinite": -np.inf,
    "the greatest half": 65504.0,
    "denormal": 1e-40,
    "beyond any light": 1e38,
    "far below black": -1e38,
}


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("what", BAD)
def test_no_value_ends_the_worker(worker: WorkerProcess, engines: dict[str, Engine], dtype: str, what: str) -> None:
    for channels in (1, 2, 3, 4):
        with np.errstate(over="ignore", under="ignore"):
            plate = np.full((8, 8, channels), BAD[what]).astype(dtype)
        picture = picture_of(plate)
        id = worker.frame(picture, plate, RenderSettings("identity"), style_path=STYLES["identity"])
        done = painted(worker, id)
        with np.errstate(all="ignore"):
            wanted = engines["identity"].render(Frame.from_pixels(plate))
        assert done.invalid_pixels == wanted.report.invalid_pixels
        assert np.array_equal(worker.result(picture).view(np.uint8), wanted.frame.part.pixels.view(np.uint8))


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 3000, 4), (3000, 1, 4), (7, 3, 2), (65, 33, 1)])
def test_odd_sizes_are_painted(worker: WorkerProcess, engines: dict[str, Engine], shape: tuple[int, int, int]) -> None:
    plate = np.random.default_rng(3).random(shape).astype(np.float32)
    picture = picture_of(plate)
    id = worker.frame(picture, plate, RenderSettings("wheatfield-draft"), style_path=STYLES["wheatfield-draft"])
    painted(worker, id)
    wanted = engines["wheatfield-draft"](Frame.from_pixels(plate)).part.pixels
    assert np.array_equal(worker.result(picture), wanted)


def test_two_frames_at_once_are_each_their_own(worker: WorkerProcess, engines: dict[str, Engine]) -> None:
    plates = [samples("float32", 4, seed=seed) for seed in range(4)]
    pictures = [picture_of(plate) for plate in plates]
    ids = [
        worker.frame(
            picture, plate, RenderSettings("wheatfield-draft"), style_path=STYLES["wheatfield-draft"], pair=pair
        )
        for pair, (picture, plate) in enumerate(zip(pictures, plates, strict=True))
    ]
    for pair, id in enumerate(ids):
        painted(worker, id)
        wanted = engines["wheatfield-draft"](Frame.from_pixels(plates[pair])).part.pixels
        assert np.array_equal(worker.result(pictures[pair], pair), wanted)


def test_a_new_style_takes_the_place_of_the_old_and_a_broken_one_does_not(
    worker: WorkerProcess, tmp_path: Path
) -> None:
    path = tmp_path / "mine.safetensors"
    plate = samples("uint8", 3)
    picture = picture_of(plate)

    def paint() -> np.ndarray[Any, Any]:
        painted(worker, worker.frame(picture, plate, RenderSettings("mine"), style_path=str(path)))
        return worker.result(picture)

    def check(style: str) -> StyleChecked:
        worker.send(CheckStyle(style, str(path)))
        return worker.answer(StyleChecked, style=style)

    shutil.copy(STYLES["identity"], path)
    assert len(check("first").sha256) == 64
    assert np.array_equal(paint(), plate)

    shutil.copy(STYLES["wheatfield-draft"], path)
    assert np.array_equal(paint(), plate), "what has not been checked is not used"
    assert check("second").error is None
    second = paint()
    assert not np.array_equal(second, plate)

    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    failed = check("third").error
    assert failed is not None
    assert failed.code == "style"
    assert np.array_equal(paint(), second), "the old one stays"
    path.unlink()
    assert check("fourth").error is not None
    assert np.array_equal(paint(), second)


def test_a_file_that_a_client_named_in_another_way_is_looked_at_with_every_request(
    worker: WorkerProcess, tmp_path: Path
) -> None:
    path = tmp_path / "named.safetensors"
    plate = samples("uint8", 3)
    picture = picture_of(plate)

    def paint() -> np.ndarray[Any, Any]:
        look = RenderSettings(f"{tmp_path}/./named.safetensors")
        painted(worker, worker.frame(picture, plate, look, style_path=str(path)))
        return worker.result(picture)

    shutil.copy(STYLES["identity"], path)
    assert np.array_equal(paint(), plate)
    shutil.copy(STYLES["wheatfield-draft"], path)
    assert not np.array_equal(paint(), plate)


def test_a_style_that_is_not_there_fails_the_request(worker: WorkerProcess, tmp_path: Path) -> None:
    plate = samples("uint8", 3)
    id = worker.frame(picture_of(plate), plate, RenderSettings("gone"), style_path=str(tmp_path / "gone.safetensors"))
    assert worker.answer(WorkFailed, id=id).error.code == "style"


def test_a_shot_is_painted_frame_by_frame_in_turns(
    worker: WorkerProcess, engines: dict[str, Engine], tmp_path: Path
) -> None:
    plate = write_sequence(
        tmp_path, range(1001, 1007), size=SIZE, pixels=lambda number: samples("float16", 3, seed=number)
    )
    id = new_id()
    request = SubmitShot(
        id, ShotJob(RenderSettings("wheatfield-draft"), plate, str(tmp_path / "out" / "painted.####.exr"))
    )
    worker.grants = False
    try:
        worker.send(RunShot(request, STYLES["wheatfield-draft"], 1))
        assert worker.answer(ShotOpened).started.frames == 6
        assert worker.answer(TurnAsked, job=id, turn=0).pixels == SIZE[0] * SIZE[1]
        assert not list((tmp_path / "out").glob("[!.]*")), "nothing is painted before its turn"
        for turn in range(6):
            worker.answer(TurnAsked, job=id, turn=turn)
            worker.send(TurnGranted(id, turn))
            worker.answer(TurnOver, job=id, turn=turn)
    finally:
        worker.grants = True
    done = worker.answer(ShotEnded).done
    assert (done.rendered, done.skipped) == (6, 0)
    stored = [each for message in worker.heard if isinstance(message, FramesSafe) for each in message.stored]
    assert [each.number for each in stored] == list(range(1001, 1007))
    assert [each.done for each in stored] == list(range(1, 7))
    with open_reader(str(tmp_path / "out" / "painted.####.exr")) as result, open_reader(plate) as source:
        for painted_frame, plain in zip(result, source, strict=True):
            assert np.array_equal(painted_frame.colour, engines["wheatfield-draft"](plain).colour)


def test_a_shot_that_is_stopped_while_it_waits_gives_its_turns_back(worker: WorkerProcess, tmp_path: Path) -> None:
    plate = write_sequence(tmp_path, range(1, 5), size=SIZE, pixels=light)
    id = new_id()
    worker.grants = False
    try:
        output = str(tmp_path / "out" / "painted.####.exr")
        worker.send(RunShot(SubmitShot(id, ShotJob(RenderSettings("identity"), plate, output)), STYLES["identity"], 1))
        worker.answer(TurnAsked, job=id, turn=0)
        worker.send(StopWork(id))
        stopped = worker.answer(WorkStopped, id=id)
    finally:
        worker.grants = True
    assert stopped.rendered == 0
    worker.answer(TurnOver, job=id, turn=0)
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"input": "/nowhere/plate.####.exr"}, "unreadable_media"),
        ({"first": 3}, "usage"),
        ({"first": 4, "last": 3}, "usage"),
        ({"before_resize": "huge"}, "usage"),
        ({"rate": "fast"}, "usage"),
        ({"layer": "difuse"}, "unknown_name"),
        ({"output_space": "nowhere"}, "unknown_name"),
        ({"overwrite": True, "resume": True}, "usage"),
    ],
)
def test_a_shot_that_cannot_be_done_is_answered(
    worker: WorkerProcess, tmp_path: Path, change: dict[str, Any], code: str
) -> None:
    plate = write_sequence(tmp_path, range(1, 3), size=SIZE, pixels=light)
    id = new_id()
    request = SubmitShot(
        id, replace(ShotJob(RenderSettings("identity"), plate, str(tmp_path / "out.####.exr")), **change)
    )
    worker.send(RunShot(request, STYLES["identity"], 1))
    assert worker.answer(WorkFailed, id=id).error.code == code


@pytest.mark.slow
def test_the_memory_of_many_frames_is_flat(worker: WorkerProcess) -> None:
    import psutil

    process = psutil.Process(worker.process.pid)
    plate = samples("float32", 4)
    picture = picture_of(plate)

    def paint(count: int) -> None:
        for index in range(count):
            look = RenderSettings("wheatfield-draft", params={"stroke": 1.0 if index % 10 else 100.0})
            id = worker.frame(picture, plate, look, style_path=STYLES["wheatfield-draft"])
            worker.until(
                lambda each, id=id: (
                    id == (each.done.id if isinstance(each, FramePainted) else getattr(each, "id", None))
                )
            )
            worker.heard.clear()

    paint(50)
    before, files = process.memory_info().rss, process.num_fds()
    paint(300)
    assert process.memory_info().rss - before < 20 << 20
    assert process.num_fds() == files
    assert os.getpid() != process.pid
