"""A fake Resolve with a film on its timeline, a recording user interface, and painters: quick ones and the real one."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from impasto.hosts.bridge.command import Command
from impasto.hosts.bridge.patterns import frame_path, frames_present
from impasto.hosts.resolve.job_record import JobRecord
from impasto.hosts.resolve.request import Request
from impasto.hosts.resolve.ui import UserInterface
from tests.hosts.resolve.fake import Habits, World, cut

IMPASTO = Command((sys.executable, "-c", "from impasto.hosts.terminal.app import main; main()"))

QUICK = """
import json, os, shutil, sys
word, source, target = sys.argv[1:4]
first, last = next(each for each in sys.argv if each.startswith("--frames=")).partition("=")[2].split("-")
say = lambda **event: print(json.dumps({"impasto": 1, **event}), flush=True)
os.makedirs(os.path.dirname(target), exist_ok=True)
path = lambda pattern, n: pattern.replace("#" * pattern.count("#"), str(n).zfill(pattern.count("#")))
say(event="started", output=target, style="quick", first=int(first), frames=1, skipped=0)
for n in range(int(first), int(last) + 1):
    shutil.copyfile(path(source, n), path(target, n))
    say(event="frame", number=n, path=path(target, n), done=n - int(first) + 1, frames=int(last) - int(first) + 1)
say(event="finished", output=target, frames=int(last) - int(first) + 1)
"""
"""A painter that copies, in the words of the real one; it starts in a moment where the real one takes a second."""


@dataclass
class RecordingUi(UserInterface):
    """Records texts and steps, and asks to stop where the test wants it."""

    said: list[str] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)
    stops: Callable[[str], bool] = lambda step: False
    """Whether to ask for a stop during this step."""

    def say(self, text: str) -> None:
        self.said.append(text)

    def show_progress(self, fraction: float, text: str) -> None:
        assert 0.0 <= fraction <= 1.0
        self.steps.append(text)

    def stop_requested(self) -> bool:
        return self.stops(self.steps[-1] if self.steps else "")


@pytest.fixture
def ui() -> RecordingUi:
    return RecordingUi()


@pytest.fixture
def world() -> World:
    """Two clips on the first track, the playhead on the first: 20 frames at 86420, 12 at 86440."""
    return made()


def made(**habits: Any) -> World:
    world = World(Habits(**habits))
    cut(world, (86420, 20, 100), (86440, 12, 300))
    world.calls.clear()
    return world


@pytest.fixture
def request_in(tmp_path: Path) -> Callable[..., Request]:
    """Requests whose pictures stay in the test's folder."""
    return lambda **given: Request(**{"style": "identity", "folder": str(tmp_path / "jobs"), **given})


@pytest.fixture(scope="session")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Command:
    path = tmp_path_factory.mktemp("quick") / "painter.py"
    path.write_text(QUICK)
    return Command((sys.executable, "-S", str(path)))


@pytest.fixture
def copied(monkeypatch: pytest.MonkeyPatch) -> None:
    """Painting is copying, in this process: for tests that carry out hundreds of jobs to look at Resolve alone."""

    def copy(record: JobRecord, ui: UserInterface, command: Command | None = None) -> None:
        record.store("painting")
        for saved in record.job.pieces:
            for number, path in frames_present(saved.plate().pattern).items():
                target = Path(frame_path(saved.painted().pattern, number))
                target.parent.mkdir(exist_ok=True)
                shutil.copyfile(path, target)

    monkeypatch.setattr("impasto.hosts.resolve.pipeline.paint", copy)


@pytest.fixture(scope="module")
def served() -> Iterator[Command]:
    """The real command with a server of its own."""
    with TemporaryDirectory(prefix="impasto-") as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMPASTO_RUNTIME", str(Path(folder) / "run"))
        patch.delenv("OCIO", raising=False)
        server = subprocess.Popen(
            [*IMPASTO.words, "serve", "--device", "cpu", "--json"],
            env=dict(os.environ),
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert server.stdout is not None
            assert json.loads(server.stdout.readline())["event"] == "serving"
            yield IMPASTO
        finally:
            server.send_signal(signal.SIGTERM)
            try:
                server.wait(60)
            finally:
                server.kill()
                server.communicate()
