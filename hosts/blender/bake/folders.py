# SPDX-License-Identifier: GPL-3.0-or-later
"""The folders of baked pictures: one for each strip's media, in it one for each look. Pictures are shared by links."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from ..fingerprints import fingerprint
from ..frame_files import file_of, link_or_copy, slug_of
from ..look.look import Look
from ..strips.media import SourcePlan

LOOKS_FILE: Final = "looks.json"
"""In a look's folder: number of the picture -> its `Look.frame_key`."""


def source_folder(root: Path, plan: SourcePlan) -> Path:
    """The folder for everything that is painted from these media; strips that were cut from them share it."""
    stem = Path(plan.input).stem.split("#")[0]
    return root / f"{slug_of(stem)}-{fingerprint([plan.input, plan.space])}"


def rendered_folder(root: Path, name: str, digest: str) -> Path:
    """The folder for everything that is painted from what Blender renders of a strip in this state."""
    return root / f"{slug_of(name)}-{digest}"


def look_folder(parent: Path, look: Look, numbers: Iterable[int]) -> Path:
    """The folder for the pictures of a look. Another look never overwrites them, so that undo brings them back."""
    animated = {name: {str(n): track[n] for n in numbers if n in track} for name, track in look.animated.items()}
    return parent / f"{slug_of(look.title)}-{fingerprint([look.frame_key(0), animated])}"


def take_over(folder: Path, slug: str, look: Look, numbers: Iterable[int]) -> int:
    """Link pictures that look the same from the folders of other looks, and record the looks of this one.

    Returns how many were linked; a disk without links gets copies. Raises OSError.
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


def _looks_in(path: Path) -> dict[str, str]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
