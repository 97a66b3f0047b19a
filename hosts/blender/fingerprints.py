# SPDX-License-Identifier: GPL-3.0-or-later
"""A few letters that stand for values or for the state of files, and change with them."""

from __future__ import annotations

import hashlib
import json
import os
import re
from typing import Any, Final

LETTERS: Final = 10
SAMPLED_FILES: Final = 16
"""Files of a sequence that are checked for a change."""
_PATTERN: Final = re.compile(r"^(?P<before>.*?)#+(?P<after>[^#]*)$")


def fingerprint(values: Any, letters: int = LETTERS) -> str:
    """A few letters that differ where the values do."""
    text = json.dumps(values, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:letters]


def file_stamp(path: str) -> str:
    """Letters that change with a file, or with the files of a pattern; '' where there is none.

    Live asks for them several times a second. So of a sequence a few files, evenly spread, stand for all, besides
    their number and the time of their folder: one frame that is overwritten in its place may go unnoticed, a new
    render does not.
    """
    match = _PATTERN.match(os.path.basename(path))
    try:
        if match is None:
            return _state(path)
        folder = os.path.dirname(path) or "."
        before, after = match["before"], match["after"]
        names = sorted(name for name in os.listdir(folder) if name.startswith(before) and name.endswith(after))
        if not names:
            return ""
        spread = sorted({round(place * (len(names) - 1) / SAMPLED_FILES) for place in range(SAMPLED_FILES + 1)})
        states = [_state(os.path.join(folder, names[place])) for place in spread]
        return fingerprint([len(names), os.stat(folder).st_mtime_ns, *states], 2 * LETTERS)
    except OSError:
        return ""


def _state(path: str) -> str:
    facts = os.stat(path)
    return f"{facts.st_size}-{facts.st_mtime_ns}"
