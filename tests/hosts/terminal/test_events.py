"""The JSON lines: what version 1 promised, recorded once and never edited."""

from __future__ import annotations

import json
import typing
from pathlib import Path
from typing import Any

import pytest

from impasto.hosts.events import (
    NAMES,
    VERSION,
    CardShown,
    CheckDone,
    ChunkEnded,
    Event,
    FrameDone,
    JobWritten,
    LiveFigures,
    LiveStarted,
    ParameterFound,
    RunCancelled,
    RunFailed,
    RunFinished,
    RunStarted,
    RunWarning,
    ServerReady,
    ServerStatus,
    ShotChecked,
    ShotPainted,
    ShotSkipped,
    StyleExported,
    StyleFound,
    StylesCompared,
    TrainingStep,
    TrialDone,
    WatchStarted,
    line_of,
)

RECORDED = [
    json.loads(line) for line in (Path(__file__).parent / "events_v1.jsonl").read_text(encoding="utf-8").splitlines()
]
EXAMPLES: list[Event] = [
    RunStarted("plate.mp4", "out/o.####.exr", "identity", 1, 48, 0, 960, 540, 24.0),
    FrameDone(7, "out/o.0007.exr", 7, 48, 2.5, 16.4, 0),
    TrainingStep(50, 0.25, 12.5, 37.5, {"loss": 0.125}, "my.run/preview.png"),
    StyleFound(
        "identity", "Identity", "Changes nothing.", "draft", 72, 0.9, "Apache-2.0", ("A. Painter",),
        "identity.safetensors", "0",
    ),
    ParameterFound("stroke", 0.25, 4.0, 1.0, "Size of the brush strokes: 2 paints twice as broad."),
    CheckDone("python", "ok", "3.11.7 on Linux x86_64", ""),
    RunWarning("'o.####.dpx' cannot bear how a frame was made"),
    RunFinished("out/o.####.exr", 48, 0, 0, 19.2, 2.5, {"network": 17.1}),
    RunCancelled("o.partial.mp4", 12, 4.8),
    RunFailed("unknown_name", "no style is called 'x'; there is: identity", "there is: identity", 2),
    ServerReady("impasto 0.2.0", 4711, ("ipc:///run/user/1000/impasto/control.sock",), 3, None, None),
    ServerStatus(
        "impasto 0.2.0", 4711, 12.5, "degraded", ("a worker was lost",), ({"device": "cpu"},), ({"client": "blender"},),
        ({"code": "style"},), 3, 2, 1, 1, 480, 2.5, 73400320, ("ipc:///run/user/1000/impasto/control.sock",),
        {"frames": 480},
    ),
    CardShown("wheatfield", "wheatfield.safetensors", 2.6, {"schema": 1, "licence": "Apache-2.0"}),
    StylesCompared(
        "a", "b", "plate.mp4", 48, {"warp_error": 1.68},
        {"first": {"warp_error": 3.31}, "second": {"warp_error": None}}, {"psnr": 30.2},
    ),
    StyleExported("wheatfield", "w.onnx", "onnx", 4.7, 2.5e-06, {"impasto.licence": "Apache-2.0"}),
    WatchStarted("in", "in/painted", "wheatfield"),
    ShotPainted("in/a.mov", "in/painted/a.mov", 48, 0, 19.2, 2.5),
    ShotSkipped("in/b.mov", "unreadable_media", "expected a movie in 'in/b.mov', got none; render it", "render it"),
    TrialDone(3, 20, {"learning_rate": 0.001, "crop": 96}, 0.0625, "pruned", 0.05),
    LiveStarted("camera:0", "wheatfield", ("browser", "take.mov"), "http://127.0.0.1:7790/live?token=t"),
    LiveFigures("camera:0", 640, 360, 300, 298, 2, 30.0, 29.8, 18.5, 24.0, 41.0, "full", "it keeps time", ""),
    ShotChecked(
        "out/o.####.exr", 100, (7,), (), (12,), (), {"7": "there is no file", "12": "the plate has changed since"}
    ),
    JobWritten(
        "20261201T080000Z-0a1b2c", "job", "out/o.####.exr", 100, 8, ("openjd run job/template.yaml",), "impasto …"
    ),
    ChunkEnded(1001, 1008, "cpu", "again", 1, 40, 100, "the device is lost"),
]  # fmt: skip


@pytest.mark.parametrize(("recorded", "example"), list(zip(RECORDED, EXAMPLES, strict=True)))
def test_what_was_promised_is_still_said(recorded: dict[str, Any], example: Event) -> None:
    said = json.loads(line_of(example))
    assert {name: said.get(name) for name in recorded} == recorded


def test_every_event_is_recorded() -> None:
    assert {each["event"] for each in RECORDED} == set(NAMES.values())
    assert set(NAMES) == set(typing.get_args(Event))


def test_an_event_is_one_line() -> None:
    line = line_of(RunWarning("two\nlines, and ü"))
    assert "\n" not in line
    assert "ü" in line
    assert json.loads(line) == {"impasto": VERSION, "event": "warning", "message": "two\nlines, and ü"}
