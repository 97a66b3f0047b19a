"""What keys painted in the way of paintings cost, how much paint their flats bear, and a sheet to look at.

Run as `python -m tests.bench.painter SHEET.png PAINTING… -- PLATE[@FRAME][#X,Y,SIDE]…`: every plate in the way of
every painting, scaled to the pixels of 640x360. X, Y and SIDE mark a part (a small face, letters) in pixels of that
size; beside SHEET.png comes SHEET-insets.png with these parts enlarged. Flats are the flattest quarter of a plate's
squares of 32 pixels; their figure is the median standard deviation of luma in them, painted and in the plate.

`python -m tests.bench.painter warp PAINTING SHOT FIRST LAST` paints every frame of a range instead, and prints the warp
error of the plates and of the painted frames, and the share of strokes that each has from the one before.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from impasto.core.colour import LUMA
from impasto.core.flicker import warp_error
from impasto.core.frame import Samples
from impasto.training.data.pictures import seen_in
from impasto.training.data.shots import numbered_frames
from impasto.training.data.teacher_plates import save_picture
from impasto.training.painter.key_painter import fit_painter, load_painting
from impasto.training.painter.settings import UNIT_SIDE, PainterSettings
from impasto.training.painter.shot import PaintingManner, painted_keys, pooled_plates

SQUARE = 32
COLUMN = 480
"""Width of a picture on the sheet."""
INSET = 256


@dataclass(frozen=True, slots=True)
class Plate:
    """A plate (H, W, 3), working space, and the part of it that is looked at closely: x, y, side."""

    name: str
    picture: Samples
    part: tuple[int, int, int] | None


def main() -> None:
    """Paint everything, print the figures, write the sheets."""
    cv2.setNumThreads(1)
    if sys.argv[1] == "warp":
        print_warp(Path(sys.argv[2]), sys.argv[3], range(int(sys.argv[4]), int(sys.argv[5]) + 1))
        return
    sheet, *others = sys.argv[1:]
    middle = others.index("--")
    plates = [load_plate(text) for text in others[middle + 1 :]]
    rows = [np.hstack([on_sheet(plate.picture) for plate in plates])]
    insets = [inset_row(plates, [plate.picture for plate in plates])]
    for path in others[:middle]:
        painting = load_painting(Path(path))
        painted = []
        for plate in plates:
            began, wall = time.process_time(), time.perf_counter()
            painter = fit_painter(painting, [plate.picture], plate.picture.shape[:2], PainterSettings())
            painted.append(painter.paint(painter.target(plate.picture)).picture)
            flat, own = flat_spread(plate.picture, painted[-1]), flat_spread(plate.picture, plate.picture)
            spent = f"{time.process_time() - began:.1f} CPU s, {time.perf_counter() - wall:.1f} s"
            times = flat / max(own, 1e-4)
            print(f"{Path(path).stem} {plate.name}: {spent}, flats {own:.4f} {flat:.4f} {times:.1f}x", flush=True)
        rows.append(np.hstack([on_sheet(picture) for picture in painted]))
        insets.append(inset_row(plates, painted))
    save_picture(Path(sheet), np.vstack(rows))
    if any(plate.part for plate in plates):
        save_picture(Path(sheet).with_name(f"{Path(sheet).stem}-insets.png"), np.vstack(insets))


def print_warp(painting: Path, path: str, numbers: range) -> None:
    """Paint a range of frames and print how steady they are."""
    shot = numbered_frames(path, "plate")
    manner = PaintingManner(load_painting(painting), pooled_plates([shot]), PainterSettings())
    plates = [seen_in(frame, None).picture for frame in shot.read(numbers)]
    keys = list(painted_keys(shot, numbers, manner))
    painted = [seen_in(key.frame, None).picture for key in keys]
    own, theirs = warp_error(plates, plates), warp_error(plates, painted)
    print(f"warp error {own:.2f} of the plates, {theirs:.2f} painted: {theirs / own:.1f}x")
    print("carried:", *(f"{key.carried:.2f}" for key in keys if key.carried is not None))


def load_plate(text: str) -> Plate:
    """A still, or a frame of a movie or sequence, at the pixels of 640x360."""
    text, _, part = text.partition("#")
    path, _, number = text.partition("@")
    source = numbered_frames(path, "plate")
    picture = seen_in(next(iter(source.read([int(number or source.numbers[0])]))), None).picture
    by = UNIT_SIDE / float(np.sqrt(picture.shape[0] * picture.shape[1]))
    scaled = np.asarray(cv2.resize(picture, None, fx=by, fy=by, interpolation=cv2.INTER_AREA), np.float32)
    x, y, side = (int(value) for value in part.split(",")) if part else (0, 0, 0)
    return Plate(Path(path).stem, scaled, (x, y, side) if part else None)


def flat_spread(plate: Samples, picture: Samples) -> float:
    """Median standard deviation of luma of a picture in the flattest quarter of the plate's squares."""
    own, theirs = spreads(plate), spreads(picture)
    return float(np.median(theirs[own <= np.quantile(own, 0.25)]))


def spreads(picture: Samples) -> Samples:
    """Standard deviation of luma in each whole square."""
    rows, columns = picture.shape[0] // SQUARE, picture.shape[1] // SQUARE
    luma = (picture @ LUMA)[: rows * SQUARE, : columns * SQUARE]
    return np.asarray(luma.reshape(rows, SQUARE, columns, SQUARE).std(axis=(1, 3)), np.float32)


def on_sheet(picture: Samples) -> Samples:
    """A picture in its place on the sheet, cut or filled to 16 by 9."""
    height = COLUMN * 9 // 16
    by = height / picture.shape[0]
    small = np.asarray(cv2.resize(picture, None, fx=by, fy=by, interpolation=cv2.INTER_AREA), np.float32)[:, :COLUMN]
    return np.pad(small, ((0, height - small.shape[0]), (0, COLUMN - small.shape[1]), (0, 0)))


def inset_row(plates: list[Plate], pictures: list[Samples]) -> Samples:
    """The parts of some pictures that are looked at closely, side by side."""
    parts = []
    for plate, picture in zip(plates, pictures, strict=True):
        if plate.part is not None:
            x, y, side = plate.part
            cut = picture[y : y + side, x : x + side]
            parts.append(np.asarray(cv2.resize(cut, (INSET, INSET), interpolation=cv2.INTER_CUBIC), np.float32))
    return np.hstack(parts) if parts else np.zeros((0, 0, 3), np.float32)


if __name__ == "__main__":
    main()
