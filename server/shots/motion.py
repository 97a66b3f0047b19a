"""The motion vectors of a shot: where they are, whether files are missing, and the notes on them for an artist."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from impasto.core.card import Card, KeyFacts
from impasto.core.errors import InconsistentShot, UsageError
from impasto.core.media import ShotInfo
from impasto.core.media.guide_files import GuideFiles, find_guides
from impasto.core.media.numbering import NumberedPath, spelled
from impasto.core.motion.conventions import MotionSource
from impasto.core.motion.layers import MotionLayer, read_as
from impasto.core.motion.vectors import PlateWindows, Vectors, vectors_of
from impasto.server.shots.provenance import stamp

MANY = 100
"""From so many files on, a note says why the first frame takes its time."""
FLOW_MIB = 0.6
"""Allowed for the motion of one frame into one key in the temporary file. Vectors that differ more from pixel to pixel
take more."""


@dataclass(frozen=True, slots=True)
class ShotMotion:
    """The motion vectors of a shot: files, layer, and the keys that they lead to."""

    files: GuideFiles
    layer: MotionLayer
    facts: KeyFacts
    stamps: dict[int, str]
    """Frame -> stamp of its file, taken before the file is read."""

    def files_between(self, first: int, last: int) -> set[int]:
        """The frames whose vectors lead from the frames of this range to the keys."""
        keys = self.facts.frames
        found: set[int] = set()
        next_too, previous_too = self.layer.next is not None, self.layer.previous is not None
        if next_too and max(keys) > first:
            found.update(range(first, max(keys) + previous_too))
        if previous_too and min(keys) < last:
            found.update(range(min(keys) + (not next_too), last + 1))
        return found

    def digest(self, number: int) -> str:
        """A digest that changes with any file whose vectors lead from this frame to the keys."""
        stamps = "\n".join(self.stamps[each] for each in sorted(self.files_between(number, number)))
        return hashlib.blake2b(stamps.encode(), digest_size=16).hexdigest()

    def vectors(self, number: int, place: PlateWindows) -> Vectors:
        """The vectors of a frame. Raises what reading and `vectors_of` raise."""
        return vectors_of(self.files.parts_of(number), self.layer, place, self.files.path_of(number))


def require_motion(asked: MotionSource | None, card: Card, info: ShotInfo) -> ShotMotion | None:
    """Find the vectors that a job names, before anything is painted; None where it names none.

    Raises UsageError for a style without painted keys, a shot without end, a movie, a still, and a layer that cannot
    be understood; InconsistentShot naming the frames between the shot and its keys that have no file.
    """
    if asked is None:
        return None
    facts = card.keys
    if facts is None:
        raise UsageError(
            f"expected a style with painted keys, which motion vectors lead to, '{card.name}' has none; leave out "
            "--motion"
        )
    if info.frame_count is None:
        raise UsageError(f"expected a shot with numbered frames for --motion, got '{info.path}'; record it first")
    files = find_guides(asked.path or info.path, "motion vectors")
    if not isinstance(files.files, NumberedPath):
        raise UsageError(
            f"expected motion vectors numbered like the shot, got the still '{files.files}'; render them as a sequence"
        )
    numbers = files.files.numbers()
    first, last = info.first, info.first + info.frame_count - 1
    probe = next((number for number in numbers if number >= first), numbers[0])
    layer = read_as(files.parts_of(probe), asked, files.path_of(probe))
    found = ShotMotion(files, layer, facts, {})
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


def notes_on(motion: ShotMotion, info: ShotInfo) -> Iterator[str]:
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
