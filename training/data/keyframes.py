"""Painted keys of a shot, each on its frame, and unpainted frames of the same shot to look at."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from impasto.core import colour
from impasto.core.errors import TrainingError
from impasto.core.frame import Frame, Pixels, Samples, Window
from impasto.core.guides import Guide
from impasto.core.media import FrameRange, ShotInfo, open_reader
from impasto.core.media.numbering import number_in
from impasto.core.media.open import is_live
from impasto.core.working_picture import WorkingPicture, to_working
from impasto.training.data.coverage import least_covered, nearest_frame, thumbnail
from impasto.training.data.guides import GuideWish, guiding_for
from impasto.training.data.pictures import as_stored, picture_files, read_one
from impasto.training.data.registration import moved_by, register

LOOKED_AT = 32
"""Frames of a shot, spread over it, that are searched for what no key shows."""
KEPT = 6
"""Of these, how many are kept whole, to train consistency on and to preview."""
SEQUENTIAL = 2000
"""Movies up to this many frames are read in one go, longer ones by seeking."""
PAINTED = 0.25
"""Mask or alpha from which a pixel counts as painted: object masks of many colours, their edges included."""
UNRELATED = 0.1
"""Agreement of outlines below which a key hardly shows its frame."""

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Key:
    """A frame of the shot and its paint, (3, H, W) uint8 or float16, working space, in register.

    `judged`, (1, H, W) bool, is False where the paint says nothing: outside the mask, under zero
    alpha, where plate or paint were NaN, and where the paint was moved away.
    """

    name: str
    number: int
    plate: Tensor
    paint: Tensor
    judged: Tensor
    guides: Tensor | None = None
    """Guide planes of the frame, (planes, H, W) float16 in [0, 1]."""


@dataclass(frozen=True, slots=True)
class Plate:
    """An unpainted frame, (3, H, W) uint8 or float16, working space, with its guide planes as those of a key."""

    number: int
    picture: Tensor
    guides: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Keyframes:
    """What there is to train on, and what a person should know of it: sentences, the gravest first."""

    keys: tuple[Key, ...]
    unpainted: tuple[Plate, ...]
    notes: tuple[str, ...]
    wanted: int | None
    """The frame on which another key would help most; None where every frame has one."""
    guides: tuple[Guide, ...] = ()
    """The channels that the guide planes are of."""


def load_keyframes(
    plates: str,
    keys: Path,
    masks: Path | None = None,
    *,
    input_space: str | None = None,
    guides: Sequence[GuideWish] = (),
) -> Keyframes:
    """Read the keys of a folder, the frames that they belong to by their number, and some frames between.

    Keys lie in the plate's display window, so that a PNG fits an EXR with overscan. Those that are
    shifted against their frame are moved back by whole pixels, and a note says by how much.
    `input_space` names the colour space of float plates and float keys where their files do not. `guides` are the
    layers that the network sees besides; their scales are fixed by the frames that have keys.

    Raises TrainingError for an empty folder, a key without a number, without a frame, of another size,
    without a painted pixel; MediaError for a shot or guides that cannot be read; UsageError for guides that are not
    there.
    """
    paints = numbered(keys, "key")
    if not paints:
        raise TrainingError(f"expected painted frames in '{keys}', found none; put hero.0012.png there for frame 12")
    mattes = numbered(masks, "mask") if masks is not None else {}
    shot = facts_of(plates)
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
    guiding = guiding_for(guides, read_frames(plates, shot, paints) if guides else ())
    found: list[Key] = []
    thumbs: dict[int, Samples] = {}
    whole: dict[int, Plate] = {}
    looked = spread(range(shot.first, last + 1), LOOKED_AT)
    kept = set(spread([number for number in looked if number not in paints], KEPT))
    for frame in read_frames(plates, shot, {*looked, *paints}):
        seen = to_working(frame, input_space=input_space)
        thumbs[frame.number] = thumbnail(seen.picture)
        if frame.number in kept:
            whole[frame.number] = Plate(frame.number, as_stored(seen), guiding.planes(frame))
        if frame.number in paints:
            key, remarks = paint_on(seen, paints[frame.number], mattes.get(frame.number), input_space)
            found.append(replace(key, guides=guiding.planes(frame)))
            notes.extend(remarks)
    painted = {key.number: shrunk(key) for key in found}
    notes.extend(misnumbered(found, painted, thumbs))
    wanted = least_covered(thumbs, list(paints))
    if wanted is not None and wanted not in whole:
        frame = next(read_frames(plates, shot, {wanted}))
        whole[wanted] = Plate(wanted, as_stored(to_working(frame, input_space=input_space)), guiding.planes(frame))
    unpainted = tuple(whole[number] for number in sorted(whole))
    return Keyframes(tuple(found), unpainted, tuple(notes), wanted, guiding.guides)


def numbered(folder: Path, what: str) -> dict[int, Path]:
    """Frame number -> picture of every picture in a folder, ascending.

    TrainingError where a name has no number, or two have the same.
    """
    found: dict[int, Path] = {}
    for path in picture_files(folder).values():
        number = number_in(path.name)
        if number is None:
            raise TrainingError(
                f"expected a {what} with the number of its frame at the end of its name, got '{path.name}'; "
                f"call it for example {path.stem}.0012{path.suffix}"
            )
        if number in found:
            raise TrainingError(
                f"expected one {what} for frame {number}, got '{found[number].name}' and '{path.name}'; remove one"
            )
        found[number] = path
    return dict(sorted(found.items()))


def facts_of(plates: str) -> ShotInfo:
    """The facts of a shot of known length; TrainingError for a camera or stream."""
    if is_live(plates):
        raise TrainingError(f"expected a movie or a sequence, got the live source '{plates}'; record it first")
    with open_reader(plates) as reader:
        info = reader.info
    if info.frame_count is None:
        raise TrainingError(f"expected a movie that says how long it is, '{plates}' does not; copy it to another file")
    return info


def read_frames(plates: str, shot: ShotInfo, numbers: Iterable[int]) -> Iterator[Frame]:
    """The frames of these numbers, ascending."""
    wanted = sorted(set(numbers))
    if shot.kind == "movie" and (shot.frame_count or 0) <= SEQUENTIAL:
        with open_reader(plates, frames=FrameRange(wanted[0], wanted[-1])) as reader:
            yield from (frame for frame in reader if frame.number in wanted)
        return
    for number in wanted:
        with open_reader(plates, frames=None if shot.kind == "still" else FrameRange(number, number)) as reader:
            yield next(iter(reader))


def spread(numbers: Iterable[int], count: int) -> list[int]:
    """At most `count` of these numbers, evenly spread, with the first and the last."""
    every = list(numbers)
    if len(every) <= count:
        return every
    return [every[round(index * (len(every) - 1) / (count - 1))] for index in range(count)]


def paint_on(plate: WorkingPicture, path: Path, mask: Path | None, input_space: str | None) -> tuple[Key, list[str]]:
    """One key in register with its plate, and what is to be said of it."""
    number, name = plate.frame.number, path.name
    frame = read_one(path, "key")
    window, ours = plate.frame.part.display_window, frame.part.display_window
    if (ours.width, ours.height) != (window.width, window.height):
        raise TrainingError(
            f"expected keys of the plate's size {window.width}x{window.height}, got {ours.width}x{ours.height} "
            f"in '{name}'; paint on the full frame {number}"
        )
    notes = []
    is_float = np.issubdtype(frame.part.pixels.dtype, np.floating)
    on_float = np.issubdtype(plate.frame.part.pixels.dtype, np.floating)
    seen = to_working(frame, input_space=input_space if is_float else None)
    if on_float and not is_float:
        notes.append(
            f"key '{name}' is {frame.part.pixels.dtype} and its plate float: light above 1 will come from the plate; "
            "paint on EXR to paint the highlights too"
        )
    painted: Mask = np.ones(seen.picture.shape[:2], bool)
    if seen.weight is not None:
        painted = painted & (seen.weight >= PAINTED)
    if seen.residual is not None and seen.residual.invalid is not None:
        painted = painted & ~seen.residual.invalid
    picture = laid_in(in_light_of(plate, seen) if is_float else seen.picture, frame, plate.frame)
    painted = laid_in(painted, frame, plate.frame)
    lies = register(plate.picture, np.where(painted[..., None], picture, plate.picture))
    if lies.is_shifted:
        notes.append(
            f"key '{name}' does not register with frame {number}: it lies {lies.said()}. It is moved back for the "
            "training; move the picture itself to be exact"
        )
        picture = moved_by(picture, -round(lies.right), -round(lies.down))
        painted = moved_by(painted, -round(lies.right), -round(lies.down))
    elif lies.agreement < UNRELATED:
        notes.append(f"key '{name}' hardly shows the outlines of frame {number}; is it painted on that frame?")
    if mask is not None:
        painted = painted & read_mask(mask, plate.frame)
    if plate.residual is not None and plate.residual.invalid is not None:
        notes.append(
            f"frame {number} has {plate.invalid_pixels} pixels with NaN or infinity; nothing is learned from them"
        )
        painted = painted & (cv2.dilate(plate.residual.invalid.astype(np.uint8), np.ones((7, 7), np.uint8)) == 0)
    if not painted.any():
        raise TrainingError(f"expected paint in '{name}', mask and alpha leave nothing of it; check them")
    paint = torch.from_numpy(np.ascontiguousarray(picture.astype(np.float16))).permute(2, 0, 1).contiguous()
    if seen.residual is None and frame.part.pixels.dtype == np.uint8:
        paint = (paint.float() * 255).round().to(torch.uint8)
    return Key(name, number, as_stored(plate), paint, torch.from_numpy(painted)[None]), notes


def read_mask(path: Path, plate: Frame) -> Mask:
    """Where a mask is not black, (H, W), in the plate's data window; object masks of many colours are one."""
    return mask_in(read_one(path, "mask"), path.name, plate)


def mask_in(frame: Frame, name: str, plate: Frame) -> Mask:
    """Where a mask's frame is not black, (H, W), in the plate's data window; TrainingError for one of another size."""
    window, ours = plate.part.display_window, frame.part.display_window
    if (ours.width, ours.height) != (window.width, window.height):
        raise TrainingError(
            f"expected masks of the plate's size {window.width}x{window.height}, got {ours.width}x{ours.height} "
            f"in '{name}'; render or scale the mask to the plate"
        )
    return laid_in(colour.to_float(frame.colour).max(axis=2) >= PAINTED, frame, plate)


def in_light_of(plate: WorkingPicture, paint: WorkingPicture) -> Samples:
    """The picture (H, W, 3) that the network must answer so that the render equals a paint in float.

    What was carried around the network for the plate will be put back, so it is taken off the
    paint; what does not fit into [0, 1] then is clipped. Where their windows differ, or either of
    them carries nothing, the paint as it is seen.
    """
    if plate.residual is None or paint.linear is None or plate.picture.shape != paint.picture.shape:
        return paint.picture
    light, _ = colour.fill_invalid(paint.linear)
    if plate.residual.floor is not None:
        light = light - plate.residual.floor
    if plate.residual.gain is not None:
        light = light / plate.residual.gain
    return colour.encode(np.clip(light, 0, 1))


def laid_in(samples: Pixels, frame: Frame, plate: Frame) -> Pixels:
    """Samples of a frame's data window, (H, W) or (H, W, C), in that of a plate; zeros where there are none.

    The display windows of both lie upon each other.
    """
    theirs, ours = relative(plate), relative(frame)
    if theirs == ours:
        return samples
    result = np.zeros((theirs.height, theirs.width, *samples.shape[2:]), samples.dtype)
    left, top = max(ours.x, theirs.x), max(ours.y, theirs.y)
    right = min(ours.x + ours.width, theirs.x + theirs.width)
    bottom = min(ours.y + ours.height, theirs.y + theirs.height)
    if left < right and top < bottom:
        result[top - theirs.y : bottom - theirs.y, left - theirs.x : right - theirs.x] = samples[
            top - ours.y : bottom - ours.y, left - ours.x : right - ours.x
        ]
    return result


def relative(frame: Frame) -> Window:
    """The data window as seen from the corner of the display window."""
    data, display = frame.part.data_window, frame.part.display_window
    return Window(data.x - display.x, data.y - display.y, data.width, data.height)


def shrunk(key: Key) -> Samples:
    """The paint of a key, unpainted parts from its plate, as a thumbnail."""
    picture = torch.where(key.judged, as_samples(key.paint), as_samples(key.plate))
    return thumbnail(picture.permute(1, 2, 0).numpy())


def as_samples(stored: Tensor) -> Tensor:
    """A stored picture as float32 in [0, 1]."""
    return stored.float() / 255 if stored.dtype == torch.uint8 else stored.float()


def misnumbered(keys: Iterable[Key], painted: dict[int, Samples], thumbs: dict[int, Samples]) -> list[str]:
    """A sentence for each key that shows another frame better than its own."""
    notes = []
    for key in keys:
        other = nearest_frame(painted[key.number], thumbs, key.number)
        if other is not None:
            notes.append(f"key '{key.name}' looks more like frame {other} than like its frame {key.number}; "
                         "check its number")  # fmt: skip
    return notes


def digest(keys: Sequence[Key], unpainted: Sequence[Plate]) -> str:
    """SHA-256 over keys and unpainted frames, for the card and for resuming."""
    total = hashlib.sha256()
    tensors: list[tuple[str, Tensor]] = []
    for key in keys:
        tensors += [(f"key {key.number}", key.plate), ("paint", key.paint), ("judged", key.judged)]
    tensors += [(f"plate {plate.number}", plate.picture) for plate in unpainted]
    guides = [(key.number, key.guides) for key in keys] + [(plate.number, plate.guides) for plate in unpainted]
    tensors += [(f"guides {number}", planes) for number, planes in guides if planes is not None]
    for name, tensor in tensors:
        total.update(name.encode())
        total.update(tensor.contiguous().view(torch.uint8).numpy().tobytes())
    return total.hexdigest()
