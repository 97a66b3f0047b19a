"""Translates a host's name of a colour space into one that `impasto` knows. Unknown names are never guessed."""

from __future__ import annotations

import re

from impasto.hosts.bridge.errors import BridgeError

SPACES: tuple[str, ...] = (
    "lin_rec709",
    "ACEScg",
    "ACES2065-1",
    "ACEScct",
    "Linear Rec.2020",
    "Linear P3-D65",
    "srgb",
    "rec709",
)
"""The choices where the host does not name its space: names that `--input-space` takes."""

_SAME: dict[str, str] = {
    "linear": "lin_rec709",
    "linearrec709": "lin_rec709",
    "linearrec709srgb": "lin_rec709",
    "linearsrgb": "lin_rec709",
    "scenelinearrec709srgb": "lin_rec709",
    "utilitylinearsrgb": "lin_rec709",
    "utilitylinearrec709": "lin_rec709",
    "acescg": "ACEScg",
    "acesacescg": "ACEScg",
    "aces20651": "ACES2065-1",
    "acesaces20651": "ACES2065-1",
    "acescct": "ACEScct",
    "acesacescct": "ACEScct",
    "linearrec2020": "Linear Rec.2020",
    "utilitylinearrec2020": "Linear Rec.2020",
    "linearp3d65": "Linear P3-D65",
    "utilitylinearp3d65": "Linear P3-D65",
    "srgb": "srgb",
    "rec709": "rec709",
}
_IN_BRACKETS = re.compile(r".*\((.+)\)\s*")


def space_of(word: str, *, where: str) -> str:
    """The name that `--input-space` takes for a host's name. BridgeError, with `where` it was found, if none is known.

    Of 'scene_linear (ACES - ACEScg)' the part in brackets counts.
    """
    brackets = _IN_BRACKETS.fullmatch(word)
    for each in (word, brackets.group(1) if brackets else word):
        plain = re.sub(r"[^a-z0-9]", "", each.lower())
        if plain in _SAME:
            return _SAME[plain]
    raise BridgeError(
        "expected a colour space that impasto knows in {}, got '{}'; choose the plate's space by hand ({})".format(
            where, word, ", ".join(SPACES)
        )
    )
