"""Styles that stay loaded.

A style is read from disk once. What happens to its file afterwards changes nothing until `check` has verified the new
one beside the old; where it is broken the old one stays, and is not evicted, because nothing could bring it back. A
file that the library does not watch, because a client named its path, is compared with every request instead.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from impasto.core.errors import ImpastoError
from impasto.core.style_reference import name_of, split_reference
from impasto.server.worker.memory_budget import KEY_BYTES, Tile

if TYPE_CHECKING:
    from impasto.core.device.choice import Precision
    from impasto.core.engine import Engine
    from impasto.core.style_file import Style

Asked: TypeAlias = "tuple[Precision, Tile]"
BYTES_OF: Final = {"float32": 4, "float16": 2, "bfloat16": 2}


Signature: TypeAlias = tuple[int, int, int]
"""Time of the last change in nanoseconds, size and inode, by which two states of a file are told apart."""


@dataclass(slots=True, eq=False)
class CachedStyle:
    """A verified style and the engines that were built of it."""

    path: str
    style: Style
    bytes: int
    signature: Signature | None = None
    """Of the file just before it was read."""
    pinned: bool = False
    engines: dict[Asked, Engine] = field(default_factory=dict)
    building: threading.Lock = field(default_factory=threading.Lock)


class StyleCache:
    """The styles of one device, least recently used first; those beyond the budget are evicted. Any thread may ask.

    `load` reads and verifies a file, `build` makes an engine of a style.
    """

    def __init__(
        self,
        budget_bytes: int,
        load: Callable[[Path], Style],
        build: Callable[[Style, Precision, Tile], Engine],
        on_evicted: Callable[[], None] = lambda: None,
    ) -> None:
        self._budget = budget_bytes
        self._load, self._build, self._on_evicted = load, build, on_evicted
        self._lock = threading.Lock()
        self._cached: OrderedDict[str, CachedStyle] = OrderedDict()
        self._loading: dict[str, Future[CachedStyle]] = {}

    @property
    def bytes(self) -> int:
        """Weights in memory, all engines counted."""
        with self._lock:
            return sum(cached.bytes for cached in self._cached.values())

    def names(self) -> tuple[str, ...]:
        """The styles that are loaded, the one that was used last at the end."""
        with self._lock:
            return tuple(name_of(path) for path in self._cached)

    def style(self, path: str) -> CachedStyle:
        """The style of a file, read now where it is not loaded; several threads that ask at once read it once.

        Raises what `load` raises.
        """
        with self._lock:
            cached = self._cached.get(path)
            if cached is not None:
                self._cached.move_to_end(path)
                return cached
            future = self._loading.get(path)
            first = future is None
            if future is None:
                future = self._loading[path] = Future()
        if first:
            try:
                loaded = self._read(path)
                if loaded.signature != signature_of(path):
                    loaded = self._read(path)  # it was replaced in between
                with self._lock:
                    # A check that ended meanwhile has read a newer file.
                    loaded = self._cached.setdefault(path, loaded)
                future.set_result(loaded)
            except BaseException as error:  # noqa: BLE001  # raised again in every thread that asked
                future.set_exception(error)
            finally:
                with self._lock:
                    del self._loading[path]
            self._evict(path)
        return future.result()

    def unwatched_style(self, path: str) -> CachedStyle:
        """The style of a file as it is now: read again where it was changed since. Raises what `load` raises."""
        cached = self.style(path)
        if cached.signature == signature_of(path):
            return cached
        self.check(path)
        return self.style(path)

    def engine(self, cached: CachedStyle, precision: Precision, tile: Tile) -> Engine:
        """An engine of a style, built where there is none yet. Raises what `build` raises."""
        asked = precision, tile
        with cached.building:
            engine = cached.engines.get(asked)
            if engine is not None:
                return engine
            engine = cached.engines[asked] = self._build(cached.style, precision, tile)
            cached.bytes += BYTES_OF[engine.precision] * weights_of(cached.style) + sketch_bytes(cached.style)
        self._evict(cached.path)
        return engine

    def check(self, path: str) -> str:
        """Read a file anew and put it in the place of what was read before; the SHA-256 of its weights.

        Work that has begun goes on with the style that it began with. Where the file is broken what was read before
        stays and is pinned, and the error is raised.
        """
        try:
            fresh = self._read(path)
        except ImpastoError:
            with self._lock:
                for cached in self._cached.values():
                    cached.pinned = cached.pinned or file_of(cached.path) == path
            raise
        digest = fresh.style.card.weights_sha256
        with self._lock:
            old = self._cached.get(path)
            if old is not None and old.style.card == fresh.style.card:
                old.pinned, old.signature = False, fresh.signature
                return digest
            self._cached[path] = fresh
            self._cached.move_to_end(path)
            for other in [other for other in self._cached if other != path and file_of(other) == path]:
                del self._cached[other]  # what was chosen of the file as it was
        self._evict(path)
        return digest

    def evict_others(self, kept: CachedStyle) -> list[str]:
        """Drop the engines of all other styles, and the styles that can be read again; the names of those concerned."""
        with self._lock:
            others = [cached for cached in self._cached.values() if cached is not kept and cached.engines]
            for cached in others:
                cached.engines.clear()
                cached.bytes = bytes_of(cached.style)
                if not cached.pinned:
                    del self._cached[cached.path]
        self._on_evicted()
        return [name_of(cached.path) for cached in others]

    def _read(self, path: str) -> CachedStyle:
        signature = signature_of(path)
        style = self._load(Path(path))
        return CachedStyle(path, style, bytes_of(style), signature)

    def _evict(self, kept: str) -> None:
        """Evict what was used longest ago until the rest is within the budget; never what is kept or pinned."""
        dropped = False
        with self._lock:
            total = sum(cached.bytes for cached in self._cached.values())
            for path, cached in list(self._cached.items()):
                if total <= self._budget:
                    break
                if path != kept and not cached.pinned:
                    total -= cached.bytes
                    del self._cached[path]
                    dropped = True
        if dropped:
            self._on_evicted()


def signature_of(path: str) -> Signature | None:
    """The state of a style's file; None where there is none."""
    try:
        facts = os.stat(file_of(path))
    except OSError:
        return None
    return facts.st_mtime_ns, facts.st_size, facts.st_ino


def file_of(path: str) -> str:
    """The file of a style, without the choice among the styles in it."""
    return split_reference(path)[0]


def bytes_of(style: Style) -> int:
    """What a style takes as it was loaded: its weights, and the keys that it carries."""
    return BYTES_OF["float32"] * weights_of(style) + (style.keys.bytes if style.keys is not None else 0)


def sketch_bytes(style: Style) -> int:
    """What an engine remembers of a style's keys, at the size that they have."""
    facts = style.card.keys
    return KEY_BYTES * len(facts.stored) * facts.height * facts.width if facts is not None else 0


def weights_of(style: Style) -> int:
    """Numbers in the network of a style, as it was trained; the folded one has fewer."""
    return sum(tensor.numel() for tensor in style.generator.state_dict().values())
