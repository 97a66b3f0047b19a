"""`impasto train pairs`: a style from before and after pictures, or from another style."""

from __future__ import annotations

from typing import Annotated

import typer

from impasto.core.errors import UsageError
from impasto.hosts.terminal.shared_options import flattened
from impasto.hosts.terminal.train.options import Adapt, DistilFrom, Frames, InputSpace, Masks, RunOptions
from impasto.hosts.terminal.train.run import joined_processes, open_run
from impasto.hosts.terminal.train.run_folder import require_pictures
from impasto.hosts.terminal.train.training_input import input_of_pairs, start_styles, train_style


@flattened
def pairs(
    before: Annotated[str, typer.Option("--before", metavar="PATH", help="Plates: a folder, a movie or a sequence.")],
    options: RunOptions,
    after: Annotated[
        str | None, typer.Option("--after", metavar="PATH", help="The same painted, by the same names or numbers.")
    ] = None,
    masks: Masks = None,
    frames: Frames = None,
    input_space: InputSpace = None,
    distil_from: DistilFrom = None,
    adapt: Adapt = None,
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
    with open_run(options) as run:
        require_pictures(before, "--before")
        if (after is None) == (not distil_from):
            raise UsageError("expected --after or --distil-from; give the one from which the style is to be learned")
        if after is not None:
            require_pictures(after, "--after")
        if masks is not None:
            require_pictures(masks, "--masks")
            if after is None:
                raise UsageError("expected --masks with --after, got them with --distil-from; leave them out")
        from impasto.training.data.pairs import load_pairs
        from impasto.training.data.shots import FRAMES
        from impasto.training.recipe import Recipe
        from impasto.training.teachers.distillation import plates_alone

        start = start_styles(distil_from, adapt, options.size)
        recipe = start.recipe(options.recipe(Recipe()))
        count = FRAMES if frames is None else frames
        if after is None:
            pictures = plates_alone(before, frames=count, input_space=input_space, on_note=run.note)
        else:
            pictures = load_pairs(before, after, masks, frames=count, input_space=input_space, on_note=run.note)
        with joined_processes(run.process, options.device) as device:
            train_style(run, input_of_pairs(pictures, recipe, start, (options.style_name,)), recipe, device)
