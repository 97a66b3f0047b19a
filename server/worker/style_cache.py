"""Styles that stay loaded, and the painter that makes a frame fit into the memory there is.

A style is read from disk once. What happens to its file afterwards changes nothing until `check` has verified the new
one beside the old; where it is broken the old one stays, and is not let go, because nothing could bring it back. A file
that nobody watches, because a client named its path, is looked at with every request instead.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from impasto.core.errors import ImpastoError
from impasto.core.style_reference import name_of, split_reference
from impasto.server.worker.memory_budget import KEY_BYTES

if TYPE_CHECKING:
    from impasto.core.engine import Engine, Precision
    from impasto.core.style import Style

Tile: TypeAlias = Literal["auto", "off"] | int
Asked: TypeAlias = "tuple[Precision, Tile]"
BYTES_OF: Final = {"float32": 4, "float16": 2, "bfloat16": 2}


Signature: TypeAlias = tuple[int, int, int]
"""Time of the last change in nanoseconds, size and inode, by which two states of a file are told apart."""


@dataclass(slots=True, eq=False)
class Held:
    """A verified style and the engines that were built of it."""

    path: str
    style: Style
    bytes: int
    signature: Signature | None = None
    """Of the file just before it was read."""
    pinned: bool = False
    engines: dict[Asked, Engine] = field(default_factory=dict)
    building: threading.Lock = field(default_factory=threading.Lock)


class WarmStyles:
    """The styles of one device, least recently used first; those beyond the budget are let go. Any thread may ask.

    `load` reads and verifies a file, `build` makes an engine of a style.
    """

    def __init__(
        self,
        budget_bytes: int,
        load: Callable[[Path], Style],
        build: Callable[[Style, Precision, Tile], Engine],
        on_let_go: Callable[[], None] = lambda: None,
    ) -> None:
        self._budget = budget_bytes
        self._load, self._build, self._on_let_go = load, build, on_let_go
        self._lock = threading.Lock()
        self._held: OrderedDict[str, Held] = OrderedDict()
        self._loading: dict[str, Future[Held]] = {}

    @property
    def bytes(self) -> int:
        """Weights in memory, all engines counted."""
        with self._lock:
            return sum(held.bytes for held in self._held.values())

    def names(self) -> tuple[str, ...]:
        """The styles that are warm, the one that was used last at the end."""
        with self._lock:
            return tuple(name_of(path) for path in self._held)

    def style(self, path: str) -> Held:
        """The style of a file, read now where it is not warm; several threads that ask at once read it once.

        Raises what `load` raises.
        """
        with self._lock:
            held = self._held.get(path)
            if held is not None:
                self._held.move_to_end(path)
                return held
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
                    loaded = self._held.setdefault(path, loaded)
                future.set_result(loaded)
            except BaseException as error:  # noqa: BLE001  # raised again in every thread that asked
                future.set_exception(error)
            finally:
                with self._lock:
                    del self._loading[path]
            self._trim(path)
        return future.result()

    def unwatched_style(self, path: str) -> Held:
        """The style of a file as it is now: read again where it was changed since. Raises what `load` raises."""
        held = self.style(path)
        if held.signature == signature_of(path):
            return held
        self.check(path)
        return self.style(path)

    def engine(self, held: Held, precision: Precision, tile: Tile) -> Engine:
        """An engine of a style, built where there is none yet. Raises what `build` raises."""
        asked = precision, tile
        with held.building:
            engine = held.engines.get(asked)
            if engine is not None:
                return engine
            engine = held.engines[asked] = self._build(held.style, precision, tile)
            held.bytes += BYTES_OF[engine.precision] * weights_of(held.style) + sketch_bytes(held.style)
        self._trim(held.path)
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
                for held in self._held.values():
                    held.pinned = held.pinned or file_of(held.path) == path
            raise
        digest = fresh.style.card.weights_sha256
        with self._lock:
            old = self._held.get(path)
            if old is not None and old.style.card == fresh.style.card:
                old.pinned, old.signature = False, fresh.signature
                return digest
            self._held[path] = fresh
            self._held.move_to_end(path)
            for other in [other for other in self._held if other != path and file_of(other) == path]:
                del self._held[other]  # what was chosen of the file as it was
        self._trim(path)
        return digest

    def let_others_go(self, kept: Held) -> list[str]:
        """Drop the engines of all other styles, and what of them can be read again; the names of those concerned."""
        with self._lock:
            others = [held for held in self._held.values() if held is not kept and held.engines]
            for held in others:
                held.engines.clear()
                held.bytes = bytes_of(held.style)
                if not held.pinned:
                    del self._held[held.path]
        self._on_let_go()
        return [name_of(held.path) for held in others]

    def _read(self, path: str) -> Held:
        signature = signature_of(path)
        style = self._load(Path(path))
        return Held(path, style, bytes_of(style), signature)

    def _trim(self, kept: str) -> None:
        """Let go what was used longest ago until the rest is within the budget; never what is kept or pinned."""
        dropped = False
        with self._lock:
            total = sum(held.bytes for held in self._held.values())
            for path, held in list(self._held.items()):
                if total <= self._budget:
                    break
                if path != kept and not held.pinned:
                    total -= held.bytes
                    del self._held[path]
                    dropped = True
        if dropped:
            self._on_let_go()


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
    return KEY_BYTES * len(facts.frames) * facts.height * facts.width if facts is not None else 0


def weights_of(style: Style) -> int:
    """Numbers in the network of a style, as it was trained; the folded one has fewer."""
    return sum(tensor.numel() for tensor in style.generator.state_dict().values())
