"""The OpenColorIO configurations in which names of colour spaces are looked up.

They are that of the studio, where `$OCIO` names one, and OpenColorIO's built-in ACES studio configuration always. The
variable is read when a function is called; `configuration` takes its place.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import Any, Final

import PyOpenColorIO as ocio  # type: ignore[import-untyped]

from impasto.core.errors import UsageError

BUILT_IN: Final = "ocio://studio-config-v5.0.0_aces-v2.1_ocio-v2.6"
"""Named in full and not as 'latest', so that another version of the library gives the same pixels."""

OCIO_ERRORS: Final = (ocio.Exception, ocio.ExceptionMissingFile)
"""The binding does not derive the second from the first."""

_BY_NAME: Final = "ocio://"

_CONTENT: Final = "\0sha256:"
"""Between the path of a configuration and the digest of its content, where the path alone does not tell."""


def config_name() -> str:
    """The name of the configuration in use: the path in `$OCIO`, or the built-in one."""
    return path_of(sources()[0])


_chosen: ContextVar[str | None] = ContextVar("impasto_ocio", default=None)
_contents: dict[str, str] = {}
"""Path -> digest of what was there when it was named first. A path with other content is another source."""
_latest: dict[str, str] = {}
"""Path -> digest of what was there when it was named last."""


@contextmanager
def configuration(source: str, sha256: str = "") -> Iterator[None]:
    """Within the block, look names up in this configuration in the place of the one in `$OCIO`; empty: none of it.

    `sha256` is the digest of its content: equal paths with other content are other configurations. It holds for the
    thread, and for threads that run in a copy of its context.
    """
    if sha256 and _latest.setdefault(source, sha256) != sha256:
        _latest[source] = sha256
        ocio.ClearAllCaches()  # it keeps tables by their paths
    if sha256 and _contents.setdefault(source, sha256) != sha256:
        source = f"{source}{_CONTENT}{sha256}"
    token = _chosen.set(source)
    try:
        yield
    finally:
        _chosen.reset(token)


def sources() -> tuple[str, ...]:
    """The configurations to look names up in, the studio's first."""
    chosen = _chosen.get()
    studio = os.environ.get("OCIO", "").strip() if chosen is None else chosen
    return (studio, BUILT_IN) if studio and studio != BUILT_IN else (BUILT_IN,)


def content_of_sources() -> tuple[str, ...]:
    """What tells the configurations in use, and the files that they name, from any others: equal texts, equal colours.

    A studio's own is looked into. Raises UsageError for one that does not open.
    """
    found = []
    for source in sources():
        if source.startswith(_BY_NAME):
            found.append(source)
        else:
            # The digest of its content, and the library's, which knows the variables of the environment that it uses.
            stated = source.partition(_CONTENT)[2] or _contents.get(source, "")
            found.append(f"{stated} {config_at(source).getCacheID()}")
    return (ocio.__version__, *found)


def path_of(source: str | None) -> str:
    """The path or the name of a configuration, as a person wrote it."""
    return (source or "").partition(_CONTENT)[0]


@lru_cache(maxsize=8)
def config_at(source: str) -> Any:
    """The configuration of a source, as `sources` names it. UsageError for one that does not open."""
    try:
        return ocio.Config.CreateFromFile(path_of(source))
    except OCIO_ERRORS as error:
        raise UsageError(
            f"expected an OpenColorIO configuration in $OCIO, got '{path_of(source)}': {first_line(error)}; "
            "correct the path, or unset OCIO to use the built-in one"
        ) from error


def first_line(error: BaseException) -> str:
    """The first line of what a library says of an error."""
    return (str(error).strip().splitlines() or ["no reason given"])[0]
