"""Files that clients of other machines may name: 'ROOT:relative/path' below a folder that the server was given.

A name is taken apart by strict rules before it meets the disk, and then followed folder by folder without ever
following a link. Nothing is expanded: no '~', no variable, no wildcard. The answer of `resolve` holds for the moment of
the question; a worker holds the folders open for as long as a job uses them (`worker/held_paths.py`).
"""

from __future__ import annotations

import os
import re
import stat
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from impasto.core.errors import NotPermitted, UnreadableMedia, UsageError
from impasto.core.media.commit import output_error
from impasto.server.settings import Root

COMPONENT_BYTES: Final = 255
TEXT_BYTES: Final = 4096
COMPONENTS: Final = 64

_ROOT_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{1,62}", re.IGNORECASE)
"""Two letters at least, so that a drive is never taken for a root."""
_NUMBER = re.compile(r"#+|%0[1-9]d")
_RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])(\..*)?", re.IGNORECASE)
_SIGNS = frozenset('\\:*?[]{}<>|"$~%@#`')
"""Characters that a shell, a pattern or another system reads as more than themselves."""
_FOLDER: Final = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)
_SLASHES = frozenset("\u2044\u2215\u2216\u29f5\u29f8\u29f9\ufe68\uff0f\uff3c\u2571\u2572")
"""Characters that look like a slash or backslash."""


def root_of(text: str) -> tuple[str, Root]:
    """'NAME=DIR' or 'NAME=DIR:rw' as a named root; UsageError for a name that is none, or for no folder."""
    name, found, rest = text.partition("=")
    writable = rest.endswith(":rw")
    folder = Path(rest.removesuffix(":rw").removesuffix(":ro"))
    if not found or not rest or not _ROOT_NAME.fullmatch(name):
        raise UsageError(
            f"expected a root as NAME=DIR or NAME=DIR:rw, got '{text}'; give for example plates=/mnt/plates"
        )
    if not folder.is_dir():
        raise UsageError(f"expected a folder for the root '{name}', '{folder}' is none; check the path")
    return name, Root(folder.resolve(), writable)


def resolve(text: str, roots: Mapping[str, Root], *, write: bool) -> Path:
    """The path that 'ROOT:relative/path' means, a file or a sequence ('####' or '%04d' in the last name).

    For reading there must be a plain file of one name, or only such files of the sequence; for writing nothing, or
    plain files. Raises NotPermitted for a name that is not allowed, UnreadableMedia for a file that is not there.
    """
    name, found, relative = text.partition(":")
    if not found or name not in roots:
        known = ", ".join(sorted(roots)) or "none"
        raise NotPermitted(
            f"expected a path as ROOT:folder/file below a root of the server ({known}), got '{_shown(text)}';"
            " roots are named with `impasto serve --root NAME=DIR`"
        )
    root = roots[name]
    parts = _parts_of(relative, text)
    if write and not root.writable:
        raise NotPermitted(
            f"expected a root that may be written to, '{name}' is for reading; serve it with --root {name}=DIR:rw"
        )
    if sys.platform == "win32":
        raise NotPermitted("expected a server on Linux or macOS: on Windows none serves files below roots; send pixels")
    _follow(root.folder, parts, text, write=write)
    return root.folder.joinpath(*parts)


def _parts_of(relative: str, text: str) -> list[str]:
    """The names of a path, each of them allowed."""
    from impasto.core.media.formats import PICTURE_EXTENSIONS
    from impasto.core.media.open import MOVIE_EXTENSIONS

    def refused(why: str) -> NotPermitted:
        return NotPermitted(f"expected a plain path below a root, got '{_shown(text)}': {why}")

    if any(unicodedata.category(letter).startswith("C") for letter in relative):
        raise refused("it holds control characters")
    if len(os.fsencode(relative)) > TEXT_BYTES:
        raise refused(f"it is longer than {TEXT_BYTES} bytes")
    if unicodedata.normalize("NFC", relative) != relative:
        raise refused("its letters are not in the composed form (NFC)")
    parts = relative.split("/")
    if len(parts) > COMPONENTS:
        raise refused(f"it has more than {COMPONENTS} folders")
    for index, part in enumerate(parts, start=1):
        plain, numbers = _NUMBER.subn("", part) if index == len(parts) else (part, 0)
        if part in ("", ".", ".."):
            raise refused("it begins with '/', or has an empty name, '.' or '..' in it")
        if odd := sorted((_SIGNS | _SLASHES) & set(plain)):
            raise refused(f"'{odd[0]}' means more than itself; a number is written #### or %04d in the last name")
        if numbers > 1:
            raise refused("its last name has more than one place for the number")
        if part != part.strip() or part.endswith("."):
            raise refused("a name begins with a space, or ends with a space or a dot")
        if _RESERVED.fullmatch(part):
            raise refused(f"'{part}' is a device on some systems")
        if len(os.fsencode(part)) > COMPONENT_BYTES:
            raise refused(f"a name is longer than {COMPONENT_BYTES} bytes")
    if os.path.splitext(parts[-1])[1].lower() not in PICTURE_EXTENSIONS | MOVIE_EXTENSIONS:
        raise refused("its last name is not that of a picture or movie")
    return parts


def _follow(folder: Path, parts: list[str], text: str, *, write: bool) -> None:
    """Walk down from the root, link by no link, and look at what is there."""
    try:
        fd = open_folder(folder, parts[:-1], text)
    except FileNotFoundError:
        if write:
            return  # it will be made
        raise _missing(text) from None
    try:
        _require_plain(fd, parts[-1], text, write=write)
    finally:
        os.close(fd)


def open_folder(root: Path, parts: Sequence[str], text: str, *, make: bool = False) -> int:
    """A descriptor of the folder at `parts` below a root, each opened by its name in the one before, never a link.

    With `make` folders that are not there are made, else FileNotFoundError. NotPermitted for a link or a file,
    OutputError where one cannot be made. `text` is the path in errors.
    """
    try:
        fd = os.open(root, _FOLDER)
    except OSError as error:
        raise NotPermitted(f"expected the root of '{_shown(text)}' on the server, got: {error.strerror}") from error
    try:
        for part in parts:
            inner = _inner_folder(fd, part, text, make=make)
            os.close(fd)
            fd = inner
    except BaseException:
        os.close(fd)
        raise
    return fd


def _inner_folder(fd: int, name: str, text: str, *, make: bool) -> int:
    if make:
        try:
            os.mkdir(name, dir_fd=fd)
        except FileExistsError:
            pass
        except OSError as error:
            raise output_error(_shown(text), error) from error
    try:
        return os.open(name, _FOLDER, dir_fd=fd)
    except FileNotFoundError:
        raise
    except OSError as error:
        # A link is ELOOP or ENOTDIR, by system.
        raise NotPermitted(
            f"expected folders alone on the way to '{_shown(text)}', '{name}' is a link or a file; name the place"
            " itself"
        ) from error


def _require_plain(fd: int, name: str, text: str, *, write: bool) -> None:
    """Raise unless the last name, or every file of the sequence that it means, is a plain file."""
    from impasto.core.media.numbering import named_like

    number = _NUMBER.search(name)
    if number is None:
        names = [name] if _exists(fd, name) else []
    else:
        digits = number[0] if number[0].startswith("#") else "#" * int(number[0][2:-1])
        sequence = named_like(name.replace(number[0], digits))
        assert sequence is not None
        names = [each for each in os.listdir(fd) if sequence.number_of(each) is not None]
        # A file that bears the pattern itself as its name would be opened in the place of the sequence.
        names += [name] if _exists(fd, name) else []
    if not names and not write:
        raise _missing(text)
    for each in names:
        try:
            facts = os.stat(each, dir_fd=fd, follow_symlinks=False)
        except FileNotFoundError:
            raise _missing(text) from None
        if not stat.S_ISREG(facts.st_mode):
            raise NotPermitted(f"expected plain files for '{_shown(text)}', '{each}' is a link, a folder or a device")
        if not write and facts.st_nlink != 1:
            raise NotPermitted(
                f"expected a file of one name for '{_shown(text)}', '{each}' has {facts.st_nlink} (hard links); copy it"
            )


def _exists(fd: int, name: str) -> bool:
    # By the list, because a file system that takes either case would find a file of another name.
    return name in os.listdir(fd)


def _missing(text: str) -> UnreadableMedia:
    return UnreadableMedia(f"expected a file at '{_shown(text)}', found none; check the path below the root")


def _shown(text: str) -> str:
    """A name from outside as it may stand in a message: printable and short."""
    plain = "".join(letter if letter.isprintable() else "\ufffd" for letter in text[:200])
    return plain if len(text) <= 200 else f"{plain}…"
