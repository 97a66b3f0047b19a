"""Paint for what no key shows, made of pieces of the keys' own paint: guided patch synthesis.

Pieces as large as a stroke are laid from the rim of the known paint inwards. Each comes from a place of a key where the
plate and the network's painting are alike, and continues the paint that is there already; it meets its neighbours where
they differ least (Efros and Freeman 2001, doi:10.1145/383259.383296; guides as in Hertzmann et al. 2001,
doi:10.1145/383259.383295). Where the drawing asks for it, smaller pieces follow. There is no chance in it, and places
are compared in whole numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from impasto.core.frame import Samples

PIECES = (32, 16)
"""Sides of the pieces, in pixels of the compared size, in the order in which they are laid."""
GUIDED = 4
"""How many times smaller the pictures are in which places are searched."""
OFFERED, REFINED = 10, 2
"""Places that are compared with the paint around, and of these the best, which are moved to where they suit most."""
LEAST_REPEATED = 60.0
"""Cost, in squares of 1/255, that a use adds at least."""
REPEATED = 0.6
"""How much less a place is worth for having been used, as a share of the middle cost."""
CONTINUES = 0.6
"""Weight of the paint around against the guides."""
NEARER = 0.02
"""Cost, in squares of 1/255, of each pixel that a place lies away from where it is laid."""
DRAWN = 14.0
"""Difference of the guides, in 1/255, from which smaller pieces are laid."""
UNLIKE, NOTHING_LIKE = 24.0, 60.0
"""Difference of the guides up to which a piece belongs, and from which it does not: there the network paints."""

DRAWING = 0.02
"""How much more a difference counts for each 1/255 by which a plate changes from pixel to pixel: an eye, not a wall."""

Mask = npt.NDArray[np.bool_]
Places = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class PatchSource:
    """A key that lends pieces: plate, the network's painting of it, and paint, (h, w, 3); where it has any, (h, w)."""

    plate: Samples
    painting: Samples
    paint: Samples
    held: Samples


@dataclass(frozen=True, slots=True)
class Laid:
    """For each pixel (h, w), the key and the row and column in it that its paint comes from; key -1 for none.

    `belongs` is how well the piece suits the place, in [0, 1].
    """

    key: Places
    row: Places
    column: Places
    belongs: Samples


def laid_pieces(
    plate: Samples, painting: Samples, around: Samples, missing: Mask, sources: Sequence[PatchSource]
) -> Laid:
    """Where the paint of the missing pixels comes from; all pictures (h, w, 3), of the compared size.

    `around` is the frame's paint where it is known.
    """
    work = _Work(plate, painting, around, missing, sources)
    for side in PIECES:
        if min(missing.shape) < 2 * side:
            continue
        work.lay(side)
    return work.laid()


def gathered(laid: Laid, pictures: Sequence[Samples], size: tuple[int, int]) -> Samples:
    """Pictures of the keys (H, W, C), brought together as the pieces lie, at their size; 0 where nothing was laid."""
    height, width = laid.key.shape
    scale_y, scale_x = size[0] / height, size[1] / width
    offsets = np.stack((laid.column - np.arange(width), laid.row - np.arange(height)[:, None]), axis=2)
    offsets = np.asarray(_nearest(offsets.astype(np.float32), size) * np.array([scale_x, scale_y]), np.float32)
    key = _nearest(laid.key.astype(np.float32), size)
    x = offsets[..., 0] + np.arange(size[1], dtype=np.float32)
    y = offsets[..., 1] + np.arange(size[0], dtype=np.float32)[:, None]
    result = np.zeros((*size, pictures[0].shape[2]), np.float32)
    for index, picture in enumerate(pictures):
        there = cv2.remap(picture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        result = np.where((key == index)[..., None], there, result)
    return np.asarray(result, np.float32)


class _Work:
    """The canvas on which pieces are laid."""

    def __init__(
        self, plate: Samples, painting: Samples, around: Samples, missing: Mask, sources: Sequence[PatchSource]
    ) -> None:
        self._missing = missing
        self._canvas = _codes(around)
        self._known = ~missing
        self._fine = _guides(plate, painting)
        self._sources = [(_guides(each.plate, each.painting), _codes(each.paint)) for each in sources]
        self._small = [_shrunk(guides) for guides, _ in self._sources]
        self._held = [each.held for each in sources]
        self._used = [np.zeros(each.shape[:2], np.float32) for each in self._small]
        self._key = np.full(missing.shape, -1, np.int32)
        self._row, self._column = (each.astype(np.int32) for each in np.mgrid[: missing.shape[0], : missing.shape[1]])
        self._weight = np.zeros(missing.shape, np.float32)

    def lay(self, side: int) -> None:
        """Lay pieces of a side wherever paint is missing, or where those that lie there draw otherwise."""
        wanted = self._missing & (self._key < 0)
        if side != PIECES[0]:
            wanted |= self._missing & (self._off() > DRAWN)
        small = _shrunk(self._fine)
        hollow = cv2.distanceTransform(np.pad(self._missing.astype(np.uint8), 1), cv2.DIST_L2, 3)[1:-1, 1:-1]
        step, (height, width) = side // 2, wanted.shape
        corners = [
            (float(hollow[top : top + side, left : left + side].max()), top, left)
            for top in sorted({*range(0, height - side + 1, step), height - side})
            for left in sorted({*range(0, width - side + 1, step), width - side})
            if wanted[top : top + side, left : left + side].mean() > 0.05
        ]
        held = [self._whole(each, side) for each in self._held]
        if not any(each.any() for each in held):
            return
        bell = _bell(side)
        for _, top, left in sorted(corners):
            key, row, column = self._place(side, top, left, small, held)
            self._put(side, top, left, key, row, column, bell)

    def laid(self) -> Laid:
        """What lies on the canvas, pieces that do not belong left out."""
        luma = self._fine[..., :3].mean(axis=2, dtype=np.float32)
        across, down = (cv2.Sobel(luma, cv2.CV_32F, way, 1 - way, scale=1 / 8) for way in (1, 0))
        drawing = cv2.GaussianBlur(cv2.magnitude(across, down), (0, 0), 3)
        off = cv2.GaussianBlur(self._off(), (0, 0), 4) * (1 + DRAWING * drawing)
        belongs = np.clip((NOTHING_LIKE - off) / (NOTHING_LIKE - UNLIKE), 0, 1) * (self._key >= 0)
        return Laid(self._key, self._row, self._column, np.asarray(belongs, np.float32))

    def _whole(self, held: Samples, side: int) -> Mask:
        """The small places from which a whole piece may be taken."""
        small = _shrunk(held) > 0.98
        span = side // GUIDED
        counts = cv2.boxFilter(small.astype(np.float32), -1, (span, span), anchor=(0, 0), normalize=True)
        rows, columns = small.shape[0] - span + 1, small.shape[1] - span + 1
        return np.asarray(counts[:rows, :columns] > 0.999)

    def _place(self, side: int, top: int, left: int, small: Samples, held: list[Mask]) -> tuple[int, int, int]:
        """The key and the corner of the best piece for a corner."""
        offers = self._offers(side, top, left, small, held)
        area = np.s_[top : top + side, left : left + side]
        seen = (self._known[area] | (self._key[area] >= 0))[::2, ::2]
        canvas, fine = (each[area][::2, ::2].astype(np.int32) for each in (self._canvas, self._fine))

        def cost(corner: tuple[int, int, int]) -> float:
            """How far a piece is from the guides, and from the paint that it meets."""
            key, row, column = corner
            coded, paint = self._sources[key]
            there = np.s_[row : row + side : 2, column : column + side : 2]
            guide = float(np.square(coded[there].astype(np.int32) - fine).mean())
            meeting = np.square(paint[there].astype(np.int32) - canvas)[seen]
            return round(guide + CONTINUES * float(meeting.sum()) / (3 * seen.size), 3)

        def moved(corner: tuple[int, int, int], down: int, across: int) -> tuple[int, int, int]:
            key, row, column = corner
            height, width = self._missing.shape
            return key, min(max(0, row + down), height - side), min(max(0, column + across), width - side)

        rows, columns = top % GUIDED, left % GUIDED
        corners = [moved((key, y * GUIDED + rows, x * GUIDED + columns), 0, 0) for _, key, y, x in offers[:OFFERED]]
        corners = sorted(corners, key=cost)[:REFINED]
        corners = [moved(corner, down, across) for corner in corners for down in (-2, 0, 2) for across in (-2, 0, 2)]
        best = min(corners, key=cost)
        used, span = self._used[best[0]], side // GUIDED
        y, x = best[1] // GUIDED, best[2] // GUIDED
        weight = max(LEAST_REPEATED, offers[len(offers) // 2][0])
        used[max(0, y - span // 2) : y + span // 2, max(0, x - span // 2) : x + span // 2] += weight
        return best

    def _offers(
        self, side: int, top: int, left: int, small: Samples, held: list[Mask]
    ) -> list[tuple[float, int, int, int]]:
        """Cost, key, and small row and column of the places that suit a corner best by the guides, the best first."""
        span = side // GUIDED
        row, column = min(top // GUIDED, small.shape[0] - span), min(left // GUIDED, small.shape[1] - span)
        wanted = small[row : row + span, column : column + span]
        offers: list[tuple[float, int, int, int]] = []
        for key, guides in enumerate(self._small):
            halves = [
                cv2.matchTemplate(
                    np.ascontiguousarray(guides[..., part]), np.ascontiguousarray(wanted[..., part]), cv2.TM_SQDIFF
                )
                for part in (slice(0, 3), slice(3, 6))
            ]
            rows, columns = halves[0].shape
            away = np.abs(np.arange(rows) - row)[:, None] + np.abs(np.arange(columns) - column)
            cost = np.add(*halves) / (6 * span * span) + NEARER * GUIDED * away
            cost = cost + self._used[key][:rows, :columns] * REPEATED
            cost = np.rint(16 * np.maximum(cost, 0)) / 16
            cost[~held[key][:rows, :columns]] = np.inf
            for _ in range(OFFERED):
                y, x = divmod(int(cost.argmin()), columns)
                if not np.isfinite(cost[y, x]):
                    break
                offers.append((float(cost[y, x]), key, y, x))
                cost[max(0, y - 2) : y + 3, max(0, x - 2) : x + 3] = np.inf
        return sorted(offers)

    def _put(self, side: int, top: int, left: int, key: int, row: int, column: int, bell: Samples) -> None:
        """Lay one piece: it takes the pixels that nothing lies on, and of others those where it is nearer its middle.

        The edge between two pieces runs where they differ least.
        """
        area = np.s_[top : top + side, left : left + side]
        piece = self._sources[key][1][row : row + side, column : column + side]
        off = np.abs(piece.astype(np.int32) - self._canvas[area]).max(axis=2).astype(np.float32)
        resists = np.where(self._key[area] >= 0, self._weight[area] + 0.004 * cv2.blur(off, (3, 3)), -1)
        takes = self._missing[area] & (bell > resists)
        self._canvas[area][takes] = piece[takes]
        self._key[area][takes], self._weight[area][takes] = key, bell[takes]
        rows, columns = np.mgrid[row : row + side, column : column + side]
        self._row[area][takes], self._column[area][takes] = rows[takes], columns[takes]

    def _off(self) -> Samples:
        """How far the guides of what lies here differ from what is wanted, in 1/255."""
        there = self._fine.copy()
        for key, (guides, _) in enumerate(self._sources):
            where = self._key == key
            there[where] = guides[self._row[where], self._column[where]]
        off = np.abs(there.astype(np.float32) - self._fine).max(axis=2)
        return np.asarray(cv2.blur(off, (7, 7)), np.float32)


def _bell(side: int) -> Samples:
    ramp = 1 - np.abs((np.arange(side) + 0.5) * 2 / side - 1)
    return np.asarray(np.minimum(ramp[:, None], ramp), np.float32)


def _guides(plate: Samples, painting: Samples) -> npt.NDArray[np.uint8]:
    """What pieces are chosen by, (h, w, 6)."""
    return _codes(np.concatenate([cv2.GaussianBlur(each, (0, 0), 1.5) for each in (plate, painting)], axis=2))


def _codes(picture: Samples) -> npt.NDArray[np.uint8]:
    return np.asarray(np.rint(np.clip(picture, 0, 1) * 255), np.uint8)


def _shrunk(picture: npt.NDArray[np.uint8] | Samples) -> Samples:
    size = picture.shape[1] // GUIDED, picture.shape[0] // GUIDED
    return np.asarray(cv2.resize(picture.astype(np.float32), size, interpolation=cv2.INTER_AREA), np.float32)


def _nearest(plane: Samples, size: tuple[int, int]) -> Samples:
    if plane.shape[:2] == size:
        return plane
    return np.asarray(cv2.resize(plane, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT), np.float32)
