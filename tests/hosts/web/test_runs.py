"""Runs of the trainer as their folders tell, and training that the page starts."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from impasto.core.errors import ServerBusy, UsageError
from impasto.hosts.events import RunCancelled, RunFinished, RunWarning, TrainingStep, line_of
from impasto.hosts.web.runs import POINTS, curves_of, notes_of, runs_below
from impasto.hosts.web.sheets import sheet_png, sheets_in
from impasto.hosts.web.training_jobs import TrainingJobs, TrainingOrder
from impasto.server.settings import Root
from impasto.training.run_log import log_figures, log_note
from tests.hosts.web.conftest import Pages
from tests.waiting import until


def run_in(folder: Path, name: str = "hero", rows: int = 3) -> Path:
    """A run as the trainer writes it: its own log, notes, TensorBoard and style."""
    run = folder / f"{name}.run"
    for step in range(rows):
        log_figures(run / "log.csv", 10 * step, step / 2, {"loss": 1 / (step + 1), "held_out": 0.5})
    log_note(run / "notes.csv", 10, 0.5, "training diverged at step 10, where\nloss = nan: back")
    (folder / f"{name}.safetensors").write_bytes(b"weights")
    return run


def sheet_of(step: int) -> np.ndarray:
    """A contact sheet that is told from others by its red."""
    return np.full((6, 8, 3), (step, 20, 200), np.uint8)


def log_sheets(run: Path, steps: list[int]) -> None:
    """Contact sheets in TensorBoard's log, by the writer that the trainer uses."""
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(run / "tensorboard")) as writer:
        for step in steps:
            writer.add_scalar("loss", 1.0, step)
            writer.add_image("preview", sheet_of(step), step, dataformats="HWC")


def test_a_run_is_told_by_its_folder(tmp_path: Path) -> None:
    run_in(tmp_path / "a" / "b")
    (tmp_path / "link.run").symlink_to(tmp_path / "a" / "b" / "hero.run")
    (run,) = runs_below({"runs": Root(tmp_path)})
    assert (run.path, run.name, run.style) == ("runs:a/b/hero.run", "hero", "runs:a/b/hero.safetensors")
    assert (run.step, run.seconds) == (20, 1.0)
    assert run.age_s < 60
    assert run.bytes > 100


def test_curves_are_thinned_and_hold_their_ends(tmp_path: Path) -> None:
    run = run_in(tmp_path, rows=1000)
    with (run / "log.csv").open("a", encoding="utf-8") as log:
        log.write("12,broken\n")
    curves = curves_of(run)
    assert (len(curves.steps), curves.steps[0], curves.steps[-1]) == (POINTS, 0, 9990)
    assert set(curves.figures) == {"loss", "held_out"}, "what is always 0 was not measured"
    assert curves.figures["loss"][0] == 1.0
    assert [note.text for note in notes_of(run)] == ["training diverged at step 10, where loss = nan: back"]
    assert curves_of(tmp_path / "nothing.run").steps == ()


def test_every_sheet_of_the_log_is_found_by_its_step(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    log_sheets(run, [0, 5, 300, 70_000])
    sheets = sheets_in(run)
    assert [sheet.step for sheet in sheets] == [0, 5, 300, 70_000]
    png = sheet_png(sheets[1])
    assert png is not None
    found = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    assert found is not None
    assert np.array_equal(found[..., ::-1], sheet_of(5))


def test_a_log_that_is_being_written_or_damaged_ends_where_it_is_whole(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    log_sheets(run, [1, 2])
    (log,) = (run / "tensorboard").iterdir()
    whole = log.read_bytes()
    for size in range(0, len(whole), 7):
        log.write_bytes(whole[:size])
        assert [sheet.step for sheet in sheets_in(run)] in ([], [1], [1, 2])
    log.write_bytes(whole[:40] + b"\xff" * 64 + whole[104:])
    assert all(sheet.step in (1, 2) for sheet in sheets_in(run))


def test_the_page_is_answered_curves_and_sheets(pages: Pages) -> None:
    folder = pages.settings.runs["runs"].folder
    run = run_in(folder, "shown")
    log_sheets(run, [3, 9])
    found = pages.ask("/api/run?path=runs:shown.run").json
    assert found["sheets"] == [3, 9]
    assert found["facts"]["style"] == "runs:shown.safetensors"
    assert found["curves"]["figures"]["held_out"] == [0.5] * 3
    sheet = pages.ask("/api/sheet?path=runs:shown.run&step=9")
    decoded = cv2.imdecode(np.frombuffer(sheet.body, np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    assert np.abs(decoded[..., ::-1].astype(int) - sheet_of(9)).max() < 12  # JPEG
    assert pages.ask("/api/run/style?path=runs:shown.safetensors").body == b"weights"
    for path in ("runs:..", "runs:shown", "nowhere:a.run", "runs:../x.run"):
        assert pages.ask(f"/api/run?path={path}").status in (400, 403, 422)
    assert pages.ask("/api/run/style?path=runs:shown.run/log.csv").status == 403
    assert pages.ask("/api/sheet?path=runs:shown.run&step=4").status == 422


def png() -> bytes:
    return bytes(cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))[1])


@pytest.mark.parametrize(
    ("key", "body", "said"),
    [
        ("hero.png", png(), "rename it, for frame 12, to hero.0012.png"),
        ("hero.0012.txt", png(), "expected a painted picture"),
        ("..%2Fhero.0012.png", png(), "expected a painted picture"),
        ("hero.0012.png", b"no picture", "hero.0012.png"),
        ("hero.0012.mov", png(), "expected a painted picture"),
    ],
)
def test_a_painted_frame_that_cannot_be_one_is_a_sentence(pages: Pages, key: str, body: bytes, said: str) -> None:
    answer = pages.ask("/api/keys?root=runs&name=refused", body=body, headers={"X-Name": key})
    assert answer.status in (400, 422)
    assert said in answer.json["message"]
    assert not (pages.settings.runs["runs"].folder / "refused.keys").exists()


def test_painted_frames_do_not_go_through_a_link(pages: Pages, tmp_path: Path) -> None:
    (pages.settings.runs["runs"].folder / "linked.keys").symlink_to(tmp_path)
    answer = pages.ask("/api/keys?root=runs&name=linked", body=png(), headers={"X-Name": "hero.0001.png"})
    assert (answer.status, "is a link; remove it" in answer.json["message"]) == (403, True)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"minutes": 0}, "expected minutes from 1"),
        ({"minutes": "10"}, "expected minutes from 1"),
        ({"size": "huge"}, "expected a size among"),
        ({"plates": "media:nowhere.mov"}, "found none"),
        ({"plates": "/etc/passwd"}, "expected a path as ROOT:"),
        ({"name": "../out"}, "expected a name of letters"),
        ({"root": "media"}, "expected a folder of runs that may be written to"),
        ({"name": "unpainted"}, "expected at least one painted frame"),
    ],
)
def test_a_training_that_cannot_start_is_a_sentence(pages: Pages, changed: dict[str, Any], said: str) -> None:
    pages.ask("/api/keys?root=runs&name=painted", body=png(), headers={"X-Name": "hero.0001.png"})
    asked = {"root": "runs", "name": "painted", "plates": "media:harbour.mp4", "minutes": 1, **changed}
    answer = pages.ask("/api/training", sent=asked)
    assert answer.status in (400, 403, 422)
    assert said in answer.json["message"]


# A stand-in for the trainer: it prints the events of one, and stops as one does.
TRAINER = """
import signal, sys, time
print('STEP', flush=True); print('NOTE', flush=True)
def stop(*_):
    print('END', flush=True); sys.exit(130)
signal.signal(signal.SIGINT, stop)
print('READY', flush=True)
while MODE == 'long': time.sleep(0.05)
print('DONE' if MODE == 'short' else 'what?', flush=True)
sys.exit(7 if MODE == 'broken' else 0)
"""


def trainer(mode: str) -> tuple[str, ...]:
    lines = {
        "STEP": line_of(TrainingStep(10, 0.25, 5.0, 15.0)),
        "NOTE": line_of(RunWarning("another key would help most on frame 30")),
        "END": line_of(RunCancelled("hero.safetensors", 0, 5.0, steps=10)),
        "DONE": line_of(RunFinished("hero.safetensors", steps=10)),
        "READY": "",
    }
    program = TRAINER.replace("MODE", repr(mode))
    for name, line in lines.items():
        program = program.replace(f"'{name}'", repr(line))
    return (sys.executable, "-c", program)


def order(name: str = "hero") -> TrainingOrder:
    return TrainingOrder(f"runs:{name}.run", Path("p"), Path("k"), Path(f"{name}.safetensors"), 1.0)


def test_a_training_is_followed_and_stopped() -> None:
    jobs = TrainingJobs(trainer("long"))
    jobs.start(order())
    until(lambda: jobs.facts()["runs:hero.run"]["notes"])
    facts = jobs.facts()["runs:hero.run"]
    assert (facts["state"], facts["fraction"], facts["remaining_s"]) == ("running", 0.25, 15.0)
    with pytest.raises(UsageError, match="'hero' is being trained already"):
        jobs.start(order())
    jobs.start(order("second"))
    with pytest.raises(ServerBusy, match="at most 2 trainings"):
        jobs.start(order("third"))
    with pytest.raises(UsageError, match="that this page started"):
        jobs.stop("runs:other.run")
    until(lambda: jobs.facts()["runs:second.run"]["notes"])
    jobs.stop("runs:hero.run")
    until(lambda: jobs.facts()["runs:hero.run"]["state"] == "stopped")
    jobs.close()
    until(lambda: jobs.facts()["runs:second.run"]["state"] == "stopped")


@pytest.mark.parametrize(
    ("mode", "state", "said"), [("short", "finished", ""), ("broken", "failed", "ended with code 7")]
)
def test_how_a_training_ended_is_said(mode: str, state: str, said: str) -> None:
    jobs = TrainingJobs(trainer(mode))
    jobs.start(order())
    until(lambda: jobs.facts()["runs:hero.run"]["state"] == state)
    assert said in str(jobs.facts()["runs:hero.run"]["problem"])


@pytest.mark.slow
def test_a_style_is_trained_from_painted_frames_by_the_page(pages: Pages) -> None:
    media = Path(__file__).parents[2] / "media" / "harbour.mp4"
    capture = cv2.VideoCapture(os.fspath(media))
    _, frame = capture.read()
    capture.release()
    painted = bytes(cv2.imencode(".png", 255 - frame)[1])
    assert pages.ask("/api/keys?root=runs&name=real", body=painted, headers={"X-Name": "h.0001.png"}).json["keys"]
    asked = {"root": "runs", "name": "real", "plates": "media:harbour.mp4", "minutes": 0.3, "size": "draft"}
    assert pages.ask("/api/training", sent=asked).status == 200
    run = "runs:real.run"

    def job() -> dict[str, Any]:
        found: dict[str, Any] = pages.ask("/api/runs").json["jobs"][run]
        return found

    until(lambda: job()["state"] in ("finished", "failed"), 300, "for the end of the training", pause_s=0.5)
    assert job()["state"] == "finished", job()["problem"]
    style = pages.ask("/api/run/style?path=runs:real.safetensors")
    assert (style.status, len(style.body) > 100_000) == (200, True)
    assert pages.ask("/api/training", sent=asked).status == 409
    assert io.BytesIO(style.body).read(1)
