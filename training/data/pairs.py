"""Before and after pictures, in memory, and random crops of both at the same place."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from impasto.core.errors import TrainingError
from impasto.core.frame import Frame
from impasto.core.working_picture import WorkingPicture
from impasto.training.data.data_windows import mask_of, near_invalid, relative_window, target_for, to_window_of
from impasto.training.data.pictures import (
    DamagedPictures,
    as_float,
    as_stored,
    no_note,
    picture_files,
    read_one,
    seen_in,
)
from impasto.training.data.shots import FRAMES, is_shot, numbered_frames, same_numbers, spread
from impasto.training.distributed import ProcessGroup

TRIES = 12
"""Windows that are drawn in search of one with enough to learn from."""
ENOUGH = 0.2
"""Share of a crop that its loss mask must keep."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One picture before and after, (3, H, W) uint8 or float16, working space, of the same size.

    `style` counts the styles of a network that holds several, from 0.
    """

    name: str
    before: Tensor
    after: Tensor
    loss_mask: Tensor | None = None
    """Where there is something to learn, (1, H, W) bool; None for everywhere."""
    style: int = 0


@dataclass(frozen=True, slots=True)
class Crops:
    """A batch, one window of each pair: (N, 3, crop, crop) float32, with its loss mask (N, 1, crop, crop).

    `styles`, (N) int64, is the style in which each is painted; None stands for the first. `guides` are the guide planes
    in the same windows, (N, planes, crop, crop) float32, None for none.
    """

    before: Tensor
    after: Tensor
    loss_mask: Tensor
    styles: Tensor | None = None
    guides: Tensor | None = None

    def to(self, device: torch.device) -> Crops:
        """The batch where the networks are, in the memory order of the convolutions."""
        before, after, loss_mask, guides = (
            None if tensor is None else tensor.to(device, memory_format=torch.channels_last, non_blocking=True)
            for tensor in (self.before, self.after, self.loss_mask, self.guides)
        )
        assert before is not None
        assert after is not None
        assert loss_mask is not None
        return Crops(before, after, loss_mask, None if self.styles is None else self.styles.to(device), guides)

    def shard(self, group: ProcessGroup) -> Crops:
        """The part of the batch that this process learns from."""
        styles, guides = (None if each is None else group.shard(each) for each in (self.styles, self.guides))
        return Crops(group.shard(self.before), group.shard(self.after), group.shard(self.loss_mask), styles, guides)


def load_pairs(
    before: str | Path,
    after: str | Path,
    masks: str | Path | None = None,
    *,
    frames: int = FRAMES,
    input_space: str | None = None,
    on_note: Callable[[str], None] = no_note,
) -> list[Pair]:
    """Pictures of two folders by their names, or frames of movies and sequences by their numbers.

    Of two shots `frames` are taken, spread over them; a folder of numbered pictures beside a shot is used whole. The
    run does not learn what is black in a mask of the same name or number. `input_space` names the space of floats.

    Pictures of folders that cannot be read are named all at once: left out with a note to `on_note` where they are few
    (`MOST_DAMAGED`), else a TrainingError. It is raised for an unmatched or differently sized picture too, naming it;
    MediaError for a shot that cannot be read.
    """
    sources = [str(source) for source in (before, after) if is_shot(str(source))]
    if sources:
        return list(
            _pairs_by_number(str(before), str(after), None if masks is None else str(masks), frames, input_space)
        )
    return _pairs_by_name(Path(before), Path(after), None if masks is None else Path(masks), input_space, on_note)


def _pairs_by_name(
    before: Path, after: Path, masks: Path | None, input_space: str | None, on_note: Callable[[str], None]
) -> list[Pair]:
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
    damaged = DamagedPictures(on_note)
    for stem in sorted(befores):
        frames = damaged.read(stem, partial(_read_pair, befores[stem], afters[stem], mattes.get(stem)))
        if frames is not None:
            pairs.append(paired(stem, *frames, input_space))
    damaged.settle()
    if not pairs:
        raise TrainingError(
            f"expected pictures in '{before}', found none; give folders of PNG, JPEG, TIFF or EXR files, "
            "movies or sequences"
        )
    return pairs


def _read_pair(before: Path, after: Path, mask: Path | None) -> tuple[Frame, Frame, Frame | None]:
    matte = None if mask is None else read_one(mask, "mask")
    return read_one(before, "training picture"), read_one(after, "training picture"), matte


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
            raise TrainingError(
                f"expected a mask for frame {lacking[0]}, got {mattes.in_words()}; render the others too"
            )
    masked = [] if mattes is None else [number for number in numbers if number in mattes.numbers]
    if mattes is not None and not masked:
        raise TrainingError(
            f"expected masks for frames {numbers[0]}-{numbers[-1]}, got {mattes.in_words()}; renumber them"
        )
    matte_frames = iter(()) if mattes is None else mattes.read(masked)
    wanted = set(masked)
    for number, plate, target in zip(numbers, ours.read(numbers), theirs.read(numbers), strict=True):
        matte = next(matte_frames) if number in wanted else None
        yield paired(f"{number:05}", plate, target, matte, input_space)


def paired(name: str, plate: Frame, target: Frame, mask: Frame | None, input_space: str | None) -> Pair:
    """Two frames as a pair, in the data window of the plate.

    A float target is stored as the result of the network with which the render equals it. The loss mask leaves out what
    is black in the mask, what lies outside the target's data window, and all that is near NaN or infinity. Raises
    TrainingError for sizes that differ, and for a mask that leaves nothing.
    """
    size, other = plate.part.display_window, target.part.display_window
    if (size.width, size.height) != (other.width, other.height):
        raise TrainingError(
            f"expected before and after of one size, got {size.width}x{size.height} and "
            f"{other.width}x{other.height} for '{name}'; scale one to the other"
        )
    seen, wanted = seen_in(plate, input_space), seen_in(target, input_space)
    loss_mask = np.ones(seen.picture.shape[:2], bool)
    if relative_window(target) != relative_window(plate):
        loss_mask &= to_window_of(plate, target, np.ones(wanted.picture.shape[:2], bool))
    for each in (seen, wanted):
        holes = near_invalid(each)
        if holes is not None:
            loss_mask &= ~to_window_of(plate, each.frame, holes)
    if mask is not None:
        loss_mask &= mask_of(mask, name, plate)
        if not loss_mask.any():
            raise TrainingError(f"expected something to learn in '{name}', its mask leaves nothing; check the mask")
    everywhere = bool(loss_mask.all())
    return Pair(
        name,
        as_stored(seen),
        _target(seen, wanted),
        loss_mask=None if everywhere else torch.from_numpy(loss_mask.copy())[None],
    )


def _target(plate: WorkingPicture, target: WorkingPicture) -> Tensor:
    if np.issubdtype(target.frame.part.pixels.dtype, np.floating) and not target.is_plate:
        picture = target_for(plate, target)
    elif relative_window(target.frame) == relative_window(plate.frame):
        return as_stored(target)
    else:
        picture = target.picture
    picture = to_window_of(plate.frame, target.frame, picture).astype(np.float16)
    return torch.from_numpy(picture).permute(2, 0, 1).contiguous()


def digest(pairs: Sequence[Pair]) -> str:
    """SHA-256 over all pictures, for the card: which data a style was trained on."""
    total = hashlib.sha256()
    for pair in pairs:
        total.update(f"{pair.name}{pair.style or ''}".encode())
        for picture in (pair.before, pair.after, *(() if pair.loss_mask is None else (pair.loss_mask,))):
            total.update(picture.contiguous().view(torch.uint8).numpy().tobytes())
    return total.hexdigest()


def draw_crops(pairs: Sequence[Pair], count: int, size: int, rim: int, generator: torch.Generator) -> Crops:
    """`count` random crops. The loss mask leaves out a rim where the picture continues beyond the crop.

    At the true edge of a picture nothing is left out: there the network sees what it will see in a render. Edges are
    drawn a little more often than the middle, so that they are learned too.
    """
    befores, afters, masks, styles = [], [], [], []
    for _ in range(count):
        pair = pairs[int(torch.randint(len(pairs), (), generator=generator))]
        styles.append(pair.style)
        window = draw_crop_window(pair.before, size, rim, generator, pair.loss_mask)
        befores.append(pair.before[:, window.rows, window.columns])
        afters.append(pair.after[:, window.rows, window.columns])
        masks.append(window.loss_mask)
    return Crops(
        as_float(torch.stack(befores)), as_float(torch.stack(afters)), torch.stack(masks), torch.tensor(styles)
    )


@dataclass(frozen=True, slots=True)
class CropWindow:
    """Where a crop lies in its picture, and its loss mask: (1, size, size) of ones and zeros."""

    rows: slice
    columns: slice
    loss_mask: Tensor

    def within(self, learnable: Tensor) -> CropWindow:
        """The same window with a loss mask that is 0 where `learnable`, (1, H, W) bool, is False."""
        return replace(self, loss_mask=self.loss_mask * learnable[:, self.rows, self.columns])


def draw_crop_window(
    picture: Tensor, size: int, rim: int, generator: torch.Generator, learnable: Tensor | None = None
) -> CropWindow:
    """A random window for a square crop in a picture (C, H, W); see `draw_crops` for its rim.

    Where `learnable`, (1, H, W) bool, leaves too little of the crop, the best of some windows is taken.
    """
    window = _draw_anywhere(picture, size, rim, generator)
    if learnable is None:
        return window
    window = window.within(learnable)
    for _ in range(TRIES):
        if window.loss_mask.mean() >= ENOUGH:
            break
        other = _draw_anywhere(picture, size, rim, generator).within(learnable)
        if other.loss_mask.sum() > window.loss_mask.sum():
            window = other
    return window


def _draw_anywhere(picture: Tensor, size: int, rim: int, generator: torch.Generator) -> CropWindow:
    height, width = picture.shape[1:]
    top = _draw_offset(height, size, rim, generator)
    left = _draw_offset(width, size, rim, generator)
    loss_mask = torch.ones(1, size, size)
    if top > 0:
        loss_mask[:, :rim] = 0
    if top + size < height:
        loss_mask[:, -rim:] = 0
    if left > 0:
        loss_mask[:, :, :rim] = 0
    if left + size < width:
        loss_mask[:, :, -rim:] = 0
    return CropWindow(slice(top, top + size), slice(left, left + size), loss_mask)


def _draw_offset(length: int, size: int, rim: int, generator: torch.Generator) -> int:
    room = length - size
    return min(max(int(torch.randint(-rim, room + rim + 1, (), generator=generator)), 0), room)
