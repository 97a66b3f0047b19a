"""The OpenColorIO configuration of a shot: the one of the program that ordered it, whatever this process has."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from impasto.core import colour
from impasto.core.errors import UsageError
from impasto.server.protocol.colour_configuration import BUILT_IN, BY_NAME, named_here, sha256_of
from impasto.server.protocol.messages import ShotJob


@contextmanager
def configured(job: ShotJob) -> Iterator[str | None]:
    """Look colour spaces up in the configuration of a job; yields what is noted of it, None for the built-in one.

    A job that names none takes the one of this environment. Raises UsageError where the file here is not the one
    that was meant.
    """
    source, sha256 = named_here()
    if job.ocio:
        source = job.ocio
        sha256 = "" if source == BUILT_IN or source.startswith(BY_NAME) else sha256_of(source)
    if job.ocio_sha256 and sha256 != job.ocio_sha256:
        found = f"'{source}' with SHA-256 {sha256[:12]}…" if sha256 else f"'{source}'"
        raise UsageError(
            f"expected the OpenColorIO configuration of the order, SHA-256 {job.ocio_sha256[:12]}…, this process has "
            f"{found}; name the same file in OCIO on both sides, or order the shot again"
        )
    with colour.configuration("" if source == BUILT_IN else source, sha256):
        yield None if source == BUILT_IN else sha256 or source
