"""What has arrived in a watched folder, and whether its writer has finished: no clock, no file system beyond one look.

Nobody tells when a file is complete. Notices of the system (inotify and its kin) do not see what another machine
writes to a shared disk, which is where renders arrive, and even a local notice says that a file was written to, not
that this was the last time. So the folder is looked at, and what has not changed for a while is complete.
"""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from itertools import islice

from impasto.core.media.formats import PICTURE_EXTENSIONS
from impasto.core.media.numbering import NumberedPath, gaps, named_like
from impasto.core.media.open import is_movie
from impasto.hosts.terminal.watch.record import LOCK

Stamp = tuple[int, int]
"""Size in bytes and time of change in nanoseconds. Times are compared with each other alone, never with a clock:
the clock of a file server is its own."""
Seen = Mapping[str, Stamp]
"""What one look found: path below the folder -> stamp."""

_NAMED = 7
"""Missing numbers that are kept, one more than are shown: two numbers may be thousands of millions apart."""
PATIENCE = 3.0
"""A writer that paused so long before may pause this many times as long again."""


@dataclass(frozen=True, slots=True)
class Shot:
    """A movie, a still or a numbered sequence, as it lies in the folder now."""

    name: str
    """Path below the folder; a sequence as its pattern with one '#' for each digit."""
    digest: str
    """Of names, sizes and times of its files: another digest, another render."""
    frames: int
    missing: tuple[int, ...]
    """Numbers between the first and the last frame of which there is no file, the first few of them."""
    empty: tuple[str, ...]
    """Files that nothing was written to yet."""

    @property
    def whole(self) -> bool:
        """Whether every frame between the first and the last is there."""
        return not self.missing and not self.empty


@dataclass(slots=True)
class _Watched:
    """How a shot has behaved since it was first seen."""

    shot: Shot
    since: float
    """When it was last seen to change."""
    longest_pause: float = 0.0
    handed_out: bool = False


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at the folder tells."""

    complete: tuple[Shot, ...] = ()
    """Complete since the last look; each is told once, and again when it changes."""
    broken_off: tuple[Shot, ...] = ()
    """At rest with frames missing or empty; told once."""
    growing: int = 0
    """How many are not at rest yet."""


@dataclass(slots=True)
class Arrivals:
    """Remembers earlier looks, so that it can tell what has come to rest."""

    settle_s: float
    _watched: dict[str, _Watched] = field(default_factory=dict)
    _looked_at: float = 0.0

    def look(self, seen: Seen, now: float) -> Look:
        """Compare what is there with what was; `now` is in seconds of any clock that only goes forward."""
        shots = shots_in(seen)
        self._watched = {name: each for name, each in self._watched.items() if name in shots}
        complete: list[Shot] = []
        broken_off: list[Shot] = []
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
        self._looked_at = now
        return Look(tuple(complete), tuple(broken_off), growing)

    def _compared(self, name: str, shot: Shot, now: float) -> _Watched:
        watched = self._watched.get(name)
        if watched is None:
            watched = self._watched[name] = _Watched(shot, now)
        elif watched.shot.digest != shot.digest:
            # Until the last look it certainly rested; since then, which may be long, nobody looked. What was told of
            # and is whole, or was, begins anew; what still has gaps does not, or each of its frames would be told of.
            anew = watched.handed_out and (watched.shot.whole or shot.whole)
            pause = 0.0 if anew else max(watched.longest_pause, self._looked_at - watched.since)
            watched = self._watched[name] = _Watched(shot, now, pause)
        return watched


def shots_in(seen: Seen) -> dict[str, Shot]:
    """The shots that the files of a look are, by name."""
    singles: dict[str, list[str]] = {}
    groups: dict[tuple[str, str, str], list[tuple[NumberedPath, str]]] = defaultdict(list)
    for path in seen:
        numbered = None if is_movie(path) else named_like(path)
        if numbered is None:
            singles[path] = [path]
        else:
            groups[numbered.folder, numbered.prefix, numbered.suffix].append((numbered, path))
    shots = {name: _shot(name, paths, (), seen) for name, paths in singles.items()}
    for files in groups.values():
        # Unpadded numbers grow a digit on the way: the shortest tells how they are written.
        pattern = min((numbered for numbered, _ in files), key=lambda numbered: numbered.padding)
        numbers = {pattern.number_of(os.path.basename(path)): path for _, path in files}
        own = {number: path for number, path in numbers.items() if number is not None}
        if own:
            runs = gaps(own, min(own), max(own))
            missing = tuple(islice((number for first, last in runs for number in range(first, last + 1)), _NAMED))
            shots[str(pattern)] = _shot(str(pattern), list(own.values()), missing, seen)
    return shots


def _shot(name: str, paths: list[str], missing: tuple[int, ...], seen: Seen) -> Shot:
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(repr((path, *seen[path])).encode())
    empty = tuple(path for path in sorted(paths) if not seen[path][0])
    return Shot(name, digest.hexdigest()[:16], len(paths), missing, empty)


def look_into(folder: str, besides: Collection[str]) -> dict[str, Stamp]:
    """Every movie and picture below a folder with its stamp.

    Hidden files are passed over, folders of results, and the folders `besides`.

    `besides` are real paths. What disappears between the listing and the look at it was never there. OSError where
    the folder itself cannot be listed.
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
                if entry.is_dir():
                    # What another watcher, or this one with another --into, made would be painted without end.
                    if os.path.lexists(os.path.join(entry.path, LOCK)):
                        continue
                    # A link to a folder may lead round in circles.
                    if not entry.is_symlink() and os.path.realpath(entry.path) not in besides:
                        pending.append(path)
                elif _is_media(entry.name):
                    facts = entry.stat()
                    found[path] = (facts.st_size, facts.st_mtime_ns)
            except OSError:
                continue
    return found


def _is_media(name: str) -> bool:
    return is_movie(name) or os.path.splitext(name)[1].lower() in PICTURE_EXTENSIONS
