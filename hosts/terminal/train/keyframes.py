"""`impasto train keyframes`: a style of one shot from a few painted frames of it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Final

import typer

from impasto.core.errors import UsageError
from impasto.hosts.events import RunWarning
from impasto.hosts.terminal.paint.options import KEY_COUNT, KeyCount, PaintColour, PainterWishes, Stroke
from impasto.hosts.terminal.printer import counted
from impasto.hosts.terminal.shared_options import flattened
from impasto.hosts.terminal.train.options import Guides, InputSpace, RunOptions
from impasto.hosts.terminal.train.run import device_text, joined_processes, open_run
from impasto.hosts.terminal.train.run_folder import require_folder

CARRY: Final[Mapping[str, bool | None]] = {"auto": None, "on": True, "off": False}
"""Choices of --carry; None finds out from the keys."""


@flattened
def keyframes(
    plates: Annotated[str, typer.Option("--plates", metavar="SHOT", help="The shot: a movie, a sequence or a folder.")],
    options: RunOptions,
    keys: Annotated[
        Path | None,
        typer.Option("--keys", metavar="DIR", help="Folder of painted frames, named by their frame's number."),
    ] = None,
    painting: Annotated[
        Path | None,
        typer.Option("--painting", metavar="FILE", help="Instead of keys: paint some in the way of this painting."),
    ] = None,
    key_count: KeyCount = KEY_COUNT,
    stroke: Stroke = 1.0,
    colour: PaintColour = 0.75,
    masks: Annotated[
        Path | None,
        typer.Option("--masks", metavar="DIR", help="Folder of masks by the same numbers: black is not painted."),
    ] = None,
    carry: Annotated[
        str,
        typer.Option(
            "--carry",
            metavar="auto|on|off",
            help="Whether the keys' own strokes go along with what moves. auto: those of a hand, and of --painting.",
        ),
    ] = "auto",
    guides: Guides = None,
    input_space: InputSpace = None,
) -> None:
    """Train a style on one to five painted frames of a shot.

    Paint over single frames of the shot and name each picture by the number of its frame: hero.0012.png
    for frame 12 (movies count from 1). Every ten seconds hero.safetensors is written anew, so that a server that
    watches its folder renders with it at once, and hero.run/preview.png shows unpainted frames, plate and
    result. Ctrl-C ends the training and keeps the best so far; --resume goes on from there.

    With --painting it chooses the frames and paints them itself, see `impasto paint`; they lie in hero.run/keys.

    A style that was trained with --guides wants the same layers of every frame that it paints: see `impasto render`.
    """
    if (keys is None) == (painting is None):
        raise UsageError(
            f"expected --keys or --painting, got {'neither' if keys is None else 'both'}; give one of them"
        )
    if carry not in CARRY:
        raise UsageError(f"expected --carry as {', '.join(CARRY)}, got '{carry}'; leave it at auto")
    with open_run(options) as run:
        if keys is not None:
            require_folder(keys, "--keys")
        if masks is not None:
            require_folder(masks, "--masks")
        from impasto.hosts.terminal.train.painted_keys import painted_on_first
        from impasto.training import loop
        from impasto.training.data.guides import GuideSpec
        from impasto.training.data.keyframes import load_keyframes
        from impasto.training.objectives.keyframes import RECIPE, complete, hold_out, task_for
        from impasto.training.task import Schedule
        from impasto.training.tracking import trackers

        process, show = run.process, run.reporter.show
        recipe, output, label = options.recipe(RECIPE), options.output, options.label()
        wishes = [GuideSpec.parse(each) for each in guides or ()]
        with joined_processes(process, options.device) as device:
            if painting is not None:
                keys = run.folder / "keys"
                painter = PainterWishes(painting, stroke, colour, recipe.seed, input_space)
                if not painted_on_first(keys, plates, key_count, painter, run):
                    return
            assert keys is not None
            by_hand = True if painting is not None and carry == "auto" else CARRY[carry]
            painted = load_keyframes(plates, keys, masks, input_space=input_space, guides=wishes, by_hand=by_hand)
            for note in painted.notes:
                show(RunWarning(note))
            text = f"{counted(len(painted.keys), 'key')} on {device_text(device, process.size)}"
            show(RunWarning(f"{text}; what it looks like is in {run.preview}"))
            if painted.wanted is not None:
                show(RunWarning(f"another key would help most on frame {painted.wanted}"))
            with trackers(run.folder, wandb=options.wandb) if process.leads else nullcontext(()) as followed:
                split = hold_out(painted, recipe.seed)
                trained = loop.run(
                    task_for(split, recipe, output, label),
                    recipe,
                    Schedule(
                        run.folder, preview_s=10.0, checkpoint_s=20.0, resume=run.resume, device=device,
                        trackers=followed,
                    ),
                    on_progress=run.show_progress,
                    stopped=run.interrupts.asked,
                )  # fmt: skip
            if process.leads and trained.steps:
                if split.followed.frames:
                    show(RunWarning(f"the keys' strokes are carried to {counted(len(split.followed.frames), 'frame')}"))
                for note in complete(trained, split, recipe, output, label, run.folder):
                    show(RunWarning(note))
        run.show_end(trained)
