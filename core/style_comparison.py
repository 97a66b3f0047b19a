"""Comparison of two styles on one clip, measured frame by frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from impasto.core.errors import UsageError
from impasto.core.flicker import PlateMotion
from impasto.core.frame import Samples
from impasto.core.metrics import colour_distance, edge_cosine, lap_swd, lattice, psnr, sharpness_ratio


@dataclass(frozen=True, slots=True)
class Figures:
    """Metrics of a result against its plate, as means over the frames; None where undefined."""

    warp_error: float | None
    """Change along the plate's motion in 1/255 (`impasto.core.flicker`); None for a clip of one frame."""
    sharpness: float | None
    """Ratio to the plate's."""
    edge_cosine: float | None
    lap_swd: float | None
    """Distance of the texture from the plate's."""
    colour_distance: float | None
    """ΔE*ab from the plate."""
    lattice: float | None


@dataclass(frozen=True, slots=True)
class PlateFigures:
    """Metrics of the plate itself, as means over the frames; None where undefined."""

    warp_error: float | None
    """The floor: below it a result is blurred."""
    lattice: float | None


@dataclass(frozen=True, slots=True)
class Difference:
    """The second result against the first, as means over the frames; None where undefined."""

    psnr: float | None
    """In dB; None for equal pictures as well."""
    lap_swd: float | None
    colour_distance: float | None


@dataclass(frozen=True, slots=True)
class Findings:
    """The result of a comparison."""

    frames: int
    plate: PlateFigures
    first: Figures
    second: Figures
    difference: Difference


class Comparison:
    """Running means over a clip. It holds only the last frame, so that a clip may have any length."""

    def __init__(self) -> None:
        self._frames = 0
        self._sums: dict[tuple[str, str], tuple[float, int]] = {}
        self._last: tuple[Samples, Samples, Samples] | None = None

    def add(self, plate: Samples, first: Samples, second: Samples) -> None:
        """Measure one frame: three pictures (H, W, 3) float32, working space, of one size. Frames come in order.

        Raises UsageError where a size differs.
        """
        if not plate.shape == first.shape == second.shape:
            raise UsageError(
                f"expected results of the plate's size, got {first.shape} and {second.shape} for {plate.shape}"
            )
        self._frames += 1
        self._note("plate", "lattice", lattice(plate))
        for name, result in (("first", first), ("second", second)):
            self._note(name, "sharpness", sharpness_ratio(result, plate))
            self._note(name, "edge_cosine", edge_cosine(result, plate))
            self._note(name, "lap_swd", lap_swd(result, plate))
            self._note(name, "colour_distance", colour_distance(result, plate))
            self._note(name, "lattice", lattice(result))
        self._note("difference", "psnr", psnr(second, first))
        self._note("difference", "lap_swd", lap_swd(second, first))
        self._note("difference", "colour_distance", colour_distance(second, first))
        pictures = (plate, first, second)
        if self._last is not None:
            motion = PlateMotion(self._last[0], plate)
            for name, before, after in zip(("plate", "first", "second"), self._last, pictures, strict=True):
                self._note(name, "warp_error", 255 * motion.error(before, after))
        self._last = pictures

    def cut(self) -> None:
        """The next frame does not follow the last one: no motion leads from one to the other."""
        self._last = None

    def findings(self) -> Findings:
        """The means so far."""
        names = ("warp_error", "sharpness", "edge_cosine", "lap_swd", "colour_distance", "lattice")
        first, second = (Figures(*(self._mean(of, name) for name in names)) for of in ("first", "second"))
        between = Difference(*(self._mean("difference", name) for name in ("psnr", "lap_swd", "colour_distance")))
        plate = PlateFigures(self._mean("plate", "warp_error"), self._mean("plate", "lattice"))
        return Findings(self._frames, plate, first, second, between)

    def _note(self, of: str, name: str, value: float) -> None:
        if np.isfinite(value):
            total, count = self._sums.get((of, name), (0.0, 0))
            self._sums[of, name] = (total + value, count + 1)

    def _mean(self, of: str, name: str) -> float | None:
        total, count = self._sums.get((of, name), (0.0, 0))
        return round(total / count, 5) if count else None
