# SPDX-License-Identifier: GPL-3.0-or-later
"""What a bake is to do, in plain values: which pictures, in which folders, which of them are there already."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ..strips.media import SourcePlan, StripFacts, runs_of

PADDING: Final = 4
LONGEST_SLUG: Final = 60
KEY_LETTERS: Final = 10
LOOKS_FILE: Final = "looks.json"
FRAMES_AT_ONCE: Final = 1000
"""Frames of a shot job: what changes from frame to frame must fit into one message."""


@dataclass(frozen=True, slots=True)
class Look:
    """Which style, and how."""

    style: str
    """A name of the library, or the absolute path of a style file."""
    state: str = ""
    """Changes with the style: SHA-256 of the weights, or of a file its stamp; '' where the server has not said yet."""
    params: Mapping[str, float] = field(default_factory=dict)
    animated: Mapping[str, Mapping[int, float]] = field(default_factory=dict)
    """Parameter -> number of the picture -> value, of those that change."""
    matte: str = ""

    @property
    def sha256(self) -> str:
        """What the server is to hold the style to; '' where that is not known, as of a file."""
        return "" if os.path.isabs(self.style) else self.state

    @property
    def title(self) -> str:
        """What the style is called: its name, or that of its file."""
        return title_of(self.style)

    def frame_key(self, number: int) -> str:
        """What decides how one picture looks."""
        values = {**self.params, **{name: track[number] for name, track in self.animated.items() if number in track}}
        return key_of({"style": self.style, "state": self.state, "params": values, "matte": self.matte})


@dataclass(frozen=True, slots=True)
class Cover:
    """The frames of the timeline that a bake is about, and the picture that each of them shows.

    The first is `first`; from `shown_first` on, and up to before `shown_end`, they are seen; those around them are
    handles.
    """

    first: int
    shown_first: int
    shown_end: int
    numbers: tuple[int, ...]

    @property
    def end(self) -> int:
        """The frame behind the last."""
        return self.first + len(self.numbers)

    @property
    def pictures(self) -> tuple[int, ...]:
        """The pictures to be painted: each once, ascending."""
        return tuple(sorted(set(self.numbers)))


def cover_of(facts: StripFacts, source: SourcePlan | None, wanted: range | None, handles: int) -> Cover:
    """What is painted of a strip: what it shows, within `wanted`, and up to `handles` hidden frames on either side.

    Without a source plan the pictures are those that Blender renders, numbered from 1 at the content's beginning.
    Handles end where the content does. An empty cover where the strip shows nothing of what is wanted.
    """
    shown_first, shown_end = facts.shown_first, facts.shown_end
    if wanted is not None:
        shown_first, shown_end = max(shown_first, wanted.start), min(shown_end, wanted.stop)
    if shown_first >= shown_end:
        return Cover(shown_first, shown_first, shown_first, ())
    # At an end that a range set, no handle was asked for: the strip goes on there.
    first = min(shown_first, max(facts.content_first, shown_first - handles))
    end = max(shown_end, min(facts.content_end, shown_end + handles))
    number = _rendered_number if source is None else source.number_at
    return Cover(
        first, shown_first, shown_end, tuple(number(frame, facts.content_first) for frame in range(first, end))
    )


def holds(cover: Cover) -> bool:
    """Whether a picture is shown by more than one frame, so that it could not look different in each."""
    return len(cover.pictures) < len(cover.numbers)


def frame_of_number(cover: Cover) -> dict[int, int]:
    """The first frame of the timeline that shows each picture."""
    found: dict[int, int] = {}
    for place, number in enumerate(cover.numbers):
        found.setdefault(number, cover.first + place)
    return found


def shot_runs(numbers: Iterable[int]) -> tuple[range, ...]:
    """The shot jobs for these pictures: without gaps, and none too long."""
    return tuple(
        range(start, min(start + FRAMES_AT_ONCE, run.stop))
        for run in runs_of(tuple(numbers))
        for start in range(run.start, run.stop, FRAMES_AT_ONCE)
    )


def title_of(style: str) -> str:
    """What a style is called: its name, or that of its file."""
    return Path(style).stem if os.path.isabs(style) else style


def key_of(values: Any) -> str:
    """A few letters that differ where the values do."""
    text = json.dumps(values, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:KEY_LETTERS]


def slug_of(name: str) -> str:
    """A strip's or file's name as part of a path: no separator, no place for a number, no dot at its ends."""
    plain = re.sub(r"[^\w\- ]+", "_", name).strip(" _-.") or "strip"
    while len(plain.encode()) > LONGEST_SLUG:
        plain = plain[:-1]
    return plain


def pattern_of(folder: Path, slug: str, ending: str = ".exr") -> str:
    """The pattern of a sequence."""
    return str(folder / f"{slug}.{'#' * PADDING}{ending}")


def file_of(slug: str, number: int, ending: str = ".exr") -> str:
    """The name of one picture, as the server spells it."""
    return f"{slug}.{'-' if number < 0 else ''}{abs(number):0{PADDING}}{ending}"


def source_folder(root: Path, plan: SourcePlan) -> Path:
    """Where everything is kept that is painted from these media: shared by all strips that were cut from them."""
    stem = Path(plan.input).stem.split("#")[0]
    return root / f"{slug_of(stem)}-{key_of([plan.input, plan.space])}"


def rendered_folder(root: Path, name: str, digest: str) -> Path:
    """Where everything is kept that is painted from what Blender renders of a strip in this state."""
    return root / f"{slug_of(name)}-{digest}"


def look_folder(parent: Path, look: Look, numbers: Iterable[int]) -> Path:
    """Where the pictures of this look go: another look never writes over them, so that undoing brings them back."""
    animated = {name: {str(n): track[n] for n in numbers if n in track} for name, track in look.animated.items()}
    return parent / f"{slug_of(look.title)}-{key_of([look.frame_key(0), animated])}"


def take_over(folder: Path, slug: str, look: Look, numbers: Iterable[int]) -> int:
    """Take pictures that look the same over from the folders of other looks; how many. Notes the looks of this one.

    They are linked, not copied, where the disk can do that. Raises OSError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {number: look.frame_key(number) for number in numbers}
    taken = 0
    if look.animated:
        for other in sorted(folder.parent.glob(f"*/{LOOKS_FILE}")):
            known = _looks_in(other)
            for number, key in wanted.items():
                name = file_of(slug, number)
                if other.parent == folder or known.get(str(number)) != key or (folder / name).exists():
                    continue
                taken += link_or_copy(other.parent / name, folder / name)
    noted = {**_looks_in(folder / LOOKS_FILE), **{str(number): key for number, key in wanted.items()}}
    (folder / LOOKS_FILE).write_text(json.dumps(noted), encoding="utf-8")
    return taken


def shown_pictures(cover: Cover, painted: frozenset[int]) -> tuple[int, ...]:
    """The picture that each frame of the cover shows; where one failed, the nearest that did not.

    ValueError where none is there.
    """
    there = sorted(painted & set(cover.numbers))
    if not there:
        raise ValueError("no picture was painted")
    nearest = {number: min(there, key=lambda each: (abs(each - number), each)) for number in cover.pictures}
    return tuple(nearest[number] for number in cover.numbers)


def _rendered_number(frame: int, content_first: int) -> int:
    return frame - content_first + 1


def _looks_in(path: Path) -> dict[str, str]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def link_or_copy(source: Path, target: Path) -> bool:
    """Have a picture in another folder too, by a link where the disk can do that; whether it is there to be had."""
    if not source.is_file():
        return False
    try:
        os.link(source, target)
    except FileExistsError:
        pass
    except OSError:
        shutil.copy2(source, target)
    return True
