"""How sure the paint of a shot's keys is over its frames: a strip for the eye, and the same as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from impasto.core.errors import OutputError
from impasto.core.frame import Samples
from impasto.training.data.made_keys import MadeKey, picture_of

REPORT, NUMBERS = "keys.png", "keys.json"
WANTED = 3
"""Frames that are named for a further key."""
COLUMN, THUMB, BAR = 168, 96, 72
"""Width of a frame's column, height of its pictures and of its bar, in pixels."""
BY_HAND, INVENTED, NETWORK = (0.30, 0.55, 0.42), (0.90, 0.66, 0.22), (0.72, 0.24, 0.22)


@dataclass(frozen=True, slots=True)
class Shares:
    """Where the paint of a frame comes from, as shares of the frame that sum to 1.

    `by_hand` is carried from the keys, `invented` is made of their patches or of what was so made, `network` is the
    network's alone.
    """

    frame: int
    by_hand: float
    invented: float
    network: float
    key: bool = False


def shares_of(keys: Sequence[int], made: Sequence[MadeKey]) -> list[Shares]:
    """The shares of the keys' frames and of those that keys were made for, by frame."""
    found = [Shares(number, 1.0, 0.0, 0.0, key=True) for number in keys]
    for each in made:
        by_hand, held = float((1 - each.invented).mean()), float(each.held.mean())
        by_hand = min(by_hand, held)
        found.append(Shares(each.number, round(by_hand, 4), round(held - by_hand, 4), round(max(0.0, 1 - held), 4)))
    return sorted(found, key=lambda each: each.frame)


def wanted(shares: Sequence[Shares]) -> list[int]:
    """The frames that would gain most from a further key: those with least paint by hand, not next to each other."""
    found: list[int] = []
    places = {each.frame: place for place, each in enumerate(shares)}
    for each in sorted((each for each in shares if not each.key), key=lambda each: (each.by_hand, each.frame)):
        if each.by_hand < 0.98 and all(abs(places[each.frame] - places[other]) > 1 for other in found):
            found.append(each.frame)
    return found[:WANTED]


def in_words(shares: Sequence[Shares]) -> str:
    """\"91 % of the shot in the keys' own paint, 6 % invented from it; another key would help most on frame 24\"."""
    by_hand, invented = (
        round(100 * float(np.mean([getattr(each, name) for each in shares]))) for name in ("by_hand", "invented")
    )
    more = wanted(shares)
    said = f"{by_hand} % of the frames looked at is the keys' own paint, {invented} % invented from it"
    return f"{said}; another key would help most on frame {more[0]}" if more else said


def write_report(folder: Path, shares: Sequence[Shares], made: Sequence[MadeKey]) -> None:
    """Write the strip and the numbers; OutputError where they cannot be written, and no partial file stays."""
    facts = {"frames": [asdict(each) for each in shares], "another_key_would_help_on": wanted(shares)}
    _, png = cv2.imencode(".png", np.ascontiguousarray(_strip(shares, made)[..., ::-1]))
    for name, data in ((REPORT, png.tobytes()), (NUMBERS, json.dumps(facts, indent=1).encode())):
        partial = folder / f".{name}.part"
        try:
            partial.write_bytes(data)
            partial.replace(folder / name)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise OutputError(f"could not write '{folder / name}': {error.strerror}; free space there") from error


def _strip(shares: Sequence[Shares], made: Sequence[MadeKey]) -> npt.NDArray[np.uint8]:
    """A column for each frame: its number, its bar, and, of made ones, the paint and where it is invented."""
    by_number = {each.number: each for each in made}
    columns = []
    for each in shares:
        column = np.full((BAR + 2 * THUMB, COLUMN - 4, 3), 0.12, np.float32)
        edges = np.rint(BAR * np.cumsum([0, each.by_hand, each.invented, each.network])).astype(int)
        for (top, bottom), colour in zip(pairwise(edges), (BY_HAND, INVENTED, NETWORK), strict=True):
            column[BAR - bottom : BAR - top] = colour
        key = by_number.get(each.frame)
        if key is not None:
            column[BAR : BAR + THUMB] = _thumb(key.paint)
            grey = 0.6 * _thumb(picture_of(key.plate)).mean(axis=2, keepdims=True)
            network = _thumb(np.repeat((1 - key.held)[..., None], 3, axis=2))
            invented = np.maximum(_thumb(np.repeat(key.invented[..., None], 3, axis=2)) - network, 0)
            mixed = grey + invented * (np.array(INVENTED, np.float32) - grey)
            column[BAR + THUMB :] = mixed + network * (np.array(NETWORK, np.float32) - mixed)
        seen = np.ascontiguousarray(np.rint(255 * np.clip(column, 0, 1)).astype(np.uint8))
        label = f"{each.frame} key" if each.key else f"{each.frame}  {round(100 * each.by_hand)} %"
        cv2.putText(seen, label, (6, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (255, 255, 255), 1, cv2.LINE_AA)
        columns.append(np.pad(seen, ((0, 0), (2, 2), (0, 0))))
    return np.concatenate(columns, axis=1)


def _thumb(picture: Samples) -> Samples:
    scale = min(THUMB / picture.shape[0], (COLUMN - 4) / picture.shape[1])
    size = max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    whole = np.zeros((THUMB, COLUMN - 4, 3), np.float32)
    whole[: size[1], : size[0]] = small
    return whole
