"""Before and after pictures, in memory, and random crops of both at the same place."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from impasto.core.errors import TrainingError
from impasto.core.frame import Frame
from impasto.core.working_picture import WorkingPicture
from impasto.training.data.keyframes import in_light_of, laid_in, mask_in, relative, spread
from impasto.training.data.pictures import as_stored, picture_files, read_one, seen_in
from impasto.training.data.shots import FRAMES, is_shot, numbered_frames, same_numbers
from impasto.training.distributed import Team

TRIES = 12
"""Places that are drawn in search of one with enough that is judged."""
ENOUGH = 0.2
"""Part of a crop that must be judged."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One picture before and after, (3, H, W) uint8 or float16, working space, of the same size.

    `style` counts the styles of a network that holds several, from 0.
    """

    name: str
    before: Tensor
    after: Tensor
    judged: Tensor | None = None
    """Where it may be learned from, (1, H, W) bool; None for everywhere."""
    style: int = 0


@dataclass(frozen=True, slots=True)
class Crops:
    """A batch at one place of each pair: (N, 3, crop, crop) float32, and where it may be judged (N, 1, crop, crop).

    `styles`, (N) int64, says in which style each is painted; None stands for the first. `guides` are the guide planes
    at the same places, (N, planes, crop, crop) float32, None for none.
    """

    before: Tensor
    after: Tensor
    judged: Tensor
    styles: Tensor | None = None
    guides: Tensor | None = None

    def to(self, device: torch.device) -> Crops:
        """The batch where the networks are, in the memory order that convolutions like."""
        before, after, judged, guides = (
            None if tensor is None else tensor.to(device, memory_format=torch.channels_last, non_blocking=True)
            for tensor in (self.before, self.after, self.judged, self.guides)
        )
        assert before is not None
        assert after is not None
        assert judged is not None
        return Crops(before, after, judged, None if self.styles is None else self.styles.to(device), guides)

    def shared(self, mates: Team) -> Crops:
        """The part of the batch that this process learns from."""
        styles, guides = (None if each is None else mates.share(each) for each in (self.styles, self.guides))
        return Crops(mates.share(self.before), mates.share(self.after), mates.share(self.judged), styles, guides)


def load_pairs(
    before: str | Path,
    after: str | Path,
    masks: str | Path | None = None,
    *,
    frames: int = FRAMES,
    input_space: str | None = None,
) -> list[Pair]:
    """Pictures of two folders by their names, or frames of movies and sequences by their numbers.

    Of two shots `frames` are taken, spread over them; a folder of numbered pictures beside a shot is used whole. Where
    there is a mask of the same name or number, black is not judged. `input_space` names the space of float samples.

    Raises TrainingError for an unmatched, unreadable or differently sized picture, naming it, and MediaError for a
    shot that cannot be read.
    """
    sources = [str(source) for source in (before, after) if is_shot(str(source))]
    if sources:
        return list(
            _pairs_by_number(str(before), str(after), None if masks is None else str(masks), frames, input_space)
        )
    return _pairs_by_name(Path(before), Path(after), None if masks is None else Path(masks), input_space)


def _pairs_by_name(before: Path, after: Path, masks: Path | None, input_space: str | None) -> list[Pair]:
    befores, afters = picture_files(before), picture_files(after)
    lonely = sorted(befores.keys() ^ afters.keys())
    if lonely:
        where = after if lonely[0] in befores else before
        raise TrainingError(
            f"expected every picture in both folders under the same name, '{lonely[0]}' is missing in '{where}'"
            + (f" and {len(lonely) - 1} more are unmatched" if len(lonely) > 1 else "")
            + "; rename or remove it"
        )
    mattes = {} if masks is None else picture_files(masks)
    unused = sorted(mattes.keys() - befores.keys())
    if unused or (masks is not None and not mattes):
        raise TrainingError(
            f"expected masks in '{masks}' named like the pictures, "
            + (f"'{unused[0]}' is like none; rename or remove it" if unused else "found none; check the path")
        )
    pairs = []
    for stem in sorted(befores):
        mask = mattes.get(stem)
        matte = None if mask is None else read_one(mask, "mask")
        plate, target = (read_one(files[stem], "training picture") for files in (befores, afters))
        pairs.append(paired(stem, plate, target, matte, input_space))
    if not pairs:
        raise TrainingError(
            f"expected pictures in '{before}', found none; give folders of PNG, JPEG, TIFF or EXR files, "
            "movies or sequences"
        )
    return pairs


def _pairs_by_number(
    before: str, after: str, masks: str | None, frames: int, input_space: str | None
) -> Iterator[Pair]:
    ours, theirs = numbered_frames(before, "picture"), numbered_frames(after, "picture")
    numbers = same_numbers(ours, theirs)
    if ours.files is None and theirs.files is None:
        numbers = spread(numbers, frames)
    mattes = None if masks is None else numbered_frames(masks, "mask")
    if mattes is not None:
        lacking = [number for number in numbers if number not in mattes.numbers]
        if mattes.files is None and lacking:
            raise TrainingError(f"expected a mask for frame {lacking[0]}, got {mattes.said()}; render the others too")
    masked = [] if mattes is None else [number for number in numbers if number in mattes.numbers]
    if mattes is not None and not masked:
        raise TrainingError(f"expected masks for frames {numbers[0]}-{numbers[-1]}, got {mattes.said()}; renumber them")
    matte_frames = iter(()) if mattes is None else mattes.read(masked)
    wanted = set(masked)
    for number, plate, target in zip(numbers, ours.read(numbers), theirs.read(numbers), strict=True):
        matte = next(matte_frames) if number in wanted else None
        yield paired(f"{number:05}", plate, target, matte, input_space)


def paired(name: str, plate: Frame, target: Frame, mask: Frame | None, input_space: str | None) -> Pair:
    """Two frames as a pair, in the data window of the plate.

    Float targets are kept as the network must answer so that the render equals them, whatever light is carried around
    it. Not judged is what is black in the mask, what lies outside the target's data window, and all that is near NaN or
    infinity. Raises TrainingError for sizes that differ, and where nothing is left to judge.
    """
    size, other = plate.part.display_window, target.part.display_window
    if (size.width, size.height) != (other.width, other.height):
        raise TrainingError(
            f"expected before and after of one size, got {size.width}x{size.height} and "
            f"{other.width}x{other.height} for '{name}'; scale one to the other"
        )
    seen, wanted = seen_in(plate, input_space), seen_in(target, input_space)
    judged = np.ones(seen.picture.shape[:2], bool)
    if relative(target) != relative(plate):
        judged &= laid_in(np.ones(wanted.picture.shape[:2], bool), target, plate)
    for each in (seen, wanted):
        if each.residual is not None and each.residual.invalid is not None:
            near = cv2.dilate(each.residual.invalid.astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
            judged &= ~laid_in(near, each.frame, plate)
    if mask is not None:
        judged &= mask_in(mask, name, plate)
        if not judged.any():
            raise TrainingError(f"expected something to learn in '{name}', its mask leaves nothing; check the mask")
    everywhere = bool(judged.all())
    return Pair(
        name,
        as_stored(seen),
        _answer(seen, wanted),
        judged=None if everywhere else torch.from_numpy(judged.copy())[None],
    )


def _answer(plate: WorkingPicture, target: WorkingPicture) -> Tensor:
    if np.issubdtype(target.frame.part.pixels.dtype, np.floating) and target.residual is not None:
        picture = in_light_of(plate, target)
    elif relative(target.frame) == relative(plate.frame):
        return as_stored(target)
    else:
        picture = target.picture
    laid = laid_in(picture, target.frame, plate.frame).astype(np.float16)
    return torch.from_numpy(laid).permute(2, 0, 1).contiguous()


def digest(pairs: Sequence[Pair]) -> str:
    """SHA-256 over all pictures, for the card: which data a style was trained on."""
    total = hashlib.sha256()
    for pair in pairs:
        total.update(f"{pair.name}{pair.style or ''}".encode())
        for picture in (pair.before, pair.after, *(() if pair.judged is None else (pair.judged,))):
            total.update(picture.contiguous().view(torch.uint8).numpy().tobytes())
    return total.hexdigest()


def draw_crops(pairs: Sequence[Pair], count: int, size: int, rim: int, generator: torch.Generator) -> Crops:
    """`count` random crops; a rim that is not judged is left where the picture goes on beyond the crop.

    At the true edge of a picture everything is judged: there the network sees what it will see in
    a render. Edges are drawn a little more often than the middle, so that they are learned too.
    """
    befores, afters, judged, styles = [], [], [], []
    for _ in range(count):
        pair = pairs[int(torch.randint(len(pairs), (), generator=generator))]
        styles.append(pair.style)
        place = draw_place(pair.before, size, rim, generator)
        seen = place.judged
        if pair.judged is not None:
            place, seen = draw_judged(pair.judged, place, size, rim, generator)
        befores.append(pair.before[:, place.rows, place.columns])
        afters.append(pair.after[:, place.rows, place.columns])
        judged.append(seen)
    return Crops(
        as_float(torch.stack(befores)), as_float(torch.stack(afters)), torch.stack(judged), torch.tensor(styles)
    )


@dataclass(frozen=True, slots=True)
class Place:
    """Where a crop lies in its picture, and where it may be judged: (1, size, size) of ones and zeros."""

    rows: slice
    columns: slice
    judged: Tensor


def draw_place(picture: Tensor, size: int, rim: int, generator: torch.Generator) -> Place:
    """A random place for a square crop in a picture (C, H, W); its rim is judged at the picture's true edges alone."""
    height, width = picture.shape[1:]
    top = _draw_offset(height, size, rim, generator)
    left = _draw_offset(width, size, rim, generator)
    judged = torch.ones(1, size, size)
    if top > 0:
        judged[:, :rim] = 0
    if top + size < height:
        judged[:, -rim:] = 0
    if left > 0:
        judged[:, :, :rim] = 0
    if left + size < width:
        judged[:, :, -rim:] = 0
    return Place(slice(top, top + size), slice(left, left + size), judged)


def draw_judged(wanted: Tensor, place: Place, size: int, rim: int, generator: torch.Generator) -> tuple[Place, Tensor]:
    """A place with enough to judge and where: the first one, unless (1, H, W) `wanted` leaves too little of it."""
    seen = place.judged * wanted[:, place.rows, place.columns]
    for _ in range(TRIES):
        if seen.mean() >= ENOUGH:
            break
        other = draw_place(wanted, size, rim, generator)
        more = other.judged * wanted[:, other.rows, other.columns]
        if more.sum() > seen.sum():
            place, seen = other, more
    return place, seen


def _draw_offset(length: int, size: int, rim: int, generator: torch.Generator) -> int:
    room = length - size
    return min(max(int(torch.randint(-rim, room + rim + 1, (), generator=generator)), 0), room)


def as_float(stored: Tensor) -> Tensor:
    """A stored picture as float32 in [0, 1]."""
    return stored.float() / 255 if stored.dtype == torch.uint8 else stored.float()
