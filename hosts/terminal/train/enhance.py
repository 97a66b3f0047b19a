"""`impasto train enhance`: a style that cleans and sharpens, from clean plates alone."""

from __future__ import annotations

from typing import Annotated

import typer

from impasto.hosts.terminal.shared_options import flattened
from impasto.hosts.terminal.train.options import Frames, InputSpace, RunOptions
from impasto.hosts.terminal.train.pair_making import PairMaker, Plates, PlateSource, make_pairs_on_first
from impasto.hosts.terminal.train.run import joined_processes, open_run
from impasto.hosts.terminal.train.training_input import StartStyles, input_of_pairs, train_style


@flattened
def enhance(
    plates: Plates,
    options: RunOptions,
    frames: Frames = None,
    input_space: InputSpace = None,
    variants: Annotated[
        int,
        typer.Option("--variants", min=1, metavar="N", help="Times that each plate is damaged, every time otherwise."),
    ] = 3,
) -> None:
    """Train a style that cleans and sharpens surveillance and compressed footage.

    Give it clean, sharp plates: fifty photographs are a good start. Each is damaged as cheap cameras and codecs do it:
    blur, noise by the light, JPEG and H.264 of many strengths, a smaller sensor; the pairs lie in my.run/pairs. Then
    a small network learns, against a critic, to undo that. It trains for an hour unless told otherwise (--minutes).
    Ctrl-C keeps what there is; --resume goes on.
    """
    with open_run(options, resumable_from="pairs/teacher.json") as run:
        from impasto.training.data.pairs import load_pairs
        from impasto.training.teachers.damaged_pairs import RECIPE, DamageSettings, make_damaged_pairs, planned_damages

        recipe = options.recipe(RECIPE)
        look = DamageSettings(variants=variants, input_space=input_space)
        made = run.folder / "pairs"
        damage = PairMaker(
            "damage",
            lambda pictures: [pair.name for pair in planned_damages(pictures, look)],
            lambda pictures, on_pair: make_damaged_pairs(pictures, made, look, on_pair=on_pair),
        )
        source = PlateSource(plates, frames, input_space)
        with joined_processes(run.process, options.device) as device:
            if make_pairs_on_first(source, made, damage, run.reporter, run.interrupts):
                pairs = load_pairs(made / "before", made / "after")
                train_style(run, input_of_pairs(pairs, recipe, StartStyles(), (options.style_name,)), recipe, device)
