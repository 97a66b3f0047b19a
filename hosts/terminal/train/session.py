"""A run of the trainer as the command line has it: its folder, its processes, how it is told, how it is stopped."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from impasto.core.errors import OutputExists, TrainingError, UsageError
from impasto.hosts.terminal.events import Cancelled, Finished, Step, Warned
from impasto.hosts.terminal.exit_codes import INTERRUPTED
from impasto.hosts.terminal.interrupts import Interrupts
from impasto.hosts.terminal.process_setup import prepare_process
from impasto.hosts.terminal.report import Reporter, reporter_for
from impasto.hosts.terminal.train.options import RunOptions
from impasto.hosts.terminal.train.torchrun import Place, device_of, place

if TYPE_CHECKING:
    from impasto.training.task import Trained, TrainingProgress

ENDING = ".safetensors"
CHECKPOINT = "checkpoint.safetensors"
STARTED_BY = ".torchrun"
"""The file in a run's folder that names the torchrun which may start it again."""


@dataclass(frozen=True, slots=True)
class Session:
    """One run: which of its processes this is, where it is kept, whether it goes on, and who is told."""

    here: Place
    options: RunOptions
    folder: Path
    resume: bool
    reporter: Reporter
    interrupts: Interrupts

    @property
    def preview(self) -> Path:
        """The contact sheet."""
        return self.folder / "preview.png"

    def tell(self, progress: TrainingProgress) -> None:
        """Show how far the training is."""
        if progress.note:
            self.reporter.show(Warned(progress.note))
        left = progress.seconds * (1 - progress.fraction) / progress.fraction if progress.fraction > 0 else None
        figures = {name: round(value, 5) for name, value in progress.figures.items()}
        self.reporter.show(
            Step(
                progress.step, round(progress.fraction, 4), round(progress.seconds, 1), left, figures, str(self.preview)
            )
        )

    def tell_end(self, trained: Trained) -> None:
        """Say what came of it, as whole or as what there was when somebody pressed Ctrl-C."""
        seconds, output = round(trained.seconds, 1), str(self.options.output)
        if self.interrupts.asked():
            self.reporter.show(Cancelled(output if trained.steps else None, 0, seconds, steps=trained.steps))
        else:
            self.reporter.show(Finished(output, seconds=seconds, steps=trained.steps))


@contextmanager
def opened(options: RunOptions, *, begun_by: str = CHECKPOINT) -> Iterator[Session]:
    """A run's folder, fit for use, and its reporter, for the time of the `with` block; see `run_folder`.

    At the end of a block that Ctrl-C has cut short the command ends with INTERRUPTED.
    """
    here, json = place(), options.json
    with training_reporter(here, json=json) as reporter, Interrupts(stop_notice(here, json=json)) as interrupts:
        resume = goes_on(here, options.output, resume=options.resume)
        folder = run_folder(here, options.output, resume=resume, overwrite=options.overwrite, begun_by=begun_by)
        prepare_process()
        yield Session(here, options, folder, resume, reporter, interrupts)
    if interrupts.asked():
        raise typer.Exit(INTERRUPTED)


def training_reporter(here: Place, *, json: bool) -> Reporter:
    """A reporter for the first of the processes that train together, and silence for the others."""
    return reporter_for(json=json, silent=not here.leads)


@contextmanager
def met(here: Place, device: str) -> Iterator[str]:
    """Meet the other processes, if there are any, for the time of the `with` block; yields this one's device."""
    from impasto.training.distributed import joined

    chosen = device_of(here, device)
    with joined(here.rank, here.size, chosen, start=here.restarts):
        yield chosen


def told_of(device: str, processes: int) -> str:
    """'cuda:0', or '2 processes, the first on cuda:0'."""
    return device if processes == 1 else f"{processes} processes, the first on {device}"


def goes_on(here: Place, output: Path, *, resume: bool) -> bool:
    """Whether a run is to go on: when the user says so, and when torchrun started it again after a process was lost."""
    folder = output.with_suffix(".run")
    return resume or (begun_here(here, folder) and (folder / CHECKPOINT).exists())


def begun_here(here: Place, folder: Path) -> bool:
    """Whether an earlier start by the same torchrun made the folder of this run its own."""
    mark = folder / STARTED_BY
    return here.restarts > 0 and mark.exists() and mark.read_text(encoding="utf-8") == here.started_by


def run_folder(here: Place, output: Path, *, resume: bool, overwrite: bool, begun_by: str = CHECKPOINT) -> Path:
    """The folder of a run, fit for use: made anew, or with what it goes on from: a checkpoint, or the file `begun_by`.

    Only the first of several processes looks after it. What an earlier start by the same torchrun left is its own.
    Raises UsageError, OutputExists, OutputError, and TrainingError where there is nothing to resume.
    """
    from impasto.core.media.commit import make_folder

    folder = output.with_suffix(".run")
    again = begun_here(here, folder)
    if again:
        overwrite = not resume
    if resume and overwrite:
        raise UsageError("expected --overwrite or --resume, got both; give one of them")
    if output.suffix != ENDING:
        raise UsageError(f"expected a style that ends in {ENDING}, got '{output}'; write {output.with_suffix(ENDING)}")
    if not here.leads:
        return folder
    checkpoint = folder / CHECKPOINT
    if resume and not (checkpoint.exists() or (folder / begun_by).exists()):
        raise TrainingError(f"expected a run to go on with in '{folder}', found none; start one without --resume")
    if not resume and not overwrite:
        taken = next((path for path in (output, checkpoint) if path.exists()), None)
        if taken is not None:
            raise OutputExists(
                f"expected no file at '{taken}', but there is one; give --resume, --overwrite or another name"
            )
    make_folder(str(output))
    make_folder(str(checkpoint))
    if not resume:
        for name in (CHECKPOINT, "log.csv", "preview.png"):
            (folder / name).unlink(missing_ok=True)
    if overwrite and not again:
        shutil.rmtree(folder / "pairs", ignore_errors=True)  # of other plates, perhaps
    if here.started_by:
        (folder / STARTED_BY).write_text(here.started_by, encoding="utf-8")
    return folder


def for_folder(path: Path, option: str) -> None:
    """Raise TrainingError where an option names no folder."""
    if not path.is_dir():
        raise TrainingError(f"expected a folder for {option}, '{path}' is none; check the path")


def for_pictures(path: str, option: str) -> None:
    """Raise TrainingError where an option names no folder, and no movie or sequence by its looks."""
    from impasto.training.data.shots import is_shot

    if not is_shot(path):
        for_folder(Path(path), option)


def stop_notice(here: Place | None = None, *, json: bool) -> str:
    """What is said to a person at the first Ctrl-C, by the first process alone; nothing to a program."""
    return (
        ""
        if json or (here is not None and not here.leads)
        else "stopping; what is done so far is kept. Press Ctrl-C again to quit at once"
    )
