"""`impasto verify`: is a result complete, whole, and what was asked for."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from impasto.core.errors import OutputError
from impasto.hosts.events import RunFinished, RunWarning, ShotChecked
from impasto.hosts.terminal.farm.render_options import (
    OF_THE_RUN,
    Output,
    job_options,
    runs_of,
    with_look,
    with_render_options,
)
from impasto.hosts.terminal.printer import counted, emit, say, say_aside
from impasto.hosts.terminal.shared_options import Json

SHOWN = 40
WORDS = {"missing": "missing", "torn": "torn", "stale": "stale", "look": "of another look"}


@with_render_options(*OF_THE_RUN)
def verify(
    output: Annotated[str, Output],
    against: Annotated[str, typer.Option("--against", metavar="PLATES", help="What it was painted from.")],
    json: Json = False,
    **options: Any,
) -> None:
    """Say which frames of a result are missing, torn, stale or of another look.

    Give the options that the frames were rendered with. Every frame is decoded to its end and nothing is changed. Ends
    with exit code 4 where a frame is not what was asked for; rendering again with --resume mends it.
    """
    from impasto.core.style_file import find_style, read_card
    from impasto.hosts.farm.job_file import read_farm_job, require_same
    from impasto.hosts.terminal.render.job import job_from
    from impasto.hosts.terminal.style.listing import default_style
    from impasto.server.shots.verification import verify_shot

    options = with_look(options)
    if options.get("job") is not None:
        require_same(read_farm_job(options["job"]), input=against, output=output, style=options.get("style") or "")
    job = job_from(input=against, output=output, **job_options(options))
    found = verify_shot(job, read_card(find_style(job.look.style or default_style())), runs_of(options))
    numbers = {kind: tuple(each.number for each in found.faults if each.kind == kind) for kind in WORDS}
    reasons = {str(each.number): each.what for each in found.faults}
    checked = ShotChecked(
        found.output, found.frames, numbers["missing"], numbers["torn"], numbers["stale"], numbers["look"], reasons
    )
    if json:
        for note in found.notes:
            emit(RunWarning(note))
        emit(checked)
    else:
        for note in found.notes:
            say_aside(f"note: {note}")
        for each in found.faults[:SHOWN]:
            say(f"{each.number}: {WORDS[each.kind]}: {each.what}")
        if len(found.faults) > SHOWN:
            say(f"… and {len(found.faults) - SHOWN} more; --json lists all")
    if found.faults:
        told = ", ".join(f"{len(each)} {WORDS[kind]}" for kind, each in numbers.items() if each)
        raise OutputError(
            f"expected {counted(found.frames, 'frame')} of '{found.output}' as asked, found {told}; render again with "
            "--resume"
        )
    if json:
        emit(RunFinished(found.output, found.frames))
    else:
        say(f"{found.output}: all {counted(found.frames, 'frame')} are there, whole and as asked")
