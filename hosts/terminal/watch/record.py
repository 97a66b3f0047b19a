"""The record of a watched folder: a small file beside the results, so that no shot is painted twice.

The provenance in its frames would identify a finished sequence, but not a movie that was moved away, or one whose every
frame would have to be decoded. The record has the digest, the settings and the output of each shot.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Literal

from impasto.core.errors import UsageError
from impasto.core.media.commit import committed, make_folder, output_error
from impasto.hosts.terminal.watch.trust import opened_own

NAME = ".impasto-watch.json"
LOCK = ".impasto-watch.lock"
"""Locked by the process that paints into the folder. The file stays, and marks the folder as one of results."""
VERSION = 1


@dataclass(frozen=True, slots=True)
class RecordedShot:
    """One shot as the record has it."""

    digest: str
    """Of the shot as it lay in the folder."""
    settings: str
    """Digest of the style and all settings."""
    output: str
    """Below the folder of results."""
    state: Literal["begun", "finished"]


@dataclass(frozen=True, slots=True)
class WatchRecord:
    """The record of one folder of results. Every change is on disk when the call returns."""

    path: str
    source: str
    """The folder that is painted, from this one: names of shots mean files of that folder alone."""
    entries: dict[str, RecordedShot]

    def finished(self, shot: str, digest: str, settings: str) -> bool:
        """Whether this shot, unchanged, has been painted with these settings."""
        entry = self.entries.get(shot)
        return entry is not None and entry.state == "finished" and (entry.digest, entry.settings) == (digest, settings)

    def owns(self, shot: str, output: str) -> bool:
        """Whether the file at `output` was made of this shot, so that it may be replaced."""
        entry = self.entries.get(shot)
        return entry is not None and entry.output == output

    def note(self, shot: str, entry: RecordedShot) -> None:
        """Store an entry; OutputError where the file cannot be written."""
        self.entries[shot] = entry
        shots = {name: asdict(each) for name, each in sorted(self.entries.items())}
        text = {"version": VERSION, "source": self.source, "shots": shots}
        make_folder(self.path)
        with committed(self.path, replace=True) as temporary, open(temporary, "w", encoding="utf-8") as stream:
            json.dump(text, stream, indent=1, ensure_ascii=False)

    def finish(self, shot: str) -> None:
        """Note that a shot is finished."""
        self.note(shot, replace(self.entries[shot], state="finished"))


@contextlib.contextmanager
def held(folder: str) -> Iterator[None]:
    """Hold the lock of a folder of results. UsageError where another process holds it.

    The lock ends with the process, however it dies.
    """
    from impasto.server.runtime_dir import take_lock

    path = os.path.join(folder, LOCK)
    make_folder(path)
    try:
        fd = opened_own(path, os.O_RDWR | os.O_CREAT)
    except OSError as error:
        raise output_error(path, error) from error
    try:
        if not take_lock(fd, 0.0):
            raise UsageError(
                f"expected the lock '{path}', but another `impasto watch` holds it, or the disk knows no locks; end "
                "that one, or name another folder with --into"
            )
        yield
    finally:
        os.close(fd)  # and with it goes the lock


def read_record(folder: str, source: str) -> WatchRecord:
    """The record in a folder of results, empty where there is none.

    Raises UsageError for the results of another folder, and for a file that is no record: without the record every
    shot would be painted again.
    """
    whence = _from(folder, source)
    path = os.path.join(folder, NAME)
    text = "{}"
    try:
        with contextlib.suppress(FileNotFoundError), open(path, encoding="utf-8", opener=opened_own) as stream:
            text = stream.read()
        facts = json.loads(text)
        if facts.get("version", VERSION) > VERSION:
            raise UsageError(
                f"expected a record of version {VERSION} in '{path}', got {facts['version']}; update impasto"
            )
        if facts.get("source", whence) != whence:
            raise UsageError(
                f"expected '{folder}' to hold results of '{source}', they are of '{facts['source']}'; name another "
                "folder with --into"
            )
        return WatchRecord(path, whence, {name: _entry(each) for name, each in facts.get("shots", {}).items()})
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise UsageError(
            f"expected the record of this folder in '{path}', got something else ({error}); remove it, and what is in"
            " the folder is painted again"
        ) from error


def _from(folder: str, source: str) -> str:
    """The relative path from one folder to another, so that both may be moved together."""
    try:
        return os.path.relpath(os.path.realpath(source), os.path.realpath(folder))
    except ValueError:  # on another drive
        return os.path.realpath(source)


def _entry(facts: Mapping[str, str]) -> RecordedShot:
    if not all(isinstance(text, str) for text in facts.values()):
        raise TypeError("a shot has facts that are no texts")
    state: Literal["begun", "finished"] = "finished" if facts["state"] == "finished" else "begun"
    return RecordedShot(facts["digest"], facts["settings"], facts["output"], state)
