"""`impasto train pairs`: a style from before and after pictures; and what all ways of training share."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from impasto.core.errors import OutputExists, TrainingError, UsageError
from impasto.hosts.terminal.events import Cancelled, Finished, Step, Warned
from impasto.hosts.terminal.exit_codes import INTERRUPTED
from impasto.hosts.terminal.interrupts import Interrupts
from impasto.hosts.terminal.process import prepare_process
from impasto.hosts.terminal.processes import Place, device_of, place
from impasto.hosts.terminal.report import Reporter, counted, reporter_for
from impasto.hosts.terminal.train_options import (
    Adapt,
    Batch,
    Credit,
    Crop,
    Description,
    Device,
    DistilFrom,
    Frames,
    InputSpace,
    Json,
    Licence,
    Masks,
    Minutes,
    Name,
    Output,
    Overwrite,
    RecipeFile,
    Resume,
    Seed,
    Size,
    Steps,
    Title,
    Wandb,
    recipe_of,
)

if TYPE_CHECKING:
    from torch import Tensor

    from impasto.core.style import Style
    from impasto.training.data.pairs import Pair
    from impasto.training.export import Label
    from impasto.training.loop import Progress, Task
    from impasto.training.recipe import Recipe

ENDING = ".safetensors"
CHECKPOINT = "checkpoint.safetensors"
STARTED_BY = ".torchrun"
"""The file in a run's folder that names the torchrun which may start it again."""


def pairs(
    before: Annotated[str, typer.Option("--before", metavar="PATH", help="Plates: a folder, a movie or a sequence.")],
    output: Output,
    after: Annotated[
        str | None, typer.Option("--after", metavar="PATH", help="The same painted, by the same names or numbers.")
    ] = None,
    masks: Masks = None,
    frames: Frames = None,
    input_space: InputSpace = None,
    distil_from: DistilFrom = None,
    adapt: Adapt = None,
    size: Size = None,
    minutes: Minutes = None,
    steps: Steps = None,
    crop: Crop = None,
    batch: Batch = None,
    seed: Seed = None,
    recipe_file: RecipeFile = None,
    device: Device = "auto",
    resume: Resume = False,
    overwrite: Overwrite = False,
    name: Name = None,
    title: Title = "",
    description: Description = "",
    licence: Licence = "unstated",
    credit: Credit = None,
    wandb: Wandb = None,
    json: Json = False,
) -> None:
    """Train a style on before and after pictures, or on what another style makes of plates.

    Folders are matched by the names of their pictures; movies (plate.mov) and sequences (plate.####.exr) by the numbers
    of their frames, of which 48 are taken, spread over the shot, unless --frames says otherwise.
    Beside my.safetensors a folder my.run holds checkpoint.safetensors, log.csv, TensorBoard's log and preview.png, a
    contact sheet of plate, result and target that is drawn anew every minute. Ctrl-C ends the training and
    still writes the style with the best weights so far; --resume goes on from there.

    Several GPUs or machines share every batch when torchrun starts the command:
    torchrun --nproc-per-node 2 --max-restarts 3 -m impasto.hosts.terminal.app train pairs … A process that is lost is
    started anew with the others, and all go on from the last checkpoint.
    """
    here = place()
    with training_reporter(here, json=json) as reporter, Interrupts(stop_notice(here, json=json)) as interrupts:
        resume = goes_on(here, output, resume=resume)
        folder = run_folder(here, output, resume=resume, overwrite=overwrite)
        for_pictures(before, "--before")
        if (after is None) == (not distil_from):
            raise UsageError("expected --after or --distil-from; give the one from which the style is to be learned")
        if after is not None:
            for_pictures(after, "--after")
        if masks is not None:
            for_pictures(masks, "--masks")
            if after is None:
                raise UsageError("expected --masks with --after, got them with --distil-from; leave them out")
        prepare_process()
        from impasto.training.data.pairs import load_pairs
        from impasto.training.data.shots import FRAMES
        from impasto.training.export import Label
        from impasto.training.recipe import Recipe
        from impasto.training.teachers.style import plates_alone

        options = {"size": size, "minutes": minutes, "steps": steps, "crop": crop, "batch": batch, "seed": seed}
        recipe = recipe_of(Recipe(), recipe_file, options)
        begun = begun_with(distil_from, adapt, size)
        recipe = begun.recipe(recipe)
        count = FRAMES if frames is None else frames
        if after is None:
            pictures = plates_alone(before, frames=count, input_space=input_space)
        else:
            pictures = load_pairs(before, after, masks, frames=count, input_space=input_space)
        with met(here, device) as chosen:
            material = material_of(pictures, recipe, begun, (name or output.stem,))
            label = Label(name or output.stem, title, description, licence, tuple(credit or ()), material.codes)
            learn(material, recipe, Run(output, folder, resume, chosen, wandb), label, reporter, interrupts)
    if interrupts.asked():
        raise typer.Exit(INTERRUPTED)


@dataclass(frozen=True, slots=True)
class Run:
    """Where a run leaves its style and keeps its folder, and on what it trains."""

    output: Path
    folder: Path
    resume: bool
    device: str
    wandb: str | None


@dataclass(frozen=True, slots=True)
class Material:
    """What a run learns from."""

    task: Task
    told: str
    """In words, for a person."""
    pictures: int
    shown: Tensor
    """A plate (3, H, W), working space, whose painted thumbnail stands for the style."""
    codes: tuple[str, ...] = ()
    """Names of the styles in the network, where it holds several by code."""


@dataclass(frozen=True, slots=True)
class Begun:
    """The styles that a run begins with: whose pictures it learns from, and whose network it adapts."""

    distil_from: tuple[str, ...] = ()
    base: Style | None = None

    def recipe(self, recipe: Recipe) -> Recipe:
        """The recipe with the base's generator, where there is a base."""
        from impasto.training.adapting import recipe_for

        return recipe if self.base is None else recipe_for(self.base, recipe)


def begun_with(distil_from: Sequence[str] | None, adapt: str | None, size: str | None) -> Begun:
    """What the options name. Raises what `load_style` raises, and UsageError for a size that is not the base's."""
    from impasto.core.mix import split_reference
    from impasto.core.style import find_style, load_style

    if adapt is not None and split_reference(adapt)[1]:
        raise UsageError(
            f"expected a file of several styles to adapt, got the choice '{adapt}'; name the file alone: "
            f"{split_reference(adapt)[0]}"
        )
    base = None if adapt is None else load_style(find_style(adapt))
    if base is not None and size not in (None, base.card.size):
        raise UsageError(
            f"expected no --size, or '{base.card.size}' as '{adapt}' has, got '{size}'; a style that is adapted keeps "
            "its network"
        )
    return Begun(tuple(each for style in distil_from or () for each in _each_of(style)), base)


def _each_of(style: str) -> list[str]:
    """A style as it was named; each of those in a file that holds several, unless one of them was chosen."""
    from impasto.core.style import find_style, offered_by

    _, *choices = offered_by(find_style(style))
    return [str(choice) for choice, _ in choices] or [style]


def material_of(pairs: Sequence[Pair], recipe: Recipe, begun: Begun, names: Sequence[str]) -> Material:
    """Pairs of pictures as what a run learns from; with styles to distil, their pictures of the same plates.

    `names` are those of the styles that the pairs are painted in. Raises TrainingError for names that do not tell them
    apart, and for a base that cannot be adapted.
    """
    from impasto.training.data.pairs import as_float
    from impasto.training.objectives.pairs import task_for
    from impasto.training.teachers.style import painted_by

    told = counted(len(pairs), "pair")
    if begun.distil_from:
        plates, told = list(pairs), f"{told} painted by {', '.join(begun.distil_from)}"
        numbered = enumerate(begun.distil_from)
        pairs = [pair for number, style in numbered for pair in painted_by(style, plates, number=number)]
        if len(begun.distil_from) > 1:
            names = names_of(begun.distil_from)
    codes = codes_apart(names) if len(names) > 1 or begun.base is not None else ()
    shown = as_float(pairs[len(pairs) // 2].before)
    return Material(task_for(pairs, recipe, begun.base), told, len(pairs), shown, codes)


def names_of(styles: Sequence[str]) -> list[str]:
    """How styles are called in a network that learns them all: as in the file that holds several, else as the file."""
    from impasto.core.mix import name_of, split_reference
    from impasto.core.style import find_style

    whole = [name_of(str(find_style(style))) for style in styles]
    short = [split_reference(name)[1] or name for name in whole]
    return short if len(set(short)) == len(short) else whole


def codes_apart(names: Sequence[str]) -> tuple[str, ...]:
    """Names of styles as a choice behind an '@' can spell them; TrainingError where two are the same."""
    codes = tuple(" ".join(re.sub(r"[@=+/\\]", " ", name).split()) or "style" for name in names)
    twice = next((code for code in codes if codes.count(code) > 1), None)
    if twice is not None:
        raise TrainingError(f"expected styles of different names, got '{twice}' twice; rename one of the files")
    return codes


def learn(
    material: Material, recipe: Recipe, run: Run, label: Label, reporter: Reporter, interrupts: Interrupts
) -> None:
    """Train until the end or Ctrl-C, and write the style; both are told."""
    from impasto.training import loop
    from impasto.training.distributed import team
    from impasto.training.export import write_style
    from impasto.training.tracking import trackers

    mates = team()
    preview = run.folder / "preview.png"
    reporter.show(Warned(f"{material.told} on {told_of(run.device, mates.size)}; what it looks like is in {preview}"))
    with trackers(run.folder, wandb=run.wandb) if mates.leads else nullcontext(()) as opened:
        trained = loop.run(
            material.task,
            recipe,
            loop.Schedule(run.folder, resume=run.resume, device=run.device, trackers=opened),
            on_progress=lambda progress: tell(reporter, progress, preview),
            stopped=interrupts.asked,
        )
    # Without a single step there is nothing but chance in the weights.
    if trained.steps and mates.leads:
        write_style(trained, recipe, run.output, label, pictures=material.pictures, shown=material.shown)
    seconds = round(trained.seconds, 1)
    if interrupts.asked():
        reporter.show(Cancelled(str(run.output) if trained.steps else None, 0, seconds, steps=trained.steps))
    else:
        reporter.show(Finished(str(run.output), seconds=seconds, steps=trained.steps))


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


def tell(reporter: Reporter, progress: Progress, preview: Path) -> None:
    """Show how far the training is."""
    if progress.note:
        reporter.show(Warned(progress.note))
    left = progress.seconds * (1 - progress.fraction) / progress.fraction if progress.fraction > 0 else None
    figures = {name: round(value, 5) for name, value in progress.figures.items()}
    reporter.show(
        Step(progress.step, round(progress.fraction, 4), round(progress.seconds, 1), left, figures, str(preview))
    )


def stop_notice(here: Place | None = None, *, json: bool) -> str:
    """What is said to a person at the first Ctrl-C, by the first process alone; nothing to a program."""
    return (
        ""
        if json or (here is not None and not here.leads)
        else "stopping; what is done so far is kept. Press Ctrl-C again to quit at once"
    )
