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
from impasto.core.frame_settings import FrameSettings
from impasto.core.grade_settings import Before, Resize
from impasto.core.media import FrameRange, open_reader
from impasto.core.motion.conventions import MotionSource
from impasto.core.params import Params
from impasto.server.protocol.messages import RenderSettings, ShotJob, ShotProgress, StoredFrame, SubmitShot
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
from impasto.server.shots.frame_settings import ShotSettings
from impasto.server.shots.job import frames_of, motion_of
from impasto.server.worker.scheduled_painter import ScheduledPainter
from impasto.server.worker.shot_runner import ShotRunner, for_attempt
from impasto.server.worker.work_items import WorkItem
from tests.plates import write_movie, write_sequence
from tests.server.fake_worker import COMMAND, COMMITS, FakePainter, Script
from tests.server.worker_process import WorkerProcess, new_id, worker_process

WIDTH, HEIGHT = 32, 16
ID = b"j" * 16


def shot(style: str, plate: str, output: Path, **more: Any) -> SubmitShot:
    return SubmitShot(new_id(), ShotJob(RenderSettings(style), plate, str(output), **more))


def safe_frames(worker: WorkerProcess) -> list[int]:
    return [each.number for message in worker.heard if isinstance(message, FramesSafe) for each in message.stored]


def run_to_the_end(request: SubmitShot, style_path: Path, attempts: int = 6) -> tuple[int, list[int]]:
    """Attempts with a new worker each until one answers; how many it took, and the frames that were reported."""
    reported: list[int] = []
    for attempt in range(1, attempts + 1):
        with worker_process(COMMAND) as worker:
            worker.send(RunShot(request, str(style_path), attempt))
            try:
                worker.answer(ShotEnded)
            except Exception:  # noqa: BLE001  # it died, which is what its style asks for
                assert worker.process.wait(5) == -9
                continue
            finally:
                reported += safe_frames(worker)
            return attempt, reported
    raise AssertionError(f"no end after {attempts} attempts")


def digests(folder: Path) -> dict[str, str]:
    """Every file of a folder, hidden ones too, by what its pixels are."""
    return {
        path.name: hashlib.sha256(next(iter(open_reader(str(path)))).colour.tobytes()).hexdigest()
        for path in folder.iterdir()
    }


def test_every_frame_is_reported_once_and_has_its_turn(tmp_path: Path) -> None:
    plate = write_sequence(tmp_path, range(1, 201))
    request = shot("echo", plate, tmp_path / "out" / "p.####.exr")
    with worker_process(COMMAND) as worker:
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
    plate = write_sequence(tmp_path, range(1, 9))
    request = shot("echo", plate, tmp_path / "out" / "p.####.exr")
    with worker_process(COMMAND) as worker:
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


def test_frames_before_a_stop_are_kept_and_counted(tmp_path: Path) -> None:
    plate = write_sequence(tmp_path, range(1, 21))
    request = shot("delay-20ms", plate, tmp_path / "out" / "p.####.exr")
    with worker_process(COMMAND) as worker:
        worker.send(RunShot(request, "", 1))
        worker.until(lambda each: isinstance(each, FramesSafe) and len(each.stored) > 0)
        worker.send(StopWork(request.id))
        stopped = worker.answer(WorkStopped)
        assert 1 <= stopped.rendered < 20
        assert stopped.path == request.job.output
        assert safe_frames(worker) == list(range(1, stopped.rendered + 1))
        assert len(list((tmp_path / "out").iterdir())) == stopped.rendered


def test_frames_before_an_error_are_kept_and_counted(tmp_path: Path) -> None:
    plate = write_sequence(tmp_path, range(1, 9))
    (tmp_path / "plate.0005.exr").write_bytes(b"damaged")
    request = shot("echo", plate, tmp_path / "out" / "p.####.exr")
    with worker_process(COMMAND) as worker:
        worker.send(RunShot(request, "", 1))
        failed = worker.answer(WorkFailed)
        assert failed.error.code == "unreadable_media"
        assert (failed.path, failed.rendered) == (request.job.output, 4)
        assert safe_frames(worker) == [1, 2, 3, 4]


def test_what_there_is_of_a_movie_after_an_error_is_named(tmp_path: Path) -> None:
    plate = write_sequence(tmp_path, range(1, 9))
    (tmp_path / "plate.0005.exr").write_bytes(b"damaged")
    request = shot("echo", plate, tmp_path / "p.mkv")
    with worker_process(COMMAND) as worker:
        worker.send(RunShot(request, "", 1))
        failed = worker.answer(WorkFailed)
        assert (failed.path, failed.rendered) == (str(tmp_path / "p.partial.mkv"), 4)


@pytest.mark.parametrize("point", COMMITS)
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_kill_at_any_point_of_a_commit_tears_no_frame(tmp_path: Path, point: str, overwrite: bool) -> None:
    """The first frame, one in the middle and the last: each worker dies there once, the next goes on."""
    style_path = tmp_path / "style"
    plate = write_sequence(tmp_path, range(1, 7))
    undisturbed = tmp_path / "undisturbed"
    run_to_the_end(shot("echo", plate, undisturbed / "p.####.exr"), style_path)
    for commit in (3,) if overwrite else (1, 3, 6):
        folder = tmp_path / f"{point}-{commit}"
        request = shot(f"crash-{point}-{commit}", plate, folder / "p.####.exr", overwrite=overwrite)
        if overwrite:
            folder.mkdir()
            (folder / "p.0002.exr").write_bytes(b"an older result")
        attempts, reported = run_to_the_end(request, style_path)
        assert attempts == 2
        assert digests(folder) == digests(undisturbed)
        assert len(reported) == len(set(reported)), "no frame is reported twice"


def test_a_later_attempt_keeps_what_is_stored() -> None:
    order = RunShot(shot("echo", "in.####.exr", Path("out.####.exr"), overwrite=True), "", 2)
    job = order.request.job
    assert for_attempt(job, replace(order, attempt=1)) == job
    assert for_attempt(job, order) == replace(job, resume=True, overwrite=False)


def test_a_later_attempt_replaces_nothing_that_no_earlier_one_made(tmp_path: Path) -> None:
    plate = write_sequence(tmp_path, range(1, 3))
    (tmp_path / "p.0001.exr").write_bytes(b"somebody else's")
    with worker_process(COMMAND) as worker:
        worker.send(RunShot(shot("echo", plate, tmp_path / "p.####.exr"), "", 2, opened=False))
        assert worker.answer(WorkFailed).error.code == "output_exists"
    assert (tmp_path / "p.0001.exr").read_bytes() == b"somebody else's"


def test_a_movie_is_rendered_again_from_its_beginning(tmp_path: Path) -> None:
    plate = write_movie(tmp_path / "plate.mkv", 8)
    request = shot("crash-at-5", plate, tmp_path / "out.mkv")
    attempts, _ = run_to_the_end(request, tmp_path / "style")
    assert attempts == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.mkv", "plate.mkv", "style.crash-at-5"]
    with open_reader(str(tmp_path / "out.mkv")) as reader:
        assert len(list(reader)) == 8


def test_the_texts_of_a_job_become_what_rendering_takes() -> None:
    look = RenderSettings("echo", params={"strength": 1, "stroke": 2.0}, before={"denoise": 0.5})
    job = ShotJob(
        look, "in", "out", first=3, last=9, input_space="a", before_resize="50%", after_resize="x720",
        motion="v.####.exr", motion_layer="vector=blender",
    )  # fmt: skip
    settings = ShotSettings(job, Params()).of_frame(3)
    assert settings.params == Params(strength=1.0, stroke=2.0)
    assert isinstance(settings.params.strength, float), "a whole number is the same setting, also where it is noted"
    assert settings.before == Before(denoise=0.5, resize=Resize(scale=0.5))
    assert settings.after.resize == Resize(height=720)
    assert settings.input_space == "a"
    assert frames_of(job) == FrameRange(3, 9)
    assert motion_of(job) == MotionSource("v.####.exr", "vector", "blender")
    assert motion_of(replace(job, motion=job.input, motion_layer="")) == MotionSource("")
    plain = ShotJob(RenderSettings("echo"), "in", "out")
    assert (frames_of(plain), motion_of(plain)) == (None, None)
    assert ShotSettings(plain, Params(stroke=2.0)).of_frame(1) == FrameSettings(Params(stroke=2.0))


def test_parameters_that_are_not_given_are_those_of_the_style() -> None:
    job = ShotJob(RenderSettings("echo", params={"strength": 0.5}), "in", "out")
    defaults = Params(stroke=2.0, detail=0.25)
    assert ShotSettings(job, defaults).params(1) == Params(strength=0.5, stroke=2.0, detail=0.25)


def test_an_unknown_control_names_the_nearest() -> None:
    with pytest.raises(UnknownName, match="did you mean 'strength'"):
        ShotSettings(ShotJob(RenderSettings("echo", params={"strengt": 1.0}), "in", "out"), Params())
    with pytest.raises(UsageError, match="both"):
        frames_of(ShotJob(RenderSettings("echo"), "in", "out", last=3))


def runner(sent: list[FromWorker], moved: Callable[[bytes], None] = lambda id: None) -> ShotRunner:
    """A job whose reports alone are tested."""
    request = SubmitShot(ID, ShotJob(RenderSettings("echo"), "in", "out"))
    return ShotRunner(RunShot(request, "", 1), WorkItem(ID, moved), sent.append)


def test_a_burst_of_frames_is_sent_in_batches_and_whole() -> None:
    sent: list[FromWorker] = []
    job = runner(sent)
    for number in range(1, 301):
        job._on_event(ShotProgress(ID, (StoredFrame(number, f"p.{number}.exr", number, 0),)))
        if number % 50 == 0:
            job._on_event(ShotProgress(ID, notes=("note\n" + "x" * 9000,)))
    job.report_if_due(time.monotonic() + 1)
    assert all(isinstance(each, FramesSafe) and len(each.stored) <= 64 for each in sent)
    numbers = [frame.number for each in sent if isinstance(each, FramesSafe) for frame in each.stored]
    assert numbers == list(range(1, 301))
    notes = [text for each in sent if isinstance(each, FramesSafe) for text in each.notes]
    assert len(notes) == 6
    assert all(text.startswith("note x") and len(text.encode()) <= 4096 for text in notes)
    assert job.due == float("inf")


def test_a_painter_that_raises_gives_its_turn_back() -> None:
    sent: list[FromWorker] = []
    painter = ScheduledPainter(FakePainter(Script("fail", 0, Path("x")), -1), ID, sent.append, lambda: None)
    painter.grant(0)
    with pytest.raises(Exception, match="expected a style that paints"):
        painter.render(Frame.from_pixels(np.zeros((4, 6, 3), np.uint8), number=5))
    assert sent == [TurnAsked(ID, 0, 5, 24), TurnOver(ID, 0)]


def test_the_pixels_of_a_turn_are_those_after_the_resize() -> None:
    sent: list[FromWorker] = []
    painter = ScheduledPainter(FakePainter(Script("echo", 0, Path("x")), -1), ID, sent.append, lambda: None)
    painter.grant(0)
    painter.render(
        Frame.from_pixels(np.zeros((4, 6, 3), np.uint8)), FrameSettings(before=Before(resize=Resize(scale=2.0)))
    )
    assert sent[0] == TurnAsked(ID, 0, 0, 96)


def test_work_before_the_first_frame_is_progress_and_nothing_is_sent() -> None:
    sent: list[FromWorker] = []
    moves: list[bytes] = []
    job = runner(sent, moves.append)
    job._on_event(ShotProgress(ID))
    assert (moves, sent, job.due) == ([ID], [], float("inf"))
