"""Metrics of a result that need no pretrained network.

Pictures are (H, W, 3) float32 in working space (sRGB-encoded Rec.709), as `impasto.core.display_picture.to_display`
returns them. The metric over time is in `impasto.core.flicker`. No metric says whether a picture is good. Together they
say whether it is blurred, whether it keeps the forms of the plate, how far its colour and texture are from the plate's,
and whether the network left a lattice.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from impasto.core.colour.plate import LUMA
from impasto.core.errors import UsageError
from impasto.core.frame import Samples

BANDS = 4
"""Levels of the Laplacian pyramid in `lap_swd`, one octave each, with the low-pass rest as the last."""
PATCH = 7
SLICES = 32
PLACES = 4096
LEAST_SPREAD = 0.01
"""Two and a half steps of 8 bits. A slice of the reference with less spread counts as flat (as in training)."""

NO_DETAIL = 1e-3
"""A smaller amplitude in a spectrum is nothing but rounding."""

COLOUR_CELL = 8
"""Side in pixels of the squares over which colour is averaged before it is compared, so that strokes do not count."""


def sharpness(picture: Samples) -> float:
    """Mean absolute luma difference between neighbours, down plus across; a side of one pixel adds 0."""
    luma = picture @ LUMA
    return sum(float(np.abs(steps).mean()) for axis in (0, 1) if (steps := np.diff(luma, axis=axis)).size)


def sharpness_ratio(result: Samples, plate: Samples) -> float:
    """Sharpness of a result over its plate's: below 1 it is blurred, above 1 it has strokes; NaN for a flat plate."""
    _check_sizes(result, plate)
    floor = sharpness(plate)
    return sharpness(result) / floor if floor > 0 else math.nan


def edge_cosine(result: Samples, plate: Samples) -> float:
    """Cosine between the luma gradients of two pictures after a 5x5 average: 1 where all forms are kept, 0 for none.

    The average removes strokes and leaves forms. The gradients of the whole picture are one vector, so strong edges
    weigh most. NaN if one picture is flat. This measure is our own: the cosine of gradient fields of image registration
    (Haber and Modersitzki, MICCAI 2006), with its sign and one norm for the whole picture.
    """
    _check_sizes(result, plate)
    ours, theirs = (_gradients(picture) for picture in (result, plate))
    length = float(np.linalg.norm(ours)) * float(np.linalg.norm(theirs))
    return float(np.vdot(ours, theirs)) / length if length > 0 else math.nan


def lap_swd(result: Samples, reference: Samples, *, seed: int = 0) -> float:
    """Distance between the textures of two pictures, whatever their places: 0 for the same distribution of patches.

    It is the sliced Wasserstein distance between 7x7 patches, for each band of a Laplacian pyramid (Rabin et al. 2011,
    doi:10.1007/978-3-642-24785-9_37; Heitz et al. 2021, arXiv:2006.07229). Each random slice is divided by the spread
    of the reference in it, so that strokes count as much as colour. The pictures may differ in size. `seed` draws
    slices and places: the same seed gives the same figure.
    """
    chance = np.random.default_rng(seed)
    total = 0.0
    for ours, theirs in zip(laplacian(result), laplacian(reference), strict=True):
        side = min(PATCH, *ours.shape[:2], *theirs.shape[:2])
        slices = chance.standard_normal((side * side * 3, SLICES), np.float32)
        slices /= np.linalg.norm(slices, axis=0)
        # Both have the same places, as fractions of the picture. That halves the variance of the estimate.
        places = chance.random((PLACES, 2))
        mine, yours = (np.sort(_patches(band, side, places) @ slices, axis=0) for band in (ours, theirs))
        total += float((np.abs(mine - yours).mean(axis=0) / (yours.std(axis=0) + LEAST_SPREAD)).mean())
    return total / BANDS


def laplacian(picture: Samples, bands: int = BANDS) -> list[Samples]:
    """Band-pass levels of a picture, finest first, and the low-pass rest (Burt and Adelson 1983, with 2x2 averages)."""
    levels: list[Samples] = []
    for _ in range(bands - 1):
        size = max(1, picture.shape[1] // 2), max(1, picture.shape[0] // 2)
        smaller = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        larger = cv2.resize(smaller, picture.shape[1::-1], interpolation=cv2.INTER_LINEAR)
        levels.append(np.asarray(picture - larger, np.float32))
        picture = np.asarray(smaller, np.float32)
    return [*levels, picture]


def colour_distance(result: Samples, reference: Samples) -> float:
    """Mean CIE 1976 colour difference (ΔE*ab, ISO/CIE 11664-4) between averages of 8x8 pixels, D65 white.

    About 2.3 is the smallest difference that people notice side by side (Mahy, Van Eycken and Oosterlinck,
    Color Research and Application 19, 1994). Values outside [0, 1] count as 0 or 1.
    """
    _check_sizes(result, reference)
    ours, theirs = (_lab(_averaged(picture)) for picture in (result, reference))
    return float(np.linalg.norm(ours - theirs, axis=2).mean())


def psnr(result: Samples, reference: Samples) -> float:
    """Peak signal-to-noise ratio in dB for a peak of 1; infinity for equal pictures.

    It is meant for results with one right answer, never as a measure of paint.
    """
    _check_sizes(result, reference)
    error = float(np.square(result - reference, dtype=np.float64).mean())
    return math.inf if error == 0 else -10 * math.log10(error)


def lattice(picture: Samples, period: int = 4) -> float:
    """How strong a pattern that repeats every `period` pixels is in the picture's spectrum: near 1 for none.

    Networks that shuffle pixels leave such patterns, faint on flat ground and fixed to the screen. The figure is the
    amplitude at the multiples of 1/period, down and across, divided by the median around each, as a mean. NaN for a
    picture with a side under 16 periods, or without any detail. This measure is our own. Compare it with the plate's,
    since windows and fences repeat as well.
    """
    rows, columns = (length // period * period for length in picture.shape[:2])
    if min(rows, columns) < 16 * period:
        return math.nan
    luma = np.asarray(picture[:rows, :columns] @ LUMA, np.float32)
    detail = luma - cv2.blur(luma, (2 * period + 1, 2 * period + 1), borderType=cv2.BORDER_REPLICATE)
    window = np.hanning(rows).astype(np.float32)[:, None] * np.hanning(columns).astype(np.float32)
    spectrum = np.abs(np.fft.fft2(detail * window))
    heights = []
    for row, column in np.ndindex(period, period):
        if row or column:
            centre = row * rows // period, column * columns // period
            ground = float(np.median(_around(spectrum, centre, 8)))
            heights.append(float(_around(spectrum, centre, 1).mean()) / ground if ground > NO_DETAIL else math.nan)
    return float(np.mean(heights))


def _around(spectrum: Samples, centre: tuple[int, int], radius: int) -> Samples:
    """The square around a frequency. It wraps around, because a spectrum is periodic."""
    rows, columns = (
        np.arange(middle - radius, middle + radius + 1) % length
        for middle, length in zip(centre, spectrum.shape, strict=True)
    )
    return spectrum[np.ix_(rows, columns)]


def _gradients(picture: Samples) -> Samples:
    luma = cv2.blur(np.asarray(picture @ LUMA, np.float32), (5, 5), borderType=cv2.BORDER_REPLICATE)
    down, across = np.diff(luma, axis=0)[:, :-1], np.diff(luma, axis=1)[:-1]
    return np.stack((down, across))


def _patches(band: Samples, side: int, places: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> Samples:
    """Patches with their top left corners at these places, (places, side * side * 3)."""
    windows = np.lib.stride_tricks.sliding_window_view(band, (side, side), axis=(0, 1))
    rows, columns = (places * windows.shape[:2]).astype(np.intp).T
    return np.ascontiguousarray(windows[rows, columns]).reshape(len(places), -1)


def _averaged(picture: Samples) -> Samples:
    size = tuple(max(1, length // COLOUR_CELL) for length in picture.shape[1::-1])
    return np.asarray(cv2.resize(np.clip(picture, 0, 1), size, interpolation=cv2.INTER_AREA), np.float32)


def _lab(picture: Samples) -> Samples:
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2Lab), np.float32)


def _check_sizes(result: Samples, plate: Samples) -> None:
    if result.shape != plate.shape:
        raise UsageError(
            f"expected two pictures of one size, got {result.shape[1]}x{result.shape[0]} and "
            f"{plate.shape[1]}x{plate.shape[0]}; compare a plate with its own result"
        )
