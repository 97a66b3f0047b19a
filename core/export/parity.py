"""Comparison of an exported file's pictures with the engine's."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from impasto.core.engine import Engine
from impasto.core.frame import Frame, Part, Samples, Window, find_layer
from impasto.core.frame_settings import FrameSettings
from impasto.core.guides import Guide
from impasto.core.params import Params
from impasto.core.style_file import Style

TOLERANCE = 1e-3
"""A quarter of a step of 8 bits. Measured differences are near 1e-6, so one near this is a fault."""
SIZES = ((181, 243), (64, 96), (5, 3))
"""Heights and widths: off every stride, on it, and below it."""


def largest_difference(style: Style, run: Callable[[Samples], Samples], *, linear: bool) -> float:
    """Largest absolute difference between a file's pictures and the engine's, on the CPU in float32.

    `run` is the file, from (1, C, H, W) to (1, 3, H, W). The test pictures are smooth ground with grain and hard
    edges, of three sizes; linear ones hold light up to 8 and below 0, and their differences count in
    proportion to a light above 1. NaN where a picture is not finite.
    """
    engine = Engine(style, device="cpu", precision="float32", tile="off")
    worst = 0.0
    for size in SIZES:
        inputs = sample_picture(size, len(style.card.guides), linear=linear)
        frame = _as_frame(inputs, style.card.guides, linear=linear)
        wanted = engine(frame, FrameSettings(Params(keys=0))).colour
        painted = run(np.ascontiguousarray(inputs.transpose(2, 0, 1))[None])[0].transpose(1, 2, 0)
        difference = np.abs(painted - wanted) / np.maximum(np.abs(wanted), 1)
        worst = float(np.maximum(worst, difference.max()))
    return worst


def sample_picture(size: tuple[int, int], guides: int, *, linear: bool) -> Samples:
    """(H, W, 3 + guides) float32: the same on every machine."""
    height, width = size
    chance = np.random.default_rng(1)
    ground = cv2.resize(chance.random((6, 9, 3 + guides), np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    picture = 0.85 * ground.reshape(height, width, -1) + 0.15 * chance.random((height, width, 3 + guides), np.float32)
    picture[height // 4 : height // 2, width // 3 : width // 2] *= 0.2
    picture[..., 3:] = 6 * picture[..., 3:] - 2  # beyond what normals and colours may hold, on both sides
    if linear:
        picture[..., :3] = 8.5 * picture[..., :3] ** 3 - 0.05
    return np.asarray(picture, np.float32)


def _as_frame(inputs: Samples, guides: tuple[Guide, ...], *, linear: bool) -> Frame:
    height, width, count = inputs.shape
    window = Window(0, 0, width, height)
    channels = ("R", "G", "B", *(guide.channel for guide in guides))
    part = Part(inputs, channels, ("float",) * count, window, window)
    return Frame((part,), find_layer((part,)), colour_space="scene_linear" if linear else "srgb")
