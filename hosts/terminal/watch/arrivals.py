"""The shots that have arrived in a watched folder, and whether their writers have finished.

No writer says when a file is complete. File events of the system (inotify and the like) do not see what another
machine writes to a shared disk, which is where renders arrive, and even a local event says that a file was written to,
not that this was the last time. So the folder is listed again and again, and a shot that has not changed for a while is
complete. Apart from one listing, this file knows no clock and no file system.
"""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from itertools import islice

from impasto.core.media.formats import PICTURE_EXTENSIONS
from impasto.core.media.numbering import NumberedPath, gaps, named_like
from impasto.core.media.open import is_movie
from impasto.hosts.terminal.watch.record import LOCK

Stamp = tuple[int, int]
"""Size in bytes and time of change in nanoseconds. Times are compared with each other, never with a clock: a file
server has its own."""
Listing = Mapping[str, Stamp]
"""One listing: path below the folder -> stamp."""

_NAMED = 7
"""Missing numbers that are kept, one more than are shown: two numbers may be thousands of millions apart."""
PATIENCE = 3.0
"""A writer may pause this many times as long as it has paused before."""


@dataclass(frozen=True, slots=True)
class ArrivedShot:
    """A movie, a still or a numbered sequence, as it lies in the folder now."""

    name: str
    """Path below the folder; a sequence as its pattern with one '#' for each digit."""
    digest: str
    """Of names, sizes and times of its files: another digest, another render."""
    frames: int
    missing: tuple[int, ...]
    """Numbers between the first and the last frame that have no file, the first few of them."""
    empty: tuple[str, ...]
    """Files of no bytes."""
    files: tuple[str, ...] = field(default=(), compare=False)
    """Paths below the folder."""

    @property
    def whole(self) -> bool:
        """Whether every frame between the first and the last is there."""
        return not self.missing and not self.empty


@dataclass(slots=True)
class _Watched:
    """How a shot has behaved since it was first listed."""

    shot: ArrivedShot
    since: float
    """When it was last found changed."""
    longest_pause: float = 0.0
    handed_out: bool = False


@dataclass(frozen=True, slots=True)
class FolderChanges:
    """What has changed since the last listing of the folder."""

    complete: tuple[ArrivedShot, ...] = ()
    """Complete since the last listing; each shot is here once, and again when it changes."""
    broken_off: tuple[ArrivedShot, ...] = ()
    """At rest with frames missing or empty; here once."""
    growing: int = 0
    """How many are not at rest yet."""


@dataclass(slots=True)
class Arrivals:
    """Remembers earlier listings, and finds the shots that have come to rest."""

    settle_s: float
    _watched: dict[str, _Watched] = field(default_factory=dict)
    _listed_at: float = 0.0

    def update(self, listing: Listing, now: float) -> FolderChanges:
        """Compare a listing with the earlier ones; `now` is in seconds of any clock that only goes forward."""
        shots = shots_in(listing)
        self._watched = {name: each for name, each in self._watched.items() if name in shots}
        complete: list[ArrivedShot] = []
        broken_off: list[ArrivedShot] = []
        growing = 0
        for name, shot in sorted(shots.items()):
            watched = self._compared(name, shot, now)
            if watched.handed_out:
                continue
            if now - watched.since < max(self.settle_s, PATIENCE * watched.longest_pause):
                growing += 1
                continue
            watched.handed_out = True
            (complete if shot.whole else broken_off).append(shot)
        self._listed_at = now
        return FolderChanges(tuple(complete), tuple(broken_off), growing)

    def _compared(self, name: str, shot: ArrivedShot, now: float) -> _Watched:
        watched = self._watched.get(name)
        if watched is None:
            watched = self._watched[name] = _Watched(shot, now)
        elif watched.shot.digest != shot.digest:
            # Until the last listing it rested; since then, which may be long, it was not listed. A shot that was handed
            # out and is whole, or was, begins anew; one that still has gaps does not, or it would be handed out again
            # with each of its frames.
            anew = watched.handed_out and (watched.shot.whole or shot.whole)
            pause = 0.0 if anew else max(watched.longest_pause, self._listed_at - watched.since)
            watched = self._watched[name] = _Watched(shot, now, pause)
        return watched


def shots_in(listing: Listing) -> dict[str, ArrivedShot]:
    """The shots that the files of a listing make up, by name."""
    singles: dict[str, list[str]] = {}
    groups: dict[tuple[str, str, str], list[tuple[NumberedPath, str]]] = defaultdict(list)
    for path in listing:
        numbered = None if is_movie(path) else named_like(path)
        if numbered is None:
            singles[path] = [path]
        else:
            groups[numbered.folder, numbered.prefix, numbered.suffix].append((numbered, path))
    shots = {name: _shot(name, paths, (), listing) for name, paths in singles.items()}
    for files in groups.values():
        # Unpadded numbers grow a digit on the way: the shortest has the pattern.
        pattern = min((numbered for numbered, _ in files), key=lambda numbered: numbered.padding)
        numbers = {pattern.number_of(os.path.basename(path)): path for _, path in files}
        own = {number: path for number, path in numbers.items() if number is not None}
        if own:
            runs = gaps(own, min(own), max(own))
            missing = tuple(islice((number for first, last in runs for number in range(first, last + 1)), _NAMED))
            shots[str(pattern)] = _shot(str(pattern), list(own.values()), missing, listing)
    return shots


def _shot(name: str, paths: list[str], missing: tuple[int, ...], listing: Listing) -> ArrivedShot:
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(repr((path, *listing[path])).encode())
    empty = tuple(path for path in sorted(paths) if not listing[path][0])
    return ArrivedShot(name, digest.hexdigest()[:16], len(paths), missing, empty, tuple(sorted(paths)))


def listing_of(
    folder: str, besides: Collection[str], on_link: Callable[[str], None] = lambda path: None
) -> dict[str, Stamp]:
    """Every movie and picture below a folder with its stamp.

    Hidden files, folders of results and the folders `besides` are skipped; `besides` are real paths. So are links,
    whose files may be secret and whose folders may lead round in circles: `on_link` gets their paths below the folder.
    A file that disappears meanwhile is left out. OSError where the folder itself cannot be listed.
    """
    found: dict[str, Stamp] = {}
    pending = [""]
    while pending:
        below = pending.pop()
        try:
            entries = list(os.scandir(os.path.join(folder, below)))
        except OSError:
            if not below:
                raise
            continue
        for entry in entries:
            path = os.path.join(below, entry.name)
            if entry.name.startswith("."):
                continue
            try:
                if entry.is_symlink():
                    if _is_media(entry.name) or entry.is_dir():
                        on_link(path)
                elif entry.is_dir():
                    # The results of another watcher, or of this one with another --into, would be painted without end.
                    if os.path.lexists(os.path.join(entry.path, LOCK)):
                        continue
                    if os.path.realpath(entry.path) not in besides:
                        pending.append(path)
                elif _is_media(entry.name) and entry.is_file():
                    facts = entry.stat(follow_symlinks=False)
                    found[path] = (facts.st_size, facts.st_mtime_ns)
            except OSError:
                continue
    return found


def _is_media(name: str) -> bool:
    return is_movie(name) or os.path.splitext(name)[1].lower() in PICTURE_EXTENSIONS
