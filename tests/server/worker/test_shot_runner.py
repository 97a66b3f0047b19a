"""Shot jobs inside a worker, with the fake painter: turns, progress, later attempts, and every point of a commit."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from impasto.core.errors import UnknownName, UsageError
from impasto.core.frame import Frame
from impasto.core.grade import Before
from impasto.core.media import FrameRange, ShotInfo, open_reader, open_writer
from impasto.core.motion.conventions import MotionWish
from impasto.core.params import Params
from impasto.core.resize import Resize
from impasto.server.protocol.messages import Look, SubmitShot
from impasto.server.protocol.worker_messages import (
    FramesSafe,
    FromWorker,
    RunShot,
    ShotEnded,
    ShotOpened,
    StopWork,
    TurnAsked,
    TurnGranted,
    TurnOver,
    WorkFailed,
    WorkStopped,
)
from impasto.server.shots.render import FrameStored, ShotAdvanced, ShotNote
from impasto.server.worker.scheduled_painter import ScheduledPainter
from impasto.server.worker.shot_runner import ShotWork, for_attempt, job_of
from impasto.server.worker.work_items import WorkItem
from tests.server.fake_worker import COMMAND, COMMITS, FakePainter, Script
from tests.server.one_worker import OneWorker, new_id, one_worker

WIDTH, HEIGHT = 32, 16
ID = b"j" * 16


def write_plate(folder: Path, numbers: range, ending: str = ".####.exr") -> str:
    pattern = str(folder / f"plate{ending}")
    kind = "movie" if ending == ".mkv" else "sequence"
    with open_writer(pattern, ShotInfo("", kind, numbers[0], len(numbers), WIDTH, HEIGHT)) as writer:
        for number in numbers:
            shape = (HEIGHT, WIDTH, 3)
            pixels = (
                np.full(shape, number / 100, np.float16) if kind == "sequence" else np.full(shape, number, np.uint8)
            )
            writer.write(Frame.from_pixels(pixels, number=number))
    return pattern


def shot(style: str, plate: str, output: Path, **more: Any) -> SubmitShot:
    return SubmitShot(new_id(), Look(style), plate, str(output), **more)


def safe_frames(worker: OneWorker) -> list[int]:
    return [each.number for message in worker.heard if isinstance(message, FramesSafe) for each in message.stored]


def run_to_the_end(request: SubmitShot, style_path: Path, attempts: int = 6) -> tuple[int, list[int]]:
    """Attempts with a new worker each until one answers; how many it took, and the frames that were told of."""
    told: list[int] = []
    for attempt in range(1, attempts + 1):
        with one_worker(COMMAND) as worker:
            worker.send(RunShot(request, str(style_path), attempt))
            try:
                worker.answer(ShotEnded)
            except Exception:  # noqa: BLE001  # it died, which is what it was told to do
                assert worker.process.wait(5) == -9
                continue
            finally:
                told += safe_frames(worker)
            return attempt, told
    raise AssertionError(f"no end after {attempts} attempts")


def digests(folder: Path) -> dict[str, str]:
    """Every file of a folder, hidden ones too, by what its pixels are."""
    return {
        path.name: hashlib.sha256(next(iter(open_reader(str(path)))).colour.tobytes()).hexdigest()
        for path in folder.iterdir()
    }


def test_every_frame_is_told_once_and_has_its_turn(tmp_path: Path) -> None:
    plate = write_plate(tmp_path, range(1, 201))
    request = shot("echo", plate, tmp_path / "out" / "p.####.exr")
    with one_worker(COMMAND) as worker:
        worker.send(RunShot(request, "", 1))
        done = worker.answer(ShotEnded).done
        assert worker.answer(ShotOpened).started.frames == 200
        assert (done.rendered, done.skipped, done.path) == (200, 0, str(tmp_path / "out" / "p.####.exr"))
        assert safe_frames(worker) == list(range(1, 201))
        asked = [each.turn for each in worker.heard if isinstance(each, TurnAsked)]
        over = [each.turn for each in worker.heard if isinstance(each, TurnOver)]
        assert asked == list(range(200))
        assert sorted(over) == asked
        last = max(index for index, each in enumerate(worker.heard) if isinstance(each, FramesSafe))
        assert isinstance(worker.heard[-1], ShotEnded)
        assert last < len(worker.heard) - 1


def test_at_most_two_turns_are_asked_for_at_once(tmp_path: Path) -> None:
    plate = write_plate(tmp_path, range(1, 9))
    request = shot("echo", plate, tmp_path / "out" / "p.####.exr")
    with one_worker(COMMAND) as worker:
        worker.grants = False
        worker.send(RunShot(request, "", 1))
        worker.answer(TurnAsked, turn=0)
        worker.send(TurnGranted(request.id, 0))
        worker.answer(TurnAsked, turn=2)
        assert max(each.turn for each in worker.heard if isinstance(each, TurnAsked)) == 2
        # Granted out of order: each waits for its own.
        worker.send(TurnGranted(request.id, 2))
        worker.answer(TurnOver, turn=2)
        assert not any(isinstance(each, TurnOver) and each.turn == 1 for each in worker.heard)
        worker.send(StopWork(request.id))
        assert worker.answer(WorkStopped).id == request.id


def test_frames_before_a_stop_are_kept_and_said(tmp_path: Path) -> None:
    plate = write_plate(tmp_path, range(1, 21))
    request = shot("delay-20ms", plate, tmp_path / "out" / "p.####.exr")
    with one_worker(COMMAND) as worker:
        worker.send(RunShot(request, "", 1))
        worker.until(lambda each: isinstance(each, FramesSafe) and len(each.stored) > 0)
        worker.send(StopWork(request.id))
        stopped = worker.answer(WorkStopped)
        assert 1 <= stopped.rendered < 20
        assert stopped.path == request.output
        assert safe_frames(worker) == list(range(1, stopped.rendered + 1))
        assert len(list((tmp_path / "out").iterdir())) == stopped.rendered


def test_frames_before_an_error_are_kept_and_said(tmp_path: Path) -> None:
    plate = write_plate(tmp_path, range(1, 9))
    (tmp_path / "plate.0005.exr").write_bytes(b"damaged")
    request = shot("echo", plate, tmp_path / "out" / "p.####.exr")
    with one_worker(COMMAND) as worker:
        worker.send(RunShot(request, "", 1))
        failed = worker.answer(WorkFailed)
        assert failed.error.code == "unreadable_media"
        assert (failed.path, failed.rendered) == (request.output, 4)
        assert safe_frames(worker) == [1, 2, 3, 4]


def test_what_there_is_of_a_movie_after_an_error_is_said(tmp_path: Path) -> None:
    plate = write_plate(tmp_path, range(1, 9))
    (tmp_path / "plate.0005.exr").write_bytes(b"damaged")
    request = shot("echo", plate, tmp_path / "p.mkv")
    with one_worker(COMMAND) as worker:
        worker.send(RunShot(request, "", 1))
        failed = worker.answer(WorkFailed)
        assert (failed.path, failed.rendered) == (str(tmp_path / "p.partial.mkv"), 4)


@pytest.mark.parametrize("point", COMMITS)
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_kill_at_any_point_of_a_commit_tears_no_frame(tmp_path: Path, point: str, overwrite: bool) -> None:
    """The first frame, one in the middle and the last: each worker dies there once, the next goes on."""
    style_path = tmp_path / "style"
    plate = write_plate(tmp_path, range(1, 7))
    undisturbed = tmp_path / "undisturbed"
    run_to_the_end(shot("echo", plate, undisturbed / "p.####.exr"), style_path)
    for commit in (3,) if overwrite else (1, 3, 6):
        folder = tmp_path / f"{point}-{commit}"
        request = shot(f"crash-{point}-{commit}", plate, folder / "p.####.exr", overwrite=overwrite)
        if overwrite:
            folder.mkdir()
            (folder / "p.0002.exr").write_bytes(b"an older result")
        attempts, told = run_to_the_end(request, style_path)
        assert attempts == 2
        assert digests(folder) == digests(undisturbed)
        assert len(told) == len(set(told)), "no frame is told twice"


def test_a_later_attempt_keeps_what_is_stored() -> None:
    job = job_of(shot("echo", "in.####.exr", Path("out.####.exr"), overwrite=True), Params())
    order = RunShot(shot("echo", "in.####.exr", Path("out.####.exr")), "", 2)
    assert for_attempt(job, replace(order, attempt=1)) == job
    assert for_attempt(job, order) == replace(job, resume=True, overwrite=False)


def test_a_later_attempt_replaces_nothing_that_no_earlier_one_made(tmp_path: Path) -> None:
    plate = write_plate(tmp_path, range(1, 3))
    (tmp_path / "p.0001.exr").write_bytes(b"somebody else's")
    with one_worker(COMMAND) as worker:
        worker.send(RunShot(shot("echo", plate, tmp_path / "p.####.exr"), "", 2, opened=False))
        assert worker.answer(WorkFailed).error.code == "output_exists"
    assert (tmp_path / "p.0001.exr").read_bytes() == b"somebody else's"


def test_a_movie_is_rendered_again_from_its_beginning(tmp_path: Path) -> None:
    plate = write_plate(tmp_path, range(1, 9), ".mkv")
    request = shot("crash-at-5", plate, tmp_path / "out.mkv")
    attempts, _ = run_to_the_end(request, tmp_path / "style")
    assert attempts == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.mkv", "plate.mkv", "style.crash-at-5"]
    with open_reader(str(tmp_path / "out.mkv")) as reader:
        assert len(list(reader)) == 8


def test_a_request_becomes_the_job_that_it_asks_for() -> None:
    look = Look("echo", params={"strength": 1, "stroke": 2.0}, before={"denoise": 0.5})
    job = job_of(
        SubmitShot(
            ID, look, "in", "out", first=3, last=9, layer="diffuse", matte="m.png", input_space="a", output_space="b",
            before_resize="50%", after_resize="x720", resume=True, motion="v.####.exr", motion_layer="vector=blender",
        ),
        Params(),
    )  # fmt: skip
    assert job.frames == FrameRange(3, 9)
    assert job.params == Params(strength=1.0, stroke=2.0)
    assert job.params is not None
    assert isinstance(job.params.strength, float), "a whole number is the same setting, also where it is noted"
    assert job.before == Before(denoise=0.5, resize=Resize(scale=0.5))
    assert job.after.resize == Resize(height=720)
    assert (job.layer, job.matte, job.input_space, job.output_space) == ("diffuse", "m.png", "a", "b")
    assert job.motion == MotionWish("v.####.exr", "vector", "blender")
    assert job.resume
    plain = job_of(SubmitShot(ID, Look("echo"), "in", "out"), Params())
    assert (plain.params, plain.layer, plain.matte, plain.frames, plain.motion) == (None,) * 5


def test_parameters_that_are_not_given_are_those_of_the_style() -> None:
    defaults = Params(stroke=2.0, detail=0.25)
    job = job_of(SubmitShot(ID, Look("echo", params={"strength": 0.5}), "in", "out"), defaults)
    assert job.params == Params(strength=0.5, stroke=2.0, detail=0.25)


def test_an_unknown_control_names_the_nearest() -> None:
    with pytest.raises(UnknownName, match="did you mean 'strength'"):
        job_of(SubmitShot(ID, Look("echo", params={"strengt": 1.0}), "in", "out"), Params())
    with pytest.raises(UsageError, match="both"):
        job_of(SubmitShot(ID, Look("echo"), "in", "out", last=3), Params())


def quiet(told: list[FromWorker]) -> tuple[ShotWork, Callable[..., None]]:
    """A job of which only the telling is tried."""
    work = ShotWork(
        RunShot(SubmitShot(ID, Look("echo"), "in", "out"), "", 1), WorkItem(ID, lambda id: None), told.append
    )
    return work, work._told


def test_a_burst_of_frames_is_told_in_handfuls_and_whole() -> None:
    told: list[FromWorker] = []
    work, tell = quiet(told)
    for number in range(1, 301):
        tell(FrameStored(number, f"p.{number}.exr", number, 0))
        if number % 50 == 0:
            tell(ShotNote("note\n" + "x" * 9000))
    work.tell_if_due(time.monotonic() + 1)
    assert all(isinstance(each, FramesSafe) and len(each.stored) <= 64 for each in told)
    numbers = [frame.number for each in told if isinstance(each, FramesSafe) for frame in each.stored]
    assert numbers == list(range(1, 301))
    notes = [text for each in told if isinstance(each, FramesSafe) for text in each.notes]
    assert len(notes) == 6
    assert all(text.startswith("note x") and len(text.encode()) <= 4096 for text in notes)
    assert work.due == float("inf")


def test_a_painter_that_raises_gives_its_turn_back() -> None:
    told: list[FromWorker] = []
    painter = ScheduledPainter(FakePainter(Script("fail", 0, Path("x")), -1), ID, told.append, lambda: None)
    painter.grant(0)
    with pytest.raises(Exception, match="expected a style that paints"):
        painter.render(Frame.from_pixels(np.zeros((4, 6, 3), np.uint8), number=5))
    assert told == [TurnAsked(ID, 0, 5, 24), TurnOver(ID, 0)]


def test_the_pixels_of_a_turn_are_those_after_the_resize() -> None:
    told: list[FromWorker] = []
    painter = ScheduledPainter(FakePainter(Script("echo", 0, Path("x")), -1), ID, told.append, lambda: None)
    painter.grant(0)
    painter.render(Frame.from_pixels(np.zeros((4, 6, 3), np.uint8)), before=Before(resize=Resize(scale=2.0)))
    assert told[0] == TurnAsked(ID, 0, 0, 96)


def test_work_before_the_first_frame_is_progress_and_nothing_to_tell() -> None:
    told: list[FromWorker] = []
    moves: list[bytes] = []
    work = ShotWork(RunShot(SubmitShot(ID, Look("echo"), "in", "out"), "", 1), WorkItem(ID, moves.append), told.append)
    work._told(ShotAdvanced())
    assert (moves, told, work.due) == ([ID], [], float("inf"))
