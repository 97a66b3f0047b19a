"""`impasto train`: styles from before and after pictures, and such pictures from a painting."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from impasto.core.errors import OutputExists, TrainingError, UsageError
from impasto.hosts.terminal.events import Cancelled, Finished, FrameDone, Started, Step, Warned
from impasto.hosts.terminal.exit_codes import INTERRUPTED
from impasto.hosts.terminal.interrupts import Interrupts
from impasto.hosts.terminal.process import prepare_process
from impasto.hosts.terminal.report import Reporter, counted, reporter_for

if TYPE_CHECKING:
    from impasto.training.loop import Progress

ENDING = ".safetensors"
FRAMES_OF_A_MOVIE = 12
"""Plates taken from each movie, spread over it."""


def pairs(
    before: Annotated[Path, typer.Option("--before", metavar="DIR", help="Folder of plates.")],
    after: Annotated[
        Path, typer.Option("--after", metavar="DIR", help="Folder of painted pictures of the same names.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="The style: a .safetensors file.")],
    size: Annotated[
        str, typer.Option("--size", metavar="draft|standard|fine", help="How large a network.")
    ] = "standard",
    minutes: Annotated[float | None, typer.Option("--minutes", help="How long to train.")] = None,
    steps: Annotated[int | None, typer.Option("--steps", help="How many steps to train, instead of minutes.")] = None,
    crop: Annotated[
        int | None, typer.Option("--crop", help="Side of the crops that it learns from, in pixels.")
    ] = None,
    batch: Annotated[int | None, typer.Option("--batch", help="Crops in a step.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Where chance begins.")] = None,
    device: Annotated[str, typer.Option("--device", metavar="auto|cpu|cuda:N|mps", help="Where it trains.")] = "auto",
    resume: Annotated[bool, typer.Option("--resume", help="Go on where the run beside FILE stopped.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a style and a run that are there.")] = False,
    name: Annotated[str | None, typer.Option("--name", help="Name of the style; by default that of the file.")] = None,
    title: Annotated[str, typer.Option("--title", help="What artists read in lists.")] = "",
    description: Annotated[str, typer.Option("--description", help="One sentence on how it paints.")] = "",
    licence: Annotated[str, typer.Option("--licence", help="Licence of the style, as an SPDX name.")] = "unstated",
    credit: Annotated[
        list[str] | None, typer.Option("--credit", help="Whose pictures it learned from; repeatable.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line for programs.")] = False,
) -> None:
    """Train a style on before and after pictures.

    Beside my.safetensors a folder my.run holds checkpoint.safetensors, log.csv and preview.png, a contact
    sheet of plate, result and target that is drawn anew every minute. Ctrl-C ends the training and
    still writes the style with the best weights so far; --resume goes on from there.
    """
    with reporter_for(json=json) as reporter, Interrupts(stop_notice(json=json)) as interrupts:
        folder = run_folder(output, resume=resume, overwrite=overwrite)
        if minutes is not None and steps is not None:
            raise UsageError("expected --minutes or --steps, got both; give one of them")
        for_folder(before, "--before")
        for_folder(after, "--after")
        prepare_process()
        from impasto.core.engine import choose_device
        from impasto.training.data.pairs import load_pairs
        from impasto.training.export import Label, export_style
        from impasto.training.loop import Schedule
        from impasto.training.loop import train as train_on
        from impasto.training.recipe import recipe_from

        settings = {"size": size, "minutes": minutes, "steps": steps, "crop": crop, "batch": batch, "seed": seed}
        recipe = recipe_from({name: value for name, value in settings.items() if value is not None})
        pictures = load_pairs(before, after)
        chosen = choose_device(device)
        label = Label(name or output.stem, title, description, licence, tuple(credit or ()))
        schedule = Schedule(folder, resume=resume, device=chosen)
        reporter.show(
            Warned(f"{counted(len(pictures), 'pair')} on {chosen}; what it looks like is in {folder / 'preview.png'}")
        )
        trained = train_on(
            pictures,
            recipe,
            schedule,
            on_progress=lambda progress: tell(reporter, progress, folder / "preview.png"),
            stopped=interrupts.asked,
        )
        # Without a single step there is nothing but chance in the weights.
        if trained.steps:
            export_style(trained, recipe, pictures, output, label)
        seconds = round(trained.seconds, 1)
        if interrupts.asked():
            reporter.show(Cancelled(str(output) if trained.steps else None, 0, seconds, steps=trained.steps))
        else:
            reporter.show(Finished(str(output), seconds=seconds, steps=trained.steps))
    if interrupts.asked():
        raise typer.Exit(INTERRUPTED)


def teach(
    painting: Annotated[Path, typer.Argument(metavar="PAINTING", help="A picture of the painting.")],
    plates: Annotated[Path, typer.Option("--plates", metavar="DIR", help="Folder of plates: pictures and movies.")],
    into: Annotated[Path, typer.Option("--into", metavar="DIR", help="Where the folders before and after go.")],
    frames: Annotated[
        int, typer.Option("--frames", metavar="N", help="Plates taken from each movie, spread over it.")
    ] = FRAMES_OF_A_MOVIE,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line for programs.")] = False,
) -> None:
    """Paint plates in the manner of one painting, as before and after folders for `impasto train pairs`.

    Slow and careful: strokes along the forms of the plate, in the painting's colours and real paint.
    Pairs that are there already stay, so that a run which was stopped goes on.
    """
    with reporter_for(json=json) as reporter, Interrupts(stop_notice(json=json)) as interrupts:
        for_folder(plates, "--plates")
        if frames < 1:
            raise UsageError(f"expected at least one frame of a movie, got {frames}; give for example --frames 12")
        prepare_process()
        from impasto.core.media.commit import make_folder
        from impasto.training.teachers.pairs import TeacherLook, make_pairs

        make_folder(str(into / "before"))
        begun = time.monotonic()
        finished = 0

        def on_pair(done: int, path: Path) -> None:
            nonlocal finished
            finished = done
            pace = done / (time.monotonic() - begun)
            left = (len(pictures) - done) / pace
            reporter.show(FrameDone(done, str(path), done, len(pictures), round(pace, 3), left, 0))
            if interrupts.asked():
                raise _StoppedError

        with plate_pictures(plates, frames) as pictures:
            reporter.show(Started(str(plates), str(into), painting.stem, 1, len(pictures), 0, 0, 0, None))
            try:
                make_pairs(pictures, painting, into, TeacherLook(), on_pair=on_pair)
            except _StoppedError:
                reporter.show(Cancelled(str(into), finished, round(time.monotonic() - begun, 1)))
            else:
                reporter.show(Finished(str(into), finished, seconds=round(time.monotonic() - begun, 1)))
    if interrupts.asked():
        raise typer.Exit(INTERRUPTED)


class _StoppedError(Exception):
    """Leaves the painter between two plates."""


@contextmanager
def plate_pictures(folder: Path, frames: int) -> Iterator[list[Path]]:
    """Every picture in a folder, and frames of every movie in it, which are kept for the time of the `with` block.

    Raises TrainingError where there is neither.
    """
    from impasto.core.media.open import is_movie
    from impasto.training.data.pictures import picture_files
    from impasto.training.teachers.pairs import frames_of

    pictures = list(picture_files(folder).values())
    movies = sorted(path for path in folder.iterdir() if is_movie(str(path)))
    if not pictures and not movies:
        raise TrainingError(f"expected pictures or movies in '{folder}', found none; name the folder with the plates")
    with TemporaryDirectory(prefix="impasto-plates-") as kept:
        for movie in movies:
            pictures.extend(frames_of(movie, frames, Path(kept)))
        yield pictures


def run_folder(output: Path, *, resume: bool, overwrite: bool) -> Path:
    """The folder of a run, fit for use: made anew, or with the checkpoint from which it goes on.

    Raises UsageError, OutputExists, OutputError, and TrainingError where there is nothing to resume.
    """
    from impasto.core.media.commit import make_folder

    if resume and overwrite:
        raise UsageError("expected --overwrite or --resume, got both; give one of them")
    if output.suffix != ENDING:
        raise UsageError(f"expected a style that ends in {ENDING}, got '{output}'; write {output.with_suffix(ENDING)}")
    folder = output.with_suffix(".run")
    checkpoint = folder / "checkpoint.safetensors"
    if resume and not checkpoint.exists():
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
        for name in ("checkpoint.safetensors", "log.csv", "preview.png"):
            (folder / name).unlink(missing_ok=True)
    return folder


def for_folder(path: Path, option: str) -> None:
    """Raise TrainingError where an option names no folder."""
    if not path.is_dir():
        raise TrainingError(f"expected a folder for {option}, '{path}' is none; check the path")


def tell(reporter: Reporter, progress: Progress, preview: Path) -> None:
    """Show how far the training is."""
    if progress.note:
        reporter.show(Warned(progress.note))
    left = progress.seconds * (1 - progress.fraction) / progress.fraction if progress.fraction > 0 else None
    figures = {name: round(value, 5) for name, value in progress.figures.items()}
    reporter.show(
        Step(progress.step, round(progress.fraction, 4), round(progress.seconds, 1), left, figures, str(preview))
    )


def stop_notice(*, json: bool) -> str:
    """What is said to a person at the first Ctrl-C; nothing to a program."""
    return "" if json else "stopping; what is done so far is kept. Press Ctrl-C again to quit at once"
