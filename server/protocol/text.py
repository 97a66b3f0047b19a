"""What may stand in a text of the wire, and how a value from outside is shown to people."""

from __future__ import annotations

import re
from typing import Any

from impasto.server.protocol import limits

SHOWN = 60
"""Characters of a foreign value that an error message repeats at most."""

# Control characters; line and paragraph separators, which break a log line for many readers; bidirectional embeddings,
# overrides and isolates, which make a name read as another; halves of surrogate pairs, which UTF-8 cannot carry.
_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")

_SURROGATE = re.compile("[\ud800-\udfff]")
"""Half of a pair. Python puts U+DC80 to U+DCFF in the place of bytes of a name that are not UTF-8."""


def offence(text: str) -> str | None:
    """The first character that may not stand in a text, in words; None where there is none."""
    if text.isascii() and text.isprintable():
        return None
    found = _FORBIDDEN.search(text)
    return None if found is None else f"U+{ord(found[0]):04X} at {found.start()}"


def escaped(text: str) -> str:
    """Text with the bytes that are not UTF-8 written as '\\xe9', so that it can be encoded; file names hold such."""
    if text.isascii():
        return text
    return _SURROGATE.sub(lambda found: f"\\x{ord(found[0]) & 0xFF:02x}", text)


def cleaned(text: str, most: int = limits.TEXT_BYTES) -> str:
    """Text that came from elsewhere (a file's card, a driver, a path) as it may be sent: at most `most` bytes.

    Bytes that are not UTF-8 are written as '\\xe9', and a space takes the place of every other character that the wire
    refuses. What is too long loses its end.
    """
    text = _FORBIDDEN.sub(" ", escaped(text))
    return text if len(text) * 4 <= most else text.encode()[:most].decode(errors="ignore")


def shown(value: Any) -> str:
    """A value as it may be repeated in a message: on one line, short, with everything unprintable escaped."""
    if value is None:
        return "nothing"
    if isinstance(value, str):
        quoted = repr(value[:SHOWN])
        return quoted if len(quoted) <= SHOWN and len(value) <= SHOWN else f"{quoted[: SHOWN - 1]}…"
    if isinstance(value, bool | int | float):
        return repr(value)[:SHOWN]
    if isinstance(value, dict):
        return f"a map of {len(value)}"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    if isinstance(value, bytes | bytearray | memoryview):
        return f"{len(value)} bytes"
    return f"a {type(value).__name__}"
