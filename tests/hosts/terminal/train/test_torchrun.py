"""`impasto train` under torchrun: real processes, each run with a hard limit of time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from impasto.core.style_file import read_card
from tests.hosts.terminal.conftest import Impasto, names
from tests.plates import write_pairs

SMALL = ("--size", "draft", "--crop", "48", "--batch", "2", "--device", "cpu")
TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
LIMIT_S = 240


@pytest.fixture(autouse=True)
def pictures(tmp_path: Path) -> None:
    write_pairs(tmp_path)


def together(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*TORCHRUN, "-m", "impasto.hosts.terminal.app", "train", *arguments, *SMALL, "--json"],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


@pytest.mark.slow
def test_one_process_reports_and_writes_for_all() -> None:
    done = together("pairs", "--before", "before", "--after", "after", "-o", "my.safetensors", "--steps", "50")
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["event"] for event in events] == ["warning", "step", "finished"]
    assert "on 2 processes, the first on cpu" in events[0]["message"]
    assert len(Path("my.run/log.csv").read_text().splitlines()) == 2
    assert len(list(Path("my.run/tensorboard").iterdir())) == 1
    assert read_card(Path("my.safetensors")).name == "my"


@pytest.mark.slow
def test_one_process_paints_the_pairs_that_all_learn_from() -> None:
    done = together("painting", "--manner", "cel", "--plates", "before", "-o", "my.safetensors", "--steps", "2")
    assert done.returncode == 0, done.stderr
    events = [json.loads(line)["event"] for line in done.stdout.splitlines()]
    assert [event for event in events if event != "warning"] == ["started", "frame", "frame", "finished"]
    assert names(Path("my.run/pairs/after")) == ["0.png", "1.png"]


def test_what_torchrun_starts_again_goes_on_from_its_checkpoint(
    impasto: Impasto, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("train", "pairs", "--before", "before", "--after", "after", "-o", "my.safetensors", *SMALL)
    for name, value in {"RANK": "0", "WORLD_SIZE": "1", "TORCHELASTIC_RESTART_COUNT": "0"}.items():
        monkeypatch.setenv(name, value)
    assert impasto(*command, "--steps", "2").code == 0
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    Path("my.run/checkpoint.safetensors").unlink()
    first = impasto(*command, "--steps", "2", "--json")
    assert first.events[-1]["steps"] == 2, "without a checkpoint it begins again"
    checkpoint = Path("my.run/checkpoint.safetensors").stat().st_mtime_ns
    for given in ((), ("--overwrite",), ("--resume",)):
        done = impasto(*command, *given, "--steps", "2", "--json")
        assert (done.code, done.events[-1]["steps"]) == (0, 2)
        assert not [event for event in done.events if event["event"] == "step"]
    assert Path("my.run/checkpoint.safetensors").stat().st_mtime_ns > checkpoint
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "0")
    assert "--resume, --overwrite or another name" in impasto(*command, "--steps", "2").err


def test_a_start_that_was_refused_is_refused_when_torchrun_tries_it_again(
    impasto: Impasto, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("my.safetensors").write_text("precious", encoding="utf-8")
    command = (
        "train",
        "pairs",
        "--before",
        "before",
        "--after",
        "after",
        "-o",
        "my.safetensors",
        *SMALL,
        "--steps",
        "2",
    )
    for restarts in ("0", "1"):
        for name, value in {"RANK": "0", "WORLD_SIZE": "1", "TORCHELASTIC_RESTART_COUNT": restarts}.items():
            monkeypatch.setenv(name, value)
        assert "--resume, --overwrite or another name" in impasto(*command).err
    assert Path("my.safetensors").read_text(encoding="utf-8") == "precious"
