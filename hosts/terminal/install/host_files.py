"""Installs an adapter into a folder where its host finds it, and removes it again completely.

An adapter consists of `impasto/hosts/events.py`, the folders `impasto/hosts/bridge` and `impasto/hosts/<host>`, the
words of the `impasto` command of this installation, and the list of styles and parameters. A manifest lists what was
installed, so that no file of the user is ever overwritten or removed.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from impasto.core.errors import OutputError, OutputExists, UsageError
from impasto.hosts.bridge import catalogue as catalogues
from impasto.hosts.bridge import command as commands
from impasto.hosts.terminal.printer import say

Host = Literal["nuke", "resolve"]
MANIFEST = "impasto_manifest.json"
BEGIN = "# impasto: put here by `impasto {host} install`, taken away by `impasto {host} uninstall`"
END = "# impasto: end"
REFRESHED = (catalogues.CATALOGUE_FILE,)
"""Files that the adapter itself updates."""


@dataclass(frozen=True, slots=True)
class Removed:
    """The result of a removal."""

    files: int
    """How many were removed."""
    kept: tuple[Path, ...]
    """Files that were changed after the installation."""


def adapter_files(host: Host) -> dict[str, bytes]:
    """Relative path -> contents of the files that an adapter needs on its Python path."""
    found = {"impasto/hosts/__init__.py": b""}
    hosts = Path(__file__).resolve().parents[2]
    for path in (
        hosts / "events.py",
        *(each for name in ("bridge", host) for each in sorted((hosts / name).glob("*.py"))),
    ):
        found[f"impasto/hosts/{path.relative_to(hosts).as_posix()}"] = path.read_bytes()
    # -P: the host's working folder must not shadow our packages.
    words = [sys.executable, "-P", "-m", "impasto.hosts.terminal"]
    found[commands.COMMAND_FILE] = (json.dumps({"command": words}, indent=1) + "\n").encode()
    found[catalogues.CATALOGUE_FILE] = catalogues.catalogue_text(own_catalogue()).encode()
    return found


def own_catalogue() -> catalogues.Catalogue:
    """Styles and parameters of this installation."""
    from impasto.hosts.terminal.style.listing import controls, installed_styles

    return catalogues.Catalogue(tuple(installed_styles()[0]), controls())


def install_files(files: Mapping[str, bytes], folder: Path) -> list[Path]:
    """Write files below a folder, over those of an earlier installation, and list them in the manifest; their paths.

    Raises OutputExists, before anything is written, for an existing file that is not ours; OutputError where the folder
    cannot be written.
    """
    before = _files_of(folder)
    for name in files:
        path = folder / name
        if path.exists() and not _ours(path, before.get(name)):
            raise OutputExists(
                f"expected no file at '{path}', or the one of an earlier installation, but it is another; move it away"
            )
    try:
        for name, contents in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(contents)
        for name in before.keys() - files.keys():
            _drop(folder / name, before[name])
        noted = {name: _digest(contents) for name, contents in files.items()}
        text = json.dumps({"impasto": version("impasto"), "files": noted}, indent=1) + "\n"
        (folder / MANIFEST).write_text(text, encoding="utf-8")
    except OSError as error:
        raise _refused(folder, error) from error
    return [folder / name for name in files]


def remove(folder: Path) -> Removed:
    """Remove what `install_files` put below a folder; files that were changed since stay."""
    noted = _files_of(folder)
    removed, kept = 0, []
    try:
        for name, digest in noted.items():
            if _drop(folder / name, digest):
                removed += 1
            elif (folder / name).exists():
                kept.append(folder / name)
        (folder / MANIFEST).unlink(missing_ok=True)
        _drop_empty(folder, noted)
    except OSError as error:
        raise _refused(folder, error) from error
    return Removed(removed, tuple(kept))


def uninstall_from(folder: Path, *, must_exist: bool = True) -> None:
    """Remove an installation and print what was done. UsageError where there is none, unless that is allowed."""
    if must_exist and not (folder / MANIFEST).exists():
        raise UsageError(f"expected an installation in '{folder}', found none; name its folder with --dir")
    removed = remove(folder)
    say(f"{folder}: {removed.files} files removed")
    for path in removed.kept:
        say(f"kept, because it was changed: {path}")


def stale_files(wanted: Mapping[str, bytes], folder: Path) -> list[str]:
    """The names of files that are missing below a folder or differ from the wanted contents."""
    return [
        name
        for name, contents in wanted.items()
        if not (folder / name).is_file() or (folder / name).read_bytes() != contents
    ]


def add_block(path: Path, host: Host, lines: Iterable[str]) -> None:
    """Add marked lines at the end of a user's script, once. Everything else in it stays, to the byte."""
    try:
        before = without_block(path.read_bytes(), host) if path.exists() else b""
        line_break = "\r\n" if b"\r\n" in before else "\n"
        # A last line without a line break gets one; a space in the first marker notes that for the removal.
        joint = line_break if before and not before.endswith(b"\n") else ""
        text = line_break.join([BEGIN.format(host=host) + (" " if joint else ""), *lines, END, ""])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(before + (joint + text).encode())
    except OSError as error:
        raise _refused(path, error) from error


def remove_block(path: Path, host: Host) -> bool:
    """Remove the marked lines, and the file where it holds nothing else; whether there were any."""
    if not path.exists():
        return False
    try:
        contents = path.read_bytes()
        left = without_block(contents, host)
        if left == contents:
            return False
        if left:
            path.write_bytes(left)
        else:
            path.unlink()
    except OSError as error:
        raise _refused(path, error) from error
    return True


def without_block(contents: bytes, host: Host) -> bytes:
    """The bytes of a script without our lines."""
    begin = contents.find(BEGIN.format(host=host).encode())
    end = contents.find(END.encode(), begin)
    if begin < 0 or end < 0:
        return contents
    end += len(END)
    for line_break in (b"\r\n", b"\n"):
        if contents.startswith(line_break, end):
            end += len(line_break)
            break
    head, tail = contents[:begin], contents[end:]
    # Remove the line break that `add_block` added, unless lines were written after ours.
    if not tail and contents.startswith(b" ", begin + len(BEGIN.format(host=host))):
        head = head.removesuffix(b"\n").removesuffix(b"\r")
    return head + tail


def _files_of(folder: Path) -> dict[str, str]:
    try:
        noted: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return {name: str(digest) for name, digest in noted.items()}


def _drop(path: Path, digest: str) -> bool:
    """Remove a file if it is the installed one; whether it was."""
    if not path.is_file() or not _ours(path, digest):
        return False
    path.unlink()
    return True


def _ours(path: Path, digest: str | None) -> bool:
    return digest is not None and (path.name in REFRESHED or _digest(path.read_bytes()) == digest)


def _drop_empty(folder: Path, names: Iterable[str]) -> None:
    """Remove the folders of these files that are empty now, with our compiled files."""
    parents = {parent for name in names for parent in (folder / name).parents if parent.is_relative_to(folder)}
    for parent in sorted(parents, key=lambda each: len(each.parts), reverse=True):
        for compiled in parent.glob("__pycache__/*.pyc"):
            compiled.unlink()
        for each in (parent / "__pycache__", parent):
            if each.is_dir() and not any(each.iterdir()):
                each.rmdir()


def _digest(contents: bytes) -> str:
    return hashlib.sha256(contents).hexdigest()


def _refused(path: Path, error: OSError) -> OutputError:
    return OutputError(
        f"expected to write below '{path}', which failed: {error.strerror or error}; name another folder with --dir"
    )
