"""A renderer's motion vectors on the way from the frames of a shot to the painted keys of its style.

Every frame's way to every key is found before the first frame is painted, in one sweep over the files from the last
key back and one from the first key on, and waits in a temporary file.
"""

from __future__ import annotations

import errno
import hashlib
import os
import tempfile
import zlib
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from typing import IO, TYPE_CHECKING, Literal

import numpy as np

from impasto.core.card import Card, KeyFacts
from impasto.core.errors import InconsistentShot, OutputError, UsageError
from impasto.core.frame import Frame, KeyMotion
from impasto.core.keyframe_paint.matching import compared_size
from impasto.core.media import FrameRange, Reader, ShotInfo
from impasto.core.media.guide_files import GuideFiles, find_guides
from impasto.core.media.numbering import NumberedPath, spelled
from impasto.core.motion.chains import Chains, MotionStep
from impasto.core.motion.conventions import MotionSource
from impasto.core.motion.layers import MotionLayer, read_as
from impasto.core.motion.vectors import PlateWindows, Vectors, vectors_of
from impasto.server.shots.motion_check import doubts, plate_of
from impasto.server.shots.provenance import stamp

if TYPE_CHECKING:
    from impasto.server.shots.plates import Plate
    from impasto.server.shots.render import ShotJob

SIDES: tuple[Literal[1, -1], ...] = (1, -1)
"""Keys of higher numbers than a frame, and of lower ones."""
MANY = 100
"""Files from which on somebody may wonder why the first frame does not come."""
FLOW_MIB = 0.6
"""Allowed for a frame's way to a key as it is kept: the more vectors differ from pixel to pixel, the more it takes."""
GRAIN = 32
"""Motion is kept in steps of 1/32 pixel: over 1000 pixels to either side."""


@dataclass(frozen=True, slots=True)
class Motion:
    """The vectors of a shot, looked at: files, layer, and the keys that they are to lead to."""

    files: GuideFiles
    layer: MotionLayer
    facts: KeyFacts
    stamps: dict[int, str]
    """Of every file that a way goes over, taken before it is read."""

    def files_between(self, first: int, last: int) -> set[int]:
        """The frames whose vectors the ways from these frames to the keys go over."""
        keys = self.facts.frames
        found: set[int] = set()
        next_too, previous_too = self.layer.next is not None, self.layer.previous is not None
        if next_too and max(keys) > first:
            found.update(range(first, max(keys) + previous_too))
        if previous_too and min(keys) < last:
            found.update(range(min(keys) + (not next_too), last + 1))
        return found

    def digest(self, number: int) -> str:
        """What tells whether a file that a frame's ways go over was changed."""
        stamps = "\n".join(self.stamps[each] for each in sorted(self.files_between(number, number)))
        return hashlib.blake2b(stamps.encode(), digest_size=16).hexdigest()

    def vectors(self, number: int, place: PlateWindows) -> Vectors:
        """The vectors of a frame. Raises what reading and `vectors_of` raise."""
        return vectors_of(self.files.parts_of(number), self.layer, place, self.files.path_of(number))


def require_motion(wish: MotionSource | None, card: Card, info: ShotInfo) -> Motion | None:
    """Find the vectors that are wished for, before anything is painted; None for no wish.

    Raises UsageError for a style without painted keys, a shot without end, a movie, a still, and a layer that cannot
    be understood; InconsistentShot naming the frames between the shot and its keys that have no file.
    """
    if wish is None:
        return None
    facts = card.keys
    if facts is None:
        raise UsageError(
            f"expected a style with painted keys, which motion vectors lead to, '{card.name}' has none; leave out "
            "--motion"
        )
    if info.frame_count is None:
        raise UsageError(f"expected a shot with numbered frames for --motion, got '{info.path}'; record it first")
    files = find_guides(wish.path or info.path, "motion vectors")
    if not isinstance(files.files, NumberedPath):
        raise UsageError(
            f"expected motion vectors numbered like the shot, got the still '{files.files}'; render them as a sequence"
        )
    numbers = files.files.numbers()
    first, last = info.first, info.first + info.frame_count - 1
    probe = next((number for number in numbers if number >= first), numbers[0])
    layer = read_as(files.parts_of(probe), wish, files.path_of(probe))
    found = Motion(files, layer, facts, {})
    wanted = found.files_between(first, last)
    missing = sorted(wanted - set(numbers))
    if missing:
        keys = ", ".join(map(str, facts.frames))
        raise InconsistentShot(
            f"expected motion vectors of every frame between {first}-{last} and the painted keys at {keys} in "
            f"'{files.files}', missing {spelled(missing)}; render them, or leave out --motion"
        )
    found.stamps.update((number, stamp(files.path_of(number))) for number in wanted)
    return found


def notes_on(motion: Motion, info: ShotInfo) -> Iterator[str]:
    """What an artist should know of the vectors before the start."""
    assert info.frame_count is not None
    keys, last = motion.facts.frames, info.first + info.frame_count - 1
    if len(motion.stamps) >= MANY:
        room = FLOW_MIB * info.frame_count * len(keys)
        yield (
            f"the ways to the keys go over {len(motion.stamps)} files of motion vectors, which are read first; they "
            f"may need up to {room:.0f} MiB among temporary files, whose folder TMPDIR names"
        )
    instead = "are followed by optical flow" if motion.facts.follow else "are not followed"
    if motion.layer.next is None and max(keys) > info.first:
        yield f"the motion vectors lead to the previous frame alone: keys after a frame {instead}"
    if motion.layer.previous is None and min(keys) < last:
        yield f"the motion vectors lead to the next frame alone: keys before a frame {instead}"


@contextmanager
def followed(
    motion: Motion | None,
    job: ShotJob,
    reader: Reader,
    runs: list[FrameRange] | None,
    note: Callable[[str], None],
    advance: Callable[[], None],
) -> Generator[Moves | None, None, None]:
    """The way to the keys for every frame that is to be rendered, None where no vectors were given.

    `runs` None means all frames. `advance` is called for every file and may raise. Raises UsageError for vectors that
    fit the plates under another convention than the one that was guessed, and notes it where that was named. The
    reader is closed where anything is raised.
    """
    whole = reader.info.range
    asked = [whole] if runs is None and whole is not None else runs or []
    wanted = [number for run in asked for number in range(run.first, run.last + 1)]
    if motion is None or not wanted:
        yield None
        return
    with ExitStack() as open_files:
        try:
            kept = open_files.enter_context(_temporary())
            moves = _moves(motion, job, reader.info, wanted, kept, note, advance)
        except BaseException:
            reader.close()
            raise
        yield moves


def _temporary() -> IO[bytes]:
    """A file that is gone once it is closed; unbuffered, so that a full disk is met where something is written."""
    try:
        return tempfile.TemporaryFile(prefix="impasto-motion-", buffering=0)
    except OSError as error:
        raise _no_room(error) from error


def _no_room(error: OSError) -> OutputError:
    return OutputError(
        f"expected room for the motion into the keys among temporary files, got '{error.strerror}'; free some, or name "
        "another folder in TMPDIR"
    )


def _moves(
    motion: Motion,
    job: ShotJob,
    info: ShotInfo,
    wanted: Sequence[int],
    kept: IO[bytes],
    note: Callable[[str], None],
    advance: Callable[[], None],
) -> Moves:
    first = plate_of(job, wanted[0])
    data, display = first.part.data_window, first.part.display_window
    place = PlateWindows(data, display, compared_size(data.height, data.width))
    for doubt in doubts(motion, job, info, place, advance):
        if doubt.grave and not motion.layer.said:
            raise UsageError(doubt.sentence)
        note(doubt.sentence)
    moves = Moves(kept, place, motion.facts.frames)
    for number, found in chain(*(_swept(motion, place, wanted, toward, advance) for toward in SIDES)):
        for key, each in found.items():
            moves.keep(number, key, each)
    return moves


def moved(plates: Iterator[Plate], moves: Moves | None) -> Iterator[Plate]:
    """The plates, each frame with its motion into the keys."""
    for plate in plates:
        yield plate if moves is None else replace(plate, frame=replace(plate.frame, motion=moves.of(plate.frame)))


class Moves:
    """The motion of frames into keys, in a temporary file. One thread writes, then one reads."""

    def __init__(self, kept: IO[bytes], place: PlateWindows, keys: Sequence[int]) -> None:
        self._kept, self._place, self._keys = kept, place, keys
        self._where: dict[tuple[int, int], tuple[int, int, int]] = {}
        """Frame and key -> where its flow begins, where its masks do, and where they end."""
        self._end = 0

    def keep(self, number: int, key: int, motion: KeyMotion) -> None:
        """Store the motion of a frame into a key, rounded to 1/`GRAIN` pixel and held within 1024 pixels of its place.

        What leads further is outside the picture, and lost. OutputError where there is no room.
        """
        grains = np.clip(np.rint(motion.flow * GRAIN), -32768, 32767).astype(np.int16)
        # What changes little from pixel to pixel is small as differences.
        flow = zlib.compress(np.diff(grains, axis=1, prepend=np.int16(0)).tobytes(), 1)
        masks = zlib.compress(np.packbits(np.stack((motion.lost, motion.silent)) > 0).tobytes(), 1)
        begin = self._end
        try:
            self._kept.seek(begin)
            if self._kept.write(flow + masks) < len(flow) + len(masks):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            raise _no_room(error) from error
        self._end = begin + len(flow) + len(masks)
        self._where[number, key] = (begin, begin + len(flow), self._end)

    def of(self, frame: Frame) -> tuple[KeyMotion | None, ...]:
        """The motion of a frame into each key; nothing for a plate whose data window is elsewhere than the first's."""
        if frame.part.data_window != self._place.data:
            return ()
        return tuple(self._of(frame.number, key) for key in self._keys)

    def _of(self, number: int, key: int) -> KeyMotion | None:
        size = self._place.size
        if number == key:
            return KeyMotion(np.zeros((*size, 2), np.float32), *np.zeros((2, *size), np.float32))
        if (number, key) not in self._where:
            return None
        begin, middle, end = self._where[number, key]
        self._kept.seek(begin)
        moved, masked = (zlib.decompress(self._kept.read(length)) for length in (middle - begin, end - middle))
        differences = np.frombuffer(moved, np.int16).reshape(*size, 2)
        bits = np.unpackbits(np.frombuffer(masked, np.uint8), count=2 * size[0] * size[1])
        lost, silent = bits.reshape(2, *size).astype(np.float32)
        flow = np.cumsum(differences, axis=1, dtype=np.int16).astype(np.float32) / np.float32(GRAIN)
        return KeyMotion(flow, lost, silent)


def _swept(
    motion: Motion, place: PlateWindows, wanted: Sequence[int], toward: Literal[1, -1], advance: Callable[[], None]
) -> Iterator[tuple[int, dict[int, KeyMotion]]]:
    """The motion into the keys of one side for every frame that is wanted, from the outermost key inwards and on."""
    channels = motion.layer.next if toward == 1 else motion.layer.previous
    begin, end = (max(motion.facts.frames), wanted[0]) if toward == 1 else (min(motion.facts.frames), wanted[-1])
    if channels is None or (begin - end) * toward <= 0:
        return
    asked = set(wanted)
    chains = Chains(motion.facts.frames, toward)
    leads_back = (motion.layer.previous if toward == 1 else motion.layer.next) is not None
    inner = motion.vectors(begin, place) if leads_back else None
    for number in range(begin - toward, end - toward, -toward):
        advance()
        outer = motion.vectors(number, place)
        there = outer.towards(toward)
        assert there is not None
        found = chains.lengthened(number, MotionStep(there, None if inner is None else inner.towards(-toward)))
        inner = outer if leads_back else None
        if number in asked:
            yield number, found
