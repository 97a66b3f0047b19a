"""Painted keys of a shot, each on its frame, and unpainted frames of the same shot."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from impasto.core.errors import TrainingError
from impasto.core.frame import Samples
from impasto.core.guides import Guide
from impasto.core.media import ShotInfo
from impasto.core.working_picture import WorkingPicture, to_working
from impasto.training.data.brushwork import painted_by_hand
from impasto.training.data.coverage import least_covered, nearest_frame, thumbnail
from impasto.training.data.data_windows import PAINTED, Mask, mask_of, near_invalid, target_for, to_window_of
from impasto.training.data.followed_frames import (
    FollowedShot,
    ShotFrame,
    followed_numbers,
    followed_shot,
    reach_of,
    shot_frame,
)
from impasto.training.data.frame_shape import in_shape_of
from impasto.training.data.guides import GuideSource, GuideSpec, resolve_guides
from impasto.training.data.pictures import as_float, as_stored, read_one, seen_in
from impasto.training.data.registration import moved_by, register
from impasto.training.data.shots import pictures_by_number, read_frames, shot_info, spread

SEARCHED = 32
"""Frames of a shot, spread over it, that are searched for content that no key shows."""
UNPAINTED = 6
"""Of these, the number that are kept whole, for previews."""
UNRELATED = 0.1
"""Agreement of outlines below which a key hardly shows its frame."""


@dataclass(frozen=True, slots=True)
class Key:
    """A frame of the shot and its paint, (3, H, W) uint8 or float16, working space, in register.

    `loss_mask`, (1, H, W) bool, is False where the paint says nothing: outside the mask, under zero alpha, where plate
    or paint were NaN, and where the paint was moved away.
    """

    name: str
    number: int
    plate: Tensor
    paint: Tensor
    loss_mask: Tensor
    guides: Tensor | None = None
    """Guide planes of the frame, (planes, H, W) float16 in [0, 1]."""


@dataclass(frozen=True, slots=True)
class UnpaintedFrame:
    """A frame without a key, (3, H, W) uint8 or float16, working space, with guide planes like those of a key."""

    number: int
    picture: Tensor
    guides: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Keyframes:
    """The training data of a shot, and notes on it for a person: sentences, the gravest first."""

    keys: tuple[Key, ...]
    unpainted: tuple[UnpaintedFrame, ...]
    notes: tuple[str, ...]
    wanted: int | None
    """The frame on which another key would help most; None where every frame has one."""
    guides: tuple[Guide, ...] = ()
    """The channels of the guide planes."""
    followed: FollowedShot = field(default_factory=FollowedShot)
    """The frames to which the keys' paint is carried; none for keys that are no hand's."""
    by_hand: bool = False


def load_keyframes(
    plates: str,
    keys: Path,
    masks: Path | None = None,
    *,
    input_space: str | None = None,
    guides: Sequence[GuideSpec] = (),
    by_hand: bool | None = None,
) -> Keyframes:
    """Read the keys of a folder, the frames that they belong to by their number, and some frames between.

    Keys lie in the plate's display window, so that a PNG fits an EXR with overscan. A key that is shifted against its
    frame is moved back by whole pixels, and a note says by how much; one of another size or turned by EXIF is scaled
    or turned where its shape agrees, and a note says so. `input_space` names the colour space of float
    plates and float keys where their files do not. `guides` are layers that the network sees besides; the frames that
    have keys fix their scales. `by_hand` says whether the keys' own strokes are carried; None finds out from the keys.

    Raises TrainingError for an empty folder, a key without a number, without a frame, of another size, without a
    painted pixel; MediaError for a shot or guides that cannot be read; UsageError for guides that are not there.
    """
    paints = pictures_by_number(keys, "key")
    if not paints:
        raise TrainingError(f"expected painted frames in '{keys}', found none; put hero.0012.png there for frame 12")
    mattes = pictures_by_number(masks, "mask") if masks is not None else {}
    shot = shot_info(plates)
    last = shot.first + (shot.frame_count or 1) - 1
    for number, path in paints.items():
        if not shot.first <= number <= last:
            raise TrainingError(
                f"expected keys of frames {shot.first}-{last}, got '{path.name}' for frame {number}; "
                "name each key by the number of its frame in the shot"
            )
    notes = [
        f"mask '{path.name}' belongs to no key and is not used" for number, path in mattes.items()
        if number not in paints
    ]  # fmt: skip
    source = resolve_guides(guides, read_frames(plates, shot, paints) if guides else ())
    found: list[Key] = []
    thumbs: dict[int, Samples] = {}
    whole: dict[int, UnpaintedFrame] = {}
    searched = spread(range(shot.first, last + 1), SEARCHED)
    kept = set(spread([number for number in searched if number not in paints], UNPAINTED))
    for frame in read_frames(plates, shot, {*searched, *paints}):
        seen = to_working(frame, input_space=input_space)
        thumbs[frame.number] = thumbnail(seen.picture)
        if frame.number in kept:
            whole[frame.number] = UnpaintedFrame(frame.number, as_stored(seen), source.planes(frame))
        if frame.number in paints:
            key, remarks = key_on(seen, paints[frame.number], mattes.get(frame.number), input_space)
            found.append(replace(key, guides=source.planes(frame)))
            notes.extend(remarks)
    notes.extend(misnumbered(found, thumbs))
    wanted = least_covered(thumbs, list(paints))
    if wanted is not None and wanted not in whole:
        frame = next(read_frames(plates, shot, {wanted}))
        picture = as_stored(to_working(frame, input_space=input_space))
        whole[wanted] = UnpaintedFrame(wanted, picture, source.planes(frame))
    unpainted = tuple(whole[number] for number in sorted(whole))
    if by_hand is None:
        by_hand = painted_by_hand(
            [(_picture(key.plate), _picture(key.paint), key.loss_mask[0].numpy()) for key in found]
        )
    followed = FollowedShot()
    if by_hand:
        seen_all = _whole_shot(plates, shot, found, input_space, source)
        followed = followed_shot(seen_all, list(paints), followed_numbers(shot.first, last, list(paints)))
    notes += [
        f"the shot has a cut before frame {number}: keys lend their paint on their own side of it alone"
        for number in followed.cuts
    ]
    return Keyframes(tuple(found), unpainted, tuple(notes), wanted, source.guides, followed, by_hand)


def _whole_shot(
    plates: str, shot: ShotInfo, keys: Sequence[Key], input_space: str | None, source: GuideSource
) -> Iterator[ShotFrame]:
    """Every frame near a key, in order, as it is followed; those of another size than the keys are left out."""
    numbers = [key.number for key in keys]
    last = shot.first + (shot.frame_count or 1) - 1
    for frame in read_frames(plates, shot, range(*reach_of(shot.first, last, numbers))):
        seen = to_working(frame, input_space=input_space)
        if seen.picture.shape[:2] == keys[0].plate.shape[1:]:
            yield shot_frame(frame.number, seen.picture, as_stored(seen), source.planes(frame))


def _picture(stored: Tensor) -> Samples:
    return np.ascontiguousarray(as_float(stored).permute(1, 2, 0).numpy())


def key_on(plate: WorkingPicture, path: Path, mask: Path | None, input_space: str | None) -> tuple[Key, list[str]]:
    """One key in register with its plate, and notes on it for a person."""
    number, name = plate.frame.number, path.name
    frame, remark = in_shape_of(read_one(path, "key"), plate.frame, name)
    window, own = plate.frame.part.display_window, frame.part.display_window
    if (own.width, own.height) != (window.width, window.height):
        raise TrainingError(
            f"expected keys of the plate's size {window.width}x{window.height}, got {own.width}x{own.height} "
            f"in '{name}'; paint on the full frame {number}"
        )
    notes = [f"key {remark}"] if remark else []
    is_float = np.issubdtype(frame.part.pixels.dtype, np.floating)
    if not is_float and np.issubdtype(plate.frame.part.pixels.dtype, np.floating):
        notes.append(
            f"key '{name}' is {frame.part.pixels.dtype} and its plate float: light above 1 will come from the plate; "
            "paint on EXR to paint the highlights too"
        )
    seen = seen_in(frame, input_space)
    painted: Mask = np.ones(seen.picture.shape[:2], bool)
    if seen.weight is not None:
        painted = painted & (seen.weight >= PAINTED)
    if seen.invalid is not None:
        painted = painted & ~seen.invalid
    picture = to_window_of(plate.frame, frame, target_for(plate, seen) if is_float else seen.picture)
    painted = to_window_of(plate.frame, frame, painted)
    lies = register(plate.picture, np.where(painted[..., None], picture, plate.picture))
    if lies.is_shifted:
        notes.append(
            f"key '{name}' does not register with frame {number}: it lies {lies.in_words()}. It is moved back for the "
            "training; move the picture itself to be exact"
        )
        picture = moved_by(picture, -round(lies.right), -round(lies.down))
        painted = moved_by(painted, -round(lies.right), -round(lies.down))
    elif lies.agreement < UNRELATED:
        notes.append(f"key '{name}' hardly shows the outlines of frame {number}; is it painted on that frame?")
    if mask is not None:
        matte, remark = in_shape_of(read_one(mask, "mask"), plate.frame, mask.name)
        notes.extend([f"mask {remark}"] if remark else [])
        painted = painted & mask_of(matte, mask.name, plate.frame)
    holes = near_invalid(plate)
    if holes is not None:
        notes.append(
            f"frame {number} has {plate.invalid_pixels} pixels with NaN or infinity; nothing is learned from them"
        )
        painted = painted & ~holes
    if not painted.any():
        raise TrainingError(f"expected paint in '{name}', mask and alpha leave nothing of it; check them")
    paint = torch.from_numpy(np.ascontiguousarray(picture.astype(np.float16))).permute(2, 0, 1).contiguous()
    if seen.is_plate and frame.part.pixels.dtype == np.uint8:
        paint = (paint.float() * 255).round().to(torch.uint8)
    return Key(name, number, as_stored(plate), paint, torch.from_numpy(painted)[None]), notes


def misnumbered(keys: Iterable[Key], thumbs: dict[int, Samples]) -> list[str]:
    """A sentence for each key that shows another frame better than its own."""
    notes = []
    for key in keys:
        picture = torch.where(key.loss_mask, as_float(key.paint), as_float(key.plate))
        painted = thumbnail(picture.permute(1, 2, 0).numpy())
        other = nearest_frame(painted, thumbs, key.number)
        if other is not None:
            notes.append(f"key '{key.name}' looks more like frame {other} than like its frame {key.number}; "
                         "check its number")  # fmt: skip
    return notes


def digest(keys: Sequence[Key], unpainted: Sequence[UnpaintedFrame]) -> str:
    """SHA-256 over keys and unpainted frames, for the card and for resuming."""
    total = hashlib.sha256()
    tensors: list[tuple[str, Tensor]] = []
    for key in keys:
        # The names are part of the digest: checkpoints that were written before must still fit.
        tensors += [(f"key {key.number}", key.plate), ("paint", key.paint), ("judged", key.loss_mask)]
    tensors += [(f"plate {frame.number}", frame.picture) for frame in unpainted]
    guides = [(key.number, key.guides) for key in keys] + [(frame.number, frame.guides) for frame in unpainted]
    tensors += [(f"guides {number}", planes) for number, planes in guides if planes is not None]
    for name, tensor in tensors:
        total.update(name.encode())
        total.update(tensor.contiguous().view(torch.uint8).numpy().tobytes())
    return total.hexdigest()
