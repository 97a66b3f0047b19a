"""What drives a parameter, as it is typed: `stroke=audio:bass*1.5+0.6`."""

from __future__ import annotations

import re

from impasto.core.errors import UnknownName, UsageError
from impasto.core.frozen_dataclass import frozen_dataclass
from impasto.core.params import PARAMETERS

SHOTS_SOUND = "audio"
"""The source that is the shot's own sound."""
EXAMPLE = "stroke=audio:bass*1.5+0.6"

_NUMBER = r"\d+(?:\.\d*)?|\.\d+"
_WRITTEN = re.compile(
    rf"(?P<name>\w+)=(?P<source>.+):(?P<feature>[^:*+]+?)"
    rf"(?:\*(?P<gain>-?(?:{_NUMBER})))?(?P<offset>[+-](?:{_NUMBER}))?",
    re.ASCII,
)


@frozen_dataclass
class Driver:
    """A parameter that follows a feature of a source: value * `gain` + `offset`, the value being from 0 to 1.

    `source` is `SHOTS_SOUND` or a path. Build it by `parse`.
    """

    name: str
    source: str
    feature: str
    gain: float = 1.0
    offset: float = 0.0

    @classmethod
    def parse(cls, text: str) -> Driver:
        """`PARAMETER=SOURCE:FEATURE*GAIN+OFFSET`; gain and offset may be left out.

        Raises UsageError for anything else, UnknownName for a parameter that does not exist.
        """
        written = _WRITTEN.fullmatch(text.strip())
        if written is None:
            raise UsageError(f"expected a driver such as {EXAMPLE}, got '{text}'; name a parameter and what drives it")
        known = [each.name for each in PARAMETERS]
        if written["name"] not in known:
            raise UnknownName("parameter", written["name"], known)
        return cls(
            written["name"],
            written["source"],
            written["feature"].strip(),
            float(written["gain"] or 1),
            float(written["offset"] or 0),
        )
