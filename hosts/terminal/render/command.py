"""`impasto render`: a shot in, a painted shot out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from impasto.core.errors import UsageError
from impasto.hosts.terminal.controls import with_controls
from impasto.hosts.terminal.exit_codes import INTERRUPTED
from impasto.hosts.terminal.interrupts import Interrupts
from impasto.hosts.terminal.shared_options import EncoderSpeed, Fields, KeysQuality, Preset, Projection, Rate, Stereo

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from impasto.core.media.shot import FrameRange
    from impasto.hosts.events import Event
    from impasto.hosts.terminal.report import Reporter
    from impasto.server.protocol.messages import ShotJob

CLIENT = "impasto render"


@with_controls
def render(
    input: Annotated[
        str, typer.Argument(metavar="INPUT", help="A movie, a still, plate.####.exr, a folder, camera:0, or a stream.")
    ],
    output: Annotated[
        str, typer.Argument(metavar="OUTPUT", help="A movie by its extension, a still, painted.####.exr, or a folder.")
    ],
    style: Annotated[
        str | None,
        typer.Option(
            "--style",
            help="Name or .safetensors file; `impasto styles` lists the names. NAME@A, NAME@A=0.7+B=0.3: of several.",
        ),
    ] = None,
    preset: Preset = None,
    frames: Annotated[
        str | None, typer.Option("--frames", metavar="LIST", help="These frames alone: A-B, A-BxN, A,B,C.")
    ] = None,
    matte: Annotated[
        str | None,
        typer.Option("--matte", metavar="PATH", help="Strength per pixel: a still, or numbered like the shot."),
    ] = None,
    guides: Annotated[
        list[str] | None,
        typer.Option(
            "--guides",
            metavar="PATH",
            help="Pictures, numbered like the shot, with the layers that the style was trained with and the plate "
            "lacks; repeatable.",
        ),
    ] = None,
    motion: Annotated[
        str | None,
        typer.Option(
            "--motion",
            metavar="PATH:LAYER[=CONVENTION]",
            help="A renderer's motion vectors, numbered like the shot, by which the painted keys of a style follow it; "
            ":LAYER is one of the plates. X, Y, Z, W are read as Blender's, forward and backward as Nuke's, other u, v "
            "and X, Y as pixels to the next frame, y upwards. CONVENTION: blender, nuke, next, next-down, previous, "
            "previous-down, since or since-down.",
        ),
    ] = None,
    layer: Annotated[str | None, typer.Option("--layer", metavar="NAME", help="The layer to paint.")] = None,
    input_space: Annotated[
        str | None, typer.Option("--input-space", metavar="NAME", help="Colour space of the input.")
    ] = None,
    output_space: Annotated[
        str | None, typer.Option("--output-space", metavar="NAME", help="Colour space of the output.")
    ] = None,
    tile: Annotated[str, typer.Option("--tile", metavar="auto|off|N", help="Work in tiles of N pixels.")] = "auto",
    precision: Annotated[
        str, typer.Option("--precision", metavar="auto|float32|float16|bfloat16", help="What the network counts in.")
    ] = "auto",
    device: Annotated[
        str, typer.Option("--device", metavar="auto|cpu|cuda:N|mps", help="Where the network runs.")
    ] = "auto",
    animate: Annotated[
        str | None,
        typer.Option(
            "--animate",
            metavar="FILE.json",
            help="Parameters that change over the shot, as values by frame number: "
            '{"strength": {"1001": 0.2, "1100": 1.0}}. Between two frames a value goes in a straight line, before the '
            "first and after the last it stays.",
        ),
    ] = None,
    drive: Annotated[
        list[str] | None,
        typer.Option(
            "--drive",
            metavar="PARAMETER=SOURCE:FEATURE*GAIN+OFFSET",
            help="A parameter that follows sound (stroke=audio:bass*1.5+0.6), a table, markers or notes; see `impasto "
            "drive --help`. Repeatable.",
        ),
    ] = None,
    rate: Rate = None,
    sound: Annotated[
        str | None,
        typer.Option(
            "--sound",
            metavar="PATH",
            help="A file, or the plates' movie, whose sound a movie of pictures gets, and that --drive follows.",
        ),
    ] = None,
    encoder_speed: EncoderSpeed = "auto",
    smoothing: Annotated[
        float,
        typer.Option(
            "--smoothing",
            min=0,
            max=1,
            help="Calms strokes that boil: each frame takes the paint that two frames before and two after agree on. "
            "0.7 is much. A frame takes two to three times as long.",
        ),
    ] = 0.0,
    keys_quality: KeysQuality = "standard",
    keys_map: Annotated[
        bool,
        typer.Option(
            "--keys-map", help="Add a layer 'invented' to EXR: where the paint comes from no painted key, 0 to 1."
        ),
    ] = False,
    projection: Projection = "auto",
    stereo: Stereo = "auto",
    fields: Fields = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Keep frames that an earlier run made of the same plate with the same settings."),
    ] = False,
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Paint every frame, also one that `impasto cache` has, and keep none.")
    ] = False,
    job: Annotated[
        str | None,
        typer.Option("--job", metavar="JOB.json", help="The farm job that this is a part of; from `impasto submit`."),
    ] = None,
    local: Annotated[bool, typer.Option("--local", help="Render in this process, without the server.")] = False,
    server: Annotated[
        str | None,
        typer.Option("--server", metavar="tcp://HOST:PORT", help="A server on another machine; paths are ROOT:path."),
    ] = None,
    server_key: Annotated[
        str | None, typer.Option("--server-key", metavar="KEY", help="Its public key; see `impasto auth trust`.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line for programs.")] = False,
    **controls: Any,
) -> None:
    """Paint a shot with a style.

    Linear and log pictures become display-encoded in a movie, movies become scene-linear in EXR; otherwise
    the result has the colours, depth, windows, layers and attributes of the input. Parameters that
    are not given are those of the style.

    With --resume a sequence that was rendered before is brought up to date: frames whose plate, style and settings are
    still the same stay, all others are rendered again.

    The server renders: it is started where none runs, keeps the style ready for the next shot, and leaves
    after a quarter of an hour without work.
    """
    from impasto.core.media.frame_list import parse_frame_list
    from impasto.hosts.events import RunWarning
    from impasto.hosts.farm.job_file import read_farm_job, require_same
    from impasto.hosts.terminal.render.job import job_from
    from impasto.hosts.terminal.render.preset import with_preset
    from impasto.hosts.terminal.report import reporter_for

    farm_job = None if job is None else read_farm_job(job)
    with reporter_for(json=json, farm=job is not None) as reporter, Interrupts(_notice(json=json)) as interrupts:
        style, looks = with_preset(preset, style, controls)
        if farm_job is not None:
            require_same(farm_job, input=input, output=output, style=style or "")
        shot = job_from(
            input=input,
            output=output,
            style=style,
            frames=frames,
            matte=matte,
            guides=tuple(guides or ()),
            motion=motion,
            layer=layer,
            input_space=input_space,
            output_space=output_space,
            tile=tile,
            precision=precision,
            device=device,
            animate=animate,
            drive=tuple(drive or ()),
            rate=rate,
            sound=sound,
            encoder_speed=encoder_speed,
            smoothing=smoothing,
            keys_quality=keys_quality,
            keys_map=keys_map,
            projection=projection,
            stereo=stereo,
            fields=fields,
            overwrite=overwrite,
            resume=resume,
            cache=not no_cache,
            farm_job="" if farm_job is None else farm_job.id,
            note=lambda text: reporter.show(RunWarning(text)),
            controls=looks,
        )
        if local and server is not None:
            raise UsageError("expected --local or --server, got both; give one of them")
        runs = () if frames is None else parse_frame_list(frames)
        if local:
            finished = _here(shot, runs, reporter, interrupts.asked)
        else:
            finished = _there(shot, runs, reporter, interrupts.asked, server, server_key)
    if not finished:
        raise typer.Exit(INTERRUPTED)


def _here(job: ShotJob, runs: Sequence[FrameRange], reporter: Reporter, cancelled: Callable[[], bool]) -> bool:
    from impasto.core.media.open import is_live
    from impasto.core.style_file import find_style, read_card
    from impasto.hosts.terminal.render.frame_runs import render_runs
    from impasto.hosts.terminal.render.local import lazy_engine, render_here
    from impasto.hosts.terminal.render.run_events import RunEvents
    from impasto.hosts.terminal.style.listing import default_style
    from impasto.server.protocol.messages import Cancelled

    path = find_style(job.look.style or default_style())
    card = read_card(path)
    # No frame of a camera or a stream comes twice.
    look = replace(job.look, cache=False) if is_live(job.input) else job.look
    painter = lazy_engine(look, path, card)

    def render(run: ShotJob, show: Callable[[Event], None]) -> bool:
        run_events = RunEvents(run.input, card.name, show)
        end = render_here(run, painter, run_events, cancelled)
        run_events.ended(end)
        return not isinstance(end, Cancelled)

    return render_runs(job, runs, reporter.show, render)


def _there(
    job: ShotJob,
    runs: Sequence[FrameRange],
    reporter: Reporter,
    cancelled: Callable[[], bool],
    server: str | None,
    server_key: str | None,
) -> bool:
    from impasto.hosts.terminal.render.frame_runs import render_runs
    from impasto.hosts.terminal.render.served import render_there
    from impasto.hosts.terminal.server.connect import connected

    notes: list[str] = []
    with connected(CLIENT, server, server_key, start=server is None, lane="batch", warn=notes.append) as client:

        def render(run: ShotJob, show: Callable[[Event], None]) -> bool:
            return render_there(client, run, show, cancelled, local=server is None, notes=notes)

        return render_runs(job, runs, reporter.show, render)


def _notice(*, json: bool) -> str:
    return "" if json else "stopping after this frame; press Ctrl-C again to quit at once"
