"""`impasto train painting`: a style for any shot, in the manner of a painting; and `teach`, its first half."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, TypeAlias

import typer

from impasto.core.errors import TrainingError, UsageError
from impasto.hosts.terminal.events import Cancelled, Finished, FrameDone, Started
from impasto.hosts.terminal.exit_codes import INTERRUPTED
from impasto.hosts.terminal.interrupts import Interrupts
from impasto.hosts.terminal.process import prepare_process
from impasto.hosts.terminal.processes import place
from impasto.hosts.terminal.report import Reporter, reporter_for
from impasto.hosts.terminal.train import (
    Run,
    goes_on,
    learn,
    material_of,
    met,
    run_folder,
    stop_notice,
    training_reporter,
)
from impasto.hosts.terminal.train_options import (
    Batch,
    Credit,
    Crop,
    Description,
    Device,
    DistilFrom,
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

FRAMES_OF_A_MOVIE = 12
PAINTING, PAINTED, STOPPED = 1.0, 2.0, 3.0
"""What the process that paints tells the others after every pair, and at the end."""

Paintings: TypeAlias = Annotated[
    list[Path] | None, typer.Argument(metavar="[PAINTING]...", help="Pictures of one painter's paintings.")
]
Plates: TypeAlias = Annotated[
    list[Path], typer.Option("--plates", metavar="PATH", help="Pictures, movies and folders of both; repeatable.")
]
Frames: TypeAlias = Annotated[
    int, typer.Option("--frames", metavar="N", help="Plates taken from each movie, spread over it.")
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
    frames: Frames = FRAMES_OF_A_MOVIE,
    distil_from: DistilFrom = None,
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
    told otherwise (--minutes). The manners ink, cel, pencil and film have colours of their own and take no painting.
    Ctrl-C keeps what there is; --resume goes on.
    """
    here = place()
    with training_reporter(here, json=json) as reporter, Interrupts(stop_notice(json=json)) as interrupts:
        resume = goes_on(here, output, resume=resume)
        folder = run_folder(here, output, resume=resume, overwrite=overwrite, begun_by="pairs/teacher.json")
        prepare_process()
        from impasto.training.data.pairs import load_pairs
        from impasto.training.export import Label
        from impasto.training.recipe import Recipe

        options = {"size": size, "minutes": minutes, "steps": steps, "crop": crop, "batch": batch, "seed": seed}
        recipe = recipe_of(Recipe(minutes=60.0), recipe_file, options)
        taught = folder / "pairs"
        with met(here, device) as chosen:
            lesson = (plates, paintings or (), taught, frames, manner, paint_share)
            if teach_plates(*lesson, reporter, interrupts) if here.leads else wait_for_pairs():
                label = Label(name or output.stem, title, description, licence, tuple(credit or ()))
                material = material_of(load_pairs(taught / "before", taught / "after"), recipe, distil_from)
                learn(material, recipe, Run(output, folder, resume, chosen, wandb), label, reporter, interrupts)
    if interrupts.asked():
        raise typer.Exit(INTERRUPTED)


def teach(
    plates: Plates,
    into: Annotated[Path, typer.Option("--into", metavar="DIR", help="Where the folders before and after go.")],
    paintings: Paintings = None,
    manner: MannerName = "oil",
    paint_share: PaintShare = None,
    frames: Frames = FRAMES_OF_A_MOVIE,
    json: Json = False,
) -> None:
    """Paint plates without a network, as before and after folders for `impasto train pairs`.

    The first half of `impasto train painting`, for pictures that you want to choose from or to paint over. Pairs that
    are there already stay, so that a run which was stopped goes on.
    """
    with reporter_for(json=json) as reporter, Interrupts(stop_notice(json=json)) as interrupts:
        prepare_process()
        begun = time.monotonic()
        if teach_plates(plates, paintings or (), into, frames, manner, paint_share, reporter, interrupts):
            reporter.show(Finished(str(into), seconds=round(time.monotonic() - begun, 1)))
    if interrupts.asked():
        raise typer.Exit(INTERRUPTED)


def teach_plates(
    plates: Sequence[Path],
    paintings: Sequence[Path],
    into: Path,
    frames: int,
    manner: str,
    paint_share: float | None,
    reporter: Reporter,
    interrupts: Interrupts,
) -> bool:
    """Paint the plates into a folder, telling each; False where Ctrl-C ended it, which is told too."""
    from impasto.core.media.commit import make_folder
    from impasto.training.distributed import team
    from impasto.training.teachers.pairs import TeacherLook, make_pairs, wanted_pairs

    if frames < 1:
        raise UsageError(f"expected at least one frame of a movie, got {frames}; give for example --frames 12")
    look = TeacherLook(manner, paint_share=paint_share)
    make_folder(str(into / "before"))
    begun = time.monotonic()
    finished, mates = 0, team()

    def on_pair(done: int, of: int, path: Path) -> None:
        nonlocal finished
        finished = done
        pace = done / max(time.monotonic() - begun, 1e-6)
        reporter.show(FrameDone(done, str(path), done, of, round(pace, 3), (of - done) / pace, 0))
        mates.told(PAINTING)
        if interrupts.asked():
            raise _StoppedError

    with plate_pictures(plates, frames) as pictures:
        named = ", ".join(path.stem for path in paintings) or manner
        wanted = len(wanted_pairs(pictures, look))
        reporter.show(Started(str(plates[0]), str(into), named, 1, wanted, 0, 0, 0, None))
        try:
            make_pairs(pictures, paintings, into, look, on_pair=on_pair)
        except _StoppedError:
            reporter.show(Cancelled(str(into), finished, round(time.monotonic() - begun, 1)))
            mates.told(STOPPED)
            return False
    mates.told(PAINTED)
    return True


def wait_for_pairs() -> bool:
    """Wait while the first of several processes paints; False where it was stopped."""
    from impasto.training.distributed import team

    mates = team()
    while (heard := mates.told(PAINTING)) == PAINTING:
        pass
    return heard == PAINTED


class _StoppedError(Exception):
    """Leaves the painter between two plates."""


@contextmanager
def plate_pictures(plates: Sequence[Path], frames: int) -> Iterator[list[Path]]:
    """Every picture named or in a folder, and frames of every movie, which are kept for the time of the `with` block.

    Raises TrainingError for a path that is none of these, and where there is no picture at all.
    """
    from impasto.core.media.open import is_movie
    from impasto.training.data.pictures import picture_files
    from impasto.training.teachers.pairs import frames_of

    pictures: list[Path] = []
    movies: list[Path] = []
    for path in plates:
        if path.is_dir():
            pictures.extend(picture_files(path).values())
            movies.extend(sorted(movie for movie in path.iterdir() if is_movie(str(movie))))
        elif not path.exists():
            raise TrainingError(f"expected pictures, movies or a folder at '{path}', found nothing; check the path")
        else:
            (movies if is_movie(str(path)) else pictures).append(path)
    if not pictures and not movies:
        folders = ", ".join(f"'{path}'" for path in plates)
        raise TrainingError(f"expected pictures or movies in {folders}, found none; name a folder with plates")
    with TemporaryDirectory(prefix="impasto-plates-") as kept:
        for movie in movies:
            pictures.extend(frames_of(movie, frames, Path(kept)))
        yield pictures
