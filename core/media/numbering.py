"""Numbered file names: `plate.%04d.exr`, `plate.####.exr`, `plate.@@@@.exr`, or a folder with one sequence."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from impasto.core.errors import InconsistentShot, UnreadableMedia, UsageError
from impasto.core.media.formats import PICTURE_EXTENSIONS

_PLACEHOLDER = re.compile(r"%(?:0(?P<printf>\d+))?d|#+|@+")
_FOREIGN = re.compile(r"\$\{?F(?P<digits>\d?)\}?|<F(?:rame)?\d?>|\*|\[(?P<first>\d+)-(?P<last>\d+)\]")
"""How Houdini, Katana, shells and Resolve write where the number goes."""
_NUMBERED_NAME = re.compile(r"^(?P<prefix>.*?)(?P<number>(?:(?<=[._])-|^-)?\d+)(?P<suffix>\.\w+)$")


@dataclass(frozen=True, slots=True)
class NumberedPath:
    """The path of a sequence: everything before and after the number, and how many digits it has at least."""

    folder: str
    prefix: str
    padding: int
    suffix: str

    def __str__(self) -> str:
        return os.path.join(self.folder, f"{self.prefix}{'#' * self.padding}{self.suffix}")

    def path_of(self, number: int) -> str:
        """The path of one frame; a minus sign stands before the padded digits."""
        digits = f"{abs(number):0{self.padding}}"
        return os.path.join(self.folder, f"{self.prefix}{'-' if number < 0 else ''}{digits}{self.suffix}")

    def number_of(self, name: str) -> int | None:
        """The number in a file name of this sequence, None for a name that belongs elsewhere."""
        if not (name.startswith(self.prefix) and name.endswith(self.suffix)):
            return None
        digits = name[len(self.prefix) : len(name) - len(self.suffix)]
        if not re.fullmatch(r"-?[0-9]+", digits):
            return None
        number = int(digits)
        return number if os.path.basename(self.path_of(number)) == name else None

    def numbers(self) -> list[int]:
        """The frame numbers that are on disk, ascending. UnreadableMedia where the folder cannot be listed."""
        found = (self.number_of(name) for name in _names_in(self.folder or "."))
        return sorted(number for number in found if number is not None)


def parse_numbered(path: str) -> NumberedPath | None:
    """The sequence that a path with a placeholder means, None for a path without one.

    A folder may hold what looks like one, where it is there or the name has its own. Raises UsageError for two
    placeholders in the name, one in the folder part alone, and for those of other programs, with the way to write them.
    """
    folder, name = os.path.split(path)
    if os.path.exists(path):
        return None
    found = list(_PLACEHOLDER.finditer(name))
    if not found:
        if _PLACEHOLDER.search(folder) and not os.path.isdir(folder):
            raise UsageError(f"expected the frame number in the file name, got it in the folder of '{path}'; move it")
        if (foreign := _FOREIGN.search(name)) is not None:
            digits = foreign["digits"] or (len(foreign["first"]) if foreign["first"] else 4)
            ours = os.path.join(folder, f"{name[: foreign.start()]}{'#' * int(digits)}{name[foreign.end() :]}")
            frames = f" and --frames {int(foreign['first'])}-{int(foreign['last'])}" if foreign["first"] else ""
            raise UsageError(
                f"expected the frame number as '####', got '{foreign[0]}' in '{path}'; write '{ours}'{frames}"
            )
        return None
    if len(found) > 1:
        raise UsageError(f"expected one frame number in a name, got {len(found)} in '{path}'; keep one of them")
    match = found[0]
    padding = int(match["printf"] or 1) if match[0].startswith("%") else len(match[0])
    return NumberedPath(folder, name[: match.start()], padding, name[match.end() :])


def number_in(path: str) -> int | None:
    """The number at the end of a file's name: 10 for 'plate.0010.exr', None where there is none."""
    match = _NUMBERED_NAME.match(os.path.basename(path))
    return int(match["number"]) if match else None


def named_like(path: str) -> NumberedPath | None:
    """The sequence that a numbered file is of, or that a pattern of '#' means; None for a name without a number."""
    folder, name = os.path.split(path)
    match = re.match(r"^(?P<prefix>.*?)(?P<number>#+)(?P<suffix>[^#]*)$", name) or _NUMBERED_NAME.match(name)
    if match is None:
        return None
    return NumberedPath(folder, match["prefix"], len(match["number"].lstrip("-")), match["suffix"])


def find_in_folder(folder: str) -> NumberedPath | str:
    """The one sequence, or the one still, that a folder holds; hidden files and other kinds of file are passed over.

    Raises UnreadableMedia for a folder without pictures, UsageError for one with several sequences.
    """
    names = [name for name in _names_in(folder) if not name.startswith(".")]
    pictures = [name for name in names if os.path.splitext(name)[1].lower() in PICTURE_EXTENSIONS]
    groups: dict[tuple[str, str], list[str]] = {}
    stills: list[str] = []
    for name in pictures:
        match = _NUMBERED_NAME.match(name)
        if match is None:
            stills.append(name)
        else:
            groups.setdefault((match["prefix"], match["suffix"]), []).append(match["number"].lstrip("-"))
    if len(groups) == 1 and not stills:
        (prefix, suffix), digits = groups.popitem()
        _require_utf8(f"{prefix}{'#' * min(map(len, digits))}{suffix}", folder)
        return NumberedPath(folder, prefix, min(map(len, digits)), suffix)
    if len(stills) == 1 and not groups:
        _require_utf8(stills[0], folder)
        return os.path.join(folder, stills[0])
    if not pictures:
        raise UnreadableMedia(f"expected a sequence of pictures in the folder '{folder}', found none; check the path")
    shown = sorted([f"{prefix}####{suffix}" for prefix, suffix in groups] + stills)
    raise UsageError(
        f"expected one sequence in the folder '{folder}', found {', '.join(shown[:4])}"
        f"{', …' if len(shown) > 4 else ''}; name one of them"
    )


def require_unbroken(numbers: Iterable[int], first: int, last: int, name: str) -> None:
    """Raise InconsistentShot naming the frames that are missing between `first` and `last`."""
    missing = gaps(numbers, first, last)
    if missing:
        raise InconsistentShot(
            f"expected frames {first}-{last} of '{name}', missing {_spelled(missing)};"
            " render them again, or ask for a range without them with --frames"
        )


def gaps(numbers: Iterable[int], first: int, last: int) -> list[tuple[int, int]]:
    """The runs of numbers from `first` to `last` that are not there, each as its first and last, ascending.

    Takes room by the numbers that are there, however far apart they are.
    """
    present = [first - 1, *sorted(number for number in set(numbers) if first <= number <= last), last + 1]
    return [(before + 1, after - 1) for before, after in pairwise(present) if after > before + 1]


def spelled(numbers: list[int]) -> str:
    """'3, 7-9, 12' for ascending numbers; at most six runs are spelled out."""
    runs: list[tuple[int, int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    return _spelled(runs)


def _spelled(runs: list[tuple[int, int]]) -> str:
    shown = [f"{a}" if a == b else f"{a}-{b}" for a, b in runs[:6]]
    return ", ".join(shown) + (f" and {len(runs) - 6} more gaps" if len(runs) > 6 else "")


def _require_utf8(name: str, folder: str) -> None:
    """Raise UsageError for a name that is not UTF-8: no codec opens it and no note can bear it."""
    try:
        name.encode()
    except UnicodeEncodeError:
        shown = name.encode(errors="surrogateescape").decode(errors="backslashreplace")
        raise UsageError(
            f"expected pictures named in UTF-8 in the folder '{folder}', got '{shown}'; rename them"
        ) from None


def _names_in(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        raise UnreadableMedia(f"expected a folder at '{folder}', found nothing there; check the path") from None
    except OSError as error:
        raise UnreadableMedia(
            f"expected to list the folder '{folder}', got '{error.strerror}'; check its permissions"
        ) from error
