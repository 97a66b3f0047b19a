"""The interpreters of the hosts: Nuke 13 has 3.7, 14 has 3.9, 15 has 3.10, 16 and 17 have 3.11; Resolve takes many."""

from __future__ import annotations

import shutil
import subprocess
from functools import lru_cache
from pathlib import Path

VERSIONS = ("3.7", "3.8", "3.9", "3.10")


@lru_cache
def interpreters() -> list[str]:
    """Programs of these versions, one each, that run: on the path, or among those that pyenv keeps."""
    found = []
    for version in VERSIONS:
        name = f"python{version}"
        kept = sorted(map(str, Path.home().glob(f".pyenv/versions/{version}.*/bin/{name}")))
        found += [program for program in (shutil.which(name), *kept) if program and _is(program, version)][:1]
    return found


def _is(program: str, version: str) -> bool:
    # A name on the path may belong to a version manager that has nothing behind it.
    asked = [program, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip() == version
