"""`impasto render`: a shot in, a painted shot out."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from impasto.core.card import Card
from impasto.core.errors import UsageError
from impasto.core.media.shot import FrameRange
from impasto.hosts.terminal.controls import after_from, before_from, params_from, with_controls
from impasto.hosts.terminal.events import Cancelled, Event, Finished, FrameDone, Started, Warned
from impasto.hosts.terminal.exit_codes import INTERRUPTED
from impasto.hosts.terminal.interrupts import Interrupts
from impasto.hosts.terminal.process import prepare_process
from impasto.hosts.terminal.report import reporter_for

if TYPE_CHECKING:
    from impasto.core.engine import Engine, Precision, Rendered
    from impasto.core.frame import Frame
    from impasto.server.shots import ShotEvent, ShotJob, ShotResult

Tile = Literal["auto", "off"] | int


@with_controls
def render(
    input: Annotated[
        str, typer.Argument(metavar="INPUT", help="A movie, a still, plate.####.exr, a folder, camera:0, or a stream.")
    ],
    output: Annotated[
        str, typer.Argument(metavar="OUTPUT", help="A movie by its extension, a still, painted.####.exr, or a folder.")
    ],
    style: Annotated[
        str | None, typer.Option("--style", help="Name or .safetensors file; `impasto styles` lists the names.")
    ] = None,
    frames: Annotated[str | None, typer.Option("--frames", metavar="A-B", help="These frames alone.")] = None,
    matte: Annotated[
        str | None,
        typer.Option("--matte", metavar="PATH", help="Strength per pixel: a still, or numbered like the shot."),
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
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Keep frames that an earlier run made of the same plate with the same settings."),
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line for programs.")] = False,
    **controls: Any,
) -> None:
    """Paint a shot with a style.

    Linear and log pictures become display-encoded in a movie, movies become scene-linear in EXR; otherwise
    the result has the colours, depth, windows, layers and attributes of the input. Parameters that
    are not given are those of the style.
    """
    from impasto.core.style import find_style, read_card
    from impasto.hosts.terminal.styles import default_style

    with reporter_for(json=json) as reporter, Interrupts(_notice(json=json)) as interrupts:
        before, after = before_from(controls), after_from(controls)
        shot_range = None if frames is None else FrameRange.parse(frames)
        tiles = parse_tile(tile)
        path = find_style(style if style is not None else default_style())
        card = read_card(path)
        prepare_process()
        from impasto.server.shots import ShotJob, render_shot

        job = ShotJob(
            input=input,
            output=output,
            frames=shot_range,
            params=params_from(controls, card.defaults),
            before=before,
            after=after,
            layer=layer,
            matte=matte,
            input_space=input_space,
            output_space=output_space,
            overwrite=overwrite,
            resume=resume,
        )

        def load() -> Engine:
            from impasto.core.engine import Engine

            return Engine(path, device=device, precision=cast("Precision", precision), tile=tiles)

        def resolve_precision() -> str:
            from impasto.core.engine import choose_device, choose_precision

            return choose_precision(cast("Precision", precision), choose_device(device))

        engine = LateEngine(card, load, resolve_precision)
        told = Told(job, card, reporter.show)
        result = render_shot(job, engine, on_event=told, cancelled=interrupts.asked)
        reporter.show(told.last(result))
    if result.cancelled:
        raise typer.Exit(INTERRUPTED)


@dataclass(frozen=True, slots=True)
class Announced:
    """A style of which the card alone has been read."""

    card: Card


class LateEngine:
    """An engine that is built for the first frame: bad input is refused, and read, before torch is loaded."""

    def __init__(self, card: Card, load: Callable[[], Engine], resolve_precision: Callable[[], str]) -> None:
        self.style = Announced(card)
        self._load = load
        self._resolve_precision = resolve_precision
        self._engine: Engine | None = None

    @cached_property
    def precision(self) -> str:
        """What the engine will count in, found without building it."""
        return self._resolve_precision()

    def render(self, frame: Frame, *arguments: Any, **settings: Any) -> Rendered:
        """What the engine renders; see `impasto.core.engine.Engine.render`."""
        if self._engine is None:
            self._engine = self._load()
        return self._engine.render(frame, *arguments, **settings)


class Told:
    """Turns the events of a shot job into those of the command, with pace and time left."""

    def __init__(
        self, job: ShotJob, card: Card, show: Callable[[Event], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._job, self._card, self._show, self._clock = job, card, show, clock
        self._frames: int | None = None
        self._first_at: float | None = None
        self._done = 0

    def __call__(self, event: ShotEvent) -> None:
        """Show one event of the job."""
        from impasto.server.shots import FrameStored, ShotStarted

        if isinstance(event, ShotStarted):
            self._frames = event.to_render
            info = event.info
            rate = None if info.rate is None else float(info.rate)
            self._show(
                Started(
                    self._job.input,
                    event.output,
                    self._card.name,
                    info.first,
                    self._frames,
                    event.skipped,
                    info.width,
                    info.height,
                    rate,
                )
            )
        elif isinstance(event, FrameStored):
            self._done = event.done
            fps = self.fps()
            left = None if self._frames is None or not fps else (self._frames - event.done) / fps
            self._show(
                FrameDone(event.number, event.path, event.done, self._frames, round(fps, 3), left, event.invalid_pixels)
            )
        else:
            self._show(Warned(event.text))

    def fps(self) -> float:
        """Frames per second since the first frame was stored: loading the style is no pace. 0 before the second."""
        now = self._clock()
        if self._first_at is None:
            self._first_at = now
        return (self._done - 1) / (now - self._first_at) if self._done > 1 and now > self._first_at else 0.0

    def last(self, result: ShotResult) -> Finished | Cancelled:
        """The event that ends the command."""
        if result.cancelled:
            return Cancelled(result.path, result.rendered, result.seconds)
        stages = {name: round(seconds, 4) for name, seconds in result.stages.items()}
        fps = round(self.fps() if result.rendered else 0.0, 3)
        return Finished(
            result.path, result.rendered, result.skipped, result.invalid_pixels, round(result.seconds, 3), fps, stages
        )


def parse_tile(text: str) -> Tile:
    """'auto', 'off' or a number of pixels; UsageError for anything else."""
    words: dict[str, Tile] = {"auto": "auto", "off": "off"}
    if text in words:
        return words[text]
    if not text.isdecimal():
        raise UsageError(f"expected --tile as auto, off or a number of pixels, got '{text}'; leave it at auto")
    return int(text)


def _notice(*, json: bool) -> str:
    return "" if json else "stopping after this frame; press Ctrl-C again to quit at once"
