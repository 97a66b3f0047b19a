"""The motion of every frame of a shot into the painted keys of its style, from a renderer's motion vectors.

It is found before the first frame is painted, in one sweep over the files from the last key back and one from the
first key on, and waits in a temporary file.
"""

from __future__ import annotations

import errno
import os
import tempfile
import zlib
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import chain
from typing import IO, Literal

import numpy as np

from impasto.core.errors import OutputError, UsageError
from impasto.core.frame import Frame, KeyMotion
from impasto.core.keyframe_paint.matching import compared_size
from impasto.core.media import FrameRange, Reader, ShotInfo
from impasto.core.motion.chains import Chains, MotionStep
from impasto.core.motion.vectors import PlateWindows
from impasto.server.protocol.messages import ShotJob
from impasto.server.shots.job import InputFrame
from impasto.server.shots.motion import ShotMotion
from impasto.server.shots.motion_check import plate_of, problems_with

SIDES: tuple[Literal[1, -1], ...] = (1, -1)
"""Keys of higher numbers than a frame, and of lower ones."""
GRAIN = 32
"""Motion is kept in steps of 1/32 pixel: over 1000 pixels to either side."""


@contextmanager
def motion_to_keys(
    motion: ShotMotion | None,
    job: ShotJob,
    reader: Reader,
    runs: list[FrameRange] | None,
    note: Callable[[str], None],
    advance: Callable[[], None],
) -> Generator[MotionStore | None, None, None]:
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
            file = open_files.enter_context(_temporary())
            store = _stored_motion(motion, job, reader.info, wanted, file, note, advance)
        except BaseException:
            reader.close()
            raise
        yield store


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


def _stored_motion(
    motion: ShotMotion,
    job: ShotJob,
    info: ShotInfo,
    wanted: Sequence[int],
    file: IO[bytes],
    note: Callable[[str], None],
    advance: Callable[[], None],
) -> MotionStore:
    first = plate_of(job, wanted[0])
    data, display = first.part.data_window, first.part.display_window
    place = PlateWindows(data, display, compared_size(data.height, data.width))
    for problem in problems_with(motion, job, info, place, advance):
        if problem.grave and not motion.layer.said:
            raise UsageError(problem.sentence)
        note(problem.sentence)
    store = MotionStore(file, place, motion.facts.frames)
    for number, found in chain(*(_swept(motion, place, wanted, toward, advance) for toward in SIDES)):
        for key, each in found.items():
            store.add(number, key, each)
    return store


def with_motion(plates: Iterator[InputFrame], store: MotionStore | None) -> Iterator[InputFrame]:
    """The plates, each frame with its motion into the keys."""
    for plate in plates:
        yield plate if store is None else replace(plate, frame=replace(plate.frame, motion=store.of(plate.frame)))


class MotionStore:
    """The motion of frames into keys, in a temporary file. One thread writes, then one reads."""

    def __init__(self, file: IO[bytes], place: PlateWindows, keys: Sequence[int]) -> None:
        self._file, self._place, self._keys = file, place, keys
        self._where: dict[tuple[int, int], tuple[int, int, int]] = {}
        """Frame and key -> where its flow begins, where its masks do, and where they end."""
        self._end = 0

    def add(self, number: int, key: int, motion: KeyMotion) -> None:
        """Store the motion of a frame into a key, rounded to 1/`GRAIN` pixel and held within 1024 pixels of its place.

        What leads further is outside the picture, and lost. OutputError where there is no room.
        """
        grains = np.clip(np.rint(motion.flow * GRAIN), -32768, 32767).astype(np.int16)
        # What changes little from pixel to pixel is small as differences.
        flow = zlib.compress(np.diff(grains, axis=1, prepend=np.int16(0)).tobytes(), 1)
        masks = zlib.compress(np.packbits(np.stack((motion.lost, motion.silent)) > 0).tobytes(), 1)
        begin = self._end
        try:
            self._file.seek(begin)
            if self._file.write(flow + masks) < len(flow) + len(masks):
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
        self._file.seek(begin)
        moved, masked = (zlib.decompress(self._file.read(length)) for length in (middle - begin, end - middle))
        differences = np.frombuffer(moved, np.int16).reshape(*size, 2)
        bits = np.unpackbits(np.frombuffer(masked, np.uint8), count=2 * size[0] * size[1])
        lost, silent = bits.reshape(2, *size).astype(np.float32)
        flow = np.cumsum(differences, axis=1, dtype=np.int16).astype(np.float32) / np.float32(GRAIN)
        return KeyMotion(flow, lost, silent)


def _swept(
    motion: ShotMotion, place: PlateWindows, wanted: Sequence[int], toward: Literal[1, -1], advance: Callable[[], None]
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
