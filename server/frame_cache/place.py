"""Where painted frames are kept, and how many bytes of them."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from impasto.core.errors import UsageError
from impasto.core.media.commit import committed

VARIABLE: Final = "IMPASTO_CACHE"
"""Names another folder, or is `OFF`."""
OFF: Final = "off"
READ_ONLY: Final = "read-only"
DEFAULT_BYTES: Final = 4 << 30
"""250 frames of 1920x1080 in half RGBA."""
LEAST_BYTES: Final = 1 << 20
LIMIT_FILE: Final = "limit"
_UNITS: Final = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_SIZE: Final = re.compile(r"(?P<count>\d{1,12}(\.\d{1,6})?)\s*((?P<unit>[KMGT])(iB|B)?)?", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class CacheChoice:
    """What a server or a command is to do with the cache."""

    folder: Path
    limit_bytes: int | None = None
    """None: what `impasto cache limit` says, of the folder itself."""
    read_only: bool = False


def cache_choice(asked: str, device: str = "", environ: Mapping[str, str] = os.environ) -> CacheChoice | None:
    """What `--cache` asks for: a size, 'read-only', 'off' or nothing; None where no frame is to be kept or looked for.

    Where it asks for nothing and $IMPASTO_CACHE names no folder either, frames of CUDA are not kept: what a hit saves
    there is unmeasured. Raises UsageError for any other word.
    """
    word, named = asked.strip().lower(), environ.get(VARIABLE, "").strip()
    if word == OFF or (not word and (named.lower() == OFF or (not named and device.startswith("cuda")))):
        return None
    folder = cache_folder(environ)
    if word in ("", READ_ONLY):
        return CacheChoice(folder, read_only=word == READ_ONLY)
    return CacheChoice(folder, bytes_of(asked))


def cache_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """The folder of painted frames: $IMPASTO_CACHE, else the user's cache folder, where the system has it."""
    named = environ.get(VARIABLE, "").strip()
    if named and named.lower() != OFF:
        return Path(named).absolute()
    if sys.platform == "win32":
        return Path(environ.get("LOCALAPPDATA") or Path.home()) / "impasto" / "cache" / "frames"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "impasto" / "frames"
    return Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "impasto" / "frames"


def bytes_of(text: str) -> int:
    """'4G', '500 MiB' or '1.5T' in bytes, by powers of 1024; UsageError for what is no size or below `LEAST_BYTES`."""
    found = _SIZE.fullmatch(text.strip())
    count = 0 if found is None else int(float(found["count"]) * _UNITS[(found["unit"] or "").upper()])
    if not LEAST_BYTES <= count < 1 << 60:
        raise UsageError(f"expected a size of the cache from 1M upwards, such as 500M or 4G, got '{text}'")
    return count


def limit_of(folder: Path) -> int:
    """How many bytes a folder may take, `DEFAULT_BYTES` where nobody said, or it cannot be read."""
    try:
        return bytes_of((folder / LIMIT_FILE).read_text(encoding="ascii")[:64])
    except (OSError, UnicodeError, UsageError):
        return DEFAULT_BYTES


def set_limit(folder: Path, limit_bytes: int) -> None:
    """Note how many bytes a folder may take, for all who use it. OutputError where it cannot be written."""
    path = str(folder / LIMIT_FILE)
    with committed(path, replace=True) as temporary:
        make_folder(folder)
        Path(temporary).write_text(f"{limit_bytes}\n", encoding="ascii")


def make_folder(folder: Path) -> None:
    """Make the folder where there is none; then its user alone may look at what is in it. Raises OSError."""
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
