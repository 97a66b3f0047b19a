"""What the codes of a movie mean, and codes beyond those of black and white."""

from __future__ import annotations

from dataclasses import dataclass

import av
import cv2
import numpy as np
import numpy.typing as npt

from impasto.core.frame import Excess, Pixels, Samples
from impasto.core.media.movie_planes import codes_of, lines_of

_LUMA_OF = {1: (0.2126, 0.0722), 4: (0.30, 0.11), 5: (0.299, 0.114), 7: (0.212, 0.087), 9: (0.2627, 0.0593)}
"""The scaler's matrix -> what red and blue weigh in luma (ITU-T H.273, table 4)."""

_Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Coding:
    """How codes of so many bits mean R'G'B': the range and the matrix, in the scaler's numbering."""

    bits: int
    full_range: bool
    matrix: int

    def to_rgb(self, white: float) -> _Floats:
        """(3, 4): Y, Cb, Cr and 1 to R'G'B' whose white is at `white` (ITU-T H.273, equations 23 to 31)."""
        red, blue = _LUMA_OF[self.matrix]
        green = 1 - red - blue
        to_blue, to_red = 2 * (1 - blue), 2 * (1 - red)
        matrix = np.array([[1, 0, to_red], [1, -to_blue * blue / green, -to_red * red / green], [1, to_blue, 0]])
        scaled = matrix * white / np.array(self._spans())
        return np.column_stack([scaled, -scaled @ np.array(self.neutral)])

    def from_rgb(self) -> _Floats:
        """(3, 3): R'G'B' differences in units of white to differences of codes."""
        return np.asarray(np.linalg.inv(self.to_rgb(1.0)[:, :3]), np.float64)

    @property
    def neutral(self) -> tuple[float, float, float]:
        """The codes of black."""
        middle = float(1 << (self.bits - 1))
        return (0.0 if self.full_range else float(16 << (self.bits - 8)), middle, middle)

    def _spans(self) -> tuple[float, float, float]:
        if self.full_range:
            return ((1 << self.bits) - 1.0,) * 3
        chroma = float(224 << (self.bits - 8))
        return (float(219 << (self.bits - 8)), chroma, chroma)


def put_excess(frame: av.VideoFrame, pixels: Pixels, excess: Excess, coding: Coding) -> Excess | None:
    """Write the codes of pixels with excess into a frame that holds them clipped, and return what it cannot hold.

    A colour that has no codes is moved towards the clipped one until it has: players, which clip, show both alike.
    """
    forth, top = coding.from_rgb(), (1 << coding.bits) - 1
    colour = pixels.reshape(-1, pixels.shape[2]).take(excess.places, axis=0)[None, :, :3].astype(np.float32)
    scaled = np.column_stack([forth / np.iinfo(pixels.dtype).max, coding.neutral])
    inside = np.asarray(cv2.transform(colour, scaled), np.float32)
    beyond = np.asarray(cv2.transform(np.ascontiguousarray(excess.amount)[None], forth), np.float32)
    share = _share_that_fits(inside, beyond, top)
    if share is not None:
        beyond *= share
    luma, lines = codes_of(frame, 0), lines_of(frame, 0)
    row = excess.places // luma.shape[1]
    codes = inside[0, :, 0] + beyond[0, :, 0]
    lines.reshape(-1)[excess.places + row * (lines.shape[1] - luma.shape[1])] = np.rint(codes).clip(0, top)
    for index in (1, 2) if len(frame.planes) >= 3 else ():
        chroma = codes_of(frame, index)
        across, down = (-(-full // part) for full, part in zip(luma.shape[::-1], chroma.shape[::-1], strict=True))
        chroma_row = row >> down.bit_length() - 1
        place = (excess.places - row * luma.shape[1] >> across.bit_length() - 1) + chroma_row * chroma.shape[1]
        moved = np.zeros(chroma.size, np.float32)
        np.add.at(moved, place, beyond[0, :, index] / np.float32(across * down))
        codes, lines = moved[place], lines_of(frame, index)
        place += chroma_row * (lines.shape[1] - chroma.shape[1])
        codes += lines.reshape(-1)[place]
        lines.reshape(-1)[place] = np.rint(codes).clip(0, top)
    if share is None:
        return None
    return Excess(excess.places, np.asarray(excess.amount * (1 - share[0]), np.float32))


def _share_that_fits(inside: Samples, beyond: Samples, top: int) -> Samples | None:
    """How much of `beyond` can be added to codes (1, N, 3) that lie within 0 and `top`; None where all of it can."""
    whole = inside + beyond
    if whole.min() >= -0.5 and whole.max() <= top + 0.5:
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        room = np.where(beyond > 0, top - inside, inside) / np.abs(beyond)
    return np.asarray(np.nan_to_num(room, nan=1.0).min(axis=2, keepdims=True).clip(0, 1), np.float32)
