"""A training as another program: its lines, its end, and who it belongs to."""

from __future__ import annotations

import inspect
import json
import os
import sys
import threading
from pathlib import Path

import pytest

from impasto.core.errors import TrainingError, UsageError
from impasto.hosts.blender.train.run import (
    PID,
    TrainingCommand,
    TrainingRun,
    TrainingStatus,
    command_line_of,
    lines_folder,
    status_after,
)
from impasto.hosts.events import RunCancelled, RunFailed, RunFinished, RunWarning, TrainingStep, line_of
from impasto.hosts.terminal.train.keyframes import keyframes

TRAINER = """
import json, signal, sys, threading
asked = threading.Event()
signal.signal(signal.SIGINT, lambda *_: asked.set())
say = lambda **event: print(json.dumps({"impasto": 1, **event}), flush=True)
say(event="warning", message="another key would help most on frame 7")
say(event="step", step=3, fraction=0.5, seconds=1.0, remaining_s=61.0, figures={"loss": 0.5}, preview="p.png")
if "--wait" in sys.argv[1]:
    asked.wait(30)
    say(event="cancelled", output="o", frames=0, seconds=1.0, steps=3)
elif "--die" in sys.argv[1]:
    sys.exit("Killed by the test")
else:
    say(event="finished", output="o", steps=4)
"""


def command(tmp_path: Path, how: str = "--end") -> TrainingCommand:
    """A trainer of a few lines, which gets the real one's arguments behind its own."""
    script = tmp_path / "trainer.py"
    script.write_text(TRAINER)
    return TrainingCommand(
        (sys.executable, str(script), how), "/p.mov", tmp_path / "keys", tmp_path / "hero.safetensors"
    )


def after_all(*lines: str) -> TrainingStatus:
    progress = TrainingStatus()
    for line in lines:
        progress = status_after(progress, line)
    return progress


def poll_until(run: TrainingRun, state: str) -> TrainingStatus:
    pause = threading.Event()
    for _ in range(1000):
        if run.poll().state == state:
            break
        pause.wait(0.01)
    assert run.progress.state == state, run.progress
    return run.progress


def test_the_lines_of_the_terminal_are_understood() -> None:
    step = TrainingStep(12, 0.25, 30.0, 90.0, {"loss": 0.1}, "/run/preview.png")
    found = after_all(line_of(RunWarning("key 'a' hardly shows its frame")), line_of(step))
    assert (found.state, found.step, found.fraction, found.preview) == ("training", 12, 0.25, "/run/preview.png")
    assert found.notes == ("key 'a' hardly shows its frame",)
    assert found.text == "training, step 12, 1:30 left"
    assert status_after(found, line_of(RunFinished("hero.safetensors", steps=50))).text == "finished after 50 steps"
    assert status_after(found, line_of(RunCancelled("hero.safetensors", 0, 3.0, steps=13))).text.startswith(
        "stopped after 13"
    )
    failed = status_after(found, line_of(RunFailed("training", "expected paint, found none", "", 5)))
    assert (failed.state, failed.text) == ("failed", "expected paint, found none")


def test_the_frame_to_paint_next_is_taken_from_the_trainers_own_advice() -> None:
    source = Path(__file__).parents[4] / "hosts" / "terminal" / "train" / "keyframes.py"
    assert 'f"another key would help most on frame {painted.wanted}"' in source.read_text(encoding="utf-8")
    found = after_all(line_of(RunWarning("another key would help most on frame 1042")))
    assert found.advice == "Paint frame 1042 next"


@pytest.mark.parametrize("line", ["", "no json", "[]", "3", '{"event": "something new"}', '{"no": "event"}'])
def test_a_line_that_is_not_understood_changes_nothing(line: str) -> None:
    assert after_all(line) == TrainingStatus()


def test_the_arguments_are_those_of_the_command_line(tmp_path: Path) -> None:
    parameters = inspect.signature(keyframes, eval_str=True).parameters.values()
    options = [meta for each in parameters for meta in getattr(each.annotation, "__metadata__", ())]
    known = {name for option in options for name in (option.default, *option.param_decls) if isinstance(name, str)}
    style = tmp_path / "hero.safetensors"
    found = TrainingCommand(("impasto",), "/p.mov", tmp_path, style, input_space="ACEScg").arguments
    assert {word for word in found if word.startswith("-")} <= known
    assert found[:3] == ("impasto", "train", "keyframes")


def test_a_training_is_followed_to_its_end(tmp_path: Path) -> None:
    run = TrainingRun.start(command(tmp_path))
    assert run.wait(30)
    found = poll_until(run, "finished")
    assert (found.step, found.wanted) == (4, 7)


def test_stopping_waits_for_the_trainers_own_end(tmp_path: Path) -> None:
    run = TrainingRun.start(command(tmp_path, "--wait"))
    poll_until(run, "training")
    run.stop()
    assert run.wait(30)
    assert poll_until(run, "stopped").step == 3


def test_a_style_is_trained_by_one_program_at_a_time(tmp_path: Path) -> None:
    run = TrainingRun.start(command(tmp_path, "--wait"))
    try:
        poll_until(run, "training")
        with pytest.raises(UsageError, match="one runs; stop it first"):
            TrainingRun.start(command(tmp_path, "--wait"))
    finally:
        run.stop()
        assert run.wait(30)


def test_a_trainer_that_dies_leaves_its_last_words(tmp_path: Path) -> None:
    run = TrainingRun.start(command(tmp_path, "--die"))
    assert run.wait(30)
    assert "Killed by the test" in poll_until(run, "lost").sentence


def test_a_command_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    missing = TrainingCommand((str(tmp_path / "impasto"),), "/p.mov", tmp_path, tmp_path / "hero.safetensors")
    with pytest.raises(TrainingError, match=r"expected to start a training .* in the extension's preferences"):
        TrainingRun.start(missing)


def test_a_number_that_another_program_bears_now_is_not_taken_for_ours(tmp_path: Path) -> None:
    folder = lines_folder(tmp_path / "hero.safetensors")
    folder.mkdir()
    (folder / "events.jsonl").write_text(json.dumps({"event": "step", "step": 1, "fraction": 0.1}) + "\n")
    (folder / PID).write_text(json.dumps({"pid": os.getpid()}))
    run = TrainingRun.found(tmp_path / "hero.safetensors")
    assert run is not None
    assert not run.is_alive()
    run.stop()  # or this test would end here
    assert run.poll().state == "lost"


def test_a_process_says_what_it_is() -> None:
    assert "py" in command_line_of(os.getpid())
    assert command_line_of(2**22 + 1) == ""
