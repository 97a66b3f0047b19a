"""`impasto drive`: an animation file of parameters that follow sound, a table, markers or notes; and `--drive`."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from impasto.core.errors import OutputExists
from impasto.hosts.terminal.printer import say, say_aside
from impasto.hosts.terminal.shared_options import Rate

if TYPE_CHECKING:
    from impasto.core.animation import Animation

DRIVER = "PARAMETER=SOURCE:FEATURE*GAIN+OFFSET"


def drive(
    shot: Annotated[str, typer.Argument(metavar="SHOT", help="The movie or the sequence whose frames it is for.")],
    drivers: Annotated[list[str], typer.Argument(metavar=DRIVER, help="For example stroke=audio:bass*1.5+0.6.")],
    output: Annotated[str, typer.Option("--output", "-o", metavar="FILE.json", help="The animation file.")],
    sound: Annotated[
        str | None, typer.Option("--sound", metavar="PATH", help="Sound in the place of the shot's own.")
    ] = None,
    rate: Rate = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
) -> None:
    """Write an animation of parameters that follow sound.

    A parameter becomes FEATURE * GAIN + OFFSET on every frame, FEATURE being from 0 to 1, held within the parameter's
    range. SOURCE is audio, the shot's own sound, or a file. Sound has loudness, level, bass, mid, treble and onset;
    table.csv its columns, by a first column named frame or seconds; cut.otio has markers, or those of a name or
    colour; song.mid has notes, note60, cc1.

    `impasto render --animate FILE.json` takes the file, and so do hosts; `impasto render --drive` does both at once.
    """
    from impasto.core.media.commit import output_error

    if os.path.lexists(output) and not overwrite:
        raise OutputExists(f"expected a new file, got '{output}', which exists; name another, or add --overwrite")
    animation = driven_by(drivers, shot, rate, sound, lambda text: say_aside(f"note: {text}"))
    try:
        with open(output, "w", encoding="utf-8") as file:
            file.write(animation_text(animation))
    except OSError as error:
        raise output_error(output, error) from error
    for track in animation.tracks:
        say(f"{output}: {track.name} from {min(track.values):g} to {max(track.values):g} on {len(track.frames)} frames")


def driven_by(
    drivers: Sequence[str], shot: str, rate: str | None, sound: str | None, note: Callable[[str], None]
) -> Animation:
    """The animation that drivers, as they are typed, make of a shot; what an artist should know goes to `note`.

    Raises as `driven` and `Driver.parse`.
    """
    from impasto.core.drive.driven import driven
    from impasto.core.drive.expression import Driver
    from impasto.core.media.frame_rate import require_rate

    found = driven([Driver.parse(each) for each in drivers], shot, rate=require_rate(rate or ""), sound=sound or "")
    for text in found.notes:
        note(text)
    return found.animation


def animation_text(animation: Animation) -> str:
    """The animation as the file behind `--animate`."""
    tracks = {
        track.name: {str(frame): value for frame, value in zip(track.frames, track.values, strict=True)}
        for track in animation.tracks
    }
    return json.dumps(tracks, indent=1) + "\n"
