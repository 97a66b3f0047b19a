"""Which OpenColorIO configuration a program's environment names, as a request says it to another process.

Its digest is that of its content: of the configuration's file, and of the files of tables that it names.
"""

from __future__ import annotations

import glob
import hashlib
import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Final, TypeVar

from impasto.core.errors import UsageError
from impasto.server.protocol.messages import ShotJob, Submit

Request = TypeVar("Request", ShotJob, Submit)

BUILT_IN: Final = "built-in"
"""`ShotJob.ocio` of a program whose environment names none."""
BY_NAME: Final = "ocio://"
"""Begins the name of a configuration that OpenColorIO itself has."""
LARGEST_BYTES: Final = 256 << 20
_LARGEST_TEXT: Final = 16 << 20


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
    """SHA-256 of a configuration as hexadecimal digits; empty where its file cannot be read.

    That of the file alone where it names no other. Of tables beyond `LARGEST_BYTES` in all, the sizes count.
    """
    own = _file_sha256(path)
    if not own:
        return ""
    tables = sorted(set(_tables_of(path)))
    if not tables:
        return own
    whole, left = hashlib.sha256(own.encode()), LARGEST_BYTES
    for table in tables:
        size = os.path.getsize(table) if os.path.isfile(table) else 0
        left -= size
        whole.update(f"\0{os.path.basename(table)}\0{_file_sha256(table) if left >= 0 else size}".encode())
    return whole.hexdigest()


def _file_sha256(path: str) -> str:
    try:
        facts = os.stat(path)
        if not stat.S_ISREG(facts.st_mode) or facts.st_size > LARGEST_BYTES:
            return ""
        with open(path, "rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return ""


_NAMED = re.compile(r"""\bsrc\s*:\s*("[^"\n]*"|'[^'\n]*'|[^,}\n]+)""")
_SEARCHED = re.compile(r"^search_path\s*:(.*(?:\n[ \t]*-.*)*)", re.MULTILINE)
_VARIABLE = re.compile(r"\$\{?\w+\}?|%\w+%")


def _tables_of(path: str) -> Iterator[str]:
    """The files that a configuration names, where they are in its search path; a variable stands for any name."""
    with open(path, encoding="utf-8", errors="replace") as stream:
        text = stream.read(_LARGEST_TEXT)
    stated = " ".join(_SEARCHED.findall(text))
    places = ["", *(each.strip("\"' ") for each in re.split(r"[:\n]\s*-?|\s-\s", stated))]
    folder = os.path.dirname(os.path.abspath(path))
    for name in {each.strip().strip("\"'") for each in _NAMED.findall(text)}:
        for place in places:
            pattern = os.path.join(folder, *(_VARIABLE.sub("*", glob.escape(each)) for each in (place, name)))
            yield from filter(os.path.isfile, glob.iglob(pattern))


@lru_cache(maxsize=8)
def _named_as_it_was(source: str, size: int, changed_ns: int) -> tuple[str, str]:
    return named_here({"OCIO": source})


def named_for_frames(environ: Mapping[str, str] = os.environ) -> tuple[str, str]:
    """As `named_here`, for whoever asks at every frame: the content is looked at again when the file has changed."""
    source = environ.get("OCIO", "").strip()
    try:
        facts = os.stat(source)
    except OSError:
        return named_here(environ)
    return _named_as_it_was(source, facts.st_size, facts.st_mtime_ns)


def on_this_machine(request: Request, *, local: bool) -> Request:
    """A request whose configuration means a file of this machine.

    The file of a client on another machine is not here: then the one of this environment must have the same content.
    Raises UsageError where the client could not read its own.
    """
    if local or request.ocio in ("", BUILT_IN) or request.ocio.startswith(BY_NAME):
        return request
    if not request.ocio_sha256:
        raise UsageError(f"expected an OpenColorIO configuration that can be read, got '{request.ocio}'; see $OCIO")
    return replace(request, ocio="")


def with_configuration(job: ShotJob, environ: Mapping[str, str] = os.environ) -> ShotJob:
    """The job with the configuration of this environment, unless it names one."""
    if job.ocio or job.ocio_sha256:
        return job
    source, sha256 = named_here(environ)
    return replace(job, ocio=source, ocio_sha256=sha256)
