"""The mark on a picture that is no fresh painting, so that a plate is never taken for one."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from impasto.hosts.live.pictures import Picture

AMBER: Final = (255, 176, 32)
INK: Final = (24, 20, 12)
LETTERS: Final = 60
"""Longer reasons are cut: the page and the terminal have them whole."""


def marked(pixels: Picture, text: str) -> Picture:
    """A copy with an amber bar along its upper edge that bears a sentence in dark letters; at least the bar fits."""
    made = np.ascontiguousarray(pixels).copy()
    height, width = made.shape[:2]
    bar = max(4, min(height // 8, max(14, height // 18)))
    cv2.rectangle(made, (0, 0), (width - 1, bar - 1), AMBER, cv2.FILLED)
    shown = text if len(text) <= LETTERS else text[: LETTERS - 3] + "..."
    shown = shown.encode("ascii", "replace").decode()  # the only letters that OpenCV draws
    size = bar / 34
    (wide, tall), _ = cv2.getTextSize(shown, cv2.FONT_HERSHEY_SIMPLEX, size, 1)
    if wide > width - bar:
        size *= (width - bar) / wide
        (wide, tall), _ = cv2.getTextSize(shown, cv2.FONT_HERSHEY_SIMPLEX, size, 1)
    cv2.putText(made, shown, (bar // 2, (bar + tall) // 2), cv2.FONT_HERSHEY_SIMPLEX, size, INK, 1, cv2.LINE_AA)
    return made
