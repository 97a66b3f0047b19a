"""Stills and numbered sequences as shots: a reader and a writer over one picture file a frame."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from types import TracebackType
from typing import Self

from impasto.core.errors import InconsistentShot, MediaError, OutputExists, UnreadableMedia, UsageError
from impasto.core.frame import Frame
from impasto.core.media.commit import committed, make_folder, remove_abandoned
from impasto.core.media.frame_rate import rate_text, with_rate
from impasto.core.media.left_out import left_out
from impasto.core.media.numbering import NumberedPath, number_in, require_unbroken
from impasto.core.media.picture_reader import read_header, read_parts, read_picture
from impasto.core.media.picture_writer import write_picture
from impasto.core.media.shot import FrameRange, ShotInfo

ResumeCheck = Callable[[int, Mapping[str, str]], bool]
"""Whether the finished frame of this number, with the provenance that it carries, is the one that is wanted."""
Files = NumberedPath | str
"""Where frames are: a numbered path, or the path of one still."""


class SequenceReader:
    """A still or a sequence. Data windows may move from frame to frame; display windows must be of one size."""

    def __init__(
        self,
        files: Files,
        frames: FrameRange | None = None,
        layer: str | None = None,
        rate: Fraction | None = None,
    ) -> None:
        """Check that every asked frame is there and read the first header. `rate` takes the place of the stated one.

        Raises InconsistentShot for a gap, UnreadableMedia where nothing is found, UsageError for a
        range that holds no frame.
        """
        self._files = files
        self._layer = layer
        self._rate = rate
        self._numbers = _numbers_of(files, frames)
        first = self._numbers[0]
        header = read_header(_path_of(files, first))
        self._info = ShotInfo(
            path=str(files),
            kind="still" if isinstance(files, str) else "sequence",
            first=first,
            frame_count=len(self._numbers),
            width=header.window.width,
            height=header.window.height,
            rate=rate or header.rate,
        )
        self._notes: tuple[str, ...] = ()
        if rate is not None and header.rate not in (None, rate):
            self._notes = (
                f"'{files}' states {rate_text(header.rate)} frames per second: {rate_text(rate)} takes their place",
            )

    @property
    def info(self) -> ShotInfo:
        """The facts of the asked range; width and height are those of the display window."""
        return self._info

    def __iter__(self) -> Iterator[Frame]:
        """Every asked frame, ascending. Raises InconsistentShot for a frame of another size, and `read_picture`'s."""
        for number in self._numbers:
            path = _path_of(self._files, number)
            frame = read_picture(path, number=number, layer=self._layer)
            window = frame.part.display_window
            if (window.width, window.height) != (self._info.width, self._info.height):
                raise InconsistentShot(
                    f"expected frames of {self._info.width}x{self._info.height}, got {window.width}x{window.height}"
                    f" in '{path}'; render the shot at one size, or ask for a range with --frames"
                )
            if self._rate is not None:
                frame = with_rate(frame, self._rate)
            if number == self._numbers[0]:
                frame = replace(frame, notes=(*frame.notes, *self._notes))
            yield frame

    def close(self) -> None:
        """Nothing stays open between frames."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class PictureWriter:
    """A still or a sequence being written; each frame is committed by itself."""

    def __init__(
        self,
        files: Files,
        shot: ShotInfo,
        *,
        overwrite: bool = False,
        resume: bool = False,
        resume_check: ResumeCheck | None = None,
    ) -> None:
        """Make the folder, clear it of what a killed process left of this result, refuse what would be overwritten.

        Raises OutputExists for a frame of the shot that is there already (unless `overwrite` or
        `resume`) and for an output that is the input; UsageError for several frames into one still.
        """
        self._files = files
        self._replace = overwrite or resume
        self._resume = resume
        self._resume_check = resume_check
        self._shot = shot
        self._left_out: dict[str, None] = {}
        self._notes = _lost_beside(shot)
        if isinstance(files, str) and shot.frame_count != 1:
            stem, extension = os.path.splitext(files)
            raise UsageError(
                f"expected a numbered name for {shot.frame_count or 'many'} frames, got '{files}';"
                f" write to '{stem}.####{extension}'"
            )
        probe = _path_of(files, shot.first)
        make_folder(probe)
        self._refuse_existing(shot)
        remove_abandoned(os.path.dirname(probe), self._is_ours)

    def _is_ours(self, name: str) -> bool:
        """Whether a file of this name would be a frame of this result."""
        if isinstance(self._files, str):
            return name == os.path.basename(self._files)
        return self._files.number_of(name) is not None

    def _refuse_existing(self, shot: ShotInfo) -> None:
        numbers = range(shot.first, shot.first + (shot.frame_count or 1))
        if _same_file(_path_of(self._files, shot.first), shot.path) or _same_sequence(self._files, shot.path):
            raise OutputExists(f"expected another name than the input '{shot.path}'; the input is never overwritten")
        if self._replace:
            return
        taken = next(
            (path for path in (_path_of(self._files, number) for number in numbers) if os.path.lexists(path)), None
        )
        if taken is not None:
            raise OutputExists(
                f"expected no file at '{taken}', but there is one; give --overwrite, --resume or another name"
            )

    @property
    def path(self) -> str:
        """The pattern of the sequence, or the path of the still."""
        return str(self._files)

    @property
    def notes(self) -> tuple[str, ...]:
        """What of the source, and of the frames written so far, is not in the result."""
        return (*self._notes, *left_out(self._shot.path, self._left_out))

    def has(self, number: int) -> bool:
        """Whether this frame is there, its provenance agrees and its pixels decode to the end; False unless resuming.

        A format that cannot hold provenance (DPX, HDR, PNM) gives the check an empty mapping.
        """
        path = _path_of(self._files, number)
        if not self._resume or not os.path.exists(path):
            return False
        try:
            header = read_header(path)
            if self._resume_check is not None and not self._resume_check(number, header.provenance):
                return False
            read_parts(path)
        except MediaError:
            return False
        return True

    def write(self, frame: Frame) -> str:
        """Commit one frame and return its path; see `write_picture` for what each format keeps."""
        path = _path_of(self._files, frame.number)
        if _same_file(path, frame.source):
            raise OutputExists(f"expected another name than the input '{path}'; the input is never overwritten")
        with committed(path, replace=self._replace) as temporary:
            lost = write_picture(temporary, path, frame)
        self._left_out.update(dict.fromkeys(lost))
        return path

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is left to do: every frame was committed when it was written."""


def _lost_beside(shot: ShotInfo) -> tuple[str, ...]:
    """What of a movie pictures cannot hold."""
    if shot.movie is None or not os.path.isfile(shot.path):
        return ()
    from impasto.core.media.movie_extras import lost_in_pictures

    return lost_in_pictures(shot.path, shot.movie)


def _numbers_of(files: Files, frames: FrameRange | None) -> list[int]:
    if isinstance(files, str):
        found = number_in(files)
        number = 1 if found is None else found
        if frames is not None and number not in frames:
            raise UsageError(f"expected frame {number} of the still '{files}', got {frames.first}-{frames.last}")
        return [number]
    numbers = files.numbers()
    if not numbers:
        raise UnreadableMedia(f"expected frames named '{files}', found none; check the name and the number of digits")
    if frames is None:
        require_unbroken(numbers, numbers[0], numbers[-1], str(files))
        return numbers
    if not any(number in frames for number in numbers):
        raise UsageError(
            f"expected a range within {numbers[0]}-{numbers[-1]} of '{files}', got {frames.first}-{frames.last}"
        )
    require_unbroken(numbers, frames.first, frames.last, str(files))
    return list(range(frames.first, frames.last + 1))


def _path_of(files: Files, number: int) -> str:
    return files if isinstance(files, str) else files.path_of(number)


def _same_file(left: str, right: str) -> bool:
    try:
        return bool(right) and os.path.samefile(left, right)
    except OSError:
        return False


def _same_sequence(files: Files, source: str) -> bool:
    """Whether both name the same numbered files, also through another spelling of the folder."""
    if isinstance(files, str):
        return False
    same_name = os.path.basename(str(files)) == os.path.basename(source)
    return same_name and os.path.realpath(files.folder or ".") == os.path.realpath(os.path.dirname(source) or ".")
