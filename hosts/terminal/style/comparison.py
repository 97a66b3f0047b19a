"""Two styles on one clip: the side-by-side movie, and the figures as a table."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from impasto.core.errors import InconsistentShot, OutputExists, UsageError
from impasto.core.style_reference import name_of
from impasto.hosts.events import FrameDone, RunStarted, RunWarning, StylesCompared
from impasto.hosts.terminal.report import Reporter

if TYPE_CHECKING:
    from rich.table import Table

    from impasto.core.engine import Engine
    from impasto.core.frame import Frame, Samples
    from impasto.core.media import FrameRange, ShotInfo, Writer
    from impasto.core.media.guide_files import GuideFiles
    from impasto.core.style_comparison import Findings


class ComparisonStopped(Exception):
    """Ctrl-C after so many frames; `path` is the part of the movie that was made, or None."""

    def __init__(self, frames: int) -> None:
        super().__init__(f"stopped after {frames} frames")
        self.frames = frames
        self.path: str | None = None


@dataclass(frozen=True, slots=True)
class ComparisonPlan:
    """Two styles, a clip, and where the movie goes."""

    first: Path
    second: Path
    clip: str
    output: str | None
    frames: tuple[FrameRange, ...]
    """Ranges apart from each other, ascending; none for the whole clip."""
    input_space: str | None
    device: str
    overwrite: bool
    guides: tuple[str, ...] = ()
    """Pictures of guide layers, for the styles that see them."""
    rate: str = ""
    """Frames per second of pictures, in the place of what they state."""

    @property
    def labels(self) -> tuple[str, str]:
        """Names of the styles; with their folders where the names are equal."""
        short = name_of(str(self.first)), name_of(str(self.second))
        return short if short[0] != short[1] else (str(self.first), str(self.second))


def compare_styles(plan: ComparisonPlan, reporter: Reporter, stopped: Callable[[], bool]) -> Findings:
    """Render the clip with both styles, frame by frame, write the movie if one is wanted, and measure.

    Across gaps between the asked frames no motion is measured; the movie closes them up.

    Raises ComparisonStopped between two frames, and the errors of readers, writers and the engine.
    """
    from impasto.core.media import open_reader
    from impasto.core.media.frame_rate import require_rate
    from impasto.core.media.open import is_live

    if is_live(plan.clip):
        raise UsageError(f"expected a clip that has an end, got '{plan.clip}'; record it first")
    check_output(plan)
    with open_reader(plan.clip, frames=_spans(plan)[0], rate=require_rate(plan.rate)) as reader:
        info = reader.info
    if len(plan.frames) > 1:
        info = replace(info, frame_count=sum(each.last - each.first + 1 for each in plan.frames))
    movie = movie_for(plan, info)
    try:
        with movie:
            return _compare(plan, info, movie, reporter, stopped)
    except ComparisonStopped as stop:
        # A movie gets its final name, or that of a part, when it is closed.
        stop.path = None if isinstance(movie, nullcontext) else movie.path
        raise


def check_output(plan: ComparisonPlan) -> None:
    """UsageError for an output that is no movie, OutputExists where it is the clip itself."""
    from impasto.core.media.open import is_movie

    if plan.output is None:
        return
    if not is_movie(plan.output):
        raise UsageError(f"expected a movie for --output, got '{plan.output}'; write for example compare.mp4")
    if os.path.exists(plan.output) and os.path.exists(plan.clip) and os.path.samefile(plan.output, plan.clip):
        raise OutputExists(f"expected another name than the clip '{plan.clip}'; the input is never overwritten")


def movie_for(plan: ComparisonPlan, info: ShotInfo) -> Writer | nullcontext[None]:
    """The writer of the movie, without sound and at the clip's rate; nothing where none is wanted."""
    from impasto.core.media import ShotInfo, open_writer

    if plan.output is None:
        return nullcontext()
    facts = ShotInfo(plan.clip, "stream", info.first, info.frame_count, info.width, info.height, rate=info.rate)
    return open_writer(plan.output, facts, overwrite=plan.overwrite)


def _compare(
    plan: ComparisonPlan,
    info: ShotInfo,
    movie: Writer | nullcontext[None],
    reporter: Reporter,
    stopped: Callable[[], bool],
) -> Findings:
    from impasto.core.engine import Engine
    from impasto.core.frame import Frame
    from impasto.core.media.orientation import is_across
    from impasto.core.style_comparison import Comparison
    from impasto.hosts.terminal.style.panels import layout_for, page

    engines = [Engine(path, device=plan.device) for path in (plan.first, plan.second)]
    guides = _guides(plan, engines, info)
    rate = None if info.rate is None else float(info.rate)
    reporter.show(
        RunStarted(
            plan.clip, plan.output or "", " | ".join(plan.labels), info.first, info.frame_count, 0,
            info.width, info.height, rate,
        )
    )  # fmt: skip
    comparison = Comparison()
    begun, layout, last = time.monotonic(), None, None
    for done, (frame, pictures, invalid) in enumerate(_painted(plan, info, engines, guides), 1):
        if last is not None and frame.number != last + 1:
            comparison.cut()
        comparison.add(*pictures)
        last = frame.number
        path = ""
        if not isinstance(movie, nullcontext):
            if layout is None:
                height, width = pictures[0].shape[:2]
                aspect = frame.part.pixel_aspect
                layout = layout_for(width, height, 1 / aspect if is_across(frame.part) else aspect, 3)
            sheet = page(pictures, ("plate", *plan.labels), layout)
            path = movie.write(Frame.from_pixels(sheet, number=info.first + done - 1))
        pace = done / (time.monotonic() - begun)
        left = None if info.frame_count is None else max(0, info.frame_count - done) / pace
        reporter.show(FrameDone(frame.number, path, done, info.frame_count, round(pace, 3), left, invalid))
        for text in frame.notes:
            reporter.show(RunWarning(text))
        if stopped():
            raise ComparisonStopped(done)
    for text in () if isinstance(movie, nullcontext) else movie.notes:
        reporter.show(RunWarning(text))
    return comparison.findings()


def _guides(plan: ComparisonPlan, engines: list[Engine], info: ShotInfo) -> list[GuideFiles]:
    """The pictures of guide layers. UsageError where neither style sees any; errors of `find_guides`."""
    from impasto.core.media.guide_files import find_guides

    if plan.guides and not any(engine.style.card.guides for engine in engines):
        raise UsageError("expected a style that was trained with guides for --guides, neither was; leave them out")
    found = [find_guides(path) for path in plan.guides]
    runs = plan.frames if len(plan.frames) > 1 else tuple(filter(None, [info.range]))
    for files in found:
        for run in runs:
            files.require(run.first, run.last)
    return found


def _spans(plan: ComparisonPlan) -> tuple[FrameRange | None, ...]:
    """The ranges that are opened, one after the other; a movie once, because seeking costs more than some frames."""
    from impasto.core.media import FrameRange
    from impasto.core.media.open import is_movie

    if len(plan.frames) > 1 and is_movie(plan.clip):
        return (FrameRange(plan.frames[0].first, plan.frames[-1].last),)
    return plan.frames or (None,)


def _plates(plan: ComparisonPlan, info: ShotInfo) -> Iterator[Frame]:
    """The asked frames. InconsistentShot where their size changes, and what reading raises."""
    from impasto.core.media import open_reader
    from impasto.core.media.frame_rate import require_rate

    for span in _spans(plan):
        with open_reader(plan.clip, frames=span, rate=require_rate(plan.rate)) as reader:
            if (reader.info.width, reader.info.height) != (info.width, info.height):
                raise InconsistentShot(
                    f"expected frames of {info.width}x{info.height} in '{plan.clip}', got {reader.info.width}x"
                    f"{reader.info.height} at {reader.info.first}; compare frames of one size"
                )
            for frame in reader:
                if not plan.frames or any(frame.number in run for run in plan.frames):
                    yield frame


def _painted(
    plan: ComparisonPlan, info: ShotInfo, engines: list[Engine], guides: list[GuideFiles]
) -> Iterator[tuple[Frame, tuple[Samples, Samples, Samples], int]]:
    """Each frame, its plate and the two results as display pictures, upright, and its invalid pixels."""
    from impasto.core.display_picture import to_display
    from impasto.core.frame_settings import FrameSettings
    from impasto.core.media.orientation import upright_as

    settings = FrameSettings(input_space=plan.input_space)
    for plate_alone in _plates(plan, info):
        parts = tuple(part for files in guides for part in files.parts_of(plate_alone.number))
        frame = replace(plate_alone, guides=parts)
        first, second = (engine.render(frame, settings) for engine in engines)
        plate, ours, theirs = (
            upright_as(frame.part, to_display(each, input_space=plan.input_space))
            for each in (frame, first.frame, second.frame)
        )
        yield frame, (plate, ours, theirs), first.report.invalid_pixels


ROWS = (
    (
        "warp_error",
        "warp error",
        "change along the plate's motion in 1/255; above the plate's it flickers, below it is blurred",
    ),
    ("sharpness", "sharpness", "over the plate's: below 1 blurred, above 1 strokes"),
    ("edge_cosine", "edge cosine", "forms of the plate that are kept: 1 all, 0 none"),
    ("lap_swd", "texture", "lap-SWD from the plate: 0 is the same texture"),
    ("colour_distance", "colour", "mean ΔE*ab from the plate: about 2.3 is seen"),
    ("lattice", "lattice", "patterns of 4 pixels over their ground in the spectrum: far above the plate's it shows"),
)
"""Field of `Figures`, name in the table, and meaning."""

LEGEND = tuple(f"{name}: {meaning}" for _, name, meaning in ROWS)
"""One line for each row of the table."""


def table_of(found: StylesCompared) -> Table:
    """The figures for a person: the plate, the two styles, and the second against the first."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("", no_wrap=True)
    for name in ("plate", found.first, found.second, "between"):
        table.add_column(name, justify="right", overflow="fold")
    first, second = found.figures["first"], found.figures["second"]
    for field, name, _ in ROWS:
        plate = figure_text(found.plate[field]) if field in found.plate else ""
        between = figure_text(found.difference[field]) if field in found.difference else ""
        table.add_row(name, plate, figure_text(first[field]), figure_text(second[field]), between)
    equal = found.difference["psnr"] is None
    table.add_row("PSNR, dB", "", "", "", "equal" if equal else figure_text(found.difference["psnr"]))
    return table


def figure_text(value: float | None) -> str:
    """'1.36', or 'n/a' where there is no value."""
    return "n/a" if value is None else f"{value:.2f}"
