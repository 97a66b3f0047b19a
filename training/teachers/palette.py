"""One fixed colour map from plates to a painting, for every picture of a style.

To match colours picture by picture would follow the exposure, and the target would depend on the whole frame. So the
map is fitted once, to a pool of plates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from impasto.core.frame import Samples

LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True, slots=True)
class Palette:
    """A linear colour transfer and a luminance curve, blended with the plate's own colour.

    `matrix` @ (rgb - `plate_mean`) + `paint_mean` is the Monge-Kantorovich transport between two Gaussians (Pitié &
    Kokaram 2007). The curve maps the luma of plates to that of the painting by quantiles.
    """

    matrix: Samples
    plate_mean: Samples
    paint_mean: Samples
    plate_quantiles: Samples
    paint_quantiles: Samples
    tone: float = 0.6
    """How far luma follows the curve of the painting."""
    hue: float = 1.0
    """How far colour follows that of the painting."""

    def apply(self, picture: Samples) -> Samples:
        """The picture (H, W, 3), working space, in the painting's colours; not clipped."""
        moved = (picture.reshape(-1, 3) - self.plate_mean) @ self.matrix.T + self.paint_mean
        moved = moved.reshape(picture.shape)
        luma = picture @ LUMA
        target = self.tone * np.interp(luma, self.plate_quantiles, self.paint_quantiles).astype(np.float32)
        target += (1 - self.tone) * luma
        toned = picture + (target - luma)[..., None]
        moved += (target - moved @ LUMA)[..., None]
        return np.asarray(self.hue * moved + (1 - self.hue) * toned, np.float32)


def fit_palette(
    plates: Sequence[Samples], paintings: Sequence[Samples], *, tone: float = 0.6, hue: float = 1.0
) -> Palette:
    """The map that carries the pooled colours of `plates` to those of `paintings`; all (H, W, 3), working space."""
    pool = np.concatenate([plate.reshape(-1, 3)[::23] for plate in plates])
    paint = np.concatenate([painting.reshape(-1, 3)[::7] for painting in paintings])
    plate_cov = np.cov(pool.T) + 1e-3 * np.eye(3)
    paint_cov = np.cov(paint.T) + 1e-4 * np.eye(3)
    root = _square_root(plate_cov)
    inverse = np.linalg.inv(root)
    matrix = inverse @ _square_root(root @ paint_cov @ root) @ inverse
    steps = np.linspace(0, 1, 257)
    return Palette(
        matrix.astype(np.float32),
        pool.mean(0).astype(np.float32),
        paint.mean(0).astype(np.float32),
        np.quantile(pool @ LUMA, steps).astype(np.float32),
        np.quantile(paint @ LUMA, steps).astype(np.float32),
        tone,
        hue,
    )


def _square_root(symmetric: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    values, vectors = np.linalg.eigh(symmetric)
    root: npt.NDArray[np.float64] = (vectors * np.sqrt(np.maximum(values, 1e-8))) @ vectors.T
    return root
