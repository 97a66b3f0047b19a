"""What a run leaves in its folder and reports to its host: progress, log, contact sheet, checkpoint."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import torch

from impasto.core.errors import OutputError
from impasto.training.state import TrainingState
from impasto.training.task import Schedule, TrainingProgress, TrainingTask

COLUMNS = (
    "loss", "reconstruction", "texture", "consistency", "adversarial", "critic_gap", "out_of_range", "held_out",
    "contrast",
)  # fmt: skip
"""Figures in the log of a new run, after step and seconds."""
NOTES = "notes.csv"
"""Inside the folder of a run: what its monitors said, and at which step."""


class RunLog:
    """Writes what a run leaves in its folder, makes the folder, and reports progress to the host."""

    def __init__(
        self,
        task: TrainingTask,
        state: TrainingState,
        schedule: Schedule,
        on_progress: Callable[[TrainingProgress], None],
    ) -> None:
        self._task, self._state, self._schedule, self._on_progress = task, state, schedule, on_progress
        schedule.folder.mkdir(parents=True, exist_ok=True)

    def report(self, note: str = "") -> None:
        """Report the progress of the run to the host."""
        state = self._state
        if note:
            log_note(self._schedule.folder / NOTES, state.steps, state.seconds, note)
        self._on_progress(TrainingProgress(state.steps, state.fraction, state.seconds, dict(state.figures), note))

    def attempt(self, write: Callable[[], None], consequence: str) -> None:
        """Write something; where that raises OutputError, report it with its consequence and carry on."""
        try:
            write()
        except OutputError as error:
            self.report(f"{error}; {consequence}")

    def append_figures(self) -> None:
        """Append the figures to the CSV and pass them to the trackers; OutputError where there is no room."""
        state = self._state
        log_figures(self._schedule.folder / "log.csv", state.steps, state.seconds, state.figures)
        for tracker in self._schedule.trackers:
            tracker.figures(state.steps, state.figures)

    def preview(self) -> None:
        """Validate, draw the contact sheet, and publish the weights so far; OutputError where there is no room."""
        task, state = self._task, self._state
        if task.validate is not None:
            state.note_held_out(task.validate(state.averaged))
        trained = state.outcome(task.digest)
        sheet = self._schedule.folder / "preview.png"
        task.preview(trained.net, sheet)
        for tracker in self._schedule.trackers:
            tracker.sheet(trained.steps, sheet)
        if trained.steps:
            # Publishing checks a style with a newly built network, which must not use the run's random numbers.
            with torch.random.fork_rng(devices=[]):
                task.publish(trained)

    def checkpoint(self) -> None:
        """Write the checkpoint; OutputError where there is no room."""
        self._state.save(self._schedule.checkpoint, self._task.digest)


def log_figures(path: Path, step: int, seconds: float, figures: Mapping[str, float]) -> None:
    """Append one row to the run's CSV. A CSV from an older version keeps its header, which may have fewer columns.

    OutputError where there is no room for it.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        header = _header(path)
        columns = header[2:] or COLUMNS
        with path.open("a", newline="") as file:
            writer = csv.writer(file)
            if not header:
                writer.writerow(["step", "seconds", *columns])
            writer.writerow([step, f"{seconds:.1f}", *(f"{figures.get(name, 0.0):.5f}" for name in columns)])
    except OSError as error:
        raise OutputError(f"could not write the log '{path}': {error}; free space in its folder") from error


def log_note(path: Path, step: int, seconds: float, note: str) -> None:
    """Append what a monitor said to the run's notes; a note that has no room is dropped, and the run goes on."""
    with suppress(OSError):
        new = not path.exists()
        with path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            if new:
                writer.writerow(["step", "seconds", "note"])
            writer.writerow([step, f"{seconds:.1f}", " ".join(note.split())])


def _header(path: Path) -> list[str]:
    """The names in the first line of a CSV; none where there is no file, or nothing in it."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        return next(csv.reader(file), [])
