"""The folder beside a style (or recipe) that a run works in, and the checks before it is used."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from impasto.core.errors import OutputExists, TrainingError, UsageError
from impasto.hosts.terminal.train.torchrun import ProcessRank

ENDING = ".safetensors"
CHECKPOINT = "checkpoint.safetensors"
STARTED_BY = ".torchrun"
"""The file in a run's folder that names the torchrun which may start it again."""


def resumes(process: ProcessRank, output: Path, *, resume: bool) -> bool:
    """Whether a run is resumed: on the user's request, or by torchrun after a process was lost."""
    folder = output.with_suffix(".run")
    return resume or (started_before(process, folder) and (folder / CHECKPOINT).exists())


def started_before(process: ProcessRank, folder: Path) -> bool:
    """Whether an earlier start by the same torchrun made this folder."""
    note = folder / STARTED_BY
    return process.restarts > 0 and note.exists() and note.read_text(encoding="utf-8") == process.started_by


@contextmanager
def held_output(process: ProcessRank, output: Path) -> Iterator[None]:
    """Keep other trainers from this output for the block. OutputError, with process and machine, where one is at it.

    Of several processes that train together the first holds it. Its folder is made where there is none.
    """
    from impasto.core.media.commit import make_folder
    from impasto.server.shots.output_lock import locked

    if not process.leads:
        yield
        return
    make_folder(str(output))
    with locked(str(output)):
        yield


def run_folder(
    process: ProcessRank, output: Path, *, resume: bool, overwrite: bool, resumable_from: str = CHECKPOINT
) -> Path:
    """The folder of a run, ready for use. A run is resumed from its checkpoint, or from the file `resumable_from`.

    Only the first of several processes prepares it. What an earlier start by the same torchrun left is overwritten or
    resumed. Raises UsageError, OutputExists, OutputError, and TrainingError where there is nothing to resume.
    """
    from impasto.core.media.commit import make_folder

    folder = output.with_suffix(".run")
    again = started_before(process, folder)
    if again:
        overwrite = not resume
    check_options(output, ENDING, "style", resume=resume, overwrite=overwrite)
    if not process.leads:
        return folder
    checkpoint = folder / CHECKPOINT
    check_files(output, (checkpoint, folder / resumable_from), "run", resume=resume, overwrite=overwrite)
    make_folder(str(output))
    make_folder(str(checkpoint))
    if not resume:
        for name in (CHECKPOINT, "log.csv", "notes.csv", "preview.png"):
            (folder / name).unlink(missing_ok=True)
    if overwrite and not again:
        shutil.rmtree(folder / "pairs", ignore_errors=True)  # of other plates, perhaps
    if process.started_by:
        (folder / STARTED_BY).write_text(process.started_by, encoding="utf-8")
    return folder


def check_options(output: Path, ending: str, noun: str, *, resume: bool, overwrite: bool) -> None:
    """UsageError for --resume with --overwrite, and for an output with another ending."""
    if resume and overwrite:
        raise UsageError("expected --overwrite or --resume, got both; give one of them")
    if output.suffix != ending:
        raise UsageError(f"expected a {noun} that ends in {ending}, got '{output}'; write {output.with_suffix(ending)}")


def check_files(output: Path, progress: Sequence[Path], noun: str, *, resume: bool, overwrite: bool) -> None:
    """Check for the files that hold the progress of a run, the most important first.

    TrainingError where none of them exists to resume from; OutputExists where the output or the first one would be
    overwritten without --overwrite.
    """
    if resume and not any(path.exists() for path in progress):
        folder = progress[0].parent
        raise TrainingError(f"expected a {noun} to go on with in '{folder}', found none; start one without --resume")
    if not resume and not overwrite:
        taken = next((path for path in (output, progress[0]) if path.exists()), None)
        if taken is not None:
            raise OutputExists(
                f"expected no file at '{taken}', but there is one; give --resume, --overwrite or another name"
            )


def require_folder(path: Path, option: str) -> None:
    """Raise TrainingError where the value of an option is no folder."""
    if not path.is_dir():
        raise TrainingError(f"expected a folder for {option}, '{path}' is none; check the path")


def require_pictures(path: str, option: str) -> None:
    """Raise TrainingError where the value of an option is no folder, and by its name no movie or sequence."""
    from impasto.training.data.shots import is_shot

    if not is_shot(path):
        require_folder(Path(path), option)
