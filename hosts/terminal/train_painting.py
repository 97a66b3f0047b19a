"""`impasto train painting`: a style for any shot, in the manner of a painting; and `teach`, its first half."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from impasto.core.errors import UsageError
from impasto.hosts.terminal.events import Finished
from impasto.hosts.terminal.exit_codes import INTERRUPTED
from impasto.hosts.terminal.interrupts import Interrupts
from impasto.hosts.terminal.process import prepare_process
from impasto.hosts.terminal.processes import place
from impasto.hosts.terminal.train import (
    Run,
    begun_with,
    goes_on,
    learn,
    material_of,
    met,
    run_folder,
    stop_notice,
    training_reporter,
)
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
from impasto.hosts.terminal.train_plates import Pairing, Plates, PlateSource, made_by_first, make_told

if TYPE_CHECKING:
    from impasto.training.teachers.pairs import TeacherLook

Paintings: TypeAlias = Annotated[
    list[Path] | None, typer.Argument(metavar="[PAINTING]...", help="Pictures of one painter's paintings.")
]
MannerName: TypeAlias = Annotated[
    str, typer.Option("--manner", metavar="NAME", help="oil, light, woodblock, ink, cel, pencil or film.")
]
PaintShare: TypeAlias = Annotated[
    float | None,
    typer.Option("--paint-share", min=0.0, max=1.0, help="How much real paint from the painting: slow above 0."),
]


def painting(
    plates: Plates,
    output: Output,
    paintings: Paintings = None,
    manner: MannerName = "oil",
    paint_share: PaintShare = None,
    frames: Frames = None,
    input_space: InputSpace = None,
    styles: Annotated[
        bool,
        typer.Option("--styles", help="Each painting is a style of its own, all in one network, to be blended."),
    ] = False,
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
    """Train a style for any shot, in the manner of a painting.

    A painter without a network first paints your plates, slowly and carefully, in the painting's colours (before and
    after pictures in my.run/pairs); then a small network learns, against a critic, to do the same at once.
    More and more varied plates make it surer: fifty pictures are a good start. It trains for an hour unless
    told otherwise (--minutes). With --styles each painting becomes a style of its own in one network: render with
    my@starry, or blend them, my@starry=0.7+wave=0.3. The manners ink, cel, pencil and film have colours of their own
    and take no painting.
    Ctrl-C keeps what there is; --resume goes on.
    """
    here = place()
    with training_reporter(here, json=json) as reporter, Interrupts(stop_notice(here, json=json)) as interrupts:
        if styles and distil_from:
            raise UsageError(
                "expected --styles or --distil-from, got both; to put styles that are trained into one network, give "
                "--distil-from more than once, without --styles"
            )
        apart = separate(paintings or [], output) if styles else {output.stem: paintings or []}
        first = f"pairs/{next(iter(apart))}/teacher.json" if styles else "pairs/teacher.json"
        resume = goes_on(here, output, resume=resume)
        folder = run_folder(here, output, resume=resume, overwrite=overwrite, begun_by=first)
        prepare_process()
        from impasto.training.data.pairs import Pair, load_pairs
        from impasto.training.export import Label
        from impasto.training.recipe import Recipe
        from impasto.training.teachers.pairs import TeacherLook

        options = {"size": size, "minutes": minutes, "steps": steps, "crop": crop, "batch": batch, "seed": seed}
        recipe = recipe_of(Recipe(minutes=60.0), recipe_file, options)
        begun = begun_with(distil_from, adapt, size)
        recipe = begun.recipe(recipe)
        source = PlateSource(plates, frames, input_space)
        look = TeacherLook(manner, paint_share=paint_share, input_space=input_space)
        pairs: list[Pair] = []
        with met(here, device) as chosen:
            for number, (stem, own) in enumerate(apart.items()):
                taught = folder / "pairs" / stem if styles else folder / "pairs"
                if not made_by_first(source, taught, teacher_at_work(look, own, taught), reporter, interrupts):
                    break
                loaded = load_pairs(taught / "before", taught / "after")
                pairs.extend(replace(pair, style=number) for pair in loaded)
            else:
                names = list(apart) if styles else [name or output.stem]
                material = material_of(pairs, recipe, begun, names)
                label = Label(name or output.stem, title, description, licence, tuple(credit or ()), material.codes)
                learn(material, recipe, Run(output, folder, resume, chosen, wandb), label, reporter, interrupts)
    if interrupts.asked():
        raise typer.Exit(INTERRUPTED)


def separate(paintings: Sequence[Path], output: Path) -> dict[str, list[Path]]:
    """Each painting by its name; UsageError for fewer than two, or two of one name."""
    apart = {painting.stem: [painting] for painting in paintings}
    if len(paintings) < 2 or len(apart) < len(paintings):
        raise UsageError(
            f"expected two or more paintings of different names for --styles, got {len(paintings)}; "
            f"for example: impasto train painting --styles wave.jpg starry.jpg --plates plates/ -o {output.name}"
        )
    return apart


def teach(
    plates: Plates,
    into: Annotated[Path, typer.Option("--into", metavar="DIR", help="Where the folders before and after go.")],
    paintings: Paintings = None,
    manner: MannerName = "oil",
    paint_share: PaintShare = None,
    frames: Frames = None,
    input_space: InputSpace = None,
    json: Json = False,
) -> None:
    """Paint plates without a network, as before and after folders for `impasto train pairs`.

    The first half of `impasto train painting`, for pictures that you want to choose from or to paint over. Pairs that
    are there already stay, so that a run which was stopped goes on.
    """
    here = place()
    with training_reporter(here, json=json) as reporter, Interrupts(stop_notice(json=json)) as interrupts:
        if here.size > 1:
            raise UsageError(
                f"expected one process for `impasto train teach`, got {here.size}, each of which would paint the same; "
                "start it without torchrun"
            )
        prepare_process()
        from impasto.training.teachers.pairs import TeacherLook

        begun = time.monotonic()
        teacher = teacher_at_work(
            TeacherLook(manner, paint_share=paint_share, input_space=input_space), paintings or (), into
        )
        if make_told(PlateSource(plates, frames, input_space), into, teacher, reporter, interrupts):
            reporter.show(Finished(str(into), seconds=round(time.monotonic() - begun, 1)))
    if interrupts.asked():
        raise typer.Exit(INTERRUPTED)


def teacher_at_work(look: TeacherLook, paintings: Sequence[Path], into: Path) -> Pairing:
    """The painter of some plates."""
    from impasto.training.teachers.pairs import make_pairs, pair_name, wanted_pairs

    return Pairing(
        ", ".join(path.stem for path in paintings) or look.manner,
        lambda pictures: [pair_name(path, side, look) for path, side in wanted_pairs(pictures, look)],
        lambda pictures, on_pair: make_pairs(pictures, paintings, into, look, on_pair=on_pair),
    )
