"""`impasto train domains`: a style from two folders whose pictures do not belong together."""

from __future__ import annotations

from typing import Annotated

import typer

from impasto.hosts.terminal.printer import counted
from impasto.hosts.terminal.shared_options import flattened
from impasto.hosts.terminal.train.options import Frames, InputSpace, RunOptions
from impasto.hosts.terminal.train.run import joined_processes, open_run
from impasto.hosts.terminal.train.training_input import TrainingInput, train_style


@flattened
def domains(
    plates: Annotated[str, typer.Option("--from", metavar="PATH", help="Plates: a folder, a movie or a sequence.")],
    wanted: Annotated[
        str, typer.Option("--to", metavar="PATH", help="Pictures that look as they should: the same kinds.")
    ],
    options: RunOptions,
    adversarial_form: Annotated[
        str | None,
        typer.Option("--adversarial-form", metavar="hinge|lsgan|wgan-gp", help="Form of the adversarial loss."),
    ] = None,
    frames: Frames = None,
    input_space: InputSpace = None,
) -> None:
    """Train a style on two unpaired folders: plates, and pictures that look as plates should.

    A critic learns what tells the second folder from painted plates, and the network to leave it nothing to tell, while
    every place must still show what the plate shows there. Colour, light and texture come over; strokes want painted
    pictures (`painting`, `pairs`, `keyframes`).
    """
    with open_run(options) as run:
        from impasto.training.data.domains import load_domains
        from impasto.training.data.pictures import as_float
        from impasto.training.data.shots import FRAMES
        from impasto.training.objectives.domains import RECIPE, task_for

        recipe = options.recipe(RECIPE, adversarial_form=adversarial_form)
        count = FRAMES if frames is None else frames
        both = load_domains(plates, wanted, frames=count, input_space=input_space, on_note=run.note)
        given = TrainingInput(
            task_for(both, recipe),
            f"{counted(len(both.plates), 'plate')} and {counted(len(both.wanted), 'picture')}",
            len(both.plates) + len(both.wanted),
            as_float(both.plates[len(both.plates) // 2]),
        )
        with joined_processes(run.process, options.device) as device:
            train_style(run, given, recipe, device)
