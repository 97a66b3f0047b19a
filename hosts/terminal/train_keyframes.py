"""`impasto train keyframes`: a style of one shot from a few painted frames of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from impasto.core.errors import UsageError
from impasto.hosts.terminal.events import Cancelled, Finished, Warned
from impasto.hosts.terminal.exit_codes import INTERRUPTED
from impasto.hosts.terminal.interrupts import Interrupts
from impasto.hosts.terminal.process import prepare_process
from impasto.hosts.terminal.report import counted, reporter_for
from impasto.hosts.terminal.train import for_folder, run_folder, stop_notice, tell


def keyframes(
    plates: Annotated[str, typer.Option("--plates", metavar="SHOT", help="The shot: a movie, a sequence or a folder.")],
    keys: Annotated[
        Path, typer.Option("--keys", metavar="DIR", help="Folder of painted frames, named by their frame's number.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="The style: a .safetensors file.")],
    masks: Annotated[
        Path | None,
        typer.Option("--masks", metavar="DIR", help="Folder of masks by the same numbers: black is not painted."),
    ] = None,
    size: Annotated[
        str | None, typer.Option("--size", metavar="draft|standard|fine", help="How large a network.")
    ] = None,
    minutes: Annotated[float | None, typer.Option("--minutes", help="How long to train.")] = None,
    steps: Annotated[int | None, typer.Option("--steps", help="How many steps to train, instead of minutes.")] = None,
    crop: Annotated[
        int | None, typer.Option("--crop", help="Side of the crops that it learns from, in pixels.")
    ] = None,
    batch: Annotated[int | None, typer.Option("--batch", help="Crops in a step.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Where chance begins.")] = None,
    input_space: Annotated[
        str | None,
        typer.Option("--input-space", metavar="NAME", help="Colour space of float plates and keys that do not say."),
    ] = None,
    device: Annotated[str, typer.Option("--device", metavar="auto|cpu|cuda:N|mps", help="Where it trains.")] = "auto",
    resume: Annotated[bool, typer.Option("--resume", help="Go on where the run beside FILE stopped.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a style and a run that are there.")] = False,
    name: Annotated[str | None, typer.Option("--name", help="Name of the style; by default that of the file.")] = None,
    title: Annotated[str, typer.Option("--title", help="What artists read in lists.")] = "",
    description: Annotated[str, typer.Option("--description", help="One sentence on how it paints.")] = "",
    licence: Annotated[str, typer.Option("--licence", help="Licence of the style, as an SPDX name.")] = "unstated",
    credit: Annotated[list[str] | None, typer.Option("--credit", help="Who painted the keys; repeatable.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line for programs.")] = False,
) -> None:
    """Train a style on one to five painted frames of a shot.

    Paint over single frames of the shot and name each picture by the number of its frame: hero.0012.png
    for frame 12 (movies count from 1). Every ten seconds hero.safetensors is written anew, so that a server that
    watches its folder renders with it at once, and hero.run/preview.png shows unpainted frames, plate and
    result. Ctrl-C ends the training and keeps the best so far; --resume goes on from there.
    """
    with reporter_for(json=json) as reporter, Interrupts(stop_notice(json=json)) as interrupts:
        folder = run_folder(output, resume=resume, overwrite=overwrite)
        if minutes is not None and steps is not None:
            raise UsageError("expected --minutes or --steps, got both; give one of them")
        for_folder(keys, "--keys")
        if masks is not None:
            for_folder(masks, "--masks")
        prepare_process()
        from impasto.core.engine import choose_device
        from impasto.training.data.keyframes import load_keyframes
        from impasto.training.export import Label
        from impasto.training.loop import Schedule, run
        from impasto.training.objectives.keyframes import RECIPE, prepare, task_for
        from impasto.training.recipe import recipe_from

        settings = {"size": size, "minutes": minutes, "steps": steps, "crop": crop, "batch": batch, "seed": seed}
        if steps is not None:
            settings["minutes"] = 0.0
        recipe = recipe_from({key: value for key, value in settings.items() if value is not None}, RECIPE)
        chosen = choose_device(device)
        painted = load_keyframes(plates, keys, masks, input_space=input_space)
        for note in painted.notes:
            reporter.show(Warned(note))
        reporter.show(
            Warned(
                f"{counted(len(painted.keys), 'key')} on {chosen}; what it looks like is in {folder / 'preview.png'}"
            )
        )
        if painted.wanted is not None:
            reporter.show(Warned(f"another key would help most on frame {painted.wanted}"))
        label = Label(name or output.stem, title, description, licence, tuple(credit or ()))
        trained = run(
            task_for(prepare(painted, recipe.seed), recipe, output, label),
            recipe,
            Schedule(folder, preview_s=10.0, checkpoint_s=20.0, resume=resume, device=chosen),
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
