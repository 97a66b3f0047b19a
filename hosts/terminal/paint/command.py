"""`impasto paint`: frames painted in the way of a painting, as keys for `impasto train keyframes`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from impasto.core.errors import UsageError
from impasto.hosts.events import RunCancelled, RunFinished
from impasto.hosts.terminal.exit_codes import INTERRUPTED
from impasto.hosts.terminal.interrupts import Interrupts
from impasto.hosts.terminal.paint.options import KEY_COUNT, KeyCount, PaintColour, PainterWishes, Stroke
from impasto.hosts.terminal.process_setup import prepare_process
from impasto.hosts.terminal.report import reporter_for
from impasto.hosts.terminal.shared_options import Json, Overwrite


def paint(
    plates: Annotated[
        list[str], typer.Argument(metavar="PLATE...", help="Pictures, a movie, a sequence, or folders of pictures.")
    ],
    painting: Annotated[Path, typer.Option("--painting", metavar="FILE", help="The picture whose paint is used.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="Folder for the painted frames.")],
    frames: Annotated[
        str | None, typer.Option("--frames", metavar="LIST", help="Frames of the shot to paint: 1,40,90 or 1-90x30.")
    ] = None,
    key_count: KeyCount = KEY_COUNT,
    stroke: Stroke = 1.0,
    colour: PaintColour = 0.75,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Where chance begins.")] = 0,
    input_space: Annotated[
        str | None, typer.Option("--input-space", metavar="NAME", help="Colour space of float plates that do not say.")
    ] = None,
    overwrite: Overwrite = False,
    json: Json = False,
) -> None:
    """Paint frames in the way of a painting.

    Every stroke is a piece of the painting itself, turned along the forms of the plate and brought to its colours;
    broad strokes first, fine ones where a face or a letter wants them. All plates of a call share one map of colours,
    and within a shot each frame begins with the strokes of the one before, moved along with what they paint. The
    pictures are keys for `impasto train keyframes`: paint over them, or train on them as they are.
    """
    with reporter_for(json=json) as reporter, Interrupts("" if json else "stopping after this picture") as interrupts:
        prepare_process()
        from impasto.hosts.terminal.paint.key_painting import KeyPlan, paint_into, shots_of

        begun = time.monotonic()
        shots = shots_of(plates)
        wishes = PainterWishes(painting, stroke, colour, seed, input_space)
        if frames is not None and len(shots) > 1:
            raise UsageError(f"expected --frames with one movie or sequence, got {len(shots)} plates; name one of them")
        from impasto.hosts.terminal.paint.frame_choice import asked_frames, chosen_of

        chosen = {0: asked_frames(frames, shots[0])} if frames is not None else chosen_of(shots, key_count, input_space)
        done = paint_into(KeyPlan(output, shots, chosen, overwrite), wishes, reporter, interrupts)
        seconds = round(time.monotonic() - begun, 1)
        if interrupts.asked():
            reporter.show(RunCancelled(str(output), len(done), seconds))
        else:
            reporter.show(RunFinished(str(output), len(done), seconds=seconds, fps=round(len(done) / seconds, 3)))
    if interrupts.asked():
        raise typer.Exit(INTERRUPTED)
