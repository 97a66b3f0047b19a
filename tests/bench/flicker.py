"""Whether strokes boil: the warp error of each style on our own moving clip."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from impasto.core.colour import to_float
from impasto.core.engine import Engine
from impasto.core.flicker import warp_error
from impasto.core.media import open_reader
from impasto.core.metrics import sharpness_ratio

CLIP = Path(__file__).parent.parent / "media" / "harbour.mp4"
FRAMES = 16


@dataclass(frozen=True, slots=True)
class FlickerFigure:
    """Warp error in 1/255, of the plate and of the result; and how much sharper the result is than the plate."""

    style: str
    plate: float
    result: float
    sharpness_ratio: float
    """Mean luma gradient of the result over that of the plate: a low warp error with less than 1 here is blur."""


def flicker_figures(styles: tuple[str, ...]) -> list[FlickerFigure]:
    """Every style on the first `FRAMES` frames of the sample clip, 960x540."""
    with open_reader(str(CLIP)) as reader:
        frames = list(islice(reader, FRAMES))
    plates = [to_float(frame.colour) for frame in frames]
    floor = warp_error(plates, plates)
    figures = []
    for style in styles:
        engine = Engine(style, device="cpu")
        results = [to_float(engine(frame).colour) for frame in frames]
        ratio = sharpness_ratio(results[0], plates[0])
        figures.append(FlickerFigure(style, floor, warp_error(plates, results), ratio))
    return figures
