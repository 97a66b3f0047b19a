"""What `--smoothing` brings, and what it costs: warp error, sharpness and processor time on moving clips.

    python -m tests.bench.smoothing --media DIR [--styles wheatfield ink …] [--amount 0.7]

`--media` is the folder with the larger test media. Asked for: a warp error of at most 1.15 of the plate's own at 0.7,
at a sharpness of at least 0.9 of the unsmoothed, for at most 1.5 times the time.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from itertools import islice, pairwise
from pathlib import Path

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from impasto.core.colour import to_float
from impasto.core.engine import Engine
from impasto.core.flicker import warp_error
from impasto.core.frame import Frame, Pixels
from impasto.core.frame_settings import SMOOTHING_REACH
from impasto.core.media import open_reader
from impasto.core.metrics import sharpness
from impasto.core.smoothing import PaintedPlate, smoothed, step_between

CLIPS = {
    "person_juggle_720p24.mp4": 20,
    "person_signing_480p30_fullrange.mkv": 30,
    "hands_cups_720p30.mp4": 40,
    "crystal_handheld_480p30.mp4": 20,
    "drive_highway_540p25.mp4": 30,
}
"""Clip -> its first frame."""
FRAMES, WIDTH = 10, 640


def main() -> None:
    """Print a row for every clip and style."""
    given = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    given.add_argument("--media", type=Path, required=True)
    given.add_argument("--styles", nargs="+", default=["wheatfield", "ink", "woodblock", "cel", "pencil"])
    given.add_argument("--amount", type=float, default=0.7)
    options = given.parse_args()
    names = ("clip", "style", "by itself", "smoothed", "sharpness", "CPU ms", "by itself")
    table = Table(*names, title=f"warp error over the plate's own, smoothing {options.amount:g}, {WIDTH} pixels wide")
    for clip, first in CLIPS.items():
        frames = list(_frames(options.media / "clips" / clip, first))
        for style in options.styles:
            table.add_row(clip.split("_")[1], style, *_figures(frames, Engine(style, device="cpu"), options.amount))
    Console().print(table)


def _frames(path: Path, first: int) -> Iterator[Pixels]:
    with open_reader(str(path)) as reader:
        for frame in islice(reader, first, first + FRAMES):
            height = round(frame.height * WIDTH / frame.width)
            yield np.asarray(cv2.resize(frame.colour, (WIDTH, height), interpolation=cv2.INTER_AREA), np.uint8)


def _figures(frames: list[Pixels], engine: Engine, amount: float) -> Iterator[str]:
    plates = [to_float(frame) for frame in frames]
    begun = time.process_time()
    paintings = [to_float(engine(Frame.from_pixels(frame)).colour) for frame in frames]
    painted = time.process_time()
    window = [PaintedPlate.of(plate, painting) for plate, painting in zip(plates, paintings, strict=True)]
    steps = [step_between(one, other) for one, other in pairwise(window)]
    calm = []
    for at in range(len(window)):
        low, high = max(0, at - SMOOTHING_REACH), at + SMOOTHING_REACH + 1
        calm.append(smoothed(window[low:high], steps[low : high - 1], at - low, amount))
    done = time.process_time()
    floor = warp_error(plates, plates)
    yield f"{warp_error(plates, paintings) / floor:.2f}"
    yield f"{warp_error(plates, calm) / floor:.2f}"
    yield f"{np.mean([sharpness(b) / sharpness(a) for a, b in zip(paintings, calm, strict=True)]):.2f}"
    yield f"{1000 * (done - begun) / len(frames):.0f}"
    yield f"{1000 * (painted - begun) / len(frames):.0f}"


if __name__ == "__main__":
    main()
