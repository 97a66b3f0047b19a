"""Plates and their painted counterparts, made once and kept as two folders of PNGs.

The painter sets strokes along the plate's orientation field in the painting's colours; a patch
pass then lays the painting's real paint into them. The target is a blend of the two: the painter's
share can be learned exactly, the paint's share gives it palette and surface.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch

from impasto.core.errors import TrainingError
from impasto.core.frame import Samples
from impasto.training.teachers.palette import Palette, fit_palette
from impasto.training.teachers.patches import PatchLook, put_paint
from impasto.training.teachers.strokes import StrokeLook, paint


@dataclass(frozen=True, slots=True)
class TeacherLook:
    """Everything that decides how a teacher paints."""

    strokes: StrokeLook = field(default_factory=lambda: StrokeLook(width=4.0, length=16.0, turn=6.0))
    patches: PatchLook = field(default_factory=lambda: PatchLook(evenness=0.04))
    paint_share: float = 0.5
    """How much of the target is real paint: 0 the painter alone, 1 the patch pass alone."""
    tone: float = 0.6
    hue: float = 0.8
    plate_side: int = 800
    """Plates are scaled to this long side before they are painted."""
    painting_side: int = 700


def paint_plate(plate: Samples, painting: Samples, palette: Palette, look: TeacherLook) -> Samples:
    """The target for one plate; pictures (H, W, 3) float32, working space, result in [0, 1]."""
    stroked = paint(plate, palette, look.strokes)
    if look.paint_share == 0:
        return stroked
    painted = put_paint(_to_tensor(stroked), _to_tensor(painting), look.patches)[0].permute(1, 2, 0).numpy()
    return np.asarray((1 - look.paint_share) * stroked + look.paint_share * painted, np.float32)


def make_pairs(
    plates: Sequence[Path],
    painting: Path,
    into: Path,
    look: TeacherLook,
    *,
    on_pair: Callable[[int, Path], None] = lambda done, path: None,
    share: tuple[int, int] = (0, 1),
) -> None:
    """Write `into`/before/NAME.png and `into`/after/NAME.png (8 bit sRGB) for every plate; those that exist stay.

    `share` (k, n) does every n-th plate from the k-th on, so that n processes can divide the work;
    the palette is fitted on all plates in any case. Raises TrainingError for what is no picture.
    """
    before, after = into / "before", into / "after"
    for folder in (before, after):
        folder.mkdir(parents=True, exist_ok=True)
    paint_picture = load_picture(painting, look.painting_side)
    palette = fit_palette([load_picture(path, 320) for path in plates], paint_picture, tone=look.tone, hue=look.hue)
    mine = list(plates)[share[0] :: share[1]]
    for done, path in enumerate(mine, 1):
        name = f"{path.stem}.png"
        if not (after / name).exists():
            plate = load_picture(path, look.plate_side)
            _save(before / name, plate)
            _save(after / name, paint_plate(plate, paint_picture, palette, look))
        on_pair(done, path)


def load_picture(path: Path, long_side: int) -> Samples:
    """An 8-bit picture as (H, W, 3) float32 sRGB in [0, 1], scaled down to `long_side` where it is longer."""
    stored = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if stored is None:
        raise TrainingError(
            f"expected a picture, could not read '{path}'; remove it from the plates or convert it to PNG"
        )
    scale = min(1.0, long_side / max(stored.shape[:2]))
    if scale < 1:
        stored = cv2.resize(stored, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    picture = np.ascontiguousarray(stored[..., ::-1], np.float32)
    picture /= 255
    return picture


def frames_of(movie: Path, count: int, into: Path) -> Iterable[Path]:
    """`count` frames spread over a movie, as PNGs in `into`."""
    capture = cv2.VideoCapture(str(movie))
    total = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    into.mkdir(parents=True, exist_ok=True)
    for index in np.linspace(0, total - 3, count).astype(int):
        capture.set(cv2.CAP_PROP_POS_FRAMES, int(index))
        read, picture = capture.read()
        if not read:
            raise TrainingError(f"expected {total} frames in '{movie}', frame {index} could not be read")
        path = into / f"{movie.stem}_{index:05d}.png"
        cv2.imwrite(str(path), picture)
        yield path


def _to_tensor(picture: Samples) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)[None]


def _save(path: Path, picture: Samples) -> None:
    stored = np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)
    cv2.imwrite(str(path), np.ascontiguousarray(stored[..., ::-1]))
