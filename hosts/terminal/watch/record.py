"""What a watched folder has been through: a small file beside the results, so that nothing is done twice.

A finished sequence could be known by the provenance in its frames; a movie that was taken away, or one whose every
frame would have to be decoded, could not. The record says of each shot what it was, how it was painted and where to.
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

NAME = ".impasto-watch.json"
LOCK = ".impasto-watch.lock"
"""Held by whoever paints into the folder. It stays, and tells every watcher that what lies beside it are results."""
VERSION = 1


@dataclass(frozen=True, slots=True)
class RecordedShot:
    """What was done about one shot."""

    digest: str
    """Of the shot as it lay in the folder."""
    settings: str
    """Of the style and everything that was turned."""
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
        """Whether this very shot has been painted in just this way."""
        entry = self.entries.get(shot)
        return entry is not None and entry.state == "finished" and (entry.digest, entry.settings) == (digest, settings)

    def owns(self, shot: str, output: str) -> bool:
        """Whether what lies at `output` was made of this shot, so that it may be replaced."""
        entry = self.entries.get(shot)
        return entry is not None and entry.output == output

    def note(self, shot: str, entry: RecordedShot) -> None:
        """Remember; OutputError where the file cannot be written."""
        self.entries[shot] = entry
        shots = {name: asdict(each) for name, each in sorted(self.entries.items())}
        text = {"version": VERSION, "source": self.source, "shots": shots}
        make_folder(self.path)
        with committed(self.path, replace=True) as temporary, open(temporary, "w", encoding="utf-8") as stream:
            json.dump(text, stream, indent=1, ensure_ascii=False)

    def finish(self, shot: str) -> None:
        """The shot that was begun is done."""
        self.note(shot, replace(self.entries[shot], state="finished"))


@contextlib.contextmanager
def held(folder: str) -> Iterator[None]:
    """While it lasts, nobody else paints into a folder of results. UsageError where somebody does.

    The lock goes with the process, however it dies.
    """
    from impasto.server.runtime_dir import take_lock

    path = os.path.join(folder, LOCK)
    make_folder(path)
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
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

    Raises UsageError for the results of another folder, and for a file that is no record: to go on without it would
    be to do everything again.
    """
    whence = _from(folder, source)
    path = os.path.join(folder, NAME)
    text = "{}"
    with contextlib.suppress(FileNotFoundError), open(path, encoding="utf-8") as stream:
        text = stream.read()
    try:
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
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UsageError(
            f"expected the record of this folder in '{path}', got something else ({error}); remove it, and what is in"
            " the folder is painted again"
        ) from error


def _from(folder: str, source: str) -> str:
    """Where a folder is from another one, so that both may be moved together."""
    try:
        return os.path.relpath(os.path.realpath(source), os.path.realpath(folder))
    except ValueError:  # on another drive
        return os.path.realpath(source)


def _entry(facts: Mapping[str, str]) -> RecordedShot:
    state: Literal["begun", "finished"] = "finished" if facts["state"] == "finished" else "begun"
    return RecordedShot(facts["digest"], facts["settings"], facts["output"], state)
