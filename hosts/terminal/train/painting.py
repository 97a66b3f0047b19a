"""`impasto train painting`: a style for any shot, in the manner of a painting; and `teach`, its first half."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from impasto.core.errors import UsageError
from impasto.hosts.events import RunFinished
from impasto.hosts.terminal.exit_codes import INTERRUPTED
from impasto.hosts.terminal.interrupts import Interrupts
from impasto.hosts.terminal.process_setup import prepare_process
from impasto.hosts.terminal.shared_options import Json, flattened
from impasto.hosts.terminal.train.options import Adapt, DistilFrom, Frames, InputSpace, RunOptions
from impasto.hosts.terminal.train.pair_making import PairMaker, Plates, PlateSource, make_pairs, make_pairs_on_first
from impasto.hosts.terminal.train.run import joined_processes, open_run, stop_notice, training_reporter
from impasto.hosts.terminal.train.torchrun import process_rank, require_single
from impasto.hosts.terminal.train.training_input import input_of_pairs, start_styles, train_style

if TYPE_CHECKING:
    from impasto.training.teachers.painted_pairs import TeacherSettings

Paintings: TypeAlias = Annotated[
    list[Path] | None, typer.Argument(metavar="[PAINTING]...", help="Pictures of one painter's paintings.")
]
MannerName: TypeAlias = Annotated[
    str,
    typer.Option("--manner", metavar="NAME", help="oil, light, gouache, knife, woodblock, ink, cel, pencil or film."),
]
PaintShare: TypeAlias = Annotated[
    float | None,
    typer.Option("--paint-share", min=0.0, max=1.0, help="How much real paint from the painting: slow above 0."),
]


@flattened
def painting(
    plates: Plates,
    options: RunOptions,
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
) -> None:
    """Train a style for any shot, in the manner of a painting.

    A painter without a network first paints your plates, slowly and carefully, in the painting's colours (before and
    after pictures in my.run/pairs); then a small network learns, against a critic, to do the same at once.
    More and more varied plates make it surer: fifty pictures are a good start. It trains for an hour unless
    told otherwise (--minutes). With --styles each painting becomes a style of its own in one network: render with
    my@starry, or blend them, my@starry=0.7+wave=0.3. The manners gouache, knife, ink, cel, pencil and film have
    colours of their own and take no painting.
    Ctrl-C keeps what there is; --resume goes on.
    """
    if styles and distil_from:
        raise UsageError(
            "expected --styles or --distil-from, got both; to put styles that are trained into one network, give "
            "--distil-from more than once, without --styles"
        )
    apart = separate(paintings or [], options.output) if styles else {options.output.stem: paintings or []}
    first = f"pairs/{next(iter(apart))}/teacher.json" if styles else "pairs/teacher.json"
    with open_run(options, resumable_from=first) as run:
        from impasto.training.data.pairs import Pair, load_pairs
        from impasto.training.recipe import Recipe
        from impasto.training.teachers.painted_pairs import TeacherSettings

        start = start_styles(distil_from, adapt, options.size)
        recipe = start.recipe(options.recipe(Recipe(minutes=60.0)))
        source = PlateSource(plates, frames, input_space)
        look = TeacherSettings(manner, paint_share=paint_share, input_space=input_space)
        pairs: list[Pair] = []
        with joined_processes(run.process, options.device) as device:
            for number, (stem, own) in enumerate(apart.items()):
                taught = run.folder / "pairs" / stem if styles else run.folder / "pairs"
                teacher = painter_of(look, own, taught)
                if not make_pairs_on_first(source, taught, teacher, run.reporter, run.interrupts):
                    break
                loaded = load_pairs(taught / "before", taught / "after")
                pairs.extend(replace(pair, style=number) for pair in loaded)
            else:
                names = list(apart) if styles else [options.style_name]
                train_style(run, input_of_pairs(pairs, recipe, start, names), recipe, device)


def separate(paintings: Sequence[Path], output: Path) -> dict[str, list[Path]]:
    """Each painting by its name; UsageError for fewer than two, or for equal names."""
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
    process = process_rank()
    with training_reporter(process, json=json) as reporter, Interrupts(stop_notice(json=json)) as interrupts:
        require_single(process, "train teach", "paint the same")
        prepare_process()
        from impasto.training.teachers.painted_pairs import TeacherSettings

        begun = time.monotonic()
        teacher = painter_of(
            TeacherSettings(manner, paint_share=paint_share, input_space=input_space), paintings or (), into
        )
        if make_pairs(PlateSource(plates, frames, input_space), into, teacher, reporter, interrupts):
            reporter.show(RunFinished(str(into), seconds=round(time.monotonic() - begun, 1)))
    if interrupts.asked():
        raise typer.Exit(INTERRUPTED)


def painter_of(look: TeacherSettings, paintings: Sequence[Path], into: Path) -> PairMaker:
    """The painter without a network, as a maker of pairs."""
    from impasto.training.teachers.painted_pairs import make_pairs, planned_pairs

    return PairMaker(
        ", ".join(path.stem for path in paintings) or look.manner,
        lambda pictures: [pair.name for pair in planned_pairs(pictures, look)],
        lambda pictures, on_pair: make_pairs(pictures, paintings, into, look, on_pair=on_pair),
    )
