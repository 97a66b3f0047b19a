"""The OpenColorIO configuration of a shot or frame: that of the program that ordered it, whatever this process has."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from impasto.core import colour
from impasto.core.errors import UsageError
from impasto.server.protocol.colour_configuration import BUILT_IN, named_for_frames, named_here
from impasto.server.protocol.messages import ShotJob, Submit


@contextmanager
def configured(order: ShotJob | Submit) -> Iterator[str | None]:
    """Look colour spaces up in the configuration of an order; yields what is noted of it, None for the built-in one.

    An order that names none takes the one of this environment. Raises UsageError where the file here is not the one
    that was meant. For frames its content is looked at again when its file has changed, or where it differs.
    """
    source, sha256 = _meant(order, named_for_frames if isinstance(order, Submit) else named_here)
    if order.ocio_sha256 and sha256 != order.ocio_sha256 and isinstance(order, Submit):
        source, sha256 = _meant(order, named_here)
    if order.ocio_sha256 and sha256 != order.ocio_sha256:
        found = f"'{source}' with SHA-256 {sha256[:12]}…" if sha256 else f"'{source}'"
        raise UsageError(
            f"expected the OpenColorIO configuration of the order, SHA-256 {order.ocio_sha256[:12]}…, this process has "
            f"{found}; name the same file in OCIO on both sides, or order again"
        )
    with colour.configuration("" if source == BUILT_IN else source, sha256):
        yield None if source == BUILT_IN else sha256 or source


def _meant(order: ShotJob | Submit, look: Callable[[Mapping[str, str]], tuple[str, str]]) -> tuple[str, str]:
    """The configuration that an order names, or that of this environment, and its digest."""
    if not order.ocio:
        return look(os.environ)
    return (BUILT_IN, "") if order.ocio == BUILT_IN else look({"OCIO": order.ocio})
