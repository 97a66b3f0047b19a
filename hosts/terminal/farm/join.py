"""`impasto join`: a movie of painted frames."""

from __future__ import annotations

from typing import Annotated

import typer

from impasto.core.errors import UsageError
from impasto.hosts.terminal.farm.render_options import Output
from impasto.hosts.terminal.shared_options import EncoderSpeed, Json, Overwrite

UNCHANGED = "identity"
"""The style that gives every picture back as it is."""


def join(
    output: Annotated[str, Output],
    movie: Annotated[str, typer.Argument(metavar="MOVIE", help="The movie, its kind by its extension.")],
    sound: Annotated[
        str | None,
        typer.Option("--sound", metavar="PATH", help="A file with sound, which begins with the first frame."),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option("--against", metavar="PLATES", help="The movie that was painted: its sound, rate and timecode."),
    ] = None,
    frames: Annotated[str | None, typer.Option("--frames", metavar="A-B", help="These frames alone.")] = None,
    rate: Annotated[
        str | None, typer.Option("--rate", metavar="FPS", help="Frames per second of pictures that do not say.")
    ] = None,
    output_space: Annotated[
        str | None, typer.Option("--output-space", metavar="NAME", help="Colour space of the movie.")
    ] = None,
    encoder_speed: EncoderSpeed = "auto",
    overwrite: Overwrite = False,
    local: Annotated[bool, typer.Option("--local", help="Work in this process, without the server.")] = False,
    json: Json = False,
) -> None:
    """Make a movie of painted frames, with sound and timecode.

    It is `impasto render OUT MOVIE` with a style that changes nothing. Frames that were painted from a movie get its
    sound where it was; pictures keep the timecode that they bear.
    """
    from impasto.core.media.open import is_movie
    from impasto.hosts.terminal.render.command import render

    if sound is not None and against is not None and is_movie(against):
        raise UsageError("expected --sound or --against with a movie, got both; give one of them")
    if not is_movie(movie):
        raise UsageError(f"expected a movie such as painted.mov, got '{movie}'; choose another extension")
    if sound is None and against is not None and is_movie(against):
        sound = against
    render(
        output, movie, style=UNCHANGED, frames=frames, sound=sound, rate=rate, output_space=output_space,
        encoder_speed=encoder_speed, overwrite=overwrite, local=local, json=json,
    )  # fmt: skip
