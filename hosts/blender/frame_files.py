# SPDX-License-Identifier: GPL-3.0-or-later
"""How rendered and painted pictures are called, as the server spells it."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Final

PADDING: Final = 4
LONGEST_SLUG: Final = 60


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
    """The file name of one picture of a sequence."""
    return f"{slug}.{'-' if number < 0 else ''}{abs(number):0{PADDING}}{ending}"


def link_or_copy(source: Path, target: Path) -> bool:
    """Put a picture into another folder too, by a link where the disk can do that; False where it does not exist."""
    if not source.is_file():
        return False
    try:
        os.link(source, target)
    except FileExistsError:
        pass
    except OSError:
        shutil.copy2(source, target)
    return True
