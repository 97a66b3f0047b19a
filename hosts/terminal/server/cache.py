"""`impasto cache`: the painted frames that are kept on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from impasto.hosts.terminal.printer import counted, say
from impasto.hosts.terminal.server.status import megabytes

if TYPE_CHECKING:
    from impasto.server.frame_cache.store import FrameStore


def show() -> None:
    """Show where painted frames are kept, how many, and how many bytes they may take."""
    store = _store()
    facts = store.facts()
    say(f"{counted(facts.entries, 'painted frame')} in {store.folder}")
    say(f"{megabytes(facts.bytes)} of {megabytes(facts.limit_bytes)}")
    if facts.foreign:
        say(f"{counted(facts.foreign, 'file')} there {'is' if facts.foreign == 1 else 'are'} not of the cache")


def clear() -> None:
    """Remove all painted frames that are kept. Other files in their folder stay."""
    store = _store()
    freed = store.facts().bytes
    say(f"{counted(store.trim(0), 'painted frame')} removed, {megabytes(freed)}")


def limit(
    size: Annotated[str, typer.Argument(metavar="SIZE", help="Such as 500M or 8G; what is beyond it goes at once.")],
) -> None:
    """Say how many bytes painted frames may take. Running servers know at once, but those with a --cache SIZE."""
    from impasto.server.frame_cache.place import bytes_of, set_limit

    most = bytes_of(size)
    store = _store()
    set_limit(store.folder, most)
    gone = store.trim(most)
    say(f"painted frames may take {megabytes(most)}" + (f"; {counted(gone, 'frame')} removed" if gone else ""))


def _store() -> FrameStore:
    from impasto.server.frame_cache.place import CacheChoice, cache_folder
    from impasto.server.frame_cache.store import FrameStore

    return FrameStore(CacheChoice(cache_folder()))
