"""Pictures side by side, each under its name: one page of a movie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from impasto.core.frame import Samples

PAGE_WIDTH = 3840
"""Largest width in pixels that all players and encoders take."""
GAP = 4
GROUND = 20
INK = (235, 235, 235)
FONT = cv2.FONT_HERSHEY_SIMPLEX


@dataclass(frozen=True, slots=True)
class PageLayout:
    """Sizes of a page in pixels. Width and height of the page are even, as video codecs need."""

    width: int
    height: int
    caption: int
    """Height of the strip with the name above each picture."""
    page_width: int
    page_height: int


def layout_for(width: int, height: int, aspect: float, count: int) -> PageLayout:
    """A page for `count` pictures of this size and pixel aspect, at full size or scaled to fit."""
    panel = max(8, min(round(width * aspect), (PAGE_WIDTH - GAP * (count - 1)) // count) // 2 * 2)
    tall = max(2, round(panel * height / (width * aspect)))
    caption = max(18, panel // 24)
    return PageLayout(
        panel,
        tall,
        caption + (caption + tall) % 2,
        count * panel + GAP * (count - 1),
        tall + caption + (caption + tall) % 2,
    )


def page(pictures: Sequence[Samples], labels: Sequence[str], layout: PageLayout) -> npt.NDArray[np.uint8]:
    """Pictures (H, W, 3) float32, sRGB-encoded in [0, 1], from left to right: (page_height, page_width, 3) uint8."""
    sheet = np.full((layout.page_height, layout.page_width, 3), GROUND, np.uint8)
    for column, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
        left = column * (layout.width + GAP)
        method = cv2.INTER_AREA if layout.width <= picture.shape[1] else cv2.INTER_CUBIC
        shown = cv2.resize(picture, (layout.width, layout.height), interpolation=method)
        sheet[layout.caption :, left : left + layout.width] = np.rint(np.clip(shown, 0, 1) * 255)
        _write(sheet[: layout.caption, left : left + layout.width], label)
    return sheet


def _write(strip: npt.NDArray[np.uint8], label: str) -> None:
    """Draw a label at the left of a strip, in place; a label that is too long is cut."""
    height, width = strip.shape[:2]
    scale, weight = cv2.getFontScaleFromHeight(FONT, max(7, round(0.42 * height))), max(1, round(height / 28))
    margin = height // 3
    text = label
    while len(text) > 1 and cv2.getTextSize(text, FONT, scale, weight)[0][0] > width - 2 * margin:
        text = text.removesuffix("..")[:-1] + ".."
    (_, tall), _ = cv2.getTextSize("X", FONT, scale, weight)
    canvas = np.ascontiguousarray(strip)
    cv2.putText(canvas, text, (margin, (height + tall) // 2), FONT, scale, INK, weight, cv2.LINE_AA)
    strip[:] = canvas
