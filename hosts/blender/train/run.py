# SPDX-License-Identifier: GPL-3.0-or-later
"""`impasto train keyframes` as a program of its own: started, followed, stopped. No `bpy`, no torch.

It writes its JSON lines to a file and is detached: when Blender quits, or dies, the training goes on to its end, and
the next Blender that opens the .blend file finds it by that file. Stopping keeps the best style so far.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from impasto.core.errors import TrainingError, UsageError

from ..bake.job_state import left_text

State: TypeAlias = Literal["starting", "training", "finished", "stopped", "failed", "lost"]
"""'lost': the process ended without its last event."""
RUNNING: Final[frozenset[State]] = frozenset({"starting", "training"})
STYLE: Final = ".safetensors"
EVENTS: Final = "events.jsonl"
PID: Final = "pid.json"
NOTES: Final = 8

_WANTED: Final = re.compile(r"another key would help most on frame (\d+)")


@dataclass(frozen=True, slots=True)
class TrainingCommand:
    """A training, as the command line takes it."""

    impasto: tuple[str, ...]
    """The `impasto` command."""
    plates: str
    """The shot, as the server reads it."""
    keys: Path
    """The painted frames, named by their numbers."""
    style: Path
    """The style file to write; the folder of the run is beside it."""
    size: str = "draft"
    minutes: float = 5.0
    steps: int = 0
    """Instead of minutes, where it is not 0."""
    input_space: str = ""
    resume: bool = False

    @property
    def arguments(self) -> tuple[str, ...]:
        """The whole command line."""
        length = ("--steps", str(self.steps)) if self.steps else ("--minutes", f"{self.minutes:g}")
        space = ("--input-space", self.input_space) if self.input_space else ()
        return (
            *self.impasto, "train", "keyframes", "--plates", self.plates, "--keys", str(self.keys),
            "-o", str(self.style), "--size", self.size, *length, *space,
            "--resume" if self.resume else "--overwrite", "--json",
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class TrainingStatus:
    """How far a training is, from its lines so far."""

    state: State = "starting"
    step: int = 0
    fraction: float = 0.0
    remaining_s: float | None = None
    preview: str = ""
    notes: tuple[str, ...] = ()
    """The last warnings about the keys."""
    wanted: int | None = None
    """The frame on which another key would help most."""
    sentence: str = ""
    """After a failure: what went wrong and what to do."""
    figures: tuple[tuple[str, float], ...] = field(default=())

    @property
    def text(self) -> str:
        """Progress in words."""
        if self.state == "training":
            left = "" if self.remaining_s is None else f", {left_text(self.remaining_s)}"
            return f"training, step {self.step}{left}"
        if self.state in ("failed", "lost"):
            return self.sentence
        return {"starting": "starting", "finished": f"finished after {self.step} steps",
                "stopped": f"stopped after {self.step} steps; the best is kept"}[self.state]  # fmt: skip

    @property
    def advice(self) -> str:
        """The advice to the artist; '' where there is none."""
        return "" if self.wanted is None else f"Paint frame {self.wanted} next"


def status_after(progress: TrainingStatus, line: str) -> TrainingStatus:
    """The progress after one more line of JSON; a line that is not understood changes nothing."""
    try:
        event: Any = json.loads(line)
    except ValueError:
        return progress
    if not isinstance(event, dict):
        return progress
    match event.get("event"):
        case "step":
            return replace(
                progress, state="training", step=int(event["step"]), fraction=float(event["fraction"]),
                remaining_s=event.get("remaining_s"), preview=str(event.get("preview") or ""),
                figures=tuple(sorted((event.get("figures") or {}).items())),
            )  # fmt: skip
        case "warning":
            said = str(event.get("message", ""))
            if found := _WANTED.search(said):
                return replace(progress, wanted=int(found[1]))
            return replace(progress, notes=(*progress.notes, said)[-NOTES:])
        case "finished":
            return replace(progress, state="finished", fraction=1.0, step=int(event.get("steps") or progress.step))
        case "cancelled":
            return replace(progress, state="stopped", step=int(event.get("steps") or progress.step))
        case "failed":
            return replace(progress, state="failed", sentence=str(event.get("message", "the training failed")))
    return progress


class TrainingRun:
    """A training under way, of this Blender or of an earlier one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.progress = TrainingStatus()
        self._read = 0
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    def start(cls, command: TrainingCommand) -> TrainingRun:
        """Start it. Raises UsageError where it runs already, TrainingError where the command does not start."""
        folder = lines_folder(command.style)
        folder.mkdir(parents=True, exist_ok=True)
        former = cls(folder)
        if former.poll().state in RUNNING and former.is_alive():
            raise UsageError(f"expected no training of '{command.style}', one runs; stop it first")
        (folder / PID).unlink(missing_ok=True)
        detached: dict[str, Any] = {"start_new_session": True}
        if sys.platform == "win32":  # never run: there was no such machine
            detached = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
        run = cls(folder)
        try:
            with (folder / EVENTS).open("wb") as lines:
                run._process = subprocess.Popen(
                    command.arguments, stdin=subprocess.DEVNULL, stdout=lines, stderr=subprocess.STDOUT,
                    cwd=folder, env=environment_of(command.impasto), **detached,
                )  # fmt: skip
        except OSError as error:
            raise TrainingError(
                f"expected to start a training with `{' '.join(command.impasto)}`, got: {error.strerror}; name the "
                "`impasto` command in the extension's preferences"
            ) from error
        (folder / PID).write_text(json.dumps({"pid": run._process.pid, "style": str(command.style)}), encoding="utf-8")
        return run

    @classmethod
    def found(cls, style: Path) -> TrainingRun | None:
        """The training that writes this style; None where no Blender ever started one."""
        folder = lines_folder(style)
        if not (folder / EVENTS).exists():
            return None
        run = cls(folder)
        run.poll()
        return run

    def poll(self) -> TrainingStatus:
        """Read the new lines, and return how far it is. Never waits."""
        try:
            with (self.folder / EVENTS).open("rb") as lines:
                lines.seek(self._read)
                said = lines.read()
        except OSError:
            said = b""
        whole = said[: said.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in whole.decode("utf-8", "replace").splitlines():
            self.progress = status_after(self.progress, line)
        if self.progress.state in RUNNING and not whole and not self.is_alive():
            self.progress = replace(self.progress, state="lost", sentence=self._lost_sentence())
        return self.progress

    def is_alive(self) -> bool:
        """Whether the process lives."""
        if self._process is not None:
            return self._process.poll() is None
        pid = self._pid()
        return pid is not None and str(self.folder.with_suffix(STYLE)) in command_line_of(pid)

    def stop(self) -> None:
        """Ask it to end; it keeps the best style so far."""
        pid = self._pid() if self._process is None else self._process.pid
        if pid is None or not self.is_alive():
            return
        sent = getattr(signal, "CTRL_BREAK_EVENT", signal.SIGINT)
        with contextlib.suppress(OSError):
            os.kill(pid, sent)

    def wait(self, timeout_s: float) -> bool:
        """For scripts: wait until the process has ended; returns whether it has."""
        if self._process is None:
            return not self.is_alive()
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _pid(self) -> int | None:
        try:
            return int(json.loads((self.folder / PID).read_text(encoding="utf-8"))["pid"])
        except (OSError, ValueError, LookupError, TypeError):
            return None

    def _lost_sentence(self) -> str:
        try:
            lines = (self.folder / EVENTS).read_text(encoding="utf-8", errors="replace").split("\n")
        except OSError:
            lines = []
        said = next((line.strip() for line in reversed(lines) if line.strip() and not line.startswith("{")), "")
        return (
            f"the training ended without a word{f': {said[:300]}' if said else ''}; train again, it goes on from there"
        )


def lines_folder(style: Path) -> Path:
    """The folder for a training's lines: beside the style, not in the run, which the trainer makes anew."""
    return style.with_suffix(".training")


def environment_of(command: Sequence[str]) -> dict[str, str]:
    """The environment of this process without what belongs to Blender's own Python."""
    foreign = ("PYTHONHOME", "PYTHONPATH", "PYTHONEXECUTABLE") if command and command[0] != sys.executable else ()
    return {name: value for name, value in os.environ.items() if name not in foreign}


def command_line_of(pid: int) -> str:
    """The command line of a process, '' where there is none: it tells whether a process id was used again."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
    except OSError:
        pass
    if sys.platform == "win32" or Path("/proc/self").exists():
        return ""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        asked = subprocess.run(
            ["ps", "-p", str(pid), "-o", "command="], capture_output=True, text=True, timeout=2.0, check=False
        )
        return asked.stdout.strip()
    return ""
