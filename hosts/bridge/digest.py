"""Fingerprints of settings and of the contents of files."""

from __future__ import annotations

import hashlib
import json
from typing import Any

_BLOCK = 1 << 20


def digest_of(value: Any) -> str:
    """16 hexadecimal digits, equal for equal values: numbers, texts, lists, and dicts in any order."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:16]


def digest_of_file(path: str) -> str:
    """SHA-256 of the contents of a file. OSError where it cannot be read."""
    found = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(_BLOCK), b""):
            found.update(block)
    return found.hexdigest()
