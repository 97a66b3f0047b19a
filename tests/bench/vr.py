"""Whether a painted sphere has a seam or poles, and whether two eyes see one painting; on exact scenes of our own.

python -m tests.bench vr
python -m tests.bench.vr PAINTED.exr FACES.png    # four faces of a cube map of a sphere, to be looked at
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import cv2
import numpy as np

from impasto.core.engine import Engine
from impasto.core.frame import Frame, Samples
from impasto.core.frame_settings import FrameSettings
from impasto.core.immersive import Projection
from impasto.core.keyframe_paint.plates import fetched
from impasto.core.media import open_reader
from impasto.core.panorama import View, axes_of, looked_at
from impasto.core.working_picture import to_working
from tests.bench.eyes import pair, sphere

HEIGHT = 512
EYE = (540, 960)
GRAIN = 0.01
VR_STYLES = ("wheatfield", "wheatfield-draft", "ink", "woodblock", "pencil", "cel")
_FACE = 384
_CAPS = 30.0
"""Degrees around the poles, and on both sides of the equator, that are compared."""


@dataclass(frozen=True, slots=True)
class SphereFigure:
    """A style on a sphere: its seam, and its strokes at the poles over those at the equator."""

    style: str
    projection: str
    seam: float
    """Change of paint across the wrap over that between the two other columns where it is largest."""
    poles: float
    """Strength of paint within 30 degrees of the poles over that within 15 of the equator."""


@dataclass(frozen=True, slots=True)
class StereoFigure:
    """Difference of paint between the eyes on surfaces that both see, over that of the plates."""

    style: str
    own: float
    """Each eye painted by itself."""
    shared: float


def sphere_figures(styles: tuple[str, ...]) -> list[SphereFigure]:
    """Every style on the sample sphere, painted flat and as a sphere."""
    plate = sphere(HEIGHT)
    return [
        _on_sphere(Engine(style, device="cpu"), plate, way) for style in styles for way in ("flat", "equirectangular")
    ]


def _on_sphere(engine: Engine, plate: Samples, way: Projection) -> SphereFigure:
    painted = _painted(engine, plate, FrameSettings(projection=way))
    change = painted - plate
    steps = np.abs(np.roll(change, -1, axis=1) - change).mean(axis=(0, 2))
    return SphereFigure(engine.style.card.name, way, float(steps[-1] / steps[:-1].max()), pole_strength(change))


def pole_strength(change: Samples) -> float:
    """How much paint a lat-long picture got near its poles, over that near its equator, per solid angle."""
    height = change.shape[0]
    latitude = 180 * (0.5 - (np.arange(height) + 0.5) / height)
    level = np.cos(np.radians(latitude))
    amount = np.square(change).mean(axis=(1, 2))
    poles, equator = np.abs(latitude) > 90 - _CAPS, np.abs(latitude) < _CAPS / 2
    return float(
        np.sqrt(np.average(amount[poles], weights=level[poles]) / np.average(amount[equator], weights=level[equator]))
    )


def stereo_figures(styles: tuple[str, ...]) -> list[StereoFigure]:
    """Every style on the sample pair, side by side, with grain in each eye."""
    eyes = pair(*EYE, grain=GRAIN)
    plate = np.concatenate((eyes.left, eyes.right), axis=1)

    def apart(picture: Samples) -> float:
        left, right = np.split(picture, 2, axis=1)
        return float(np.abs(fetched(np.ascontiguousarray(left), eyes.disparity) - right)[eyes.both].mean())

    figures = []
    for style in styles:
        engine = Engine(style, device="cpu")
        shared = _painted(engine, plate, FrameSettings(stereo="sbs"))
        halves = [_painted(engine, np.ascontiguousarray(each), FrameSettings()) for each in np.split(plate, 2, axis=1)]
        own = np.concatenate(halves, axis=1)
        figures.append(StereoFigure(style, apart(own) / apart(plate), apart(shared) / apart(plate)))
    return figures


def main() -> None:
    """Write the front, the wrap behind, and both poles of a painted sphere."""
    with open_reader(sys.argv[1]) as reader:
        picture = to_working(next(iter(reader))).picture
    ways = ((0, 0), (0, 180), (90, 0), (-90, 0))
    views = [View(axes_of(*np.radians(way)), _FACE / 2, _FACE) for way in ways]
    faces = np.concatenate([looked_at(picture, view) for view in views], axis=1)
    cv2.imwrite(sys.argv[2], np.rint(np.clip(faces[..., ::-1], 0, 1) * 255).astype(np.uint8))


def _painted(engine: Engine, picture: Samples, settings: FrameSettings) -> Samples:
    frame = Frame.from_pixels(picture.astype(np.float32), colour_space="srgb")
    return np.asarray(engine(frame, settings).colour, np.float32)


if __name__ == "__main__":
    main()
