"""`impasto train enhance`: a style that cleans and sharpens, from clean plates alone."""

from __future__ import annotations

from typing import Annotated

import typer

from impasto.hosts.terminal.exit_codes import INTERRUPTED
from impasto.hosts.terminal.interrupts import Interrupts
from impasto.hosts.terminal.process import prepare_process
from impasto.hosts.terminal.processes import place
from impasto.hosts.terminal.train import (
    Begun,
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
from impasto.hosts.terminal.train_plates import Pairing, Plates, PlateSource, made_by_first


def enhance(
    plates: Plates,
    output: Output,
    frames: Frames = None,
    input_space: InputSpace = None,
    variants: Annotated[
        int,
        typer.Option("--variants", min=1, metavar="N", help="Times that each plate is damaged, every time otherwise."),
    ] = 3,
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
    """Train a style that cleans and sharpens surveillance and compressed footage.

    Give it clean, sharp plates: fifty photographs are a good start. Each is damaged as cheap cameras and codecs do it:
    blur, noise by the light, JPEG and H.264 of many strengths, a smaller sensor; the pairs lie in my.run/pairs. Then
    a small network learns, against a critic, to undo that. It trains for an hour unless told otherwise (--minutes).
    Ctrl-C keeps what there is; --resume goes on.
    """
    here = place()
    with training_reporter(here, json=json) as reporter, Interrupts(stop_notice(here, json=json)) as interrupts:
        resume = goes_on(here, output, resume=resume)
        folder = run_folder(here, output, resume=resume, overwrite=overwrite, begun_by="pairs/teacher.json")
        prepare_process()
        from impasto.training.data.pairs import load_pairs
        from impasto.training.export import Label
        from impasto.training.teachers.damaged_pairs import RECIPE, DamageLook, make_damaged_pairs, wanted_damages

        options = {"size": size, "minutes": minutes, "steps": steps, "crop": crop, "batch": batch, "seed": seed}
        recipe = recipe_of(RECIPE, recipe_file, options)
        look = DamageLook(variants=variants, input_space=input_space)
        made = folder / "pairs"
        damage = Pairing(
            "damage",
            lambda pictures: [name for _, _, name in wanted_damages(pictures, look)],
            lambda pictures, on_pair: make_damaged_pairs(pictures, made, look, on_pair=on_pair),
        )
        source = PlateSource(plates, frames, input_space)
        with met(here, device) as chosen:
            if made_by_first(source, made, damage, reporter, interrupts):
                label = Label(name or output.stem, title, description, licence, tuple(credit or ()))
                pairs = load_pairs(made / "before", made / "after")
                material = material_of(pairs, recipe, Begun(), (label.name,))
                learn(material, recipe, Run(output, folder, resume, chosen, wandb), label, reporter, interrupts)
    if interrupts.asked():
        raise typer.Exit(INTERRUPTED)
