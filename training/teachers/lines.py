"""Drawn lines, at the edges and creases of a plate and along its forms."""

from __future__ import annotations

import cv2
import numpy as np

from impasto.core.frame import Samples
from impasto.training.teachers.flat_colour import smooth
from impasto.training.teachers.strokes import smear

FAINTEST, FULL = 0.004, 0.022
"""Differences of luma at which a line begins to show, and at which it is solid."""


def drawn_lines(luma: Samples, along_x: Samples, along_y: Samples, *, width: float, length: float) -> Samples:
    """The amount of ink on each pixel, (H, W) in [0, 1], from luma in [0, 1] and the direction of strokes.

    `width` is the width of a line in pixels, `length` how far it is drawn out to either side. The ink is a difference
    of Gaussians, smeared along the form (after Kang, Lee & Chui 2007, "Coherent line drawing", and XDoG, Winnemöller
    et al. 2012). The line is on the dark side of an edge.
    """
    edges = cv2.GaussianBlur(luma, (0, 0), width) - cv2.GaussianBlur(luma, (0, 0), 1.6 * width)
    drawn = smear(np.asarray(edges, np.float32), along_x, along_y, length)
    return smooth(np.clip((-drawn - FAINTEST) / (FULL - FAINTEST), 0, 1))
