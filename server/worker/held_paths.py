"""The paths of a job below roots, in folders that are held open: who swaps one for a link meanwhile gains nothing.

Roots are those of the server, or for a client of this machine the folders that its job names (`ShotJob.within`).
Every folder is opened by its name in the one above, beginning at the root and never through a link. That is what
`openat2` does for paths without '..'. What is left, the name of a file or of a sequence, is opened by the readers and
writers without following a link (`core/media/held_folder.py`).

This needs a system that shows open files as paths, as Linux does. Elsewhere the way is walked again right before the
job begins, and a folder that is swapped later is followed.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from impasto.core.errors import ImpastoError, NotPermitted, UnreadableMedia
from impasto.core.media.held_folder import DESCRIPTORS, held_path
from impasto.server.file_roots import open_folder
from impasto.server.protocol.messages import ShotJob
from impasto.server.protocol.text import cleaned


@dataclass(frozen=True, slots=True)
class HeldJob:
    """A job whose paths lead through the descriptors of its folders."""

    job: ShotJob
    folders: dict[str, int]
    """Folder by its path -> descriptor."""

    def told(self, text: str) -> str:
        """A text as it is told to the client: with the paths of the folders, and cleaned."""
        for folder, fd in self.folders.items():
            text = re.sub(rf"{DESCRIPTORS}/{fd}\b", lambda _, path=folder: path, text)  # type: ignore[misc]
        return cleaned(text)


@contextmanager
def held_job(job: ShotJob, roots: Sequence[str]) -> Iterator[HeldJob]:
    """Hold the folders of a job while the block runs; without roots, and on Windows, the job stays as it is.

    Errors of the block name the folders. NotPermitted for a path that is not below a root, or leads through a link;
    UnreadableMedia for one that is not there.
    """
    folders: dict[str, int] = {}

    def hold(field: str, path: str) -> str:
        if not path:
            return path
        folder, name = os.path.split(path)
        if folder not in folders:
            folders[folder] = _open(path, roots, make=field == "output")
        return held_path(folders[folder], name) if os.path.isdir(DESCRIPTORS) else path

    try:
        held = HeldJob(job.with_paths(hold) if roots and sys.platform != "win32" else job, folders)
        try:
            yield held
        except ImpastoError as error:
            error.args = tuple(held.told(each) if isinstance(each, str) else each for each in error.args)
            raise
    finally:
        for fd in folders.values():
            os.close(fd)


def _open(path: str, roots: Sequence[str], *, make: bool) -> int:
    below = [root for root in roots if Path(path).is_relative_to(root)]
    if not below:
        raise NotPermitted(f"expected a path below a root of the server, got '{path}'")
    root = max(below, key=len)
    try:
        # The root itself is where its owner says, which may be behind a link.
        return open_folder(Path(root).resolve(), Path(path).relative_to(root).parts[:-1], path, make=make)
    except FileNotFoundError:
        raise UnreadableMedia(f"expected a file at '{path}', found none; check the path below the root") from None
