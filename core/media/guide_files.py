"""Pictures with layers beside the plate: numbered like the shot, or one still for all. They need hold no colour."""

from __future__ import annotations

import os
from dataclasses import dataclass

from impasto.core.errors import InconsistentShot, UnreadableMedia, UsageError
from impasto.core.frame import Part
from impasto.core.media.numbering import find_in_folder, parse_numbered, require_unbroken
from impasto.core.media.open import is_live, is_movie
from impasto.core.media.picture_reader import read_parts
from impasto.core.media.sequence import Files


@dataclass(frozen=True, slots=True)
class GuideFiles:
    """Where the guide layers of each frame are, or what else `what` names."""

    files: Files
    what: str = "guide layers"

    def path_of(self, number: int) -> str:
        """The picture that holds those of a frame."""
        return self.files if isinstance(self.files, str) else self.files.path_of(number)

    def parts_of(self, number: int) -> tuple[Part, ...]:
        """Every part of that picture. InconsistentShot where a frame has none, and what `read_parts` raises."""
        path = self.path_of(number)
        if not os.path.exists(path):
            raise InconsistentShot(
                f"expected {self.what} of frame {number} at '{path}', found nothing there; render the missing ones"
            )
        return read_parts(path)

    def require(self, first: int, last: int) -> None:
        """Raise InconsistentShot naming the frames of a range that have no picture."""
        if not isinstance(self.files, str):
            require_unbroken(self.files.numbers(), first, last, str(self.files))


def find_guides(path: str, what: str = "guide layers") -> GuideFiles:
    """The pictures that a path means: a numbered name, a folder with one sequence, or a still.

    `what` names in errors what they hold.

    UsageError for a movie, a camera or a stream, UnreadableMedia where there is nothing.
    """
    if is_live(path) or is_movie(path):
        raise UsageError(f"expected {what} in pictures, EXR for example, got '{path}'; render them as a sequence")
    numbered = parse_numbered(path)
    files: Files = find_in_folder(path) if os.path.isdir(path) else numbered if numbered is not None else path
    missing = not os.path.exists(files) if isinstance(files, str) else not files.numbers()
    if missing:
        raise UnreadableMedia(f"expected pictures with {what} at '{files}', found none; check the name")
    return GuideFiles(files, what)
