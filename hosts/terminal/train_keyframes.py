"""`impasto train keyframes`: a style of one shot from a few painted frames of it."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from impasto.hosts.terminal.events import Cancelled, Finished, Warned
from impasto.hosts.terminal.exit_codes import INTERRUPTED
from impasto.hosts.terminal.interrupts import Interrupts
from impasto.hosts.terminal.process import prepare_process
from impasto.hosts.terminal.processes import device_of, place
from impasto.hosts.terminal.report import counted
from impasto.hosts.terminal.train import (
    for_folder,
    goes_on,
    run_folder,
    stop_notice,
    tell,
    told_of,
    training_reporter,
)
from impasto.hosts.terminal.train_options import (
    Batch,
    Credit,
    Crop,
    Description,
    Device,
    Guides,
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


def keyframes(
    plates: Annotated[str, typer.Option("--plates", metavar="SHOT", help="The shot: a movie, a sequence or a folder.")],
    keys: Annotated[
        Path, typer.Option("--keys", metavar="DIR", help="Folder of painted frames, named by their frame's number.")
    ],
    output: Output,
    masks: Annotated[
        Path | None,
        typer.Option("--masks", metavar="DIR", help="Folder of masks by the same numbers: black is not painted."),
    ] = None,
    guides: Guides = None,
    size: Size = None,
    minutes: Minutes = None,
    steps: Steps = None,
    crop: Crop = None,
    batch: Batch = None,
    seed: Seed = None,
    recipe_file: RecipeFile = None,
    input_space: InputSpace = None,
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
    """Train a style on one to five painted frames of a shot.

    Paint over single frames of the shot and name each picture by the number of its frame: hero.0012.png
    for frame 12 (movies count from 1). Every ten seconds hero.safetensors is written anew, so that a server that
    watches its folder renders with it at once, and hero.run/preview.png shows unpainted frames, plate and
    result. Ctrl-C ends the training and keeps the best so far; --resume goes on from there.

    A style that was trained with --guides wants the same layers of every frame that it paints: see `impasto render`.
    """
    here = place()
    with training_reporter(here, json=json) as reporter, Interrupts(stop_notice(here, json=json)) as interrupts:
        resume = goes_on(here, output, resume=resume)
        folder = run_folder(here, output, resume=resume, overwrite=overwrite)
        for_folder(keys, "--keys")
        if masks is not None:
            for_folder(masks, "--masks")
        prepare_process()
        from impasto.training.data.guides import GuideWish
        from impasto.training.data.keyframes import load_keyframes
        from impasto.training.distributed import joined
        from impasto.training.export import Label
        from impasto.training.loop import Schedule, run
        from impasto.training.objectives.keyframes import RECIPE, prepare, task_for
        from impasto.training.tracking import trackers

        options = {"size": size, "minutes": minutes, "steps": steps, "crop": crop, "batch": batch, "seed": seed}
        recipe = recipe_of(RECIPE, recipe_file, options)
        chosen = device_of(here, device)
        wishes = [GuideWish.parse(each) for each in guides or ()]
        painted = load_keyframes(plates, keys, masks, input_space=input_space, guides=wishes)
        for note in painted.notes:
            reporter.show(Warned(note))
        sheet, where = folder / "preview.png", told_of(chosen, here.size)
        reporter.show(Warned(f"{counted(len(painted.keys), 'key')} on {where}; what it looks like is in {sheet}"))
        if painted.wanted is not None:
            reporter.show(Warned(f"another key would help most on frame {painted.wanted}"))
        label = Label(name or output.stem, title, description, licence, tuple(credit or ()))
        following = trackers(folder, wandb=wandb) if here.leads else nullcontext(())
        with joined(here.rank, here.size, chosen, start=here.restarts), following as opened:
            trained = run(
                task_for(prepare(painted, recipe.seed), recipe, output, label),
                recipe,
                Schedule(folder, preview_s=10.0, checkpoint_s=20.0, resume=resume, device=chosen, trackers=opened),
                on_progress=lambda progress: tell(reporter, progress, folder / "preview.png"),
                stopped=interrupts.asked,
            )
        seconds = round(trained.seconds, 1)
        if interrupts.asked():
            reporter.show(Cancelled(str(output) if trained.steps else None, 0, seconds, steps=trained.steps))
        else:
            reporter.show(Finished(str(output), seconds=seconds, steps=trained.steps))
    if interrupts.asked():
        raise typer.Exit(INTERRUPTED)
