"""`impasto submit`: a shot, or a list of them, for many machines."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from impasto.core.errors import UsageError
from impasto.hosts.events import JobWritten, RunFinished
from impasto.hosts.terminal.exit_codes import INTERRUPTED
from impasto.hosts.terminal.farm.render_options import with_render_options
from impasto.hosts.terminal.interrupts import Interrupts
from impasto.hosts.terminal.printer import counted, emit, say
from impasto.hosts.terminal.shared_options import Json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from impasto.hosts.farm.bundle import Bundle
    from impasto.hosts.terminal.farm.shot_bundle import PreparedShot

LEFT_OUT = ("overwrite", "resume", "local", "server", "server_key", "encoder_speed", "sound", "no_cache")
TARGETS = ("openjd", "local", "ray")


@with_render_options(*LEFT_OUT)
def submit(
    plates: Annotated[str | None, typer.Argument(metavar="PLATES", help="As the input of `impasto render`.")] = None,
    output: Annotated[
        str | None, typer.Argument(metavar="OUT", help="A sequence: painted.####.exr or a folder.")
    ] = None,
    shots: Annotated[
        str | None,
        typer.Option(
            "--shots",
            metavar="LIST.csv|.json",
            help="Many shots: one a row, with columns plates and out, and any option of the look, as strength.",
        ),
    ] = None,
    chunk: Annotated[
        str, typer.Option("--chunk", metavar="auto|N", help="Frames in a task. Farms that measure adapt auto.")
    ] = "auto",
    to: Annotated[
        str,
        typer.Option(
            "--to", metavar="openjd|local|ray", help="Write a job bundle; local, ray: and run it here, on a cluster."
        ),
    ] = "openjd",
    job: Annotated[
        str | None, typer.Option("--job", metavar="DIR", help="Where the bundle goes; OUT's folder with .job behind.")
    ] = None,
    movie: Annotated[
        str | None, typer.Option("--movie", metavar="PATH", help="A movie of the result, as a last step.")
    ] = None,
    attempts: Annotated[int, typer.Option("--attempts", min=1, max=100, help="At each chunk.")] = 3,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the template and write nothing.")] = False,
    json: Json = False,
    **options: Any,
) -> None:
    """Hand a shot to a farm, or run it here as a farm would.

    Writes a job bundle of Open Job Description: the template, where files are, and the style. `deadline bundle submit`
    and `openjd run` take it, and whoever runs the farm may read and edit it. Each task renders a chunk with --resume,
    so a farm may try it again and run it twice; a last step verifies every frame. Submit again for what is missing.
    """
    from impasto.hosts.terminal.farm.shot_bundle import prepared, read_shots

    if to not in TARGETS:
        raise UsageError(f"expected --to as {', '.join(TARGETS)}, got '{to}'; leave it out for a job bundle")
    if (shots is None) == (plates is None) or (plates is None) != (output is None):
        raise UsageError("expected PLATES and OUT, or --shots with a list of them; give one of the two")
    if shots is not None and (job is not None or movie is not None):
        raise UsageError("expected columns 'job' and 'movie' in the list of --shots instead of --job and --movie")
    given = {**options, "plates": plates, "out": output, "job": job, "movie": movie}
    rows = [given] if shots is None else [{**options, **row} for row in read_shots(shots)]
    with contextlib.ExitStack() as stack:
        if to == "ray" and not dry_run:
            rows = _on_cluster(rows, stack)
        each_of = [prepared(row, chunk=chunk, attempts=attempts, fixed_precision=to != "local") for row in rows]
        _submit(each_of, to, dry_run=dry_run, json=json)


def _on_cluster(rows: list[dict[str, Any]], stack: contextlib.ExitStack) -> list[dict[str, Any]]:
    """Connect to the cluster until the stack ends, and settle for each shot whether GPUs or processors paint it."""
    import ray  # noqa: F401  # an extra that is not installed is told before anything else

    from impasto.hosts.farm.ray import connected, has_gpus

    for row in rows:
        if row.get("device") not in (None, "auto", "cpu"):
            raise UsageError(f"expected --device auto or cpu on a cluster, got '{row['device']}'; Ray chooses the GPU")
    stack.enter_context(connected())
    return rows if has_gpus() else [{**row, "device": "cpu"} for row in rows]


def _submit(each_of: Sequence[PreparedShot], to: str, *, dry_run: bool, json: bool) -> None:
    from impasto.hosts.terminal.farm.shot_bundle import written

    if dry_run:
        import yaml

        from impasto.hosts.farm.template import template_of

        for shot in each_of:
            say(f"# {shot.folder}/template.yaml")
            for line in yaml.safe_dump(template_of(shot.template), sort_keys=False, allow_unicode=True).splitlines():
                say(line)
        return
    bundles = [written(shot) for shot in each_of]
    for shot, bundle in zip(each_of, bundles, strict=True):
        if json or to == "openjd":
            _tell(shot, bundle, json=json)
    if to == "openjd":
        if json:
            emit(RunFinished(bundles[-1].shot.output.value, 0))
        return
    from impasto.hosts.terminal.farm.local_run import run_here, run_on_cluster

    run = run_on_cluster if to == "ray" else run_here
    with Interrupts("" if json else "stopping; press Ctrl-C again to quit at once") as interrupts:
        for shot, bundle in zip(each_of, bundles, strict=True):
            if not run(shot, bundle, stopped=interrupts.asked, json=json):
                raise typer.Exit(INTERRUPTED)


def _tell(shot: PreparedShot, bundle: Bundle, *, json: bool) -> None:
    template = bundle.shot
    result = str(Path(template.output.value, template.output.name))
    if json:
        emit(JobWritten(
            shot.job.id, str(bundle.folder), result, len(shot.numbers), template.chunk, bundle.commands, bundle.task
        ))  # fmt: skip
        return
    say(f"job {shot.job.id}: {counted(len(shot.numbers), 'frame')} of {result}, {template.chunk} in a task")
    say(f"its bundle is {bundle.folder}; hand it to a farm, or run it here:")
    for command in bundle.commands:
        say(f"  {command}")
    say("one task, for farms of other kinds:")
    say(f"  {bundle.task}")
