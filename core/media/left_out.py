"""What of a source is not in a result, in one sentence."""

from __future__ import annotations

from collections.abc import Iterable

_NAMED = 12


def left_out(path: str, what: Iterable[str]) -> tuple[str, ...]:
    """The note that names what of a source is not in the result; none where nothing is missing."""
    words = list(dict.fromkeys(what))
    if not words:
        return ()
    more = f" and {len(words) - _NAMED} more" if len(words) > _NAMED else ""
    return (f"not in the result are, of '{path}': {', '.join(words[:_NAMED])}{more}",)
