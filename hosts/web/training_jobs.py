"""Keyframe training that the page started: one `impasto train keyframes` each, a process of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from impasto.core.errors import ServerBusy, UsageError
from impasto.core.frozen_dataclass import frozen_dataclass
from impasto.hosts.events import RunCancelled, RunFailed, RunFinished, RunWarning, TrainingStep, parse_event

MODULE: Final = "impasto.hosts.terminal"
MOST_RUNNING: Final = 2
"""They share a machine with the server that paints."""
STOP_S: Final = 20.0
"""A run that is asked to stop stores its best weights within this time."""
MOST_NOTES: Final = 50


@frozen_dataclass
class TrainingOrder:
    """What is to be trained. Paths are those of this machine, checked before."""

    run: str
    """'ROOT:relative/NAME.run', by which the page knows it."""
    plates: Path
    keys: Path
    output: Path
    minutes: float
    size: str = ""

    def words(self) -> list[str]:
        """The words after `impasto`."""
        words = ["train", "keyframes", f"--plates={self.plates}", f"--keys={self.keys}", f"--output={self.output}"]
        words += [f"--minutes={self.minutes:g}", "--json"]
        return [*words, f"--size={self.size}"] if self.size else words


@dataclass
class TrainingJob:
    """A training that was started, and what it has said so far."""

    order: TrainingOrder
    process: subprocess.Popen[str]
    notes: deque[str] = field(default_factory=lambda: deque(maxlen=MOST_NOTES))
    state: Literal["starting", "running", "stopping", "finished", "stopped", "failed"] = "starting"
    fraction: float = 0.0
    remaining_s: float | None = None
    problem: str = ""

    def facts(self) -> dict[str, object]:
        """For the page."""
        return {
            "run": self.order.run,
            "state": self.state,
            "fraction": self.fraction,
            "remaining_s": self.remaining_s,
            "notes": list(self.notes),
            "problem": self.problem,
        }


class TrainingJobs:
    """All that were started, by their run. Safe to use from several threads."""

    def __init__(self, command: Sequence[str] = (sys.executable, "-m", MODULE)) -> None:
        self._command = tuple(command)
        self._lock = threading.Lock()
        self._jobs: dict[str, TrainingJob] = {}

    def start(self, order: TrainingOrder) -> None:
        """Start a training. ServerBusy where enough of them run, UsageError for a run that is being trained."""
        with self._lock:
            running = [job for job in self._jobs.values() if job.process.poll() is None]
            if any(job.order.run == order.run for job in running):
                raise UsageError(
                    f"'{order.output.stem}' is being trained already; stop it first, or choose another name"
                )
            if len(running) >= MOST_RUNNING:
                raise ServerBusy(f"expected at most {MOST_RUNNING} trainings at a time; stop one of them first")
            process = subprocess.Popen(
                [*self._command, *order.words()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                start_new_session=True,  # Ctrl-C in the terminal of the pages reaches it through `close` alone
            )
            job = self._jobs[order.run] = TrainingJob(order, process)
        threading.Thread(target=_follow, args=(job,), name="impasto-training", daemon=True).start()

    def stop(self, run: str) -> None:
        """Ask a training to end; it stores its best weights. UsageError where none of this run was started here."""
        job = self._jobs.get(run)
        if job is None:
            raise UsageError("expected a training that this page started; stop this one with Ctrl-C in its terminal")
        if job.process.poll() is None:
            job.state = "stopping"
            job.process.send_signal(signal.SIGINT)

    def facts(self) -> dict[str, dict[str, object]]:
        """Run -> what its training says."""
        with self._lock:
            return {run: job.facts() for run, job in self._jobs.items()}

    def close(self) -> None:
        """End what runs; within `STOP_S` it keeps its best weights."""
        with self._lock:
            running = [job for job in self._jobs.values() if job.process.poll() is None]
        for job in running:
            job.process.send_signal(signal.SIGINT)
        for job in running:
            try:
                job.process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                job.process.kill()
                job.process.wait()


def _follow(job: TrainingJob) -> None:
    """Read what a training says, up to its end."""
    assert job.process.stdout is not None
    with job.process.stdout as lines:
        for line in lines:
            _note(job, line)
    code = job.process.wait()
    if job.state in ("starting", "running", "stopping"):
        job.state = "failed"
        job.problem = job.problem or f"the training ended with code {code} and said nothing; run it in a terminal"


def _note(job: TrainingJob, line: str) -> None:
    match parse_event(line):
        case TrainingStep(fraction=fraction, remaining_s=left):
            job.fraction, job.remaining_s = fraction, left
            if job.state == "starting":
                job.state = "running"
        case RunWarning(message=text):
            job.notes.append(text)
        case RunFinished():
            job.state, job.fraction, job.remaining_s = "finished", 1.0, None
        case RunCancelled():
            job.state, job.remaining_s = "stopped", None
        case RunFailed(message=text):
            job.state, job.problem = "failed", text
