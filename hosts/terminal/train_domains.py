"""`impasto train domains`: a style from two folders whose pictures do not belong together."""

from __future__ import annotations

from typing import Annotated

import typer

from impasto.hosts.terminal.exit_codes import INTERRUPTED
from impasto.hosts.terminal.interrupts import Interrupts
from impasto.hosts.terminal.process import prepare_process
from impasto.hosts.terminal.processes import place
from impasto.hosts.terminal.report import counted
from impasto.hosts.terminal.train import Material, Run, goes_on, learn, met, run_folder, stop_notice, training_reporter
from impasto.hosts.terminal.train_options import (
    Batch,
    Credit,
    Crop,
    Description,
    Device,
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


def domains(
    plates: Annotated[str, typer.Option("--from", metavar="PATH", help="Plates: a folder, a movie or a sequence.")],
    wanted: Annotated[
        str, typer.Option("--to", metavar="PATH", help="Pictures that look as they should: the same kinds.")
    ],
    output: Output,
    contest: Annotated[
        str | None, typer.Option("--contest", metavar="hinge|lsgan|wgan-gp", help="Form of the adversarial loss.")
    ] = None,
    frames: Frames = None,
    input_space: InputSpace = None,
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
    """Train a style on two unpaired folders: plates, and pictures that look as plates should.

    A critic learns what tells the second folder from painted plates, and the network to leave it nothing to tell, while
    every place must still show what the plate shows there. Colour, light and texture come over; strokes want painted
    pictures (`painting`, `pairs`, `keyframes`).
    """
    here = place()
    with training_reporter(here, json=json) as reporter, Interrupts(stop_notice(here, json=json)) as interrupts:
        resume = goes_on(here, output, resume=resume)
        folder = run_folder(here, output, resume=resume, overwrite=overwrite)
        prepare_process()
        from impasto.training.data.domains import load_domains
        from impasto.training.data.pairs import as_float
        from impasto.training.data.shots import FRAMES
        from impasto.training.export import Label
        from impasto.training.objectives.domains import RECIPE, task_for

        options = {
            "size": size, "minutes": minutes, "steps": steps, "crop": crop, "batch": batch, "seed": seed,
            "contest": contest,
        }  # fmt: skip
        recipe = recipe_of(RECIPE, recipe_file, options)
        both = load_domains(plates, wanted, frames=FRAMES if frames is None else frames, input_space=input_space)
        material = Material(
            task_for(both, recipe),
            f"{counted(len(both.plates), 'plate')} and {counted(len(both.wanted), 'picture')}",
            len(both.plates) + len(both.wanted),
            as_float(both.plates[len(both.plates) // 2]),
        )
        label = Label(name or output.stem, title, description, licence, tuple(credit or ()))
        with met(here, device) as chosen:
            learn(material, recipe, Run(output, folder, resume, chosen, wandb), label, reporter, interrupts)
    if interrupts.asked():
        raise typer.Exit(INTERRUPTED)
