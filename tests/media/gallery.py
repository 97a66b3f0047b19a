"""Draw the README's gallery: one frame of the sample clip in every built-in style.

    python -m tests.media.gallery [RESULT.jpg]

The plate first, then each style of standard size that paints, by name; `tests/media/gallery.jpg` by default.
"""

from __future__ import annotations

import sys
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from impasto.core.colour import to_float
from impasto.core.engine import Engine
from impasto.core.frame import Frame, Samples
from impasto.core.media import open_reader
from impasto.core.style_file import read_card, style_files

HERE = Path(__file__).parent
PLATE, NUMBER = HERE / "harbour.mp4", 40
COLUMNS, WIDTH = 3, 480
LABEL = 26
"""Pixels under each picture for its name."""


def main() -> None:
    """Write the gallery."""
    result = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "gallery.jpg"
    with open_reader(str(PLATE)) as reader:
        plate = next(islice(reader, NUMBER, None))
    names = [name for name, path in style_files().items() if shown(path)]
    pictures = [cell("plate", plate), *(cell(name, Engine(name, device="cpu")(plate)) for name in names)]
    blank = np.ones_like(pictures[0])
    pictures += [blank] * (-len(pictures) % COLUMNS)
    rows = [np.hstack(pictures[start : start + COLUMNS]) for start in range(0, len(pictures), COLUMNS)]
    sheet = np.rint(np.vstack(rows)[..., ::-1] * 255).astype(np.uint8)
    cv2.imwrite(str(result), sheet, [cv2.IMWRITE_JPEG_QUALITY, 88])
    print(f"{result}: {', '.join(names)}")


def shown(path: Path) -> bool:
    """Whether a style belongs into the gallery: drafts look like what they learned from, repairs like a plate."""
    card = read_card(path)
    return card.size == "standard" and card.name not in ("identity", "clean") and not card.codes


def cell(name: str, frame: Frame) -> Samples:
    """A frame, scaled, with its name under it."""
    picture = to_float(frame.colour)
    scale = WIDTH / picture.shape[1]
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    label = np.full((LABEL, WIDTH, 3), 255, np.uint8)
    cv2.putText(label, name, (8, LABEL - 8), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (40, 40, 40), 1, cv2.LINE_AA)
    return np.vstack([np.clip(small, 0, 1), np.asarray(label, np.float32) / 255])


if __name__ == "__main__":
    main()
