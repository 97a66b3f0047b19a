"""One run of the trainer from the command line: its folder, its processes, its progress, its end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from impasto.hosts.events import RunCancelled, RunFinished, RunWarning, TrainingStep
from impasto.hosts.terminal.exit_codes import INTERRUPTED
from impasto.hosts.terminal.interrupts import Interrupts
from impasto.hosts.terminal.process_setup import prepare_process
from impasto.hosts.terminal.report import Reporter, reporter_for
from impasto.hosts.terminal.train.options import RunOptions
from impasto.hosts.terminal.train.run_folder import CHECKPOINT, held_output, resumes, run_folder
from impasto.hosts.terminal.train.torchrun import ProcessRank, device_of, process_rank

if TYPE_CHECKING:
    from impasto.training.task import Trained, TrainingProgress


@dataclass(frozen=True, slots=True)
class RunContext:
    """What a way of training needs of the command line."""

    process: ProcessRank
    options: RunOptions
    folder: Path
    resume: bool
    reporter: Reporter
    interrupts: Interrupts

    @property
    def preview(self) -> Path:
        """The contact sheet."""
        return self.folder / "preview.png"

    def note(self, text: str) -> None:
        """Tell a person something that does not stop the run."""
        self.reporter.show(RunWarning(text))

    def show_progress(self, progress: TrainingProgress) -> None:
        """Show how far the training is."""
        if progress.note:
            self.reporter.show(RunWarning(progress.note))
        left = progress.seconds * (1 - progress.fraction) / progress.fraction if progress.fraction > 0 else None
        figures = {name: round(value, 5) for name, value in progress.figures.items()}
        self.reporter.show(
            TrainingStep(
                progress.step, round(progress.fraction, 4), round(progress.seconds, 1), left, figures, str(self.preview)
            )
        )

    def show_end(self, trained: Trained) -> None:
        """Show the result: a finished training, or the best so far after Ctrl-C."""
        seconds, output = round(trained.seconds, 1), str(self.options.output)
        if self.interrupts.asked():
            self.reporter.show(RunCancelled(output if trained.steps else None, 0, seconds, steps=trained.steps))
        else:
            self.reporter.show(RunFinished(output, seconds=seconds, steps=trained.steps))


@contextmanager
def open_run(options: RunOptions, *, resumable_from: str = CHECKPOINT) -> Iterator[RunContext]:
    """Prepare the folder and the reporter of a run; see `run_folder`.

    A block that Ctrl-C has cut short ends the command with INTERRUPTED.
    """
    process, json = process_rank(), options.json
    with training_reporter(process, json=json) as reporter, Interrupts(stop_notice(process, json=json)) as interrupts:
        resume = resumes(process, options.output, resume=options.resume)
        with held_output(process, options.output):
            folder = run_folder(
                process, options.output, resume=resume, overwrite=options.overwrite, resumable_from=resumable_from
            )
            prepare_process()
            yield RunContext(process, options, folder, resume, reporter, interrupts)
    if interrupts.asked():
        raise typer.Exit(INTERRUPTED)


def training_reporter(process: ProcessRank, *, json: bool) -> Reporter:
    """A reporter for the first of the processes that train together, and silence for the others."""
    return reporter_for(json=json, silent=not process.leads)


@contextmanager
def joined_processes(process: ProcessRank, device: str) -> Iterator[str]:
    """Join the other processes, if there are any, for the block; yields the device of this one."""
    from impasto.training.distributed import joined

    chosen = device_of(process, device)
    with joined(process.rank, process.size, chosen, start=process.restarts):
        yield chosen


def device_text(device: str, processes: int) -> str:
    """'cuda:0', or '2 processes, the first on cuda:0'."""
    return device if processes == 1 else f"{processes} processes, the first on {device}"


def stop_notice(process: ProcessRank | None = None, *, json: bool) -> str:
    """The note to a person at the first Ctrl-C, from the first process alone; nothing for a program."""
    if json or (process is not None and not process.leads):
        return ""
    return "stopping; what is done so far is kept. Press Ctrl-C again to quit at once"
