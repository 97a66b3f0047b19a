"""A style file whose card was written by somebody else."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

from impasto.core.style_file import BUILT_IN


def card_of(name: str = "identity") -> dict[str, Any]:
    """The card of a built-in style, as it is stored."""
    header, _ = _parts(name)
    card: dict[str, Any] = json.loads(header["__metadata__"]["card"])
    return card


def write_altered(path: Path, card: dict[str, Any] | str, name: str = "identity") -> Path:
    """Write the weights of a built-in style with another card, as facts or as text, and return the path."""
    header, weights = _parts(name)
    header["__metadata__"]["card"] = card if isinstance(card, str) else json.dumps(card)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + weights)
    return path


def _parts(name: str) -> tuple[dict[str, Any], bytes]:
    stored = (BUILT_IN / f"{name}.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", stored[:8])
    header: dict[str, Any] = json.loads(stored[8 : 8 + length])
    return header, stored[8 + length :]
