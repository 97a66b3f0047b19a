"""Which OpenColorIO configuration a program's environment names, as a shot job says it to another process."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from impasto.server.protocol.messages import ShotJob

BUILT_IN: Final = "built-in"
"""`ShotJob.ocio` of a program whose environment names none."""
BY_NAME: Final = "ocio://"
"""Begins the name of a configuration that OpenColorIO itself has."""
LARGEST_BYTES: Final = 256 << 20


def named_here(environ: Mapping[str, str] = os.environ) -> tuple[str, str]:
    """The configuration of this environment and the SHA-256 of its file.

    The digest is empty for one that OpenColorIO has built in, and for a file that cannot be read.
    """
    named = environ.get("OCIO", "").strip()
    if not named:
        return BUILT_IN, ""
    if named.startswith(BY_NAME):
        return named, ""
    return os.path.abspath(named), sha256_of(named)


def sha256_of(path: str) -> str:
    """SHA-256 of a configuration's file as hexadecimal digits; empty where it cannot be read."""
    try:
        facts = os.stat(path)
        if not stat.S_ISREG(facts.st_mode) or facts.st_size > LARGEST_BYTES:
            return ""
        with open(path, "rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return ""


def with_configuration(job: ShotJob, environ: Mapping[str, str] = os.environ) -> ShotJob:
    """The job with the configuration of this environment, unless it names one."""
    if job.ocio or job.ocio_sha256:
        return job
    source, sha256 = named_here(environ)
    return replace(job, ocio=source, ocio_sha256=sha256)
