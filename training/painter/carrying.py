"""Strokes carried from one frame of a shot to another, along optical flow over every frame between.

A stroke moves and turns with the surface on which it lies. It is dropped where the flow there and back misses its
start, where it leaves the picture, and where its target has another colour in the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from impasto.core.frame import Samples
from impasto.core.keyframe_paint.matching import TURNS_BACK, compared_size, scaled
from impasto.core.optical_flow import optical_flow
from impasto.training.painter.blur import blurred
from impasto.training.painter.strokes import Strokes, sampled

HEAD = 8.0
"""Pixels from a stroke's centre to its second point: both together tell how the stroke turns."""
RESTS = 0.6
"""Pixels that a surface may move before its strokes follow: the unrest of optical flow moves none."""
SAME_COLOUR = 0.02
"""Largest channel difference from frame to frame up to which a point stays where the flow is unsure."""
CALM = 1.5
"""Sigma of the blur of both frames before that is looked at: grain is no motion."""
OTHER_COLOUR = 0.2
"""Largest channel difference beyond which a stroke's surface is held to be another."""
CUT = 0.6
"""Share of all points that a single frame must lose for a cut."""


class StrokeTrack:
    """Points of some strokes, followed from frame to frame; it owns the frame that it has reached."""

    def __init__(self, strokes: Sequence[Strokes], plate: Samples) -> None:
        """`strokes` are the layers of a painted picture of `plate` (H, W, 3), working space."""
        self._strokes = tuple(strokes)
        self._size = compared_size(*plate.shape[:2])
        self._scale = self._size[1] / plate.shape[1]
        self._last = scaled(plate, self._size)
        x = np.concatenate([each.x + each.drift_x for each in strokes])
        y = np.concatenate([each.y + each.drift_y for each in strokes])
        angle = np.concatenate([each.angle for each in strokes])
        self._count = len(x)
        ahead = np.stack([x + HEAD * np.cos(angle), y + HEAD * np.sin(angle)], axis=1)
        self._points = np.concatenate([np.stack([x, y], axis=1), ahead]).astype(np.float32) * self._scale
        self._alive = np.ones(2 * self._count, bool)
        self.is_cut = False
        """Whether a cut lay between two of the frames so far; then nothing is carried."""

    def follow(self, plate: Samples) -> None:
        """Move all points on to the next frame (H, W, 3), working space."""
        frame = scaled(plate, self._size)
        if self.is_cut or not self._alive.any():
            self._last = frame
            return
        there = optical_flow(self._last, frame)
        back = optical_flow(frame, self._last)
        step = _sampled_at(there, self._points)
        missed = np.square(step + _sampled_at(back, self._points + step)).sum(1) > TURNS_BACK**2
        # Flow on a flat wanders. What looks the same in its place has not moved.
        calm, calm_last = blurred(frame, CALM), blurred(self._last, CALM)
        changed = np.abs(_sampled_at(calm, self._points) - _sampled_at(calm_last, self._points)).max(1) > SAME_COLOUR
        step[missed & ~changed] = 0
        missed &= changed
        moved = self._points + step
        height, width = self._size
        outside = (moved < -0.5).any(1) | (moved[:, 0] > width - 0.5) | (moved[:, 1] > height - 0.5)
        lost = self._alive & (missed | outside)
        self.is_cut = bool(lost.sum() > CUT * self._alive.sum())
        self._points = moved
        self._alive &= ~(missed | outside)
        self._last = frame

    def carried(self, before: Samples, after: Samples) -> tuple[Strokes, ...] | None:
        """The strokes in the frame that was reached, layer by layer; None after a cut.

        `before` and `after` are the targets (H, W, 3) of the frame that was painted and of this one.
        """
        if self.is_cut:
            return None
        points = self._points / self._scale
        centre, head = points[: self._count], points[self._count :]
        lives, turns = self._alive[: self._count], self._alive[self._count :]
        moved: list[Strokes] = []
        start = 0
        for strokes in self._strokes:
            part = slice(start, start + len(strokes))
            start += len(strokes)
            now = _moved(strokes, centre[part], head[part], turns[part], RESTS / self._scale)
            same = _colour(before, strokes) - _colour(after, now)
            moved.append(now.chosen(lives[part] & (np.abs(same).max(1) < OTHER_COLOUR)))
        return tuple(moved)


def _moved(strokes: Strokes, centre: Samples, head: Samples, turns: npt.NDArray[np.bool_], rests: float) -> Strokes:
    """Strokes on their surfaces; a stroke rests until its surface is some pixels away, then it catches up and turns."""
    drift_x, drift_y = centre[:, 0] - strokes.x, centre[:, 1] - strokes.y
    still = np.square(drift_x) + np.square(drift_y) < rests * rests
    turned = np.arctan2(head[:, 1] - centre[:, 1], head[:, 0] - centre[:, 0])
    return replace(
        strokes,
        x=np.where(still, strokes.x, centre[:, 0]),
        y=np.where(still, strokes.y, centre[:, 1]),
        angle=np.where(turns & ~still, turned, strokes.angle),
        drift_x=np.where(still, drift_x, 0).astype(np.float32),
        drift_y=np.where(still, drift_y, 0).astype(np.float32),
    )


def _colour(target: Samples, strokes: Strokes) -> Samples:
    if not len(strokes):
        return np.zeros((0, 3), np.float32)
    return sampled(target, strokes.x[:, None], strokes.y[:, None])[:, 0]


def _sampled_at(field: Samples, points: Samples) -> Samples:
    return sampled(field, points[:, :1], points[:, 1:])[:, 0]
