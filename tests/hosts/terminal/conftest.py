"""Small media of our own, and the command run in this process or in one of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest

from impasto.core.frame import Frame
from impasto.core.media import ShotInfo, open_writer
from impasto.hosts.terminal.app import run

WIDTH, HEIGHT = 48, 32
LIMIT_S = 60.0
"""No process needs longer to end."""

IMPASTO = (sys.executable, "-c", "from impasto.hosts.terminal.app import main; main()")
"""The command as a process of its own, whether or not its script is on the path."""


@dataclass(frozen=True)
class Outcome:
    """What a command left behind on its way out."""

    code: int
    out: str
    err: str

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


Impasto = Callable[..., Outcome]


@pytest.fixture
def impasto(capsys: pytest.CaptureFixture[str]) -> Impasto:
    """Run a command in this process; what it renders is rendered here too, without a server."""

    def call(*arguments: object) -> Outcome:
        here = ["--local"] if arguments[:1] == ("render",) else []
        return outcome_of([*arguments, *here], capsys)

    return call


@pytest.fixture
def served(capsys: pytest.CaptureFixture[str]) -> Impasto:
    """Run a command in this process; what it renders is rendered by the server."""

    def call(*arguments: object) -> Outcome:
        return outcome_of(arguments, capsys)

    return call


def outcome_of(arguments: Sequence[object], capsys: pytest.CaptureFixture[str]) -> Outcome:
    """Run a command in this process."""
    capsys.readouterr()
    code = run([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return Outcome(code, captured.out, captured.err)


@pytest.fixture
def runtime() -> Iterator[Path]:
    """A runtime folder of the test's own; the path of a socket must be short."""
    with TemporaryDirectory(prefix="impasto-") as folder:
        yield Path(folder) / "run"


@contextmanager
def server_process(*options: str, folder: Path | None = None, **environ: str) -> Iterator[subprocess.Popen[str]]:
    """`impasto serve` as a process of its own, in a runtime folder or in the one of the environment."""
    where = {"IMPASTO_RUNTIME": str(folder)} if folder is not None else {}
    server = subprocess.Popen(
        [*IMPASTO, "serve", "--device", "cpu", "--json", *options],
        env={**os.environ, **where, **environ}, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield server
    finally:
        server.send_signal(signal.SIGTERM)
        try:
            server.communicate(timeout=LIMIT_S)
        finally:
            server.kill()


@contextmanager
def runtime_with_server() -> Iterator[Path]:
    """A runtime folder of its own with a server; the path of a socket must be short."""
    with TemporaryDirectory(prefix="impasto-") as made:
        folder = Path(made) / "run"
        with server_process(folder=folder) as server:
            assert next_event(server)["event"] == "serving"
            yield folder


def started(*arguments: object) -> subprocess.Popen[str]:
    """A command as a process of its own that prints events."""
    command = [*IMPASTO, *map(str, arguments), "--json"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def next_event(process: subprocess.Popen[str]) -> dict[str, Any]:
    """The next event that a process prints."""
    assert process.stdout is not None
    event: dict[str, Any] = json.loads(process.stdout.readline())
    return event


def outcome_with(process: subprocess.Popen[str], frames: int, then: Callable[[], object]) -> Outcome:
    """What a process leaves behind; `then` is called once, when it has told of this many frames."""
    assert process.stdout is not None
    lines: list[str] = []
    told = 0
    for line in process.stdout:
        lines.append(line)
        if json.loads(line)["event"] == "frame":
            told += 1
            if told == frames:
                then()
    assert told >= frames, lines
    _, errors = process.communicate(timeout=LIMIT_S)
    return Outcome(process.returncode, "".join(lines), errors)


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty folder, with logs and keys in it and a wide terminal, whatever the machine has."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("IMPASTO_RUNTIME", str(runtime))
    monkeypatch.setenv("IMPASTO_KEYS", str(tmp_path / "keys"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("OCIO", raising=False)


def picture(number: int, dtype: type = np.float16) -> Frame:
    """A ramp that differs from frame to frame."""
    ramp = np.linspace(0, 1, HEIGHT * WIDTH * 3).reshape(HEIGHT, WIDTH, 3) * (0.5 + 0.05 * (number % 10))
    pixels = np.rint(ramp * 255).astype(np.uint8) if dtype is np.uint8 else ramp.astype(dtype)
    return Frame.from_pixels(pixels, number=number)


@pytest.fixture
def sequence(tmp_path: Path) -> str:
    """Six half-float frames from 1001, as a pattern."""
    pattern = str(tmp_path / "in" / "plate.####.exr")
    with open_writer(pattern, ShotInfo("", "sequence", 1001, 6, WIDTH, HEIGHT)) as writer:
        for number in range(1001, 1007):
            writer.write(picture(number))
    return pattern


@pytest.fixture
def movie(tmp_path: Path) -> str:
    """Six frames of H.264 at 24 frames per second."""
    path = str(tmp_path / "in" / "plate.mp4")
    with open_writer(path, ShotInfo("", "movie", 1, 6, WIDTH, HEIGHT, rate=Fraction(24))) as writer:
        for number in range(1, 7):
            writer.write(picture(number, np.uint8))
    return path


def names(folder: Path) -> list[str]:
    """What is in a folder, hidden files included."""
    return sorted(os.listdir(folder)) if folder.exists() else []
