"""Several processes make the same frames of a farm job at once, and are killed: every frame is there, whole, once."""

from __future__ import annotations

import multiprocessing
import os
import random
import time
from dataclasses import replace
from pathlib import Path

import pytest

from impasto.core.errors import OutputError
from impasto.core.media import open_reader
from impasto.core.media.picture_reader import read_header
from impasto.server.protocol.messages import ShotDone, ShotJob
from impasto.server.shots.provenance import ATTEMPT, JOB
from impasto.server.shots.render import render_shot
from tests.plates import write_sequence
from tests.server.shots.test_shots import STYLE, FakePainter, names

FARM_JOB = "20261201T080000Z-0a1b2c"
LIMIT_S = 240.0


def job_of(plate: str, folder: Path, farm_job: str = FARM_JOB) -> ShotJob:
    output = str(folder / "out" / "painted.####.exr")
    return ShotJob(STYLE, plate, output, resume=True, farm_job=farm_job, attempt=f"here-{os.getpid()}")


def race(plate: str, folder: Path) -> None:
    """What one racer does: the whole shot, as a farm that hands every frame to everybody would have it."""
    render_shot(job_of(plate, folder), FakePainter(before_frame=lambda number: time.sleep(random.random() * 0.02)))


@pytest.mark.skipif(os.name != "posix", reason="ends processes by SIGKILL")
@pytest.mark.parametrize(
    ("frames", "kills"), [(24, 10), pytest.param(200, 50, marks=pytest.mark.slow)], ids=["short", "full"]
)
def test_eight_racers_that_are_killed_leave_every_frame_once_and_nothing_else(
    frames: int, kills: int, tmp_path: Path
) -> None:
    plate = write_sequence(tmp_path / "in", range(1, frames + 1))
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "torch"])
    chance = random.Random(16)

    def started() -> multiprocessing.process.BaseProcess:
        racer = context.Process(target=race, args=(plate, tmp_path))
        racer.start()
        return racer

    racers = [started() for _ in range(8)]
    until = time.monotonic() + LIMIT_S
    for _ in range(kills):
        racers[0].join(chance.random() * 0.3)
        victim = chance.randrange(len(racers))
        racers[victim].kill()
        racers[victim].join(LIMIT_S)
        racers[victim] = started()
    for racer in racers:
        racer.join(max(0.0, until - time.monotonic()))
        assert racer.exitcode == 0
    last = render_shot(job_of(plate, tmp_path), FakePainter())
    assert (type(last), last.skipped if isinstance(last, ShotDone) else None) == (ShotDone, frames)
    assert names(tmp_path / "out") == [f"painted.{number:04}.exr" for number in range(1, frames + 1)]


def test_a_frame_that_another_attempt_stored_meanwhile_stays_and_is_counted(tmp_path: Path) -> None:
    plate = write_sequence(tmp_path / "in", range(1, 5))
    job = job_of(plate, tmp_path)
    written: dict[str, int] = {}

    def other_attempt(number: int) -> None:
        if number == 3:
            render_shot(replace(job, attempt="the other"), FakePainter())
            written.update({name: (tmp_path / "out" / name).stat().st_ino for name in names(tmp_path / "out")})

    done = render_shot(job, FakePainter(before_frame=other_attempt))
    assert isinstance(done, ShotDone)
    assert done.rendered + done.skipped == 4
    assert done.skipped >= 2, "frames 3 and 4 were there before ours"
    assert {name: (tmp_path / "out" / name).stat().st_ino for name in names(tmp_path / "out")} == written
    provenance = read_header(str(tmp_path / "out" / "painted.0004.exr")).provenance
    assert (provenance[JOB], provenance[ATTEMPT]) == (FARM_JOB, "the other")


def test_a_frame_of_another_look_that_came_meanwhile_is_an_error_that_names_both(tmp_path: Path) -> None:
    plate = write_sequence(tmp_path / "in", range(1, 5))
    job = job_of(plate, tmp_path)

    def other_look(number: int) -> None:
        if number == 3:
            other = replace(job, look=replace(STYLE, params={"strength": 0.5}), first=3, last=3)
            render_shot(other, FakePainter())

    with pytest.raises(OutputError) as raised:
        render_shot(job, FakePainter(before_frame=other_look))
    assert '"strength": 0.5' in str(raised.value)
    assert '"params": {}' in str(raised.value)
    with open_reader(job.output) as reader:
        assert [frame.number for frame in reader] == [1, 2, 3], "what was painted before is kept"
    assert '"strength": 0.5' in read_header(str(tmp_path / "out" / "painted.0003.exr")).provenance["settings"]


def test_a_job_gives_way_to_the_frames_of_a_newer_job_and_replaces_those_of_an_older_one(tmp_path: Path) -> None:
    plate = write_sequence(tmp_path / "in", range(1, 3))
    older, newer = "20261201T080000Z-ffffff", "20261201T080001Z-000000"
    other = replace(STYLE, params={"strength": 0.5})
    render_shot(replace(job_of(plate, tmp_path, newer), look=other), FakePainter())
    with pytest.raises(OutputError, match=f"newer than '{older}'.*'{newer}'"):
        render_shot(job_of(plate, tmp_path, older), FakePainter())
    done = render_shot(job_of(plate, tmp_path, newer + "1"), FakePainter())
    assert isinstance(done, ShotDone)
    assert done.rendered == 2
